"""Who is concerned: subjects, their keys and sealed values, contacts, consents, silences, releases."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
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

counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),  # the last one given out; never given out again
)

subjects = Table(
    "subjects",
    metadata,
    Column("number", ROW_ID, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),  # client | contract | staff | agent ...
    Column("client", BigInteger, nullable=False, index=True),  # a client names itself
    Column("data_key", LargeBinary),  # wrapped; clients only; NULL once shredded
    Column("commitment_key", LargeBinary),  # wrapped; stable
    Column("kek", LargeBinary),
    Column("key_version", Integer, nullable=False, server_default="1"),
    Column("created_at", BigInteger, nullable=False),
    Column("shredded_at", BigInteger),
)

subject_index = Table(
    "subject_index",
    metadata,
    Column("kind", Text, nullable=False),
    Column("blind", LargeBinary, nullable=False),
    Column("number", BigInteger, nullable=False, index=True),
    PrimaryKeyConstraint("kind", "blind"),
)

aliases = Table(
    "aliases",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("sum", LargeBinary, nullable=False),  # HMAC of the list of pairs; the list itself stands nowhere
    Column("pairs", Integer, nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("proposed_at", BigInteger, nullable=False),
    Column("confirmed_by", Text),
    Column("confirmed_at", BigInteger),
    Column("record", Text, nullable=False),
)

restrictions = Table(
    "restrictions",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("client", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),  # restricted | legal hold
    Column("since", BigInteger, nullable=False),
    Column("until", Text),  # of a restriction: the day from which it may be shredded
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("ended_at", BigInteger),
    Column("ended_by", Text),
    Index(
        "ix_restrictions_open",
        "client",
        "kind",
        unique=True,
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
)

month_keys = Table(
    "month_keys",
    metadata,
    Column("id", LargeBinary, primary_key=True),  # 16 bytes, the key id in the envelope
    Column("purpose", Text, nullable=False),  # sheets | intake
    Column("month", Text, nullable=False),
    Column("wrapped", LargeBinary),  # NULL once destroyed
    Column("kek", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("purpose", "month"),
)

sealed = Table(
    "sealed",
    metadata,
    Column("id", Text, primary_key=True),
    Column("client", BigInteger, index=True),  # NULL: under the intake key of its month
    Column("purpose", Text, nullable=False),  # inputs | body | address | receipt | reject | ask ...
    Column("key_version", Integer, nullable=False),
    Column("bytes", LargeBinary, nullable=False),
)

contacts = Table(
    "contacts",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("client", BigInteger, nullable=False),
    Column("role", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("address", LargeBinary, nullable=False),  # blind index of the normalised address
    Column("sealed", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger),
    Column("record", Text, nullable=False),
    Index(
        "ix_contacts_current",
        "client",
        "role",
        "channel",
        unique=True,
        sqlite_where=text("until IS NULL"),
        postgresql_where=text("until IS NULL"),
    ),
)

consents = Table(
    "consents",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("client", BigInteger, nullable=False),
    Column("category", Text, nullable=False),
    Column("channel", Text, nullable=False),  # '*' for all
    Column("state", Text, nullable=False),  # in | out
    Column("origin", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger),
    Column("record", Text, nullable=False),
    Index(
        "ix_consents_current",
        "client",
        "category",
        "channel",
        unique=True,
        sqlite_where=text("until IS NULL"),
        postgresql_where=text("until IS NULL"),
    ),
)

silences = Table(
    "silences",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("rule", Text, nullable=False),  # a rule's name or '*'
    Column("subject", BigInteger),  # NULL: everyone
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("record", Text, nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("scope", Text, nullable=False),  # client | correction
    Column("rule", Text, nullable=False),
    Column("subject", BigInteger, nullable=False),
    Column("occurrence", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("record", Text, nullable=False),
    Index("ix_releases_subject", "rule", "subject"),
)
