"""How long a sheet is kept, and that it was erased when its time was over."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sheets", sa.Column("keep_days", sa.Integer(), server_default="400", nullable=False))
    op.add_column("sheets", sa.Column("erased_at", sa.BigInteger(), nullable=True))
    op.add_column("sheets", sa.Column("erased", sa.Text(), nullable=True))


def downgrade() -> None:
    for name in ("erased", "erased_at", "keep_days"):
        op.drop_column("sheets", name)
