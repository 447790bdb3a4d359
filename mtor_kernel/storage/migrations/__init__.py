"""The history of the schema, applied from code: no ``alembic.ini`` is needed.

Every migration is one file in ``versions/``, applied once and never edited afterwards.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from mtor_kernel.protocol.errors import Unavailable
from mtor_kernel.storage import schema


def upgrade(conn: sa.Connection) -> None:
    """Bring the database to :data:`~mtor_kernel.storage.schema.HEAD`, within the open transaction.

    Raises
    ------
    Unavailable
        The database was written by a newer MTOR.
    """
    if revision(conn) == schema.HEAD:
        return  # and Alembic, which takes a while to import, is not needed
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = conn
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise Unavailable(
            f"The database does not fit this MTOR ({error}): install the newer MTOR that wrote it, "
            "or name another database."
        ) from error


def revision(conn: sa.Connection) -> str | None:
    """Return the newest migration that was applied; ``None``: no realm has run there."""
    if not sa.inspect(conn).has_table("alembic_version"):
        return None
    version: str | None = conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return version
