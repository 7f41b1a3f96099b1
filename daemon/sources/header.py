"""Header fields of a reading, typed from what a count query or a flag file says. Strict, pure.

A value that does not parse is SourceChanged, never a default: a poll must not start on a misread "settled".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal

from daemon.clock import SHANGHAI
from daemon.errors import SourceChanged
from daemon.model.kinds import Scalar, Type
from daemon.sources.reading import HEADER

DAY = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})")
FLAGS: Mapping[str, bool] = {"1": True, "true": True, "Y": True, "0": False, "false": False, "N": False}


def header_of(due_date: date, said: Mapping[str, object], place: str) -> dict[str, Scalar]:
    """`due_date` and what the source says; None is left out. Raises SourceChanged naming field and value."""
    header: dict[str, Scalar] = {"due_date": due_date}
    for name, raw in said.items():
        if name not in HEADER or name == "due_date":
            raise SourceChanged(f"{place}: header field {name!r}, expected one of {sorted(set(HEADER) - {'due_date'})}")
        if raw is None:
            continue
        value = _typed(HEADER[name], raw)
        if value is None:
            expected = _EXPECTED[HEADER[name]]
            raise SourceChanged(f"{place}: header field {name}: found {str(raw)[:40]!r}, expected {expected}")
        header[name] = value
    return header


_EXPECTED = {
    Type.DATE: "a date as 2024-02-01 or 20240201",
    Type.BOOL: "1, true or Y, or 0, false or N",
    Type.QUANTITY: "a whole number",
    Type.DATETIME: "a moment as 2024-02-01T08:00:00+08:00",
}


def _typed(kind: Type, raw: object) -> Scalar | None:
    if kind is Type.DATE:
        return raw if isinstance(raw, date) and not isinstance(raw, datetime) else day_of(str(raw))
    if kind is Type.BOOL:
        return raw if isinstance(raw, bool) else FLAGS.get(str(raw).strip(" "))
    if kind is Type.QUANTITY:
        text = str(raw).strip(" ")
        return Decimal(text) if re.fullmatch(r"[0-9]{1,18}", text) else None
    return raw.astimezone(UTC) if isinstance(raw, datetime) and raw.tzinfo else _moment(str(raw))


def day_of(text: str) -> date | None:
    """A date as 2024-02-01 or 20240201 in ASCII digits, else None."""
    found = DAY.fullmatch(text.strip(" "))
    if not found:
        return None
    try:
        return date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return None


def _moment(text: str) -> datetime | None:
    """ISO 8601; without an offset it is Asia/Shanghai. A date alone is no moment."""
    if not text.isascii() or len(text) < 16:
        return None
    try:
        moment = datetime.fromisoformat(text.strip(" "))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI)).astimezone(UTC)
