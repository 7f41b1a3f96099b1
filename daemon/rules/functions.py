"""The closed list of functions of the expression language, their signatures and what they compute (LANGUAGE.md).

All are total: a value outside what a function can answer gives an Absence, never an exception. Sessions come from the
calendar in `Env`; a day outside it gives MISSING (the calendar is what is missing), so that one fact out of its reach
is indeterminate and the others are decided. Dates and times of day are of Asia/Shanghai, datetimes are UTC.

`known`, `coalesce` and `if_else` do not need all their arguments; evaluate.py and compile.py know them by name. All
others get present values only.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from daemon.errors import CalendarEnd
from daemon.model import money
from daemon.model.calendar import Calendar
from daemon.model.kinds import Absence, Value
from daemon.rules.types import BOOL, DATE, DATETIME, MONEY, NUMBER, TIME, ExprType

SHANGHAI = ZoneInfo("Asia/Shanghai")
MAX_DAYS = 100_000
"""Days and sessions are counted up to here; beyond it a count is INVALID."""


@dataclass(frozen=True, slots=True)
class Env:
    """What an evaluation needs beside its operands: the exchange's sessions and the fact's business date (T)."""

    calendar: Calendar
    business_date: date


@dataclass(frozen=True, slots=True)
class Function:
    """One function. `params`: a word of checking.py for each argument; the last may repeat up to `most` arguments.
    `result` None: the type its arguments share. `env`: `apply` takes the Env first. `partial`: it can answer with an
    Absence although all arguments are present. `apply` None: evaluated by name, because not all are needed."""

    name: str
    params: tuple[str, ...]
    result: ExprType | None
    says: str
    apply: Callable[..., Value] | None
    env: bool = False
    partial: bool = False
    most: int = 0

    def takes(self, count: int) -> bool:
        """Whether it takes this many arguments."""
        return len(self.params) <= count <= max(len(self.params), self.most)


def moment(day: date, clock: time) -> datetime | Absence:
    """The UTC moment of a time of day in Asia/Shanghai; INVALID at the ends of the calendar era."""
    try:
        return datetime.combine(day, clock, SHANGHAI).astimezone(UTC)
    except OverflowError:
        return Absence.INVALID


def local(when: datetime) -> datetime | Absence:
    """A moment on the clocks of Asia/Shanghai."""
    try:
        return when.astimezone(SHANGHAI)
    except OverflowError:
        return Absence.INVALID


def whole(number: Decimal) -> int | None:
    """A count of days or sessions as int; None where it has a fraction or is beyond MAX_DAYS."""
    if not -MAX_DAYS <= number <= MAX_DAYS or number != (count := int(number)):
        return None
    return count


def add_days(day: date, count: Decimal) -> date | Absence:
    """`count` natural days after `day`."""
    n = whole(count)
    try:
        return Absence.INVALID if n is None else day + timedelta(days=n)
    except OverflowError:
        return Absence.INVALID


def add_months(day: date, count: Decimal) -> date | Absence:
    """The same day of the month `count` months after `day`, or that month's last day where it has none."""
    n = whole(count)
    if n is None:
        return Absence.INVALID
    year, month = divmod(day.year * 12 + day.month - 1 + n, 12)
    if not date.min.year <= year <= date.max.year:
        return Absence.INVALID
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def add_sessions(env: Env, day: date, count: Decimal) -> date | Absence:
    """The n-th session after `day`, before it for a negative n; for 0 `day` itself or the next session."""
    n = whole(count)
    try:
        return Absence.INVALID if n is None else env.calendar.add(day, n)
    except CalendarEnd:
        return Absence.MISSING


def _sessions_between(env: Env, start: date, end: date) -> Decimal | Absence:
    try:
        return Decimal(env.calendar.between(start, end))
    except CalendarEnd:
        return Absence.MISSING


def _is_session(env: Env, day: date) -> bool | Absence:
    try:
        return env.calendar.is_session(day)
    except CalendarEnd:
        return Absence.MISSING


@lru_cache(maxsize=4096)  # the rows of a reading share few moments
def _date_of(when: datetime) -> date | Absence:
    there = local(when)
    return there if isinstance(there, Absence) else there.date()


@lru_cache(maxsize=4096)
def _time_of(when: datetime) -> time | Absence:
    there = local(when)
    return there if isinstance(there, Absence) else there.time()


def _floor(number: Decimal) -> Decimal:
    return number.to_integral_value(ROUND_FLOOR)


def _ceil(number: Decimal) -> Decimal:
    return number.to_integral_value(ROUND_CEILING)


def _smallest(*values: Any) -> Any:
    return min(values)


def _largest(*values: Any) -> Any:
    return max(values)


FUNCTIONS: dict[str, Function] = {
    f.name: f
    for f in (
        Function("known", ("any",), BOOL, "whether a has a value; itself never absent", None),
        Function(
            "coalesce",
            ("same", "same"),
            None,
            "the first argument that is not missing or empty; an invalid, stale or ambiguous one is not passed over",
            None,
            most=8,
        ),
        Function("if_else", ("bool", "same", "same"), None, "b where a is true, c where it is false", None),
        Function("min", ("ordered", "ordered"), None, "the smallest", _smallest, most=8),
        Function("max", ("ordered", "ordered"), None, "the largest", _largest, most=8),
        Function("abs", ("numeric",), None, "without its sign", money.EXACT.abs),
        Function("floor", ("numeric",), None, "the largest whole number not above", _floor),
        Function("ceil", ("numeric",), None, "the smallest whole number not below", _ceil),
        Function("cents", ("money",), MONEY, "to the cent, half away from zero", money.cents),
        Function("cents_up", ("money",), MONEY, "to the cent, never less", money.cents_up),
        Function("cents_down", ("money",), MONEY, "to the cent, never more", money.cents_down),
        Function("add_days", ("date", "count"), DATE, "b natural days after a", add_days, partial=True),
        Function(
            "add_months",
            ("date", "count"),
            DATE,
            "the same day of the month b months after a, or that month's last day where it has none",
            add_months,
            partial=True,
        ),
        Function(
            "add_sessions",
            ("date", "count"),
            DATE,
            "the b-th session after a, before it for a negative b; for 0 a itself or the next session",
            add_sessions,
            env=True,
            partial=True,
        ),
        Function(
            "days_between",
            ("date", "date"),
            NUMBER,
            "natural days from a to b; negative when b is before a",
            lambda start, end: Decimal((end - start).days),
        ),
        Function(
            "sessions_between",
            ("date", "date"),
            NUMBER,
            "sessions after a up to and with b; negative when b is before a",
            _sessions_between,
            env=True,
            partial=True,
        ),
        Function("is_session", ("date",), BOOL, "whether the exchange trades that day", _is_session, True, True),
        Function("business_date", (), DATE, "the fact's business date, T", lambda env: env.business_date, True),
        Function("date_of", ("datetime",), DATE, "its day in Asia/Shanghai", _date_of, partial=True),
        Function("time_of", ("datetime",), TIME, "its time of day in Asia/Shanghai", _time_of, partial=True),
        Function("at", ("date", "time"), DATETIME, "the moment of a time in Asia/Shanghai", moment, partial=True),
        Function("year", ("date",), NUMBER, "its year", lambda day: Decimal(day.year)),
        Function("month", ("date",), NUMBER, "its month, 1 to 12", lambda day: Decimal(day.month)),
        Function("day", ("date",), NUMBER, "its day of the month", lambda day: Decimal(day.day)),
        Function("weekday", ("date",), NUMBER, "1 for Monday to 7 for Sunday", lambda day: Decimal(day.isoweekday())),
        Function("starts_with", ("text", "text"), BOOL, "whether a begins with b", str.startswith),
        Function("length", ("text",), NUMBER, "how many characters (code points)", lambda text: Decimal(len(text))),
    )
}
