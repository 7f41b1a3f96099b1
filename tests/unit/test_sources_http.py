"""The HTTP source: what it asks, what it makes of answers that are not what they should be."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from daemon.errors import ConfigError, SourceChanged, SourceUnavailable
from daemon.model.facts import BadRow, Row
from daemon.model.kinds import Column, Part
from daemon.sources import NotAskable, NotReady, SourceConfig
from daemon.sources.http import ATTEMPTS, HttpSource
from tests.backoffice_http import Said, Service

DAY = date(2024, 2, 1)
NOW = datetime(2024, 2, 1, 12, tzinfo=UTC)
PART = Part(
    "p", "api", query="/v1/funds?date=:business_date&at=:now", format="http",
    columns=(Column("fund", "code"), Column("nav", "nav")),
)  # fmt: skip


def ok(rows: Any, next: Any = None, count: int | None = None) -> Said:
    return 200, json.dumps({"rows": rows, "next": next, "whole": {"rows": count}}).encode()


def source(answers: Sequence[Said] | Callable[[str], Said], **settings: Any) -> tuple[HttpSource, Service, list[float]]:
    """Answers in order, the last one again and again."""
    left = list(answers) if not callable(answers) else []

    def answer(path: str) -> Said:
        if callable(answers):
            return answers(path)
        return left.pop(0) if len(left) > 1 else left[0]

    service, waits = Service(answers=answer), list[float]()
    config = SourceConfig("http", url=service.url + "/api", rows="rows", next="next", said="whole", **settings)
    return HttpSource("api", config, lambda name: f"secret-of-{name}\n", waits.append), service, waits


def read(made: HttpSource, part: Part = PART) -> list[Row | BadRow]:
    with made.read(part, business_date=DAY, now=NOW) as reading:
        return list(reading.rows)


def test_it_asks_below_its_address_with_the_binds_and_the_token() -> None:
    made, service, _ = source([ok([{"code": "1", "nav": "1"}])], token_file="api-token")
    read(made)
    assert service.asked == [
        ("/api/v1/funds?date=2024-02-01&at=2024-02-01T20%3A00%3A00%2B08%3A00", "Bearer secret-of-api-token")
    ]


def test_numbers_are_exact_and_what_is_nested_or_absent_is_no_value() -> None:
    body = b'{"rows": [{"code": "1", "nav": 0.1000000000000000055511}, {"code": {"a": 1}}, 7], "next": null}'
    made, _, _ = source([(200, body)])
    first, second, third = read(made)
    assert isinstance(first, Row) and first.values == ("1", Decimal("0.1000000000000000055511"))
    assert isinstance(second, Row) and isinstance(second.values[0], bytes) and second.values[1] is None
    assert isinstance(third, BadRow) and third.where.line == 3


def test_a_page_that_asks_to_come_again_is_asked_again_and_then_is_unavailable() -> None:
    made, service, waits = source([(503, b""), (429, b""), ok([])])
    assert read(made) == [] and len(service.asked) == 3 and len(waits) == 2
    made, service, _ = source([(502, b"")])
    with pytest.raises(SourceUnavailable):
        read(made)
    assert len(service.asked) == ATTEMPTS


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((404, b""), NotReady),
        ((204, b""), NotReady),
        ((401, b""), SourceUnavailable),
        ((302, b""), SourceChanged),
        ((400, b""), SourceChanged),
        ((200, b"<html>"), SourceChanged),
        ((200, b"\xff"), SourceChanged),
        ((200, b"[" * 100_000), SourceChanged),
        ((200, b'{"rows": [], "rows": [1]}'), SourceChanged),
        ((200, b'{"rows": [{"code": "1", "nav": NaN}]}'), SourceChanged),
        ((200, b'{"rows": {}}'), SourceChanged),
        ((200, b'{"rows": [], "next": []}'), SourceChanged),
        ((200, b'{"rows": [], "whole": 1}'), SourceChanged),
        ((200, b'{"rows": [], "whole": {"rows": "many"}}'), SourceChanged),
        (ok([{"code": "1"}]), SourceChanged),
    ],
)
def test_no_answer_but_a_good_one_reads_as_rows(answer: Said, error: type[Exception]) -> None:
    made, service, _ = source([answer])
    with pytest.raises(error):
        read(made)
    assert all("elsewhere" not in path for path, _ in service.asked)


def test_a_cursor_that_comes_again_is_no_endless_reading() -> None:
    made, _, _ = source([ok([{"code": "1", "nav": 1}], next="a")])
    with pytest.raises(SourceChanged, match="cursor"):
        read(made)


def test_a_whole_that_changes_between_pages_is_not_ready() -> None:
    made, _, _ = source([ok([{"code": "1", "nav": 1}], next="a", count=2), ok([{"code": "2", "nav": 1}], count=3)])
    with pytest.raises(NotReady, match="changed"):
        read(made)


def test_an_answer_over_the_bound_is_not_read_to_its_end() -> None:
    made, _, _ = source([ok([{"code": "1" * 5000, "nav": 1}])], max_bytes=1000)
    with pytest.raises(SourceUnavailable, match="1000 bytes"):
        read(made)


@pytest.mark.parametrize("query", ["//evil/x", "/../x", "/x#y", "x", "/x?y=:keys", "/x?y=:nobody"])
def test_a_query_leads_nowhere_else(query: str) -> None:
    made, service, _ = source([ok([])])
    with pytest.raises(ConfigError):
        read(made, Part("p", "api", query=query, format="http", columns=PART.columns))
    assert service.asked == []


def test_keys_are_asked_for_as_texts_and_cannot_break_out() -> None:
    made, service, _ = source([ok([])])
    part = Part("p", "api", query="/x", keyed="/x?k=:keys", key_columns=("a", "b"), format="http", columns=PART.columns)
    with made.ask(part, [("1&2", "a/b"), ("3", "c")], business_date=DAY, now=NOW) as reading:
        assert list(reading.rows) == [] and reading.count is None
    with pytest.raises(NotAskable), made.ask(part, [("1", "a,b")], business_date=DAY, now=NOW):
        pass
    assert service.asked[0][0] == "/api/x?k=1%262~a%2Fb,3~c"


@pytest.mark.parametrize(
    "url", ["http://api.example/x", "https://u:p@h/x", "https://h/x?y", "ftp://h", "", "http://localhost.evil.example/"]
)
def test_an_address_is_https_but_on_this_machine(url: str) -> None:
    with pytest.raises(ConfigError, match="url"):
        SourceConfig("http", url=url)
