"""A store whose storage refuses, from a named point on: `python -m tests.crash.storage FAULT…`, under `fiu-run -x` for two of them.

    full        `PRAGMA max_page_count`: no page more than the database has
    read-only   `PRAGMA query_only`: every change is refused
    enospc      libfiu `posix/io/rw/pwrite`, errno ENOSPC: the disk is full
    unsynced    libfiu `posix/io/sync/fdatasync`, errno EIO: a commit that cannot be made durable

From then on that life can record nothing: it must end, and the carrier must have nothing that the store does not know. Then there
is space again: the next life ends as if nothing had happened. Prints a line per case; exit 1 where one is wrong.
"""

from __future__ import annotations

import pyarrow  # noqa: F401 - first: later its allocator and libfiu wait for each other

# isort: split
import argparse
import ctypes
import errno
import os
import pickle
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from sqlalchemy import Connection, event, select

from daemon import failpoints, log
from daemon.failpoints import POINTS
from daemon.store.db import StoreUnusable
from daemon.store.tables import attempts
from tests.builders_store import keyring
from tests.crash import matrix
from tests.fakes import FarSide
from tests.world import Result, SteppedStore, Store

INJECTED = {"enospc": ("posix/io/rw/pwrite", errno.ENOSPC), "unsynced": ("posix/io/sync/fdatasync", errno.EIO)}
"""libfiu's name of the call that fails, and with which errno."""

FAULTS = ("full", "read-only", *INJECTED)


def inject(name: str, number: int) -> None:
    """Have every such call of this process fail from now on. Raises RuntimeError where libfiu is not loaded."""
    try:
        enable = ctypes.CDLL(None).fiu_enable
    except AttributeError:
        raise RuntimeError("libfiu is not loaded, expected to run under `fiu-run -x`") from None
    enable.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint]
    if enable(name.encode(), 1, number, 0):
        raise RuntimeError(f"libfiu does not enable {name}")


class Refusing(SteppedStore):
    """A store that can be told to refuse: connections that are open, and those to come."""

    pragma = ""

    def refuse(self, fault: str) -> None:
        if fault in INJECTED:
            inject(*INJECTED[fault])
            return
        self.pragma = "query_only=1" if fault == "read-only" else "max_page_count=1"  # never below what there is
        event.listen(self.engine, "begin", self._begin_refusing)

    def _begin_refusing(self, connection: Connection) -> None:
        connection.connection.driver_connection.execute(f"PRAGMA {self.pragma}").close()  # type: ignore[union-attr]


class Refused(matrix.Life):
    """A life that ends without a word to its store once that refuses, as the daemon's does."""

    async def _life(self) -> Result:
        try:
            return await super()._life()
        except StoreUnusable as broken:
            self._end(broken)

    async def _steps(self) -> None:
        try:
            await super()._steps()
        except StoreUnusable as broken:
            self._end(broken)

    def _end(self, broken: StoreUnusable) -> NoReturn:
        (self.folder / "answer").write_bytes(pickle.dumps(str(broken)))
        os._exit(0)


@dataclass
class Case(matrix.Case):
    """An installation, one life of which has a store that refuses."""

    fault: str = ""
    wrong: list[str] = field(default_factory=list)

    def refused(self, point: str, count: int) -> str:
        """A life whose store refuses from the `count`-th passing of a point on; what ended it, '' where nothing did."""
        code, ended = self._forked(lambda: self._refused(point, count))
        assert code == 0
        return str(ended)

    def _refused(self, point: str, count: int) -> str:
        far = pickle.loads(self.file.read_bytes()) if self.file.exists() else FarSide()
        now = datetime.fromisoformat((self.folder / "now").read_text())
        play = Refused(matrix.scenario(self.carrier, self.file), self.folder, now, far)
        passed: Counter[str] = Counter()

        def reached(name: str) -> None:
            passed[name] += 1
            if name == point and passed[name] == count:
                play.store.refuse(self.fault)

        import tests.world

        failpoints.reached = reached
        tests.world.SteppedStore = Refusing
        play.run()
        return ""

    def unrecorded(self) -> set[str]:
        """Messages that the carrier has and for which no attempt is recorded."""

        def ask() -> set[str]:
            store = Store.open(self.folder / "state", keyring=keyring(), node="n1")
            with store.read() as tx:
                known = set(tx.execute(select(attempts.c.message)).scalars())
            store.close()
            far = pickle.loads(self.file.read_bytes()) if self.file.exists() else FarSide()
            return set(far.taken) - known

        code, found = self._forked(ask)
        assert code == 0
        return set(found)


def one(case: Case, point: str, seen: Counter[str], seed: int, whole: matrix.End) -> tuple[str, list[str]]:
    """What ended the life whose store refused, and what is wrong."""
    count = random.Random(f"{seed}/{case.fault}/{point}").randint(1, seen[point])
    case.begin()
    ended = case.refused(point, count)
    wrong = [f"the carrier has {id}, of which there is no attempt" for id in case.unrecorded()]
    sending = case.in_sending()
    code, done = case.live()
    assert code == 0
    wrong += matrix.compare(case.carrier, whole, done[0], sending).wrong
    return ended, wrong


def play(faults: list[str], points: list[str], seed: int, folder: Path, say: Callable[..., Any] = print) -> int:
    """Every fault at every point; returns how many cases were wrong. A life that writes nothing more may end well; with a fault
    that stops none, the fault does not fire, and that is wrong too."""
    matrix.warm(folder / "warm")
    whole, seen = matrix.counts_of("honours", folder / "whole")
    bad = 0
    for fault in faults:
        stopped = 0
        for point in (point for point in points if seen[point]):
            place = folder / "case"
            ended, wrong = one(Case("honours", place, fault=fault), point, seen, seed, whole)
            stopped += bool(ended)
            bad += bool(wrong)
            say(f"{fault:<10} {point:<21} {ended or 'went on to its end'}")
            for line in wrong:
                say(f"    WRONG: {line}")
            shutil.rmtree(place)
        say(f"{fault:<10} stopped {stopped}")
        bad += not stopped
    return bad


def main() -> int:
    """Play what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.storage", description=__doc__)
    parser.add_argument("faults", nargs="+", choices=FAULTS)
    parser.add_argument("--point", action="append", choices=POINTS, help="only these")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    log.start("ERROR")
    with tempfile.TemporaryDirectory(prefix="duenotice-storage-") as name:
        return 1 if play(args.faults, args.point or list(POINTS), args.seed, Path(name)) else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.pop(failpoints.VARIABLE, None)
    sys.exit(main())
