"""A changed warning line over the fall of early 2024: the simulated difference is that of two actual runs, client by client.

The back office holds real closes of 2024-01-29 to 2024-02-05; contracts at a warning line of 150 % leave it to the firm, so
that the firm's parameter decides. The whole daemon runs twice on it, polls, episodes, delivery and receipts, once at 150 %
and once at 145 %; the simulations see the first run's store alone, its sheets, or only its back office.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from daemon.app_parts import open_sources, worlds_of
from daemon.clock import SHANGHAI, from_micros
from daemon.demo.generator import generate
from daemon.report.diff import difference
from daemon.report.replay import replay
from daemon.report.simulated import NOTHING, SHEETS, SOURCES
from daemon.simulate import Bench
from daemon.sources import Source, SourceConfig
from daemon.store import seals, subjects
from daemon.store.db import Store
from daemon.store.engine import FILE_NAME
from daemon.store.tables import messages, notices
from tests.builders_store import keyring
from tests.world import ROOT, Office, Play, Scenario, at, changed, shipped

pytestmark = pytest.mark.slow

RULE = "margin/maintenance"
DAYS = tuple(date.fromisoformat(f"2024-{d}") for d in ("01-29", "01-30", "01-31", "02-01", "02-02", "02-05"))
FEEDS = frozenset({"contacts", "consents", "margin_day_end", "margin_intraday"})
LINE = ("rules/parameters/margin.yaml", "value: 1.50, reference: FIRM-MARGIN", "value: 1.45, reference: FIRM-MARGIN")

Told = tuple[str, str, str, str, str]
"""Business date, stage, moment, title, text (the account's tail hidden) of a notice that told."""


def fill(office: Office) -> None:
    (office.folder / "counter.sqlite").unlink()
    generate(office.folder, clients=1500, seed=7, days=DAYS, public=ROOT / "config" / "sample")
    office.write("UPDATE margin_contract SET line_warning = '' WHERE line_warning = ?", ("150.00",))


@dataclass(frozen=True)
class Run:
    """An actual run: its folder, and contract -> what its client was told."""

    folder: Path
    told: Mapping[str, frozenset[Told]]


@contextmanager
def opened(folder: Path) -> Iterator[Store]:
    store = Store.open(folder, keyring=keyring(), node="n1")
    try:
        yield store
    finally:
        store.close()


def contracts(store: Store, office: Office) -> dict[int, str]:
    """Number -> contract."""
    with store.read() as tx:
        names = office.read("SELECT credit_account FROM margin_contract")
        return {number: name for name, number in subjects.look_up(tx, "contract", names).items()}


def ran(scenario: Scenario, folder: Path) -> Run:
    play = Play.new(scenario, folder)
    play.run()
    found: dict[str, set[Told]] = {}
    with opened(folder / "state") as store, store.read() as tx:
        names = contracts(store, play.office)
        rows = tx.execute(select(notices).where(notices.c.told_at.is_not(None))).mappings().all()
        for row in rows:
            body = tx.execute(
                select(messages.c.body).where(messages.c.notice == row["id"], messages.c.body.is_not(None)).limit(1)
            ).scalar_one()
            said = json.loads(seals.get(tx, body))
            moment = from_micros(row["told_at"]).astimezone(SHANGHAI).isoformat()
            words = said["title"], hidden(said["description"])
            found.setdefault(names[row["subject"]], set()).add((row["business_date"], row["stage"], moment, *words))
    return Run(folder, {name: frozenset(told) for name, told in found.items()})


def hidden(text: str) -> str:
    """A text with the account's tail as someone sees it who may not see it."""
    return re.sub(r"尾号\d{4}", "尾号****", text)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    folder = tmp_path_factory.mktemp("runs")
    scenario = Scenario(fill, FEEDS, since=at("07:00", DAYS[0]), until=at("23:59", DAYS[-1]), days=DAYS)
    lower = replace(scenario, load_rules=lambda _: changed(*LINE))
    return ran(scenario, folder / "at150"), ran(lower, folder / "at145")


def sources_of(folder: Path) -> dict[str, Source]:
    office = folder / "backoffice"
    counter = SourceConfig.from_mapping("counter", {"type": "sql", "url": f"sqlite:///{office / 'counter.sqlite'}"})
    return open_sources({"counter": counter}, {})


def simulated(
    state: Path, sources: Mapping[str, Source]
) -> tuple[dict[str, Any], dict[str, frozenset[Told]], list[str]]:
    """The difference of the two sets on a store, whom the new set tells by contract, and what it was decided from."""
    old, new = shipped().required(), changed(*LINE).required()
    with opened(state) as store, Bench.open(store, sources, channels=("rcs", "sms"), signature="样例证券") as bench:
        plan = bench.plan([old, new], DAYS[0], DAYS[-1], [RULE])
        before, after = bench.simulate(old, plan), bench.simulate(new, plan)
        names = contracts(bench.scratch, Office(state.parent / "backoffice"))
    told: dict[str, set[Told]] = {}
    for one in after.notices:
        if one.told_at:
            words = one.day, one.stage, one.told_at, one.title, one.text
            told.setdefault(names[one.subject], set()).add(words)
    found = difference(before, after)
    for kind in ("added", "removed", "differently"):
        for row in found["clients"][kind]:
            for side in ("before", "after"):
                for notice in row[side]:
                    notice["contract"] = names[notice["subject"]]
    return found, {name: frozenset(all_) for name, all_ in told.items()}, [one.source for one in after.used]


def by_contract(found: dict[str, Any], side: str) -> dict[str, set[tuple[str, str, str]]]:
    """Contract -> (business date, stage, moment) of the notices that one side has alone."""
    mine: dict[str, set[tuple[str, str, str]]] = {}
    for kind in ("added", "removed", "differently"):
        for row in found["clients"][kind]:
            for notice in row[side]:
                mine.setdefault(notice["contract"], set()).add((notice["day"], notice["stage"], notice["told_at"]))
    return mine


def expected(mine: Run, other: Run) -> dict[str, set[tuple[str, str, str]]]:
    """The same of two actual runs."""
    found = {}
    for contract, told in mine.told.items():
        alone = told - other.told.get(contract, frozenset())
        if alone:
            found[contract] = {one[:3] for one in alone}
    return found


def test_the_two_runs_differ_in_what_they_tell(runs: tuple[Run, Run]) -> None:
    at150, at145 = runs
    levels = [{(c, d, s) for c, told in run.told.items() for d, s, *_ in told} for run in runs]
    assert len(levels[0] - levels[1]) >= 10
    assert len(at150.told) >= 50
    assert sum(map(len, at150.told.values())) != sum(map(len, at145.told.values()))


def test_the_difference_from_kept_sheets_is_that_of_two_actual_runs(runs: tuple[Run, Run]) -> None:
    at150, at145 = runs
    state = at150.folder / "state"
    with opened(state) as store:
        store.quick_check()
    before = digests(state)
    found, told, used = simulated(state, {})
    assert digests(state) == before, "a simulation leaves the store as it was"
    assert set(used) == {SHEETS}
    assert told == at145.told
    assert by_contract(found, "before") == expected(at150, at145)
    assert by_contract(found, "after") == expected(at145, at150)


def test_the_difference_from_the_sources_is_the_same(runs: tuple[Run, Run], tmp_path: Path) -> None:
    at150, at145 = runs
    copy = tmp_path / "copy"
    shutil.copytree(at150.folder, copy)
    shutil.rmtree(copy / "state" / "sheets")
    found, told, used = simulated(copy / "state", sources_of(copy))
    assert set(used) == {SOURCES}
    assert told == at145.told
    assert by_contract(found, "before") == expected(at150, at145)
    assert by_contract(found, "after") == expected(at145, at150)


def test_without_sheets_and_sources_it_says_that_it_knows_nothing(runs: tuple[Run, Run], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(runs[0].folder, copy)
    shutil.rmtree(copy / "state" / "sheets")
    sources = sources_of(copy)
    (copy / "backoffice" / "counter.sqlite").rename(copy / "backoffice" / "away.sqlite")
    new = changed(*LINE).required()
    with opened(copy / "state") as store, Bench.open(store, sources, channels=("rcs",)) as bench:
        found = bench.simulate(new, bench.plan([new], DAYS[0], DAYS[0], [RULE]))
    assert {one.source for one in found.used} == {NOTHING}
    assert all("FileNotFoundError" in one.why and "counter" in one.why for one in found.used)
    assert found.notices == ()


def test_every_line_of_the_actual_run_is_decided_again_as_it_was(runs: tuple[Run, Run]) -> None:
    with opened(runs[0].folder / "state") as store:
        for day in DAYS:
            result = replay(store, worlds_of(store, {}), day)
            assert result.identical
            assert result.of(RULE).lines > 100


def digests(state: Path) -> dict[str, str]:
    """SHA-256 of the database and of every sheet."""
    files = [state / FILE_NAME, *sorted((state / "sheets").rglob("*.sheet"))]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
