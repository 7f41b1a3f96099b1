"""The two tables the lint measures wording by: forbidden words, and elements that must be there. Parsed from CSV, pure.

`forbidden_words.csv` and `required_elements.csv` in this folder are the shipped ones; each explains its columns in
its first lines (`#` begins a comment line). A firm may hand the lint tables of its own.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from daemon.errors import ConfigError

ACTIONS = ("block", "block_if_describing_product", "review")
PLACES = ("card", "sms", "both", "agreed")


@dataclass(frozen=True, slots=True)
class ForbiddenWord:
    """A wording. `category`: of the cards it concerns, 'all' any. `action`: 'block' is never allowed; the others
    need a person's look, which the card records under `reviewed:`."""

    word: str
    category: str
    action: str
    basis: str


@dataclass(frozen=True, slots=True)
class Element:
    """Something a wording must contain: a field put in, or a phrase. `levels`: () for every variant."""

    category: str
    family: str
    levels: tuple[str, ...]
    name: str
    fields: tuple[str, ...]
    phrases: tuple[str, ...]
    place: str
    basis: str


def parse_words(data: bytes) -> tuple[ForbiddenWord, ...]:
    """Raises ConfigError for a row that is not as the table's head says."""
    return tuple(
        ForbiddenWord(normal(row["word"]), row["for"], _one_of(row, "action", ACTIONS), row["basis"])
        for row in _rows(data, ("group", "word", "for", "action", "basis", "confidence"))
    )


def parse_elements(data: bytes) -> tuple[Element, ...]:
    """Raises ConfigError for a row that is not as the table's head says."""
    heads = ("category", "family", "levels", "element", "fields", "phrases", "in", "basis")
    return tuple(
        Element(
            row["category"], row["family"], _split(row["levels"]), row["element"], _split(row["fields"]),
            tuple(map(normal, _split(row["phrases"]))), _one_of(row, "in", PLACES), row["basis"],
        )
        for row in _rows(data, heads)
    )  # fmt: skip


@cache
def shipped_words() -> tuple[ForbiddenWord, ...]:
    """The table of this distribution."""
    return parse_words((files("daemon.cards") / "forbidden_words.csv").read_bytes())


@cache
def shipped_elements() -> tuple[Element, ...]:
    """The table of this distribution."""
    return parse_elements((files("daemon.cards") / "required_elements.csv").read_bytes())


def normal(text: str) -> str:
    """Wording as it is compared: compatibility forms folded, blanks and unseen signs out: `保 本` is `保本`."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if unicodedata.category(c)[0] not in "ZC")


def found_words(text: str, words: tuple[ForbiddenWord, ...], category: str) -> Iterator[ForbiddenWord]:
    """The wordings of a category that a text contains."""
    plain = normal(text)
    return (w for w in words if w.category in ("all", category) and w.word in plain)


def cleared(text: str, word: ForbiddenWord, reviewed: tuple[str, ...]) -> bool:
    """Whether every place of a word that may be reviewed lies inside a wording named as reviewed."""
    if word.action == "block":
        return False
    rest = normal(text)
    for wording in sorted(map(normal, reviewed), key=len, reverse=True):
        rest = rest.replace(wording, "\x00") if wording else rest
    return word.word not in rest


def _rows(data: bytes, heads: tuple[str, ...]) -> Iterator[Mapping[str, str]]:
    lines = [line for line in data.decode("utf-8").splitlines() if line and not line.startswith("#")]
    reader = csv.DictReader(lines, strict=True)
    if tuple(reader.fieldnames or ()) != heads:
        raise ConfigError(f"word table: found the columns {reader.fieldnames}, expected {', '.join(heads)}")
    for row in reader:
        if None in row or None in row.values():
            raise ConfigError(
                f"word table: found a row of other length ({row[heads[1]]}), expected {len(heads)} columns"
            )
        yield row


def _one_of(row: Mapping[str, str], key: str, allowed: tuple[str, ...]) -> str:
    if row[key] not in allowed:
        raise ConfigError(f"word table: {key}: found {row[key]!r}, expected one of {', '.join(allowed)}")
    return row[key]


def _split(text: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"\|", text) if part)
