"""A PostgreSQL store looked at without being claimed or written to: for `mtor doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import sqlalchemy as sa

from mtor_kernel.storage import faults
from mtor_kernel.storage.postgres import Postgres
from mtor_kernel.storage.refusals import refusal

#: Connections that one realm has: its writer and its readers.
CONNECTIONS = 1 + Postgres.readers
#: Those of the server's settings that decide whether what was acknowledged outlives a power cut,
#: and whether a realm finds room.
_SETTINGS = ("fsync", "full_page_writes", "synchronous_commit", "autovacuum", "max_connections")
_VALUE = "SELECT setting, reset_val FROM pg_settings WHERE name = %(name)s"
_USED = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"


class Inspection(msgspec.Struct, frozen=True):
    """A server as a realm meets it."""

    name: str
    version: str
    #: As the server has them, before MTOR sets its own session.
    settings: dict[str, str]
    connections: int
    #: Whether what goes over this connection is encrypted, whether it was made sure who answers,
    #: and whether it stays on this machine.
    encrypted: bool
    verified: bool
    local: bool
    #: The newest migration that was applied; ``None``: no realm has run there.
    revision: str | None


@contextmanager
def looking_at(url: str) -> Iterator[tuple[Inspection, sa.Connection]]:
    """Give what the server is like, and a connection that reads one state of its database.

    Raises
    ------
    Unavailable
        It cannot be reached, or does not let this account in.
    """
    database = Postgres(sa.make_url(url))
    engine = database.reader()
    try:
        with engine.connect() as conn, conn.begin():
            yield _inspect(conn, database.name), conn
    except sa.exc.SQLAlchemyError as error:
        raise refusal(database.name, error) from faults.explain(error)
    finally:
        engine.dispose()


def _inspect(conn: sa.Connection, name: str) -> Inspection:
    settings = {}
    for setting in _SETTINGS:
        now, at_first = conn.exec_driver_sql(_VALUE, {"name": setting}).one()
        settings[setting] = at_first or now
    driver = conn.connection.dbapi_connection
    assert driver is not None
    host = driver.info.host
    revision = None
    if sa.inspect(conn).has_table("alembic_version"):
        revision = conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return Inspection(
        name,
        str(conn.exec_driver_sql("SHOW server_version").scalar_one()),
        settings,
        int(conn.exec_driver_sql(_USED).scalar_one()),
        bool(driver.pgconn.ssl_in_use),
        driver.info.get_parameters().get("sslmode") == "verify-full",
        host.startswith("/") or host in ("localhost", "127.0.0.1", "::1", ""),
        revision,
    )
