"""What is wrong with a card's words, each with file, line, found and allowed: limits, links, SMS length, required
elements, forbidden wording, and its names against the kind. Pure; a card that loads can be linted whole.

1. Names and types against what the rule offers (`known`), where given: an unknown name, a type that the kind gives
otherwise. 2. Limits of the rich card (`rcs.Limits`) on button texts, numbers, links and the longest title and
description. 3. SMS: the shortest text with every mark in front fits the parts at the usual longest values; no link but
to a host that may be linked there; no second 【】; amounts of the client only in a text that asks for an agreement.
4. Links: https, on the allow list; nothing personal in them, so only codes and enums that identify no client.
5. Required elements (`elements.py`) and forbidden wording (`words.py`), and the marks that delivery may set.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

from daemon.cards import rcs_lint, sms
from daemon.cards.card import STANDARD_MARKS, Card, CardField, Suggestion, Text, Variant
from daemon.cards.check import check
from daemon.cards.elements import amounts, mark_amounts, missing
from daemon.cards.lines import wording
from daemon.cards.load import scope_of
from daemon.cards.nodes import Literal, Show, literals, shows
from daemon.cards.rcs import CTCU, Limits
from daemon.cards.width import longest, width_of
from daemon.cards.words import Element, ForbiddenWord, cleared, found_words
from daemon.errors import Finding
from daemon.model.kinds import STRINGS, Field, Type
from daemon.yamlfile import near

SIGNATURE_ROOM = sms.SIGNATURE_MAX + 2
"""Room kept for 【signature】 where the firm's own is not known."""

_LINK = re.compile(r"https?:|www\.|[a-z0-9-]+\.(?:com|cn|net)\b", re.IGNORECASE)
_PERSONAL_NAME = re.compile(r"account|client|phone|mobile|contract|holder|tail")


def lint(
    card: Card,
    limits: Limits = CTCU,
    *,
    words: tuple[ForbiddenWord, ...] = (),
    elements: tuple[Element, ...] = (),
    hosts: Collection[str] = (),
    sms_hosts: Collection[str] = (),
    known: Mapping[str, Field | Type] | None = None,
    signature: str = "",
) -> list[Finding]:
    """All findings, sorted. `known`: what the rule offers by name, fields of the kind with their bounds; columns of
    rows are looked up there too. `hosts`: where links may lead, `sms_hosts`: where those in an SMS may; none means no
    links. `signature`: the firm's, '' for the longest."""
    made = _Lint(card, limits, hosts, sms_hosts, known, len(signature) + 2 if signature else SIGNATURE_ROOM)
    findings = [*made.names(), *made.marks(), *made.words(words), *made.wording_checks(elements)]
    return sorted(set(findings))


class _Lint:
    def __init__(
        self,
        card: Card,
        limits: Limits,
        hosts: Collection[str],
        sms_hosts: Collection[str],
        known: Mapping[str, Field | Type] | None,
        room: int,
    ) -> None:
        self._card, self._limits, self._hosts, self._room = card, limits, hosts, room
        self._sms_hosts = sorted(sms_hosts)
        self._known = known
        self._scope = scope_of(card, {n: self._typed(f) for n, f in card.fields.items()})

    def _finding(self, text: Text, inner: int, found: str, allowed: str, hint: str = "") -> Finding:
        return Finding(self._card.path, text.line_of(inner), text.column, text.key, found, allowed, hint)

    def _typed(self, field: CardField) -> CardField:
        """A field with what its kind says of it."""
        if field.columns is not None:
            return replace(field, columns={n: self._typed(c) for n, c in field.columns.items()})
        offered = (self._known or {}).get(field.name)
        if offered is None:
            return field
        if isinstance(offered, Type):
            return replace(field, type=field.type or offered)
        bound = 0 if offered.maximum is None else width_of(offered.maximum, offered.type)
        return replace(
            field, type=field.type or offered.type, width=field.width or bound, values=field.values or offered.values
        )

    # 1. Names and types against the kind.

    def names(self) -> Iterator[Finding]:
        """Fields the rule does not offer or offers otherwise; then every text again with all types known."""
        if self._known is None:
            return
        for field in self._card.fields.values():
            for one in (field.columns or {field.name: field}).values():
                yield from self._offered(one)
        for variant in self._card.variants:
            for text in texts_of(variant):
                conditions = {s.condition for s in variant.sms if s.text is text and s.condition}
                for p in check(text.nodes, self._scope, frozenset(variant.needs) | conditions):
                    yield self._finding(text, p.line, p.found, p.allowed, p.hint)

    def _offered(self, field: CardField) -> Iterator[Finding]:
        known = self._known or {}
        offered = known.get(field.name)
        place = (self._card.path, field.line, 1, f"fields.{field.name}")
        if offered is None:
            yield Finding(*place, f"the name '{field.name}'", ", ".join(sorted(known)), near(field.name, known))
            return
        kind = offered if isinstance(offered, Type) else offered.type
        alike = field.type in STRINGS and kind in STRINGS
        if field.type is None and kind is Type.BOOL:
            yield Finding(*place, "no type", "bool", f"write '{field.name} bool'")
        elif field.type is not None and field.type is not kind and not alike:
            yield Finding(*place, f"the type {field.type.value}", f"{kind.value}, as the kind has it")

    # 2. to 4. Limits, SMS, links.

    def marks(self) -> Iterator[Finding]:
        """Marks that delivery may set and the card has no words for."""
        for name in STANDARD_MARKS:
            if name not in self._card.marks:
                allowed = ", ".join(STANDARD_MARKS)
                yield Finding(self._card.path, 1, 1, "marks", f"no wording for the mark '{name}'", allowed)
        for mark in self._card.marks.values():
            yield from mark_amounts(self._card, mark, self._scope)

    def wording_checks(self, elements: tuple[Element, ...]) -> Iterator[Finding]:
        """Everything that is looked at per variant."""
        for variant in self._card.variants:
            yield from self._lengths(variant)
            yield from self._sms(variant)
            if len(variant.suggestions) > self._limits.suggestions:
                found, allowed = f"{len(variant.suggestions)} suggestions", f"at most {self._limits.suggestions}"
                yield Finding(self._card.path, variant.line, 1, "suggestions", found, allowed)
            for suggestion in variant.suggestions:
                yield from self._button(suggestion)
            yield from missing(self._card, variant, elements)
            yield from amounts(self._card, variant, self._scope)
            for text in texts_of(variant):
                yield from self._adjacent(text)

    def _lengths(self, variant: Variant) -> Iterator[Finding]:
        title = sum(longest(m.title.nodes, self._scope) for m in self._card.marks.values())
        lead = sum(longest(m.text.nodes, self._scope) + 1 for m in self._card.marks.values())
        for text, front, most in (
            (variant.title, title, self._limits.title),
            (variant.description, lead, self._limits.description),
        ):
            length = front + longest(text.nodes, self._scope)
            if length > most:
                yield self._finding(text, 1, f"up to {length} characters with all marks", f"at most {most}")

    def _sms(self, variant: Variant) -> Iterator[Finding]:
        front = sum(longest(m.sms.nodes, self._scope) for m in self._card.marks.values())
        for text in [s.text for s in variant.sms] + [m.sms for m in self._card.marks.values()]:
            words = "".join(n.text for n in literals(text.nodes))
            if "【" in words or "】" in words:
                yield self._finding(text, 1, "【 or 】 in an SMS text", "（ ）: the brackets mark the signature only")
            if link := _LINK.search(self._without_allowed(words)):
                allowed = f"https links to the hosts that rules/links.yaml allows in SMS: {', '.join(self._sms_hosts)}"
                found = f"a link in an SMS text ({link.group()})"
                yield self._finding(text, 1, found, allowed if self._sms_hosts else "no links in SMS")
        if not variant.sms:
            return
        last = variant.sms[-1].text
        length = self._room + front + longest(last.nodes, self._scope)
        room = sms.SINGLE if variant.sms_parts == 1 else sms.PART * variant.sms_parts
        if length > room:
            found = f"up to {length} characters with signature and all marks in the shortest SMS text"
            yield self._finding(last, 1, found, f"{room} ({variant.sms_parts} parts)")

    def _without_allowed(self, words: str) -> str:
        """An SMS text's words without the links that may stand there."""
        hosts = "|".join(map(re.escape, self._sms_hosts))
        return re.sub(rf"https://(?:{hosts})(?=[/\s，。；]|$)[!-~]*", "", words) if hosts else words

    def _button(self, s: Suggestion) -> Iterator[Finding]:
        faults = list(rcs_lint.display_faults(s.key, s.text, self._limits))
        if s.data.constant is not None:
            faults += rcs_lint.text_faults(s.data.key, s.data.constant, self._limits.postback, 0)
        for fault in faults:
            yield Finding(self._card.path, s.line, s.column, fault.where, fault.found, fault.allowed)
        if s.target is None:
            return
        if s.kind == "open":
            yield from self._link(s.target)
        elif s.kind == "calendar" and (length := longest(s.target.nodes, self._scope)) > self._limits.calendar_title:
            yield self._finding(s.target, 1, f"{length} characters", f"at most {self._limits.calendar_title}")
        elif s.kind == "dial" and not (number := self._filled(s.target, "?")).lstrip("+").isdecimal():
            yield self._finding(s.target, 1, repr(number), "digits, or a constant of digits")

    def _link(self, text: Text) -> Iterator[Finding]:
        for fault in rcs_lint.link_faults(text.key, self._filled(text, "0"), self._limits, self._hosts):
            yield self._finding(text, 1, fault.found, fault.allowed)
        for show in shows(text.nodes):
            if show.name not in self._scope:
                continue  # told of where the card is read
            offered = (self._known or {}).get(show.name)
            level = offered.personal if isinstance(offered, Field) else ""
            kind = self._scope[show.name].type
            if level or _PERSONAL_NAME.search(show.name) or kind not in (Type.CODE, Type.ENUM):
                allowed = "codes and enums that identify no client"
                yield self._finding(text, show.line, f"'{show.name}' in a link", allowed)

    def _filled(self, text: Text, filler: str) -> str:
        """A text with its constants filled in and `filler` for every other name or condition."""
        parts = []
        for node in text.nodes:
            if isinstance(node, Literal):
                parts.append(node.text)
            else:
                parts.append(self._card.constants.get(node.name, filler) if isinstance(node, Show) else filler)
        return "".join(parts)

    # 5. Elements and words.

    def _adjacent(self, text: Text) -> Iterator[Finding]:
        """Values with no sign between them: `尾号1234` and `2月5日` would read as one number. A date ends in a word."""
        for left, right in pairwise(text.nodes):
            if isinstance(left, Show) and isinstance(right, Show) and left.filter != "date":
                found = f"'{left.name}' and '{right.name}' with nothing between them"
                yield self._finding(text, right.line, found, "a word or sign between two values")

    def words(self, forbidden: tuple[ForbiddenWord, ...]) -> Iterator[Finding]:
        """Forbidden wording in any text, pattern or button."""
        for text, line, said in self._said():
            for word in found_words(said, forbidden, self._card.category):
                if not cleared(said, word, self._card.reviewed):
                    allowed = "other words" if word.action == "block" else "other words, or named under reviewed:"
                    yield self._finding(text, line, f"the wording '{word.word}'", allowed, word.basis)

    def _said(self) -> Iterator[tuple[Text, int, str]]:
        texts = [t for v in self._card.variants for t in texts_of(v)]
        texts += [t for m in self._card.marks.values() for t in (m.title, m.text, m.sms)]
        for text in texts:
            for piece in literals(text.nodes):
                for offset, line in enumerate(piece.text.split("\n")):
                    yield text, piece.line + offset, line
            for show in shows(text.nodes):
                if show.filter == "lines":
                    yield text, show.line, wording(str(show.args[0]))
        for s in (s for v in self._card.variants for s in v.suggestions):
            yield Text(s.text, (), s.key, s.line, s.column), 1, s.text


def texts_of(variant: Variant) -> Iterator[Text]:
    """All texts of a variant, buttons' targets and data among them."""
    yield from (variant.title, variant.description)
    yield from (s.text for s in variant.sms)
    for s in variant.suggestions:
        yield from (t for t in (s.data, s.target) if t is not None)
