"""What a daemon last said of itself"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "heartbeats",
        sa.Column("task_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("block_at", sa.Float(precision=53), nullable=False),
        sa.Column("looked_at", sa.Float(precision=53), nullable=False),
        sa.Column("doing", sa.Text(), nullable=False),
        sa.Column("since", sa.Float(precision=53), nullable=False),
        sa.Column("deadline", sa.BigInteger(), nullable=True),
        sa.Column("earned_wei", sa.String(length=80), nullable=False),
        sa.Column("has_ended", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("task_id"),
    )


def downgrade() -> None:
    op.drop_table("heartbeats")
