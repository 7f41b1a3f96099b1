"""Rule sets and what people decided about them: who may sign, what was signed, what is active, what was stopped."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text, UniqueConstraint, text

from daemon.store.tables.base import ROW_ID, metadata

rule_sets = Table(
    "rule_sets",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("bytes", LargeBinary, nullable=False),  # canonical JSON path -> base64, deflated
    Column("loaded_at", BigInteger, nullable=False),
)

activations = Table(
    "activations",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("digest", Text, nullable=False),
    Column("mode", Text, nullable=False),  # signed | unsigned | emergency
    Column("version", Integer, nullable=False, server_default="0"),  # that the signers gave it; 0: unsigned
    Column("until", BigInteger),  # end of an emergency start
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("record", Text, nullable=False),
)

signer_lists = Table(
    "signer_lists",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("sha256", Text, nullable=False),
    Column("bytes", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("record", Text, nullable=False),
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("digest", Text, nullable=False),  # of the rule set
    Column("sha256", Text, nullable=False),  # of the statement
    Column("key", Text, nullable=False),  # fingerprint
    Column("principal", Text, nullable=False),
    Column("role", Text, nullable=False),  # author | approver
    Column("statement", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("record", Text, nullable=False),
    UniqueConstraint("sha256", "key"),
)

stops = Table(
    "stops",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("rule", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("paused_until", BigInteger),  # an emergency start lets the rule run until then
    Column("ended_at", BigInteger),
    Column("ended_by", Text),
    Index(
        "ix_stops_open",
        "rule",
        unique=True,
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
)
