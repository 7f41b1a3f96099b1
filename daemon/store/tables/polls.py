"""The ledger of polls: rows, leases, runs, counts, sheets, rejects, holds."""

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

polls = Table(
    "polls",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("feed", Text, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("business_date", Text, nullable=False),
    Column("state", Text, nullable=False),  # model.states.PollState
    Column("run", Integer, nullable=False, server_default="0"),  # number of the newest run
    Column("reason", Text, nullable=False, server_default=""),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("record", Text, nullable=False),
    UniqueConstraint("feed", "due"),
    Index("ix_polls_state", "state", "due"),
)

feeds = Table(
    "feeds",
    metadata,
    Column("feed", Text, primary_key=True),
    Column("fence", BigInteger, nullable=False),
    Column("boot", Text, nullable=False),
    Column("holder", Text, nullable=False),  # '' when free
    Column("lease_until", BigInteger, nullable=False),  # elapsed microseconds of this host's boot
    Column("through", BigInteger, nullable=False),  # due time of the newest poll that ran
    Column("known_through", BigInteger, nullable=False),  # start of the newest reading taken over
    Column("updating", BigInteger),  # the run whose notices are being brought up to date; its claims wait
)

runs = Table(
    "runs",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("poll", BigInteger, nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("rule_set", Text, nullable=False),
    Column("step", Text, nullable=False),  # reading | sheet | updating | making | done | broken
    Column("reading_started", BigInteger, nullable=False),
    Column("rows", Integer),
    Column("rejects", Integer),
    Column("facts", Integer),
    Column("rows_in_facts", Integer),
    Column("other", Integer),  # rows of other business, by the part's `where`
    Column("source_count", Integer),
    Column("record", Text),
    UniqueConstraint("poll", "number"),
)

poll_counts = Table(
    "poll_counts",
    metadata,
    Column("run", BigInteger, nullable=False),
    Column("rule", Text, nullable=False),
    Column("bucket", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("facts", Integer, nullable=False),
    PrimaryKeyConstraint("run", "rule", "bucket", "reason"),
)

sheets = Table(
    "sheets",
    metadata,
    Column("run", BigInteger, nullable=False),
    Column("rule", Text, nullable=False),
    Column("path", Text, nullable=False),  # below the state folder
    Column("sha256", Text, nullable=False),  # of the plain bytes
    Column("lines", Integer, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("keep_days", Integer, nullable=False, server_default="400"),  # the rule's `keep:` when it was written
    Column("erased_at", BigInteger),  # when its time was over; its file is gone
    Column("erased", Text),  # the record that names it
    PrimaryKeyConstraint("run", "rule"),
)

rejects = Table(
    "rejects",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("run", BigInteger, nullable=False, index=True),
    Column("part", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("column", Text, nullable=False),
    Column("expected", Text, nullable=False),
    Column("sealed", Text, nullable=False),  # what was found, under the intake key
    Column("subject", BigInteger),  # whose it is, where what could be read of the row says so
)

holds = Table(
    "holds",
    metadata,
    Column("id", ROW_ID, primary_key=True, autoincrement=True),
    Column("feed", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("counts", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("ended_by", Text),
    Column("allowed", Text),  # the counts a release allows, JSON
    Column("gone", Boolean, nullable=False, server_default=false()),  # a release of what is gone
    Column("record", Text, nullable=False),
    Index(
        "ix_holds_open",
        "feed",
        "rule",
        unique=True,
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
)
