"""`duenotice status`: what runs, what was due and did not run, what became of a day, what waits."""

from __future__ import annotations

import argparse
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli import place
from daemon.cli.place import screen_of
from daemon.cli.screen import at
from daemon.errors import CalendarEnd

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from daemon.report.funnel import RuleFunnel
    from daemon.rules.reviews import Review
    from daemon.settings import Settings
    from daemon.store.db import Store
    from daemon.store.gates_rows import Hold
    from daemon.store.ledger import Poll


def add(parsers: Any) -> None:
    """The parser of `status`."""
    text = "What runs, polls due, late and missed, the funnel of a day by rule, backlog, holds, tasks, next deadlines."
    parser = parsers.add_parser("status", help=text, description=text)
    parser.add_argument(
        "--day", type=place.day, metavar="DATE", help="business date; default: today, or the newest one before it"
    )
    place.listing(parser)


def go(args: argparse.Namespace) -> int:
    """Read everything in a few snapshots; 1 while something waits for a person: a poll late, failed or held, an open hold,
    an overdue review of the active set, an emergency start."""
    from daemon.cli.status_screen import print_status

    settings = place.settings_of(args)
    screen = screen_of(args)
    now = place.now()
    with place.store_of(settings) as store:
        found = read(settings, store, now, args.day)
    if args.json:
        screen.json(found.to_json())
    else:
        print_status(screen, found)
    wrong = {"late", "failed", "held"} & {poll.state.value for poll in found.polls}
    overdue = any(review.state == "overdue" for review in found.reviews)
    emergency = found.rules["mode"] == "emergency"
    return 1 if wrong or found.holds or overdue or emergency else 0


class Status:
    """All that `status` shows."""

    def __init__(self, day: date, role: str, since: datetime | None, rules: dict[str, Any]) -> None:
        self.day, self.role, self.since, self.rules = day, role, since, rules
        self.polls: list[Poll] = []
        self.funnels: tuple[RuleFunnel, ...] = ()
        self.backlog = (0, 0, 0)
        self.holds: list[Hold] = []
        self.tasks = 0
        self.pages: list[RowMapping] = []
        self.deadlines: list[RowMapping] = []
        self.next_poll: tuple[str, datetime] | None = None
        self.reviews: tuple[Review, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """By name."""
        waiting, due, doubt = self.backlog
        return {
            "day": self.day,
            "daemon": {"state": self.role, "since": self.since},
            "rules": self.rules,
            "polls": [
                {"id": p.id, "feed": p.feed, "due": p.due, "state": p.state.value, "run": p.run, "reason": p.reason}
                for p in self.polls
            ],
            "funnel": [funnel.to_json() for funnel in self.funnels],
            "backlog": {"waiting": waiting, "due": due, "in_doubt": doubt},
            "holds": [
                {
                    "id": h.id,
                    "feed": h.feed,
                    "rule": h.rule,
                    "since": h.since,
                    "reason": h.reason,
                    "counts": dict(h.counts),
                }
                for h in self.holds
            ],
            "tasks": self.tasks,
            "pages": [{"severity": p["severity"], "sentence": p["sentence"], "at": at(p["at"])} for p in self.pages],
            "deadlines": [
                {
                    "notice": n["id"],
                    "rule": n["rule"],
                    "stage": n["stage"],
                    "deadline": at(n["deadline"]),
                    "stands": n["stands"],
                }
                for n in self.deadlines
            ],
            "reviews": [
                {
                    "parameter": r.parameter,
                    "reviewed_by": r.reviewed_by,
                    "due_on": r.due_on,
                    "days": r.days,
                    "state": r.state,
                }
                for r in self.reviews
            ],
            "next_poll": None if self.next_poll is None else {"feed": self.next_poll[0], "due": self.next_poll[1]},
        }


def read(settings: Settings, store: Store, now: datetime, day: date | None) -> Status:
    """Everything, as it stands at `now`."""
    from daemon.report import queries
    from daemon.report.funnel import funnel
    from daemon.store import acts, gates_rows, pages, rulesets

    with store.read() as tx:
        day = day or queries.newest_day(tx, place.today()) or place.today()
        starts, stops = (
            queries.newest_records(tx, kind="start", limit=1),
            queries.newest_records(tx, kind="stop", limit=1),
        )
        active = rulesets.active(tx)
        signed = rulesets.ever_signed(tx)
        role, since = role_of(store.folder, starts, stops)
        signers = acts.newest_list(tx)
        rules = {
            "digest": active.digest if active else None,
            "mode": "none" if active is None else active.mode,
            "version": active.version if active else None,
            "until": active.until if active else None,
            "since": active.at if active else None,
            "ever_signed": signed,
            "signers": signers["version"] if signers else None,
            "stopped": [
                {"rule": s.rule, "by": s.actor, "reason": s.reason, "since": s.at, "paused_until": s.paused_until}
                for s in acts.stops_of(tx)
            ],
        }
        found = Status(day, role, since, rules)
        found.polls = queries.polls_of(tx, day)
        found.backlog, found.tasks = queries.backlog_of(tx, now), queries.open_tasks(tx)
        found.holds, found.pages = gates_rows.holds_of(tx), pages.pages_of(tx, limit=20)
        found.deadlines = queries.next_deadlines(tx)
    found.funnels = funnel(store, day)
    if active is not None:
        _of_set(store, active.digest, now, found)
    return found


def _of_set(store: Store, digest: str, now: datetime, found: Status) -> None:
    """The next due time, none past the end of the calendar; reviews of the active set that are due or overdue."""
    from daemon.app_parts import ruleset_of
    from daemon.rules.reviews import not_ok
    from daemon.schedule import Timetable

    made = ruleset_of(store, digest)
    found.reviews = not_ok(made, place.today())
    try:
        due = Timetable(made).next(now)
    except CalendarEnd:
        return
    found.next_poll = None if due is None else (due.feed, due.at)


def role_of(folder: Path, starts: list[Any], stops: list[Any]) -> tuple[str, datetime | None]:
    """'running', 'stopped', 'died' (it never said that it stopped), 'never' or 'unknown', and since when. The kernel's list
    of locks says whether a parent holds the state folder; taking the lock to find out could keep one from starting."""
    if not starts:
        return "never", None
    start = starts[0][1]
    held = lock_held(folder / "lock")
    if held:
        return "running", start.t
    stop = stops[0][1] if stops else None
    if stop is not None and stop.data.get("boot") == start.data.get("boot"):
        return "stopped", stop.t
    return ("unknown" if held is None else "died"), start.t


def lock_held(path: Path, table: Path = Path("/proc/locks")) -> bool | None:
    """Whether a process of this host holds the lock file, told by its inode; None where the kernel does not say."""
    try:
        lines = table.read_text().splitlines()
    except OSError:
        return None
    if not path.exists():
        return False
    inode = f":{path.stat().st_ino} "
    return any("FLOCK" in line and inode in line for line in lines)
