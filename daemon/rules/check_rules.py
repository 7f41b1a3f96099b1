"""Checks a rule against its kind, the parameters and its card: names, types, levels, instants, dates. Pure.

What passes compiles (decider.py) and finds every value its card asks for. Every mistake is a finding at its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from itertools import combinations

from daemon.cards.card import Card
from daemon.errors import Finding
from daemon.model.kinds import PERSONAL_TYPES, FactKind, Field, Scalar, Type
from daemon.rules.check_cards import CardCheck, Links, wording_of
from daemon.rules.checks import Expressions
from daemon.rules.expressions import ExpressionError, names_in, parse
from daemon.rules.gates import ANY_OTHER
from daemon.rules.instants import parse_instant
from daemon.rules.load_rules import RuleFile
from daemon.rules.nodes import And, Compare, Name, Node, walk
from daemon.rules.parameters import first_day
from daemon.rules.schema import Parameter
from daemon.rules.tables import Box, box, gaps, unreachable
from daemon.rules.types import Base, Declared, ExprType, Scope
from daemon.rules.vocabulary import ROWS, expressions_of, fact_fields, row_only
from daemon.yamlfile import near, parse_date

MAX_COST = 3_000
"""Operands and operators of all expressions of a rule: each is computed once for a fact at most."""


class RuleCheck:
    """One rule's check; `run` notes the findings and says whether the rule may be compiled."""

    def __init__(
        self,
        file: RuleFile,
        kinds: Mapping[str, FactKind],
        parameters: Mapping[str, Parameter],
        cards: Mapping[str, Card],
        links: Links,
        findings: list[Finding],
    ) -> None:
        self._file, self._rule, self._r = file, file.rule, file.r
        self._kinds, self._parameters, self._cards, self._links = kinds, parameters, cards, links
        self._findings = findings
        self._expressions = Expressions(file.rule.path, findings)
        self._lets: dict[str, ExprType] = {}

    def run(self) -> bool:
        kind = self._kinds.get(self._rule.kind)
        if kind is None or kind.use != "facts":
            known = sorted(n for n, k in self._kinds.items() if k.use == "facts")
            self._r.refuse("kind", f"the kind '{self._rule.kind}'", ", ".join(known), near(self._rule.kind, known))
            self._card(None)
            return False
        self._kind = kind
        self._fields = {name: kind.fields[name] for name in fact_fields(kind)}
        self._lets_()
        self._conditions()
        self._names()
        self._stages()
        self._cost()
        self._dates()
        self._order()
        # with a let of unknown type its card's fields cannot be told from mistakes
        self._card(None if any(t.base is Base.ANY for t in self._lets.values()) else self._offered())
        return self._sound()

    def _sound(self) -> bool:
        """Whether nothing is wrong in the rule's file: only then may it be compiled."""
        return all(finding.path != self._rule.path for finding in self._findings)

    def _scope(self) -> Scope:
        names = {n: Declared.of(p.type, (), "parameter") for n, p in self._parameters.items()}
        names |= {n: Declared.of(f.type, f.values) for n, f in self._fields.items()}
        names |= {n: Declared(t, "let") for n, t in self._lets.items()}
        return Scope(names)

    def _lets_(self) -> None:
        r = self._file.parts["let"]
        for name, text in self._rule.lets.items():
            if name in self._fields or name in self._parameters:
                what = "a field of the kind" if name in self._fields else "a parameter"
                r.refuse(name, f"the let '{name}', which is {what} too", "a name with one meaning")
            self._lets[name] = self._expressions.type_of(r, name, text, self._scope()) or ExprType(Base.ANY)

    def _conditions(self) -> None:
        scope, rule = self._scope(), self._rule
        if rule.when:
            self._expressions.check(self._r, "when", rule.when, scope)
        groups = {
            "unless": rule.unless,
            "needs": rule.needs,
            "hold": rule.holds,
            "marks": rule.marks,
            "gates.exclude": rule.gates.exclude,
        }
        for key, expressions in groups.items():
            for name, text in expressions.items():
                self._expressions.check(self._file.parts[key], name, text, scope)
        if rule.gates.suitability:
            self._expressions.check(self._file.parts["gates"], "suitability", rule.gates.suitability, scope)
        for level in rule.levels:
            r = self._file.levels[level.name]
            self._expressions.check(r, "when", level.when, scope)
            self._expressions.check(r, "rearm", level.rearm, scope)

    def _cost(self) -> None:
        """What one fact can cost at most: every let and expression of the rule once."""
        texts = [*self._rule.lets.values(), *(text for _, text in expressions_of(self._rule))]
        nodes = [node for text in texts if (node := _parsed(text)) is not None]
        if (count := sum(1 for node in nodes for _ in walk(node))) > MAX_COST:
            found = f"{count} operands and operators in all expressions of the rule"
            self._r.refuse("rule", found, f"at most {MAX_COST}", "make two rules of it")

    def _names(self) -> None:
        scope = self._scope()
        for name in self._rule.occurrence:
            if name not in self._fields:
                hint = near(name, self._fields)
                self._r.refuse("occurrence", f"'{name}'", "a field of the kind (a let or parameter may move)", hint)
            else:
                self._no_person("occurrence", name)
        for name in self._rule.terms:
            if name == ROWS:
                if self._kind.collect is None:
                    self._r.refuse("terms", "rows", "rows only where the kind collects them")
            elif name not in scope.names:
                self._r.refuse("terms", f"'{name}'", ", ".join(sorted(scope.names)), near(name, scope.names))
            else:
                self._no_person("terms", name)
        self._one_field("gates", "status", self._rule.gates.status, Type.ENUM)
        self._statuses()
        self._roles()
        self._one_field("", "agreed", self._rule.agreed, Type.CODE)

    def _statuses(self) -> None:
        """Every status the field can have has a verdict: what a table forgets would be indeterminate for ever."""
        field, gates = self._fields.get(self._rule.gates.status), self._rule.gates
        forgotten = [value for value in field.values if value not in gates.verdicts] if field else []
        if forgotten and ANY_OTHER not in gates.verdicts:
            allowed = "a verdict for each, in rules/client_status.yaml or under gates.verdicts"
            self._r.map("gates").refuse("status", f"no verdict for {', '.join(forgotten)}", allowed)

    def _roles(self) -> None:
        """The contacts that the rule and its statuses name are roles that some kind of contacts knows."""
        kinds = [kind for kind in self._kinds.values() if kind.use == "contacts" and "role" in kind.fields]
        known = sorted({role for kind in kinds for role in kind.fields["role"].values})
        named = [("contacts", role) for role in self._rule.contacts]
        named += [("gates", role) for roles in self._rule.gates.others.values() for role in roles]
        for key, role in named if kinds else ():
            if role not in known:
                self._r.refuse(key, f"the contact '{role}'", ", ".join(known), near(role, known))

    def _one_field(self, under: str, key: str, name: str, type_: Type) -> None:
        if not name:
            return
        field = self._fields.get(name)
        if field is None or field.type is not type_:
            r = self._r.map(under) if under else self._r
            allowed = [n for n, f in self._fields.items() if f.type is type_]
            found = f"'{name}', which is {field.type.value}" if field else f"the unknown field '{name}'"
            r.refuse(key, found, f"a field of type {type_.value}: {', '.join(allowed)}", near(name, allowed))

    def _no_person(self, key: str, name: str) -> None:
        if name in self._fields and self._fields[name].type in PERSONAL_TYPES:
            allowed = "fields that a sheet may hold: figures, codes, dates"
            self._r.refuse(key, f"the personal field '{name}'", allowed)

    def _stages(self) -> None:
        scope, rule = self._scope(), self._rule
        levels = [level.name for level in rule.levels]
        for stage in rule.stages:
            r = self._file.stages[stage.name]
            if levels and stage.level not in levels:
                known = ", ".join(f"{level}/NAME" for level in levels)
                place: tuple[int, int] = self._r.map_["stages"].key_place(stage.name)
                hint = near(stage.level, levels)
                trail = f"stages.{stage.name}"
                self._findings.append(Finding(rule.path, *place, trail, f"the level '{stage.level}'", known, hint))
            if not levels and stage.level:
                r.refuse("at", f"the stage '{stage.name}'", "a name without level: the rule has none")
            self._expressions.instant(r, "at", stage.at, scope)
            self._expressions.instant(r, "deadline", stage.deadline, scope)
            if stage.condition:
                self._expressions.check(r, "if", stage.condition, scope)
        for level in levels:
            if not rule.stages_of(level):
                self._file.levels[level].refuse("when", f"no stage of '{level}'", f"a stage {level}/NAME")

    def _dates(self) -> None:
        """Each parameter has a value from the rule's first day to its last; one that yields to the contract has the field's
        type."""
        dated = parse_date(self._r.map_.get("effective")) is not None
        for name in self._used():
            parameter = self._parameters[name]
            first = first_day(parameter)
            if dated and (first is None or first > self._rule.effective):
                found = f"'{name}' from {first or 'no day'} on"
                self._r.refuse("effective", found, f"a value of '{name}' from {self._rule.effective} on", "a gap")
            end, until = parameter.values[-1].end if parameter.values else None, self._rule.until
            if dated and end is not None and (until is None or until > end):
                found, key = f"'{name}' until {end} only", "until" if until else "effective"
                self._r.refuse(key, found, f"a value of '{name}' on every day of the rule", "a gap")
            contract = parameter.contract
            if contract and (field := self._fields.get(contract)) is not None and field.type is not parameter.type:
                found = f"'{contract}', which is {field.type.value}, in place of '{name}'"
                self._r.refuse("kind", found, f"a field of type {parameter.type.value}")

    def _used(self) -> list[str]:
        """The parameters that the rule and its card use, as far as they can be read."""
        rule, card = self._rule, self._cards.get(self._rule.card)
        names = {*rule.occurrence, *rule.terms, *(card.fields if card else ())}
        for text in (*rule.lets.values(), *(text for _, text in expressions_of(rule))):
            if (node := _parsed(text)) is not None:
                names.update(names_in(node))
        for stage in rule.stages:
            for text in (stage.at, stage.deadline):
                try:
                    names.update(parse_instant(text).names())
                except ExpressionError:
                    continue  # it has its finding
        return sorted(n for n in names if n in self._parameters and n not in self._fields and n not in self._lets)

    def _order(self) -> None:
        """Levels stand worst first: where two compare the same name with parameters, the worse line is on no day
        milder, and no level repeats the condition of a worse one. Of what tables.py can tell, no level is out of reach and
        none leaves a hole, on any day on which a line changes."""
        found = {level.name: _parsed(level.when) for level in self._rule.levels}
        parsed = {name: node for name, node in found.items() if node is not None}
        told: set[str] = set()
        for (worse, left), (milder, right) in combinations(parsed.items(), 2):
            r = self._file.levels[milder]
            if left == right:
                r.refuse("when", f"the condition of '{worse}' again", "a level that a fact can reach")
                told.add(milder)
            mine = dict(_lines(right))
            for (name, op), line in _lines(left):
                other = mine.get((name, op))
                if other and other != line and self._crossed(op, line, other):
                    allowed = f"levels worst first: '{worse}' ({line}) before '{milder}' ({other})"
                    r.refuse("when", f"a line of '{milder}' beyond that of '{worse}'", allowed, "an overlap")
                    told.add(milder)
        for day in self._days({name for node in parsed.values() for name in names_in(node)}):
            boxes = [box(name, node, partial(self._line, day)) for name, node in parsed.items()]
            self._out_of_reach(boxes, day, told)
            if len(parsed) == len(self._rule.levels):
                self._holes(boxes, day, told)

    def _out_of_reach(self, boxes: Sequence[Box], day: date, told: set[str]) -> None:
        for name, worse in unreachable(boxes):
            if name not in told:
                told.add(name)
                found = f"on {day}, where '{name}' holds, so does {worse}"
                if not worse:
                    found = f"on {day}, '{name}' contradicts itself"
                self._file.levels[name].refuse("when", found, "a level that a fact can reach", "an overlap")

    def _holes(self, boxes: Sequence[Box], day: date, told: set[str]) -> None:
        for operand, name, hole in gaps(boxes):
            if name not in told:
                told.add(name)
                found = f"no level for {operand} from {hole.low} to {hole.high}, on {day}"
                self._file.levels[name].refuse("when", found, "levels without a hole between them", "a gap")

    def _line(self, day: date, name: str) -> Decimal | None:
        """A parameter's number on a day; None for one that yields to the contract, whose lines are a matter of the fact."""
        parameter = self._parameters.get(name)
        if parameter is None or parameter.contract in self._fields:
            return None
        value = parameter.on(day)
        return value if isinstance(value, Decimal) else None

    def _days(self, names: set[str]) -> list[date]:
        """The rule's first day, and each later one on which a parameter of these names changes."""
        first, until = self._rule.effective, self._rule.until
        starts = {v.start for n in names & set(self._parameters) for v in self._parameters[n].values}
        return [first, *sorted(day for day in starts if day > first and (until is None or day <= until))]

    def _crossed(self, op: str, worse: str, milder: str) -> bool:
        a, b = self._parameters.get(worse), self._parameters.get(milder)
        if a is None or b is None:
            return False
        pairs = [(a.on(day), b.on(day)) for day in self._days({worse, milder})]
        return any(_beyond(x, y) if op in ("<", "<=") else _beyond(y, x) for x, y in pairs)

    def _card(self, offered: Mapping[str, Field | Type] | None) -> None:
        """The card, told of also while the rule itself is wrong; `offered`: what the rule gives it, where that is known."""
        card = self._cards.get(self._rule.card)
        if card is None:
            known = ", ".join(sorted(self._cards))
            self._r.refuse("card", f"the card '{self._rule.card}'", known, near(self._rule.card, self._cards))
            return
        conditions = {level.name: _parsed(level.when) for level in self._rule.levels}
        CardCheck(self._file, card, conditions, self._findings).run()
        self._findings += wording_of(card, self._links, offered)

    def _offered(self) -> dict[str, Field | Type]:
        offered: dict[str, Field | Type] = dict(self._kind.fields)
        for name in self._used():
            offered[name] = self._parameters[name].type
        for name, type_ in self._lets.items():
            offered[name] = _field_type(type_)
        if ROWS in self._rule.terms or row_only(self._kind):
            offered[ROWS] = Type.TEXT
        return offered


def _parsed(text: str) -> Node | None:
    """The expression; None for one that has a finding of its own."""
    try:
        return parse(text) if text else None
    except ExpressionError:
        return None


def _beyond(left: Scalar | None, right: Scalar | None) -> bool:
    return isinstance(left, Decimal) and isinstance(right, Decimal) and left > right


def _field_type(type_: ExprType) -> Type:
    words = {Base.TEXT: Type.CODE, Base.NUMBER: Type.QUANTITY, Base.ANY: Type.CODE}
    return words[type_.base] if type_.base in words else Type(type_.base.value)


def _lines(node: Node) -> list[tuple[tuple[str, str], str]]:
    """The comparisons `name < other` that all must hold for a condition: ((name, op), other)."""
    parts = node.parts if isinstance(node, And) else (node,)
    return [
        ((part.left.name, part.op), part.right.name)
        for part in parts
        if isinstance(part, Compare) and isinstance(part.left, Name) and isinstance(part.right, Name)
    ]
