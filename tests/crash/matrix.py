"""Every fail point x seeds x carriers: a process killed there with SIGKILL, another that goes on.

In the end the carrier's ledger is held against ours. A life is a process forked from one that has imported everything. The far
side (tests/fakes.py) is written to a file with each request and receipt, so it outlives the lives; so does the moment. Three
carriers:

    honours   takes a message id once, whatever is repeated
    asked     would double a repeat, but says whether it has a message
    blind     would double a repeat, and says nothing; like `asked` it reports no message whose answer was lost

The scenario has three payments (one handset is off: revoke, then SMS; one answer is lost) and a margin call that comes at night.
"""

from __future__ import annotations

import os
import pickle
import random
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from daemon import failpoints
from daemon.audit.checkpoint import VerifierKey
from daemon.audit.folder import verify_folder
from daemon.channels.channel import Outgoing, ReceiptKind, Verdict, at_once
from daemon.report.sheets_live import sheets_of_store
from daemon.store.tables import attempts, messages
from tests.builders_store import keyring, new_store
from tests.fakes import Answer, Course, FakeChannel, FarSide
from tests.scenarios.plays import LOT
from tests.world import COMPILED, DAY, Office, Play, Result, Scenario, Store, at, make_world, phone, shipped

CARRIERS = ("honours", "asked", "blind")
OFF, LOST = phone(2), phone(3)
"""The handset that is off; the recipient of the message whose answer is lost."""
SOON = timedelta(seconds=5)
LAST = date(2024, 2, 6)
"""The day after the last deadline."""


def fill(office: Office) -> None:
    """Three clients who must pay, the second one's handset is off; one of them has a margin contract below its line at night."""
    for number in (1, 2, 3):
        client = office.client(number)
        office.won(client, ("", 500, LOT))
        office.cash(client, ("", "1000.00"))
    office.contract("900000000001", "S0000000001")
    office.valued("19:00", {"900000000001": ("S0000000001", "120")}, basis="day_end")


def answers(outgoing: Outgoing, request: int) -> Answer:
    """One recipient's cards are taken, their answers lost."""
    return "lost" if outgoing.recipient == LOST and outgoing.channel == "rcs" else "taken"


def arriving(outgoing: Outgoing) -> Course:
    """Cards for the handset that is off wait; everything else arrives."""
    return () if outgoing.recipient == OFF and outgoing.channel == "rcs" else ((SOON, ReceiptKind.DELIVERED),)


def silent_when_lost(outgoing: Outgoing) -> Course:
    """As `arriving`, but the lost ones are never reported."""
    return () if outgoing.recipient == LOST and outgoing.channel == "rcs" else arriving(outgoing)


class Kept(FakeChannel):
    """Writes its far side after whatever changes it, before anything is answered."""

    file: Path

    async def send(self, outgoing: Outgoing, *, now: datetime, may_begin: Callable[[], bool] = at_once) -> Verdict:
        verdict = await super().send(outgoing, now=now, may_begin=may_begin)
        self._keep()
        return verdict

    async def revoke(self, platform_id: str, recipient: str, *, now: datetime) -> Verdict:
        verdict = await super().revoke(platform_id, recipient, now=now)
        self._keep()
        return verdict

    def acknowledge(self, receipts: Sequence[Any]) -> None:
        super().acknowledge(receipts)
        self._keep()

    def _keep(self) -> None:
        beside = self.file.with_suffix(".new")
        beside.write_bytes(pickle.dumps(self.far))
        beside.rename(self.file)


def channel(carrier: str, far: FarSide, file: Path) -> Kept:
    """The gateway before a carrier's far side."""
    course = arriving if carrier == "honours" else silent_when_lost
    made = Kept(
        far=far,
        answers=answers,
        course=course,
        repeat="yes" if carrier == "honours" else "no",
        revokes=carrier == "honours",
        queried=carrier == "asked",
    )
    made.file = file
    return made


class Life(Play):
    """A play whose moment outlives it."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "now":
            (self.folder / "now").write_text(value.isoformat())


def scenario(carrier: str, file: Path) -> Scenario:
    """The scenario over one carrier."""
    feeds = frozenset({"contacts", "consents", "allotments", "margin_day_end"})
    return Scenario(fill, feeds, gateway=lambda far: channel(carrier, far, file), until=at("18:00", LAST), days=(DAY,))


@dataclass
class End:
    """How a case ended. `requests`: message id -> how often the carrier took it."""

    result: Result
    requests: dict[str, int]
    attempted: set[str]
    doubted: int
    ever_doubted: int
    trail: list[str]


@dataclass
class Case:
    """One installation on which lives are lived."""

    carrier: str
    folder: Path
    url: str = ""

    @property
    def file(self) -> Path:
        return self.folder / "far"

    def begin(self) -> None:
        """Lay it out, in a process of its own."""
        self.folder.mkdir(parents=True)
        self._forked(lambda: Life.new(scenario(self.carrier, self.file), self.folder, url=self.url) and None)

    def live(self, fail_at: str = "", count: bool = False) -> tuple[int, Any]:
        """A life from where it is; the signal that ended it (0: none), and what it says at its end."""
        return self._forked(lambda: self._life(count), fail_at)

    def _life(self, count: bool) -> Any:
        seen: Counter[str] = Counter()
        if count:
            failpoints.reached = lambda name: seen.update([name])
        far = pickle.loads(self.file.read_bytes()) if self.file.exists() else FarSide()
        now = datetime.fromisoformat((self.folder / "now").read_text())
        play = Life(scenario(self.carrier, self.file), self.folder, now, far, url=self.url)
        result = play.run()
        store = Store.open(self.folder / "state", keyring=keyring(), node="n1", url=self.url)
        try:
            return self._end(store, result, play.channel.far), seen
        finally:
            store.close()

    def _end(self, store: Store, result: Result, far: FarSide) -> End:
        with store.read() as tx:
            attempted = set(tx.execute(select(attempts.c.message)).scalars())
            count = select(func.count()).select_from(messages)
            doubted = tx.execute(count.where(messages.c.state == "in_doubt")).scalar() or 0
            ever = tx.execute(count.where(messages.c.ever_in_doubt.is_(True))).scalar() or 0
        keys = [VerifierKey("test.example/trail", key.public) for key in store.keyring.signing_keys]
        report = verify_folder(self.folder / "trail", keys, seen=None, sheets=sheets_of_store(store))
        bad = [f"{check.name}: {check.detail}" for check in report.checks if check.ok is False]
        requests = {id: len(one.hashes) for id, one in far.taken.items()}
        return End(result, requests, attempted, doubted, ever, bad)

    def in_sending(self) -> int:
        """How many messages a kill left in `sending`."""

        def ask() -> int:
            store = Store.open(self.folder / "state", keyring=keyring(), node="n1", url=self.url)
            with store.read() as tx:
                query = select(func.count()).select_from(messages).where(messages.c.own == "sending")
                found = tx.execute(query).scalar()
            store.close()
            return found or 0

        code, found = self._forked(ask)
        assert code == 0
        return int(found)

    def _forked(self, work: Any, fail_at: str = "") -> tuple[int, Any]:
        """Run in a forked process; (signal that killed it, what it returned). An error there is raised here."""
        answer = self.folder / "answer"
        answer.unlink(missing_ok=True)
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            code = 1
            try:
                if fail_at:
                    os.environ[failpoints.VARIABLE] = fail_at
                answer.write_bytes(pickle.dumps(work()))
                code = 0
            except BaseException:
                (self.folder / "error").write_text(traceback.format_exc())
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            return os.WTERMSIG(status), None
        if os.waitstatus_to_exitcode(status):
            raise AssertionError((self.folder / "error").read_text())
        return 0, pickle.loads(answer.read_bytes())


@dataclass
class Found:
    """What one case showed against the life that nobody killed."""

    lost: int = 0
    doubled: int = 0
    unaccounted: int = 0
    doubts: int = 0
    allowed: int = 0
    wrong: list[str] = field(default_factory=list)


def compare(carrier: str, whole: End, end: End, in_sending: int) -> Found:
    """Lost: somebody is told less, and no doubt says so. Doubled: a handset got a message twice. Unaccounted: a notice without an
    outcome, or a message the carrier has without an attempt of ours. Wrong, too: a doubt that nobody hears of, more doubts
    than requests under way, a log that does not verify."""
    found = Found(doubts=end.ever_doubted - whole.ever_doubted, allowed=in_sending, wrong=list(end.trail))

    def told(result: Result) -> set[tuple[str, str]]:
        return {(to, text.partition("\n")[0]) for to, _, text, _ in result.arrived}

    missing = told(whole.result) - told(end.result)
    flagged = end.ever_doubted if carrier == "blind" else 0
    found.lost = max(0, len(missing) - flagged)
    found.doubled = sum(times > 1 for *_, times in end.result.arrived)
    silent = [notice for notice in end.result.notices if notice.outcome is None]
    strangers = set(end.requests) - end.attempted
    found.unaccounted = len(silent) + len(strangers)
    doubt_tasks = sum(task.startswith("doubt") for task, _ in end.result.tasks)
    if end.doubted > doubt_tasks:
        found.wrong.append(f"{end.doubted} messages in doubt, {doubt_tasks} tasks say so")
    if found.doubts > in_sending:
        found.wrong.append(f"{found.doubts} more in doubt than without a kill, {in_sending} were in `sending`")
    if carrier != "blind" and end.result.notices != whole.result.notices:
        found.wrong += [f"notice: {one}" for one in set(whole.result.notices) ^ set(end.result.notices)]
    found.wrong += [f"not told: {one}" for one in sorted(missing)] if found.lost else []
    found.wrong += [f"no outcome: {one}" for one in silent] + [f"never attempted: {one}" for one in strangers]
    return found


def warm(folder: Path) -> None:
    """Compile the rules in this process, so that no life has to."""
    ruleset, store = shipped().required(), new_store(folder)
    COMPILED[ruleset.digest] = make_world(store, ruleset, {})
    store.close()


def counts_of(carrier: str, folder: Path, url: str = "") -> tuple[End, Counter[str]]:
    """The life that nobody kills, and how often it passes each point."""
    case = Case(carrier, folder, url)
    case.begin()
    code, (end, seen) = case.live(count=True)
    assert code == 0
    return end, seen


def kill(case: Case, point: str, seen: Counter[str], seed: int, whole: End) -> Found | None:
    """One case: killed at a drawn passing of the point, every third seed once more at another point; None where the carrier's
    scenario never passes the point."""
    if not seen[point]:
        return None
    draw = random.Random(f"{seed}/{case.carrier}/{point}")
    case.begin()
    code, _ = case.live(f"{point}:{draw.randint(1, seen[point])}")
    assert code == signal.SIGKILL, f"{point} was not reached: {code}"
    sending = case.in_sending()
    if seed % 3 == 2:
        other = draw.choice(sorted(name for name in seen if seen[name]))
        code, done = case.live(f"{other}:1")
        sending += case.in_sending() if code else 0
        if not code:
            return compare(case.carrier, whole, done[0], sending)
    code, done = case.live()
    assert code == 0
    return compare(case.carrier, whole, done[0], sending)


def cases(points: Sequence[str], carriers: Sequence[str], seeds: Sequence[int]) -> Iterator[tuple[str, str, int]]:
    """Every (carrier, point, seed)."""
    return ((carrier, point, seed) for carrier in carriers for point in points for seed in seeds)
