"""A million margin facts through the shipped rule, beside a loop by hand and the rule engines of PyPI (peers.py).

Every contender starts from the same mapped, derived facts and ends with the same answer: bucket, reason and level of the
unless, the four levels and the need of rules/margin/maintenance.yaml, and its mark. What it must convert first is its
own time. Chunks are run by all in turn, each time in another order; times are user and system CPU of the process, all
threads, without the garbage collector. Answers are compared, fact by fact, outside the times.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from time import process_time

from daemon.clock import SHANGHAI
from daemon.model.kinds import Absence, Value
from daemon.rules.folding import deriver
from daemon.rules.gates import OPEN
from tests.builders_rules import MARGIN, decider, env, given, shipped

Facts = Sequence[Mapping[str, Value]]
Answer = tuple[str, str, str, bool]
Decide = Callable[[Facts], list[Answer]]

CHUNK = 20_000
DAY = date(2024, 2, 1)
LINES = ("line_immediate", "line_call", "line_warning", "line_attention")
FIELDS = {name: name.replace("line", "contract") for name in LINES}


def facts(first: int, count: int) -> list[dict[str, Value]]:
    """Mapped facts with their formulas. Of ten contracts six are above every line, one is at each level or, intraday, at
    a milder one in place of a call; one in twenty has no debt, and so no ratio of ours; a quarter leaves two lines to the
    firm; of one in a hundred the two ratios differ; one in fifty of those above is of another day."""
    derive = deriver(shipped().kinds["margin_account"], "fact", shipped().calendar)
    assert derive is not None
    base = given(MARGIN)
    now, other = (datetime(DAY.year, DAY.month, d, 15, tzinfo=SHANGHAI) for d in (DAY.day, DAY.day + 1))
    return [_fact(dict(base), n, now, other, derive) for n in range(first, first + count)]


def _fact(
    made: dict[str, Value], n: int, now: datetime, other: datetime, derive: Callable[[dict[str, Value], date], None]
) -> dict[str, Value]:
    percent = (108, 125, 145, 165)[n % 10] if n % 10 < 4 else 172 + n % 130
    debt = Decimal(100_000_00 + n * 7 % 90_000_001) / 100
    value = debt * percent / 100
    made |= {
        "cash_asset": (value / 10).quantize(Decimal("0.01")),
        "market_value": (value * 9 / 10).quantize(Decimal("0.01")),
        "financing": debt,
        "interest": Decimal(0),
        "as_of": other if n % 50 == 9 else now,
        "basis": "intraday" if n % 7 == 0 else "day_end",
        "ratio_source": "own" if n % 11 == 0 else "counter",
    }
    if n % 20 == 15:
        made |= {"financing": Decimal(0)}
    if n % 4 == 0:
        made |= {"contract_attention": Absence.EMPTY, "contract_immediate": Absence.EMPTY}
    derive(made, DAY)
    ours = made["own_ratio"]
    if isinstance(ours, Decimal):
        off = Decimal("0.02") if n % 100 == 77 else Decimal(0)
        made["counter_ratio"] = (ours + off).quantize(Decimal("0.00000001"))
    return made


def compiled() -> Decide:
    """The rule as it decides in a poll."""
    rule = decider()

    def decide(chunk: Facts) -> list[Answer]:
        return rule.verdicts.many(chunk, env(DAY))  # type: ignore[return-value]

    return decide


def stages(share: int) -> list[Timed]:
    """What a poll does with a fact, step by step; the last does all of it, with gates and terms of a match."""
    rule, today = decider(), env(DAY)
    program, verdicts = rule.program, rule.verdicts

    def decided(facts: Facts) -> object:
        said = verdicts.many(facts, today)
        return [rule.decide(fact, (), True, OPEN, today, one) for fact, one in zip(facts, said, strict=True)]

    steps: dict[str, Callable[[Facts], object]] = {
        "operands picked and named": lambda facts: [program.named_operands(program.operands(f)) for f in facts],
        "verdicts one by one": lambda facts: [verdicts.one(f, today) for f in facts],
        "verdicts by the three-valued program": lambda facts: [verdicts.walked(f, today) for f in facts],
        "levels cured": lambda facts: [verdicts.cured(f, today) for f in facts],
        "whole decisions, as for a sheet": decided,
    }
    return [Timed(f"ours: {name}", run, share, same=False) for name, run in steps.items()]


@lru_cache(maxsize=4096)
def day_of(moment: datetime) -> date:
    """The day of a moment in Asia/Shanghai."""
    return moment.astimezone(SHANGHAI).date()


def by_hand() -> Decide:
    """The rule as one would write it by hand in Python: decimals, and every operand looked at for its absence."""
    a, empty = Absence, Absence.EMPTY
    firm = {name: shipped().parameters[name].on(DAY) for name in (*LINES, "ratio_tolerance")}
    immediate, call, warning, attention = (firm[name] for name in LINES)
    tolerance = firm["ratio_tolerance"]

    def decide(chunk: Facts) -> list[Answer]:
        found: list[Answer] = []
        put = found.append
        for fact in chunk:
            level = ""
            debts = fact["debts"]
            if debts.__class__ is a:
                put(("indeterminate", f"missing:debts:{debts}", "", False))
                continue
            own, counter = fact["own_ratio"], fact["counter_ratio"]
            if debts == 0:
                reason = "unless:no_debt"
            else:
                source = fact["ratio_source"]
                if source.__class__ is a:
                    put(("indeterminate", f"missing:ratio_source:{source}", "", False))
                    continue
                name, ratio = ("own_ratio", own) if source == "own" else ("counter_ratio", counter)
                if ratio.__class__ is a:
                    put(("indeterminate", f"missing:{name}:{ratio}", "", False))
                    continue
                line = fact["contract_immediate"]
                if line is empty:
                    line = immediate
                if line.__class__ is a:
                    put(("indeterminate", f"missing:contract_immediate:{line}", "", False))
                    continue
                if ratio < line:
                    level, reason = "urgent", "level:urgent"
                else:
                    basis = fact["basis"]
                    line = fact["contract_call"]
                    if line is empty:
                        line = call
                    if basis.__class__ is a and (line.__class__ is a or ratio < line):
                        put(("indeterminate", f"missing:basis:{basis}", "", False))
                        continue
                    if basis == "day_end" and line.__class__ is a:
                        put(("indeterminate", f"missing:contract_call:{line}", "", False))
                        continue
                    if basis == "day_end" and ratio < line:
                        level, reason = "call", "level:call"
                    else:
                        line = fact["contract_warning"]
                        if line is empty:
                            line = warning
                        if line.__class__ is a:
                            put(("indeterminate", f"missing:contract_warning:{line}", "", False))
                            continue
                        if ratio < line:
                            level, reason = "warning", "level:warning"
                        else:
                            line = fact["contract_attention"]
                            if line is empty:
                                line = attention
                            if line.__class__ is a:
                                put(("indeterminate", f"missing:contract_attention:{line}", "", False))
                                continue
                            if ratio < line:
                                level, reason = "attention", "level:attention"
                            else:
                                reason = "condition"
            bucket = "notify"
            if not level:
                bucket = "no_match"
                as_of, day = fact["as_of"], fact["business_date"]
                if as_of.__class__ is a or day.__class__ is a:
                    what = f"as_of:{as_of}" if as_of.__class__ is a else f"business_date:{day}"
                    bucket, reason = "indeterminate", f"missing:{what}"
                elif day_of(as_of) != day:
                    bucket, reason = "indeterminate", "needs:figures_of_the_day"
            differs = own.__class__ is not a and counter.__class__ is not a and abs(own - counter) > tolerance
            put((bucket, reason, level, differs))
        return found

    return decide


def plain(answers: Sequence[Answer]) -> list[Answer]:
    """Our answers in the words of the others."""
    return [(str(b), reason, level, bool(marks)) for b, reason, level, marks in answers]


@dataclass
class Timed:
    """What one contender took. `share`: it runs on every n-th chunk; `prepare`: what is made before the time begins."""

    name: str
    run: Callable[[Facts], object]
    share: int = 1
    prepare: Callable[[Facts], Facts] | None = None
    same: bool = True
    seconds: float = 0.0
    facts: int = 0
    differ: int = 0
    example: str = field(default="")

    @property
    def a_second(self) -> float:
        return self.facts / self.seconds

    def time(self, chunk: Facts, wanted: Sequence[Answer]) -> None:
        """One chunk: run, timed, and compared."""
        given_ = self.prepare(chunk) if self.prepare else chunk
        begun = process_time()
        found = self.run(given_)
        self.seconds += process_time() - begun
        self.facts += len(chunk)
        if self.same:
            pairs = zip(chunk, plain(found), wanted, strict=True)  # type: ignore[arg-type]
            wrong = [(fact, mine, theirs) for fact, mine, theirs in pairs if mine != theirs]
            self.differ += len(wrong)
            if wrong and not self.example:
                self.example = repr(wrong[0])


def everything(share: int = 1) -> list[Timed]:
    """All that is measured, ours first, then the loop by hand."""
    from tests.bench import peers

    ours = [Timed("ours", compiled()), Timed("by hand", by_hand())]
    return [*ours, *peers.contenders(share), *stages(share)]


def table(found: Sequence[Timed]) -> str:
    """A line each, with how many times its facts a second ours are."""
    head = f"| {'contender':<40} | {'facts':>9} | {'CPU s':>7} | {'facts a second':>14} | {'ours, times':>11} |"
    lines = [head, f"|{'-' * 42}|{'-' * 10}:|{'-' * 8}:|{'-' * 15}:|{'-' * 12}:|"]
    for each in found:
        times = found[0].a_second / each.a_second
        lines.append(
            f"| {each.name:<40} | {each.facts:>9,} | {each.seconds:7.2f} | {each.a_second:14,.0f} | {times:11.2f} |"
        )
    return "\n".join(lines)


def measure(count: int, contenders: Sequence[Timed], chunk: int = CHUNK) -> list[Timed]:
    """Every contender on chunks of `count` facts in all. Raises AssertionError where an answer differs from the hand's."""
    hand = by_hand()
    for number, made in enumerate(_chunks(count, chunk)):
        wanted = hand(made)
        turn = number % len(contenders)
        gc.collect()
        gc.disable()
        try:
            for each in (*contenders[turn:], *contenders[:turn]):
                if number % each.share == 0:
                    each.time(made, wanted)
        finally:
            gc.enable()
    for each in contenders:
        assert not each.differ, f"{each.name}: {each.differ} of {each.facts} differ: {each.example}"
    return list(contenders)


def _chunks(count: int, chunk: int) -> Iterator[list[dict[str, Value]]]:
    for first in range(0, count, chunk):
        yield facts(first, min(chunk, count - first))
