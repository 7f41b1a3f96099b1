"""Every table, its keys and its states. README.md in the folder above lists them for a reader.

Times are UTC microseconds (BigInteger), dates ISO text, small structures canonical JSON text. Personal values never
stand here in clear: they lie in `sealed` under a client's key, and a client is a number found through a blind index.
`record` columns name the audit record committed in the same transaction; they are NOT NULL wherever a state changes.
"""

from __future__ import annotations

from daemon.store.tables.acts import activations, approvals, rule_sets, signer_lists, stops
from daemon.store.tables.base import meta, metadata, records
from daemon.store.tables.inbound import nonces, page_calls, pages, receipts, tasks, tokens, uplinks
from daemon.store.tables.notices import asks, attempts, episodes, messages, notices, sending_keys
from daemon.store.tables.polls import feeds, holds, poll_counts, polls, rejects, runs, sheets
from daemon.store.tables.who import (
    aliases,
    consents,
    contacts,
    counters,
    month_keys,
    releases,
    restrictions,
    sealed,
    silences,
    subject_index,
    subjects,
)

__all__ = [
    "activations",
    "aliases",
    "approvals",
    "asks",
    "attempts",
    "consents",
    "contacts",
    "counters",
    "episodes",
    "feeds",
    "holds",
    "messages",
    "meta",
    "metadata",
    "month_keys",
    "nonces",
    "notices",
    "page_calls",
    "pages",
    "poll_counts",
    "polls",
    "receipts",
    "records",
    "rejects",
    "releases",
    "restrictions",
    "rule_sets",
    "runs",
    "sealed",
    "sending_keys",
    "sheets",
    "signer_lists",
    "silences",
    "stops",
    "subject_index",
    "subjects",
    "tasks",
    "tokens",
    "uplinks",
]
