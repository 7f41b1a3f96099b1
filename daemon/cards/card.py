"""A card as values: fields, variants, suggestions, SMS texts, marks. `load.py` makes them from a file.

A *text* is a template in the small language of `template.py`, kept with the place where it stands in its file. A
*variant* is one complete wording; the first that fits the values, the stage and the level is taken, and the last one
always fits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from daemon.cards.nodes import Node
from daemon.cards.template import Program
from daemon.cards.words import Element
from daemon.model.kinds import Type

CATEGORIES = ("service", "marketing", "education")
STANDARD_MARKS = ("late", "stale_as_of", "correction")
"""Marks that delivery may put on any notice: past its deadline, not asked again since, terms that changed after
telling."""


@dataclass(frozen=True, slots=True)
class CardField:
    """A name the card's texts may use. `type` is None where only the kind says it. `width`: the longest value, in
    characters, that the SMS lint counts with (0: the type's usual width). `columns`: set for a list of rows, by name.
    """

    name: str
    type: Type | None = None
    optional: bool = False
    width: int = 0
    columns: Mapping[str, CardField] | None = None
    line: int = 0
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """A template and where it stands: `line`, `column` of its first character; `folded`: its lines are not the file's.
    `constant`: what it always says, None where it has placeholders or conditions."""

    source: str
    nodes: tuple[Node, ...]
    key: str
    line: int = 0
    column: int = 0
    folded: bool = True
    constant: str | None = None

    def line_of(self, inner: int) -> int:
        """The file's line for the template's line `inner` (from 1)."""
        return self.line if self.folded else self.line + inner - 1


@dataclass(frozen=True, slots=True)
class Moment:
    """When a calendar entry begins or ends: a datetime field, or a date field with a time field or `HH:MM`, which are
    times of Asia/Shanghai."""

    day: str
    clock: str = ""

    def names(self) -> tuple[str, ...]:
        """The fields it reads."""
        named = re.fullmatch(r"[a-z_][a-z0-9_]*", self.clock)
        return (self.day, self.clock) if named else (self.day,)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A button. `kind`: reply, open (a link), dial (a number) or calendar. `text`: what the button says, without
    placeholders; `target`: link, number, or the calendar entry's title; `data`: what comes back when it is pressed."""

    kind: str
    text: str
    data: Text
    key: str
    line: int
    column: int
    target: Text | None = None
    start: Moment | None = None
    end: Moment | None = None


@dataclass(frozen=True, slots=True)
class SmsText:
    """One length of the SMS text. `condition`: a bool field that must be true, so that a text with amounts is taken
    only for a client who agreed to amounts in SMS; '' none."""

    text: Text
    condition: str = ""
    program: Program | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Mark:
    """Fixed wording for a circumstance, in front of description and SMS text, and of the title if it has one."""

    name: str
    title: Text
    text: Text
    sms: Text
    program: Program = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Variant:
    """One complete wording, with the conditions under which it is taken. `program` renders its leaves in this order:
    title, description, the first SMS text, then `data` and `target` of each suggestion that has placeholders."""

    name: str
    title: Text
    description: Text
    sms: tuple[SmsText, ...]
    sms_parts: int
    suggestions: tuple[Suggestion, ...]
    program: Program = field(compare=False, repr=False)
    needs: tuple[str, ...] = ()
    when_stage: tuple[str, ...] = ()
    when_level: tuple[str, ...] = ()
    when_mark: tuple[str, ...] = ()  # it says these marks by its own words
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    positive: tuple[str, ...] = ()  # those of `needs` that must be above nought
    media: str = "none"  # none | optional | required
    line: int = 0

    def conditional(self) -> bool:
        """Whether there are facts, stages or levels that it does not fit."""
        return bool(self.needs or self.when_stage or self.when_level or self.when_mark or self.when)


@dataclass(frozen=True, slots=True)
class Card:
    """A card. `constants`: names with a fixed text (the firm's telephone number), signed with the card like its words.
    `reviewed`: wordings that need a person's look and have had it (`words.py`). `requires`: what its wordings must contain
    beside what the distribution's table asks; `public`: amounts of a product, which are nobody's secret."""

    name: str
    category: str
    fields: Mapping[str, CardField]
    variants: tuple[Variant, ...]
    constants: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, Mark] = field(default_factory=dict)
    reviewed: tuple[str, ...] = ()
    path: str = ""
    requires: tuple[Element, ...] = ()
    public: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """`margin` for the card `margin/maintenance`: whose required elements apply."""
        return self.name.split("/", 1)[0]
