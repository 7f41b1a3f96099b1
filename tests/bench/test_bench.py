"""The bench runs, on a book small enough for a test; its times are not judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.__main__ import measure

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("decide", ["facts decided (margin)"]),
        ("poll", ["numbers", "read", "map", "decide", "sheet", "notices", "record, counts, sealing"]),
        ("cards", ["cards rendered (margin call)"]),
        ("notices", ["notices made, end to end", "messages that left, receipts"]),
    ],
)
def test_every_step_is_measured_beside_the_plain_one(tmp_path: Path, name: str, steps: list[str]) -> None:
    rows = {row.name: row for row in measure(name, tmp_path, facts=1_000, clients=200, messages=200)}
    wanted = [f"poll: {step}" if name == "poll" else step for step in steps]
    assert set(wanted) <= rows.keys()
    assert all(rows[step].seconds > 0 and rows[step].count > 0 for step in wanted)
    assert all(rows[step].plain > 0 for step in wanted if "record" not in step)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("deliver", ["poll to notices (httpx run)", "claim to last receipt, httpx", "claim to last receipt, aiohttp"]),
        ("gap", ["longest gap, alone", "longest gap, a poll beside"]),
        ("keys", ["keys wrapped again, clients", "values sealed again, AES to SM4"]),
    ],
)
def test_what_has_no_plain_side_is_measured(tmp_path: Path, name: str, steps: list[str]) -> None:
    rows = {row.name: row for row in measure(name, tmp_path, facts=500, clients=200, messages=60)}
    assert set(steps) <= rows.keys()
    assert all(rows[step].seconds > 0 and rows[step].count > 0 for step in steps)
