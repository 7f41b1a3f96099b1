"""What the wording of a card must contain, and what an SMS may not say to everybody. Pure; part of the lint.

Elements come from the table of the distribution (by category and family) and from the card's own `requires:`. One with
`in: both` stands in the card and in every SMS text; `agreed` in the card and in the SMS texts of clients who agreed
to amounts; `card` and `sms` in one of them. The client's amounts stand in an SMS only under such an agreement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from daemon.cards.card import Card, CardField, Mark, Text, Variant
from daemon.cards.lines import Slot, readable
from daemon.cards.nodes import Show, literals, shows
from daemon.cards.words import Element, normal
from daemon.errors import Finding
from daemon.model.kinds import Type

SHORT = "amounts only in a text with `if:` a client's agreement, and a last text without"


def missing(card: Card, variant: Variant, elements: tuple[Element, ...]) -> Iterator[Finding]:
    """The elements that a wording lacks."""
    for element in (*elements, *card.requires):
        if not _concerns(element, card, variant):
            continue
        if element.place != "sms" and not _has(element, [variant.title, variant.description]):
            yield _lack(card, element, variant.description, "title and description")
        for sms in variant.sms:
            asked = element.place in ("sms", "both") or (element.place == "agreed" and sms.condition)
            if asked and not _has(element, [sms.text]):
                where = "the SMS text" if len(variant.sms) == 1 else "this SMS text"
                yield _lack(card, element, sms.text, where if element.place != "agreed" else "an SMS text with amounts")


def amounts(card: Card, variant: Variant, scope: Mapping[str, CardField]) -> Iterator[Finding]:
    """Amounts of the client in an SMS text that does not ask whether the client agreed to them."""
    for sms in variant.sms:
        if not sms.condition:
            yield from _amounts(card, sms.text, scope)


def mark_amounts(card: Card, mark: Mark, scope: Mapping[str, CardField]) -> Iterator[Finding]:
    """The same in the words of a mark, which stand in front of every SMS."""
    yield from _amounts(card, mark.sms, scope)


def _amounts(card: Card, text: Text, scope: Mapping[str, CardField]) -> Iterator[Finding]:
    for show in shows(text.nodes):
        for name in _shown_amounts(show, scope):
            if name not in card.public:
                found = f"the amount '{name}' in an SMS text for every client"
                yield Finding(card.path, text.line_of(show.line), text.column, text.key, found, SHORT)


def _shown_amounts(show: Show, scope: Mapping[str, CardField]) -> list[str]:
    """The fields of type money that a placeholder puts in."""
    field = scope.get(show.name)
    if field is None or show.filter != "lines":
        return [show.name] if field is not None and field.type is Type.MONEY else []
    try:
        parts = readable(str(show.args[0])) if show.args else ()
    except ValueError:
        return []  # the pattern has a finding of its own
    slots = [piece for part in parts for piece in part.pieces if isinstance(piece, Slot)]
    columns = field.columns or {}
    return [s.column for s in slots if s.filter == "money" or _type(columns.get(s.column)) is Type.MONEY]


def _type(field: CardField | None) -> Type | None:
    return field.type if field else None


def _concerns(element: Element, card: Card, variant: Variant) -> bool:
    own = element in card.requires
    if not own and (element.category != card.category or element.family not in ("*", card.family)):
        return False
    if variant.when_mark and element.family != "*":
        return False  # a withdrawal takes back what it no longer tells
    return not (element.levels and variant.when_level and not set(element.levels) & set(variant.when_level))


def _lack(card: Card, element: Element, text: Text, where: str) -> Finding:
    ways = [f"the field {f}" for f in element.fields] + [f"the words {p}" for p in element.phrases]
    found = f"no {element.name} in {where}"
    return Finding(card.path, text.line_of(1), text.column, text.key, found, " or ".join(ways), element.basis)


def _has(element: Element, texts: list[Text]) -> bool:
    """Whether it is there. A text that could not be taken apart has a finding of its own and is not blamed again."""
    if any(text.source and not text.nodes for text in texts):
        return True
    if any(show.name in element.fields for text in texts for show in shows(text.nodes)):
        return True
    said = normal("\n".join("".join(n.text for n in literals(text.nodes)) for text in texts))
    return any(phrase in said for phrase in element.phrases)
