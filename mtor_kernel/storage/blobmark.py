"""Whether gateways that share a database have the same folder of blobs.

A blob is a file, and the database only names it. Two gateways with a folder each would each miss
what people gave to the other, and remove as left over what the other has only just named. So the
folder has a mark, and the database the mark of the folder that belongs to it.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa

from mtor_kernel.storage import settings

#: The file in the folder. Its name is no blob's.
NAME = "folder-of-one-realm"


def read(folder: Path) -> str:
    """Return the folder's mark, which is made at once where there is none."""
    path = folder / NAME
    # Of several who come at once one makes it.
    with suppress(FileExistsError), path.open("x") as file:
        file.write(secrets.token_hex(16))
    return path.read_text()


def belongs(conn: sa.Connection, mark: str, *, alone: bool) -> bool:
    """Tell whether the folder with this mark is the database's.

    To a process that is `alone` it is from now on: the folder may have been brought back from a
    copy.
    """
    known = settings.blob_mark(conn)
    if known not in ("", mark) and not alone:
        return False
    if known != mark:
        settings.set_blob_mark(conn, mark)
    return True
