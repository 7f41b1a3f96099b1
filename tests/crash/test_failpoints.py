"""Fail points kill the process that asked for it, at the count it asked for, and nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from daemon.failpoints import DELIVERY, ONCE, POINTS, POLL, PUBLICATION, VARIABLE

ROOT = Path(__file__).parent.parent.parent
TWICE = "from daemon import failpoints as f; f.reached('after_sheet'); print(1, flush=True); f.reached('after_sheet'); print(2)"


def run(code: str, **variables: str) -> tuple[int, str, str]:
    """A process that runs code: exit code, what it printed, its errors."""
    environment = {k: v for k, v in os.environ.items() if k not in (VARIABLE, ONCE)} | variables
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_without_the_variable_a_point_does_nothing() -> None:
    assert run(TWICE) == (0, "1\n2\n", "")


def test_the_process_dies_at_the_count_and_not_before() -> None:
    code, out, _ = run(TWICE, **{VARIABLE: "after_sheet:2"})
    assert (code, out) == (-signal.SIGKILL, "1\n")


def test_another_point_is_passed() -> None:
    code, out, _ = run(TWICE, **{VARIABLE: "after_record:1"})
    assert (code, out) == (0, "1\n2\n")


def test_once_is_once_over_all_processes(tmp_path: Path) -> None:
    variables = {VARIABLE: "after_sheet:1", ONCE: str(tmp_path / "once")}
    assert run(TWICE, **variables)[0] == -signal.SIGKILL
    assert run(TWICE, **variables)[0] == 0


def test_an_unknown_point_is_said() -> None:
    code, _, error = run(TWICE, **{VARIABLE: "elsewhere:1"})
    assert code == 1
    assert all(name in error for name in POINTS)


def test_every_point_is_somewhere_in_the_daemon() -> None:
    source = "".join(path.read_text() for path in (ROOT / "daemon").rglob("*.py"))
    missing = [name for name in (*POLL, *DELIVERY) if f'failpoints.reached("{name}")' not in source]
    missing += [name for name in PUBLICATION if f'_at("{name.removeprefix("publish_")}")' not in source]
    assert not missing
    assert 'failpoints.reached(f"publish_{step}")' in source
