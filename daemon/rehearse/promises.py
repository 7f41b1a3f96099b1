"""The promises of the product, held against a day that was played: the carrier's ledger, the verified trail, the store.

Each check gives the sentences that say how its promise is broken; none: it holds. The carrier's ledger is read as its file has it.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from daemon.app_parts import worlds_of
from daemon.audit.checkpoint import VerifierKey
from daemon.audit.folder import folder_reader, verify_folder
from daemon.audit.tree import bundles, read_bundle
from daemon.clock import micros
from daemon.demo.driver import Plan
from daemon.report.completeness import completeness
from daemon.report.replay import replay
from daemon.report.sheets_live import sheets_of_store
from daemon.settings import Settings
from daemon.store import rulesets
from daemon.store.db import Store
from daemon.store.tables import messages, notices, tasks
from daemon.world import World

SHOWN = 5
"""Sentences of one promise that are shown; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Played:
    """A day that was played."""

    plan: Plan
    store: Store
    settings: Settings
    leaves: list[Mapping[str, Any]]
    requests: list[sqlite3.Row]
    arrivals: Counter[str]
    worlds: Callable[[str], World]


def read_day(plan: Plan, settings: Settings, store: Store) -> Played:
    """What the day has left. Raises FileNotFoundError where the log was never published."""
    with closing(sqlite3.connect(f"file:{plan.folder / 'carrier.sqlite'}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        query = "SELECT request_no, received_at, call, message_id, recipient, taken FROM request ORDER BY request_no"
        requests = db.execute(query).fetchall()
        reached = db.execute("SELECT message_id FROM message WHERE reach_at IS NOT NULL AND revoked = 0").fetchall()
    log = settings.path(settings.trail.folder)
    read, size = folder_reader(log), _size(log)
    leaves = [json.loads(raw) for number, width in bundles(size) for raw in read_bundle(read, number, width)]
    arrivals = Counter(row["message_id"] for row in reached)
    return Played(plan, store, settings, leaves, requests, arrivals, worlds_of(store, {}))


def _size(log: Path) -> int:
    return int((log / "checkpoint").read_text().split("\n")[1])


def one_outcome(day: Played) -> Iterator[str]:
    """One obligation, one notice, one outcome; no message reaches a handset twice."""
    outcomes = Counter(leaf["data"]["notice"] for leaf in day.leaves if leaf["kind"] == "outcome")
    yield from (f"notice {id} has {count} outcomes" for id, count in outcomes.items() if count > 1)
    with day.store.read() as tx:
        without = tx.execute(select(notices.c.id).where(notices.c.outcome.is_(None))).scalars().all()
        obligation = (notices.c.rule, notices.c.subject, notices.c.occurrence, notices.c.stage)
        several = select(func.count()).select_from(notices).group_by(*obligation).having(func.count() > 1)
        twice = tx.execute(several).all()
    yield from (f"notice {id} has no outcome" for id in without)
    yield from (f"{len(twice)} obligations have more than one notice" for _ in twice[:1])
    yield from (f"message {id} reached its handset {count} times" for id, count in day.arrivals.items() if count > 1)
    yield from _overlaps(day)


def _overlaps(day: Played) -> Iterator[str]:
    """Two messages of one notice to one contact that both arrived, where neither its rule (`together`) nor a record said that this
    may happen."""
    said = {leaf["data"]["notice"] for leaf in day.leaves if leaf["kind"] == "message" and leaf["data"].get("overlap")}
    with day.store.read() as tx:
        query = select(messages.c.notice, messages.c.role, messages.c.platform_id, notices.c.rule, notices.c.rule_set)
        query = query.join(notices, notices.c.id == messages.c.notice).where(messages.c.platform_id.is_not(None))
        rows = [row for row in tx.execute(query) if day.arrivals[row.platform_id]]
    said |= {row.notice for row in rows if day.worlds(row.rule_set).ruleset.rules[row.rule].together}
    reached = Counter((row.notice, row.role) for row in rows)
    for (notice, role), count in reached.items():
        if count > 1 and notice not in said:
            yield f"notice {notice}: {count} messages to {role} arrived, and no record says that they may overlap"


def nothing_silent(day: Played) -> Iterator[str]:
    """Every row in one bucket, every due poll in the ledger, rows and records the same."""
    for date in day.plan.days:
        found = completeness(day.store, lambda digest: day.worlds(digest).ruleset, date)
        yield from (f"{date}: {one.table} {one.id}: {one.what} {one.detail}" for one in found.findings)
        for name in ("unreconciled", "twice", "gaps"):
            value = getattr(found, name)
            if value:
                yield f"{date}: {name}: {value}"


def in_time(day: Played) -> Iterator[str]:
    """What left did so before its deadline or is marked late; where nothing arrived in time a person had a task by then."""
    first: dict[str, int] = {}
    for leaf in day.leaves:
        if leaf["kind"] == "attempt" and "verdict" not in leaf["data"]:
            first.setdefault(leaf["data"]["notice"], micros(datetime.fromisoformat(leaf["t"])))
    with day.store.read() as tx:
        rows = tx.execute(select(notices)).mappings().all()
        opened: dict[str, int] = {}
        for notice, at in tx.execute(select(tasks.c.notice, tasks.c.opened_at).where(tasks.c.notice.is_not(None))):
            opened[notice] = min(at, opened.get(notice, at))
    for row in rows:
        sent = first.get(row["id"])
        if (
            sent is not None
            and sent > row["deadline"]
            and '"late"' not in row["marks"]
            and row["correction_of"] is None
        ):
            yield f"notice {row['id']} left after its deadline, unmarked"
        rule = day.worlds(row["rule_set"]).ruleset.rules[row["rule"]]
        end = row["deadline"] + rule.receipt_window // timedelta(microseconds=1)
        unheard = row["outcome"] in ("expired", "undeliverable", "in_doubt") and row["served"] != "yes"
        if unheard and opened.get(row["id"], end + 1) > max(end, row["made_at"] + end - row["deadline"]):
            yield f"notice {row['id']} ended {row['outcome']} and no person had a task by then"


def approved_words(day: Played) -> Iterator[str]:
    """Every notice names a rule set that is kept, whose bytes have that digest."""
    with day.store.read() as tx:
        digests = tx.execute(select(notices.c.rule_set).distinct()).scalars().all()
        kept = {digest for digest in digests if rulesets.files_of(tx, digest)}
    yield from (f"rule set {digest[:12]} of notices is not kept" for digest in digests if digest not in kept)
    for digest in kept:
        if day.worlds(digest).ruleset.digest != digest:
            yield f"rule set {digest[:12]}: its bytes have another digest"


def provable(day: Played) -> Iterator[str]:
    """The log verifies; every request has an earlier record of its attempt; delivered is what a handset got."""
    keys = [VerifierKey(day.settings.trail.origin, key.public) for key in day.store.keyring.signing_keys]
    report = verify_folder(day.settings.path(day.settings.trail.folder), keys, sheets=sheets_of_store(day.store))
    yield from (f"{check.name}: {check.detail}" for check in report.checks if check.ok is False)
    begun: dict[str, list[int]] = {}
    for leaf in day.leaves:
        if leaf["kind"] == "attempt" and "verdict" not in leaf["data"]:
            begun.setdefault(leaf["data"]["message"], []).append(micros(datetime.fromisoformat(leaf["t"])))
    with day.store.read() as tx:
        ours = {row.platform_id: row for row in tx.execute(select(messages).where(messages.c.platform_id.is_not(None)))}
    seen: Counter[str] = Counter()
    for request in day.requests:
        if request["call"] != "messages":
            continue
        message = ours.get(request["message_id"])
        if message is None:
            yield f"request {request['request_no']} is of no message of ours"
            continue
        seen[message.id] += 1
        before = [at for at in begun.get(message.id, ()) if at <= request["received_at"]]
        if len(before) < seen[message.id]:
            yield f"request {request['request_no']} of message {message.id} has no earlier attempt in the trail"
    for platform_id, message in ours.items():
        if message.state == "delivered" and not day.arrivals[platform_id]:
            yield f"message {message.id} stands as delivered and reached no handset"


def sealed(day: Played) -> Iterator[str]:
    """No number that was written to stands in clear in the state, the log or the heads."""
    numbers = sorted({request["recipient"].encode() for request in day.requests if request["recipient"]})
    folders = [day.settings.path(day.settings.state), day.settings.path(day.settings.trail.folder)]
    folders.append(day.settings.path(day.settings.trail.heads).parent)
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            raw = path.read_bytes()
            yield from (f"{path.name} holds a recipient's number in clear" for number in numbers if number in raw)


def rules_are_config(day: Played) -> Iterator[str]:
    """The rule files alone decide every line, notice and answer of the day again, as they were recorded."""
    for date in day.plan.days:
        found = replay(day.store, day.worlds, date)
        if not any(rule.lines for rule in found.rules.values()):
            yield f"{date}: no line could be decided again"
        yield from (f"{date}: {difference}" for difference in found.differences)


PROMISES: tuple[tuple[str, str, Callable[[Played], Iterator[str]]], ...] = (
    ("一项义务，一个结果", "One obligation, one outcome", one_outcome),
    ("无声遗漏为零", "Nothing is silent", nothing_silent),
    ("及时，否则先让人知道", "In time, or a person knows", in_time),
    ("只用经批准的文字", "Approved words only", approved_words),
    ("可以证明", "Provable", provable),
    ("全程加密", "Sealed", sealed),
    ("规则即配置", "Rules are config", rules_are_config),
)
"""In the order of DESIGN section 2: what it is called in Chinese and in English, and its check."""


def broken(day: Played) -> dict[str, list[str]]:
    """English name of each promise -> how it is broken, at most `SHOWN` sentences and a count of the rest."""
    found: dict[str, list[str]] = {}
    for _, name, check in PROMISES:
        sentences = list(check(day))
        more = [f"and {len(sentences) - SHOWN} more"] if len(sentences) > SHOWN else []
        found[name] = sentences[:SHOWN] + more
    return found


def outcome_table(day: Played) -> list[tuple[str, dict[str, int], int]]:
    """(rule, outcome -> notices, tasks) of each rule that told something."""
    with day.store.read() as tx:
        query = select(notices.c.rule, notices.c.outcome, func.count()).group_by(notices.c.rule, notices.c.outcome)
        rows = tx.execute(query).all()
        found = tx.execute(select(tasks.c.rule, func.count().label("tasks")).group_by(tasks.c.rule))
        asked: dict[str, int] = {row.rule: row.tasks for row in found}
    by_rule: dict[str, dict[str, int]] = {}
    for rule, outcome, count in rows:
        by_rule.setdefault(rule, {})[outcome or "waiting"] = count
    return [(rule, counts, asked.get(rule, 0)) for rule, counts in sorted(by_rule.items())]
