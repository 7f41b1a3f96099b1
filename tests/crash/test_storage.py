"""A store whose storage refuses: nothing is sent that is not recorded, the daemon says so and stops, and with space goes on."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.failpoints import POINTS
from tests.crash.storage import FAULTS, INJECTED
from tests.integration.test_alarms import free_port

ROOT = Path(__file__).parents[2]
PROOF = """
from tests.crash.storage import INJECTED, inject
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode=WAL")
db.execute("PRAGMA synchronous=FULL")
db.execute("CREATE TABLE t (a)")
inject(*INJECTED[sys.argv[2]])
try:
    db.execute("INSERT INTO t VALUES (1)")
except sqlite3.OperationalError as reason:
    print(reason.sqlite_errorname)
"""


def fiu() -> list[str]:
    """The command that loads libfiu. The allocator in pyarrow is kept from starting a thread: its first malloc and the import that
    starts it would wait for each other inside libfiu, now and then for ever."""
    if not shutil.which("fiu-run"):
        assert "CI" not in os.environ, "found no fiu-run, expected Debian's package fiu-utils"
        pytest.skip("not run: there is no fiu-run on this machine")
    return ["env", "JE_ARROW_MALLOC_CONF=background_thread:false", "fiu-run", "-x"]


def storage(*options: str) -> str:
    """The command, in a process of its own: it forks."""
    prefix = fiu() if set(options) & set(INJECTED) else []
    command = [*prefix, sys.executable, "-m", "tests.crash.storage", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("fault", "said"), [("enospc", "SQLITE_FULL"), ("unsynced", "SQLITE_IOERR_FSYNC")])
def test_the_injected_fault_fires(fault: str, said: str, tmp_path: Path) -> None:
    command = [*fiu(), sys.executable, "-c", PROOF, str(tmp_path / "db"), fault]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == said, done.stderr


def test_a_full_disk_before_the_commit_of_sending_sends_nothing() -> None:
    found = storage("full", "--point", "after_ask")
    assert "database or disk is full" in found


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_the_points(fault: str) -> None:
    """Each fault at every second point, so that every point has two."""
    points = [point for point in POINTS if point != "after_query"][FAULTS.index(fault) % 2 :: 2]
    stopped = re.search(r"stopped (\d+)", storage(fault, *(word for point in points for word in ("--point", point))))
    assert stopped and int(stopped[1]) >= len(points) - 5


class Daemon:
    """The real command on a new installation."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.config, self.port, self.out = folder / "home" / "config" / "duenotice.yaml", free_port(), folder / "out"
        command = [sys.executable, "-m", "daemon.cli", "init", str(folder / "home")]
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        text = self.config.read_text().replace("port: 8443", f"port: {self.port}")
        self.config.write_text(text.replace("state: ../state\n", f"state: {state}\n"))

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "daemon.cli", "--config", str(self.config), "run"]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=self.out.open("ab"))

    @property
    def said(self) -> str:
        """The end of its log."""
        return self.out.read_text()[-3000:]

    def is_well(self) -> bool:
        """Whether /health says so."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def gets_well(self, running: subprocess.Popen[bytes]) -> bool:
        """Wait until it is well; False where it has ended."""
        while running.poll() is None:
            if self.is_well():
                return True
        return False


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("not run: this account may mount nothing")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_the_real_command_on_a_full_disk_stops_with_74_and_comes_back(tmp_path: Path, small: Path) -> None:
    daemon = Daemon(tmp_path, small / "state")
    running = daemon.start()
    try:
        assert daemon.gets_well(running), daemon.said
        filler = small / "filler"
        with filler.open("wb", buffering=0) as out, contextlib.suppress(OSError):
            while True:
                out.write(b"0" * 4096)
        assert running.wait(10) == 74, daemon.said
        assert not daemon.is_well()
        assert "the store cannot be written" in daemon.said
        running = daemon.start()
        assert running.wait(20) == 74, daemon.said
        filler.unlink()
        running = daemon.start()
        assert daemon.gets_well(running), daemon.said
        running.terminate()
        assert running.wait(20) == 0, daemon.said
    finally:
        running.kill()
        running.wait()
