"""Random histories: the pure parts of polls, notices and messages against an oracle written apart from them.

`DUENOTICE_SEED=N python -m pytest tests/histories` plays one history alone, `DUENOTICE_HISTORIES=N` so many.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daemon.model.notices import Change, CloseNotice, EndEpisode, MakeNotice, NoticeView, RenewNotice
from daemon.model.states import MessageState, Outcome, Stands, outcome_of, with_receipts
from daemon.notices.corrections import correct
from daemon.notices.levels import renew_levels
from daemon.notices.standing import renew, sweep
from tests.histories.driver import Driver
from tests.histories.generate import history
from tests.histories.oracle import Oracle, Violation
from tests.histories.parts import Flow

HISTORIES = int(os.environ.get("DUENOTICE_HISTORIES", "2000"))
ALONE = os.environ.get("DUENOTICE_SEED")
SHARDS = 8
FOUND_WITHIN = 300
"""Histories within which the oracle must find a planted fault."""


def play(seed: int, flow: Flow | None = None) -> tuple[Driver, Oracle]:
    """One history, judged after every step."""
    told = history(seed)
    driver, oracle = Driver(told, flow), Oracle(told.rule, told.units)
    for n, step in enumerate(told.steps):
        try:
            driver.step(step)
            oracle.step(driver.happened, driver.notices_seen(), driver.messages_seen(), driver.episodes_seen())
        except AssertionError as wrong:
            raise Violation(
                f"seed {seed}, step {n} ({type(step).__name__} at {step.at}): {wrong}\n"
                f"again: DUENOTICE_SEED={seed} python -m pytest tests/histories\n{told.rule}"
            ) from wrong
        driver.happened.clear()
    oracle.at_the_end(driver.carrier.arrived, told.steps[-1].at)
    return driver, oracle


def seeds(shard: int) -> Iterable[int]:
    if ALONE is not None:
        return [int(ALONE)] if shard == 0 else []
    return range(shard, HISTORIES, SHARDS)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_no_history_breaks_the_design(shard: int) -> None:
    for seed in seeds(shard):
        play(seed)


def test_histories_reach_every_outcome_and_state_and_corner() -> None:
    outcomes: set[Outcome | None] = set()
    states: set[MessageState] = set()
    corners: set[str] = set()
    for seed in range(200):
        driver, _ = play(seed)
        views = driver.notices.values()
        outcomes |= {v.outcome for v in views}
        states |= {m.state for m in driver.messages.values()}
        corners |= {v.stage for v in views if v.is_correction} | {"late" for v in views if v.told and "late" in v.marks}
        corners |= {"second of a day" for e in driver.episodes.values() if e.number > 1}
        corners |= {"repeated" for m in driver.messages.values() if m.tries > 1}
        corners |= {"contradicted" for m in driver.messages.values() if m.contradicted}
    assert outcomes == set(Outcome)
    ends = {s for s in MessageState if s not in (MessageState.CLAIMED, MessageState.SENDING, MessageState.RETRY)}
    assert ends <= states
    assert {"correction/1", "correction/2", "late", "second of a day", "repeated", "contradicted"} <= corners


def test_a_seed_is_one_history() -> None:
    assert history(7) == history(7)
    assert history(7) != history(8)


def test_the_oracle_imports_no_part_of_the_program() -> None:
    for name in ("oracle.py", "obligations.py", "generate.py"):
        tree = ast.parse((Path(__file__).parent / name).read_text("utf-8"))
        found = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
        found += [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
        assert not [m for m in found if m.startswith("daemon")]


# faults planted in the pure parts: the oracle must find each


def without(
    kind: type, chosen: Callable[[Any], bool], inner: Callable[..., list[Change]]
) -> Callable[..., list[Change]]:
    """The same function, which forgets such changes."""

    def faulty(*arguments: Any, **named: Any) -> list[Change]:
        return [c for c in inner(*arguments, **named) if not (isinstance(c, kind) and chosen(c))]

    return faulty


def altered(
    kind: type, change: Callable[[Any], Any], inner: Callable[..., list[Change]]
) -> Callable[..., list[Change]]:
    """The same function, which gets such changes wrong."""

    def faulty(*arguments: Any, **named: Any) -> list[Change]:
        return [change(c) if isinstance(c, kind) else c for c in inner(*arguments, **named)]

    return faulty


def only_untold(notices: Sequence[NoticeView], *rest: Any) -> list[Change]:
    told = {n.id for n in notices if n.told}
    return [c for c in renew(notices, *rest) if not (isinstance(c, RenewNotice) and c.id in told)]


def deaf_to_order(notices: Sequence[NoticeView], seen: Any, now: Any) -> list[Change]:
    newest = max([seen.started, *(n.known_at for n in notices)])
    return renew(notices, replace(seen, started=newest), now)


def lenient(notice: NoticeView, now: Any) -> Change | None:
    change = sweep(notice, now)
    return None if isinstance(change, CloseNotice) and change.outcome is Outcome.SUPERSEDED else change


def expires_what_rests(notice: NoticeView, now: Any) -> Change | None:
    change = sweep(notice, now)
    cancelled = isinstance(change, CloseNotice) and change.outcome is Outcome.CANCELLED
    return CloseNotice(notice.id, Outcome.EXPIRED, "") if cancelled else change


def newest_receipt(own: MessageState, receipts: Sequence[MessageState]) -> MessageState:
    return receipts[-1] if receipts else with_receipts(own, receipts)


def first_outcome(messages: Iterable[tuple[MessageState, bool]]) -> Outcome:
    return outcome_of(list(messages)[:1])


FAULTS = {
    "a stage is forgotten": Flow(renew=without(MakeNotice, lambda c: c.plan.stage == "last", renew)),
    "unknown reads as no": Flow(
        renew=altered(RenewNotice, lambda c: replace(c, stands=Stands.NO) if c.stands is Stands.UNKNOWN else c, renew)
    ),
    "no is not heard": Flow(renew=without(RenewNotice, lambda c: c.stands is Stands.NO, renew)),
    "new terms are not taken": Flow(renew=altered(RenewNotice, lambda c: replace(c, terms="t0"), renew)),
    "told ones are not renewed": Flow(renew=only_untold),
    "an older reading overwrites": Flow(renew=deaf_to_order),
    "no correction": Flow(correct=without(MakeNotice, lambda c: True, correct)),
    "corrections are not held": Flow(correct=altered(MakeNotice, lambda c: replace(c, held=False), correct)),
    "a correction does not rest": Flow(correct=without(RenewNotice, lambda c: c.stands is Stands.NO, correct)),
    "a correction is not renewed": Flow(correct=without(RenewNotice, lambda c: c.stands is Stands.YES, correct)),
    "an episode never ends": Flow(renew_levels=without(EndEpisode, lambda c: True, renew_levels)),
    "the end cancels nothing": Flow(
        renew_levels=without(CloseNotice, lambda c: c.outcome is Outcome.CANCELLED, renew_levels)
    ),
    "nothing is superseded": Flow(
        renew_levels=without(CloseNotice, lambda c: c.outcome is Outcome.SUPERSEDED, renew_levels)
    ),
    "the milder one does not rest": Flow(
        renew_levels=without(RenewNotice, lambda c: c.stands is Stands.NO and c.why.endswith("is due"), renew_levels)
    ),
    "absence ends nothing": Flow(end_absent=lambda episodes, notices: []),
    "windows never end": Flow(sweep=lambda notice, now: None),
    "nothing makes room for the next stage": Flow(sweep=lenient),
    "what rests expires": Flow(sweep=expires_what_rests),
    "the newest receipt wins": Flow(with_receipts=newest_receipt),
    "the first message's outcome counts": Flow(outcome_of=first_outcome),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_oracle_finds_a_planted_fault(fault: str) -> None:
    with pytest.raises(AssertionError):
        for seed in range(FOUND_WITHIN):
            play(seed, FAULTS[fault])
