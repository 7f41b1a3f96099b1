"""Whose a rejected row is, where it says so."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rejects", sa.Column("subject", sa.BigInteger()))


def downgrade() -> None:
    op.drop_column("rejects", "subject")
