"""Rules for groups and roles, monthly grants, lasting settings, seals, finer sums of usage."""

import sqlalchemy as sa
from alembic import op

from mtor_kernel.storage.migrations.guards import append_only

revision = "m0003"
down_revision = "m0001"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("person", sa.Column("group_names", sa.Text, nullable=False, server_default="[]"))
    for unit in ("images", "audio_ms", "characters"):
        op.add_column("usage", sa.Column(unit, sa.BigInteger, nullable=False, server_default="0"))
    _rules()
    op.create_table(
        "monthly_grant",
        sa.Column("person", sa.String(255), nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("amount_micro", sa.BigInteger, nullable=False),
        sa.Column("granted_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("person", "month", name="monthly_grant_pk"),
        sa.ForeignKeyConstraint(["person"], ["person.name"], name="monthly_grant_person_fk"),
    )
    op.create_table(
        "setting",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="setting_pk"),
    )
    op.create_table(
        "seal",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("upto", NUMBER, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="seal_pk"),
    )
    append_only("seal")


def _rules() -> None:
    """Have rules for groups and roles beside those for persons."""
    op.create_table(
        "quota_rule",
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("kind", "subject", name="quota_rule_pk"),
    )
    op.execute(
        "INSERT INTO quota_rule (kind, subject, rules)"
        " SELECT 'person', subject, rules FROM quota_override"
    )
    op.drop_table("quota_override")
