"""The mini-grammar of stage instants and deadlines: when a stage falls due, told in dates of Asia/Shanghai.

    at once                     the moment the notice is made
    +30m                        that long after the stage's instant (s, m, h, d of 24 hours)
    T 14:30                     the fact's business date at 14:30
    T+2 14:30  T-1 20:00        two sessions after it, one session before it
    T+2d 14:30                  two natural days after it
    T+topup_days cutoff         a count (quantity) and a time of day named by the rule
    payment_date 08:00          a date named by the rule; it may be counted from like T
    payment_date cutoff -30m    and moved by a span
    reply_by                    a datetime named by the rule

`T` alone is the business date, session or not; `T+0` is that day or, if it is none, the next session. Leaves what an
instant is for (stage, deadline) to the callers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from daemon.model.kinds import Absence, Value
from daemon.rules.checking import check_as
from daemon.rules.expressions import ExpressionError, Problem
from daemon.rules.functions import Env, add_days, add_sessions, moment
from daemon.rules.nodes import Name
from daemon.rules.types import DATE, DATETIME, QUANTITY, TIME, ExprType, Scope
from daemon.yamlfile import parse_span, parse_time

_ALLOWED = "at once, +30m, T+2 14:30, T+2d 14:30, payment_date cutoff or a datetime's name"
_NAME = "[a-z_][a-z0-9_]{0,63}"
_SHAPE = re.compile(
    rf"(?:(?P<once>at once)|(?P<day>T|{_NAME})"
    rf"(?:(?P<sign>[+-])(?:(?P<count>[0-9]{{1,4}})(?P<natural>d)?|(?P<counted>{_NAME})))?"
    rf"(?: (?P<clock>[0-9]{{2}}:[0-9]{{2}})| (?P<clock_name>{_NAME}))?)?(?P<gap> ?)(?P<span>[+-][0-9]{{1,6}}[smhd])?"
)


@dataclass(frozen=True, slots=True)
class Instant:
    """A parsed instant. `day`: 'T', a name, or '' for the moment of making; `count`: a number or a name, in sessions or
    natural days, `sign` 1 or -1; `clock`: a time, a name, or None beside a datetime's name; `span` comes last."""

    text: str
    day: str = ""
    sign: int = 1
    count: int | str | None = None
    natural: bool = False
    clock: time | str | None = None
    span: timedelta = timedelta(0)

    def names(self) -> tuple[str, ...]:
        """The operands it names, in the order of the text."""
        named = (part for part in (self.day, self.count, self.clock) if isinstance(part, str))
        return tuple(dict.fromkeys(name for name in named if name not in ("", "T")))

    def check(self, scope: Scope) -> list[Problem]:
        """What is wrong with the names it uses: unknown ones, and those of a wrong type."""
        alone = self.clock is None
        parts: list[tuple[int | str | time | None, ExprType]] = [(self.day, DATETIME if alone else DATE)]
        parts += [(self.count, QUANTITY), (self.clock, TIME)]
        found = []
        for part, type_ in parts:
            if isinstance(part, str) and part not in ("", "T"):
                found += check_as(Name(part, self.text.index(part)), scope, type_)
        return found

    def resolve(self, values: Mapping[str, Value], env: Env, made_at: datetime) -> datetime | Absence:
        """The moment in UTC; `made_at` is what `at once` and a lone span count from. An operand without value, or a day
        outside of the calendar (MISSING), gives the Absence, the first in the order of the text."""
        start = made_at if not self.day else self._start(values, env)
        if isinstance(start, Absence):
            return start
        try:
            return start + self.span
        except OverflowError:
            return Absence.INVALID

    def _start(self, values: Mapping[str, Value], env: Env) -> datetime | Absence:
        day = env.business_date if self.day == "T" else values.get(self.day, Absence.MISSING)
        count = values.get(self.count, Absence.MISSING) if isinstance(self.count, str) else self.count
        clock = values.get(self.clock, Absence.MISSING) if isinstance(self.clock, str) else self.clock
        for part in (day, count, clock):
            if isinstance(part, Absence):
                return part
        if isinstance(day, datetime) and clock is None:
            return day
        if count is not None and isinstance(day, date) and isinstance(count, int | Decimal):
            day = self._counted(day, Decimal(count), env)
        if isinstance(day, Absence):
            return day
        return moment(day, clock) if isinstance(day, date) and isinstance(clock, time) else Absence.INVALID

    def _counted(self, day: date, count: Decimal, env: Env) -> date | Absence:
        return add_days(day, count * self.sign) if self.natural else add_sessions(env, day, count * self.sign)


def parse_instant(text: str) -> Instant:
    """Read an instant. Raises ExpressionError for anything outside of the grammar."""
    match = _SHAPE.fullmatch(text)
    if match is None or not text or bool(match["gap"]) != bool(match["span"] and (match["once"] or match["day"])):
        raise ExpressionError(0, f"the instant '{text}'", _ALLOWED, _hint(text))
    day, clock = match["day"] or "", _clock(match)
    if day == "t":
        raise ExpressionError(0, "the name 't'", "T for the business date, or a longer name", _hint(text))
    count = int(match["count"]) if match["count"] else match["counted"]
    if clock is None and day and (day == "T" or count is not None):
        raise ExpressionError(len(text), "a day without a time", "a time such as 14:30, or the name of one")
    return Instant(
        text, day, -1 if match["sign"] == "-" else 1, count, bool(match["natural"]), clock, _span(match["span"])
    )


def _clock(match: re.Match[str]) -> time | str | None:
    if not match["clock"]:
        return match["clock_name"]
    clock = parse_time(match["clock"])
    if clock is None:
        raise ExpressionError(match.start("clock"), match["clock"], "a time from 00:00 to 23:59")
    return clock


def _span(text: str | None) -> timedelta:
    span = parse_span(text[1:]) if text else None
    return timedelta(0) if span is None or text is None else span * (-1 if text[0] == "-" else 1)


def _hint(text: str) -> str:
    if re.match(r"t\b", text):
        return "write T in upper case"
    if re.fullmatch(r"[0-9]{1,2}:[0-9]{2}", text):
        return f"say of which day: T {text}"
    if re.search(r"(^| )[0-9]:", text):
        return "write the hour with two digits"
    return "one space between day and time" if "  " in text or text != text.strip() else ""
