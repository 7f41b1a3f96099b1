"""SMS parts: what carriers count, with characters of two units, and the signature."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.cards import sms
from daemon.cards.width import units

TEXTS = st.text(st.sampled_from("中文a1，𠮷😀"), max_size=400)


@pytest.mark.parametrize(
    ("length", "count"), [(0, 0), (1, 1), (70, 1), (71, 2), (100, 2), (134, 2), (135, 3), (201, 3), (202, 4)]
)
def test_parts_of_chinese_text(length: int, count: int) -> None:
    assert sms.parts("缴" * length) == count


def test_ascii_counts_like_chinese() -> None:
    assert sms.parts("a" * 70) == 1
    assert sms.parts("a" * 71) == 2


def test_a_character_beyond_the_basic_plane_is_two_units() -> None:
    assert sms.parts("𠮷" * 35) == 1
    assert sms.parts("𠮷" * 36) == 2


def test_a_surrogate_pair_is_never_cut() -> None:
    text = "中" * 66 + "𠮷" + "中" * 66
    assert units(text) == 134
    assert sms.parts(text) == 3
    assert sms.split(text) == ["中" * 66, "𠮷" + "中" * 65, "中"]


@given(TEXTS)
def test_parts_joined_are_the_text_and_none_is_too_long(text: str) -> None:
    made = sms.split(text)
    assert "".join(made) == text
    assert len(made) == sms.parts(text)
    assert all(0 < units(p) <= (sms.SINGLE if len(made) == 1 else sms.PART) for p in made)


@given(TEXTS, TEXTS)
def test_a_longer_text_never_takes_fewer_parts(text: str, more: str) -> None:
    assert sms.parts(text) <= sms.parts(text + more)


def test_the_signature_counts() -> None:
    assert sms.parts(sms.sign("中" * 64, "示例证券")) == 1
    assert sms.parts(sms.sign("中" * 65, "示例证券")) == 2
    assert sms.sign("文", "") == "文"


@pytest.mark.parametrize("signature", ["例", "一" * 19, "【示例】", " 示例", ""])
def test_a_signature_that_cannot_be_registered_is_named(signature: str) -> None:
    assert "expected" in sms.signature_fault(signature)


def test_a_good_signature_passes() -> None:
    assert sms.signature_fault("示例证券") == ""
