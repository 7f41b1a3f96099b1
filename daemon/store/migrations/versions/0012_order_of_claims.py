"""Messages in the order in which they are claimed: a claim among a million reads as many rows as it takes."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_messages_order", "messages", ["state", "priority", "deadline", "due", "id"], unique=False)
