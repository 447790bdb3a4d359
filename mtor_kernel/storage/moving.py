"""A store moved into another database: every row, in one transaction, and checked before it ends.

Either the other database has all of it, and its books, audit log and seals hold, or it is as it
was. The first one is only read, while no realm has it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import sqlalchemy as sa

from mtor_kernel.protocol.codec import encode
from mtor_kernel.protocol.errors import BadInput, Unavailable
from mtor_kernel.storage import audit, faults, ledger, migrations, schema, seals
from mtor_kernel.storage.database import Database, Owned, database_of

#: Rows that are read and written at a time.
BATCH = 500
#: How PostgreSQL is told where its own counting goes on.
_GO_ON = """
    SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max({column}))
    FROM {table} HAVING max({column}) IS NOT NULL
"""


class Moved(msgspec.Struct, frozen=True):
    """What was copied."""

    #: Rows by table.
    rows: dict[str, int]
    #: The newest hash of the audit log, to be kept elsewhere.
    audit_head: str


def copy(source: str, target: str) -> Moved:
    """Copy the store at one URL into the empty database at another.

    Raises
    ------
    BadInput
        Something is in the other database already, the first one holds none of this version, or
        what arrived is not what was sent, or does not add up.
    Unavailable
        One of them cannot be used, or a realm has it.
    """
    first, second = database_of(source), database_of(target)
    if sa.make_url(source) == sa.make_url(target):
        raise BadInput("Both URLs name the same database: name an empty one to copy into.")
    with _claimed(first, create=False), _claimed(second, create=True):
        reading, writing = first.reader(), second.writer()
        try:
            # The writer of the first one too, which nobody else may have meanwhile.
            with _held(first), reading.connect() as old, old.begin(), writing.begin() as new:
                return _copy(old, new, first.name, second.name)
        except (sa.exc.SQLAlchemyError, Owned) as error:
            raise faults.explain(error) from error
        finally:
            reading.dispose()
            writing.dispose()


@contextmanager
def _claimed(database: Database, *, create: bool) -> Iterator[None]:
    path = getattr(database, "path", None)
    if not create and path is not None and not path.is_file():
        raise Unavailable(f"There is no database {path}: name one that a realm has made.")
    database.claim()
    try:
        yield
    finally:
        database.release()


@contextmanager
def _held(database: Database) -> Iterator[None]:
    """Have a database on a server for as long as it is read: the writer's connection owns it."""
    engine = database.writer()
    try:
        with engine.connect():
            yield
    finally:
        engine.dispose()


def _copy(old: sa.Connection, new: sa.Connection, here: str, there: str) -> Moved:
    if migrations.revision(old) != schema.HEAD:
        raise BadInput(
            f"{here} is not of this version: start this version's realm on it once, which brings "
            "it up to date, stop it, and copy then."
        )
    if migrations.revision(new) is not None:
        raise BadInput(f"A realm has run in {there}: name an empty database.")
    migrations.upgrade(new)
    # What a new database begins with comes with the copy as well.
    new.execute(sa.delete(schema.account))
    rows = {}
    for table in schema.metadata.sorted_tables:
        sent = _Digest()
        for batch in _batches(old, table):
            new.execute(sa.insert(table), [sent.take(row) for row in batch])
        arrived = _Digest()
        for batch in _batches(new, table):
            for row in batch:
                arrived.take(row)
        if sent != arrived:
            raise BadInput(
                f"What arrived of the table {table.name} is not what was sent: nothing is kept of "
                f"the copy, and {here} is as it was."
            )
        rows[table.name] = sent.count
        _go_on_counting(new, table)
    problems = [*ledger.check(new), *audit.verify(new), *seals.verify(new)]
    if problems:
        raise BadInput(
            f"The copy does not add up, and nothing is kept of it: {'; '.join(problems[:3])}. "
            f"`mtor doctor` tells whether that is so in {here}."
        )
    return Moved(rows, audit.head(new))


def _batches(conn: sa.Connection, table: sa.Table) -> Iterator[list[dict[str, Any]]]:
    # By its key, so that a transfer comes after the hold that it ends.
    wanted = sa.select(table).order_by(*table.primary_key.columns)
    with conn.execute(wanted.execution_options(yield_per=BATCH)) as result:
        for part in result.mappings().partitions():
            yield [dict(row) for row in part]


class _Digest:
    """What rows hold together, in whatever order they come: databases sort texts differently."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0

    def take(self, row: dict[str, Any]) -> dict[str, Any]:
        """Count a row in; return it as every database keeps it."""
        # PostgreSQL keeps no NUL in a text.
        kept = {
            name: value.replace("\0", "\N{REPLACEMENT CHARACTER}")
            if isinstance(value, str)
            else value
            for name, value in row.items()
        }
        told = hashlib.sha256(encode(list(kept.values()))).digest()
        self.count += 1
        self._sum = (self._sum + int.from_bytes(told[:16])) % (1 << 128)
        return kept

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Digest):
            return NotImplemented
        return (self.count, self._sum) == (other.count, other._sum)

    __hash__ = None  # type: ignore[assignment]  # it changes


def _go_on_counting(conn: sa.Connection, table: sa.Table) -> None:
    """Have a server number the next row after those that came with their numbers."""
    (first, *more) = table.primary_key.columns
    if conn.dialect.name != "postgresql" or more or not isinstance(first.type, sa.BigInteger):
        return
    serial = f"SELECT pg_get_serial_sequence('{table.name}', '{first.name}')"
    if conn.exec_driver_sql(serial).scalar() is not None:
        conn.exec_driver_sql(_GO_ON.format(table=table.name, column=first.name))
