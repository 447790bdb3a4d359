"""The tables, as the code that reads and writes them sees them.

How they come to be, and change, is told by ``migrations/``; a test holds the two together. Times
are seconds since the epoch (UTC), amounts micro-credits, ids of queries and blobs hexadecimal.
What the ledger promises is refused by the database wherever a constraint can say it.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

#: The newest migration: a database that stands here needs none.
HEAD = "m0007"

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "fk": "%(table_name)s_%(column_0_name)s_fk",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s",
    }
)

#: SQLite counts by itself only in a column whose type is exactly INTEGER.
_Number = BigInteger().with_variant(Integer, "sqlite")

#: One row for each time that a realm opened the store: the process `name` has it until `ended_at`
#: and has written so many transactions. `beat_at`: its last sign of life, by the database's clock.
epoch = Table(
    "epoch",
    metadata,
    Column("number", _Number, primary_key=True),
    Column("opened_at", Double, nullable=False),
    Column("name", String(255), nullable=False, server_default=""),
    Column("written", BigInteger, nullable=False, server_default="0"),
    Column("beat_at", Double),
    Column("ended_at", Double),
)

person = Table(
    "person",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("role", String(20), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("banned_at", Double),
    Column("ban_reason", Text, nullable=False),
    #: As a list in JSON.
    Column("group_names", Text, nullable=False),
)

#: What a sysop has ruled while the realm ran, for a person, a group or a role.
quota_rule = Table(
    "quota_rule",
    metadata,
    Column("kind", String(10), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column("rules", Text, nullable=False),
)

#: Who has had their grant of which month (``2026-11``): one row each, so nobody has it twice.
monthly_grant = Table(
    "monthly_grant",
    metadata,
    Column("person", String(255), ForeignKey("person.name"), primary_key=True),
    Column("month", String(7), primary_key=True),
    Column("amount_micro", BigInteger, nullable=False),
    Column("granted_at", Double, nullable=False),
)

#: What a sysop has set and a restart does not change, as JSON.
setting = Table(
    "setting",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("value", Text, nullable=False),
)

#: `posted` and `held` are what the account's transfers add up to, kept beside them for speed.
account = Table(
    "account",
    metadata,
    Column("id", String(300), primary_key=True),
    Column("posted_micro", BigInteger, nullable=False),
    Column("held_micro", BigInteger, nullable=False),
    Column("unlimited", Boolean, nullable=False),
    CheckConstraint("held_micro >= 0", "held_is_not_negative"),
    CheckConstraint("unlimited OR posted_micro - held_micro >= 0", "has_a_floor"),
)

#: The ledger. A row moves `amount` from debit to credit and changes what is held of the debit's
#: account by `held`; a settle or void names the hold that it ends. Rows never change or go.
transfer = Table(
    "transfer",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("kind", String(10), nullable=False),
    Column("debit", String(300), ForeignKey("account.id"), nullable=False),
    Column("credit", String(300), ForeignKey("account.id"), nullable=False),
    Column("amount_micro", BigInteger, nullable=False),
    Column("held_micro", BigInteger, nullable=False),
    Column("pending_id", _Number, ForeignKey("transfer.id")),
    Column("query", String(32)),
    Column("reason", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("pending_id"),
    CheckConstraint("amount_micro >= 0", "amount_is_not_negative"),
    CheckConstraint("debit <> credit", "has_two_sides"),
    CheckConstraint(
        "(kind = 'grant' AND held_micro = 0 AND pending_id IS NULL)"
        " OR (kind = 'hold' AND amount_micro = 0 AND held_micro >= 0 AND pending_id IS NULL)"
        " OR (kind = 'settle' AND amount_micro + held_micro <= 0 AND pending_id IS NOT NULL)"
        " OR (kind = 'void' AND amount_micro = 0 AND held_micro <= 0 AND pending_id IS NOT NULL)",
        "is_of_a_kind",
    ),
)
Index("transfer_hold_key", transfer.c.query, unique=True, sqlite_where=text("kind = 'hold'"),
      postgresql_where=text("kind = 'hold'"))  # fmt: skip

query = Table(
    "query",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("person", String(255), ForeignKey("person.name"), nullable=False),
    Column("key", String(128), nullable=False),
    Column("body_hash", String(64), nullable=False),
    Column("asked", String(100), nullable=False),
    Column("model", String(100), nullable=False),
    Column("modality", String(20), nullable=False),
    Column("priority", String(20), nullable=False),
    Column("stage", String(20), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("epoch", _Number),
    Column("prompt", Text, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("hold_id", _Number, ForeignKey("transfer.id"), nullable=False),
    Column("hold_micro", BigInteger, nullable=False),
    Column("charge_micro", BigInteger),
    Column("usage", Text),
    Column("error", Text),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("started_at", Double),
    Column("ended_at", Double),
    #: When somebody who does not own its lane asked for it to be cancelled.
    Column("stop_at", Double),
    #: How many rows of a table it asks about; 0: it is one question.
    Column("rows", Integer, nullable=False, server_default="0"),
    UniqueConstraint("person", "key"),
    CheckConstraint(
        "(stage IN ('queued', 'running') AND ended_at IS NULL)"
        " OR (stage IN ('settled', 'failed', 'cancelled') AND ended_at IS NOT NULL)",
        "stage_is_known",
    ),
    CheckConstraint(
        "charge_micro IS NULL OR charge_micro BETWEEN 0 AND hold_micro", "charge_is_held"
    ),
)
Index("query_person_created_at", query.c.person, query.c.created_at)
#: The unfinished ones only: however long the history grows, this stays small.
Index("query_open", query.c.person, query.c.stage, sqlite_where=text("ended_at IS NULL"),
      postgresql_where=text("ended_at IS NULL"))  # fmt: skip

#: Apart from `query`, so that a change of stage does not write a long prompt anew.
question = Table(
    "question",
    metadata,
    Column("query", String(32), ForeignKey("query.id"), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

answer = Table(
    "answer",
    metadata,
    Column("query", String(32), ForeignKey("query.id"), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

#: The rows of tables that are asked about, or have their answers, each by its client's own name.
table_row = Table(
    "table_row",
    metadata,
    Column("person", String(255), ForeignKey("person.name"), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("query", String(32), ForeignKey("query.id"), nullable=False),
    #: Its position there.
    Column("row", Integer, nullable=False),
    sqlite_with_rowid=False,
)

#: What a person spent on a model on a day (UTC): sums for quotas and for show.
usage = Table(
    "usage",
    metadata,
    Column("person", String(255), ForeignKey("person.name"), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("model", String(100), primary_key=True),
    Column("queries", BigInteger, nullable=False),
    Column("charge_micro", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("images", BigInteger, nullable=False),
    Column("audio_ms", BigInteger, nullable=False),
    Column("characters", BigInteger, nullable=False),
)

#: Who keeps which blob. The bytes lie in a file named by the id, once for all who keep it.
blob = Table(
    "blob",
    metadata,
    Column("person", String(255), ForeignKey("person.name"), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("mime", String(100), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
)
Index("blob_id", blob.c.id)

#: The blobs that a query's question or answer names: they stay as long as it does.
query_blob = Table(
    "query_blob",
    metadata,
    Column("query", String(32), ForeignKey("query.id"), primary_key=True),
    Column("blob", String(64), primary_key=True),
)
Index("query_blob_blob", query_blob.c.blob)

#: Everything a sysop did. Each row's hash covers the row and the hash before it.
audit = Table(
    "audit",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("at", Double, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("action", String(100), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("reason", Text, nullable=False),
    Column("details", Text, nullable=False),
    Column("hash", String(64), nullable=False),
)

#: Seals under the ledger. Each hash covers the transfers since the seal before, up to and with
#: `upto`, and that seal's hash.
seal = Table(
    "seal",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("upto", _Number, nullable=False),
    Column("at", Double, nullable=False),
    Column("hash", String(64), nullable=False),
)

#: A person's answered queries that belong together, and what they call them.
conversation = Table(
    "conversation",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("person", String(255), ForeignKey("person.name"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("started_at", Double, nullable=False),
    Column("last_at", Double, nullable=False),
)
Index("conversation_person", conversation.c.person, conversation.c.last_at)

conversation_turn = Table(
    "conversation_turn",
    metadata,
    Column("query", String(32), ForeignKey("query.id"), primary_key=True),
    Column("conversation", String(32), ForeignKey("conversation.id"), nullable=False),
)
Index("conversation_turn_conversation", conversation_turn.c.conversation)
