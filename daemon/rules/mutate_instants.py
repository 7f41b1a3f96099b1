"""Small changes of a stage's instants: a session or a day more and less, a minute earlier and later. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import time, timedelta

from daemon.rules.instants import Instant, parse_instant
from daemon.rules.mutate_expressions import shifted_time

MINUTE = timedelta(minutes=1)


def instant_variations(text: str) -> Iterator[tuple[str, str]]:
    """(operator, changed text) for an instant: `session` for counts of sessions or days, `clock` for times of day, spans and
    moments."""
    instant = parse_instant(text)
    for changed in _counted(instant):
        yield "session", show_instant(changed)
    for changed in _clocked(instant):
        yield "clock", show_instant(changed)


def _counted(instant: Instant) -> Iterator[Instant]:
    """One more and one less; a named count is moved where it is defined. A bare day begins to count."""
    if not instant.day or isinstance(instant.count, str) or instant.clock is None:
        return
    count = (instant.count or 0) * instant.sign
    natural = instant.natural if instant.count is not None else False
    for moved in (count + 1, count - 1):
        yield replace(instant, count=abs(moved), sign=1 if moved >= 0 else -1, natural=natural)
    if instant.count:
        yield replace(instant, natural=not natural)


def _clocked(instant: Instant) -> Iterator[Instant]:
    for n in (1, -1):
        if isinstance(instant.clock, time) and (moved := shifted_time(instant.clock, n)) is not None:
            yield replace(instant, clock=moved)
        elif not isinstance(instant.clock, time):
            yield replace(instant, span=instant.span + n * MINUTE)


def show_instant(instant: Instant) -> str:
    """The text of an instant: `parse_instant` of it gives the same but for `text`."""
    parts = []
    if instant.day:
        count = "" if instant.count is None else f"{'+' if instant.sign > 0 else '-'}{instant.count}"
        parts.append(f"{instant.day}{count}{'d' if instant.natural else ''}")
    if isinstance(instant.clock, time):
        parts.append(instant.clock.isoformat("minutes"))
    elif instant.clock:
        parts.append(instant.clock)
    if instant.span or not parts:
        parts.append(_span(instant.span) if instant.span else "at once")
    return " ".join(parts)


def _span(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    return f"{seconds // 60:+d}m" if seconds % 60 == 0 else f"{seconds:+d}s"
