"""Random histories of one subject: a rule, what is true from when on, and the steps that read it, send and lose answers.

Plain values in minutes from the first midnight; everything follows from the seed. Nothing here knows the program.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

DAY = 1440
DAYS = 3
LEVELS = ("urgent", "call", "warning")

How: TypeAlias = Literal["match", "no_match", "suppressed", "held", "indeterminate", "reject", "absent"]
Answer: TypeAlias = Literal["accepted", "refused", "busy", "lost", "vanished"]
"""What a platform does with a request: takes it, refuses it for good, refuses it for now, takes it and the answer is lost, or
neither takes nor answers it."""

FAILURES: tuple[Answer, ...] = ("refused", "busy", "lost", "vanished")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule file would say. `stages`: (name, minute of the day); `spans`: the same after the making, with levels."""

    levels: tuple[str, ...]
    stages: tuple[tuple[str, int], ...]
    deadline: int
    conditions: tuple[str, ...]  # stages with an `if:`
    late: str
    if_unasked: str
    gone: bool
    held: bool
    channels: tuple[str, ...]
    fallback: int  # minutes without a receipt, then the next channel
    in_doubt: str
    honours_ids: bool
    revokes: bool
    window: int  # of receipts, after the deadline
    fresh: int


@dataclass(frozen=True, slots=True)
class Word:
    """What a reading says of one unit. `shift`: minutes by which all instants are moved; `conditions`: stage -> yes, no, ?."""

    how: How
    terms: str = "t0"
    shift: int = 0
    conditions: Mapping[str, str] = field(default_factory=dict)
    level: str = ""
    cured: frozenset[str] = frozenset()
    complete: bool = True  # the reading it comes from


@dataclass(frozen=True, slots=True)
class Poll:
    """One reading, begun at `started`, written at `at`. `crash`: dies after so many units (then runs again at once)."""

    at: int
    started: int
    day: int
    words: Mapping[str, Word]
    complete: bool = True
    open_hold: bool = False
    crash: int | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """One delivery pass: what asking finds (None: cannot be asked), what the platform does, where it dies."""

    at: int
    asks: Mapping[str, Word | None]
    withdrawn: frozenset[str]  # units whose gates say no now, also to what needs no asking
    answers: tuple[Answer, ...]
    crash: str = ""  # '', claimed, committed, answered
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Release:
    """A person lets held corrections go."""

    at: int


Step: TypeAlias = Poll | Pass | Release


@dataclass(frozen=True, slots=True)
class History:
    """One seed's history."""

    seed: int
    rule: Rule
    units: tuple[str, ...]
    steps: tuple[Step, ...]


def history(seed: int) -> History:
    """The history of a seed."""
    rng = random.Random(seed)
    rule = _rule(rng)
    units = ("u0",) if rule.levels else tuple(f"u{i}" for i in range(rng.choice((1, 1, 2, 3))))
    truths = {unit: _truth(rng, rule) for unit in units}
    steps = [*_polls(rng, rule, truths), *_passes(rng, rule, truths), *_releases(rng)]
    steps.sort(key=lambda s: s.at)
    return History(seed, rule, units, (*steps, *_quiet(steps[-1].at, units)))


def _rule(rng: random.Random) -> Rule:
    levels = LEVELS if rng.random() < 0.5 else ()
    if levels:
        stages = (("notice", 0), ("again", 90))[: rng.choice((1, 1, 2))]
        deadline = rng.choice((60, 240, 700)) if len(stages) == 1 else rng.choice((240, 700))
    else:
        stages = (("morning", 480), ("noon", 720), ("last", 870))[rng.choice((0, 0, 1, 2)) :]
        deadline = 900
    return Rule(
        levels,
        stages,
        deadline,
        tuple(name for name, _ in stages if rng.random() < 0.3),
        rng.choice(("drop", "send_marked")),
        rng.choice(("send", "hold")),
        rng.random() < 0.5,
        rng.random() < 0.3,
        rng.choice((("rcs",), ("rcs", "sms"), ("rcs", "sms", "email"))),
        rng.choice((5, 30, 200)),
        rng.choice(("repeat", "task")),
        rng.random() < 0.6,
        rng.random() < 0.4,
        rng.choice((30, 120)),
        rng.choice((0, 5, 30)),
    )


def _truth(rng: random.Random, rule: Rule) -> list[tuple[int, Word]]:
    """What is true from which minute on; terms come back now and then."""
    now, word = 0, Word("no_match")
    truth = [(0, word)]
    shift = 0
    hows: tuple[How, ...] = ("match", "no_match", "suppressed", "held")
    weights = rng.choice(((3, 2, 1, 1), (8, 1, 1, 1), (8, 4, 0, 0)))
    while now < DAYS * DAY:
        now += rng.choice((7, 45, 120, 300, 600))
        how = rng.choices(hows, weights)[0]
        shift = rng.choice((shift, shift, shift, 0, 30, -45, DAY))
        terms = rng.choice(("t0", "t0", "t1", "t2"))
        conditions = {name: rng.choice(("yes", "yes", "no", "?")) for name in rule.conditions}
        level = rng.choice(rule.levels) if rule.levels and how == "match" else ""
        cured = frozenset(x for x in rule.levels if rng.random() < (0.4 if how == "no_match" else 0.15))
        word = Word(how, terms, shift, conditions, level, cured)
        truth.append((now, word))
    return truth


def _at(truth: list[tuple[int, Word]], minute: int) -> Word:
    return [word for since, word in truth if since <= minute][-1]


def _read(rng: random.Random, truth: list[tuple[int, Word]], minute: int, *, complete: bool, noise: float) -> Word:
    """The truth of a minute as a reading shows it: now and then a null, a reject, or no row."""
    word = _at(truth, minute)
    if rng.random() < noise:
        how: How = rng.choice(("indeterminate", "reject", "absent"))
        word = replace(word, how=how, level="", cured=frozenset())
    return replace(word, complete=complete)


def _polls(rng: random.Random, rule: Rule, truths: Mapping[str, list[tuple[int, Word]]]) -> list[Step]:
    """Polls of three days; some are missing (the source failed or was late), some are held."""
    found: list[Step] = []
    begun = 0
    absent_day, absent_on = rng.choice((-1, -1, 1, 2)), rng.random() < 0.5
    for day in range(DAYS):
        for minute in sorted(
            {rng.randrange(0, DAY, 5) for _ in range(rng.choice((2, 4, 9)))} | {420} - {rng.choice((0, 420))}
        ):
            if rng.random() < 0.15:
                continue
            at = day * DAY + minute
            started = max(at - rng.choice((0, 0, 1, 4, 20)), begun)
            begun = started
            complete = rng.random() > 0.1
            words = {u: _read(rng, t, started, complete=complete, noise=0.2) for u, t in truths.items()}
            if day == absent_day or (0 < absent_day < day and absent_on):
                words = {u: replace(w, how="absent", level="", cured=frozenset()) for u, w in words.items()}
            crash = rng.randrange(len(words) + 1) if rng.random() < 0.1 else None
            found.append(Poll(at, started, day, words, complete, rng.random() < 0.06, crash))
    return found


def _passes(rng: random.Random, rule: Rule, truths: Mapping[str, list[tuple[int, Word]]]) -> list[Step]:
    found: list[Step] = []
    rough = rng.choice((0.0, 0.1, 0.3, 0.7))
    waits = rng.choice(((1, 5, 20, 60, 200), (1, 5, 20), (30, 120, 400)))
    now = 0
    while now < DAYS * DAY:
        now += rng.choice(waits)
        asks: dict[str, Word | None] = {}
        for unit, truth in truths.items():
            word = _read(rng, truth, now, complete=False, noise=0.15)
            asks[unit] = None if rng.random() < 0.15 else word
        withdrawn = frozenset(u for u, t in truths.items() if _at(t, now).how == "suppressed")
        answers = tuple(rng.choice(FAILURES) if rng.random() < rough else "accepted" for _ in range(4))
        crash = rng.choice(("claimed", "committed", "answered")) if rng.random() < rough / 3 else ""
        found.append(Pass(now, asks, withdrawn, answers, crash, rng.randrange(1 << 30)))
    return found


def _releases(rng: random.Random) -> list[Step]:
    return [Release(rng.randrange(DAYS * DAY)) for _ in range(rng.choice((0, 1, 3)))]


def _quiet(last: int, units: tuple[str, ...]) -> list[Step]:
    """Passes long after, in which nothing fails, so that every notice comes to its end."""
    asks: dict[str, Word | None] = dict.fromkeys(units)
    return [Pass(last + n * 300, asks, frozenset(), ("accepted",), "", n) for n in range(1, 16)]
