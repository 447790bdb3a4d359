"""What ``mtor doctor`` finds of the store: its folder, its database, and the books in it."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from mtor_kernel.cli.findings import Finding, Mark, verdict
from mtor_kernel.storage import audit, ledger, schema, seals
from mtor_kernel.storage.inspection import CONNECTIONS, Inspection, looking_at
from mtor_kernel.storage.sqlite import durable

#: SQLite versions in which two connections that write and checkpoint could corrupt the file. MTOR
#: writes and checkpoints on one connection, which is not touched by it.
_WAL_RESET_FIXED = (3, 51, 3)


def check_store(folder: Path, url: str) -> Iterator[Finding]:
    """Look at the store of a data folder: the database that `url` names, or the folder's own."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    safe = not mode & 0o077
    yield Finding(Mark.WELL if safe else Mark.BAD, f"{folder} has mode {mode:o}")
    if not os.access(folder, os.W_OK):
        yield Finding(Mark.BAD, f"{folder} cannot be written to: no realm can run there")
    if url.startswith("postgresql"):
        yield from _postgresql(url)
    else:
        yield from _sqlite(
            Path(sa.make_url(url).database or "") if url else folder / "realm.sqlite"
        )


def _sqlite(database: Path) -> Iterator[Finding]:
    version = sqlite3.sqlite_version
    fixed = sqlite3.sqlite_version_info >= _WAL_RESET_FIXED
    yield Finding(
        Mark.WELL if fixed else Mark.NOTE,
        f"SQLite {version}"
        + ("" if fixed else ": has the WAL-reset bug, which one writing connection never meets"),
    )
    # No file says this: each connection of a realm does.
    full = durable()
    yield Finding(
        Mark.WELL if full else Mark.BAD,
        "a realm writes with synchronous FULL"
        if full
        else "this SQLite does not sync each commit: a power cut loses what was acknowledged",
    )
    if not database.exists():
        yield Finding(Mark.NOTE, "no realm has run here yet")
        return

    def reading() -> sqlite3.Connection:
        return sqlite3.connect(f"file:{database}?mode=ro", uri=True)

    with reading() as connection:
        journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
        intact = connection.execute("PRAGMA quick_check").fetchone()[0]
    yield Finding(Mark.WELL if journal == "wal" else Mark.BAD, f"journal mode {journal}")
    yield Finding(Mark.WELL if intact == "ok" else Mark.BAD, f"quick check: {intact}")
    engine = sa.create_engine("sqlite://", creator=reading)
    try:
        with engine.connect() as conn:
            yield from _books(conn)
    except sa.exc.SQLAlchemyError as error:
        yield Finding(Mark.BAD, f"the books cannot be read: {getattr(error, 'orig', error)}")
    finally:
        engine.dispose()


def _postgresql(url: str) -> Iterator[Finding]:
    with looking_at(url) as (seen, conn):
        yield Finding(Mark.WELL, f"PostgreSQL {seen.version} at {seen.name}")
        yield from _durable(seen)
        room = int(seen.settings["max_connections"]) - seen.connections
        yield Finding(
            Mark.WELL if room >= CONNECTIONS else Mark.BAD,
            f"max_connections {seen.settings['max_connections']}, {seen.connections} in use; a "
            f"realm takes {CONNECTIONS}",
        )
        if not seen.local:
            yield _private(seen)
        if seen.revision is None:
            yield Finding(Mark.NOTE, "no realm has run there yet")
        elif seen.revision != schema.HEAD:
            yield Finding(
                Mark.NOTE,
                f"its schema is {seen.revision}, and this MTOR's {schema.HEAD}: the next start of "
                "a realm brings it up to date",
            )
        else:
            yield from _books(conn)


def _private(seen: Inspection) -> Finding:
    how = "?sslmode=verify-full&sslrootcert=/etc/mtor/authority.pem"
    if not seen.encrypted:
        return Finding(Mark.BAD, f"the connection is not encrypted: add {how}")
    if not seen.verified:
        return Finding(Mark.NOTE, f"whoever answers there is believed: {how} makes sure who it is")
    return Finding(Mark.WELL, "the connection is encrypted, and it was made sure who answers")


def _durable(seen: Inspection) -> Iterator[Finding]:
    """Tell whether what was acknowledged outlives a power cut of the server."""
    for name in ("fsync", "full_page_writes"):
        on = seen.settings[name] == "on"
        lost = "" if on else ": a power cut may destroy the database; set it on"
        yield Finding(Mark.WELL if on else Mark.BAD, f"{name} {seen.settings[name]}{lost}")
    value = seen.settings["synchronous_commit"]
    weak = value in ("off", "local")
    yield Finding(
        Mark.NOTE if weak else Mark.WELL,
        f"synchronous_commit {value}" + (": a realm's own sessions have it on" if weak else ""),
    )
    if seen.settings["autovacuum"] != "on":
        yield Finding(Mark.BAD, "autovacuum is off: the tables grow and grow")


def _books(conn: sa.Connection) -> Iterator[Finding]:
    """Add up the ledger and follow the chains of audit log and seals, without writing anything."""
    for what, check in (
        ("ledger", ledger.check),
        ("audit log", audit.verify),
        ("seals", seals.verify),
    ):
        yield from verdict(what, check(conn))
