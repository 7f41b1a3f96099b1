"""What a rule set rests on and whether it is still looked after: reviews that fall due, references of low confidence. Pure.

A parameter is reviewed every `review_every`, counted from `reviewed_on`. From 30 days ahead the review is 'due' (`check`
and `status` say so), past its last day it is 'overdue' (`status` says so, `rules sign` refuses). A reference of
confidence C or D is no verified source: who signs a set that rests on one takes it over by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from daemon.rules.schema import Parameter, Reference, RuleSet

AHEAD = timedelta(days=30)
WEAK = ("C", "D")
STATES = ("ok", "due", "overdue")


@dataclass(frozen=True, slots=True)
class Review:
    """One parameter's review. `due_on`: the last day by which the next one is to be done; `days`: how many days are left
    until then, negative when it is overdue; `state`: one of STATES. `path` and `line`: where the parameter stands."""

    parameter: str
    label: str
    reviewed_by: str
    reviewed_on: date
    due_on: date
    days: int
    state: str
    path: str
    line: int


@dataclass(frozen=True, slots=True)
class WeakReference:
    """A reference of confidence C or D, and what names it: `parameter line_call`, `formula margin_account.ratio`,
    `rule margin/maintenance`."""

    reference: Reference
    used_by: tuple[str, ...]


def due_on(parameter: Parameter) -> date:
    """The last day by which the next review is to be done."""
    return parameter.reviewed_on + parameter.review_every


def reviews(ruleset: RuleSet, today: date) -> tuple[Review, ...]:
    """The review of every parameter as it stands on a day, the most urgent first."""
    found = [_review(parameter, today) for parameter in ruleset.parameters.values()]
    return tuple(sorted(found, key=lambda r: (r.due_on, r.parameter)))


def not_ok(ruleset: RuleSet, today: date) -> tuple[Review, ...]:
    """The reviews that are due or overdue, the most urgent first."""
    return tuple(review for review in reviews(ruleset, today) if review.state != "ok")


def weak_references(ruleset: RuleSet) -> tuple[WeakReference, ...]:
    """The references of confidence C or D that a parameter's value, a formula or a rule of the set names, by id."""
    used: dict[str, list[str]] = {}
    for text, what in _uses(ruleset):
        if what not in used.setdefault(text, []):
            used[text].append(what)
    weak = [reference for _, reference in sorted(ruleset.references.items()) if reference.confidence in WEAK]
    return tuple(WeakReference(one, tuple(used[one.text])) for one in weak if one.text in used)


def _review(parameter: Parameter, today: date) -> Review:
    last = due_on(parameter)
    left = last - today
    state = "overdue" if left < timedelta(0) else "due" if left <= AHEAD else "ok"
    return Review(
        parameter.name,
        parameter.label,
        parameter.reviewed_by,
        parameter.reviewed_on,
        last,
        left.days,
        state,
        parameter.path,
        parameter.line,
    )


def _uses(ruleset: RuleSet) -> Iterator[tuple[str, str]]:
    """(text of a reference, what names it)."""
    for name, parameter in sorted(ruleset.parameters.items()):
        yield from ((value.reference, f"parameter {name}") for value in parameter.values)
    for name, kind in sorted(ruleset.kinds.items()):
        yield from ((made.reference, f"formula {name}.{made.name}") for made in kind.derived)
    for name, rule in sorted(ruleset.rules.items()):
        yield from ((text, f"rule {name}") for text in rule.references)
