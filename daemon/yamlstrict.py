"""The strict loader of every YAML file: rules, kinds, parameters, calendars, cards, cases, configuration.

The accepted subset, so that a file means to every reader what its signers saw (OWASP ASVS 5.0 1.5, YAML 1.2.2 10.3):

- UTF-8 without byte order mark, at most 256 kB, one document, nesting of at most 32, no directives;
- no tags, anchors, aliases or merge keys; keys are text of `[A-Za-z0-9_./+-]{1,64}`, once per mapping;
- plain scalars: `null` or nothing, `true`, `false`, `0`, `-12`, `1.30` (an exact Decimal, never a float), else text.
  What YAML 1.1 reads otherwise (`NO`, `on`, `12:30`, `0123`, `1_000`, `1e5`) must stand in quotes if it is text;
- no word that mixes Latin letters with those of another alphabet, or is made of letters that look like them;
- no tabs, control, bidirectional, zero-width, private-use or exotic white-space characters. The ideographic space may
  be written as the escape `\\u3000` in double quotes, where it can be seen.

`load` reports all findings of a file at once; after a syntax error the rest cannot be read and they end with it.
Which keys a file may have is the matter of `daemon.yamlfile`, through which all others import. The only user of PyYAML.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, TypeAlias

import yaml

from daemon.errors import ConfigError, Finding

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_FINDINGS = 200
MAX_DIGITS = 40
UNQUOTED = "without quotes, which YAML 1.1 reads as another value"

_KEY = re.compile(r"[A-Za-z0-9_./+-]{1,64}")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
_OTHER_WORDS = re.compile(r"(?:y|n|yes|no|on|off|true|false|null|~)", re.IGNORECASE)
_OTHER_NUMBERS = re.compile(
    r"[-+]?(?:0[xob][0-9a-f_]+|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?|\.inf"
    r"|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:e[-+]?[0-9]+)?)|\.nan",
    re.IGNORECASE,
)

# Cc but for line feed, Cf, Co, Zs but for space, Zl, Zp, and the letters and marks that show as nothing
# (Unicode Default_Ignorable_Code_Point, braille blank). U+FE0F, which makes an emoji of a sign, is allowed.
_UNSEEN = (
    "\x00-\x09\x0b-\x1f\x7f-\xa0\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u1680\u17b4\u17b5"
    "\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3164\ue000-\uf8ff\ufe00-\ufe0e\ufeff\uffa0\ufff0-\uffff"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff"
)
_UNSEEN_IN_FILE = re.compile(f"[{_UNSEEN}\u3000]")
_UNSEEN_IN_TEXT = re.compile(f"[{_UNSEEN}]")

# Letters of other alphabets that may stand beside or in place of Latin ones: Greek, Cyrillic, Armenian, Cherokee, Coptic, Lisu,
# full-width and mathematical ones.
_OTHER = (
    "\u0370-\u03ff\u0400-\u052f\u0531-\u058f\u13a0-\u13ff\u1c80-\u1c8f\u2c80-\u2cff\ua4d0-\ua4ff\ua640-\ua69f\uab70-\uabbf"
    "\uff21-\uff3a\uff41-\uff5a\U0001d400-\U0001d7ff"
)
# Of these the ones that read as a Latin letter by themselves (Unicode confusables.txt), so that a word of nothing else does.
_ALIKE = "аеорсухіјѕһԁԛԝАВЕКМНОРСТХІЈЅΑΒΕΖΗΙΚΜΝΟΡΤΥΧνορ"
_OTHER_WORD = re.compile(f"[A-Za-z0-9_]*[{_OTHER}][A-Za-z0-9_{_OTHER}]*")
_LATIN = re.compile("[A-Za-z]")

Place: TypeAlias = tuple[int, int]


class FindingsError(ConfigError):
    """One or more files are wrong; `findings` has every place. `read` is what could be read of a file all the same, so that
    its other mistakes can be told too; nothing may be decided by it."""

    def __init__(self, findings: Iterable[Finding], read: YMap | None = None) -> None:
        self.read = read
        found = sorted(findings)
        super().__init__(f"{len(found)} {'finding' if len(found) == 1 else 'findings'}", found)


class YMap(dict[str, Any]):
    """A mapping that knows where it stands. Lines and columns count from 1; `trail` is its dotted path."""

    def __init__(self, path: str, mark: Place = (0, 0), trail: str = "") -> None:
        super().__init__()
        self.path, self.mark, self.trail = path, mark, trail
        self.places: dict[str, Place] = {}
        self.key_places: dict[str, Place] = {}

    def place(self, key: str) -> Place:
        """Where the value of `key` begins; the mapping's own place for a key it lacks."""
        return self.places.get(key, self.mark)

    def key_place(self, key: str) -> Place:
        """Where `key` itself stands; the mapping's own place for a key it lacks."""
        return self.key_places.get(key, self.mark)

    def trail_of(self, key: str) -> str:
        """The dotted path of `key` in this mapping."""
        return f"{self.trail}.{key}" if self.trail else key


class YList(list[Any]):
    """A list that knows where each element stands. In trails elements count from 1: `stages[1].at`."""

    def __init__(self, path: str, mark: Place = (0, 0), trail: str = "") -> None:
        super().__init__()
        self.path, self.mark, self.trail = path, mark, trail
        self.places: list[Place] = []

    def place(self, index: int) -> Place:
        """Where the element at `index` (from 0) begins; the list's own place for one it lacks."""
        return self.places[index] if 0 <= index < len(self.places) else self.mark

    def trail_of(self, index: int) -> str:
        """The dotted path of the element at `index` (from 0)."""
        return f"{self.trail}[{index + 1}]"


def load(text: bytes, path: str) -> YMap:
    """Read the bytes of one file; `path` is its name in findings. Raises FindingsError with all that is wrong."""
    findings: list[Finding] = []
    decoded = _decode(text, path, findings)
    if decoded is None:
        raise FindingsError(findings)
    _check_characters(decoded, path, findings)
    builder = _Builder(path, findings)
    try:
        top = builder.read(decoded)
    except yaml.YAMLError as error:
        findings.append(_syntax(error, path))
        top = None
    except _TooMuch:
        top = None
    if findings or not isinstance(top, YMap):
        raise FindingsError(findings[:MAX_FINDINGS], top if isinstance(top, YMap) else None)
    return top


def describe(value: Any) -> str:
    """A value as a finding names it: kind and a short form."""
    if value is None:
        return "nothing"
    if isinstance(value, YMap):
        return "a mapping"
    if isinstance(value, YList):
        return "a list"
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, int | Decimal):
        return f"the number {value}"
    shown = value if len(value) <= 60 else value[:57] + "..."
    return f"the text {shown!r}"


class _TooMuch(Exception):
    """Reading ends here: the finding that says why is already noted."""


def _decode(text: bytes, path: str, findings: list[Finding]) -> str | None:
    if len(text) > MAX_BYTES:
        findings.append(Finding(path, 0, 0, "file", f"{len(text)} bytes", f"at most {MAX_BYTES} bytes"))
        return None
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        column = len(text[text.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8")) + 1
        findings.append(Finding(path, line, column, "file", f"byte 0x{text[error.start]:02x}", "UTF-8 text"))
        return None
    return decoded.replace("\r\n", "\n")


def _check_characters(text: str, path: str, findings: list[Finding]) -> None:
    for match in _UNSEEN_IN_FILE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        column = match.start() - text.rfind("\n", 0, match.start())
        found, allowed = f"the character U+{ord(match.group()):04X}", "visible characters, spaces, line feeds"
        hint = r"write it as \u3000 in double quotes" if match.group() == "\u3000" else ""
        findings.append(Finding(path, line, column, "file", found, allowed, hint))
        if len(findings) >= MAX_FINDINGS:
            return
    for match in _OTHER_WORD.finditer(text):
        word = match.group()
        if _LATIN.search(word) or all(letter in _ALIKE for letter in word):
            line = text.count("\n", 0, match.start()) + 1
            column = match.start() - text.rfind("\n", 0, match.start())
            strange = next(letter for letter in word if not letter.isascii())
            found = f"the word '{word[:64]}' with the letter U+{ord(strange):04X}"
            findings.append(Finding(path, line, column, "file", found, "letters of one alphabet in a word"))
            if len(findings) >= MAX_FINDINGS:
                return


def _syntax(error: yaml.YAMLError, path: str) -> Finding:
    mark = getattr(error, "problem_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return Finding(path, line, column, "file", f"a syntax error: {problem}", "YAML")


class _Builder:
    """Builds marked values from PyYAML's parse events, noting findings on the way."""

    def __init__(self, path: str, findings: list[Finding]) -> None:
        self._path, self._findings = path, findings
        self._next: Callable[[], Any]

    def read(self, text: str) -> Any:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._next = iter(yaml.parse(text, Loader=loader)).__next__
        self._next()
        first: Any = self._next()
        if isinstance(first, yaml.StreamEndEvent):
            self._note((1, 1), "file", "an empty file", "a mapping")
            return None
        if first.version or first.tags:
            self._note(_place(first), "file", "a directive", "no directives")
        start = self._next()
        top = self._value(start, "", 1)
        if not isinstance(top, YMap):
            self._note(_place(start), "file", describe(top), "a mapping")
        self._next()
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            self._note(_place(after), "file", "a second document", "one document")
        return top

    def _note(self, place: Place, key: str, found: str, allowed: str, hint: str = "") -> None:
        self._findings.append(Finding(self._path, *place, key or "file", found, allowed, hint))
        if len(self._findings) >= MAX_FINDINGS:
            raise _TooMuch

    def _value(self, event: Any, trail: str, depth: int) -> Any:
        place = _place(event)
        if isinstance(event, yaml.AliasEvent):
            self._note(place, trail, f"the alias *{event.anchor}", "no aliases", "write the value out")
            return None
        if event.anchor is not None:
            self._note(place, trail, f"the anchor &{event.anchor}", "no anchors")
        if event.tag is not None:
            self._note(place, trail, f"the tag {event.tag}", "no tags")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, place, trail)
        if depth > MAX_DEPTH:
            self._note(place, trail, f"a depth of {depth}", f"at most {MAX_DEPTH}")
            raise _TooMuch
        build = self._mapping if isinstance(event, yaml.MappingStartEvent) else self._list
        return build(place, trail, depth)

    def _mapping(self, place: Place, trail: str, depth: int) -> YMap:
        made = YMap(self._path, place, trail)
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key, spot = self._key(event, made, depth), _place(event)
            held = self._next()
            value = self._value(held, made.trail_of(key), depth + 1)
            if key in made:
                first = made.key_place(key)[0]
                self._note(spot, made.trail_of(key), f"the key '{key}' again", f"one '{key}' (first in line {first})")
            else:
                made[key], made.places[key], made.key_places[key] = value, _place(held), spot
        return made

    def _key(self, event: Any, made: YMap, depth: int) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            self._value(event, made.trail_of("?"), depth + 1)
            self._note(_place(event), made.trail, "a key that is no text", "a word as key")
            return "?"
        if event.anchor is not None or event.tag is not None:
            self._note(_place(event), made.trail, f"an anchor or tag on the key '{event.value}'", "no anchors, no tags")
        if event.value == "<<":
            self._note(_place(event), made.trail, "the merge key <<", "no merge keys", "write the keys out")
        elif not _KEY.fullmatch(event.value):
            allowed = "a key of 1 to 64 ASCII letters, digits and _ . / + -"
            self._note(_place(event), made.trail, f"the key {event.value[:64]!r}", allowed)
        return str(event.value)

    def _list(self, place: Place, trail: str, depth: int) -> YList:
        made = YList(self._path, place, trail)
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            made.places.append(_place(event))
            made.append(self._value(event, made.trail_of(len(made)), depth + 1))
        return made

    def _scalar(self, event: Any, place: Place, trail: str) -> Any:
        text: str = event.value
        if event.style:
            if unseen := _UNSEEN_IN_TEXT.search(text):
                self._note(place, trail, f"the escape of U+{ord(unseen.group()):04X}", "visible characters")
            return text
        if text in ("", "null"):
            return None
        if text in ("true", "false"):
            return text == "true"
        if _INTEGER.fullmatch(text) or _DECIMAL.fullmatch(text):
            return self._number(text, place, trail)
        if _OTHER_WORDS.fullmatch(text) or _OTHER_NUMBERS.fullmatch(text):
            allowed = f"'{text}' in quotes if it is text; else true, false, null, 12 or 1.30"
            self._note(place, trail, f"{text} {UNQUOTED}", allowed)
        return text

    def _number(self, text: str, place: Place, trail: str) -> int | Decimal:
        if len(text) > MAX_DIGITS:
            found, allowed = f"a number of {len(text)} characters", f"at most {MAX_DIGITS}"
            self._note(place, trail, found, allowed, "quote it if it is text")
            return 0
        return Decimal(text) if "." in text else int(text)


def _place(event: Any) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1
