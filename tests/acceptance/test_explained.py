"""`rules explain` for clients told and not told: input, operands, parameters with reference, gates, outcome, and what decided.

Figures are compared with the back office, read by sqlite3, not with what the sheet says of itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.acceptance.played import Played

PAYMENT_DAY, WINDOW_DAY = "2024-02-01", "2024-03-28"
Found = dict[str, Any]


def explained(changed: Played, client: str, day: str, rule: str) -> Found:
    found: Found = changed.found("rules", "explain", "--client", client, "--day", day, "--rule", rule)
    return found


def texts(trace: Found) -> Iterator[str]:
    """The condition and every operand of it, as they are printed."""
    yield trace["text"]
    for part in trace["parts"]:
        yield from texts(part)


def condition(line: Found, key: str) -> Found:
    return next(one for one in line["conditions"] if one["key"] == key)


@pytest.fixture(scope="module")
def winner(changed: Played) -> tuple[str, Decimal]:
    """A client of one good Shanghai allotment, none in Shenzhen's file, with enough cash all day; and what is due."""
    query = """SELECT a.client_id, min(a.business_balance) FROM sh_allotment a JOIN client k USING (client_id)
               WHERE a.business_date = ? AND k.client_status = '0' AND k.mobile IS NOT NULL AND a.exchange_type = '1'
                 AND NOT EXISTS (SELECT 1 FROM consent c WHERE c.client_id = a.client_id AND c.state = 'out')
               GROUP BY a.client_id HAVING count(*) = 1 ORDER BY a.client_id"""
    with changed.counter() as db:
        rows = db.execute(query, (PAYMENT_DAY,)).fetchall()
        file = (changed.folder / "backoffice" / "sjsfx_20240201.dbf").read_bytes()
        for client, due in rows:
            accounts = db.execute("SELECT stock_account FROM stock_account WHERE client_id = ?", (client,)).fetchall()
            cash = "SELECT enable_balance FROM cash_balance_at WHERE client_id = ? AND valid_to > '2024-02-01'"
            enough = all(Decimal(b or 0) >= Decimal(due) for (b,) in db.execute(cash, (client,)))
            if enough and not any(account.encode() in file for (account,) in accounts):
                return client, Decimal(due)
    raise AssertionError("the sample has no such client")


def test_a_client_who_was_told_sees_input_conditions_parameters_gates_and_outcome(
    changed: Played, winner: tuple[str, Decimal]
) -> None:
    client, due = winner
    found = explained(changed, client, PAYMENT_DAY, "ipo/payment")
    assert found["told"] is True
    line = found["lines"][0]
    assert (line["bucket"], line["reason"], line["as_recorded"]) == ("notify", "condition", True)
    assert Decimal(line["operands"]["total_due"]) == due
    assert [Decimal(row["due"]) for row in line["rows"]] == [due]
    assert (line["cause"]["kind"], line["cause"]["key"]) == ("condition", "when")
    assert list(texts(condition(line, "when")["trace"])) == ["total_due > 0", "total_due", "0"]
    assert Decimal(condition(line, "when")["trace"]["parts"][0]["value"]) == due
    cutoff = next(p for p in line["parameters"] if p["name"] == "payment_cutoff")
    assert (cutoff["value"], cutoff["confidence"]) == ("16:00:00", "B")
    assert cutoff["reference"].startswith("PRAC-PARTPAY")
    assert {gate["verdict"] for gate in line["gates"]} == {"pass"}
    assert {"status", "consent", "silence", "cap"} <= {gate["gate"] for gate in line["gates"]}
    outcomes = {notice["stage"]: notice["outcome"] for notice in found["notices"]}
    assert outcomes.keys() == {"morning", "noon", "last_call"}
    assert outcomes["morning"] in ("delivered", "handed_to_sms")
    assert outcomes["noon"] == outcomes["last_call"] == "cancelled"
    morning = next(n for n in found["notices"] if n["stage"] == "morning")
    assert any(message["attempts"] and message["receipts"] for message in morning["messages"])


def test_the_screen_says_the_same(changed: Played, winner: tuple[str, Decimal]) -> None:
    client, due = winner
    screen = changed.run("rules", "explain", "--client", client, "--day", PAYMENT_DAY, "--rule", "ipo/payment")
    for said in (
        "because: condition when",
        "total_due > 0",
        f"{due.normalize():f}",
        "PRAC-PARTPAY",
        "gates",
        "consent",
    ):
        assert said in screen, said
    assert any(outcome in screen for outcome in ("delivered", "handed to SMS"))


def contract(changed: Played, low: float, high: float) -> tuple[str, Decimal, Decimal]:
    """A contract of a normal client whose ratio (%) lies between the two, its ratio and its call line."""
    query = """SELECT a.credit_account, a.per_assurescale_value, c.line_call FROM margin_assets a
               JOIN margin_contract c USING (credit_account) JOIN client k ON k.client_id = a.client_id
               WHERE a.init_date = ? AND a.basis = 'day_end' AND c.ratio_source = 'counter' AND k.client_status = '0'
                 AND k.mobile IS NOT NULL AND CAST(a.per_assurescale_value AS REAL) BETWEEN ? AND ?
               ORDER BY a.credit_account"""
    with changed.counter() as db:
        row = db.execute(query, (PAYMENT_DAY, low, high)).fetchone()
    assert row is not None, "the sample has no such contract"
    return row[0], Decimal(row[1]) / 100, Decimal(row[2]) / 100


def test_a_margin_call_shows_the_ratio_and_the_line_of_the_contract(changed: Played) -> None:
    account, ratio, line_call = contract(changed, 118, 129.9)
    found = explained(changed, account, PAYMENT_DAY, "margin/maintenance")
    line = next(one for one in found["lines"] if one["feed"] == "margin_day_end")
    assert (line["bucket"], line["reason"], line["level"]) == ("notify", "level:call", "call")
    assert (line["cause"]["kind"], line["cause"]["key"]) == ("condition", "levels.call.when")
    assert Decimal(line["operands"]["counter_ratio"]) == ratio
    named = {p["name"]: p for p in line["parameters"]}
    assert Decimal(named["line_call"]["value"]) == line_call
    assert all(p["reference"] for p in named.values())
    parts = {part["text"]: part["value"] for part in condition(line, "levels.call.when")["trace"]["parts"][1]["parts"]}
    assert {name: Decimal(value) for name, value in parts.items()} == {"ratio": ratio, "line_call": line_call}
    call = next(n for n in found["notices"] if n["stage"] == "call/notice")
    assert call["told_at"]
    assert call["outcome"] in ("delivered", "handed_to_sms")


def test_a_client_above_every_line_sees_the_first_condition_that_made_it_so(changed: Played) -> None:
    account, ratio, _ = contract(changed, 300, 1_000_000)
    found = explained(changed, account, PAYMENT_DAY, "margin/maintenance")
    assert (found["told"], found["notices"]) == (False, [])
    line = next(one for one in found["lines"] if one["feed"] == "margin_day_end")
    assert (line["bucket"], line["reason"], line["as_recorded"]) == ("no_match", "condition", True)
    assert line["cause"]["key"] == "levels.attention.when"
    assert line["cause"]["trace"]["value"] is False
    shown = {part["text"]: part["value"] for part in line["cause"]["trace"]["parts"]}
    assert Decimal(shown["ratio"]) == ratio
    assert line["gates"] == []
    screen = changed.run("rules", "explain", "--client", account, "--day", PAYMENT_DAY, "--rule", "margin/maintenance")
    assert "because: not even the mildest level holds, levels.attention.when" in screen


def test_a_client_whom_a_gate_kept_back_sees_that_gate(changed: Played) -> None:
    query = """SELECT h.client_id, h.fund_code, k.client_status FROM fund_holding h JOIN client k USING (client_id)
               WHERE h.fund_code = '012742' AND k.client_status IN ('2', '3') AND CAST(h.current_share AS REAL) > 0
                 AND h.init_date <= ? AND ? < h.end_date ORDER BY h.client_id"""
    with changed.counter() as db:
        client, fund, number = db.execute(query, (WINDOW_DAY, WINDOW_DAY)).fetchone()
    status = {"2": "closed", "3": "deceased"}[number]
    found = explained(changed, client, WINDOW_DAY, "fund/open_window")
    assert found["told"] is False
    line = next(one for one in found["lines"] if one["fact"]["fund_code"] == fund)
    assert (line["bucket"], line["reason"]) == ("suppressed", "gate:status")
    assert (line["cause"]["kind"], line["cause"]["key"], line["cause"]["detail"]) == ("gate", "status", status)
    assert line["operands"]["client_status"] == status
    assert condition(line, "when")["trace"]["value"] is True
    screen = changed.run("rules", "explain", "--client", client, "--day", WINDOW_DAY, "--rule", "fund/open_window")
    assert "gate:status" in screen


def test_a_client_without_an_allotment_sees_that_the_polls_ran_without_a_line(changed: Played) -> None:
    query = """SELECT k.client_id FROM client k JOIN margin_assets m USING (client_id)
               WHERE k.client_id NOT IN (SELECT client_id FROM sh_allotment WHERE business_date = ?) ORDER BY k.client_id"""
    file = (changed.folder / "backoffice" / "sjsfx_20240201.dbf").read_bytes()
    with changed.counter() as db:
        for (client,) in db.execute(query, (PAYMENT_DAY,)).fetchall():
            accounts = db.execute("SELECT stock_account FROM stock_account WHERE client_id = ?", (client,)).fetchall()
            if not any(account.encode() in file for (account,) in accounts):
                break
    found = explained(changed, client, PAYMENT_DAY, "ipo/payment")
    without = [one for one in found["absences"] if one["why"] == "no_line"]
    assert (found["told"], found["lines"], found["headlines"][0]["code"]) == (False, [], "not_in_population")
    assert len({one["due"] for one in without}) == len(without) >= 3
    assert all(one["rejects"] > 0 for one in without), "a rejected row may have been this client's, and is shown"
    screen = changed.run("rules", "explain", "--client", client, "--day", PAYMENT_DAY, "--rule", "ipo/payment")
    assert screen.count("no line of this client") == len(without)
