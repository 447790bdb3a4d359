"""The configuration that a realm and its doctor read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mtor_kernel.protocol.errors import BadInput

if TYPE_CHECKING:
    from traitlets.config import Config


def configured(path: Path | None, database: str | None) -> Config:
    """Return what a file says, with the store of the command line in place of its own.

    Raises
    ------
    BadInput
        There is no such file, it cannot be read as Python, or the store's URL holds a password.
    """
    from mtor_kernel.locate import data_dir
    from mtor_kernel.realm.configfile import read_config

    config = read_config(path, data_dir())
    if database is not None:
        config.Realm.database_url = _without_password(database)
    return config


def _without_password(url: str) -> str:
    """Return the URL; whoever may list this machine's processes reads a command line."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return url  # the store says what is wrong with it
    if parsed.password or "password" in parsed.query:
        raise BadInput(
            "A password on the command line is shown to everybody on this machine: leave it out, "
            "and put it into ~/.pgpass (mode 600) or the environment's PGPASSWORD."
        )
    return url
