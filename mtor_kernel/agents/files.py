"""Which files an agent may have sent: pictures and sounds below folders that its person named.

An agent may be talked into anything by what it reads, so that it can name a file gives it no right
to it. What is read must lie below a root when all links are followed, have no part of its name
begin with a dot below the root, and be a picture or a sound.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from mtor_kernel.client.media import MAX_SOUND_BYTES, Kind, Media, as_media
from mtor_kernel.protocol.errors import BadInput, TooLarge

#: What a picture or a sound given by its bytes begins with.
DATA_URL = "data:"


class Roots:
    """The folders below which files may be read.

    Raises
    ------
    BadInput
        One of them is no folder.
    """

    def __init__(self, folders: Iterable[str | Path] = ()) -> None:
        self.folders = tuple(_folder(Path(folder)) for folder in folders)

    def media(self, given: str, kind: Kind) -> Media:
        """Return a picture or a sound, given as a path or as a ``data:`` URL. Reads the disk.

        Raises
        ------
        BadInput
            It is none, or may not be read; says what may.
        TooLarge
            It is too large to be sent.
        """
        content = _decoded(given) if given.startswith(DATA_URL) else self._read(given)
        return as_media(content, kind)

    def _read(self, given: str) -> bytes:
        if not self.folders:
            raise BadInput(
                "No file may be read here: give the bytes as `data:image/png;base64,…` (or "
                "audio/wav), or have the server started as `mtor mcp --root FOLDER`."
            )
        for folder in self.folders:
            found = _below(folder, given)
            if found is not None:
                return _content(found, given)
        # The same words for what is elsewhere and what is nowhere: nobody learns what exists.
        roots = " or ".join(map(str, self.folders))
        raise BadInput(f"There is no file {given!r} that may be read: name one below {roots}.")


def _folder(path: Path) -> Path:
    try:
        found = path.expanduser().resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise BadInput(f"The root {str(path)!r} cannot be used: {error}.") from None
    if not found.is_dir():
        raise BadInput(f"The root {str(path)!r} is no folder.")
    return found


def _below(folder: Path, given: str) -> Path | None:
    """Return the file that a path names below a folder; ``None`` where it names none there."""
    try:
        found = (folder / Path(given).expanduser()).resolve(strict=True)
        inside = found.relative_to(folder).parts
    except (OSError, RuntimeError, ValueError):
        return None
    hidden = any(part.startswith(".") for part in inside)
    return None if hidden or not found.is_file() else found


def _content(path: Path, given: str) -> bytes:
    """Read a file that has no links left in its path; whatever it has become meanwhile."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BadInput(f"{given!r} is no file of bytes.")
            if status.st_size > MAX_SOUND_BYTES:
                raise TooLarge(
                    f"The file has {status.st_size:,} bytes; at most {MAX_SOUND_BYTES:,} are sent.",
                    limit=MAX_SOUND_BYTES,
                    used=status.st_size,
                )
            return file.read(MAX_SOUND_BYTES + 1)
    except OSError as error:
        raise BadInput(f"The file {given!r} cannot be read: {error.strerror}.") from None


def _decoded(url: str) -> bytes:
    head, comma, content = url.partition(",")
    if not comma or not head.endswith(";base64"):
        raise BadInput("Bytes are given as `data:image/png;base64,…`, and not otherwise.")
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise BadInput(f"What follows `;base64,` is no base64: {error}.") from None
