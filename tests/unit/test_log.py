"""A log line is one line of JSON with a constant sentence, and nothing personal gets into it."""

from __future__ import annotations

import io
import json
import logging
import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon import log
from daemon.errors import ConfigError
from daemon.log import logger


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    out = io.StringIO()
    log.start("DEBUG", out)
    yield out
    log.logger.remove()
    logging.basicConfig(handlers=[logging.NullHandler()], force=True)


def last(stream: io.StringIO) -> dict:
    lines = stream.getvalue().splitlines()
    return json.loads(lines[-1])


def test_a_line_has_time_level_place_sentence_and_fields(stream: io.StringIO) -> None:
    logger.info("a poll ran", feed="margin", run=3, client=1041)
    found = last(stream)
    assert (found["say"], found["level"]) == ("a poll ran", "info")
    assert (found["feed"], found["run"], found["client"]) == ("margin", 3, 1041)
    assert found["at"].startswith("test_log:") or ":" in found["at"]
    assert found["t"].endswith("+00:00")


@pytest.mark.parametrize("name", sorted(log.PERSONAL))
def test_a_personal_field_is_refused_and_named(stream: io.StringIO, name: str) -> None:
    logger.bind(**{name: "张三 10812345678"}).info("something is wrong")
    found = last(stream)
    assert found[name] == log.REFUSED
    assert found["refused"] == [name]
    assert "张三" not in stream.getvalue()


def test_a_personal_field_inside_a_field_is_refused(stream: io.StringIO) -> None:
    logger.info("something is wrong", why={"phone": "10812345678", "n": [{"name": "张三"}, b"raw"]})
    assert last(stream)["why"] == {"phone": log.REFUSED, "n": [{"name": log.REFUSED}, "3 bytes"]}


def test_numbers_of_phones_and_documents_are_masked_in_any_text(stream: io.StringIO) -> None:
    logger.warning("found 10812345678", why="11010119900307123X of +86 10812345678")
    assert "10812345678" not in stream.getvalue()
    assert "11010119900307123X" not in stream.getvalue()


def test_an_error_of_ours_is_told_and_anothers_text_is_not(stream: io.StringIO) -> None:
    try:
        try:
            raise ValueError("张三 at fault")
        except ValueError as cause:
            raise ConfigError("rules are wrong") from cause
    except ConfigError:
        logger.exception("a set was refused")
    found = last(stream)["error"]
    assert (found["type"], found["say"]) == ("ConfigError", "rules are wrong")
    assert found["cause"]["type"] == "ValueError"
    assert "say" not in found["cause"]
    assert "张三" not in stream.getvalue()


def test_a_librarys_message_is_its_template_without_values(stream: io.StringIO) -> None:
    logging.getLogger("sqlalchemy").warning("row %s is odd", "张三")
    found = last(stream)
    assert (found["library"], found["template"], found["level"]) == ("sqlalchemy", "row %s is odd", "warning")
    assert "张三" not in stream.getvalue()
    logging.getLogger("sqlalchemy").info("quiet")
    assert len(stream.getvalue().splitlines()) == 1


def test_below_the_level_nothing_is_written() -> None:
    out = io.StringIO()
    log.start("ERROR", out)
    logger.warning("not this")
    log.logger.remove()
    assert out.getvalue() == ""
    with pytest.raises(ValueError, match="LOUD"):
        log.start("LOUD", out)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.text(), st.text())
def test_any_text_stays_one_line_of_json(stream: io.StringIO, sentence: str, value: str) -> None:
    stream.seek(0)
    stream.truncate()
    logger.bind(why=value).info("{}", sentence)
    text = stream.getvalue()
    (line,) = text.removesuffix("\n").split("\n")
    assert set(json.loads(line)) == {"t", "level", "at", "say", "why"}
    assert not [c for c in line if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") or c in "\u202e\u200b\ufeff"]
