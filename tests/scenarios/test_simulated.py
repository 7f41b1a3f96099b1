"""A day simulated from its kept sheets tells whom the day told, at the same moments: every scenario whose gateway is well.

A simulation takes every message to have arrived; what a platform loses, refuses or leaves in doubt is none of its matter.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from daemon.app_parts import ruleset_of
from daemon.clock import from_micros
from daemon.report.simulated import SHEETS
from daemon.simulate import Bench
from daemon.store import rulesets
from daemon.store.db import Store
from daemon.store.tables import notices
from tests.builders_store import keyring
from tests.scenarios.plays import SCENARIOS
from tests.world import Play, Scenario

WELL = next(field.default for field in fields(Scenario) if field.name == "gateway")
NOT_KNOWN = {
    "an error of ours at the claim": "the daemon's own error",
    "a late source, and a rule that may not": "a notice waits because the next poll is late; a poll runs when it read",
    "a rule stopped while its source is down": "a stop that no line of a sheet read",
    "deceased by the time it is due": "what asking again before the message found",
    "a source that doubles": "a hold that a person released",
    "a source that doubles within its maximum": "a hold that a person released",
}
"""What a simulation of kept sheets does not know of a day (simulate/__init__.py)."""
NAMES = sorted(
    name for name, one in SCENARIOS.items() if one.gateway is WELL and not one.children and name not in NOT_KNOWN
)

Told = set[tuple[str, int, str, str, datetime]]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_day_simulated_from_its_sheets_tells_whom_the_day_told(name: str, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    play = Play.new(scenario, tmp_path / "w")
    play.run()
    store = Store.open(play.folder / "state", keyring=keyring(), node="n1")
    try:
        with store.read() as tx:
            rows = tx.execute(select(notices).where(notices.c.told_at.is_not(None))).mappings()
            told: Told = {
                (r["rule"], r["subject"], r["occurrence"], r["stage"], from_micros(r["told_at"])) for r in rows
            }
            active = rulesets.active(tx)
        assert active is not None
        made = ruleset_of(store, active.digest)
        polled = [k.name for k in made.kinds.values() if any(feed.name in scenario.feeds for feed in k.feeds)]
        rules = [rule.name for rule in made.rules.values() if rule.kind in polled]
        with Bench.open(store, {}, channels=("rcs", "sms")) as bench:
            found = bench.simulate(made, bench.plan([made], min(scenario.days), max(scenario.days), rules))
    finally:
        store.close()
    assert {one.source for one in found.used if one.feed in scenario.feeds} <= {SHEETS, "nothing"}
    assert told == {
        (n.rule, n.subject, n.occurrence, n.stage, datetime.fromisoformat(n.told_at))
        for n in found.notices
        if n.told_at
    }
