"""Settings of a source and header fields: what is refused, and how it is said."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from daemon.errors import ConfigError, SourceChanged
from daemon.sources import SourceConfig, open_source
from daemon.sources.files import FileSource
from daemon.sources.header import header_of

DAY = date(2024, 2, 1)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"type": "ftp"}, "'ftp'"),
        ({"type": "sql"}, "exactly one"),
        ({"type": "sql", "url": "sqlite://", "url_file": "x"}, "exactly one"),
        ({"type": "sql", "url": "sqlite://", "batch": 0}, "batch"),
        ({"type": "sql", "url": "sqlite://", "folder": "x"}, "only for type files"),
        ({"type": "sql", "url": "sqlite://", "password": "x"}, "password"),
        ({"type": "files", "folder": "x"}, "complete"),
        ({"type": "files", "complete": {"flag": "x"}}, "folder"),
        ({"type": "files", "folder": "x", "complete": {"flag": "x", "stable": 1}}, "exactly one"),
        ({"type": "files", "folder": "x", "complete": {"stable": 0}}, "stable"),
        ({"type": "files", "folder": "x", "complete": {"flg": "x"}}, "complete.flg"),
        ({"type": "files", "folder": "x", "complete": {"flag": "x"}, "encoding": "latin-1"}, "latin-1"),
        ({"type": "files", "folder": "x", "complete": {"flag": "x"}, "delimiter": '"'}, "delimiter"),
        ({"type": "files", "folder": "x", "complete": {"flag": "x"}, "url": "sqlite://"}, "only for type sql"),
    ],
)
def test_a_wrong_setting_is_named_with_its_source(settings: dict[str, Any], found: str) -> None:
    with pytest.raises(ConfigError, match=found) as refused:
        SourceConfig.from_mapping("counter", settings)
    assert "counter" in str(refused.value)


def test_a_file_source_loads_no_database_library() -> None:
    config = SourceConfig.from_mapping("c", {"type": "files", "folder": "x", "complete": {"stable": 5}})
    assert isinstance(open_source("c", config, lambda name: ""), FileSource)
    code = "import sys, daemon.sources.files; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_header_fields_are_typed_and_null_is_left_out() -> None:
    said = {"rows": 12, "settled": "1", "business_date": 20240201, "as_of": "2024-02-01T08:00:00", "file_date": None}
    assert header_of(DAY, said, "c/p") == {
        "due_date": DAY,
        "rows": Decimal(12),
        "settled": True,
        "business_date": DAY,
        "as_of": datetime(2024, 2, 1, tzinfo=UTC),
    }


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("settled", "yes"),
        ("settled", 2),
        ("settled", ""),
        ("rows", "1.0"),
        ("rows", "-1"),
        ("rows", "١"),
        ("business_date", "00000000"),
        ("business_date", "2024-02-30"),
        ("as_of", "2024-02-01"),
        ("as_of", "２024-02-01T08:00"),
        ("due_date", "2024-02-01"),
        ("other", 1),
    ],
)
def test_a_header_field_that_does_not_parse_stops_the_feed(name: str, raw: object) -> None:
    with pytest.raises(SourceChanged, match=name):
        header_of(DAY, {name: raw}, "c/p")
