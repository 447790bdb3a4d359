"""Where a notebook's answers are recorded: beside the notebook, if its name is known."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mtor_kernel.client.replay.book import SUFFIX
from mtor_kernel.protocol.errors import BadInput

#: Names the notebook, or the replay file, where nobody else does.
FILE_VARIABLE = "MTOR_REPLAY_FILE"

UNKNOWN = (
    "Nobody has said which notebook this is, so its answers have no file. Write %mtor replay on "
    f"NAME.ipynb in its first cell, or set {FILE_VARIABLE}=NAME.ipynb where it is run: nbclient, "
    "papermill and nbval do not tell a kernel the notebook's name."
)


def replay_file(name: str | Path) -> Path:
    """Return the replay file of a notebook, or of the replay file that is named itself.

    >>> replay_file("/home/ann/demo.ipynb").name, replay_file("/home/ann/demo.mtor.jsonl").name
    ('demo.mtor.jsonl', 'demo.mtor.jsonl')

    Raises
    ------
    BadInput
        Its folder is not there, or it cannot be the name of a notebook.
    """
    try:
        path = Path(name).expanduser().absolute()
        stem = path.name.removesuffix(SUFFIX).removesuffix(".ipynb")
        if not path.parent.is_dir() or not stem:
            raise BadInput(f"There is no folder {path.parent}: name a notebook that is there.")
        found = path.with_name(stem + SUFFIX)
        with suppress(FileNotFoundError):
            found.stat()
        folder = next((one for one in (path, found) if one.is_dir()), None)
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise BadInput(f"{str(name)!r:.100} is no name of a notebook: {why}.") from None
    if folder is not None:
        raise BadInput(f"{folder} is a folder: name a notebook in it.")
    return found


def known_file(variables: Mapping[str, Any]) -> Path | None:
    """Return the replay file of the notebook that runs here; ``None`` where nobody tells.

    Looked for in ``MTOR_REPLAY_FILE``, then in what Jupyter Server and VS Code put into a kernel's
    `variables`.
    """
    session = variables.get("__session__") or os.environ.get("JPY_SESSION_NAME", "")
    for found in (
        os.environ.get(FILE_VARIABLE, ""),
        variables.get("__vsc_ipynb_file__", ""),
        session if str(session).endswith(".ipynb") else "",
    ):
        if found:
            return replay_file(str(found))
    return None
