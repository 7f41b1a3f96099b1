"""Reads the feeds of a kind: schedules, parts, queries or files, columns. Pure. The format is in rules/README.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from daemon.model.kinds import NUMBERS, Column, Feed, Field, Part, Type
from daemon.rules import typed
from daemon.rules.checks import Expressions, check_name, field_scope
from daemon.rules.types import Declared, Scope
from daemon.yamlfile import Reader, YMap, describe, near

FORMATS = ("sql", "csv", "dbf", "ofd", "http")
DATES = ("today", "previous_session")
HEADER: Mapping[str, Type] = {
    "due_date": Type.DATE,
    "business_date": Type.DATE,
    "file_date": Type.DATE,
    "settled": Type.BOOL,
    "rows": Type.QUANTITY,
    "deleted": Type.QUANTITY,
    "as_of": Type.DATETIME,
}
"""What a reading can say of itself, for `ready_when`; the list of sources/reading.py."""

_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9]"
_ON = "(sessions|workdays|days)"
_SCHEDULE = re.compile(rf"(?:{_CLOCK} {_ON}|every [1-9][0-9]{{0,2}}m {_CLOCK}-{_CLOCK} {_ON})")


def read_feeds(r: Reader, kind: str, use: str, fields: Mapping[str, Field], check: Expressions) -> tuple[Feed, ...]:
    """The feeds of a kind over its own fields (those that parts map)."""
    top = r.map("feeds")
    names = [name for name in top.map_ if check_name(top.map_, name, r.findings)]
    if not names:
        r.refuse("feeds", "no feed", "at least one feed")
    return tuple(_feed(top.map(name), name, kind, use, fields, check) for name in names)


def _feed(r: Reader, name: str, kind: str, use: str, fields: Mapping[str, Field], check: Expressions) -> Feed:
    schedule = r.texts("schedule", 1) if use != "reference" else r.opt_texts("schedule")
    for entry in schedule:
        if not _SCHEDULE.fullmatch(entry):
            r.refuse("schedule", f"'{entry}'", "'HH:MM sessions' or 'every 10m HH:MM-HH:MM sessions'")
    top = r.map("parts")
    parts = [_part(top.map(p), p, fields, check) for p in top.map_ if check_name(top.map_, p, r.findings)]
    if not parts and "parts" in r.map_:
        r.refuse("parts", "no part", "at least one part")
    made = Feed(
        name,
        kind,
        r.opt_text("basis", "day", 40),
        tuple(parts),
        schedule,
        r.opt_choice("date", DATES, "today"),
        r.opt_span("late_after"),
        r.opt_span("timeout") or timedelta(minutes=10),
        r.opt_integer("priority", 5, 1, 9),
    )
    r.done()
    return made


def _part(r: Reader, name: str, fields: Mapping[str, Field], check: Expressions) -> Part:
    format_ = r.opt_choice("format", FORMATS, "sql")
    sql = format_ in ("sql", "http")
    query, file = (r.text("query", 8000), "") if sql else ("", r.text("file", 200))
    keyed = r.opt_text("keyed", "", 8000) if sql else ""
    if keyed and ":keys" not in keyed:
        r.refuse("keyed", "a query without :keys", "a query that asks for :keys")
    key_columns = r.opt_texts("key_columns")
    if bool(keyed) != bool(key_columns):
        r.refuse("keyed", "one of keyed and key_columns", "both or neither")
    columns = _columns(r.map("columns"), fields)
    _check_columns(r, columns, fields)
    ready, where = r.opt_expression("ready_when"), r.opt_expression("where")
    check.check(r, "ready_when", ready, Scope({n: Declared.of(t) for n, t in HEADER.items()}))
    mapped = {c.field: fields[c.field] for c in columns if c.field in fields}
    check.check(r, "where", where, field_scope(mapped, personal=True))
    unused = tuple(Column("", name) for name in r.opt_texts("unused"))
    source, count = r.text("source", 64), r.opt_text("count", "", 4000) if sql else ""
    age = r.opt_span("max_age")
    r.done()
    return Part(name, source, query, file, format_, columns + unused, keyed, key_columns, ready, count, age, where)


def _columns(r: Reader, fields: Mapping[str, Field]) -> tuple[Column, ...]:
    made = []
    for name in r.map_:
        if name not in fields:
            hint = near(name, fields)
            r.refuse(name, f"the unknown field '{name}'", ", ".join(sorted(fields)), hint)
            continue
        plain = isinstance(r.map_[name], str)
        made.append(Column(name, r.text(name, 64)) if plain else _column(r.map(name), fields[name]))
    return tuple(made)


def _column(r: Reader, field: Field) -> Column:
    if r.has("const"):
        found = r.map_["const"]
        if typed.scalar(found, field.type, field.values) is None:
            r.refuse("const", describe(found), typed.allowed(field.type, field.values))
        r.done()
        return Column(field.name, const=str(found))
    scale, format_ = r.opt_decimal("scale"), r.opt_text("format", "", 40)
    if scale is not None and (field.type not in NUMBERS or scale <= 0):
        r.refuse("scale", f"{scale} for a {field.type.value}", "a positive number, for numbers only")
    if format_ and field.type not in (Type.DATE, Type.TIME, Type.DATETIME):
        r.refuse("format", f"a format for a {field.type.value}", "a format for dates and times only")
    values = _values(r, field) if r.has("values") else None
    made = Column(field.name, r.text("column", 64), scale, format_, values)
    r.done()
    return made


def _values(r: Reader, field: Field) -> dict[str, str]:
    top = r.map("values")
    found = {code: _plain(top.map_, code) for code in top.map_}
    allowed = field.values if field.type is Type.ENUM else ("true", "false") if field.type is Type.BOOL else ()
    for code, value in found.items():
        top.has(code)
        if allowed and value not in allowed:
            top.refuse(code, f"'{value}'", ", ".join(allowed), near(value, allowed))
    return found


def _plain(ymap: YMap, key: str) -> str:
    value = ymap[key]
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _check_columns(r: Reader, columns: tuple[Column, ...], fields: Mapping[str, Field]) -> None:
    mapped = {c.field for c in columns}
    for name, field in fields.items():
        if field.required and name not in mapped:
            r.refuse("columns", f"no column for '{name}'", "a column for every required field")
