"""Rows of tables, which one query asks about together and nobody asks twice."""

import sqlalchemy as sa
from alembic import op

revision = "m0007"
down_revision = "m0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("query", sa.Column("rows", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "table_row",
        sa.Column("person", sa.String(255), nullable=False),
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("query", sa.String(32), nullable=False),
        sa.Column("row", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("person", "key", name="table_row_pk"),
        sa.ForeignKeyConstraint(["person"], ["person.name"], name="table_row_person_fk"),
        sa.ForeignKeyConstraint(["query"], ["query.id"], name="table_row_query_fk"),
        sqlite_with_rowid=False,
    )
