"""The whole demo, killed with SIGKILL: it goes on where it was and ends as if nothing had happened."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.failpoints import POINTS
from tests.crash.demo import Demo, End

FEW, SOME = 100, 300
SEED = 20240201
MOMENTS = {
    "parent, sending committed": "after_sending_commit",
    "parent, answered and not settled": "before_settle",
    "parent, a receipt stored": "receipt_stored",
    "child, in making": "mid_make",
    "both, between sheet and notices": "after_sheet",
    "both, between record and notices": "after_record",
}
"""Where; how often the point is passed before is drawn."""

NOT_IN_THE_DEMO = ("before_revoke", "after_revoke", "revoke_settled", "after_query")
"""Nothing is called back in so small a demo, and its platform cannot be asked; `matrix.py` has both."""


def moment(name: str) -> str:
    """A fail point for the environment: point, count, whom."""
    count = random.Random(f"{SEED}/{name}").randrange(1, 4)
    return f"{MOMENTS[name]}:{count}" + (":parent" if name.startswith("both") else "")


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    made = Demo(tmp_path / "demo", clients=SOME)
    yield made
    made.stop_carrier()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Demo, End]]:
    """A demo that nobody killed."""
    made = Demo(tmp_path_factory.mktemp("whole") / "demo", clients=SOME)
    assert made.run() == 0, made.log
    yield made, made.end()
    made.stop_carrier()


def killed(demo: Demo, fail_at: str) -> End:
    """Run into the kill, then again to the end; the trail verifies."""
    code = demo.run(fail_at)
    assert demo.was_killed, f"{fail_at} was never reached\n{demo.log}"
    if code != 0:
        assert demo.run() == 0, demo.log
    return demo.end()


def same(killed: End, whole: End) -> None:
    """The same messages on the handsets, each once, and the same outcomes."""
    assert killed.twice == set()
    assert killed.arrived == whole.arrived
    assert killed.outcomes == whole.outcomes


def test_both_processes_killed_between_sheet_and_notices(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "demo", clients=FEW)
    try:
        end = killed(demo, "after_sheet:2:parent")
    finally:
        demo.stop_carrier()
    assert end.arrived
    assert end.twice == set()
    assert None not in {outcome for _, outcome in end.outcomes}


@pytest.mark.slow
def test_the_demo_twice_on_one_state_sends_nothing_twice(whole: tuple[Demo, End]) -> None:
    demo, first = whole
    assert demo.run() == 0, demo.log
    assert demo.end() == first


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MOMENTS))
def test_a_kill_changes_nothing_on_a_carrier_that_honours_ids(name: str, demo: Demo, whole: tuple[Demo, End]) -> None:
    same(killed(demo, moment(name)), whole[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(n for n in MOMENTS if n.startswith("parent")))
def test_a_kill_changes_only_what_is_in_doubt_on_a_carrier_that_ignores_ids(
    name: str, tmp_path: Path, whole: tuple[Demo, End]
) -> None:
    demo = Demo(tmp_path / "demo", clients=SOME, repeat="ignore")
    try:
        end = killed(demo, moment(name))
    finally:
        demo.stop_carrier()
    surplus, missing = end.arrived - whole[1].arrived, whole[1].arrived - end.arrived
    assert set(surplus) | set(missing) <= end.doubtful
    assert end.twice <= end.doubtful
    assert end.doubtful or name == "parent, a receipt stored"


@pytest.fixture(scope="module")
def whole_few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[End]:
    """A small demo that nobody killed."""
    made = Demo(tmp_path_factory.mktemp("few") / "demo", clients=FEW)
    assert made.run() == 0, made.log
    yield made.end()
    made.stop_carrier()


@pytest.mark.slow
@pytest.mark.parametrize("point", [point for point in POINTS if point not in NOT_IN_THE_DEMO])
def test_the_real_command_killed_at_each_point_ends_as_if_nothing_had_happened(
    point: str, tmp_path: Path, whole_few: End
) -> None:
    demo = Demo(tmp_path / "demo", clients=FEW)
    try:
        same(killed(demo, f"{point}:1"), whole_few)
    finally:
        demo.stop_carrier()
