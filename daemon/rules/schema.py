"""Rules, parameters, cases and the rule set as values. What a rule file says, typed; loading is load.py's job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from daemon.model.calendar import Calendar
from daemon.model.kinds import FactKind, Scalar, Type, Value


@dataclass(frozen=True, slots=True)
class Timer:
    """A forward timer, counted from the stage's instant: `do` is 'next_channel' or 'task'."""

    after: timedelta
    do: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a rule; `name` is 'morning', or 'call/notice' where the rule has levels.

    `at` and `deadline` are instants (rules/instants.py); `condition` an expression or ''; `late`: 'drop' |
    'send_marked'.
    """

    name: str
    at: str
    deadline: str
    level: str = ""
    condition: str = ""
    timers: tuple[Timer, ...] = ()
    late: str = "drop"
    line: int = 0


@dataclass(frozen=True, slots=True)
class Level:
    """One level, worst first in `Rule.levels`. `rearm`: an expression that ends its episode."""

    name: str
    when: str
    rearm: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class Growth:
    """How much larger than the like reading before one may be: at most `rows` times its rows and `notify` times its facts to
    notify (None: not looked at), as soon as it has `least` of them."""

    rows: Decimal | None = None
    notify: Decimal | None = None
    least: int = 100


@dataclass(frozen=True, slots=True)
class Cap:
    """Bounds over the facts of the notify bucket. `minimum`/`maximum` facts a poll (None: unbounded); `turnover`: the
    largest share of known subjects that may vanish while others appear; `rows`: fewer rows than these are no reading of
    the source at all; `growth`: against the like reading before; `limit`: matches held in memory, above which
    the poll is held; `ends_after`: a hold of this rule ends itself (margin), else only a release ends it;
    `per_client`: notices a client a day."""

    minimum: int | None = None
    maximum: int | None = None
    turnover: Decimal | None = None
    limit: int = 1_000_000
    ends_after: timedelta | None = None
    per_client: int | None = None
    rows: int = 0
    growth: Growth | None = None


@dataclass(frozen=True, slots=True)
class StatusTable:
    """What client statuses mean: `verdicts` status -> 'send' | 'suppress' | 'hold' | 'phone_as_well' | 'other_contact';
    `others` status -> roles of contacts, for the last of these."""

    verdicts: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gates:
    """A rule's gates. `status`: the field with the client's status ('' none); `verdicts`: status -> verdict, the table of
    the rule's family or category with the rule's own before it, `unknown` for a status that is absent or in no table;
    `others`: status -> the contacts, by role, that a notice goes to in place of the rule's; `exclude`: reason ->
    expression that suppresses; `consent`: whether the rule needs a consent to its category ('opt_in'), only heeds a
    refusal ('opt_out') or neither ('none'); `suitability`: an expression that must be true, '' where the rule does not
    ask: a false or an absent one suppresses."""

    status: str = ""
    verdicts: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exclude: Mapping[str, str] = field(default_factory=dict)
    consent: str = "none"
    suitability: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as its file says it. Expressions are text here; decider.py compiles them against the kind.

    `unless`: reason -> expression, looked at before `when` and `levels`; the first true one is a no match with that
    reason ('no debt' apart from 'ratio above the lines'). `needs`: reason -> expression that must be true for a no
    match to be believed. `agreed`: the field with the channels the contract agreed,
    comma-separated ('' none): a receipt serves as agreed only on one of them. `effective`, `until`: business dates
    the rule is in force, both inclusive. `lets`: name -> expression, in order, each may use earlier ones. `holds`:
    reason -> expression that puts a match into the held bucket until a release. `marks`: mark -> expression; a true
    mark is shown on the card and raises an alarm. `discharge`: channel -> receipt ('delivered' | 'handed_to_sms' |
    'accepted') that serves. `correct_gone`: a fact gone
    after telling is corrected, where `gone_only` names reasons only for those; `correct_held`: a correction waits for a person.
    """

    name: str
    title: str
    kind: str
    category: str
    owner: str
    effective: date
    references: tuple[str, ...]
    stages: tuple[Stage, ...]
    occurrence: tuple[str, ...]
    terms: tuple[str, ...]
    card: str
    channels: tuple[str, ...]
    contacts: tuple[str, ...] = ("client",)
    together: bool = False
    discharge: Mapping[str, str] = field(default_factory=dict)
    when: str = ""
    levels: tuple[Level, ...] = ()
    lets: Mapping[str, str] = field(default_factory=dict)
    holds: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)
    gates: Gates = field(default_factory=Gates)
    fresh: timedelta = timedelta(minutes=5)
    if_unasked: str = "hold"
    in_doubt: str = "task"
    cap: Cap = field(default_factory=Cap)
    keep: timedelta = timedelta(days=400)
    priority: int = 5
    quiet: tuple[str, str] | None = None  # 'HH:MM','HH:MM': instants inside move to its end
    correct_gone: bool = False
    gone_only: tuple[str, ...] = ()
    correct_held: bool = False
    receipt_window: timedelta = timedelta(hours=1)
    path: str = ""
    unless: Mapping[str, str] = field(default_factory=dict)
    until: date | None = None
    agreed: str = ""
    needs: Mapping[str, str] = field(default_factory=dict)
    line: int = 0

    def takes_back(self, reason: str) -> bool:
        """Whether a no for this reason takes back what was told: `absent`, `condition` or `unless:NAME`."""
        return self.correct_gone and (not self.gone_only or reason.removeprefix("unless:") in self.gone_only)

    def stages_of(self, level: str) -> tuple[Stage, ...]:
        """The stages of a level ('' where the rule has none), in the order of the file."""
        return tuple(s for s in self.stages if s.level == level)


@dataclass(frozen=True, slots=True)
class ParameterValue:
    """A value from `start` until the next one starts, or through `end` where the last one has an end. `reference` is
    the text an explanation prints (id, instrument, article); `confidence` A to D as in rules/references.yaml."""

    start: date
    value: Scalar
    reference: str = ""
    confidence: str = ""
    end: date | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number a rule uses: dated values, unit, reference, review.

    `contract`: a field that overrides it ('' none): where the rule's kind has that field, a value there is the
    contract's and wins, EMPTY means that the contract leaves it to the firm, and any other absence stays one.
    """

    name: str
    type: Type
    unit: str
    label: str
    values: tuple[ParameterValue, ...]
    reviewed_on: date
    review_every: timedelta
    reviewed_by: str = ""
    path: str = ""
    contract: str = ""
    line: int = 0

    def at(self, day: date) -> ParameterValue | None:
        """The dated value in force on a business date; None before the first start and after an end."""
        found = None
        for value in self.values:
            if value.start <= day:
                found = value
        return None if found is None or (found.end is not None and found.end < day) else found

    def on(self, day: date) -> Scalar | None:
        """The value in force on a business date, None where there is none."""
        found = self.at(day)
        return None if found is None else found.value


@dataclass(frozen=True, slots=True)
class Reference:
    """One legal or contractual source: what a number or a formula rests on. `confidence`: A statute text read, B
    announcement or practice read, C from memory, D weak."""

    id: str
    instrument: str
    number: str
    article: str
    effective: str
    requirement: str
    confidence: str
    line: int = 0

    @property
    def text(self) -> str:
        """What an explanation prints."""
        return " ".join(part for part in (self.id, f"《{self.instrument}》", self.number, self.article) if part)


@dataclass(frozen=True, slots=True)
class Case:
    """One case of a rule: a fact as mapped from its sources (before formulas), an instant, and what must come out.

    `given` and `rows` hold typed values or absences; `gates` the fields of gates.GateInputs that differ from an open
    one; `expect` is described in rules/README.md. `made_at` is the moment of the reading. `told`: the fact on which the
    client was told before, None where nobody was; `receipts`: channel -> what came back of the message that left on it.
    """

    name: str
    rule: str
    given: Mapping[str, Value]
    rows: tuple[Mapping[str, Value], ...]
    expect: Mapping[str, Any]
    path: str
    line: int
    business_date: date
    made_at: datetime
    whole: bool = True
    gates: Mapping[str, Any] = field(default_factory=dict)
    told: Case | None = None
    receipts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RuleSet:
    """All that decides, with one digest over the bytes. Immutable; `cards` are cards.card.Card values by name."""

    digest: str
    files: Mapping[str, bytes]
    kinds: Mapping[str, FactKind]
    rules: Mapping[str, Rule]
    parameters: Mapping[str, Parameter]
    calendars: Mapping[str, Calendar]
    cards: Mapping[str, Any]
    cases: tuple[Case, ...]
    references: Mapping[str, Reference] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()  # where links of cards may lead, rules/links.yaml
    statuses: Mapping[str, StatusTable] = field(default_factory=dict)  # by family or category, rules/client_status.yaml

    @property
    def calendar(self) -> Calendar:
        """The exchange's sessions, the calendar that `T+n` counts on."""
        return self.calendars["sse"]

    def rules_of(self, kind: str) -> tuple[Rule, ...]:
        """The rules of one kind, by name."""
        return tuple(r for _, r in sorted(self.rules.items()) if r.kind == kind)
