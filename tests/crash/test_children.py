"""Poll children that die: while they wait, or with a poll in hand. Nothing of a feed goes silent because of it."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

from tests.scenarios.plays import BASE
from tests.world import Play, at


def kill_waiting(play: Play) -> None:
    """SIGKILL to every child that waits for a poll."""
    for child in play.app.polls.children:
        if child.job is None and child.process.pid is not None:
            os.kill(child.process.pid, signal.SIGKILL)
            child.process.join()


def test_children_that_die_while_they_wait_are_replaced(tmp_path: Path) -> None:
    whole = Play.new(BASE, tmp_path / "whole").run()
    scenario = replace(BASE, children=True, acts=((at("09:00"), kill_waiting),))
    assert Play.new(scenario, tmp_path / "w").run() == whole
