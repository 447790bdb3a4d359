"""Schemas for tests: emptied and used again, since to migrate one takes a while."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mtor_kernel.storage import Store, schema
from tests.postgres import Server

#: What a schema is made of: another test's changes to it show.
_SHAPE = """
    SELECT md5(string_agg(one, ',' ORDER BY one)) FROM (
        SELECT conname::text FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
        UNION ALL SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace
        UNION ALL SELECT tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
                  WHERE c.relnamespace = current_schema()::regnamespace AND NOT tgisinternal
    ) AS found(one)
"""
_TABLES = ", ".join(f'"{name}"' for name in schema.metadata.tables)
_EMPTIED = f"""
    SET session_replication_role = replica;
    TRUNCATE {_TABLES} RESTART IDENTITY;
    INSERT INTO account VALUES ('system/mint', 0, 0, true), ('system/house', 0, 0, false);
"""


class Schemas:
    """Gives one at a time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._url = ""
        self._shape = ""

    def take(self) -> str:
        """Return the URL of a schema that is up to date and empty."""
        if not self._url:
            self._url = self._server.schema()
            with tempfile.TemporaryDirectory() as folder:
                Store.open(self._url, Path(folder)).close()
            self._shape = self._say(_SHAPE)
            self._say(_EMPTIED)
        return self._url

    def give_back(self) -> None:
        """Empty it for the next one; throw it away if it was changed."""
        if self._say(_SHAPE) == self._shape:
            self._say(_EMPTIED)
        else:
            self._server.drop(self._url)
            self._url = ""

    def _say(self, said: str) -> str:
        with self._server.connect("postgres") as conn:
            name = self._url.rpartition("%3D")[2]
            conn.execute(f"SET search_path = {name}")
            cursor = conn.execute(said, prepare=False)
            return str(cursor.fetchone()) if cursor.description else ""
