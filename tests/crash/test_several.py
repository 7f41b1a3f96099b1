"""Three senders on one PostgreSQL, backends ended, one stopped past its lease, one killed: nothing lost, nothing doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import postgres
from tests.crash import several


@pytest.mark.slow
def test_senders_that_are_disturbed_lose_and_double_nothing(tmp_path: Path) -> None:
    postgres.needed()
    found = several.run(tmp_path, 20_000, patience=420)
    print(found)
    assert found.wrong(20_000) == []
    assert found.disturbed.keys() >= {"backends", "stop", "kill"}
    assert found.late > 0, "a settle under an old fence was refused"
    assert found.silent > 0, "a sender whose lease was nearly over did not begin"
