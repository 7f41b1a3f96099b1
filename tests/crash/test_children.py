"""Poll children that die: while they wait, or with a poll in hand. Nothing of a feed goes silent because of it."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from datetime import date
from pathlib import Path

from daemon.children import Job
from daemon.model.states import PollState
from daemon.polls import Polls
from daemon.rehearse.inline import InlineChild
from daemon.schedule import Timetable
from daemon.store import ledger
from tests.builders_store import new_store
from tests.scenarios.plays import BASE
from tests.world import Play, at, shipped


def kill_waiting(play: Play) -> None:
    """SIGKILL to every child that waits for a poll."""
    for child in play.app.polls.children:
        if child.job is None and child.process.pid is not None:
            os.kill(child.process.pid, signal.SIGKILL)
            child.process.join()


def test_children_that_die_while_they_wait_are_replaced(tmp_path: Path) -> None:
    whole = Play.new(BASE, tmp_path / "whole").run()
    scenario = replace(BASE, children=True, acts=((at("09:00"), kill_waiting),))
    assert Play.new(scenario, tmp_path / "w").run() == whole


class StuckChild(InlineChild):
    """Takes a poll and never answers; replaced, it is free again."""

    def __init__(self) -> None:
        self.job, self.since, self.first_only, self.replaced = None, 0.0, False, 0

    def give(self, job: Job, elapsed: float) -> None:
        with self.store.write() as tx:
            ledger.claim(tx, job.poll, holder="poll", rule_set=job.rule_set, now=job.now, elapsed=int(elapsed * 1e6))
        self.job, self.since = job, elapsed

    def result(self) -> None:
        return None

    def replace(self) -> None:
        self.job = None
        self.replaced += 1


def only_payments(feed: str, day: date) -> bool:
    return feed == "allotments"


def test_a_poll_whose_feed_a_reload_took_away_still_times_out(tmp_path: Path) -> None:
    store, child = new_store(tmp_path), StuckChild()
    child.store = store
    with store.lock():
        polls = Polls(store, None, 0, Timetable(shipped().required(), only_payments))  # type: ignore[arg-type]  # no child is started
        polls.start(at("07:00"), at("07:00"))
        polls.children = [child]
        polls.pass_(at("07:30"), "set", True)
        assert child.job is not None
        polls.timetable.entries = [one for one in polls.timetable.entries if one.feed.name != "allotments"]
        polls.pass_(at("07:31"), "set", True)
        assert child.replaced == 0
        store.elapsed = lambda: child.since + 601
        polls.pass_(at("07:42"), "set", True)
        assert child.replaced == 1
        with store.read() as tx:
            (poll,) = ledger.polls_in(tx, [PollState.FAILED])
    store.close()
    assert poll.reason == "poll timed out after 600 s"
