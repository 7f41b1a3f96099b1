"""One small mistake in a rule set, as a value. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from daemon.rules.nodes import Node
from daemon.rules.schema import RuleSet


@dataclass(frozen=True)
class Mutant:
    """One mistake in the set `ruleset`. `site`: the dotted key it was made at, `path` and `line` its place; `operator`: what
    sort of mistake; `before`, `after`: what it changed, as text. `expression`: the whole expression before and after,
    for a proof; `shift`: given fields whose numbers are read so much higher (a line of the contract read wrong)."""

    rule: str
    site: str
    operator: str
    before: str
    after: str
    path: str
    line: int
    ruleset: RuleSet = field(repr=False, compare=False)
    expression: tuple[Node, Node] | None = field(default=None, repr=False, compare=False)
    shift: Mapping[str, Decimal] = field(default_factory=dict, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.site}: {self.operator}: {self.before} -> {self.after}"
