"""Sample values for a card: those of the cases of its rules, and plain ones by type where no case gives a wording.

Personal values are masked before rendering, so that what is shown is what someone without the right to see would see. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from daemon.cards.card import STANDARD_MARKS, Card, CardField, Variant
from daemon.cards.render import Rendered, render
from daemon.cards.template import RenderError
from daemon.model.kinds import NUMBERS, PERSONAL_TYPES, FactKind, Field, Type, Value
from daemon.rules.cases import play
from daemon.rules.decider import Decider
from daemon.rules.schema import Rule, RuleSet
from daemon.rules.vocabulary import ROWS
from daemon.security.masking import mask_field

SAMPLES: Mapping[Type, Value] = {
    Type.ID: "0000000001",
    Type.CODE: "000001",
    Type.NAME: "样例",
    Type.TEXT: "样例",
    Type.MSISDN: "10000000001",
    Type.MONEY: Decimal("12345.67"),
    Type.PRICE: Decimal("12.34"),
    Type.RATIO: Decimal("1.25"),
    Type.QUANTITY: Decimal(100),
    Type.DATE: date(2024, 2, 1),
    Type.TIME: time(15, 0),
    Type.DATETIME: datetime(2024, 2, 1, 7, 0, tzinfo=UTC),
    Type.BOOL: True,
    Type.ENUM: "",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """A card filled in. `origin`: the case's name, or '' for plain values."""

    rendered: Rendered
    stage: str
    origin: str


def samples(
    made: RuleSet, card: Card, *, variant: str = "", stage: str = "", case: str = "", signature: str = ""
) -> Iterator[Sample]:
    """Every sample that gives what is asked for: those of cases first, then plain values of the variant."""
    for found in _of_cases(made, card, stage, case, signature):
        if variant in ("", found.rendered.variant):
            yield found
    if not case:
        for one in card.variants:
            if variant in ("", one.name):
                yield from _plain(made, card, one, stage, signature)


def _of_cases(made: RuleSet, card: Card, stage: str, name: str, signature: str) -> Iterator[Sample]:
    rules = {rule.name: rule for rule in made.rules.values() if rule.card == card.name}
    deciders = {rule: Decider(made, rules[rule]) for rule in rules}
    for case in made.cases:
        if case.rule not in rules or (name and case.name != name):
            continue
        played = play(made, deciders[case.rule], case)
        kind = made.kinds[rules[case.rule].kind]
        rows = tuple(masked(row, kind) for row in played.rows)
        values: dict[str, Any] = {**masked(played.context, kind), ROWS: rows}
        marks: dict[str, Value] = dict.fromkeys(played.decision.marks, True)
        for plan in played.plans:
            if stage in ("", plan.stage):
                yield from _shown(card, values, plan.stage, played.decision.level, marks, signature, case.name)


def masked(values: Mapping[str, Value], kind: FactKind) -> dict[str, Value]:
    """The values with names, numbers of accounts and telephones, and personal texts masked."""
    return {name: _masked(kind.fields.get(name), value) for name, value in values.items()}


def _masked(field: Field | None, value: Value) -> Value:
    if field is None or not isinstance(value, str) or not field.personal or field.type not in PERSONAL_TYPES:
        return value
    return mask_field(field, value)


def _shown(
    card: Card,
    values: Mapping[str, Any],
    stage: str,
    level: str,
    marks: Mapping[str, Value],
    signature: str,
    origin: str,
) -> Iterator[Sample]:
    try:
        yield Sample(render(card, values, stage=stage, level=level, marks=marks, signature=signature), stage, origin)
    except RenderError:
        return


def _plain(made: RuleSet, card: Card, variant: Variant, stage: str, signature: str) -> Iterator[Sample]:
    """Plain values under which this variant is the first that fits: its optional fields first all there, then only those
    that it needs."""
    rules = [rule for rule in made.rules.values() if rule.card == card.name]
    types = _types(made, card, rules)
    level = variant.when_level[0] if variant.when_level else ""
    at = stage or next(iter(variant.when_stage), "")
    marks: dict[str, Value] = {name: _mark(name) for name in variant.when_mark[:1]}
    every = {name: _value(field, types) for name, field in card.fields.items()}
    every |= {name: allowed[0] for name, allowed in variant.when.items()}
    needed = {n: v for n, v in every.items() if not card.fields[n].optional or n in (*variant.needs, *variant.when)}
    for values in (every, needed):
        for found in _shown(card, values, at, level, marks, signature, ""):
            if found.rendered.variant == variant.name:
                yield found


def _mark(name: str) -> Value:
    return SAMPLES[Type.DATETIME] if name == STANDARD_MARKS[1] else True


def _types(made: RuleSet, card: Card, rules: list[Rule]) -> dict[str, Type]:
    """What is known of the card's names: its own word, else the kind's, the parameter's; numbers of lets are money."""
    found: dict[str, Type] = {name: parameter.type for name, parameter in made.parameters.items()}
    for rule in rules:
        found |= {name: field.type for name, field in made.kinds[rule.kind].fields.items()}
    return found | {name: field.type for name, field in card.fields.items() if field.type is not None}


def _value(field: CardField, types: Mapping[str, Type]) -> Any:
    if field.columns is not None:
        row = {name: _value(column, types) for name, column in field.columns.items()}
        return (row, row)
    kind = types.get(field.name, field.type or Type.TEXT)
    if field.values:
        return field.values[0]
    sample = SAMPLES[kind]
    if kind not in NUMBERS and isinstance(sample, str) and field.width:
        return sample[: field.width] if kind not in (Type.NAME, Type.TEXT) else sample
    return sample
