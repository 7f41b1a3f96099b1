"""Fills a card in: the variant that fits, its texts, the rich card's document and the SMS text. Pure.

Steps: take the declared values, refuse what cannot be shown; choose the variant; render its leaves in one call; put
the marks' wording in front; make the buttons; take the first SMS text that is allowed and fits the parts. A text that
does not fit is never cut: where even the shortest SMS text is too long it goes out in more parts and `sms_parts` says
so, because a notice that is too long is better than none. Limits of platforms are `rcs.faults`' matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, TypeAlias

from daemon.cards import rcs, sms
from daemon.cards.card import Card, Moment, Suggestion, Variant
from daemon.cards.filters import UNSHOWABLE, kind_of
from daemon.cards.template import RenderError
from daemon.clock import SHANGHAI
from daemon.model.kinds import Absence, Value
from daemon.yamlfile import parse_time

Rows: TypeAlias = Sequence[Mapping[str, Value]]
NO_MARKS: Mapping[str, Value] = {}


@dataclass(frozen=True, slots=True)
class Rendered:
    """A card filled in. `sms` has the signature, `sms_text` is without it; `sms_parts` counts `sms`. `suggestions`
    are those of `rcs`, the whole GSMA document. `omitted`: buttons left out because their calendar entry would end
    before it begins."""

    title: str
    description: str
    suggestions: tuple[Mapping[str, Any], ...]
    media: rcs.Media | None
    rcs: dict[str, Any]
    sms: str
    sms_text: str
    sms_parts: int
    variant: str
    omitted: tuple[str, ...] = ()


def render(
    card: Card,
    values: Mapping[str, Value | Rows],
    *,
    stage: str = "",
    level: str = "",
    marks: Mapping[str, Value] = NO_MARKS,
    signature: str = "",
    media: rcs.Media | None = None,
) -> Rendered:
    """Fill the card in.

    `values`: typed values of the card's fields, rows as sequences of mappings; others are passed over. `stage` may be
    `level/stage`. `marks`: name -> its value (`stale_as_of` a moment, others true); under a stage `correction/n` the
    mark `correction` is set by itself. Raises RenderError, naming a field and never a value.
    """
    known = _values(card, values, stage, level, marks)
    variant = choose(card, known, stage, level, marks)
    leaves = variant.program.run(known)
    title, description, front = leaves[0], leaves[1].strip(), ""
    for name in _marks(card, variant, stage, marks):
        lead = card.marks[name].program.run(known)
        title, description, front = (
            lead[0] + title,
            f"{lead[1]}\n{description}" if lead[1] else description,
            lead[2] + front,
        )
    text, count = _sms(variant, known, leaves[2], front, signature)
    suggestions, omitted = _suggestions(variant, known, leaves[3:])
    shown = _media(card, variant, media)
    document = rcs.message(title, description, suggestions, shown)
    signed = sms.sign(text, signature)
    return Rendered(title, description, tuple(suggestions), shown, document, signed, text, count, variant.name, omitted)


def choose(
    card: Card, known: Mapping[str, Any], stage: str, level: str, marks: Mapping[str, Value] = NO_MARKS
) -> Variant:
    """The first variant that fits. `known`: values, None for an absent one."""
    stages = {stage, *stage.split("/")}
    for variant in card.variants:
        if (
            (not variant.when_stage or not stages.isdisjoint(variant.when_stage))
            and (not variant.when_level or level in variant.when_level)
            and (not variant.when_mark or any(m in marks for m in variant.when_mark))
            and all(known.get(n) is not None for n in variant.needs)
            and all(_positive(n, known[n]) for n in variant.positive)
            and all(known.get(n) in allowed for n, allowed in variant.when.items())
        ):
            return variant
    raise RenderError(f"card {card.name}: found no variant that fits, expected a last one without conditions")


def _values(
    card: Card, values: Mapping[str, Any], stage: str, level: str, marks: Mapping[str, Value]
) -> dict[str, Any]:
    known: dict[str, Any] = {"stage": stage, "level": level, "stale_as_of": marks.get("stale_as_of"), **card.constants}
    for name, field in card.fields.items():
        value = values.get(name)
        if value is None or isinstance(value, Absence):
            if not field.optional:
                raise RenderError(f"card {card.name}: found no value of '{name}' ({value or 'absent'}), expected one")
            value = None
        elif isinstance(value, str) and UNSHOWABLE.search(value):
            raise RenderError(f"card {card.name}: found a control character in '{name}', expected visible characters")
        known[name] = value
    return known


def _positive(name: str, value: Any) -> bool:
    if not isinstance(value, Decimal):
        raise RenderError(f"found {kind_of(value)} as '{name}', expected a number")
    return value > 0


def _marks(card: Card, variant: Variant, stage: str, marks: Mapping[str, Value]) -> list[str]:
    named = set(marks)
    if stage.split("/")[0] == "correction":
        named.add("correction")
    said = {*variant.when_mark, *(("correction",) if "correction" in variant.when_stage else ())}
    named -= said
    if missing := named - card.marks.keys():
        raise RenderError(
            f"card {card.name}: found the mark {', '.join(sorted(missing))}, expected {', '.join(card.marks)}"
        )
    # The first of the file stands first in the text, so it is put in front last.
    return [name for name in reversed(tuple(card.marks)) if name in named] if named else []


def _sms(variant: Variant, known: dict[str, Any], first: str, front: str, signature: str) -> tuple[str, int]:
    text, count = "", 0
    for candidate in variant.sms:
        if candidate.condition and known[candidate.condition] is not True:
            continue
        body = first if candidate.program is None else candidate.program.run(known)[0]
        text = front + body.strip()
        count = sms.parts(sms.sign(text, signature))
        if count <= variant.sms_parts:
            break
    return text, count


def _suggestions(
    variant: Variant, known: dict[str, Any], leaves: list[str]
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    rest = iter(leaves)
    made: list[dict[str, Any]] = []
    omitted: list[str] = []
    for s in variant.suggestions:
        data = s.data.constant if s.data.constant is not None else next(rest)
        target = "" if s.target is None else s.target.constant if s.target.constant is not None else next(rest)
        button = _button(s, data, target, known)
        if button is None:
            omitted.append(s.text)
        else:
            made.append(button)
    return made, tuple(omitted)


def _button(s: Suggestion, data: str, target: str, known: dict[str, Any]) -> dict[str, Any] | None:
    if s.kind == "reply":
        return rcs.reply(s.text, data)
    if s.kind == "open":
        return rcs.open_link(s.text, data, target)
    if s.kind == "dial":
        return rcs.dial(s.text, data, target)
    assert s.start and s.end
    start, end = _moment(s.start, known), _moment(s.end, known)
    return rcs.calendar(s.text, data, target, start, end) if start < end else None


def _moment(moment: Moment, known: dict[str, Any]) -> datetime:
    day = known[moment.day]
    if not moment.clock:
        if isinstance(day, datetime) and day.tzinfo is not None:
            return day
        raise RenderError(f"found another value of '{moment.day}', expected a moment with time zone")
    clock = known[moment.clock] if moment.clock in known else parse_time(moment.clock)
    if isinstance(day, date) and isinstance(clock, time):
        return datetime.combine(day, clock, SHANGHAI)
    raise RenderError(f"found other values of '{moment.day}' and '{moment.clock}', expected a date and a time")


def _media(card: Card, variant: Variant, media: rcs.Media | None) -> rcs.Media | None:
    if media is None and variant.media == "required":
        raise RenderError(f"card {card.name}: found no media for variant '{variant.name}', which requires it")
    return media if variant.media != "none" else None
