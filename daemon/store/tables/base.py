"""The metadata all tables belong to, and the two that concern the store itself: `meta` and the trail's `records`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ROW_ID = BigInteger().with_variant(Integer(), "sqlite")
"""The type of a numbered row: 64 bits on both databases (SQLite numbers rows only where the type says INTEGER)."""

meta = Table("meta", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))
"""Facts about this store: boot, log origin, `key_check:<id>`, `subjects_epoch`, the demo's `now` and ports."""

records = Table(
    "records",
    metadata,
    Column("row", ROW_ID, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("client", BigInteger, index=True),
    Column("leaf", LargeBinary, nullable=False),
    Column("position", BigInteger, unique=True),  # its index in the log, given by the publisher
    Index("ix_records_kind", "kind"),
)
"""The audit trail. A cause's row is always lower than its effect's: it was committed, or appended, before."""
