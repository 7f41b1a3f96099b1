"""Reads a card file: `load_card(data, path)` gives a `Card` or raises FindingsError with everything that is wrong;
`read_card` gives both, so that the lint can go on with a card that has a mistake.

The format is in `daemon/cards/README.md`. Load checks what rendering relies on: structure, templates, names, types,
values that may be absent, a last variant that always fits. What is wrong with the *words* (lengths, links, forbidden
wording, required elements) is the lint's matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from daemon.cards.card import CATEGORIES, Card, CardField, Mark, SmsText, Suggestion, Text, Variant
from daemon.cards.check import BUILT_IN, check
from daemon.cards.nodes import Literal, Node, fixed
from daemon.cards.suggestions import read_suggestions
from daemon.cards.template import TemplateProblems, compile_leaves, parse
from daemon.cards.words import PLACES, Element, normal
from daemon.errors import Finding
from daemon.model.kinds import NUMBERS, STRINGS, Type
from daemon.yamlfile import FindingsError, Place, Reader, YMap, describe, load, near

MEDIA = ("none", "optional", "required")
MAX_PARTS = 10
_NAME = r"[a-z_][a-z0-9_]{0,63}"
_CARD = re.compile(r"[a-z0-9_]+(?:/[a-z0-9_]+)+")
_FIELD = re.compile(rf"({_NAME})(?: ([a-z]+))?(?: ([0-9]{{1,3}}))?(\?)?")
_FIELD_FORM = "NAME, NAME TYPE or NAME TYPE WIDTH, with ? at the end where it may be absent"


def load_card(data: bytes, path: str) -> Card:
    """Read one card file; `path` names it in findings. Raises FindingsError."""
    card, findings = read_card(data, path)
    if card is None or findings:
        raise FindingsError(findings)
    return card


def read_card(data: bytes, path: str) -> tuple[Card | None, tuple[Finding, ...]]:
    """The card as far as it could be read, None for a file that is no YAML, and all findings. A card with findings has no
    programs: it can be linted, not rendered."""
    findings: list[Finding] = []
    try:
        top = load(data, path)
    except FindingsError as error:
        if error.read is None:
            return None, error.findings
        findings, top = list(error.findings), error.read
    card = _Loader(data, path, findings).card(Reader(top, findings))
    return card, tuple(findings)


class _Loader:
    """Reads the parts of one file; `scope` is what its texts may use."""

    def __init__(self, data: bytes, path: str, findings: list[Finding]) -> None:
        self.path, self.findings = path, findings
        self._lines = data.decode("utf-8").splitlines()
        self.scope: dict[str, CardField] = dict(BUILT_IN)
        self._shared: tuple[Suggestion, ...] = ()
        self._parts = 1

    def card(self, r: Reader) -> Card:
        name = r.text("card", 64)
        if not _CARD.fullmatch(name):
            r.refuse("card", describe(name), "family/name in a-z, 0-9 and _")
        category = r.choice("category", CATEGORIES)
        fields = self._fields(r)
        constants = self._constants(r.opt_map("constants"))
        marks = self._marks(r.opt_map("marks"))
        self._shared = read_suggestions(self, r, frozenset())
        self._parts = r.opt_integer("sms_parts", 1, 1, MAX_PARTS)
        variants = [self._variant(v) for v in r.maps("variants")]
        self._order(r, variants)
        reviewed = r.opt_texts("reviewed")
        requires, public = self._requires(r, name, category), r.opt_texts("public")
        for one in public:
            if one not in fields:
                r.refuse("public", f"the name '{one}'", ", ".join(fields), near(one, fields))
        r.done()
        return Card(name, category, fields, tuple(variants), constants, marks, reviewed, self.path, requires, public)

    def refuse(self, place: Place, key: str, found: str, allowed: str, hint: str = "") -> None:
        self.findings.append(Finding(self.path, *place, key, found, allowed, hint))

    def _fields(self, r: Reader) -> dict[str, CardField]:
        fields: dict[str, CardField] = {}
        entries = r.list("fields")
        for i, entry in enumerate(entries):
            place, key = entries.place(i), entries.trail_of(i)
            if isinstance(entry, YMap) and len(entry) == 1:
                field = self._rows(entry)
            else:
                field = self._field(entry, place, key)
            if field and (field.name in fields or field.name in BUILT_IN):
                self.refuse(place, key, f"the field '{field.name}' again", "each name once, none of the built-in ones")
            elif field:
                fields[field.name] = field
        self.scope |= fields
        return fields

    def _field(self, entry: Any, place: Place, key: str) -> CardField | None:
        match = _FIELD.fullmatch(entry) if isinstance(entry, str) else None
        if not match:
            self.refuse(place, key, describe(entry), _FIELD_FORM)
            return None
        name, word, width, optional = match.groups()
        kinds = [t.value for t in Type]
        if word and word not in kinds:
            self.refuse(place, key, f"the type '{word}'", ", ".join(kinds), near(word, kinds))
            word = None
        return CardField(name, Type(word) if word else None, bool(optional), int(width or 0), line=place[0])

    def _rows(self, entry: YMap) -> CardField | None:
        (name,) = entry
        r = Reader(entry, self.findings)
        columns: dict[str, CardField] = {}
        found = r.list(name, 1)
        for i, column in enumerate(found):
            field = self._field(column, found.place(i), found.trail_of(i))
            if field:
                columns[field.name] = field
        return CardField(name, None, False, 0, columns, entry.key_place(name)[0])

    def _requires(self, r: Reader, card: str, category: str) -> tuple[Element, ...]:
        """What the wordings must contain by the card's own word: fields or phrases, where, and at which levels."""
        made = []
        for one in r.opt_maps("requires"):
            fields, phrases = one.opt_texts("fields"), tuple(map(normal, one.opt_texts("words")))
            for name in fields:
                if name not in self.scope:
                    one.refuse("fields", f"the name '{name}'", ", ".join(sorted(self.scope)), near(name, self.scope))
            if not fields and not phrases:
                one.refuse("fields", "neither fields nor words", "at least one of them")
            place, levels = one.opt_choice("in", PLACES, "both"), one.opt_texts("levels")
            family = card.split("/", 1)[0]
            name, basis = one.text("element", 80), one.opt_text("basis", "", 200)
            made.append(Element(category, family, levels, name, fields, phrases, place, basis))
            one.done()
        return tuple(made)

    def _constants(self, r: Reader) -> dict[str, str]:
        constants = {}
        for name in r.map_:
            constants[name] = r.text(name, 200)
            if not re.fullmatch(_NAME, name) or name in self.scope:
                self.refuse(r.map_.key_place(name), r.map_.trail_of(name), f"the name '{name}'", "a new name")
        self.scope |= {n: CardField(n, Type.TEXT, width=len(v)) for n, v in constants.items()}
        return constants

    def _marks(self, r: Reader) -> dict[str, Mark]:
        marks = {}
        for name in r.map_:
            present = frozenset({name}) & BUILT_IN.keys()
            if isinstance(r.map_[name], YMap):
                inner = r.map(name)
                title, text = self.leaf(inner, "title", present, True), self.leaf(inner, "text", present)
                sms = self.leaf(inner, "sms", present) if inner.has("sms") else text
                inner.done()
            else:
                title = self.make("", r.map_.place(name), r.map_.trail_of(name), present)
                text = sms = self.leaf(r, name, present)
            marks[name] = Mark(name, title, text, sms, self.compile([title, text, sms]))
        return marks

    def _variant(self, r: Reader) -> Variant:
        needs, positive = self._needs(r)
        present = frozenset(needs)
        when = self._when(r.opt_map("when"))
        title, description = self.leaf(r, "title", present), self.leaf(r, "description", present)
        sms = self._sms(r, present)
        suggestions = read_suggestions(self, r, present) if r.has("suggestions") else self._shared
        leaves = [title, description, *(s.text for s in sms[:1]), *moving(suggestions)]
        variant = Variant(
            name=r.text("name", 64),
            title=title,
            description=description,
            sms=sms,
            sms_parts=r.opt_integer("sms_parts", self._parts, 1, MAX_PARTS),
            suggestions=suggestions,
            program=self.compile(leaves),
            needs=needs,
            when_stage=r.opt_texts("when_stage"),
            when_level=r.opt_texts("when_level"),
            when_mark=r.opt_texts("when_mark"),
            when=when,
            positive=positive,
            media=r.opt_choice("media", MEDIA, "none"),
            line=r.map_.mark[0],
        )
        r.done()
        return variant

    def _needs(self, r: Reader) -> tuple[tuple[str, ...], tuple[str, ...]]:
        optional = [n for n, f in self.scope.items() if f.optional and n not in BUILT_IN]
        numbers = [n for n, f in self.scope.items() if f.type in NUMBERS]
        needs, positive = [], []
        for entry in r.opt_texts("needs"):
            name = entry.removesuffix(" > 0")
            needs.append(name)
            if name not in optional:
                allowed = f"optional fields: {', '.join(optional) or 'none'}"
                r.refuse("needs", f"the name '{name}'", allowed, near(name, optional))
            elif name != entry:
                positive.append(name)
                if name not in numbers:
                    r.refuse("needs", f"'{entry}'", f"> 0 with a number: {', '.join(numbers) or 'none'}")
        return tuple(needs), tuple(positive)

    def _when(self, r: Reader) -> dict[str, tuple[str, ...]]:
        when = {}
        words = [n for n, f in self.scope.items() if f.type is None or f.type in STRINGS]
        for name in r.map_:
            when[name] = r.texts(name)
            if name not in words:
                r.refuse(name, f"the name '{name}'", f"fields of text or enum: {', '.join(words)}", near(name, words))
        return when

    def _sms(self, r: Reader, present: frozenset[str]) -> tuple[SmsText, ...]:
        entries = r.list("sms", 1)
        made: list[SmsText] = []
        for i, entry in enumerate(entries):
            condition = ""
            if isinstance(entry, YMap):
                inner = Reader(entry, self.findings)
                condition = inner.text("if", 64)
                field = self.scope.get(condition)
                if field is None or field.type is not Type.BOOL:
                    inner.refuse("if", f"'{condition}'", "a field declared as bool", near(condition, self.scope))
                text = self.leaf(inner, "text", present | {condition})
                inner.done()
            elif isinstance(entry, str):
                text = self.make(entry, entries.place(i), entries.trail_of(i), present)
            else:
                self.refuse(
                    entries.place(i), entries.trail_of(i), describe(entry), "a text, or {if: FIELD, text: TEXT}"
                )
                continue
            made.append(SmsText(text, condition, self.compile([text]) if i else None))
        if made and made[-1].condition:
            r.refuse("sms", "a last text with a condition", "a last text that is always taken")
        return tuple(made)

    def _order(self, r: Reader, variants: Sequence[Variant]) -> None:
        names = [v.name for v in variants]
        for i, variant in enumerate(variants):
            place = (variant.line, 1)
            if variant.name in names[:i]:
                self.refuse(place, "variants", f"the name '{variant.name}' again", "each variant under its own name")
            if not variant.conditional() and i + 1 < len(variants):
                self.refuse(
                    place, "variants", f"'{variant.name}' without conditions, hiding those after it", "only the last"
                )
        if variants and variants[-1].conditional():
            self.refuse((variants[-1].line, 1), "variants", "a last variant with conditions", "one that always fits")

    def leaf(self, r: Reader, key: str, present: frozenset[str], optional: bool = False) -> Text:
        """The text under a key, parsed and checked."""
        source = r.opt_text(key, "", 4000) if optional else r.text(key, 4000)
        return self.make(source, r.map_.place(key), r.map_.trail_of(key), present)

    def make(self, source: str, place: Place, key: str, present: frozenset[str]) -> Text:
        """A text from its source and the place of its scalar."""
        line, column = place
        block = self._lines[line - 1][column - 1 : column] if 0 < line <= len(self._lines) else ""
        if block in ("|", ">"):
            line, column = line + 1, 1
        nodes: tuple[Node, ...] = ()
        try:
            nodes = parse(source.rstrip())
            problems = tuple(check(nodes, self.scope, present))
        except TemplateProblems as error:
            problems = error.problems
        text = Text(source.rstrip(), nodes, key, line, column, block != "|", _constant(nodes))
        for p in problems:
            self.refuse((text.line_of(p.line), column), key, p.found, p.allowed, p.hint)
        return text

    def compile(self, texts: Sequence[Text]) -> Any:
        """The program of some texts; None while there are findings, as no card comes of them."""
        if self.findings:
            return None
        bools = frozenset(n for n, f in self.scope.items() if f.type is Type.BOOL)
        return compile_leaves([t.source for t in texts], bools)


def moving(suggestions: Iterable[Suggestion]) -> list[Text]:
    """The texts of suggestions that have placeholders, in the order of `Variant.program`."""
    return [t for s in suggestions for t in (s.data, s.target) if t is not None and t.constant is None]


def _constant(nodes: tuple[Node, ...]) -> str | None:
    return "".join(n.text for n in nodes if isinstance(n, Literal)) if fixed(nodes) else None


def scope_of(card: Card, types: Mapping[str, CardField] | None = None) -> dict[str, CardField]:
    """Everything the card's texts may use, by name; `types` replaces fields by what their kind says."""
    constants = {n: CardField(n, Type.TEXT, width=len(v)) for n, v in card.constants.items()}
    return {**BUILT_IN, **card.fields, **(types or {}), **constants}
