"""Obligations and what leaves for them: episodes, notices, messages, attempts, asks."""

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
    false,
    text,
)

from daemon.store.tables.base import ROW_ID, metadata

episodes = Table(
    "episodes",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("rule", Text, nullable=False),
    Column("subject", BigInteger, nullable=False),
    Column("basis", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("opened_on", Text, nullable=False),  # business date
    Column("number", BigInteger, nullable=False),  # on that date, from 1
    Column("feed", Text, nullable=False),
    Column("seen_on", Text, nullable=False),  # newest business date of a complete poll with the subject
    Column("opened_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("ended_why", Text),
    Column("record", Text, nullable=False),
    UniqueConstraint("rule", "subject", "basis", "level", "opened_on", "number"),
    Index(
        "ix_episodes_open",
        "rule",
        "subject",
        "basis",
        "level",
        unique=True,
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
)

notices = Table(
    "notices",
    metadata,
    Column("id", Text, primary_key=True),  # HMAC under the client's commitment key: the obligation itself
    Column("rule", Text, nullable=False),
    Column("subject", BigInteger, nullable=False),
    Column("client", BigInteger, nullable=False, index=True),
    Column("occurrence", Text, nullable=False),  # canonical JSON of codes and dates, nothing personal
    Column("stage", Text, nullable=False),
    Column("episode", BigInteger, index=True),
    Column("correction_of", Text),  # the notice that told the old terms
    Column("correction", Integer, nullable=False, server_default="0"),
    Column("rule_set", Text, nullable=False),
    Column("run", BigInteger, nullable=False),
    Column("feed", Text, nullable=False),
    Column("business_date", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("window_end", BigInteger, nullable=False),
    Column("deadline", BigInteger, nullable=False),
    Column("late", Text, nullable=False),
    Column("last", Boolean, nullable=False),  # the last stage of its level: what follows its window is `late:`
    Column("marks", Text, nullable=False, server_default="[]"),
    Column("contacts", Text, nullable=False, server_default=""),  # roles, comma-separated; '' are the rule's
    Column("call", Text, nullable=False, server_default=""),  # the client status for which a call is wanted as well
    Column("stands", Text, nullable=False),  # model.states.Stands
    Column("stands_why", Text, nullable=False),
    Column("known_at", BigInteger, nullable=False),  # start of the reading it is known from
    Column("terms", Text, nullable=False),  # HMAC of the terms, hex
    Column("told_terms", Text),  # of the newest message that has told
    Column("inputs", Text, nullable=False),  # sealed
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("next_timer", BigInteger),
    Column("timer", Integer, nullable=False, server_default="0"),
    Column("held", Boolean, nullable=False, server_default=false()),  # a correction that waits for a release
    Column("told_at", BigInteger),
    Column("outcome", Text),
    Column("outcome_why", Text),
    Column("outcome_at", BigInteger),
    Column("served", Text),  # yes | no | unknown
    Column("record", Text, nullable=False),
    Index("ix_notices_subject", "rule", "subject"),
    Index("ix_notices_open", "outcome", "feed"),
    Index("ix_notices_timer", "next_timer"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Text, primary_key=True),  # HMAC under the client's commitment key
    Column("notice", Text, nullable=False, index=True),
    Column("client", BigInteger, nullable=False),
    Column("role", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("state", Text, nullable=False),  # model.states.MessageState
    Column("own", Text, nullable=False),  # our last own move
    Column("due", BigInteger, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("deadline", BigInteger, nullable=False),
    Column("feed", Text, nullable=False),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("boot", Text, nullable=False, server_default=""),
    Column("lease_until", BigInteger),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("gateway", Text),  # pinned by the first sending of a generation, as address and body are
    Column("address", LargeBinary),
    Column("address_sealed", Text),
    Column("body", Text),  # sealed exact bytes
    Column("terms", Text),  # terms it says
    Column("platform_id", Text, index=True),
    Column("ever_in_doubt", Boolean, nullable=False, server_default=false()),
    Column("handed_to_sms_at", BigInteger),
    Column("read_at", BigInteger),
    Column("acknowledged_at", BigInteger),
    Column("contradicted", Boolean, nullable=False, server_default=false()),
    Column("why", Text, nullable=False, server_default=""),
    Column("record", Text, nullable=False),
    UniqueConstraint("notice", "role", "channel", "generation"),
    Index("ix_messages_claim", "state", "due"),
    Index("ix_messages_order", "state", "priority", "deadline", "due", "id"),
)

sending_keys = Table(
    "sending_keys",
    metadata,
    Column("notice", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("address", LargeBinary, nullable=False),
    Column("message", Text, nullable=False),
    PrimaryKeyConstraint("notice", "channel", "address"),
)
"""The first `sending` takes the row: two contacts with one address get one message."""

attempts = Table(
    "attempts",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("message", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("verdict", Text),
    Column("code", Text),
    Column("record", Text, nullable=False),
    Column("settled", Text),  # record of the settle
    UniqueConstraint("message", "number"),
)

asks = Table(
    "asks",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("notice", Text, nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("reading_started", BigInteger, nullable=False),
    Column("bucket", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("record", Text, nullable=False),
)
