"""Every table, its keys and its states. README.md in this folder lists them for a reader.

Times are UTC microseconds (BigInteger), dates ISO text, small structures canonical JSON text. Personal values never
stand here in clear: they lie in `sealed` under a client's key, and a client is a number found through a blind index.
`record` columns name the audit record committed in the same transaction; they are NOT NULL wherever a state changes.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

meta = Table("meta", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))
"""Facts about this store: schema, node, log origin, key check values, the demo's `now` and ports."""

# --- rule sets -----------------------------------------------------------------------------------------------------
rule_sets = Table(
    "rule_sets",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("bytes", LargeBinary, nullable=False),  # canonical JSON path -> base64, deflated
    Column("signed", Boolean, nullable=False),
    Column("loaded_at", BigInteger, nullable=False),
)
activations = Table(
    "activations",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("digest", Text, nullable=False),
    Column("mode", Text, nullable=False),  # signed | unsigned
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("record", Text, nullable=False),
)

# --- who -----------------------------------------------------------------------------------------------------------
subjects = Table(
    "subjects",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),  # client | contract | staff | agent ...
    Column("client", Integer, nullable=False, index=True),  # a client names itself
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
    Column("number", Integer, nullable=False, index=True),
    PrimaryKeyConstraint("kind", "blind"),
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
    Column("client", Integer, index=True),  # NULL: under the intake key of its month
    Column("purpose", Text, nullable=False),  # inputs | body | address | receipt | reject | ask ...
    Column("key_version", Integer, nullable=False),
    Column("bytes", LargeBinary, nullable=False),
)
contacts = Table(
    "contacts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("client", Integer, nullable=False),
    Column("role", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("address", LargeBinary, nullable=False),  # blind index of the normalised address
    Column("sealed", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger),
    Column("record", Text, nullable=False),
    Index("ix_contacts_current", "client", "role", "channel", unique=True, sqlite_where=text("until IS NULL"),
          postgresql_where=text("until IS NULL")),
)
consents = Table(
    "consents",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("client", Integer, nullable=False),
    Column("category", Text, nullable=False),
    Column("channel", Text, nullable=False),  # '*' for all
    Column("state", Text, nullable=False),  # in | out
    Column("origin", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger),
    Column("record", Text, nullable=False),
    Index("ix_consents_current", "client", "category", "channel", unique=True, sqlite_where=text("until IS NULL"),
          postgresql_where=text("until IS NULL")),
)
silences = Table(
    "silences",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("rule", Text, nullable=False),  # a rule's name or '*'
    Column("subject", Integer),  # NULL: everyone
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("record", Text, nullable=False),
)
releases = Table(
    "releases",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("scope", Text, nullable=False),  # client | correction
    Column("rule", Text, nullable=False),
    Column("subject", Integer, nullable=False),
    Column("occurrence", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("record", Text, nullable=False),
    Index("ix_releases_subject", "rule", "subject"),
)

# --- polls ---------------------------------------------------------------------------------------------------------
polls = Table(
    "polls",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("feed", Text, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("business_date", Text, nullable=False),
    Column("state", Text, nullable=False),  # model.states.PollState
    Column("run", Integer, nullable=False, server_default="0"),  # number of the newest run
    Column("reason", Text, nullable=False, server_default=""),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    UniqueConstraint("feed", "due"),
    Index("ix_polls_state", "state", "due"),
)
feeds = Table(
    "feeds",
    metadata,
    Column("feed", Text, primary_key=True),
    Column("fence", Integer, nullable=False),
    Column("boot", Text, nullable=False),
    Column("holder", Text, nullable=False),  # '' when free
    Column("lease_until", BigInteger, nullable=False),  # elapsed microseconds of this host's boot
    Column("through", BigInteger, nullable=False),  # due time of the newest poll that ran
    Column("known_through", BigInteger, nullable=False),  # start of the newest reading taken over
    Column("updating", Integer),  # the run whose notices are being brought up to date; its claims wait
)
runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("poll", Integer, nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("rule_set", Text, nullable=False),
    Column("step", Text, nullable=False),  # reading | sheet | updating | making | done | broken
    Column("reading_started", BigInteger, nullable=False),
    Column("rows", Integer),
    Column("rejects", Integer),
    Column("facts", Integer),
    Column("rows_in_facts", Integer),
    Column("source_count", Integer),
    Column("record", Text),
    UniqueConstraint("poll", "number"),
)
poll_counts = Table(
    "poll_counts",
    metadata,
    Column("run", Integer, nullable=False),
    Column("rule", Text, nullable=False),
    Column("bucket", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("facts", Integer, nullable=False),
    PrimaryKeyConstraint("run", "rule", "bucket", "reason"),
)
sheets = Table(
    "sheets",
    metadata,
    Column("run", Integer, nullable=False),
    Column("rule", Text, nullable=False),
    Column("path", Text, nullable=False),  # below the state folder
    Column("sha256", Text, nullable=False),  # of the plain bytes
    Column("lines", Integer, nullable=False),
    Column("key", LargeBinary, nullable=False),
    PrimaryKeyConstraint("run", "rule"),
)
rejects = Table(
    "rejects",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("run", Integer, nullable=False, index=True),
    Column("part", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("column", Text, nullable=False),
    Column("expected", Text, nullable=False),
    Column("sealed", Text, nullable=False),  # what was found, under the intake key
)
holds = Table(
    "holds",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("feed", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("counts", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("ended_by", Text),
    Column("allowed", Text),  # the counts a release allows, JSON
    Column("gone", Boolean, nullable=False, server_default=text("0")),  # a release of what is gone
    Column("record", Text, nullable=False),
    Index("ix_holds_open", "feed", "rule", unique=True, sqlite_where=text("ended_at IS NULL"),
          postgresql_where=text("ended_at IS NULL")),
)

# --- obligations ---------------------------------------------------------------------------------------------------
episodes = Table(
    "episodes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("rule", Text, nullable=False),
    Column("subject", Integer, nullable=False),
    Column("basis", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("opened_on", Text, nullable=False),  # business date
    Column("number", Integer, nullable=False),  # on that date, from 1
    Column("feed", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("ended_why", Text),
    Column("record", Text, nullable=False),
    UniqueConstraint("rule", "subject", "basis", "level", "opened_on", "number"),
    Index("ix_episodes_open", "rule", "subject", "basis", "level", unique=True, sqlite_where=text("ended_at IS NULL"),
          postgresql_where=text("ended_at IS NULL")),
)
notices = Table(
    "notices",
    metadata,
    Column("id", Text, primary_key=True),  # HMAC under the client's commitment key: the obligation itself
    Column("rule", Text, nullable=False),
    Column("subject", Integer, nullable=False),
    Column("client", Integer, nullable=False, index=True),
    Column("occurrence", Text, nullable=False),  # canonical JSON of codes and dates, nothing personal
    Column("stage", Text, nullable=False),
    Column("episode", Integer, index=True),
    Column("correction_of", Text),  # the notice that told the old terms
    Column("correction", Integer, nullable=False, server_default="0"),
    Column("rule_set", Text, nullable=False),
    Column("run", Integer, nullable=False),
    Column("feed", Text, nullable=False),
    Column("business_date", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("window_end", BigInteger, nullable=False),
    Column("deadline", BigInteger, nullable=False),
    Column("late", Text, nullable=False),
    Column("marks", Text, nullable=False, server_default="[]"),
    Column("stands", Text, nullable=False),  # model.states.Stands
    Column("stands_why", Text, nullable=False),
    Column("known_at", BigInteger, nullable=False),  # start of the reading it is known from
    Column("terms", Text, nullable=False),  # HMAC of the terms, hex
    Column("told_terms", Text),  # of the newest message that has told
    Column("inputs", Text, nullable=False),  # sealed
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("next_timer", BigInteger),
    Column("timer", Integer, nullable=False, server_default="0"),
    Column("held", Boolean, nullable=False, server_default=text("0")),  # a correction that waits for a release
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
    Column("client", Integer, nullable=False),
    Column("role", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("state", Text, nullable=False),  # model.states.MessageState
    Column("own", Text, nullable=False),  # our last own move
    Column("due", BigInteger, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("deadline", BigInteger, nullable=False),
    Column("feed", Text, nullable=False),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("boot", Text, nullable=False, server_default=""),
    Column("lease_until", BigInteger),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("gateway", Text),  # pinned by the first sending of a generation, as address and body are
    Column("address", LargeBinary),
    Column("address_sealed", Text),
    Column("body", Text),  # sealed exact bytes
    Column("terms", Text),  # terms it says
    Column("platform_id", Text, index=True),
    Column("ever_in_doubt", Boolean, nullable=False, server_default=text("0")),
    Column("handed_to_sms_at", BigInteger),
    Column("read_at", BigInteger),
    Column("acknowledged_at", BigInteger),
    Column("contradicted", Boolean, nullable=False, server_default=text("0")),
    Column("why", Text, nullable=False, server_default=""),
    Column("record", Text, nullable=False),
    UniqueConstraint("notice", "role", "channel", "generation"),
    Index("ix_messages_claim", "state", "due"),
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
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("message", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("verdict", Text),
    Column("code", Text),
    Column("record", Text, nullable=False),
    Column("settled", Text),  # record of the settle
    UniqueConstraint("message", "number"),
)
receipts = Table(
    "receipts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
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
    Column("id", Integer, primary_key=True, autoincrement=True),
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
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False),  # what it is about, once while open
    Column("reason", Text, nullable=False),
    Column("rule", Text, nullable=False, server_default=""),
    Column("feed", Text, nullable=False, server_default=""),
    Column("notice", Text),
    Column("subject", Integer),
    Column("detail", Text, nullable=False, server_default=""),
    Column("deadline", BigInteger),
    Column("opened_at", BigInteger, nullable=False),
    Column("taken_by", Text),
    Column("closed_at", BigInteger),
    Column("closed_by", Text),
    Column("result", Text),
    Column("record", Text, nullable=False),
    Index("ix_tasks_open", "key", unique=True, sqlite_where=text("closed_at IS NULL"),
          postgresql_where=text("closed_at IS NULL")),
)
asks = Table(
    "asks",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("notice", Text, nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("reading_started", BigInteger, nullable=False),
    Column("bucket", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("record", Text, nullable=False),
)
pages = Table(
    "pages",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("acknowledged_at", BigInteger),
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
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("gateway", "nonce"),
)

# --- the audit trail -----------------------------------------------------------------------------------------------
records = Table(
    "records",
    metadata,
    Column("row", Integer, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("client", Integer, index=True),
    Column("leaf", LargeBinary, nullable=False),
    Column("position", BigInteger, unique=True),  # given by the publisher
    Index("ix_records_kind", "kind"),
)
