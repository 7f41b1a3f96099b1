"""When stages fall due: the grammar of instants, their operands, their moments in UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.model.calendar import Calendar
from daemon.model.kinds import Absence, Type, Value
from daemon.rules.evaluate import Env
from daemon.rules.expressions import ExpressionError
from daemon.rules.instants import parse_instant
from daemon.rules.types import Declared, Scope

FIRST = date(2024, 1, 2)
SESSIONS = tuple(d for d in (FIRST + timedelta(days=n) for n in range(60)) if d.weekday() < 5)
ENV = Env(Calendar("sse", "test", FIRST, date(2024, 3, 1), SESSIONS), date(2024, 2, 1))
MADE = datetime(2024, 2, 1, 3, 15, tzinfo=UTC)
VALUES: dict[str, Value] = {
    "payment_date": date(2024, 2, 2),
    "cutoff": time(15, 30),
    "topup_days": Decimal(2),
    "reply_by": datetime(2024, 2, 7, 1, tzinfo=UTC),
}


def china(month: int, day: int, hour: int, minute: int = 0) -> datetime:
    """A moment told in China, where every day of these tests is eight hours ahead of UTC."""
    return datetime(2024, month, day, hour, minute, tzinfo=UTC) - timedelta(hours=8)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("at once", MADE),
        ("+30m", MADE + timedelta(minutes=30)),
        ("+90s", MADE + timedelta(seconds=90)),
        ("+2h", MADE + timedelta(hours=2)),
        ("+1d", MADE + timedelta(days=1)),
        ("-5m", MADE - timedelta(minutes=5)),
        ("at once +5m", MADE + timedelta(minutes=5)),
        ("T 14:30", china(2, 1, 14, 30)),
        ("T 00:00", china(2, 1, 0)),
        ("T+1 14:30", china(2, 2, 14, 30)),
        ("T+2 14:30", china(2, 5, 14, 30)),
        ("T-1 20:00", china(1, 31, 20)),
        ("T+2d 14:30", china(2, 3, 14, 30)),
        ("T-1d 14:30", china(1, 31, 14, 30)),
        ("T+topup_days 14:30", china(2, 5, 14, 30)),
        ("T-topup_days 14:30", china(1, 30, 14, 30)),
        ("payment_date 08:00", china(2, 2, 8)),
        ("payment_date cutoff", china(2, 2, 15, 30)),
        ("payment_date cutoff -30m", china(2, 2, 15)),
        ("payment_date+1 cutoff", china(2, 5, 15, 30)),
        ("payment_date-1 16:00", china(2, 1, 16)),
        ("reply_by", datetime(2024, 2, 7, 1, tzinfo=UTC)),
        ("reply_by -1d", datetime(2024, 2, 6, 1, tzinfo=UTC)),
    ],
)
def test_instants_resolve_to_utc(text: str, moment: datetime) -> None:
    found = parse_instant(text).resolve(VALUES, ENV, MADE)
    assert found == moment
    assert isinstance(found, datetime)
    assert found.utcoffset() == timedelta(0)


def test_t_is_the_business_date_and_only_a_count_rolls_to_a_session() -> None:
    saturday = Env(ENV.calendar, date(2024, 2, 3))
    assert parse_instant("T 09:00").resolve({}, saturday, MADE) == china(2, 3, 9)
    assert parse_instant("T+0 09:00").resolve({}, saturday, MADE) == china(2, 5, 9)


@pytest.mark.parametrize(
    ("text", "changed", "absence"),
    [
        ("payment_date 08:00", {"payment_date": Absence.EMPTY}, Absence.EMPTY),
        ("payment_date cutoff", {"payment_date": Absence.STALE, "cutoff": Absence.EMPTY}, Absence.STALE),
        ("payment_date cutoff", {"cutoff": Absence.AMBIGUOUS}, Absence.AMBIGUOUS),
        ("T+topup_days cutoff", {"topup_days": Absence.INVALID, "cutoff": Absence.EMPTY}, Absence.INVALID),
        ("T+topup_days 14:30", {"topup_days": Decimal("1.5")}, Absence.INVALID),
        ("T+topup_days 14:30", {"topup_days": Decimal("1E+30")}, Absence.INVALID),
        ("T+topup_days 14:30", {"topup_days": Decimal(200)}, Absence.MISSING),
        ("T+200 14:30", {}, Absence.MISSING),
        ("payment_date+1 14:30", {"payment_date": date(2031, 1, 1)}, Absence.MISSING),
        ("payment_date 00:00", {"payment_date": date.min}, Absence.INVALID),
        ("reply_by", {"reply_by": Absence.MISSING}, Absence.MISSING),
        ("reply_by +1d", {"reply_by": datetime.max.replace(tzinfo=UTC)}, Absence.INVALID),
        ("nowhere 08:00", {}, Absence.MISSING),
    ],
)
def test_what_is_absent_makes_the_instant_absent(text: str, changed: dict[str, Value], absence: Absence) -> None:
    assert parse_instant(text).resolve({**VALUES, **changed}, ENV, MADE) is absence


def test_a_date_far_from_the_calendar_needs_no_sessions() -> None:
    assert parse_instant("payment_date 08:00").resolve({"payment_date": date(2031, 1, 1)}, ENV, MADE) == datetime(
        2031, 1, 1, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("at once", ()),
        ("+30m", ()),
        ("T+2 14:30", ()),
        ("T+topup_days cutoff", ("topup_days", "cutoff")),
        ("payment_date+topup_days cutoff -1h", ("payment_date", "topup_days", "cutoff")),
        ("reply_by", ("reply_by",)),
    ],
)
def test_names_are_those_of_the_rule(text: str, names: tuple[str, ...]) -> None:
    assert parse_instant(text).names() == names


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", ""),
        ("14:30", "T 14:30"),
        ("T", ""),
        ("T+2", ""),
        ("payment_date+2", ""),
        ("t 14:30", "upper case"),
        ("T 9:30", "two digits"),
        ("T 25:00", ""),
        ("T 12:60", ""),
        ("T  14:30", "one space"),
        (" T 14:30", "one space"),
        ("T+ 2 14:30", ""),
        ("T+2w 14:30", ""),
        ("T+2.5 14:30", ""),
        ("T 14:30:00", ""),
        ("30m", ""),
        (" +30m", "one space"),
        ("+30", ""),
        ("+30x", ""),
        ("T 14:30+5m", ""),
        ("at once 14:30", ""),
        ("At once", ""),
        ("T+2d+1 14:30", ""),
        ("Payment_date 08:00", ""),
        ("T\uff0b2 14:30", ""),
        ("T 14:30\n", ""),
    ],
)
def test_what_is_no_instant_is_refused(text: str, hint: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        parse_instant(text)
    assert hint in refused.value.hint
    assert refused.value.allowed


SCOPE = Scope(
    {
        "payment_date": Declared.of(Type.DATE),
        "cutoff": Declared.of(Type.TIME, source="parameter"),
        "topup_days": Declared.of(Type.QUANTITY, source="parameter"),
        "reply_by": Declared.of(Type.DATETIME),
        "cash": Declared.of(Type.MONEY),
    }
)


@pytest.mark.parametrize("text", ["T+topup_days cutoff", "payment_date 08:00", "reply_by", "+30m", "at once"])
def test_names_of_the_right_type_pass(text: str) -> None:
    assert parse_instant(text).check(SCOPE) == []


@pytest.mark.parametrize(
    ("text", "offset", "found", "allowed"),
    [
        ("payment_dat 08:00", 0, "unknown name 'payment_dat'", "payment_date"),
        ("reply_by 08:00", 0, "datetime", "date"),
        ("payment_date", 0, "date", "datetime"),
        ("payment_date cash", 13, "money", "time"),
        ("T+cash 14:30", 2, "money", "quantity"),
    ],
)
def test_names_of_a_wrong_type_are_told(text: str, offset: int, found: str, allowed: str) -> None:
    (problem,) = parse_instant(text).check(SCOPE)
    assert problem.offset == offset
    assert found in problem.found
    assert allowed in problem.allowed


@given(
    st.sampled_from(["", "T", "payment_date"]), st.integers(-40, 40), st.booleans(), st.times(), st.integers(-99, 99)
)
def test_counting_by_the_grammar_is_counting_by_hand(day: str, n: int, natural: bool, at: time, minutes: int) -> None:
    span = f"{minutes:+d}m"
    text = f"{day}{n:+d}{'d' if natural else ''} {at:%H:%M} {span}" if day else span
    found = parse_instant(text).resolve(VALUES, ENV, MADE)
    start = {"": MADE, "T": ENV.business_date, "payment_date": VALUES["payment_date"]}[day]
    if not day:
        assert found == MADE + timedelta(minutes=minutes)
        return
    assert isinstance(start, date)
    if natural:
        counted = start + timedelta(days=n)
    else:
        index = SESSIONS.index(start) + n
        if not 0 <= index < len(SESSIONS):
            assert found is Absence.MISSING
            return
        counted = SESSIONS[index]
    midnight = datetime(counted.year, counted.month, counted.day, tzinfo=UTC) - timedelta(hours=8)
    assert found == midnight + timedelta(hours=at.hour, minutes=at.minute + minutes)
