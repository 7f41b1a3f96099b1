"""Funds over days with real dates: windows that move, close early or are withdrawn, followers, limits, rolling lots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path

import pytest

from daemon.demo.files_out import write_csv
from daemon.store import consents, subjects
from tests.scenarios.plays import ONE, TWO
from tests.world import Office, Play, Result, Scenario, at, phone

PEOPLE = frozenset({"contacts", "consents"})
HOLDERS, FOLLOWERS = PEOPLE | {"fund_holdings"}, PEOPLE | {"fund_follows"}
OPENS = date(2024, 3, 28)
"""012742 opens from 2024-03-28 to 2024-04-12, announced on 2024-03-26 (config/sample/fund_windows.csv)."""
CODE = "012742"
Change = Callable[[dict[str, str]], "dict[str, str] | None"]
Act = tuple[datetime, Callable[[Play], None]]


def announced(days: Sequence[date], change: Change = lambda row: row, code: str = CODE) -> Callable[[Office], None]:
    """One holder of a fund, and the files of some days."""

    def fill(office: Office) -> None:
        office.holds(office.client(1), code)
        for day in days:
            office.fund_day(day, change)

    return fill


def says(when: datetime, day: date, change: Change) -> Act:
    """The announcements file of a day is replaced at some moment."""
    return when, lambda play: play.office.fund_day(day, change)


def moved(start: str, end: str) -> Change:
    return lambda row: row | {"revision": "2", "start": start, "end": end}


def withdrawn(row: dict[str, str]) -> dict[str, str]:
    return row | {"revision": "2", "state": "withdrawn"}


def play(
    fill: Callable[[Office], None], feeds: frozenset[str], days: Sequence[date], folder: Path, *acts: Act
) -> Result:
    """From 07:00 of the first day to the evening of the last."""
    since, until = at("07:00", days[0]), at("20:00", days[-1])
    scenario = Scenario(fill, feeds, acts=acts, since=since, until=until, days=tuple(days))
    return Play.new(scenario, folder / "w").run()


def agreed(play: Play) -> None:
    """Client one agreed to marketing on every channel."""
    with play.store.write() as tx:
        now = play.clock.now()
        client = subjects.numbers(tx, "client", [ONE], now=now)[ONE]
        said = [consents.Said(client, "marketing", channel, "in") for channel in ("rcs", "sms")]
        consents.take_over(tx, said, origin="branch", now=now)


def text(result: Result, words: str) -> str:
    """The one text on the first client's handset that has these words."""
    (found,) = [one for one in result.texts(phone(1)) if words in one]
    return found


# windows


def test_a_window_moved_after_it_was_told_is_corrected_with_its_new_days(tmp_path: Path) -> None:
    acts = (says(at("13:00", OPENS), OPENS, moved("2024-04-08", "2024-04-19")),)
    result = play(announced([OPENS]), HOLDERS, [OPENS], tmp_path, *acts)
    assert result.stages(ONE) == {"opening": "delivered", "closing": None, "correction/1": None}
    assert [n.correction_of for n in result.notices if n.correction_of] == ["opening"]
    assert result.told_at[f"{ONE} correction/1"] == "13:30"
    assert "自2024年4月8日起开放，至2024年4月19日止" in text(result, "（更正）您持有的基金进入开放期")


def test_a_window_moved_before_it_was_told_is_told_once_on_its_new_day(tmp_path: Path) -> None:
    days = [date(2024, 3, 26), OPENS, date(2024, 4, 8)]
    later = moved("2024-04-08", "2024-04-19")
    fill = announced(days)
    acts = (says(at("07:30", OPENS), OPENS, later), says(at("07:30", days[2]), days[2], later))
    result = play(fill, HOLDERS, days, tmp_path, *acts)
    assert result.stages(ONE) == {"opening": "delivered", "closing": None}
    assert "自2024年4月8日起开放" in text(result, "进入开放期")


def test_a_window_withdrawn_after_it_was_told_is_taken_back(tmp_path: Path) -> None:
    acts = (says(at("13:00", OPENS), OPENS, withdrawn),)
    result = play(announced([OPENS]), HOLDERS, [OPENS], tmp_path, *acts)
    assert result.told_at[f"{ONE} correction/1"] == "13:30"
    assert "自2024年3月28日起开放的通知，经核对已不再适用" in text(result, "撤回")


def test_days_that_move_after_every_stage_ended_untold_make_a_task_that_says_what_to_tell(tmp_path: Path) -> None:
    days = [date(2024, 3, 26), date(2024, 3, 27), date(2024, 4, 15)]
    later = {"start": "2024-04-22", "end": "2024-04-30", "notice_date": "2024-03-26"}

    def fill(office: Office) -> None:
        announced(days[:1])(office)
        office.fund_day(days[1], withdrawn)
        # the sample's announcement is over by then: the file of 2024-03-26 stands for it
        office.fund_day(days[2])
        rows = (office.folder / "fund_windows_20240326.csv").read_text().splitlines()
        names = rows[0].split(",")
        row = dict(zip(names, next(one for one in rows if one.startswith(CODE)).split(","), strict=True)) | later
        write_csv(office.folder / "fund_windows_20240415.csv", names, [tuple(row.values())], days[2])

    result = play(fill, HOLDERS, days, tmp_path)
    assert result.stages(ONE) == {"opening": "cancelled", "closing": "cancelled"}
    assert result.texts(phone(1)) == []
    assert [reason for name, reason in result.tasks if name.startswith("again:")] == [
        "the dates moved after every stage had ended untold: no notice can go, tell the client in person"
    ]


def test_a_window_withdrawn_and_announced_again_is_told_again(tmp_path: Path) -> None:
    days = [OPENS, date(2024, 3, 29)]
    acts = (says(at("13:00", OPENS), OPENS, withdrawn),)
    result = play(announced(days), HOLDERS, days, tmp_path, *acts)
    links = {n.stage: n.correction_of for n in result.notices if n.correction_of}
    assert links == {"correction/1": "opening", "correction/2": "correction/1"}
    assert "至2024年4月12日止" in text(result, "（更正）")


def test_012814_closed_early_tells_the_earlier_last_day(tmp_path: Path) -> None:
    days = [date(2023, 8, 7), date(2023, 8, 10)]
    result = play(announced(days, code="012814"), HOLDERS, days, tmp_path)
    assert result.stages(ONE) == {"opening": "delivered", "closing": "delivered", "correction/1": None}
    assert "至2023年8月18日止" in text(result, "您持有的基金进入开放期\n您持有")
    assert result.told_at[f"{ONE} correction/1"] == "08:30"
    assert "至2023年8月10日止" in text(result, "更正")
    assert result.told_at[f"{ONE} closing"] == "14:00"
    assert "2023年8月10日结束" in text(result, "即将结束")


def test_014973_tells_no_individual(tmp_path: Path) -> None:
    day = date(2025, 6, 13)
    result = play(announced([day], code="014973"), HOLDERS, [day], tmp_path)
    assert result.notices == ()


def test_who_sold_within_the_window_is_not_told_that_it_is_off(tmp_path: Path) -> None:
    days = [OPENS, date(2024, 3, 29)]

    def fill(office: Office) -> None:
        office.holds(office.client(1), CODE, until="2024-03-29")
        office.holds(ONE, "000001")
        office.holds(office.client(2), CODE)
        for day in days:
            office.fund_day(day)

    result = play(fill, HOLDERS, days, tmp_path)
    assert result.stages(ONE) == {"opening": "delivered", "closing": None}
    assert result.stages(TWO) == {"opening": "delivered", "closing": None}
    assert len(result.texts(phone(1))) == 1


# followers


def follower(office: Office) -> None:
    office.follows(office.client(1), CODE)
    office.add("fund_product", (CODE, "", "R2", "public", None, None))
    office.fund_day(OPENS)


def test_a_follower_is_pushed_by_the_poll_after_the_consent(tmp_path: Path) -> None:
    result = play(follower, FOLLOWERS, [OPENS], tmp_path, (at("12:00", OPENS), agreed))
    assert result.told_at == {f"{ONE} opening": "13:35"}
    assert "拒收请回复R" not in text(result, "您关注的基金开放申购"), "on the card a button refuses"


def test_a_follower_without_consent_is_not_pushed(tmp_path: Path) -> None:
    assert play(follower, FOLLOWERS, [OPENS], tmp_path).notices == ()


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("risk_assessment", (ONE, "C1", "2023-09-01")),
        ("risk_assessment", (ONE, "C5", "2023-03-28")),
        ("fund_product", (CODE, "", None, "public", None, None)),
        ("fund_product", (CODE, "", "R2", "private", None, None)),
        ("fund_holding", (ONE, "98", CODE, "1.00", "2023-01-03", "9999-12-31")),
    ],
    ids=["below the level", "assessed too long ago", "no level known", "a private product", "holds it"],
)
def test_a_follower_whom_the_fund_does_not_suit_is_not_pushed(table: str, row: tuple[str, ...], tmp_path: Path) -> None:
    def fill(office: Office) -> None:
        follower(office)
        office.add(table, row)

    assert play(fill, FOLLOWERS, [OPENS], tmp_path, (at("07:30", OPENS), agreed)).notices == ()


def test_a_follower_is_told_that_the_window_moved(tmp_path: Path) -> None:
    acts = ((at("07:30", OPENS), agreed), says(at("13:00", OPENS), OPENS, moved("2024-04-08", "2024-04-19")))
    result = play(follower, FOLLOWERS, [OPENS], tmp_path, *acts)
    assert result.told_at[f"{ONE} correction/1"] == "13:35"
    assert "自2024年4月8日起开放申购" in text(result, "更正")


# limits

LIMITS = PEOPLE | {"fund_limits"}
SEEN = (
    ("000834-20260526", "2026-05-27", "500.00", "100.00", "2026-05-26T15:02:02+08:00"),
    ("000834-20260527", "2026-05-28", "100.00", "50.00", "2026-05-27T18:20:15+08:00"),
    ("000834-20260604", "2026-06-05", "50.00", "10.00", "2026-06-04T18:10:19+08:00"),
)
LIMIT_DAYS = [date(2026, 5, 26), date(2026, 5, 27), date(2026, 5, 28), date(2026, 6, 4), date(2026, 6, 5)]


def limits(*changes: tuple[str, str, str, str, str], status: str = "limited") -> Callable[[Office], None]:
    """One holder of 000834, and changes: (id, from, before, now, seen at)."""

    def fill(office: Office) -> None:
        office.holds(office.client(1), "000834")
        for day in LIMIT_DAYS:
            office.add("settle_state", (day.isoformat(), "fund", "1", f"{day}T06:00:00+08:00"))
        for change, start, before, now, seen in changes:
            name, forever = "大成纳斯达克100ETF联接(QDII)A", "9999-12-31T23:59:59+08:00"
            office.add("fund_limit_change", (change, "000834", name, start, before, now, status, seen, forever))

    return fill


def test_000834_tells_each_of_three_lower_limits_on_its_morning(tmp_path: Path) -> None:
    result = play(limits(*SEEN), LIMITS, LIMIT_DAYS, tmp_path)
    assert [n.short for n in result.notices] == [("change", "delivered")] * 3
    shown = sorted(result.texts(phone(1)), key=lambda one: one.partition("自2026年")[2])
    pairs = [
        ("500.00元调整为100.00元", "5月27日"),
        ("100.00元调整为50.00元", "5月28日"),
        ("50.00元调整为10.00元", "6月5日"),
    ]
    assert all(limit in one and day in one for one, (limit, day) in zip(shown, pairs, strict=True))


def revise(start: str, now: str, status: str, seen: str) -> Callable[[Play], None]:
    """The first change as it stands from some moment on."""

    def act(play: Play) -> None:
        play.office.write("UPDATE fund_limit_change SET valid_to = ? WHERE change_id = ?", (seen, SEEN[0][0]))
        name, forever = "大成纳斯达克100ETF联接(QDII)A", "9999-12-31T23:59:59+08:00"
        play.office.add("fund_limit_change", (SEEN[0][0], "000834", name, start, "500.00", now, status, seen, forever))

    return act


def test_a_limit_that_changes_again_before_it_is_told_is_told_as_it_is_then(tmp_path: Path) -> None:
    days = LIMIT_DAYS[:2]
    act = revise("2026-05-27", "50.00", "limited", "2026-05-27T08:50:00+08:00")
    result = play(limits(SEEN[0]), LIMITS, days, tmp_path, (at("08:50", days[1]), act))
    assert result.stages(ONE) == {"change": "delivered"}
    assert "由500.00元调整为50.00元" in text(result, "下调单日申购限额")


def test_a_limit_corrected_after_it_was_told(tmp_path: Path) -> None:
    days = LIMIT_DAYS[:2]
    act = revise("2026-05-27", "50.00", "limited", "2026-05-27T13:00:00+08:00")
    result = play(limits(SEEN[0]), LIMITS, days, tmp_path, (at("13:00", days[1]), act))
    assert result.stages(ONE) == {"change": "delivered", "correction/1": "delivered"}
    assert "由500.00元调整为50.00元" in text(result, "更正")


def test_a_limit_taken_back_after_it_was_told(tmp_path: Path) -> None:
    days = LIMIT_DAYS[:2]
    act = revise("2026-05-27", "100.00", "withdrawn", "2026-05-27T13:00:00+08:00")
    result = play(limits(SEEN[0]), LIMITS, days, tmp_path, (at("13:00", days[1]), act))
    assert "经核对已不再适用" in text(result, "撤回")


# lots

LOTS = PEOPLE | {"fund_lots"}
LOT_DAYS = [date(2024, 3, 27), date(2024, 3, 29), date(2024, 4, 1), date(2024, 4, 2), date(2024, 4, 3)]


def lots(*confirmed: str) -> Callable[[Office], None]:
    """One client with a lot of 016816 (120 days) for each day of confirmation."""

    def fill(office: Office) -> None:
        client = office.client(1)
        office.add("fund_product", ("016816", "兴业120天滚动持有债券A", "R2", "public", "120", None))
        for n, day in enumerate(confirmed):
            lot = (client, "016816", f"{n:012d}", day, "1000.00", None, None)
            office.add("fund_lot", (*lot, "2000-01-01T00:00:00+08:00", "9999-12-31T23:59:59+08:00"))
        for day in LOT_DAYS:
            office.fund_day(day)

    return fill


def test_each_lot_is_told_before_and_on_its_own_day(tmp_path: Path) -> None:
    result = play(lots("2023-12-01", "2023-12-04"), LOTS, LOT_DAYS[:4], tmp_path)
    assert sorted(n.short for n in result.notices) == [("ahead", "delivered")] * 2 + [("open_day", "delivered")] * 2
    shown = result.texts(phone(1))
    assert sorted("2024年4月2日到期" in one for one in shown) == [False, False, True, True]
    assert all("2023年12月4日确认" in one for one in shown if "4月2日到期" in one)


def test_a_lot_s_day_moved_after_it_was_told_is_corrected_and_told_on_the_new_day(tmp_path: Path) -> None:
    def move(play: Play) -> None:
        play.office.write("UPDATE fund_lot SET moved_from = ?, moved_to = ?", ("2024-04-01", "2024-04-03"))

    result = play(lots("2023-12-01"), LOTS, LOT_DAYS, tmp_path, (at("08:00", LOT_DAYS[1]), move))
    assert result.stages(ONE) == {"ahead": "delivered", "open_day": "delivered", "correction/1": "delivered"}
    assert "2024年4月3日到期" in text(result, "更正")
