"""Pictures and sounds of recorded answers: a folder of files named by the hash of their content."""

from __future__ import annotations

import mimetypes
import os
import re
import tempfile
from hashlib import sha256
from pathlib import Path

from mtor_kernel.protocol.errors import ReplayDamaged, TooLarge

#: The largest picture or sound that is kept beside a notebook, and the most of one notebook, in
#: bytes.
MAX_MEDIUM_BYTES = 32 * 1024 * 1024
MAX_SHELF_BYTES = 512 * 1024 * 1024

_BLOB = re.compile("[0-9a-f]{64}")


class Shelf:
    """The media of one notebook's recorded answers."""

    def __init__(
        self, folder: Path, medium: int = MAX_MEDIUM_BYTES, whole: int = MAX_SHELF_BYTES
    ) -> None:
        self.folder = folder
        self._most_of_one, self._most = medium, whole

    def keep(self, content: bytes, mime: str) -> None:
        """Keep bytes, unless they are here.

        Raises
        ------
        TooLarge
            They are too many, or would be with what is here.
        OSError
            They cannot be written.
        """
        name = sha256(content).hexdigest()
        if self._find(name) is not None:
            return
        if len(content) > self._most_of_one:
            raise TooLarge(_too_large("It is", len(content), self._most_of_one))
        if (whole := self.size + len(content)) > self._most:
            raise TooLarge(_too_large("With it there would be", whole, self._most))
        self.folder.mkdir(exist_ok=True)
        handle, written = tempfile.mkstemp(dir=self.folder, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(written).chmod(0o644)
            Path(written).replace(self.folder / f"{name}{mimetypes.guess_extension(mime) or ''}")
        except BaseException:
            Path(written).unlink(missing_ok=True)
            raise

    def fetch(self, blob: str) -> bytes | None:
        """Return the bytes of a blob, if they are here.

        Raises
        ------
        ReplayDamaged
            The file is not what it was.
        """
        found = self._find(blob)
        if found is None:
            return None
        # What is larger than anything that is kept is not read.
        content = found.read_bytes() if found.stat().st_size <= self._most_of_one else b""
        if sha256(content).hexdigest() != blob:
            raise ReplayDamaged(
                f"{found.parent.name}/{found.name} is not the file that was recorded. Bring it "
                "back, or delete it and record its cell anew: %mtor replay anew."
            )
        return content

    @property
    def size(self) -> int:
        """How many bytes are here."""
        return sum(file.stat().st_size for file in self._files())

    def _find(self, blob: str) -> Path | None:
        if not _BLOB.fullmatch(blob):
            return None
        found = sorted(self.folder.glob(f"{blob}*"))
        return next((file for file in found if file.is_file()), None)

    def _files(self) -> list[Path]:
        return [file for file in self.folder.glob("*") if file.is_file()]


def _too_large(what: str, size: int, most: int) -> str:
    return (
        f"{what} {size / 2**20:,.0f} MiB; at most {most / 2**20:,.0f} are kept beside a notebook."
    )
