"""A rule's card against the rule: category, marks, the stages and levels its wordings are for, wordings that nobody ever gets.
Pure. Every mistake is a finding at its place; what a card says by itself is the lint's matter (`cards/lint.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from daemon.cards.card import Card, Variant
from daemon.cards.lint import lint
from daemon.cards.rcs import CTCU
from daemon.cards.words import shipped_elements, shipped_words
from daemon.errors import Finding
from daemon.model.kinds import Field, Type
from daemon.rules.load_rules import RuleFile
from daemon.rules.nodes import And, Compare, Literal, Name, Node
from daemon.yamlfile import near


class Links(NamedTuple):
    """Where links may lead: `card` those of buttons, `sms` those in an SMS text. Elsewhere none may."""

    card: tuple[str, ...] = ()
    sms: tuple[str, ...] = ()


def wording_of(card: Card, links: Links, known: Mapping[str, Field | Type] | None = None) -> list[Finding]:
    """What the lint says of a card; `known`: what its rule offers, None where that cannot be told."""
    words, elements = shipped_words(), shipped_elements()
    return lint(card, CTCU, words=words, elements=elements, hosts=links.card, sms_hosts=links.sms, known=known)


class CardCheck:
    """One card under one rule. `conditions`: the parsed condition of each level, None where it does not parse."""

    def __init__(
        self, file: RuleFile, card: Card, conditions: Mapping[str, Node | None], findings: list[Finding]
    ) -> None:
        self._file, self._rule, self._card = file, file.rule, card
        self._conditions, self._findings = conditions, findings

    def run(self) -> None:
        """Note every finding."""
        card, rule = self._card, self._rule
        if card.category != rule.category:
            self._file.r.refuse("category", rule.category, f"'{card.category}', as the card {card.name} has it")
        for mark in rule.marks:
            if mark not in card.marks:
                hint = near(mark, card.marks)
                self._file.parts["marks"].refuse(mark, f"the mark '{mark}'", ", ".join(card.marks), hint)
        self._stages()
        self._reach()

    def _refuse(self, variant: Variant, key: str, found: str, allowed: str, hint: str = "") -> None:
        trail = f"variants.{variant.name}.{key}" if key else f"variants.{variant.name}"
        self._findings.append(Finding(self._card.path, variant.line, 1, trail, found, allowed, hint))

    def _stages(self) -> None:
        """Stages and levels that a wording names and the rule does not have."""
        stages = {part for stage in self._rule.stages for part in (stage.name, stage.name.split("/")[-1])}
        stages.add("correction")
        levels = {level.name for level in self._rule.levels}
        for variant in self._card.variants:
            for key, known in (("when_stage", stages), ("when_level", levels)):
                for name in getattr(variant, key):
                    if name not in known:
                        allowed = f"of rule {self._rule.name}: {', '.join(sorted(known))}"
                        self._refuse(variant, key, f"'{name}'", allowed, near(name, known))

    def _reach(self) -> None:
        """Wordings that nobody gets: an earlier one fits whenever they do, or their level's condition excludes them."""
        for i, variant in enumerate(self._card.variants):
            earlier = next((v for v in self._card.variants[:i] if v.conditional() and covers(v, variant)), None)
            if earlier is not None:
                found = f"a wording that is never taken: '{earlier.name}' fits whenever it does"
                self._refuse(variant, "", found, "one that some notice gets")
            elif variant.when_level and all(self._excluded(level, variant) for level in variant.when_level):
                levels = ", ".join(variant.when_level)
                found = f"a wording that is never taken: the condition of {levels} leaves out its `when`"
                self._refuse(variant, "when", found, "one that some notice gets")

    def _excluded(self, level: str, variant: Variant) -> bool:
        """Whether a level's condition demands of a field another value than a wording is for."""
        return any(
            name in variant.when and value not in variant.when[name]
            for name, value in _demands(self._conditions.get(level))
        )


def _demands(node: Node | None) -> list[tuple[str, str]]:
    """The comparisons `name == 'text'` that all must hold for a condition."""
    parts = node.parts if isinstance(node, And) else (node,)
    return [
        (part.left.name, str(part.right.value))
        for part in parts
        if isinstance(part, Compare)
        and part.op == "=="
        and isinstance(part.left, Name)
        and isinstance(part.right, Literal)
    ]


def covers(wide: Variant, narrow: Variant) -> bool:
    """Whether every notice that fits `narrow` fits `wide` too."""
    for one, other in (
        (wide.when_stage, narrow.when_stage),
        (wide.when_level, narrow.when_level),
        (wide.when_mark, narrow.when_mark),
    ):
        if one and not (other and set(other) <= set(one)):
            return False
    if not set(wide.needs) <= set(narrow.needs) or not set(wide.positive) <= set(narrow.positive):
        return False
    return all(name in narrow.when and set(narrow.when[name]) <= set(found) for name, found in wide.when.items())
