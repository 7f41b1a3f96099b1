"""What comes in and what people do: receipts, uplinks, tasks, pages; and what gateways share: tokens, nonces."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from daemon.store.tables.base import ROW_ID, metadata

receipts = Table(
    "receipts",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("gateway", Text, nullable=False),
    Column("platform_id", Text, nullable=False),
    Column("address", LargeBinary, nullable=False),
    Column("kind", Text, nullable=False),
    Column("code", Text, nullable=False, server_default=""),
    Column("at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("message", Text, index=True),  # NULL while parked
    Column("sealed", Text, nullable=False),  # raw bytes
    Column("record", Text, nullable=False),
    UniqueConstraint("gateway", "platform_id", "address", "kind"),
)

uplinks = Table(
    "uplinks",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("gateway", Text, nullable=False),
    Column("platform_id", Text, nullable=False),
    Column("address", LargeBinary, nullable=False),
    Column("kind", Text, nullable=False),  # opt_out | acknowledged | other
    Column("message", Text),
    Column("received_at", BigInteger, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("record", Text, nullable=False),
    UniqueConstraint("gateway", "platform_id"),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False),  # what it is about, once while open
    Column("reason", Text, nullable=False),
    Column("rule", Text, nullable=False, server_default=""),
    Column("feed", Text, nullable=False, server_default=""),
    Column("notice", Text),
    Column("subject", BigInteger),
    Column("detail", Text, nullable=False, server_default=""),
    Column("deadline", BigInteger),
    Column("opened_at", BigInteger, nullable=False),
    Column("taken_by", Text),
    Column("closed_at", BigInteger),
    Column("closed_by", Text),
    Column("result", Text),
    Column("record", Text, nullable=False),
    Index(
        "ix_tasks_open",
        "key",
        unique=True,
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
)

pages = Table(
    "pages",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("acknowledged_at", BigInteger),
    Column("acknowledged_by", Text),
)

page_calls = Table(
    "page_calls",
    metadata,
    Column("page", BigInteger, nullable=False),
    Column("step", Integer, nullable=False),
    Column("way", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("told", Boolean, nullable=False),
    Column("code", Text, nullable=False),
    PrimaryKeyConstraint("page", "step", "way"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("gateway", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("generation", Integer, nullable=False),
)

nonces = Table(
    "nonces",
    metadata,
    Column("gateway", Text, nullable=False),
    Column("nonce", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),  # of the callback it was used for: its repeat is harmless
    Column("until", BigInteger, nullable=False),
    PrimaryKeyConstraint("gateway", "nonce"),
)
