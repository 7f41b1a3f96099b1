"""Plain values of rule files as typed values: parameters, cases. Pure; the mapping of source rows is mapping.py's.

Numbers stand as numbers, dates and times as text (`2024-02-01`, `'14:30'`), a datetime as `2024-02-01T15:00` in
Asia/Shanghai or with an offset. `null` is EMPTY, `{absent: stale}` any kind of absence.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from daemon.model.kinds import NUMBERS, Absence, Scalar, Type, Value
from daemon.rules.functions import SHANGHAI
from daemon.yamlfile import YMap, describe, parse_date, parse_time

ALLOWED = {
    **dict.fromkeys(NUMBERS, "a number"),
    Type.DATE: "a date such as 2024-02-01",
    Type.TIME: "a time such as '14:30', in quotes",
    Type.DATETIME: "a moment such as 2024-02-01T15:00",
    Type.BOOL: "true or false",
}


def allowed(type_: Type, values: tuple[str, ...] = ()) -> str:
    """What a value of this type looks like in a file."""
    if type_ is Type.ENUM:
        return f"one of {', '.join(values)}"
    return ALLOWED.get(type_, "text")


def scalar(found: Any, type_: Type, values: tuple[str, ...] = ()) -> Scalar | None:
    """The typed value, or None where `found` is none of this type."""
    if type_ in NUMBERS:
        return Decimal(found) if isinstance(found, int | Decimal) and not isinstance(found, bool) else None
    if type_ is Type.BOOL:
        return found if isinstance(found, bool) else None
    if not isinstance(found, str):
        return None
    if type_ is Type.DATE:
        return parse_date(found)
    if type_ is Type.TIME:
        return parse_time(found)
    if type_ is Type.DATETIME:
        return moment(found)
    return found if type_ is not Type.ENUM or found in values else None


def moment(text: Any) -> datetime | None:
    """`2024-02-01T15:00` of Asia/Shanghai, or with an offset, as UTC; None for anything else."""
    if not isinstance(text, str) or len(text) < 16 or not text.isascii():
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=SHANGHAI)).astimezone(UTC)


def value(found: Any, type_: Type, values: tuple[str, ...] = ()) -> tuple[Value | None, str, str]:
    """A value or an absence as a case gives it; None with what was found and what is allowed where it is neither."""
    if found is None:
        return Absence.EMPTY, "", ""
    if isinstance(found, YMap):
        kinds = [absence.value for absence in Absence]
        if list(found) == ["absent"] and found["absent"] in kinds:
            return Absence(found["absent"]), "", ""
        return None, describe(found), f"{{absent: one of {', '.join(kinds)}}}"
    made = scalar(found, type_, values)
    return made, describe(found), allowed(type_, values)
