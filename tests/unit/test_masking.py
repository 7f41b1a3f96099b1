"""Masks by the table, and lines that stay lines."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.model.kinds import Field, Type
from daemon.security.masking import BY_TYPE, MASKS, escape_line, mask, mask_field, mask_of, scrub


@pytest.mark.parametrize(
    ("type", "level", "value", "shown"),
    [
        (Type.MSISDN, "C2", "10212345678", "102****5678"),
        (Type.MSISDN, "C2", "+86 102-1234-5678", "102****5678"),
        (Type.MSISDN, "C2", "１０２１２３４５６７８", "102****5678"),
        (Type.MSISDN, "C2", "12345", "****"),
        (Type.NAME, "C2", "张三", "张*"),
        (Type.NAME, "C2", "张三丰", "张**"),
        (Type.NAME, "C2", "欧阳娜娜", "欧**"),
        (Type.NAME, "C2", "张", "*"),
        (Type.NAME, "C2", "", "*"),
        (Type.ID, "C2", "880012345678", "****5678"),
        (Type.ID, "C2", "1234567", "****"),
        (Type.ID, "C3", "110101199003071234", "****"),
        (Type.TEXT, "", "任意", "****"),
        (Type.MONEY, "C2", "1234.50", "****"),
        (Type.MONEY, "", "1234.50", "1234.50"),
        (Type.CODE, "", "688584", "688584"),
    ],
)
def test_each_type_is_masked_by_the_table(type: Type, level: str, value: str, shown: str) -> None:
    assert mask(type, value, level) == shown
    assert mask_field(Field("f", type, "字段", personal=level), value) == shown


@given(st.sampled_from(sorted(MASKS)), st.text(alphabet="0123456789", min_size=8, max_size=20))
def test_no_mask_shows_more_than_seven_characters(row: str, value: str) -> None:
    shown = MASKS[row](value)
    assert len(shown.replace("*", "")) <= 7
    assert value not in shown


def test_every_personal_type_has_a_mask() -> None:
    assert set(BY_TYPE.values()) <= set(MASKS)
    assert all(mask_of(type) for type in (Type.NAME, Type.TEXT, Type.ID, Type.MSISDN))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("to 10212345678 failed", "to 102****5678 failed"),
        ("to +8610212345678,", "to 102****5678,"),
        ("id 110101199003071234.", "id ****."),
        ("at 1706745600000000 µs", "at 1706745600000000 µs"),
        ("notice 00ff10212345678aa", "notice 00ff10212345678aa"),
    ],
)
def test_free_text_loses_phones_and_documents_only(text: str, shown: str) -> None:
    assert scrub(text) == shown


@given(st.text())
def test_an_escaped_line_has_no_control_and_escaping_twice_changes_nothing(text: str) -> None:
    once = escape_line(text)
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in once)
    assert escape_line(once) == once


@pytest.mark.parametrize("point", [*range(0x20), *range(0x7F, 0xA0), 0x200B, 0x200D, 0x202E, 0x2066, 0x2028, 0xFEFF])
def test_each_dangerous_character_is_written_out(point: int) -> None:
    shown = escape_line(f"a{chr(point)}b")
    assert shown == (f"a\\x{point:02x}b" if point < 0x100 else f"a\\u{point:04x}b")


def test_good_text_stays_as_it_is() -> None:
    text = "维持担保比例 129.99% — «ok» \\x1b 😀"
    assert escape_line(text) == text
