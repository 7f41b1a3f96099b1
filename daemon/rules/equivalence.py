"""Proofs that a mutant decides, plans and words everything as the rule does. Pure; a closed list of kinds of proof.

   same form          both expressions have one normal form (normal_form.py), and name their operands in one order
   every value        the operands can take few values only (bool, enum, texts that are only compared), and both
                      expressions were evaluated for every combination of them and of the five kinds of absence
   one value          a parameter's value begins on another day, and has the same value before and after
   never quiet        quiet hours move, and no stage's instant can lie in the old ones or the new ones
   never chosen       a card's wording asks for a level whose condition is false for the values the wording asks for
   never both         two wordings are swapped that no stage, level or value fits at once
What none of these proves counts as a survivor, whatever a person may think of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, time
from itertools import product

from daemon.cards.card import Variant
from daemon.model.kinds import Absence, Type, Value
from daemon.rules.check_cards import covers
from daemon.rules.evaluate import Env, evaluate
from daemon.rules.expressions import parse
from daemon.rules.instants import parse_instant
from daemon.rules.mutant import Mutant
from daemon.rules.mutate_expressions import with_children
from daemon.rules.nodes import Call, Literal, Name, Node, children, names_in, walk
from daemon.rules.normal_form import normal
from daemon.rules.schema import Rule, RuleSet
from daemon.rules.vocabulary import ROWS, Vocabulary

MOST = 50_000
"""Combinations that are evaluated; beyond it nothing is proven."""
GONE = "gone"
"""The mark of a correction that says: what you were told no longer holds."""

_TEXTS = frozenset({Type.TEXT, Type.CODE, Type.NAME, Type.ID})


def proof_of(ruleset: RuleSet, mutant: Mutant) -> tuple[str, str] | None:
    """The kind of proof and its argument, None where none is found."""
    for prove in (
        _same_form,
        _every_value,
        _one_value,
        _never_quiet,
        _never_both,
        _only_corrections,
        _same_obligation,
        _same_term,
    ):
        if (found := prove(ruleset, mutant)) is not None:
            return found
    return None


def _same_form(ruleset: RuleSet, mutant: Mutant) -> tuple[str, str] | None:
    if mutant.expression is None:
        return None
    before, after = mutant.expression
    if normal(before) != normal(after) or names_in(before) != names_in(after):
        return None
    return "same form", "both fold to one expression"


def _every_value(ruleset: RuleSet, mutant: Mutant) -> tuple[str, str] | None:
    if mutant.expression is None:
        return None
    words = Vocabulary.of(ruleset, ruleset.rules[mutant.rule])
    before, after = (_inlined(node, words) for node in mutant.expression)
    domains = _domains((before, after), words)
    if domains is None:
        return None
    count = 0
    env = Env(ruleset.calendar, ruleset.calendar.first)
    for values in _combinations(domains):
        if _outcome(before, values, env) != _outcome(after, values, env):
            return None
        count += 1
    return "every value", f"equal for all {count} combinations of {', '.join(domains) or 'nothing'}"


def _same_term(ruleset: RuleSet, mutant: Mutant) -> tuple[str, str] | None:
    """A term is dropped that cannot change by itself for one obligation."""
    if mutant.site != "terms" or mutant.operator != "dropped":
        return None
    rule, name = ruleset.rules[mutant.rule], mutant.before
    words = Vocabulary.of(ruleset, rule)
    if name in rule.occurrence:
        return "same term", f"{name} identifies the obligation"
    let = words.lets.get(name)
    parameter = let.name if isinstance(let, Name) else name
    firm = parameter in words.used_parameters and not words.contract_field(parameter)
    if firm and len({value.value for value in ruleset.parameters[parameter].values}) == 1:
        return "same term", f"{parameter} has never had another value"
    collect = words.kind.collect
    if collect is not None and ROWS in rule.terms and collect.sums.get(name) in collect.items:
        return "same term", f"{name} is the sum over rows that are a term"
    return None


def _inlined(node: Node, words: Vocabulary) -> Node:
    """The expression with the rule's lets and the kind's formulas of a fact put in for their names."""
    known: dict[str, Node] = {}
    for derived in words.kind.derived:
        known[derived.name] = _put(parse(derived.expression), known)
    for name, let in words.lets.items():
        known[name] = _put(let, known)
    return _put(node, known)


def _put(node: Node, known: Mapping[str, Node]) -> Node:
    if isinstance(node, Name):
        return known.get(node.name, node)
    parts = children(node)
    return with_children(node, tuple(_put(part, known) for part in parts)) if parts else node


def _domains(nodes: tuple[Node, ...], words: Vocabulary) -> dict[str, list[Value]] | None:
    """Operand -> every value that can make a difference; None where that are not few."""
    names = dict.fromkeys(name for node in nodes for name in names_in(node))
    texts = [n.value for node in nodes for n in walk(node) if isinstance(n, Literal) and isinstance(n.value, str)]
    if not all(_only_compared(node) for node in nodes):
        return None
    found: dict[str, list[Value]] = {}
    size = 1
    for name in names:
        field = words.kind.fields.get(name)
        if field is None:
            return None
        values: list[Value]
        if field.type is Type.BOOL:
            values = [True, False]
        elif field.type is Type.ENUM:
            values = list(field.values)
        elif field.type in _TEXTS:
            values = [*dict.fromkeys(texts), *(f"\0{i}" for i in range(len(names)))]
        else:
            return None
        found[name] = [*values, *Absence]
        size *= len(found[name])
        if size > MOST:
            return None
    return found


def _only_compared(node: Node) -> bool:
    """Whether values meet nothing but conditions, comparisons and choices: what else they are made of does not matter."""
    calls = {"known", "coalesce", "if_else"}
    return all(not isinstance(n, Call) or n.function in calls for n in walk(node))


def _combinations(domains: Mapping[str, list[Value]]) -> Iterator[dict[str, Value]]:
    names = tuple(domains)
    for values in product(*domains.values()):
        yield dict(zip(names, values, strict=True))


def _outcome(node: Node, values: Mapping[str, Value], env: Env) -> tuple[Value, str]:
    """What the expression gives, and for an absence the operand that a reason names."""
    found = evaluate(node, values, env)
    if not isinstance(found, Absence):
        return found, ""
    return found, next(name for name in names_in(node) if isinstance(values[name], Absence))


def _one_value(ruleset: RuleSet, mutant: Mutant) -> tuple[str, str] | None:
    if mutant.operator != "start":
        return None
    name = mutant.site.split(".")[1]
    old, new = ruleset.parameters[name], mutant.ruleset.parameters[name]
    starts = {value.start for value in (*old.values, *new.values)}
    if any(old.on(day) != new.on(day) for day in starts):
        return None
    return "one value", f"{name} is the same before and after"


def _never_quiet(ruleset: RuleSet, mutant: Mutant) -> tuple[str, str] | None:
    if not mutant.site.startswith("quiet."):
        return None
    clocks = _clocks(ruleset.rules[mutant.rule])
    if clocks is None:
        return None
    for rule in (ruleset.rules[mutant.rule], mutant.ruleset.rules[mutant.rule]):
        assert rule.quiet is not None
        begins, ends = (time.fromisoformat(text) for text in rule.quiet)
        for clock in clocks:
            if begins <= clock < ends if begins <= ends else clock >= begins or clock < ends:
                return None
    return "never quiet", f"every stage begins at {', '.join(sorted(c.isoformat('minutes') for c in clocks))}"


def _clocks(rule: Rule) -> set[time] | None:
    """The times of day at which stages begin, where all of them are written out."""
    found = set()
    for stage in rule.stages:
        instant = parse_instant(stage.at)
        if not isinstance(instant.clock, time):
            return None
        found.add((datetime.combine(date(2000, 1, 2), instant.clock) + instant.span).time())
    return found


def _never_both(ruleset: RuleSet, mutant: Mutant) -> tuple[str, str] | None:
    if not mutant.site.startswith("card.") or mutant.operator != "swapped":
        return None
    variants = ruleset.cards[ruleset.rules[mutant.rule].card].variants
    first, second = (next(v for v in variants if v.name == name) for name in (mutant.before, mutant.after))
    if _apart(first, second):
        return "never both", f"nothing fits {first.name} and {second.name} at once"
    for earlier in variants[: variants.index(first)]:
        if covers(earlier, _both(first, second)):
            return (
                "never both",
                f"what fits {first.name} and {second.name} fits {earlier.name}, which stands before them",
            )
    return None


def _both(first: Variant, second: Variant) -> Variant:
    """A wording for what fits both of two that are not apart."""
    stages, levels, marks = (
        tuple(name for name in a if name in b) if a and b else a or b
        for a, b in (
            (first.when_stage, second.when_stage),
            (first.when_level, second.when_level),
            (first.when_mark, second.when_mark),
        )
    )
    when = {**first.when, **second.when}
    return replace(
        first,
        when_stage=stages,
        when_level=levels,
        when_mark=marks,
        needs=(*first.needs, *second.needs),
        positive=(*first.positive, *second.positive),
        when=when,
    )


def _only_corrections(ruleset: RuleSet, mutant: Mutant) -> tuple[str, str] | None:
    """A wording for what is gone asks for the stage of a correction: nothing else bears that mark."""
    if not mutant.site.startswith("card.") or not mutant.site.endswith(".when_stage"):
        return None
    rule = ruleset.rules[mutant.rule]
    name = mutant.site.split(".")[1]
    variant = next(v for v in ruleset.cards[rule.card].variants if v.name == name)
    if variant.when_mark != (GONE,) or GONE in rule.marks or variant.when_stage != ("correction",):
        return None
    return "only corrections", f"the mark {GONE} is set on corrections alone"


def _same_obligation(ruleset: RuleSet, mutant: Mutant) -> tuple[str, str] | None:
    """A reason is added, or left out, for which what was told is corrected; its condition reads nothing but what identifies
    the obligation, so that it gives for the same obligation what it gave when that was told: false."""
    if mutant.site != "corrections.gone" or mutant.operator not in ("correction", "dropped"):
        return None
    rule = ruleset.rules[mutant.rule]
    reason = mutant.after if mutant.operator == "correction" else mutant.before
    if reason not in rule.unless:
        return None
    names = names_in(_inlined(parse(rule.unless[reason]), Vocabulary.of(ruleset, rule)))
    if not set(names) <= set(rule.occurrence):
        return None
    return "same obligation", f"{reason} reads nothing but {', '.join(names)}, which the occurrence holds"


def _apart(first: Variant, second: Variant) -> bool:
    """Whether no stage, level or value fits both."""
    if first.when_level and second.when_level and not set(first.when_level) & set(second.when_level):
        return True
    if first.when_stage and second.when_stage and not _stages(first) & _stages(second):
        return True
    return any(not set(first.when[n]) & set(second.when[n]) for n in first.when.keys() & second.when.keys())


def _stages(variant: Variant) -> set[str]:
    return {name.split("/")[-1] for name in variant.when_stage}
