"""How long a text can get: the worst case over its branches and the usual longest values of its fields.

Lengths are UTF-16 code units, which is what SMS counts; a text in the wording of a card holds no other signs than one
unit each, or two for a character beyond U+FFFF. A field's own `width:` or its kind's bounds replace the usual width
of its type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from daemon.cards import filters
from daemon.cards.card import CardField
from daemon.cards.lines import Slot, readable
from daemon.cards.nodes import Branch, Literal, Node, Show
from daemon.model.kinds import Type

USUAL = {
    Type.ID: 18,
    Type.CODE: 12,
    Type.NAME: 12,
    Type.TEXT: 20,
    Type.MSISDN: 11,
    Type.MONEY: len("99,999,999.99"),
    Type.PRICE: len("9999.9999"),
    Type.RATIO: len("9999.99%"),
    Type.QUANTITY: len("99999999"),
    Type.ENUM: 12,
}
UNKNOWN = 20
"""The width of a field whose type nobody declared."""


def units(text: str) -> int:
    """UTF-16 code units of a text."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def longest(nodes: Iterable[Node], scope: Mapping[str, CardField]) -> int:
    """The units of the longest text these nodes can give."""
    return sum(_node(node, scope) for node in nodes)


def _node(node: Node, scope: Mapping[str, CardField]) -> int:
    if isinstance(node, Literal):
        return units(node.text)
    if isinstance(node, Branch):
        return max(longest(node.then, scope), longest(node.other, scope))
    field = scope.get(node.name)
    if field is None:
        return UNKNOWN
    return _lines(node, field) if node.filter == "lines" else _value(field, node.filter, "".join(map(str, node.args)))


def _value(field: CardField, filter_: str, arg: str) -> int:
    if filter_ == "date":
        return {"short": 6, "iso": 10}.get(arg, 11)
    if filter_ == "time":
        return 5
    if field.width:
        return field.width
    if filter_ == "ratio" and arg == "plain":
        return len("130.55%")
    if field.values:
        return max(map(units, field.values))
    return USUAL.get(field.type, UNKNOWN) if field.type else UNKNOWN


def _lines(show: Show, field: CardField) -> int:
    most = int(show.args[1]) if len(show.args) > 1 else 8
    joint = str(show.args[2]) if len(show.args) > 2 else "\n"
    columns = field.columns or {}
    row = sum(
        _slot(piece, columns) if isinstance(piece, Slot) else units(piece)
        for part in readable(str(show.args[0]))
        for piece in part.pieces
    )
    return most * (row + units(joint)) + len("等999项")


def _slot(slot: Slot, columns: Mapping[str, CardField]) -> int:
    field = columns.get(slot.column)
    return _value(field, slot.filter, slot.arg) if field else UNKNOWN


def width_of(bound: Decimal, type_: Type) -> int:
    """The width of a kind's upper bound, as its filter shows it."""
    if type_ in (Type.MONEY, Type.PRICE):
        return len(filters.money(bound))
    return len(filters.ratio(bound)) if type_ is Type.RATIO else len(filters.show(bound))
