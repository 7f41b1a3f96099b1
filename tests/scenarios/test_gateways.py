"""Two gateways for a channel: what has provably not arrived moves, what may have arrived stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from daemon.deliver.health import FAILURES
from tests.fakes import FakeChannel
from tests.scenarios.plays import LOT, ONE, PAYMENT, gateway, payer
from tests.world import Play, Result, Scenario, at

ONE_SHORT = Scenario(payer([("", 500, LOT)], [("", "1000.00")]), PAYMENT, until=at("08:10"))


def play(folder: Path, scenario: Scenario) -> Result:
    return Play.new(replace(scenario, spare=lambda far: FakeChannel("spare", far=far)), folder).run()


def test_a_spent_quota_sends_the_message_by_the_next_gateway_at_once(tmp_path: Path) -> None:
    result = play(tmp_path, replace(ONE_SHORT, gateway=gateway(lambda outgoing, n: "spent")))
    assert result.told_at[f"{ONE} morning"] == "08:00"
    assert [(channel, times) for _, channel, _, times in result.arrived] == [("rcs", 1)]
    assert "closed:fake" in result.pages


def test_a_message_in_doubt_stays_with_the_gateway_that_may_have_it(tmp_path: Path) -> None:
    doubtful = gateway(lambda outgoing, n: "cut" if n <= FAILURES + 2 else "taken")
    result = play(tmp_path, replace(ONE_SHORT, gateway=doubtful))
    assert {times for *_, times in result.arrived} <= {1}
