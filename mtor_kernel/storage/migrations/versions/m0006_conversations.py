"""Conversations: which answered queries belong together, under a person's own name for them."""

import sqlalchemy as sa
from alembic import op

revision = "m0006"
down_revision = "m0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "conversation",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("person", sa.String(255), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("last_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="conversation_pk"),
        sa.ForeignKeyConstraint(["person"], ["person.name"], name="conversation_person_fk"),
    )
    op.create_index("conversation_person", "conversation", ["person", "last_at"])
    op.create_table(
        "conversation_turn",
        sa.Column("query", sa.String(32), nullable=False),
        sa.Column("conversation", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("query", name="conversation_turn_pk"),
        sa.ForeignKeyConstraint(["query"], ["query.id"], name="conversation_turn_query_fk"),
        sa.ForeignKeyConstraint(
            ["conversation"], ["conversation.id"], name="conversation_turn_conversation_fk"
        ),
    )
    op.create_index("conversation_turn_conversation", "conversation_turn", ["conversation"])
