"""A secret that outlives the process which made it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

#: Length in bytes.
LENGTH = 32


def kept_secret(path: Path) -> bytes:
    """Return the secret in `path`, which is made at once where there is none.

    Its owner alone can read it. With another at each start, everybody would have to sign in again.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    while True:
        try:
            found = bytes.fromhex(path.read_text())
            if len(found) == LENGTH:
                path.chmod(0o600)
                return found
            path.unlink()
        except FileNotFoundError:
            pass
        except ValueError:
            path.unlink()
        draft = path.with_suffix(f".{os.getpid()}.new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(LENGTH))
        draft.replace(path)
