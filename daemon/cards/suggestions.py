"""Reads the buttons of a variant.

    - {reply: 已知晓, data: ack}
    - {open: "https://m.example.com/ipo", text: 去缴款}
    - {dial: "{{ firm_phone }}", text: 联系我们}
    - {calendar: {title: 缴款截止, start: payment_date 09:00, end: payment_date cutoff}, text: 加入日历}

A button's text has no placeholders, so that its length is known. `data` is what comes back when it is pressed; where
it is left out it is the button's kind.
"""

from __future__ import annotations

import re
from typing import Protocol

from daemon.cards.card import CardField, Moment, Suggestion, Text
from daemon.model.kinds import Type
from daemon.yamlfile import Place, Reader, near, parse_time

KINDS = ("reply", "open", "dial", "calendar")
_MOMENT = re.compile(r"([a-z_][a-z0-9_]*)(?: ([a-z_][a-z0-9_]*|[0-9]{2}:[0-9]{2}))?")


class Texts(Protocol):
    """What reading buttons needs of the loader: it makes texts and knows the fields."""

    scope: dict[str, CardField]

    def leaf(self, r: Reader, key: str, present: frozenset[str], optional: bool = False) -> Text: ...

    def make(self, source: str, place: Place, key: str, present: frozenset[str]) -> Text: ...


def read_suggestions(texts: Texts, r: Reader, present: frozenset[str]) -> tuple[Suggestion, ...]:
    """The suggestions of one variant; what is wrong becomes findings."""
    return tuple(s for entry in r.opt_maps("suggestions") if (s := _one(texts, entry, present)))


def _one(texts: Texts, r: Reader, present: frozenset[str]) -> Suggestion | None:
    named = [k for k in KINDS if r.has(k)]
    if len(named) != 1:
        where = r.map_.trail.rsplit(".", 1)[-1]
        r.refuse(where, ", ".join(named) or "none of them", f"exactly one of {', '.join(KINDS)}")
        return None
    kind = named[0]
    label = "reply" if kind == "reply" else "text"
    text = r.text(label, 100)
    if "{" in text:
        r.refuse(label, f"a placeholder in {text!r}", "fixed words on a button")
    data = (
        texts.leaf(r, "data", present)
        if r.has("data")
        else texts.make(kind, r.map_.mark, r.map_.trail_of("data"), present)
    )
    line, column = r.map_.place(label)
    made = Suggestion(kind, text, data, r.map_.trail_of(label), line, column)
    if kind == "calendar":
        made = _calendar(texts, r.map("calendar"), present, made)
    elif kind != "reply":
        made = Suggestion(kind, text, data, made.key, line, column, texts.leaf(r, kind, present))
    r.done()
    return made


def _calendar(texts: Texts, r: Reader, present: frozenset[str], made: Suggestion) -> Suggestion:
    start, end = (_moment(texts, r, key, present) for key in ("start", "end"))
    title = texts.leaf(r, "title", present)
    r.done()
    return Suggestion(made.kind, made.text, made.data, made.key, made.line, made.column, title, start, end)


def _moment(texts: Texts, r: Reader, key: str, present: frozenset[str]) -> Moment:
    source = r.text(key, 140)
    match = _MOMENT.fullmatch(source)
    if not match:
        r.refuse(key, repr(source), "a datetime field, or a date field with a time field or HH:MM")
        return Moment("")
    moment = Moment(match[1], match[2] or "")
    wanted = {moment.day: Type.DATE if moment.clock else Type.DATETIME}
    if moment.clock[:1].isdigit():
        if parse_time(moment.clock) is None:
            r.refuse(key, repr(moment.clock), "a time of day, HH:MM")
    elif moment.clock:
        wanted[moment.clock] = Type.TIME
    for name, kind in wanted.items():
        _check_field(texts, r, key, name, kind, present)
    return moment


def _check_field(texts: Texts, r: Reader, key: str, name: str, kind: Type, present: frozenset[str]) -> None:
    field = texts.scope.get(name)
    if field is None or field.type is not kind:
        fitting = [n for n, f in texts.scope.items() if f.type is kind]
        r.refuse(
            key, f"'{name}'", f"a field declared as {kind.value}: {', '.join(fitting) or 'none'}", near(name, fitting)
        )
    elif field.optional and name not in present:
        r.refuse(key, f"'{name}', which may be absent", "a field that is there", "name it under the variant's needs")
