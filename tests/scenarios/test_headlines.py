"""Told or not, and the first thing that made it so: one day for each thing that can keep a notice from a client.

Each case is a day played on the whole daemon; its headline is read as `rules explain` reads it, then said in both languages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.channels.channel import ReceiptKind
from daemon.cli.headlines import SENTENCES, sentence
from daemon.cli.screen import Screen
from daemon.demo.counter import ALWAYS, FOREVER
from daemon.errors import SourceUnavailable
from daemon.report.explain import ClientDay, asked_cause, explain
from daemon.report.headline import CODES, Headline, headlines
from daemon.store import acts, erasure, rulesets
from daemon.store.db import Store
from daemon.world import World
from tests.builders_store import keyring
from tests.fakes import FakeChannel
from tests.scenarios import plays
from tests.scenarios.plays import BASE, INTRADAY, LOT, ONE, RICH, SCENARIOS, STAYS_SHORT, TWO, capped, payer
from tests.world import DAY, END, PRICE, Office, Play, Scenario, _world, at

PAYMENT, MARGIN = "ipo/payment", "margin/maintenance"


@dataclass(frozen=True)
class Case:
    """A day, of whom and under which rule it is asked at which moment, and what the headline must be. `says`: what both
    sentences must name; `after`: what is done to the store when the day is over."""

    code: str
    scenario: Scenario
    client: str = ONE
    rule: str = PAYMENT
    cause: tuple[str, str] | None = None
    says: tuple[str, ...] = ()
    now: datetime = END
    after: Callable[[Store], None] = lambda store: None


def unreadable(office: Office) -> None:
    """A payer of whose allotment the quantity cannot be read."""
    payer([("", 500, LOT)], [("", RICH)])(office)
    office.write("UPDATE sh_allotment SET business_amount = ?", ("many",))


def unreadable_beside(office: Office) -> None:
    """The same, with another allotment that can be read."""
    unreadable(office)
    other = ("787584", "688584", "上海合晶", "stock", "500", str(PRICE), str(LOT), DAY.isoformat(), ALWAYS, FOREVER)
    office.add("sh_allotment", (DAY.isoformat(), ONE, f"A1{ONE[-8:]}", "9", *other))


def stranger(fill: Callable[[Office], None]) -> Callable[[Office], None]:
    """The same back office, with a second client who has nothing."""

    def filled(office: Office) -> None:
        fill(office)
        office.client(2)

    return filled


def stop(play: Play) -> None:
    with play.store.write() as tx:
        if not acts.stops_of(tx):
            acts.stop(tx, PAYMENT, by="wang", reason="wrong price", now=play.clock.now(), rule_set=None)


def ratio(percent: str | None) -> Callable[[Office], None]:
    def fill(office: Office) -> None:
        client = office.client(1)
        office.contract("9000000001", client)
        office.valued("10:00", {"9000000001": (client, percent)})

    return fill


def erase(store: Store) -> None:
    with store.write() as tx:
        found = erasure.due(tx, DAY + timedelta(days=5000), {})
        assert found
        erasure.erase(tx, found, now=END)


def sheets_away(store: Store) -> None:
    for path in store.folder.glob("sheets/*/*ipo*"):
        path.unlink()


def sheets_cut(store: Store) -> None:
    for path in store.folder.glob("sheets/*/*ipo*"):
        path.write_bytes(path.read_bytes()[:-1])


def down(now: datetime, asking: bool) -> Exception | None:
    return SourceUnavailable("source counter: cannot be reached")


def fails(far: Any) -> FakeChannel:
    return FakeChannel(far=far, course=lambda outgoing: ((timedelta(seconds=5), ReceiptKind.FAILED),))


TODAY = replace(BASE, until=at("19:00"))
SHORT_DAY = replace(TODAY, fill=stranger(STAYS_SHORT))
BUSY, REFUSED = plays.gateway(lambda outgoing, request: "busy"), plays.gateway(lambda outgoing, request: "refused")
MARGIN_DAY = Scenario(ratio("200.000000"), INTRADAY, until=at("11:40"))
CONSENTED = SCENARIOS["a consent given"]
MORNING = replace(BASE, fill=STAYS_SHORT, until=at("07:40"))

CASES: dict[str, Case] = {
    "told": Case("told", SHORT_DAY, says=("rcs", "morning")),
    "a key that nobody has": Case("never_seen", SHORT_DAY, client="nobody"),
    "in no population": Case("not_in_population", SHORT_DAY, client=TWO, says=("allotments",)),
    "a rule that is not in force": Case("no_such_rule", SHORT_DAY, rule="ipo/new"),
    "a rejected row": Case("rejected", replace(MORNING, fill=unreadable), says=("business_amount",)),
    "one of two rows rejected": Case(
        "not_whole", replace(MORNING, fill=unreadable_beside), cause=("whole", "whole"), says=("business_amount",)
    ),
    "a figure that is missing": Case(
        "indeterminate", replace(MARGIN_DAY, fill=ratio(None)), rule=MARGIN, says=("counter_ratio",)
    ),
    "above every line": Case(
        "no_match", MARGIN_DAY, rule=MARGIN, cause=("level", "levels.attention.when"), says=("1.7", "2")
    ),
    "silenced": Case(
        "suppressed", replace(MORNING, acts=((at("07:20"), plays.silence),)), cause=("gate", "silence"), says=("test",)
    ),
    "stopped": Case("suppressed", replace(MORNING, acts=((at("07:20"), stop),)), cause=("gate", "stopped")),
    "refused by the client": Case("suppressed", replace(CONSENTED, acts=CONSENTED.acts[:1]), rule="fund/open_window"),
    "a rule's own hold": Case("held", replace(MORNING, fill=plays.unpriced), cause=("gate", "declared")),
    "a poll held": Case(
        "held_poll",
        replace(SCENARIOS["a source that doubles"], acts=(), until=at("11:55")),
        client=TWO,
        says=("at most 1",),
    ),
    "before its instant": Case("waiting", MORNING, now=at("07:40"), says=("08:00:00", "morning")),
    "the platform is busy": Case(
        "retrying", replace(MORNING, gateway=BUSY, until=at("08:03")), now=at("08:03"), says=("rcs",)
    ),
    "refused by the carrier": Case(
        "undeliverable", replace(TODAY, fill=STAYS_SHORT, gateway=REFUSED), says=("permanent",)
    ),
    "failed on the way": Case("undeliverable", replace(TODAY, fill=STAYS_SHORT, gateway=fails), says=("sms",)),
    "nobody to write to": Case("undeliverable", SCENARIOS["a minor without a guardian"], says=("no contact",)),
    "gone before it was due": Case(
        "cancelled", SCENARIOS["deceased by the time it is due"], cause=("gate", "status"), says=("deceased",)
    ),
    "gone when it was due": Case(
        "resting",
        replace(SCENARIOS["deceased by the time it is due"], until=at("08:10")),
        now=at("08:10"),
        cause=("gate", "status"),
    ),
    "too late": Case("expired", SCENARIOS["a file lands after every stage"], says=("16:05",)),
    "a file that never lands": Case("poll_late", SCENARIOS["a file never lands"], says=("allotments", "sjsfx")),
    "a source that is down": Case(
        "poll_failed",
        replace(MORNING, broken=lambda now, asking: down(now, asking) if now >= at("07:20") else None),
        says=("cannot be reached",),
    ),
    "not in force yet": Case(
        "not_effective",
        replace(MORNING, load_rules=capped("rules/ipo/payment.yaml", "effective: 2017-09-08", "effective: 2024-06-03")),
    ),
    "kept no more": Case("erased", SHORT_DAY, client=TWO, after=erase, says=("400",)),
    "a sheet that is gone": Case("gone", SHORT_DAY, client=TWO, after=sheets_away),
    "a sheet that was cut": Case("changed", SHORT_DAY, client=TWO, after=sheets_cut),
}


def played(name: str, base: Path) -> tuple[Headline, ClientDay]:
    """Play a case's day and read its headline."""
    case = CASES[name]
    play = Play.new(case.scenario, base / "w")
    play.run()
    store = Store.open(play.folder / "state", keyring=keyring(), node="n1")
    try:
        case.after(store)

        def worlds(digest: str) -> World:
            return _world(store, digest, {})

        digest = _active(store)
        found = explain(store, worlds, digest, case.client, case.scenario.days[0], case.rule)
        listed = headlines(found, worlds(digest).ruleset, case.rule, case.now, lambda s: asked_cause(store, worlds, s))
        return listed[0], found
    finally:
        store.close()


def _active(store: Store) -> str:
    with store.read() as tx:
        active = rulesets.active(tx)
    assert active is not None
    return active.digest


QUICK = (
    "told", "in no population", "a rejected row", "a figure that is missing", "above every line", "silenced", "a rule's own hold",
    "before its instant", "a source that is down", "not in force yet", "kept no more", "a sheet that is gone",
)  # fmt: skip
"""Played in every run of the tests; the rest in the slow ones."""


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_the_headline_is_the_first_thing_that_made_it_so(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    found, story = played(name, tmp_path)
    assert found.code == case.code, (found, story.notices)
    assert found.told == (case.code == "told")
    if case.cause is not None:
        assert found.cause is not None
        assert (found.cause.kind, found.cause.key) == case.cause
    zh, en = sentence(Screen("zh"), found), sentence(Screen("en"), found)
    assert "{" not in zh + en
    assert zh != en
    for word in case.says:
        assert word in zh, zh
        assert word in en, en


def test_every_code_has_a_sentence_in_both_languages() -> None:
    assert set(SENTENCES) == set(CODES)


def test_without_a_rule_set_in_force_no_rule_tells() -> None:
    found = ClientDay(DAY, 7, (7,))
    assert [one.code for one in headlines(found, None, PAYMENT, END)] == ["no_such_rule"]


def test_a_day_without_polls_says_so() -> None:
    ruleset = plays.shipped().ruleset
    found = ClientDay(DAY, 7, (7,))
    assert [one.code for one in headlines(found, ruleset, PAYMENT, END)] == ["no_poll"]
