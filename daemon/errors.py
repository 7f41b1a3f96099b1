"""The errors the daemon raises, sorted by what to do next.

A rule owner's or operator's mistake is a `Finding` (file, line, column, found, allowed), collected and reported
together; an exception here says which class of action follows: fix the config, retry, stop.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing wrong in one file, at a place: what was found and what is allowed there.

    `line` and `column` count from 1; 0 means the finding concerns the whole file. `key` is the dotted path of
    the key (`stages.morning.deadline`). `hint` is a near miss ("did you mean 'threshold'?") or empty.
    """

    path: str
    line: int
    column: int
    key: str
    found: str
    allowed: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        text = f"{place}: {self.key}: found {self.found}, allowed {self.allowed}"
        return f"{text} ({self.hint})" if self.hint else text


class DueNoticeError(Exception):
    """Root of all errors this program raises on purpose. `exit_code`: what a command that it ends returns."""

    exit_code: ClassVar[int] = 1


class ConfigError(DueNoticeError):
    """Configuration, rules or keys are unusable; exit 78 before any work. Carries every finding."""

    def __init__(self, message: str, findings: Iterable[Finding] = ()) -> None:
        self.findings: tuple[Finding, ...] = tuple(findings)
        super().__init__("\n".join([message, *map(str, self.findings)]))


class SourceUnavailable(DueNoticeError):
    """A source cannot be asked now (down, timed out, not ready); the poll fails or waits, nobody is 'not told'."""


class SourceChanged(DueNoticeError):
    """A source answers in another shape than its mapping expects; the feed stops until a person looks."""


class CalendarEnd(DueNoticeError):
    """A date outside the trading calendar was needed; never answered by a weekday guess."""


class KeyUnusable(ConfigError):
    """A key is absent, wrong or corrupt; names the key's id and never its bytes."""


class SealBroken(DueNoticeError):
    """A ciphertext does not open: changed bytes, another place, another key or an unknown algorithm."""


class StoreConflict(DueNoticeError):
    """A fence, a lease or a unique key says that someone else has moved on; the caller starts again or stops."""
