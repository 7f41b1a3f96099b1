"""Issues and margin calls over days with real dates: what is postponed, corrected, withdrawn or cured after it was told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from daemon.demo.files_out import SJSFX, write_dbf
from daemon.store import gates_rows, noticebook
from daemon.store.tables import notices as notice_table
from tests.fakes import ARRIVES, FakeChannel, FarSide
from tests.scenarios.plays import DAY_END, ONE, PAYMENT, payer
from tests.world import DAY, NEXT_DAY, PRICE, Office, Play, Result, Scenario, at, phone

CONTRACT = "9000000001"
Act = tuple[datetime, Callable[[Play], None]]


def run(
    fill: Callable[[Office], None], feeds: frozenset[str], days: Sequence[date], folder: Path, *acts: Act,
    until: datetime | None = None,
) -> Result:  # fmt: skip
    """From 07:00 of the first day to 23:00 of the last."""
    end = until or at("23:00", days[-1])
    scenario = Scenario(fill, feeds, acts=acts, since=at("07:00", days[0]), until=end, days=tuple(days))
    return Play.new(scenario, folder / "w").run()


def text(result: Result, words: str) -> str:
    """The one text on the first client's handset that has these words."""
    (found,) = [one for one in result.texts(phone(1)) if words in one]
    return found


# 301231 was to be applied for on 2022-06-24, to be paid on 06-28; it was postponed to 08-29, paid on 08-31.

PLANNED, MOVED_TO = date(2022, 6, 28), date(2022, 8, 31)
SZ = "0100000001"


def issue(office: Office, code: str, apply: str, pay: str, price: str = "10.00") -> None:
    row = (code, None, "荣信文化", "2", "stock", "credit_apply", price, apply, pay, "500")
    office.write("DELETE FROM new_issue WHERE stock_code = ?", (code,))
    office.add("new_issue", row)


def winners(office: Office, day: date, *codes: str) -> None:
    """The clearing file of a day: one winning number of the client for each code."""
    rows = [
        ("B0199900", "199900", c, SZ, "A3", "1", "500.00", "500.00", "10.00", "", f"{day:%Y%m%d}", "") for c in codes
    ]
    write_dbf(office.folder / f"sjsfx_{day:%Y%m%d}.dbf", SJSFX, rows, day)


def rongxin(office: Office) -> None:
    client = office.client(1)
    office.add("stock_account", (SZ, "2", client, "1".zfill(12)))
    office.cash(client, ("", "1000000.00"))
    for day in (PLANNED, MOVED_TO):
        office.add("settle_state", (day.isoformat(), "allotment", "1", f"{day}T06:00:00+08:00"))
    issue(office, "301231", "2022-06-24", "2022-06-28")
    winners(office, PLANNED, "301231")
    winners(office, MOVED_TO, "301231")


def postponed(play: Play) -> None:
    issue(play.office, "301231", "2022-08-29", "2022-08-31")
    winners(play.office, PLANNED)


def test_301231_postponed_after_it_was_told_is_taken_back_and_told_again_on_its_new_day(tmp_path: Path) -> None:
    result = run(rongxin, PAYMENT, [PLANNED, MOVED_TO], tmp_path, (at("10:00", PLANNED), postponed))
    by_day = {(n.occurrence[17:27], n.stage): n.outcome for n in result.notices}
    assert by_day[("2022-06-28", "morning")] == "delivered"
    assert by_day[("2022-06-28", "correction/1")] == "delivered"
    assert by_day[("2022-08-31", "morning")] == "delivered"
    assert "2022年6月28日中签缴款通知，经核对已不再适用，请勿据此缴款" in text(result, "撤回")
    assert "2022年8月31日 16:00前" in text(
        result, "荣信文化（301231）500股，单价10.00元，应缴5,000.00元\n应缴总额：5,000.00元。\n截至8月31日"
    )


def test_a_price_corrected_after_it_was_told(tmp_path: Path) -> None:
    def corrected(play: Play) -> None:
        new = str(PRICE - Decimal("0.06"))
        play.office.write("UPDATE new_issue SET issue_price = ?", (new,))
        amount = str((PRICE - Decimal("0.06")) * 500)
        play.office.write("UPDATE sh_allotment SET business_price = ?, business_balance = ?", (new, amount))

    fill = payer([("", 500, PRICE * 500)], [("", "1000000.00")])
    result = run(fill, PAYMENT, [DAY], tmp_path, (at("11:00"), corrected))
    assert result.stages(ONE)["correction/1"] == "delivered"
    assert "单价22.60元，应缴11,300.00元" in text(result, "更正")


def test_a_price_corrected_in_the_list_alone_holds_and_corrects_nobody(tmp_path: Path) -> None:
    def corrected(play: Play) -> None:
        play.office.write("UPDATE new_issue SET issue_price = ?", ("22.60",))

    fill = payer([("", 500, PRICE * 500)], [("", "1000000.00")])
    result = run(fill, PAYMENT, [DAY], tmp_path, (at("11:00"), corrected))
    assert "correction/1" not in result.stages(ONE)
    assert [reason for _, reason in result.tasks if "amounts_differ" in reason]


@pytest.mark.parametrize("code", ["754939", "920706"], ids=["a bond's apply code", "a code that Beijing changed"])
def test_an_allotment_under_a_code_that_no_issue_has_reaches_a_person(code: str, tmp_path: Path) -> None:
    def fill(office: Office) -> None:
        payer([("", 500, PRICE * 500)], [("", "1000000.00")])(office)
        office.write("UPDATE sh_allotment SET stock_code = ?", (code,))

    result = run(fill, PAYMENT, [DAY], tmp_path)
    assert result.notices == ()
    assert result.tasks


@pytest.mark.parametrize("turns", ["14:25", "14:45"], ids=["before its instant", "after it"])
def test_a_client_who_turns_short_after_the_last_call_s_poll_gets_it_within_its_window(
    turns: str, tmp_path: Path
) -> None:
    cash = [("", "1000000.00"), (turns, "1000.00")]
    result = run(payer([("", 500, PRICE * 500)], cash), PAYMENT, [DAY], tmp_path)
    assert result.told_at == {f"{ONE} morning": "08:00", f"{ONE} last_call": "14:50"}
    assert "尚缺10,330.00元" in text(result, "资金仍有缺口")


def test_who_is_told_late_in_a_stage_still_falls_back_to_the_next_channel(tmp_path: Path) -> None:
    """The stage's own timers ran out while it rested; they begin again when it stands."""

    def gateway(far: FarSide) -> FakeChannel:
        return FakeChannel(far=far, course=lambda outgoing: () if outgoing.channel == "rcs" else ARRIVES)

    fill = payer([("", 500, PRICE * 500)], [("", "1000000.00"), ("14:45", "1000.00")])
    scenario = Scenario(fill, PAYMENT, gateway=gateway, until=at("19:00"), days=(DAY,))
    result = Play.new(scenario, tmp_path / "w").run()
    assert result.told_at[f"{ONE} last_call"] == "14:55", "five minutes after the card of 14:50"
    assert result.stages(ONE)["last_call"] == "delivered"
    assert ("last_call", "sms", "delivered") in result.messages


def test_a_client_who_pays_in_after_the_last_poll_gets_no_last_call(tmp_path: Path) -> None:
    cash = [("", "1000.00"), ("14:25", "1000000.00")]
    result = run(payer([("", 500, PRICE * 500)], cash), PAYMENT, [DAY], tmp_path)
    assert result.stages(ONE) == {"morning": "delivered", "noon": "delivered", "last_call": "cancelled"}


# margin

SESSIONS = [DAY, NEXT_DAY, date(2024, 2, 5), date(2024, 2, 6)]


def day_ends(*percents: str, cured: Sequence[int] = ()) -> Callable[[Office], None]:
    """One contract; the ratio at the end of each session, and the sessions whose figures say that it is cured."""

    def fill(office: Office) -> None:
        client = office.client(1)
        office.contract(CONTRACT, client)
        for n, percent in enumerate(percents):
            flagged = (CONTRACT,) if n in cured else ()
            office.valued("15:00", {CONTRACT: (client, percent)}, "day_end", SESSIONS[n], flagged)

    return fill


def calls(result: Result) -> list[str]:
    """The days on which calls were opened."""
    return [n.occurrence[n.occurrence.index("20") :][:10] for n in result.notices if n.stage == "call/notice"]


def test_a_call_ends_only_when_the_counter_says_so(tmp_path: Path) -> None:
    fill = day_ends("125.000000", "131.000000", "129.000000")
    result = run(fill, DAY_END, SESSIONS[:3], tmp_path)
    assert len(calls(result)) == 1, "a rise over the call line ends nothing, a fall below it is the same call"


def test_after_the_counter_s_cure_a_fall_is_another_call(tmp_path: Path) -> None:
    fill = day_ends("125.000000", "160.000000", "129.000000", cured=[1])
    result = run(fill, DAY_END, SESSIONS[:3], tmp_path)
    assert len(calls(result)) == 2


def amended(play: Play) -> None:
    """The contract's target is raised after the call was told."""
    play.office.write("UPDATE margin_contract SET line_target = ?", ("160",))


def release(play: Play) -> None:
    """What `notices release --notice` does, by a person."""
    with play.store.write() as tx:
        now = play.clock.now()
        (row,) = [r for r in tx.execute(notice_table.select()).mappings() if r["held"]]
        record = gates_rows.release(
            tx, "correction", row["rule"], row["subject"], row["occurrence"], by="li", reason="checked", now=now
        )
        noticebook.renew_notice(tx, row["id"], {"held": False, "record": record})


def test_a_margin_correction_waits_for_its_release_and_a_person_knows(tmp_path: Path) -> None:
    fill = day_ends("125.000000", "125.000000")
    days = SESSIONS[:2]
    result = run(fill, DAY_END, days, tmp_path, (at("10:00", NEXT_DAY), amended))
    assert [n.short for n in result.notices if n.correction_of] == [("correction/1", None)]
    assert len(result.texts(phone(1))) == 1, "nothing left of it"
    assert ("correction:correction/1", "what was told has changed: the correction waits for a release") in result.tasks


def test_a_released_margin_correction_says_what_holds_now(tmp_path: Path) -> None:
    fill = day_ends("125.000000", "125.000000")
    days = SESSIONS[:2]
    acts = ((at("10:00", NEXT_DAY), amended), (at("22:00", NEXT_DAY), release))
    result = run(fill, DAY_END, days, tmp_path, *acts)
    assert result.told_at[f"{CONTRACT} correction/1"] == "22:00"
    assert "补足目标线160%" in text(result, "更正")


def test_a_call_across_the_spring_festival_names_the_session_after_it(tmp_path: Path) -> None:
    def fill(office: Office) -> None:
        client = office.client(1)
        office.contract(CONTRACT, client)
        office.valued("15:00", {CONTRACT: (client, "125.000000")}, "day_end", date(2024, 2, 8))

    result = run(fill, DAY_END, [date(2024, 2, 8)], tmp_path)
    assert "2024年2月20日 15:00前追加担保物" in text(result, "追加担保物通知")
