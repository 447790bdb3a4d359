"""The first schema: people, accounts, transfers, queries, answers, usage, blobs and audit."""

import sqlalchemy as sa
from alembic import op

from mtor_kernel.storage.migrations.guards import append_only

revision = "m0001"
down_revision = None
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _people()
    _ledger()
    _queries()
    _contents()
    _blobs()
    _audit()
    for table in ("transfer", "audit"):
        append_only(table)


def _people() -> None:
    op.create_table(
        "epoch",
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("opened_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("number", name="epoch_pk"),
    )
    op.create_table(
        "person",
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("banned_at", sa.Double),
        sa.Column("ban_reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="person_pk"),
    )
    op.create_table(
        "quota_override",
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("subject", name="quota_override_pk"),
    )


def _ledger() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.String(300), nullable=False),
        sa.Column("posted_micro", sa.BigInteger, nullable=False),
        sa.Column("held_micro", sa.BigInteger, nullable=False),
        sa.Column("unlimited", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="account_pk"),
        sa.CheckConstraint("held_micro >= 0", name=op.f("account_held_is_not_negative")),
        sa.CheckConstraint(
            "unlimited OR posted_micro - held_micro >= 0", name=op.f("account_has_a_floor")
        ),
    )
    op.create_table(
        "transfer",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("debit", sa.String(300), nullable=False),
        sa.Column("credit", sa.String(300), nullable=False),
        sa.Column("amount_micro", sa.BigInteger, nullable=False),
        sa.Column("held_micro", sa.BigInteger, nullable=False),
        sa.Column("pending_id", NUMBER),
        sa.Column("query", sa.String(32)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="transfer_pk"),
        sa.ForeignKeyConstraint(["debit"], ["account.id"], name="transfer_debit_fk"),
        sa.ForeignKeyConstraint(["credit"], ["account.id"], name="transfer_credit_fk"),
        sa.ForeignKeyConstraint(["pending_id"], ["transfer.id"], name="transfer_pending_id_fk"),
        sa.UniqueConstraint("pending_id", name="transfer_pending_id_key"),
        sa.CheckConstraint("amount_micro >= 0", name=op.f("transfer_amount_is_not_negative")),
        sa.CheckConstraint("debit <> credit", name=op.f("transfer_has_two_sides")),
        sa.CheckConstraint(
            "(kind = 'grant' AND held_micro = 0 AND pending_id IS NULL)"
            " OR (kind = 'hold' AND amount_micro = 0 AND held_micro >= 0 AND pending_id IS NULL)"
            " OR (kind = 'settle' AND amount_micro + held_micro <= 0 AND pending_id IS NOT NULL)"
            " OR (kind = 'void' AND amount_micro = 0 AND held_micro <= 0"
            " AND pending_id IS NOT NULL)",
            name=op.f("transfer_is_of_a_kind"),
        ),
    )
    _partial("transfer_hold_key", "transfer", ["query"], "kind = 'hold'", unique=True)
    accounts = sa.table("account", sa.column("id"), sa.column("posted_micro"),
                        sa.column("held_micro"), sa.column("unlimited"))  # fmt: skip
    nothing = {"posted_micro": 0, "held_micro": 0}
    op.bulk_insert(accounts, [
        {"id": "system/mint", "unlimited": True, **nothing},
        {"id": "system/house", "unlimited": False, **nothing},
    ])  # fmt: skip


def _queries() -> None:
    op.create_table(
        "query",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("person", sa.String(255), nullable=False),
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("body_hash", sa.String(64), nullable=False),
        sa.Column("asked", sa.String(100), nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("modality", sa.String(20), nullable=False),
        sa.Column("priority", sa.String(20), nullable=False),
        sa.Column("stage", sa.String(20), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("epoch", NUMBER),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("hold_id", NUMBER, nullable=False),
        sa.Column("hold_micro", sa.BigInteger, nullable=False),
        sa.Column("charge_micro", sa.BigInteger),
        sa.Column("usage", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="query_pk"),
        sa.ForeignKeyConstraint(["person"], ["person.name"], name="query_person_fk"),
        sa.ForeignKeyConstraint(["hold_id"], ["transfer.id"], name="query_hold_id_fk"),
        sa.UniqueConstraint("person", "key", name="query_person_key_key"),
        sa.CheckConstraint(
            "(stage IN ('queued', 'running') AND ended_at IS NULL)"
            " OR (stage IN ('settled', 'failed', 'cancelled') AND ended_at IS NOT NULL)",
            name=op.f("query_stage_is_known"),
        ),
        sa.CheckConstraint(
            "charge_micro IS NULL OR charge_micro BETWEEN 0 AND hold_micro",
            name=op.f("query_charge_is_held"),
        ),
    )
    op.create_index("query_person_created_at", "query", ["person", "created_at"])
    _partial("query_open", "query", ["person", "stage"], "ended_at IS NULL")


def _contents() -> None:
    for table in ("question", "answer"):
        op.create_table(
            table,
            sa.Column("query", sa.String(32), nullable=False),
            sa.Column("body", sa.LargeBinary, nullable=False),
            sa.PrimaryKeyConstraint("query", name=f"{table}_pk"),
            sa.ForeignKeyConstraint(["query"], ["query.id"], name=f"{table}_query_fk"),
        )
    op.create_table(
        "usage",
        sa.Column("person", sa.String(255), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("queries", sa.BigInteger, nullable=False),
        sa.Column("charge_micro", sa.BigInteger, nullable=False),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("person", "day", "model", name="usage_pk"),
        sa.ForeignKeyConstraint(["person"], ["person.name"], name="usage_person_fk"),
    )


def _blobs() -> None:
    op.create_table(
        "blob",
        sa.Column("person", sa.String(255), nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("mime", sa.String(100), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("person", "id", name="blob_pk"),
        sa.ForeignKeyConstraint(["person"], ["person.name"], name="blob_person_fk"),
    )
    op.create_index("blob_id", "blob", ["id"])
    op.create_table(
        "query_blob",
        sa.Column("query", sa.String(32), nullable=False),
        sa.Column("blob", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("query", "blob", name="query_blob_pk"),
        sa.ForeignKeyConstraint(["query"], ["query.id"], name="query_blob_query_fk"),
    )
    op.create_index("query_blob_blob", "query_blob", ["blob"])


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("action", sa.String(100), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="audit_pk"),
    )


def _partial(
    name: str, table: str, columns: list[str], where: str, *, unique: bool = False
) -> None:
    only = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=only, postgresql_where=only)
