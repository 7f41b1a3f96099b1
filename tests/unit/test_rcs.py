"""The rich card's document: golden bytes, and every limit from both sides."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.cards import rcs
from daemon.cards.rcs_lint import faults

HOSTS = frozenset({"m.example.com"})
GOLDEN = Path(__file__).parents[1] / "golden" / "cards" / "document.json"
START, END = datetime(2024, 2, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, 8, tzinfo=UTC)


def document(**changes: Any) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "title": "中签缴款通知",
        "description": "请备足资金",
        "suggestions": [
            rcs.reply("已知晓", "ack"),
            rcs.open_link("去缴款", "open", "https://m.example.com/ipo"),
            rcs.dial("联系我们", "dial", "10900000000"),
            rcs.calendar("加入日历", "calendar", "缴款截止", START, END),
        ],
        "media": rcs.Media("https://m.example.com/a.png", "image/png", 1000, thumbnail_url="https://m.example.com/b.png",
                           thumbnail_type="image/png", thumbnail_size=10),
    }  # fmt: skip
    return rcs.message(**{**parts, **changes})


def found(made: dict[str, Any], limits: rcs.Limits = rcs.CTCU) -> str:
    return " | ".join(f"{f.where}: {f.found}" for f in faults(made, limits, HOSTS))


def test_document_equals_the_golden_file() -> None:
    assert json.dumps(document(), ensure_ascii=False, indent=1) + "\n" == GOLDEN.read_text(encoding="utf-8")


def test_a_whole_document_has_no_faults() -> None:
    assert found(document()) == ""


def test_empty_parts_are_left_out() -> None:
    made = rcs.message("标题", "", [], None)
    assert made["message"]["generalPurposeCard"]["content"] == {"title": "标题"}
    assert found(made) == ""


def test_calendar_times_carry_the_offset_of_shanghai() -> None:
    entry = rcs.calendar("加入日历", "c", "缴款", START, END)["action"]["calendarAction"]["createCalendarEvent"]
    assert (entry["startTime"], entry["endTime"]) == ("2024-02-01T09:00:00+08:00", "2024-02-01T16:00:00+08:00")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"title": "长" * 201}, "content.title: 201 characters"),
        ({"description": "长" * 2001}, "content.description: 2001 characters"),
        ({"title": "", "description": "", "media": None}, "no media, title or description"),
        ({"suggestions": [rcs.reply("好", "a")] * 5}, "5 suggestions"),
        ({"suggestions": [rcs.reply("九个汉字不能放按钮", "a")]}, "27 bytes"),
        ({"suggestions": [rcs.reply("", "a")]}, "displayText: 0 characters"),
        ({"suggestions": [rcs.reply("好", "a" * 2049)]}, "postback.data: 2049 characters"),
        ({"suggestions": [rcs.open_link("开", "a", "http://m.example.com/")]}, "'http://m.example.com/'"),
        (
            {"suggestions": [rcs.open_link("开", "a", "https://m.example.com.evil.cn/")]},
            "the host m.example.com.evil.cn",
        ),
        (
            {"suggestions": [rcs.open_link("开", "a", "https://m.example.com@evil.cn/")]},
            "'https://m.example.com@evil.cn/'",
        ),
        (
            {"suggestions": [rcs.open_link("开", "a", "https://m.example.com/" + "a" * 2048)]},
            "a link of 2070 characters",
        ),
        ({"suggestions": [rcs.dial("拨", "a", "95-500")]}, "'95-500'"),
        ({"suggestions": [rcs.calendar("加", "a", "题", END, START)]}, "at or before the start"),
        ({"suggestions": [rcs.calendar("加", "a", "题" * 101, START, END)]}, "title: 101 characters"),
        ({"media": rcs.Media("https://m.example.com/a", "image/png", -1)}, "mediaFileSize: -1"),
        ({"media": rcs.Media("https://m.example.com/a", "image/png", 1, "HUGE")}, "height: 'HUGE'"),
    ],
)
def test_limits_are_found(changes: dict[str, Any], fault: str) -> None:
    assert fault in found(document(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "长" * 200, "description": "长" * 2000},
        {"suggestions": [rcs.reply("八个汉字正好放下", "a" * 2048)]},
        {"suggestions": [rcs.calendar("加", "a", "题" * 100, START, END)]},
    ],
)
def test_what_just_fits_passes(changes: dict[str, Any]) -> None:
    assert found(document(**changes)) == ""


def test_button_bytes_count_only_where_the_operator_counts_them() -> None:
    made = document(suggestions=[rcs.reply("九个汉字不能放按钮", "a")])
    assert found(made, rcs.GSMA) == ""


@pytest.mark.parametrize("moment", ["2024-02-01T09:00:00", "2024-02-01", "soon"])
def test_a_calendar_time_without_offset_is_found(moment: str) -> None:
    made = document(suggestions=[rcs.calendar("加", "a", "题", START, END)])
    made["message"]["generalPurposeCard"]["content"]["suggestions"][0]["action"]["calendarAction"][
        "createCalendarEvent"
    ]["startTime"] = moment
    assert "calendarAction" in found(made)


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    here = [path] if isinstance(node, dict) else []
    return here + [p for key, value in inner for p in _places(value, (*path, key))]


@given(st.sampled_from(_places(document())), st.sampled_from(["tittle", "suggestion", "x"]))
def test_an_unknown_key_is_found_at_every_depth(place: tuple[Any, ...], key: str) -> None:
    made = copy.deepcopy(document())
    node = made
    for step in place:
        node = node[step]
    node[key] = {}
    assert found(made) != ""
