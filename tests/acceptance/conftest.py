"""One demo for all acceptance tests, played in a process of its own; who changes something takes a copy."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys

import pytest

from tests.acceptance.played import CLIENTS, ROOT, Played, copy_of


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Played once, also when pytest runs in several processes. Nobody changes it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    place = base / "acceptance-demo"
    place.mkdir(exist_ok=True)
    played = Played(place / "demo", place / "wal", place / "screen.txt", place / "log.txt")
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "done").exists():
            _play(played)
            (place / "done").touch()
    return played


def _play(played: Played) -> None:
    argv = [sys.executable, "-m", "tests.acceptance.play", str(played.folder), str(CLIENTS), str(played.copies)]
    with played.screen.open("wb") as screen, played.log.open("wb") as log:
        done = subprocess.run(argv, cwd=ROOT, stdout=screen, stderr=log, env=dict(os.environ), check=False, timeout=300)
    assert done.returncode == 0, played.log.read_bytes()[-4000:]


@pytest.fixture(scope="module")
def changed(demo: Played, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """A copy for the tests of one module: commands that reveal or export write records."""
    return copy_of(demo, tmp_path_factory.mktemp("changed") / "demo")
