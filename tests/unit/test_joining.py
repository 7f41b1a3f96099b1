"""Look-ups: exactly one row is found; what else there could have been is said by the kind of the absence."""

from __future__ import annotations

from datetime import date

import pytest

from daemon.decide.joining import Joined, Rows, is_key, one_fact
from daemon.model.kinds import Absence, Lookup, Value
from tests.builders_rules import shipped

WINDOW = Lookup("window", "fund_window", {"fund_code": "fund"}, {"announcement": "id"}, ("day", "first", "last"))
DAY = date(2024, 2, 1)


def joined(rows: Rows, fund: Value = "160001") -> Value:
    row: dict[str, Value] = {"fund_code": fund, "day": DAY}
    rows.join(row)
    return row["announcement"]


def window(fund: Value, id_: str, first: date = DAY) -> dict[str, Value]:
    return {"fund": fund, "id": id_, "first": first, "last": DAY}


def test_one_row_in_force_is_taken_none_is_missing_two_are_ambiguous() -> None:
    rows = Rows(WINDOW)
    assert joined(rows) is Absence.MISSING
    rows.add(window("160001", "A"))
    rows.add(window("160001", "old", date(2024, 2, 2)))
    assert joined(rows) == "A"
    rows.add(window("160001", "B"))
    assert joined(rows) is Absence.AMBIGUOUS


def test_an_absent_key_finds_the_kind_of_its_absence() -> None:
    assert joined(Rows(WINDOW), Absence.STALE) is Absence.STALE


def test_a_rejected_row_of_the_key_is_a_value_that_cannot_be_trusted() -> None:
    rows = Rows(WINDOW)
    rows.refuse({"fund": "160001", "id": "A"})
    assert joined(rows) is Absence.INVALID
    assert joined(rows, "160002") is Absence.MISSING


def test_a_rejected_row_of_no_readable_key_may_be_of_any() -> None:
    rows = Rows(WINDOW)
    rows.add(window("160001", "A"))
    rows.refuse({"id": "B"})
    assert joined(rows) == "A"
    assert joined(rows, "160002") is Absence.INVALID


@pytest.mark.parametrize("absence", Absence)
@pytest.mark.parametrize("name", ["client_no", "business_date"])
def test_nobody_is_told_of_a_row_whose_client_or_day_is_absent(name: str, absence: Absence) -> None:
    kind = shipped().kinds["fund_holding"]
    values: dict[str, Value] = {"client_no": "S1", "fund_code": "160001", "business_date": DAY}
    assert one_fact(kind, Joined("counter", values), "day", {}) is not None
    assert one_fact(kind, Joined("counter", {**values, name: absence}), "day", {}) is None
    assert not is_key(absence)
