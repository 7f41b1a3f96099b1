"""`python -m tests.bench.deadlines`: 500 notices, half of them due within 30 s, over a gateway that is down for the first 60 s.

The real daemon on a new installation with everything on. A quarter may not leave late (`late: drop`), a quarter may, marked
(`late: send_marked`), half have ten minutes. What must not be: one that left after its deadline without saying so, one of which the
trail says neither outcome nor delivery, an expiry of which no person had a task before the deadline.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from daemon import log
from daemon.audit.checkpoint import parse
from daemon.audit.folder import folder_reader
from daemon.audit.record import parse_time
from daemon.audit.tree import bundles, read_bundle
from daemon.clock import SHANGHAI, RealClock, micros
from daemon.rules.load import load
from daemon.sources import SourceConfig, open_source
from daemon.store import contacts, rulesets, subjects
from daemon.store.contacts import Found
from daemon.world import make_world
from tests.bench import delivering
from tests.builders_mini import CASES, RULE, mini_files
from tests.builders_store import new_store
from tests.crash.several import Site, free_port

COUNT, DOWN = 500, 60.0
BRIEF = "30s"
RULES = {
    "debt": ("south", "200.01", "+10m", "drop"),
    "brief": ("north", "2000.01", f"+{BRIEF}", "drop"),
    "marked": ("north", "3000.01", f"+{BRIEF}", "send_marked"),
}
"""Rule -> desk and amount of its debts, deadline, what becomes of those that are late."""

CASE = """\
rule: desk/{name}
date: 2024-02-01
given: {{client_no: S0000000001, business_date: 2024-02-01, owed: {owed}, desk: {desk}}}
cases:
  - name: its debts
    expect: {{bucket: notify}}
"""

AFTER = "after:\n      - {in: 10s, do: task}\n    late: "


def files() -> dict[str, bytes]:
    """One card, three rules: each makes a task when nothing has served within ten seconds."""
    found: dict[str, bytes] = {}
    for name, (desk, owed, deadline, late) in RULES.items():
        which = f"desk == '{desk}' and owed == {owed}"
        rule = RULE.replace("rule: desk/debt", f"rule: desk/{name}").replace(
            "when: owed > line", f"when: owed > line and {which}"
        )
        rule = rule.replace("at: T 09:00", "at: at once").replace("deadline: T 15:00", f'deadline: "{deadline}"')
        before, after = rule.split("after:\n", 1)
        rule = before + AFTER + late + "\n" + after.split("late: drop\n", 1)[1]
        rule = rule.replace("cap: {maximum: 100}", "cap: {maximum: 100000}").replace("fresh: 5m", "fresh: 1h")
        made = mini_files(rule, CASES)
        found |= {path: raw for path, raw in made.items() if "desk/debt.cases" not in path and path not in found}
        found[f"rules/desk/{name}.yaml"] = rule.encode()
        found[f"rules/desk/{name}.cases.yaml"] = CASE.format(name=name, owed=owed, desk=desk).encode()
    return found


def lay_in(folder: Path, count: int) -> None:
    """The store with `count` notices made now, a quarter, a quarter and a half of each rule."""
    now = RealClock().now()
    ruleset = load(files()).required()
    store = new_store(folder / "state")
    engine = create_engine(f"sqlite:///{folder / 'counter.sqlite'}")
    day = now.astimezone(SHANGHAI).date().isoformat()
    kinds = [RULES["debt"], RULES["brief"], RULES["debt"], RULES["marked"]]
    rows = [
        {"c": f"S{n:010d}", "d": day, "o": owed, "k": desk}
        for n in range(count)
        for desk, owed, *_ in (kinds[n % len(kinds)],)
    ]
    with engine.begin() as db:
        db.execute(text("CREATE TABLE debt (client_no TEXT, day TEXT, owed TEXT, desk TEXT)"))
        db.execute(text("INSERT INTO debt VALUES (:c, :d, :o, :k)"), rows)
    with store.write() as tx:
        rulesets.keep(tx, ruleset.digest, ruleset.files, now=now)
    numbers = subjects.ensure(store, "client", [row["c"] for row in rows], now=now)
    with store.write() as tx:
        found = [Found(n, "client", way, f"139{n:08d}") for n in numbers.values() for way in ("rcs", "sms")]
        contacts.take_over(tx, found, origin="bench", now=now)
    config = SourceConfig.from_mapping("counter", {"type": "sql", "url": f"sqlite:///{folder / 'counter.sqlite'}"})
    world = make_world(store, ruleset, {"counter": open_source("counter", config, lambda name: "")})
    delivering.make_notices(store, world, RealClock().now())
    store.close()


@contextmanager
def gateway(port: int, callbacks: int) -> Iterator[None]:
    """The gateway, up from now on."""
    argv = [sys.executable, "-m", "tests.bench.sink", str(port), str(callbacks), delivering.TOKEN]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


@dataclass
class Judged:
    """What came of the notices, by rule: how many of each outcome; and what must not be."""

    outcomes: dict[str, Counter[str]]
    marked: int
    wrong: list[str]


def judge(folder: Path, arrivals: list[tuple[str, int]], count: int) -> Judged:
    """Hold the gateway's ledger against the published log."""
    made: dict[str, dict[str, Any]] = {}
    marked, tasks, outcomes, messages = set[str](), dict[str, int](), dict[str, str](), dict[str, str]()
    read = folder_reader(folder / "log")
    for number, width in bundles(parse(read("checkpoint")).checkpoint.size):
        for raw in read_bundle(read, number, width):
            leaf = json.loads(raw)
            data, kind = leaf["data"], leaf["kind"]
            if kind == "notice" and "messages" in data and data["notice"] not in made:
                made[data["notice"]] = leaf
            if kind == "notice" and data.get("late"):
                marked.add(data["notice"])
            if kind == "attempt" and "verdict" not in data:
                messages[data["message"]] = data["notice"]
            if kind == "task" and data["change"] == "opened" and "notice" in data:
                tasks.setdefault(data["notice"], micros(parse_time(leaf["t"])))
            if kind == "receipt" and data["state"] == "delivered" and data.get("message") in messages:
                outcomes.setdefault(messages[data["message"]], "delivered")  # the outcome's record waits for its window
            if kind == "outcome":
                outcomes[data["notice"]] = data["outcome"]
    wrong = [f"{count - len(made)} notices are not in the trail"] if len(made) != count else []
    for message, moment in arrivals:
        notice = messages[message]
        late = moment > micros(parse_time(made[notice]["data"]["deadline"]))
        if late and notice not in marked:
            wrong.append(f"{notice} left after its deadline and does not say so")
        if late and made[notice]["rule"] == "desk/brief":
            wrong.append(f"{notice} left late although its rule drops it")
    for notice, leaf in made.items():
        if notice not in outcomes:
            wrong.append(f"{notice} of {leaf['rule']} has no outcome: silent")
        elif outcomes[notice] == "expired" and tasks.get(notice, 1 << 62) >= micros(
            parse_time(leaf["data"]["deadline"])
        ):
            wrong.append(f"{notice} expired and no person had a task before its deadline")
    by_rule = {rule: Counter[str]() for rule in sorted({leaf["rule"] for leaf in made.values()})}
    for notice, leaf in made.items():
        by_rule[leaf["rule"]][outcomes.get(notice, "none")] += 1
    return Judged(by_rule, len(marked & {messages[id] for id, _ in arrivals}), wrong)


def run(folder: Path, count: int = COUNT, down: float = DOWN) -> tuple[Judged, list[tuple[str, int]]]:
    """Play it once; what it came to, and the gateway's ledger."""
    log.start("ERROR")
    lay_in(folder, count)
    begun, sink = time.monotonic(), free_port()
    site = Site(folder, "", free_port())
    site.lay_out(sink, ("a1",), files())
    site.start("a1")
    try:
        time.sleep(max(0.0, begun + down - time.monotonic()))
        with gateway(sink, site.port):
            expected = count - count // 4
            while len(delivering.arrivals_of(sink)) < expected and time.monotonic() - begun < down + 120:
                time.sleep(0.2)
            time.sleep(5)  # the last receipts, and whatever should not come any more
            arrivals = delivering.arrivals_of(sink)
            exits = site.end()
    finally:
        site.kill()
    found = judge(folder, arrivals, count)
    found.wrong += [f"{node} ended with {code}" for node, code in exits.items() if code]
    return found, arrivals


def main() -> int:
    """Run once and say what came of it; exit 1 where something must not be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notices", type=int, default=COUNT)
    parser.add_argument(
        "--down", type=float, default=DOWN, help="seconds for which nobody listens at the gateway's address"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="duenotice-deadlines-") as name:
        found, _ = run(Path(name), args.notices, args.down)
    for rule, outcomes in found.outcomes.items():
        print(rule, dict(outcomes))
    print(f"{found.marked} left late and marked; {len(found.wrong)} wrong")
    print("\n".join(found.wrong[:20]))
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
