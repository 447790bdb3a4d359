"""A prepared statement does what the same statement does in SQLAlchemy's own hands."""

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql

from mtor_kernel.storage import Store
from mtor_kernel.storage.prepared import Prepared, _Plan

META = sa.MetaData()
THING = sa.Table(
    "thing",
    META,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, unique=True),
    sa.Column("weight", sa.Double),
    sa.Column("good", sa.Boolean),
    sa.Column("body", sa.LargeBinary),
)
BODY = b"\x00\xff"
ROW = {"name": "tea", "weight": 3, "good": True, "body": BODY}
INSERT = sa.insert(THING).returning(THING.c.id, THING.c.good)
FIND = sa.select(THING).where(THING.c.name == bindparam("called"))
HEAVIER = (
    sa.update(THING)
    .where(THING.c.good, THING.c.weight < bindparam("below"))
    .values(weight=THING.c.weight + 0.5)
)


@pytest.fixture
def tables(store: Store) -> Store:
    store.write_sync(lambda db: META.create_all(db))
    return store


def test_values_and_rows_have_the_types_of_their_columns(tables: Store) -> None:
    (made,) = tables.write_sync(lambda db: Prepared(INSERT).rows(db, ROW))
    assert (made.id, made.good) == (1, True)
    prepared = Prepared(FIND)
    for _ in range(2):
        found: Any = tables.read_sync(lambda db: prepared.one_or_none(db, {"called": "tea"}))
        plain: Any = tables.read_sync(lambda db: db.execute(FIND, {"called": "tea"}).one())
        assert tuple(found) == tuple(plain) == (1, "tea", 3.0, True, BODY)
        assert isinstance(found.good, bool)
        assert found._asdict() == plain._asdict()


def test_it_says_how_many_rows_it_changed(tables: Store) -> None:
    tables.write_sync(lambda db: [Prepared(INSERT).rows(db, ROW | {"name": n}) for n in "abc"])
    heavier = Prepared(HEAVIER)
    assert tables.write_sync(lambda db: heavier.run(db, {"below": 3.25})) == 3
    assert tables.write_sync(lambda db: heavier.run(db, {"below": 3.25})) == 0


def test_what_is_not_there_is_none_and_more_than_one_an_error(tables: Store) -> None:
    everything = Prepared(sa.select(THING.c.id))
    assert tables.read_sync(lambda db: everything.one_or_none(db, {})) is None
    tables.write_sync(lambda db: [Prepared(INSERT).rows(db, ROW | {"name": n}) for n in "ab"])
    with pytest.raises(sa.exc.MultipleResultsFound):
        tables.write_sync(lambda db: everything.one_or_none(db, {}))


def test_its_errors_are_sqlalchemys_and_show_no_values(tables: Store) -> None:
    prepared = Prepared(INSERT)
    tables.write_sync(lambda db: prepared.rows(db, ROW))
    with pytest.raises(sa.exc.IntegrityError) as raised:
        tables.write_sync(lambda db: prepared.rows(db, ROW))
    assert "tea" not in str(raised.value)


def test_a_list_of_values_cannot_be_prepared(tables: Store) -> None:
    several = Prepared(sa.select(THING.c.id).where(THING.c.name.in_(["a", "b"])))
    with pytest.raises(TypeError, match="do not prepare"):
        tables.read_sync(lambda db: several.rows(db, {}))


def test_a_driver_that_takes_names_gets_names() -> None:
    plan = _Plan(HEAVIER, postgresql.psycopg.dialect(), ["below"])
    assert "%(below)s" in plan.text
    assert plan.values({"below": 2.0}) == {"below": 2.0, "weight_1": 0.5}
