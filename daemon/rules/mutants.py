"""Mutants of a rule: the same rule set with one small mistake in it, which the rule's cases must notice. Pure.

`mutants_of` makes them all: of the rule's expressions, stages, gates and channels (mutate_rules.py), of the formulas of
its kind, of the parameters it uses and of its card's choice of wording (mutate_inputs.py). A mutant is *killed* by a case
that ends otherwise than expected, *equivalent* where a proof says that nothing can tell it from the rule
(equivalence.py), else it *survives*: a case is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeAlias

from daemon.model.kinds import Value
from daemon.rules.cases import Builder, decided
from daemon.rules.decider import Decider
from daemon.rules.equivalence import proof_of
from daemon.rules.expectations import Played, differences
from daemon.rules.mutant import Mutant
from daemon.rules.mutate_inputs import input_mutants
from daemon.rules.mutate_rules import rule_mutants
from daemon.rules.schema import Case, RuleSet

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many of how many mutants have been looked at."""


class Bench:
    """The cases of one rule, its facts built once, against any number of mutants."""

    def __init__(self, ruleset: RuleSet, rule: str) -> None:
        self.ruleset, self.rule = ruleset, rule
        self.cases = [case for case in ruleset.cases if case.rule == rule]
        self._builder = Builder(ruleset, ruleset.rules[rule])
        self._built = {id(case): self._builder.build(case) for one in self.cases for case in _both(one)}
        self._order = list(self.cases)

    def killed_by(self, mutant: Mutant) -> Case | None:
        """The first case found that ends otherwise than expected; cases that killed lately are tried first."""
        decider = Decider(mutant.ruleset, mutant.ruleset.rules[self.rule])
        changed = bool(mutant.shift) or mutant.ruleset.kinds is not self.ruleset.kinds
        builder = Builder(mutant.ruleset, decider.rule) if changed else None
        for i, case in enumerate(self._order):
            played = self._played(mutant, decider, case, builder)
            if next(differences(mutant.ruleset, case, played), None) is not None:
                self._order.insert(0, self._order.pop(i))
                return case
        return None

    def _played(self, mutant: Mutant, decider: Decider, case: Case, builder: Builder | None) -> Played:
        """All that a case gives under a mutant; `builder` where its facts are built otherwise."""
        if builder is None:
            built = self._built
        else:
            built = {id(one): builder.build(shifted(one, mutant.shift)) for one in _both(case)}
        told = None
        if case.told is not None:
            told = decided(mutant.ruleset, decider, case.told, built[id(case.told)])
        return decided(mutant.ruleset, decider, case, built[id(case)], told)


def _both(case: Case) -> Iterable[Case]:
    return (case,) if case.told is None else (case, case.told)


def shifted(case: Case, shift: Mapping[str, Decimal]) -> Case:
    """The case with these given numbers moved."""
    if not shift:
        return case
    return replace(case, given={name: _moved(value, shift.get(name)) for name, value in case.given.items()})


def _moved(value: Value, by: Decimal | None) -> Value:
    return value + by if isinstance(value, Decimal) and by is not None else value


def mutants_of(ruleset: RuleSet, rule: str) -> list[Mutant]:
    """Every mutant of one rule, in the order of its files."""
    found: dict[tuple[str, str, str], Mutant] = {}
    for mutant in (*rule_mutants(ruleset, rule), *input_mutants(ruleset, rule)):
        found.setdefault((mutant.site, mutant.before, mutant.after), mutant)
    return list(found.values())


@dataclass(frozen=True)
class Equivalent:
    """A mutant that nothing can tell from the rule, and why: `proof` names the kind of proof, `because` its argument."""

    mutant: Mutant
    proof: str
    because: str


@dataclass(frozen=True)
class Tally:
    """What became of a rule's mutants."""

    rule: str
    made: int
    killed: int
    equivalents: tuple[Equivalent, ...]
    survivors: tuple[Mutant, ...]

    @property
    def score(self) -> Decimal:
        """Killed of all that are not proven equivalent, rounded down to four places; 1 where there is none."""
        asked = self.made - len(self.equivalents)
        return Decimal(1) if asked == 0 else Decimal(self.killed * 10_000 // asked) / 10_000


def run_mutants(
    ruleset: RuleSet,
    rule: str,
    only: Callable[[Mutant], bool] = lambda mutant: True,
    progress: Progress = lambda done, of: None,
) -> Tally:
    """Every mutant of one rule (or those that `only` wants) against the rule's cases; proofs are looked for where none
    kills."""
    bench = Bench(ruleset, rule)
    wanted = [mutant for mutant in mutants_of(ruleset, rule) if only(mutant)]
    killed, equivalents, survivors = 0, [], []
    for done, mutant in enumerate(wanted):
        progress(done, len(wanted))
        if bench.killed_by(mutant) is not None:
            killed += 1
        elif (proof := proof_of(ruleset, mutant)) is not None:
            equivalents.append(Equivalent(mutant, *proof))
        else:
            survivors.append(mutant)
    return Tally(rule, len(wanted), killed, tuple(equivalents), tuple(survivors))
