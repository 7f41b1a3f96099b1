"""The machine's wall clock steps by eight hours, either way: nothing expires, nothing is skipped, until a person believes it."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from daemon.clock import RealClock
from daemon.store import clocksteps, trail
from tests.crash.matrix import LAST, fill
from tests.scenarios.plays import LOT
from tests.world import DAY, Office, Play, Scenario, at

EIGHT = timedelta(hours=8)


class Machine(RealClock):
    """The daemon's clock on a machine whose two clocks the play moves. Leases stay real."""

    def __init__(self, now: datetime) -> None:
        self.true, self.off = now.timestamp(), timedelta(0)
        super().__init__(lambda: self.true + self.off.total_seconds(), lambda: self.true)

    def elapsed(self) -> float:
        return time.monotonic()

    def set(self, now: datetime) -> None:
        """Time goes on to where `now` is, as the daemon knows it."""
        self.true += (now - self.now()).total_seconds()


def clients(office: Office) -> None:
    """As in the kills, and one who must pay and is not covered until the last call."""
    fill(office)
    client = office.client(4)
    office.won(client, ("", 500, LOT))
    office.cash(client, ("", "1000.00"))


FEEDS = frozenset({"contacts", "consents", "allotments", "margin_day_end"})
PLAIN = Scenario(clients, FEEDS, until=at("18:00", LAST), days=(DAY,), clock=Machine)


def stepping(by: timedelta) -> Scenario:
    """The wall clock steps just before the first stage."""

    def step(play: Play) -> None:
        assert isinstance(play.clock, Machine)
        play.clock.off = by

    return replace(PLAIN, acts=((at("07:50"), step),))


@pytest.mark.parametrize("by", [EIGHT, -EIGHT], ids=["forward", "back"])
def test_a_step_of_eight_hours_neither_expires_nor_skips_anything(by: timedelta, tmp_path: Path) -> None:
    whole = Play.new(PLAIN, tmp_path / "whole").run()
    found = Play.new(stepping(by), tmp_path / "stepped").run()
    assert whole.arrived and whole.notices
    assert found.arrived == whole.arrived
    assert found.notices == whole.notices
    assert found.tasks == whole.tasks
    assert found.told_at == whole.told_at
    assert set(found.pages) - set(whole.pages) == {clocksteps.PAGE}


class Looking(Play):
    """Looks at its clock before the end. `said`: of each record of it, whether it was believed; `ahead`: seconds of the daemon's
    clock before the true time."""

    said: list[bool]
    step: timedelta | None
    ahead: float
    confirmed: bool

    def _prove(self) -> None:
        super()._prove()
        assert isinstance(self.clock, Machine)
        self.ahead = self.clock.now().timestamp() - self.clock.true
        self.step = self.clock.step
        with self.store.read() as tx:
            self.said = [bool(one.data["believed"]) for _, one in trail.of_kind(tx, "clock")]
            self.confirmed = clocksteps.confirmed(tx)


@pytest.mark.parametrize("by", [timedelta(hours=2), timedelta(hours=-2)], ids=["forward", "back"])
def test_a_person_who_believes_it_has_the_daemon_follow_it(by: timedelta, tmp_path: Path) -> None:
    seen: dict[str, object] = {}

    def believe(play: Play) -> None:
        with play.store.write() as tx:
            record = clocksteps.confirm(tx, by="ops.wang", reason="the host had the wrong date", now=play.now)
        seen.setdefault("record", record)  # a clock set back passes here a second time

    plain = stepping(by)
    scenario = replace(plain, acts=(*plain.acts, (at("08:30"), believe)))
    play = Looking.new(scenario, tmp_path / "play")
    play.run()
    assert seen["record"]
    assert play.said == [False, True]
    assert play.step is None and not play.confirmed
    assert abs(play.ahead - by.total_seconds()) < 1
