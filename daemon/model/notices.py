"""Notices and episodes as values: what is known of one obligation, and the changes a reading asks for. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeAlias

from daemon.model.kinds import Absence
from daemon.model.states import Outcome, Stands

CORRECTION = "correction/"
"""Stages of corrections are `correction/1`, `correction/2`, ..."""


@dataclass(frozen=True, slots=True)
class StagePlan:
    """When a stage falls due by what is known now. `condition`: True, False, or why it cannot be told.

    The window is [at, window_end): it ends at the next stage's instant of the same level, else at the deadline.
    """

    stage: str
    at: datetime
    window_end: datetime
    deadline: datetime
    condition: bool | Absence = True
    late: str = "drop"
    level: str = ""
    last: bool = True


@dataclass(frozen=True, slots=True)
class NoticeView:
    """One notice as the store knows it. `told`: a message of it is in sending or further; `told_terms`: what that one says."""

    id: str
    stage: str
    made_at: datetime
    not_before: datetime
    window_end: datetime
    deadline: datetime
    late: str
    stands: Stands
    why: str
    known_at: datetime
    terms: str
    told: bool = False
    told_terms: str = ""
    told_at: datetime | None = None
    outcome: Outcome | None = None
    held: bool = False
    episode: int | None = None
    level: str = ""
    marks: tuple[str, ...] = ()
    last: bool = True

    @property
    def is_correction(self) -> bool:
        """Whether this notice corrects what another one told."""
        return self.stage.startswith(CORRECTION)

    @property
    def waits(self) -> bool:
        """Open and not told: its terms and instants may still move."""
        return self.outcome is None and not self.told


@dataclass(frozen=True, slots=True)
class EpisodeView:
    """One episode: opened on a business date, the `number`-th of its level on that date."""

    id: int
    level: str
    opened_on: date
    number: int
    opened_at: datetime
    open: bool = True
    seen_on: date | None = None


Planner: TypeAlias = Callable[[str, date, datetime], tuple[StagePlan, ...]]
"""(level, business date, moment of making) -> the stages of that level, in order."""


def no_plan(level: str, business_date: date, made_at: datetime) -> tuple[StagePlan, ...]:
    """The planner of a reading that saw no fact: no stage can be planned, what exists keeps its instants."""
    return ()


class SeenAs:
    """What a reading says of an obligation's subject: closed list."""

    MATCH = "match"
    NO = "no"  # no match or suppressed, on a whole fact; or absent from a complete poll within its counts
    UNKNOWN = "unknown"  # indeterminate, a reject, no row for an asked key; with levels also absent
    HELD = "held"  # a declared hold: nothing leaves until a person releases it


@dataclass(frozen=True, slots=True)
class Seen:
    """One reading's word on one (rule, subject, occurrence), or (rule, subject, basis) where the rule has levels.

    `started`: the start of the reading, by which words are ordered. `plan`: the stages of a level ('' without levels) for an
    opening business date and the moment of making. `terms`: digest of what the client would be told. `gone`: the subject is
    absent from a complete reading, or matches no longer.
    """

    how: str
    why: str
    started: datetime
    business_date: date
    plan: Planner = no_plan
    terms: str = ""
    marks: tuple[str, ...] = ()
    level: str = ""
    cured: frozenset[str] = frozenset()
    gone: bool = False


@dataclass(frozen=True, slots=True)
class OpenEpisode:
    """Open the `number`-th episode of a level on a business date."""

    level: str
    opened_on: date
    number: int


@dataclass(frozen=True, slots=True)
class EndEpisode:
    """End an episode and cancel what of it has not left."""

    id: int
    why: str


@dataclass(frozen=True, slots=True)
class MakeNotice:
    """Make the notice of a stage. `episode`: (level, opened_on, number) where the rule has levels."""

    plan: StagePlan
    stands: Stands
    why: str
    episode: tuple[str, date, int] | None = None
    correction_of: str = ""
    correction: int = 0
    held: bool = False
    marks: tuple[str, ...] = ()
    terms: str = ""


@dataclass(frozen=True, slots=True)
class RenewNotice:
    """Take over what a newer reading says: whether it stands, terms, instants."""

    id: str
    stands: Stands
    why: str
    terms: str
    not_before: datetime
    window_end: datetime
    deadline: datetime
    marks: tuple[str, ...] = ()
    take_inputs: bool = True


@dataclass(frozen=True, slots=True)
class CloseNotice:
    """Give a notice that has not left its outcome: cancelled, superseded or expired."""

    id: str
    outcome: Outcome
    why: str


Change: TypeAlias = OpenEpisode | EndEpisode | MakeNotice | RenewNotice | CloseNotice
