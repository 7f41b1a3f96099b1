"""Notices and episodes in the store: read as views, changed in bulk. What to change is decided in daemon/notices."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, bindparam, func, or_, select, update

from daemon.clock import from_micros
from daemon.model.notices import CORRECTION, EpisodeView, NoticeView
from daemon.model.states import Outcome, Stands
from daemon.store.tables import episodes, feeds, messages, notices, polls


def view(row: RowMapping) -> NoticeView:
    """A notices row as the pure parts see it."""
    stage: str = row["stage"]
    level = stage.split("/")[0] if "/" in stage and not stage.startswith(CORRECTION) else ""
    if stage.startswith(CORRECTION):
        level = json.loads(row["occurrence"]).get("level", "")
    return NoticeView(
        id=row["id"],
        stage=stage,
        made_at=from_micros(row["made_at"]),
        not_before=from_micros(row["not_before"]),
        window_end=from_micros(row["window_end"]),
        deadline=from_micros(row["deadline"]),
        late=row["late"],
        stands=Stands(row["stands"]),
        why=row["stands_why"],
        known_at=from_micros(row["known_at"]),
        terms=row["terms"],
        told=row["told_at"] is not None,
        told_terms=row["told_terms"] or "",
        told_at=from_micros(row["told_at"]) if row["told_at"] is not None else None,
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        held=bool(row["held"]),
        episode=row["episode"],
        level=level,
        marks=tuple(json.loads(row["marks"])),
        last=bool(row["last"]),
    )


def episode_view(row: RowMapping) -> EpisodeView:
    """An episodes row as the pure parts see it."""
    return EpisodeView(
        id=row["id"],
        level=row["level"],
        opened_on=date.fromisoformat(row["opened_on"]),
        number=row["number"],
        opened_at=from_micros(row["opened_at"]),
        open=row["ended_at"] is None,
        seen_on=date.fromisoformat(row["seen_on"]),
    )


def of_occurrences(
    tx: Connection, rule: str, keys: Iterable[tuple[int, str]]
) -> dict[tuple[int, str], list[RowMapping]]:
    """Every notice of these (subject, occurrence) pairs of a rule."""
    wanted = set(keys)
    found: dict[tuple[int, str], list[RowMapping]] = defaultdict(list)
    if not wanted:
        return found
    subjects = {s for s, _ in wanted}
    rows = tx.execute(
        select(notices).where(notices.c.rule == rule, notices.c.subject.in_(subjects)).order_by(notices.c.made_at)
    )
    for row in rows.mappings():
        if (row["subject"], row["occurrence"]) in wanted:
            found[row["subject"], row["occurrence"]].append(row)
    return found


def of_episodes(
    tx: Connection, rule: str, basis: str, subjects: Iterable[int], day: date
) -> tuple[dict[int, list[RowMapping]], dict[int, list[RowMapping]]]:
    """By subject: the episodes that are open or were opened on `day`, and the notices of those episodes."""
    wanted = list(subjects)
    eps: dict[int, list[RowMapping]] = defaultdict(list)
    mine: dict[int, list[RowMapping]] = defaultdict(list)
    if not wanted:
        return eps, mine
    query = select(episodes).where(
        episodes.c.rule == rule,
        episodes.c.basis == basis,
        episodes.c.subject.in_(wanted),
        or_(episodes.c.ended_at.is_(None), episodes.c.opened_on == day.isoformat()),
    )
    ids = []
    for row in tx.execute(query).mappings():
        eps[row["subject"]].append(row)
        ids.append(row["id"])
    if ids:
        since = min(row["opened_at"] for rows in eps.values() for row in rows)
        told = select(episodes.c.id).where(
            episodes.c.rule == rule,
            episodes.c.basis == basis,
            episodes.c.subject.in_(wanted),
            episodes.c.ended_at >= since,
        )  # an ended worse episode that told since then has told the milder ones too
        query = select(notices).where(
            or_(notices.c.episode.in_(ids), and_(notices.c.episode.in_(told), notices.c.told_at >= since))
        )
        for row in tx.execute(query.order_by(notices.c.made_at)).mappings():
            mine[row["subject"]].append(row)
    return eps, mine


def waiting(tx: Connection, rule: str, feed: str) -> list[tuple[int, str]]:
    """(subject, occurrence) of every notice of a rule and feed that has no outcome."""
    rows = tx.execute(
        select(notices.c.subject, notices.c.occurrence)
        .distinct()
        .where(notices.c.outcome.is_(None), notices.c.rule == rule, notices.c.feed == feed)
    )
    return [(s, o) for s, o in rows]


def told(tx: Connection, rule: str, feed: str, since: int) -> list[tuple[int, str]]:
    """(subject, occurrence) of the notices told whose deadline is not before `since`: what a correction may concern."""
    rows = tx.execute(
        select(notices.c.subject, notices.c.occurrence)
        .distinct()
        .where(
            notices.c.rule == rule, notices.c.feed == feed, notices.c.told_at.is_not(None), notices.c.deadline >= since
        )
    )
    return [(s, o) for s, o in rows]


def open_episodes(tx: Connection, rule: str, feed: str) -> dict[int, list[RowMapping]]:
    """The open episodes of a rule and feed, by subject."""
    found: dict[int, list[RowMapping]] = defaultdict(list)
    rows = tx.execute(
        select(episodes).where(episodes.c.rule == rule, episodes.c.feed == feed, episodes.c.ended_at.is_(None))
    )
    for row in rows.mappings():
        found[row["subject"]].append(row)
    return found


def seen_on(tx: Connection, rule: str, basis: str, subjects: Sequence[int], day: date) -> None:
    """The subjects were present in a complete poll of `day`: their open episodes are not absent on it."""
    for start in range(0, len(subjects), 500):
        tx.execute(
            update(episodes)
            .where(
                episodes.c.rule == rule,
                episodes.c.basis == basis,
                episodes.c.ended_at.is_(None),
                episodes.c.subject.in_(subjects[start : start + 500]),
                episodes.c.seen_on < day.isoformat(),
            )
            .values(seen_on=day.isoformat())
        )


def add_episode(tx: Connection, values: Mapping[str, Any]) -> int:
    """Insert one episode; returns its id. Raises IntegrityError when its identity exists."""
    result = tx.execute(episodes.insert().values(**values))
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


def end_episode(tx: Connection, episode: int, why: str, at: int, record: str) -> None:
    """End an open episode."""
    tx.execute(
        update(episodes)
        .where(episodes.c.id == episode, episodes.c.ended_at.is_(None))
        .values(ended_at=at, ended_why=why, record=record)
    )


def add_notices(tx: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert notices. Raises IntegrityError for one that exists: its identity is its key."""
    if rows:
        tx.execute(notices.insert(), [dict(row) for row in rows])


def renew_notice(tx: Connection, notice: str, values: Mapping[str, Any]) -> None:
    """Change an open notice and raise its revision, so that a claim that asked before starts again."""
    tx.execute(
        update(notices)
        .where(notices.c.id == notice, notices.c.outcome.is_(None))
        .values(revision=notices.c.revision + 1, **values)
    )


_RENEWED = (
    "stands",
    "stands_why",
    "terms",
    "marks",
    "not_before",
    "window_end",
    "deadline",
    "known_at",
    "inputs",
    "run",
    "contacts",
    "call",
    "record",
    "timer",
    "next_timer",
)
_RENEW = (
    update(notices)
    .where(notices.c.id == bindparam("b_id"), notices.c.outcome.is_(None))
    .values(revision=notices.c.revision + 1, **{name: bindparam(f"v_{name}") for name in _RENEWED})
)
_MOVE = (
    update(messages)
    .where(
        messages.c.notice == bindparam("b_notice"),
        # no `in`: a list of its own length cannot be run for many rows at once
        or_(messages.c.state == "queued", messages.c.state == "retry"),
        messages.c.tries == 0,
    )
    .values(due=bindparam("v_due"), deadline=bindparam("v_deadline"))
)


def renew_notices(tx: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """`renew_notice` for many: each row names its notice as `b_id`, and all that a renewal sets."""
    if rows:
        tx.execute(_RENEW, [{n if n.startswith("b_") else f"v_{n}": v for n, v in row.items()} for row in rows])


def move_messages(tx: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Move what has not left of notices (`b_notice`) to a new instant (`due`) and `deadline`."""
    if rows:
        tx.execute(_MOVE, [{n if n.startswith("b_") else f"v_{n}": v for n, v in row.items()} for row in rows])


def episode_id(tx: Connection, rule: str, subject: int, basis: str, key: tuple[str, date, int]) -> int:
    """The id of an episode by level, opening date and number. Raises NoResultFound."""
    level, opened_on, number = key
    query = select(episodes.c.id).where(
        episodes.c.rule == rule,
        episodes.c.subject == subject,
        episodes.c.basis == basis,
        episodes.c.level == level,
        episodes.c.opened_on == opened_on.isoformat(),
        episodes.c.number == number,
    )
    return int(tx.execute(query).scalar_one())


def cancel_messages(
    tx: Connection, notice: str, state: str, why: str, record: str, *, but: Collection[str] = ()
) -> None:
    """Cancel or expire what of a notice has not left and has never been in doubt, `but` that to these roles."""
    tx.execute(
        update(messages)
        .where(
            messages.c.notice == notice,
            messages.c.role.not_in(list(but)),
            messages.c.state.in_(("queued", "claimed", "retry")),
            messages.c.ever_in_doubt.is_(False),
        )
        .values(state=state, own=state, why=why, record=record, fence=messages.c.fence + 1)
    )


def close_notice(tx: Connection, notice: str, outcome: str, why: str, at: int, record: str, served: str) -> bool:
    """Give a notice its outcome, once. Returns whether this call did."""
    done = tx.execute(
        update(notices)
        .where(notices.c.id == notice, notices.c.outcome.is_(None))
        .values(
            outcome=outcome,
            outcome_why=why,
            outcome_at=at,
            record=record,
            served=served,
            next_timer=None,
            revision=notices.c.revision + 1,
        )
    )
    return done.rowcount == 1


def due_windows(tx: Connection, now: int, limit: int = 500) -> list[RowMapping]:
    """Open, untold notices whose window has ended."""
    query = (
        select(notices)
        .where(
            notices.c.outcome.is_(None),
            notices.c.told_at.is_(None),
            notices.c.window_end <= now,
            ~and_(notices.c.late == "send_marked", notices.c.marks.contains('"late"'), notices.c.stands != "no"),
        )
        .limit(limit)
    )
    return list(tx.execute(query).mappings())


def waiting_of(tx: Connection, rules: Iterable[str], *, others: bool = False, limit: int = 100) -> list[RowMapping]:
    """Notices not told and without outcome of these rules, or of all `others`."""
    about = notices.c.rule.not_in(list(rules)) if others else notices.c.rule.in_(list(rules))
    query = select(notices).where(notices.c.outcome.is_(None), notices.c.told_at.is_(None), about)
    return list(tx.execute(query.limit(limit)).mappings())


def due_timers(tx: Connection, now: int, limit: int = 500) -> list[RowMapping]:
    """Open notices whose next forward timer is due."""
    query = (
        select(notices).where(notices.c.outcome.is_(None), notices.c.next_timer <= now).order_by(notices.c.next_timer)
    )
    return list(tx.execute(query.limit(limit)).mappings())


def due_outcomes(tx: Connection, rule: str, now: int, window: int, limit: int = 500) -> list[RowMapping]:
    """Told notices, or late ones, whose deadline plus receipt window is over."""
    query = select(notices).where(
        notices.c.rule == rule,
        notices.c.outcome.is_(None),
        notices.c.deadline + window <= now,
        notices.c.made_at + window <= now,
    )
    return list(tx.execute(query.limit(limit)).mappings())


def ran_before(tx: Connection, feed: str, day: date) -> date | None:
    """The newest business date before `day` of which a poll of the feed ran."""
    query = select(func.max(polls.c.business_date)).where(
        polls.c.feed == feed, polls.c.state == "ran", polls.c.business_date < day.isoformat()
    )
    found = tx.execute(query).scalar()
    return None if found is None else date.fromisoformat(found)


def updating(tx: Connection, feed: str) -> bool:
    """Whether a run of this feed stands between its record and its notices' being up to date."""
    return tx.execute(select(feeds.c.updating).where(feeds.c.feed == feed)).scalar() is not None


def occurrences_today(tx: Connection, rule: str, subjects: Sequence[int], day: str) -> dict[int, frozenset[str]]:
    """The occurrences of a rule that each subject has notices of on a business date, for the cap per client."""
    found: dict[int, set[str]] = defaultdict(set)
    for start in range(0, len(subjects), 500):
        rows = tx.execute(
            select(notices.c.subject, notices.c.occurrence)
            .distinct()
            .where(
                notices.c.rule == rule,
                notices.c.business_date == day,
                notices.c.subject.in_(subjects[start : start + 500]),
            )
        )
        for subject, occurrence in rows:
            found[subject].add(occurrence)
    return {subject: frozenset(texts) for subject, texts in found.items()}
