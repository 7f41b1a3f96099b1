"""Filling in: the variant that fits, marks, SMS lengths, buttons, and what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.cards import rcs
from daemon.cards.load import load_card
from daemon.cards.render import Rendered, render
from daemon.cards.template import RenderError
from daemon.model.kinds import Absence

CARD = """\
card: ipo/sample
category: service
fields:
  - name text
  - short money?
  - day date
  - cutoff time
  - agreed bool?
  - basis enum
marks:
  late: {title: （补发）, text: 本通知晚于原定时间。, sms: （补发）}
  stale_as_of: {text: '数据截至{{ stale_as_of|date("short") }}{{ stale_as_of|time }}。', sms: （旧）}
  correction: {title: （更正）, text: 以本通知为准。}
variants:
  - name: corrected
    when_stage: [correction]
    title: 更正通知
    description: 更正
    sms: [更正]
  - name: short
    needs: [short > 0]
    when_stage: [noon]
    title: 尚缺
    description: '尚缺{{ short|money }}元'
    sms: ['尚缺{{ short|money }}元']
  - name: call
    when_level: [call, urgent]
    when: {basis: [day_end]}
    title: 通知
    description: '{{ level }}'
    sms: ['{{ name }}']
  - name: plain
    title: '{{ name }}'
    description: 正文
    media: optional
    suggestions:
      - {reply: 已知晓, data: 'ack:{{ basis }}'}
      - {calendar: {title: '{{ name }}', start: day 09:00, end: day cutoff}, text: 加入日历}
    sms:
      - {if: agreed, text: '长文{{ name }}{{ name }}'}
      - '中文{{ name }}'
      - 短文
    sms_parts: 1
"""
CARD_VALUE = load_card(CARD.encode(), "t.card.yaml")
VALUES: dict[str, Any] = {"name": "甲", "day": date(2024, 2, 1), "cutoff": time(16), "basis": "intraday"}


def filled(values: dict[str, Any] | None = None, **how: Any) -> Rendered:
    return render(CARD_VALUE, {**VALUES, **(values or {})}, **how)


@pytest.mark.parametrize(
    ("values", "how", "variant"),
    [
        ({}, {}, "plain"),
        ({"short": Decimal(1)}, {"stage": "noon"}, "short"),
        ({"short": Decimal(1)}, {"stage": "morning"}, "plain"),
        ({"short": Decimal(0)}, {"stage": "noon"}, "plain"),
        ({"short": Absence.STALE}, {"stage": "noon"}, "plain"),
        ({"basis": "day_end"}, {"stage": "call/notice", "level": "call"}, "call"),
        ({"basis": "day_end"}, {"level": "warning"}, "plain"),
        ({"basis": "intraday"}, {"level": "call"}, "plain"),
        ({}, {"stage": "correction/2"}, "corrected"),
    ],
)
def test_the_first_variant_that_fits_is_taken(values: dict[str, Any], how: dict[str, Any], variant: str) -> None:
    assert filled(values, **how).variant == variant


def test_marks_stand_in_front_in_the_order_of_the_file() -> None:
    as_of = datetime(2024, 2, 1, 2, 30, tzinfo=UTC)
    made = filled(marks={"stale_as_of": as_of, "late": True})
    assert made.title == "（补发）甲"
    assert made.description == "本通知晚于原定时间。\n数据截至2月1日10:30。\n正文"
    assert made.sms_text == "（补发）（旧）中文甲"


def test_a_correction_is_marked_by_itself_unless_the_variant_says_it() -> None:
    assert filled(stage="correction/1", marks={"correction": True}).title == "更正通知"
    text = CARD.replace("    when_stage: [correction]\n", "    when_stage: [x]\n")
    made = render(load_card(text.encode(), "t"), VALUES, stage="correction/1")
    assert (made.title, made.sms_text[:7]) == ("（更正）甲", "以本通知为准。")


def test_a_variant_may_say_a_mark_by_its_own_words() -> None:
    text = CARD.replace("  - name: corrected\n", "  - name: corrected\n    when_mark: [gone]\n")
    card = load_card(text.encode(), "t")
    made = render(card, VALUES, stage="correction/1", marks={"gone": True})
    assert (made.variant, made.title) == ("corrected", "更正通知")
    assert render(card, VALUES, stage="correction/1").variant == "plain"
    with pytest.raises(RenderError, match="the mark gone"):
        render(card, VALUES, marks={"gone": True})


def test_a_mark_without_wording_is_refused() -> None:
    with pytest.raises(RenderError, match="the mark odd"):
        filled(marks={"odd": True})


def test_the_first_sms_text_allowed_that_fits_is_taken() -> None:
    assert filled({"agreed": True}).sms_text == "长文甲甲"
    assert filled({"agreed": False}).sms_text == "中文甲"
    assert filled({"agreed": Absence.MISSING}).sms_text == "中文甲"
    assert filled({"agreed": True, "name": "甲" * 40}).sms_text == "中文" + "甲" * 40
    assert filled({"agreed": True, "name": "甲" * 80}).sms_text == "短文"


def test_an_sms_text_too_long_goes_out_whole_and_is_counted() -> None:
    made = filled({"basis": "day_end", "name": "甲" * 100}, level="call", signature="示例证券")
    assert made.sms == "【示例证券】" + "甲" * 100
    assert made.sms_parts == 2


def test_the_signature_counts_when_lengths_are_chosen() -> None:
    fits = {"name": "甲" * 68}
    assert filled(fits).sms_text == "中文" + "甲" * 68
    assert filled(fits, signature="示例证券").sms_text == "短文"


def test_buttons_carry_data_and_times() -> None:
    made = filled()
    assert made.rcs["message"]["generalPurposeCard"]["content"]["suggestions"] == list(made.suggestions)
    assert made.suggestions[0] == rcs.reply("已知晓", "ack:intraday")
    entry = made.suggestions[1]["action"]["calendarAction"]["createCalendarEvent"]
    assert entry == {"startTime": "2024-02-01T09:00:00+08:00", "endTime": "2024-02-01T16:00:00+08:00", "title": "甲"}


def test_a_calendar_entry_that_would_end_before_it_begins_is_left_out() -> None:
    made = filled({"cutoff": time(9)})
    assert (made.omitted, len(made.suggestions)) == (("加入日历",), 1)


def test_media_are_taken_where_the_variant_has_room() -> None:
    media = rcs.Media("https://m.example.com/a.png", "image/png", 10)
    assert filled(media=media).rcs["message"]["generalPurposeCard"]["content"]["media"]["mediaFileSize"] == 10
    assert filled({"basis": "day_end"}, level="call", media=media).media is None
    required = load_card(CARD.replace("media: optional", "media: required").encode(), "t")
    with pytest.raises(RenderError, match="media"):
        render(required, VALUES)


@pytest.mark.parametrize("value", [None, *Absence])
def test_a_required_value_that_is_absent_is_named(value: Absence | None) -> None:
    with pytest.raises(RenderError, match="'name'"):
        filled({"name": value})


@pytest.mark.parametrize("sign", ["\x00", "\n", "\x1e", "\x85", "\u200b", "\u202e", "\ufeff"])
def test_a_value_with_a_control_character_is_refused_without_showing_it(sign: str) -> None:
    with pytest.raises(RenderError, match="'name'") as refused:
        filled({"name": f"张三{sign}"})
    assert "张三" not in str(refused.value)


def test_an_ill_typed_value_is_refused() -> None:
    with pytest.raises(RenderError):
        filled({"short": "1.00"}, stage="noon")
    with pytest.raises(RenderError):
        filled({"cutoff": "16:00"})


def test_values_are_left_as_they_were() -> None:
    values = {**VALUES, "short": Absence.EMPTY, "other": object()}
    kept = dict(values)
    first, second = render(CARD_VALUE, values), render(CARD_VALUE, values)
    assert values == kept
    first.rcs["message"]["generalPurposeCard"]["content"]["title"] = "x"
    assert second.rcs["message"]["generalPurposeCard"]["content"]["title"] == "甲"


@given(
    name=st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), min_size=1, max_size=30),
    agreed=st.sampled_from([True, False, None, Absence.STALE]),
    late=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_any_visible_name_stands_in_the_card_as_it_is(name: str, agreed: Any, late: bool) -> None:
    made = filled({"name": name, "agreed": agreed}, marks={"late": True} if late else {})
    assert made.title == ("（补发）" if late else "") + name
    assert made.suggestions[1]["action"]["calendarAction"]["createCalendarEvent"]["title"] == name
