"""Reads `kinds/*.yaml` into fact kinds, checked: fields, feeds, look-ups, collection, formulas. Pure.

The format is in rules/README.md. Kinds that others look up are built first and have no look-ups of their own. The
fields of a kind are those its parts map, then what look-ups take, row formulas, sums and alls, fact formulas; a formula
may use what stands before it. Leaves the mapping of rows to mapping.py and formulas on facts to folding.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from daemon.errors import Finding
from daemon.model.kinds import NUMBERS, Collect, Derived, FactKind, Field, Lookup, Part, Type
from daemon.rules.checks import Expressions, check_name, field_scope, name_fault
from daemon.rules.load_feeds import read_feeds
from daemon.rules.schema import Reference
from daemon.rules.types import declared_type
from daemon.yamlfile import Reader, near

USES = ("facts", "reference", "contacts", "consents")
TYPES = tuple(type_.value for type_ in Type)
LEVELS = ("", "C1", "C2", "C3")
STORE_FIELDS: Mapping[str, tuple[str, ...]] = {
    "contacts": ("client", "role", "channel", "address", "since", "origin"),
    "consents": ("client", "category", "channel", "state", "since", "origin"),
}
"""The fields that the store reads of kinds it keeps."""


@dataclass(frozen=True)
class Draft:
    """A kind whose file is being read: its own fields, before look-ups and formulas."""

    name: str
    use: str
    fields: dict[str, Field]
    r: Reader


def read_kinds(
    readers: Mapping[str, Reader], references: Mapping[str, Reference], findings: list[Finding]
) -> dict[str, FactKind]:
    """The kinds of several files (path -> reader), by name."""
    drafts: dict[str, Draft] = {}
    for r in readers.values():
        draft = _draft(r)
        if (first := drafts.get(draft.name)) is not None:
            r.refuse("kind", f"the kind '{draft.name}' again", f"one '{draft.name}' (first in {first.r.map_.path})")
        elif draft.name:
            drafts[draft.name] = draft
    order = sorted(drafts.values(), key=lambda d: (d.use != "reference", d.name))
    return {draft.name: _Build(draft, drafts, references, findings).kind() for draft in order}


def _draft(r: Reader) -> Draft:
    name = r.text("kind", 64)
    if name and (fault := name_fault(name)):
        r.refuse("kind", f"the name '{name}'", fault)
    top = r.map("fields")
    fields = {n: _field(top.map(n), n) for n in top.map_ if check_name(top.map_, n, r.findings)}
    return Draft(name, r.opt_choice("use", USES, "facts"), fields, r)


def _field(r: Reader, name: str) -> Field:
    type_ = Type(r.choice("type", TYPES))
    values = r.opt_texts("values")
    if (type_ is Type.ENUM) != bool(values):
        r.refuse("values", f"{len(values)} values of type {type_.value}", "values for an enum and for nothing else")
    least, most = r.opt_decimal("min"), r.opt_decimal("max")
    if type_ not in NUMBERS and (least is not None or most is not None):
        r.refuse("min", f"a bound of type {type_.value}", "bounds of numbers only")
    age = r.opt_span("max_age")
    if age is not None and type_ is not Type.DATETIME:
        r.refuse("max_age", f"an age of type {type_.value}", "an age of a datetime only")
    label, required = r.text("label", 40), r.opt_flag("required")
    made = Field(name, type_, label, required, r.opt_choice("personal", LEVELS), values, least, most, age)
    r.done()
    return made


class _Build:
    """Builds one kind on top of the drafts of all."""

    def __init__(
        self,
        draft: Draft,
        drafts: Mapping[str, Draft],
        references: Mapping[str, Reference],
        findings: list[Finding],
    ) -> None:
        self._draft, self._drafts, self._references = draft, drafts, references
        self._r, self._findings = draft.r, findings
        self._fields = dict(draft.fields)
        self._expressions = Expressions(draft.r.map_.path, findings)

    def kind(self) -> FactKind:
        r, draft = self._r, self._draft
        title = r.text("title", 80)
        feeds = read_feeds(r, draft.name, draft.use, draft.fields, self._expressions)
        lookups = tuple(self._lookup(m, name) for name, m in self._entries("lookup"))
        derive = self._entries("derive")
        row = [self._derived(m, name) for name, m in derive if m.map_.get("of") == "row"]
        collect = self._collect() if r.has("collect") else None
        hidden = set(collect.items) - set(collect.by) if collect else set()
        shown = {name: f for name, f in self._fields.items() if name not in hidden}
        self._fields, kept = shown, self._fields
        facts = [self._derived(m, name) for name, m in derive if m.map_.get("of") != "row"]
        fields = {**kept, **self._fields}
        made = FactKind(
            draft.name,
            title,
            fields,
            r.texts("key"),
            self._named("subject", fields),
            self._named("client", fields),
            self._named("business_date", fields, Type.DATE),
            feeds,
            draft.use,
            self._named("as_of", fields, Type.DATETIME),
            lookups,
            collect,
            (*row, *facts),
            r.map_.path,
        )
        self._check(made)
        r.done()
        return made

    def _entries(self, key: str) -> list[tuple[str, Reader]]:
        top = self._r.opt_map(key)
        return [(name, top.map(name)) for name in top.map_ if check_name(top.map_, name, self._findings)]

    def _known(self, r: Reader, key: str, name: str, fields: Mapping[str, Field]) -> bool:
        if name in fields:
            return True
        r.refuse(key, f"the unknown field '{name}'", ", ".join(sorted(fields)), near(name, fields))
        return False

    def _named(self, key: str, fields: Mapping[str, Field], type_: Type | None = None) -> str:
        needed = self._draft.use == "facts" and key != "as_of"
        name = self._r.text(key, 64) if needed else self._r.opt_text(key, "", 64)
        if name and self._known(self._r, key, name, fields) and type_ is not None and fields[name].type is not type_:
            self._r.refuse(key, f"'{name}', which is {fields[name].type.value}", f"a field of type {type_.value}")
        return name

    def _add(self, r: Reader, key: str, made: Field) -> None:
        if made.name in self._fields:
            r.refuse(key, f"the field '{made.name}' again", "a name that no other field has")
        self._fields[made.name] = made

    def _lookup(self, r: Reader, name: str) -> Lookup:
        kind = r.text("kind", 64)
        target = self._drafts.get(kind)
        if kind and (target is None or target.use != "reference"):
            known = sorted(n for n, d in self._drafts.items() if d.use == "reference")
            r.refuse("kind", f"the kind '{kind}'", f"a reference kind: {', '.join(known)}", near(kind, known))
        theirs = target.fields if target else {}
        on, take = self._pairs(r, "on"), self._pairs(r, "take")
        for ours, other in on.items():
            self._known(r, "on", ours, self._fields)
            if target:
                self._known(r, "on", other, theirs)
        for ours, other in take.items():
            if target and self._known(r, "take", other, theirs):
                self._add(r, "take", _taken(ours, theirs[other]))
        between = self._between(r, theirs if target else None)
        r.done()
        return Lookup(name, kind, on, take, between)

    def _pairs(self, r: Reader, key: str) -> dict[str, str]:
        top = r.map(key)
        found = {name: top.text(name, 64) for name in top.map_ if check_name(top.map_, name, self._findings)}
        if not found and key in r.map_:
            r.refuse(key, "nothing", "at least one pair, our field: theirs")
        return found

    def _between(self, r: Reader, theirs: Mapping[str, Field] | None) -> tuple[str, str, str] | None:
        found = r.opt_texts("between")
        if not found:
            return None
        if len(found) != 3:
            r.refuse("between", f"{len(found)} names", "three: our date, their first day, their last day")
            return None
        self._known(r, "between", found[0], self._fields)
        for name in found[1:] if theirs is not None else ():
            self._known(r, "between", name, theirs or {})
        return found[0], found[1], found[2]

    def _derived(self, r: Reader, name: str) -> Derived:
        type_ = Type(r.choice("type", TYPES))
        values = r.opt_texts("values")
        label, of = r.text("label", 40), r.opt_choice("of", ("row", "fact"), "fact")
        formula, reference = r.expression("formula"), r.opt_text("reference", "", 64)
        if reference and reference not in self._references:
            hint = near(reference, self._references)
            r.refuse("reference", f"the reference '{reference}'", "an id of rules/references.yaml", hint)
        scope = field_scope(self._fields, personal=True)
        self._expressions.check(r, "formula", formula, scope, declared_type(type_, values))
        line = r.map_.place("formula")[0]
        self._add(r, "formula", Field(name, type_, label, False, r.opt_choice("personal", LEVELS), values))
        r.done()
        known = self._references.get(reference)
        return Derived(name, type_, label, formula, of, known.text if known else "", line)

    def _collect(self) -> Collect:
        r = self._r.map("collect")
        by, items = r.texts("by"), r.texts("rows")
        for key, names in (("by", by), ("rows", items)):
            for name in names:
                self._known(r, key, name, self._fields)
        sums = {name: self._fold(m, name, "sums") for name, m in _under(r, "sums", self._findings)}
        alls = {name: self._fold(m, name, "alls") for name, m in _under(r, "alls", self._findings)}
        r.done()
        return Collect(by, items, sums, alls)

    def _fold(self, r: Reader, name: str, how: str) -> str:
        of, label = r.text("of", 64), r.text("label", 40)
        if of and self._known(r, "of", of, self._fields):
            type_ = self._fields[of].type
            if (type_ not in NUMBERS) if how == "sums" else (type_ is not Type.BOOL):
                r.refuse("of", f"'{of}', which is {type_.value}", "a number" if how == "sums" else "a bool")
            self._add(r, "of", Field(name, type_, label))
        r.done()
        return of

    def _check(self, made: FactKind) -> None:
        for name in made.key:
            self._known(self._r, "key", name, self._draft.fields)
        for feed in made.feeds:
            for part in feed.parts:
                self._check_part(made, self._r.map("feeds").map(feed.name).map("parts").map(part.name), part)
        for name in STORE_FIELDS.get(made.use, ()):
            self._known(self._r, "fields", name, self._draft.fields)
        if made.use == "reference" and made.lookups:
            self._r.refuse("lookup", "a look-up of a reference kind", "look-ups of other kinds only")
        if made.use == "facts" and made.collect and made.subject not in made.collect.by:
            self._r.refuse("subject", f"'{made.subject}'", f"one of collect.by: {', '.join(made.collect.by)}")

    def _check_part(self, made: FactKind, r: Reader, part: Part) -> None:
        """Every part maps the whole key; what it is asked by is a field that its rows have, also by way of look-ups."""
        mapped = {column.field for column in part.columns}
        for name in made.key:
            if name in self._draft.fields and name not in mapped:
                r.refuse("columns", f"no column for '{name}'", "a column for every field of the key")
        for name in part.key_columns:
            self._known(r, "key_columns", name, made.fields)


def _under(r: Reader, key: str, findings: list[Finding]) -> list[tuple[str, Reader]]:
    top = r.opt_map(key)
    return [(name, top.map(name)) for name in top.map_ if check_name(top.map_, name, findings)]


def _taken(name: str, theirs: Field) -> Field:
    """A field as a look-up takes it over: none found is a missing value, never a reject."""
    return Field(name, theirs.type, theirs.label, False, theirs.personal, theirs.values, max_age=theirs.max_age)
