"""The sample back office: a counter in SQLite, a DBF, an OFD and a CSV file a day, filled with seeded synthetic
clients.

    generate(folder, seed=7, days=[date(2024, 2, 1), date(2024, 3, 28)], public=Path("config/sample"))

Issues, windows, NAVs and closes are real (config/sample/SOURCES.md); clients and what they own are drawn. Leaves
reading them to `sources` and what they mean to kinds and rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from daemon.demo.allotments import allotments, paid_on
from daemon.demo.counter import new_counter
from daemon.demo.day_files import day_files
from daemon.demo.fill import Fill
from daemon.demo.holdings import open_on
from daemon.demo.people import Numbers, person
from daemon.demo.products import limit_from
from daemon.demo.public import Public, read_public

COUNTER = "counter.sqlite"


@dataclass(frozen=True, slots=True)
class BackOffice:
    """What was written. `tables`: rows by table; `files`: records by file name; `dirty`: rows spoiled on purpose,
    by how; `covered`: day -> families with real facts on it; `unpriced`: payments of the days left out for want of
    a price."""

    folder: Path
    seed: int
    clients: int
    days: tuple[date, ...]
    tables: Mapping[str, int]
    files: Mapping[str, int]
    dirty: Mapping[str, int]
    covered: Mapping[date, tuple[str, ...]]
    unpriced: Mapping[date, tuple[str, ...]]


def generate(folder: Path, *, clients: int = 10_000, seed: int, days: Sequence[date], public: Path) -> BackOffice:
    """Fill `folder` (made if need be). `days` are sessions; the same arguments write the same bytes.

    Raises OSError where `folder` cannot be written or `public` lacks a file, ValueError without days or clients.
    """
    if clients < 1 or not days:
        raise ValueError(f"found {clients} clients and {len(days)} days, expected at least one of each")
    folder.mkdir(parents=True, exist_ok=True)
    facts, wanted = read_public(public), tuple(sorted(set(days)))
    numbers = Numbers(seed)
    people = [person(seed, n, numbers) for n in range(clients)]
    won = {day: allotments(seed, people, paid_on(facts.issues, day)) for day in wanted}
    dirty: Counter[str] = Counter()
    with new_counter(folder / COUNTER) as counter:
        fill = Fill(counter, seed, people, numbers, dirty)
        fill.clients()
        fill.payments(facts.issues, won)
        fill.contacts(fill.margin(facts.closes, wanted))
        fill.funds(facts, wanted)
        tables = dict(counter.rows)
    files = {name: n for day in wanted for name, n in day_files(folder, seed, facts, day, won[day], dirty).items()}
    return BackOffice(
        folder,
        seed,
        clients,
        wanted,
        tables,
        files,
        dict(dirty),
        {day: _families(facts, day) for day in wanted},
        {day: _unpriced(facts, day) for day in wanted},
    )


def _families(facts: Public, day: date) -> tuple[str, ...]:
    known = {
        "ipo": any(i.regime == "credit_apply" for i in paid_on(facts.issues, day)),
        "fund": bool(open_on(facts.windows, day)) or any(limit_from(c) == day for c in facts.changes),
        "margin": day in facts.closes.prices,
    }
    return tuple(family for family, real in known.items() if real)


def _unpriced(facts: Public, day: date) -> tuple[str, ...]:
    return tuple(i.code for i in facts.issues if i.payment_date == day and i.price is None)
