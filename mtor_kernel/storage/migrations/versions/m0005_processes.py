"""What is known of the processes that have the store, and a wish to cancel that any may note."""

import sqlalchemy as sa
from alembic import op

revision = "m0005"
down_revision = "m0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("name", sa.String(255), nullable=False, server_default=""),
        sa.Column("written", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("beat_at", sa.Double),
        sa.Column("ended_at", sa.Double),
    ):
        op.add_column("epoch", column)
    op.add_column("query", sa.Column("stop_at", sa.Double))
