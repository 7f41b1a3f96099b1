"""A small world for scenarios: a back office written row by row, the whole daemon on it in stepped time, a fake gateway.

What a kill at some instant would leave on disk is a copy of the folder at that instant; the far side lives on. So a scenario
is played once, copied after every commit and every message taken, and played to its end again from each copy.
"""

from __future__ import annotations

import asyncio
import functools
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, select

from daemon.activation import Rulebook
from daemon.app import App, Parts
from daemon.app_parts import open_sources, ruleset_of
from daemon.children import ChildConfig
from daemon.clock import SHANGHAI, SteppedClock, from_micros
from daemon.deliver import Deliverer
from daemon.deliver.routes import Gateway, Routes
from daemon.demo.counter import ALWAYS, FOREVER, instant, new_counter
from daemon.demo.day_files import day_files
from daemon.demo.files_out import SJSFX, write_csv, write_dbf
from daemon.demo.holdings import WINDOW_COLUMNS, window_rows
from daemon.demo.public import read_public
from daemon.intake import Intake
from daemon.rehearse.inline import InlineChild
from daemon.report.completeness import completeness
from daemon.rules.load import Loaded, load, read_folder
from daemon.schedule import Timetable
from daemon.sources import Source, SourceConfig
from daemon.store import pages, subjects
from daemon.store.db import Store
from daemon.store.tables import messages, notices, tasks
from daemon.world import World, make_world
from tests.builders_store import key_file, keyring, new_store
from tests.fakes import FakeChannel, FarSide

ROOT = Path(__file__).parent.parent
DAY = date(2024, 2, 1)
NEXT_DAY = date(2024, 2, 2)
PRICE = Decimal("22.66")
"""Of 688584, an issue to pay on DAY in Shanghai (config/sample/issues.csv)."""
DEBTS = 1_000_000
LIMIT = 400
"""Passes at one instant; a daemon that is not quiet by then never will be."""


def at(clock: str, day: date = DAY) -> datetime:
    """A moment in Asia/Shanghai, in UTC."""
    return datetime.combine(day, time.fromisoformat(clock), SHANGHAI).astimezone(UTC)


MORNING, END = at("07:00"), at("11:45", NEXT_DAY)


@functools.cache
def shipped() -> Loaded:
    """The shipped rules, loaded once."""
    return load(read_folder(ROOT))


@functools.cache
def changed(name: str, old: str, new: str) -> Loaded:
    """The shipped rules with one text of one file replaced."""
    files = read_folder(ROOT)
    text = files[name].decode()
    assert old in text, (name, old)
    return load(files | {name: text.replace(old, new).encode()})


COMPILED: dict[str, World] = {}
"""Rule sets by digest; store and sources are put in by whoever uses one."""


class Office:
    """The back office of a scenario: one counter, the clearing folder. Text as the counter keeps it; `None` is NULL."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def new(cls, folder: Path) -> Office:
        """An empty one in which the allotments of DAY are complete."""
        made = cls(folder)
        with new_counter(folder / "counter.sqlite") as counter:
            day = DAY.isoformat()
            issue = ("688584", "787584", "上海合晶", "1", "stock", "credit_apply", str(PRICE), "2024-01-30", day, "500")
            counter.add("new_issue", [issue])
            counter.add("settle_state", [(day, b, "1", f"{day}T06:00:00+08:00") for b in ("allotment", "fund")])
        write_dbf(folder / f"sjsfx_{DAY:%Y%m%d}.dbf", SJSFX, [], DAY)
        return made

    def write(self, statement: str, *rows: Sequence[Any]) -> None:
        """Run a statement of one row each."""
        with closing(sqlite3.connect(self.folder / "counter.sqlite")) as db, db:
            db.executemany(statement, rows)

    def read(self, query: str) -> list[Any]:
        """The first column of a query."""
        with closing(sqlite3.connect(self.folder / "counter.sqlite")) as db:
            return [row[0] for row in db.execute(query)]

    def add(self, table: str, *rows: Sequence[Any]) -> None:
        """Insert rows, each with every column; one that is there is replaced."""
        self.write(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", *rows)

    def fund(self, client: str, code: str, day: date) -> None:
        """A holding, and the files of a day with real windows."""
        public, end = read_public(ROOT / "config" / "sample"), "9999-12-31"
        self.add("fund_holding", (client, "98", code, "1000.00", day.isoformat(), end))
        self.add("settle_state", (day.isoformat(), "fund", "1", f"{day}T06:00:00+08:00"))
        day_files(self.folder, 7, public, day, [], Counter())

    def fund_day(self, day: date, change: Callable[[dict[str, str]], dict[str, str] | None] = lambda row: row) -> None:
        """The files of a day; `change` gives each announcement as the day's file has it, or None for one that is not in it."""
        public = read_public(ROOT / "config" / "sample")
        self.add("settle_state", (day.isoformat(), "fund", "1", f"{day}T06:00:00+08:00"))
        day_files(self.folder, 7, public, day, [], Counter())
        rows = [dict(zip(WINDOW_COLUMNS, row, strict=True)) for row in window_rows(public, day)]
        kept = [tuple(new.values()) for row in rows if (new := change(row)) is not None]
        write_csv(self.folder / f"fund_windows_{day:%Y%m%d}.csv", WINDOW_COLUMNS, kept, day)

    def follows(self, client: str, code: str, *, risk_class: str = "C3", assessed: str = "2023-09-01") -> None:
        """The client follows a fund; assessed so."""
        self.add("fund_follow", (client, code, "2023-01-03", "9999-12-31"))
        self.add("risk_assessment", (client, risk_class, assessed))

    def holds(self, client: str, code: str, until: str = "9999-12-31") -> None:
        """The client holds a fund, up to but not with `until`."""
        self.add("fund_holding", (client, "98", code, "1000.00", "2023-01-03", until))

    def client(self, number: int, *, status: str = "0", agreed: str | None = None) -> str:
        """A client with an account in Shanghai, one mobile for cards and texts, and the address a contract agreed."""
        name, phone = f"S{number:010d}", f"10{number:09d}"
        self.add("client", (name, f"样例{number}", "0", status, phone, "C3", "2019-01-02"))
        self.add("stock_account", (f"A1{number:08d}", "1", name, f"{number:012d}"))
        self.add("giveup_record", (name, "0", "0", DAY.isoformat()))
        ways = [("client", phone), *([("agreed", agreed)] if agreed else [])]
        for role, address in ways:
            for channel in ("rcs", "sms"):
                self.add("contact", (name, role, channel, address, "2019-01-02T10:00:00+08:00", "counter"))
        return name

    def won(self, client: str, *versions: tuple[str, int, Decimal | None], until: str = "") -> None:
        """An allotment of 688584: from each time on (quantity, amount or None for one that cannot be read)."""
        starts = [instant(DAY, time.fromisoformat(start)) if start else ALWAYS for start, *_ in versions]
        ends = [*starts[1:], instant(DAY, time.fromisoformat(until)) if until else FOREVER]
        day, account = DAY.isoformat(), f"A1{client[-8:]}"
        for (_, quantity, amount), start, end in zip(versions, starts, ends, strict=True):
            value = "unreadable" if amount is None else str(amount)
            row = (day, client, account, "1", "787584", "688584", "上海合晶", "stock", str(quantity), str(PRICE), value)
            self.add("sh_allotment", (*row, day, start, end))

    def cash(self, client: str, *versions: tuple[str, str | None]) -> None:
        """The balance from each time on; None where the counter has no figure."""
        starts = [instant(DAY, time.fromisoformat(start)) if start else ALWAYS for start, _ in versions]
        for (_, amount), start, end in zip(versions, starts, [*starts[1:], FOREVER], strict=True):
            self.add("cash_balance_at", (client, client[-9:].zfill(12), amount, start, end))

    def contract(self, number: str, client: str, channels: str = "rcs,sms") -> None:
        """A margin contract with lines of 150, 130 and 110 %, target 150 %, two sessions."""
        lines = ("170", "150", "130", "150", "110", "2", "business_date", "counter")
        self.add("margin_contract", (client, number, *lines, channels, "0", "2023-09"))

    def valued(self, clock: str, ratios: Mapping[str, tuple[str, str | None]], basis: str = "intraday", day: date = DAY,
               cured: Sequence[str] = ()) -> None:  # fmt: skip
        """A valuation: contract -> (client, ratio in percent, or None for one that is missing)."""
        when, text = instant(day, time.fromisoformat(clock)), day.isoformat()
        for contract, (client, percent) in ratios.items():
            assets = Decimal(percent or "120") * DEBTS / 100
            figures = ("0.00", f"{assets:.2f}", "0.00", f"{DEBTS}.00", "0.00", "0.00")
            row = (text, basis, when, contract, client, *figures, percent, "1" if contract in cured else "0", when)
            self.add("margin_assets", row)
        self.add("margin_valuation", (text, basis, when, str(len(ratios))))
        if basis == "day_end":
            self.add("settle_state", (text, "margin", "1", when))


class Flaky:
    """A source that fails when `broken` (now, whether it is asked by key) gives an error to raise."""

    def __init__(self, inner: Source, broken: Callable[[datetime, bool], Exception | None]) -> None:
        self.inner, self.broken, self.name = inner, broken, inner.name

    def read(self, part: Any, **when: Any) -> Any:
        self._check(when["now"], asking=False)
        return self.inner.read(part, **when)

    def ask(self, part: Any, keys: Any, **when: Any) -> Any:
        self._check(when["now"], asking=True)
        return self.inner.ask(part, keys, **when)

    def fingerprint(self, part: Any) -> str:
        return self.inner.fingerprint(part)

    def _check(self, now: datetime, *, asking: bool) -> None:
        error = self.broken(now, asking)
        if error is not None:
            raise error


class SteppedStore(Store):
    """A store that says when something is committed, and leaves the lock without resting."""

    step: Callable[[], None] = staticmethod(lambda: None)

    def _commit(self, tx: Connection) -> None:
        super()._commit(tx)
        self.step()


class HereApp(App):
    """The daemon without a server, with rule sets compiled once for all scenarios and only the feeds of this one."""

    def __init__(self, parts: Parts, feeds: frozenset[str]) -> None:
        super().__init__(parts)
        self.feeds = feeds
        self.deliverer.close()
        known: dict[str, World] = {}

        def worlds(digest: str) -> World:
            if digest not in known:
                known[digest] = _world(self.store, digest, parts.sources)
            return known[digest]

        self.worlds = worlds
        self.deliverer = Deliverer(self.store, parts.routes, worlds, self.clock)
        self.intake = Intake(self.store, worlds)

    async def pass_(self) -> int:
        """One pass, and the publication it began: a copy of the folder holds the log as one instant left it."""
        done = await super().pass_()
        await self.publication.settled()
        return done

    def timetable(self) -> Timetable:
        found = super().timetable()
        found.entries = [one for one in found.entries if one.feed.name in self.feeds]
        return found


def _world(store: Store, digest: str, sources: Mapping[str, Source]) -> World:
    if digest not in COMPILED:
        COMPILED[digest] = make_world(store, ruleset_of(store, digest), sources)
    return replace(COMPILED[digest], store=store, sources=sources)


class _NoServer:
    """Stands where the callbacks' server stands: receipts come to the intake without HTTP."""

    port = 0

    async def stop(self) -> None:
        """Nothing to stop."""


async def _no_server(*_: object, **__: object) -> _NoServer:
    return _NoServer()


@dataclass(frozen=True)
class Scenario:
    """What is played. `fill` writes the back office; `acts`: at an instant, something done to the running world, harmless when
    done twice; `feeds`: those polled; `databases`: further SQL sources, each NAME.sqlite in the back office's folder; `spare`
    makes a second gateway of each channel, whose receipts never come."""

    fill: Callable[[Office], None]
    feeds: frozenset[str]
    acts: Sequence[tuple[datetime, Callable[[Play], None]]] = ()
    gateway: Callable[[FarSide], FakeChannel] = lambda far: FakeChannel(far=far)
    spare: Callable[[FarSide], FakeChannel] | None = None
    broken: Callable[[datetime, bool], Exception | None] = lambda now, asking: None
    since: datetime = MORNING
    until: datetime = END
    days: tuple[date, ...] = (DAY,)
    children: bool = False
    doubt_wait: timedelta = timedelta(seconds=60)
    load_rules: Callable[[Path], Loaded] = lambda folder: shipped()
    databases: tuple[str, ...] = ()
    clock: Callable[[datetime], Any] = SteppedClock


@dataclass
class Copy:
    """What a kill after one step leaves: the folder, the far side, the moment."""

    folder: Path
    far: FarSide
    now: datetime


@dataclass
class Play:
    """One life of a scenario's daemon on a folder."""

    scenario: Scenario
    folder: Path
    now: datetime
    far: FarSide = field(default_factory=FarSide)
    wanted: Callable[[int], bool] = lambda step: False
    steps: int = 0
    copies: list[Copy] = field(default_factory=list)
    url: str = ""

    @classmethod
    def new(cls, scenario: Scenario, folder: Path, *, url: str = "", **more: Any) -> Self:
        """A new installation with its back office; with a url, its store in that database."""
        new_store(folder / "state", url=url).close()
        (folder / "keys.json").write_bytes(key_file())
        (folder / "keys.json").chmod(0o600)
        scenario.fill(Office.new(folder / "backoffice"))
        return cls(scenario, folder, scenario.since, url=url, **more)

    def run(self) -> Result:
        """Play from here to the end of the scenario."""
        return asyncio.run(self._life())

    async def _life(self) -> Result:
        self.clock = self.scenario.clock(self.now)
        self.channel = self.scenario.gateway(self.far)
        self.store = SteppedStore.open(self.folder / "state", keyring=keyring(), node="n1", url=self.url)
        self.store.rest = lambda held: None
        self.app = HereApp(self._parts(), self.scenario.feeds)
        await self.app.start()
        if not self.scenario.children:
            self.app.polls.children = [InlineChild(self.app.worlds)]
        self.store.step = self._step
        self.channel.step = self._step
        try:
            await self._steps()
            self.store.step = self.channel.step = lambda: None
            self._prove()
            return Result.of(self)
        finally:
            self.store.step = self.channel.step = lambda: None
            await self.app.close()

    def _prove(self) -> None:
        """However a life went, its rows are those that its trail tells of, and every reading adds up."""
        for day in self.scenario.days:
            found = completeness(self.store, lambda digest: self.app.worlds(digest).ruleset, day)
            assert not found.findings, found.findings
            assert not (found.unreconciled or found.twice or found.gaps), day

    def _parts(self) -> Parts:
        configs = {
            "counter": SourceConfig.from_mapping(
                "counter", {"type": "sql", "url": f"sqlite:///{self.folder / 'backoffice' / 'counter.sqlite'}"}
            ),
            "clearing": SourceConfig.from_mapping(
                "clearing",
                {"type": "files", "folder": str(self.folder / "backoffice"), "complete": {"flag": "{stem}.flg"}},
            ),
        }
        for name in self.scenario.databases:
            address = f"sqlite:///{self.folder / 'backoffice' / f'{name}.sqlite'}"
            configs[name] = SourceConfig.from_mapping(name, {"type": "sql", "url": address})
        sources: dict[str, Source] = open_sources(configs, {})
        sources = {name: Flaky(one, self.scenario.broken) for name, one in sources.items()}  # type: ignore[misc]
        (self.folder / "heads").mkdir(exist_ok=True)
        child = ChildConfig(self.folder / "state", self.folder / "keys.json", None, "n1-poll", "", configs)
        return Parts(
            store=self.store,
            clock=self.clock,
            sources=sources,
            routes=self._routes(),
            children=child,
            rules=Rulebook(lambda: self.scenario.load_rules(self.folder)),
            log_dir=self.folder / "trail",
            heads=self.folder / "heads" / "heads.db",
            origin="test.example/trail",
            poll_children=2 if self.scenario.children else 0,
            covers=lambda feed, day: feed in self.scenario.feeds and day in self.scenario.days,
            since=self.scenario.since,
            listen=_no_server,
        )

    def _routes(self) -> Routes:
        several = [self.channel, *([self.scenario.spare(self.far)] if self.scenario.spare else [])]
        gateways = {
            one.name: Gateway(one, timeout=5, doubt_wait=self.scenario.doubt_wait, signature="样例证券")
            for one in several
        }
        return Routes(gateways, {"rcs": tuple(gateways), "sms": tuple(gateways)})

    @property
    def office(self) -> Office:
        """The back office of this life."""
        return Office(self.folder / "backoffice")

    async def _steps(self) -> None:
        while True:
            for when, act in self.scenario.acts:
                if when == self.clock.now():
                    await asyncio.to_thread(act, self)
            await self._quiet()
            now = self.clock.now()
            acts = [when for when, _ in self.scenario.acts if when > now]
            found = [self.app.next_instant(), self.channel.next_instant(now), *acts]
            following = min((f for f in found if f is not None), default=None)
            if following is None or following > self.scenario.until:
                return
            self.now = following
            self.clock.set(following)

    async def _quiet(self) -> None:
        for _ in range(LIMIT):
            done = await self.app.pass_()
            while self.app.busy:
                await asyncio.sleep(0.002)
                done += await self.app.pass_()
            receipts = self.channel.due(self.clock.now())
            if receipts:
                await asyncio.to_thread(self.app.intake.keep, "fake", receipts, self.clock.now())
                self.channel.acknowledge(receipts)
            elif not done:
                return
        raise AssertionError(
            f"at {self.clock.now().isoformat()} the daemon still finds something to do after {LIMIT} passes"
        )

    def _step(self) -> None:
        self.steps += 1
        if self.wanted(self.steps):
            folder = self.folder.with_name(f"{self.folder.name}-{self.steps}")
            shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("*-shm"))
            self.copies.append(Copy(folder, self.channel.far.copy(), self.now))


@dataclass(frozen=True)
class Notice:
    """A notice as a scenario compares it."""

    rule: str
    who: str
    stage: str
    occurrence: str
    outcome: str | None
    why: str
    served: str | None
    correction_of: str = ""

    @property
    def short(self) -> tuple[str, str | None]:
        return self.stage, self.outcome


@dataclass(frozen=True)
class Result:
    """How a scenario ended: what arrived (recipient, channel, text, times), notices, tasks for a person, polls."""

    arrived: tuple[tuple[str, str, str, int], ...]
    notices: tuple[Notice, ...]
    tasks: tuple[tuple[str, str], ...]
    messages: tuple[tuple[str, str, str], ...]
    told_at: Mapping[str, str]
    pages: tuple[str, ...] = ()

    @classmethod
    def of(cls, play: Play) -> Result:
        """Read it from the far side and from the store."""
        far = play.channel.far.taken.values()
        arrived = sorted((one.recipient, one.channel, one.text, one.times) for one in far)
        with play.store.read() as tx:
            who = _names(tx, play.office)
            rows = tx.execute(select(notices)).mappings().all()
            by_id = {row["id"]: row for row in rows}
            made = sorted(
                (
                    Notice(
                        row["rule"],
                        who[row["subject"]],
                        row["stage"],
                        row["occurrence"],
                        row["outcome"],
                        row["outcome_why"] or "",
                        row["served"],
                        by_id[row["correction_of"]]["stage"] if row["correction_of"] else "",
                    )
                    for row in rows
                ),
                key=lambda n: (n.rule, n.who, n.occurrence, n.stage),
            )
            open_tasks = sorted(
                (_name(row["key"], by_id), row["reason"]) for row in tx.execute(select(tasks)).mappings()
            )
            sent = sorted(
                (by_id[row["notice"]]["stage"], row["channel"], row["state"])
                for row in tx.execute(select(messages)).mappings()
            )
            told = {
                f"{who[row['subject']]} {row['stage']}": f"{from_micros(row['told_at']).astimezone(SHANGHAI):%H:%M}"
                for row in rows
                if row["told_at"] is not None
            }
            called = sorted(row["key"] for row in pages.pages_of(tx))
        return cls(tuple(arrived), tuple(made), tuple(open_tasks), tuple(sent), told, tuple(called))

    def stages(self, who: str) -> dict[str, str | None]:
        """Stage -> outcome of one subject's notices."""
        return {n.stage: n.outcome for n in self.notices if n.who == who}

    def texts(self, recipient: str) -> list[str]:
        """What one handset shows, in no order."""
        return [text for to, _, text, _ in self.arrived if to == recipient]


def _name(key: str, by_id: Mapping[str, Any]) -> str:
    """A task's key without ids: what for, and the stage."""
    kind, _, about = key.partition(":")
    return f"{kind}:{by_id[about]['stage']}" if about in by_id else (key if len(about) < 32 else kind)


def _names(tx: Connection, office: Office) -> dict[int, str]:
    with closing(sqlite3.connect(office.folder / "counter.sqlite")) as db:
        clients = [row[0] for row in db.execute("SELECT client_id FROM client")]
        contracts = [row[0] for row in db.execute("SELECT credit_account FROM margin_contract")]
    found = subjects.look_up(tx, "client", clients) | subjects.look_up(tx, "contract", contracts)
    return {number: name for name, number in found.items()}


def phone(number: int) -> str:
    """The mobile of `Office.client(number)`."""
    return f"10{number:09d}"


def killed(
    scenario: Scenario, folder: Path, wanted: Callable[[int], bool]
) -> tuple[Result, Iterator[tuple[int, Result]]]:
    """The scenario's end without a kill, and its end after a kill at each wanted step."""
    whole = Play.new(scenario, folder / "w", wanted=wanted)
    result = whole.run()

    def after() -> Iterator[tuple[int, Result]]:
        for copied in whole.copies:
            step = int(copied.folder.name.partition("-")[2])
            yield step, Play(scenario, copied.folder, copied.now, copied.far).run()
            shutil.rmtree(copied.folder)

    return result, after()
