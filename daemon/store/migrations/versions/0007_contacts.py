"""Whom a notice goes to by the client's status, and whether a call is wanted as well."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("contacts", "call"):
        op.add_column("notices", sa.Column(name, sa.Text(), server_default="", nullable=False))
