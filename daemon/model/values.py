"""Values as JSON and back, exactly: decimals and dates as text, an absence as {"absent": kind}. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import orjson

from daemon.model.kinds import NUMBERS, Absence, Type, Value
from daemon.model.money import plain


def to_json(value: Value) -> Any:
    """A value as what JSON can hold: `Decimal('1.50')` -> '1.5', dates and times ISO, absences {"absent": "missing"}."""
    if isinstance(value, Absence):
        return {"absent": value.value}
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value


def from_json(found: Any, type_: Type) -> Value:
    """The inverse of `to_json` for a field of this type. Raises ValueError for what cannot be of the type."""
    if isinstance(found, dict):
        return Absence(found["absent"])
    if type_ is Type.BOOL:
        if not isinstance(found, bool):
            raise ValueError(f"found {found!r}, expected a bool")
        return found
    if not isinstance(found, str):
        raise ValueError(f"found {found!r}, expected text for a {type_.value}")
    if type_ in NUMBERS:
        return Decimal(found)
    if type_ is Type.DATE:
        return date.fromisoformat(found)
    if type_ is Type.DATETIME:
        return datetime.fromisoformat(found)
    if type_ is Type.TIME:
        return time.fromisoformat(found)
    return found


def canonical(found: Any) -> str:
    """Canonical JSON text of a JSON-able structure: sorted keys, no spaces, UTF-8 characters as they are (RFC 8785 subset)."""
    try:
        return orjson.dumps(found, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # a number that orjson does not know, a key that is none of text: the same bytes, more slowly
        return json.dumps(found, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def values_json(values: Mapping[str, Value]) -> dict[str, Any]:
    """A mapping of values, each by `to_json`."""
    return {name: to_json(value) for name, value in values.items()}


def occurrence_text(occurrence: Mapping[str, Value]) -> str:
    """The canonical text of an occurrence: part of an obligation's identity."""
    return canonical(values_json(occurrence))


def terms_json(terms: Mapping[str, Any]) -> dict[str, Any]:
    """Terms as JSON can hold them: values by `to_json`, rows as lists of mappings."""
    return {
        name: [values_json(row) for row in value] if isinstance(value, tuple) else to_json(value)
        for name, value in terms.items()
    }
