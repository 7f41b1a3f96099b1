"""Reads `calendars/NAME.yaml`: sessions by month, half days, make-up workdays, and the range they vouch for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from daemon.model.calendar import Calendar
from daemon.yamlfile import Reader, YList, describe, parse_date

_MONTH = re.compile(r"(2[0-9]{3})-(0[1-9]|1[0-2])")


def read_calendar(r: Reader) -> Calendar:
    """A calendar; its `version` is the file's own. Sessions outside of first..last, or not rising, are findings."""
    name, version, _ = r.text("name", 40), r.text("version", 40), r.text("source")
    first, last = r.date("first"), r.date("last")
    sessions = tuple(_sessions(r.map("sessions")))
    half, made_up = _days(r, "half_days"), _days(r, "make_up_workdays")
    r.done()
    wrong = [day for day in sessions if not first <= day <= last]
    if wrong:
        r.refuse("sessions", f"{wrong[0]}", f"days from {first} to {last}")
    return Calendar(name, version, first, last, sessions, made_up, half)


def _sessions(r: Reader) -> Iterator[date]:
    before = ""
    for month in r.map_:
        match = _MONTH.fullmatch(month)
        if match is None or month <= before:
            r.refuse(month, f"the month '{month}'", "months such as 2024-02, rising")
            r.has(month)
            continue
        before = month
        yield from _of_month(r, month, r.list(month), int(match[1]), int(match[2]))


def _of_month(r: Reader, key: str, days: YList, year: int, month: int) -> Iterator[date]:
    before = 0
    for found in days:
        try:
            day = date(year, month, found if isinstance(found, int) else 0)
        except ValueError:
            r.refuse(key, describe(found), f"days of {key}")
            continue
        if day.day <= before or day.isoweekday() > 5:
            r.refuse(key, f"the day {day.day}", "weekdays, rising")
        else:
            before = day.day
            yield day


def _days(r: Reader, key: str) -> frozenset[date]:
    found = set()
    for text in r.opt_list(key):
        day = parse_date(text)
        if day is None:
            r.refuse(key, describe(text), "dates such as 2024-02-09")
        else:
            found.add(day)
    return frozenset(found)
