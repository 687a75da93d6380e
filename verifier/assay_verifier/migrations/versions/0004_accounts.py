"""How far the node lags, what the operator has at stake"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("heartbeats", sa.Column("lag_s", sa.Float(precision=53), nullable=False, server_default="0"))
    op.add_column("heartbeats", sa.Column("account", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("heartbeats", "account")
    op.drop_column("heartbeats", "lag_s")
