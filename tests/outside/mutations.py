"""`python -m tests.outside.mutations`: a log, changed a thousand times over; each change is found by ours, which names the first
bad record, and by Go (tests/outside/verifylog), in one process that goes on.

Bits flipped, ends cut, files taken away, files swapped. `--records 1000000 --count 20` is the million, `--count 10000` the long
run.
"""

from __future__ import annotations

import argparse
import base64
import random
import re
import resource
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from daemon.audit.checkpoint import VerifierKey
from daemon.audit.tree import WIDTH
from daemon.audit.verify import verify
from tests.outside.logs import ORIGIN, SIGNING, chain, log_of, reader
from tests.outside.verifiers import ask, build_driver

KEY = VerifierKey(ORIGIN, SIGNING.public)
KINDS = ("flip", "cut", "gone", "swap")
_PLACE = re.compile(r"tile/(entries|\d+)/((?:x\d{3}/)*\d{3})")


@dataclass(frozen=True)
class Change:
    """Files to replace or, with None, to take away; and the index that ours must name, None where a head is concerned, which is no
    record's."""

    kind: str
    files: Mapping[str, bytes | None]
    first_bad: int | None

    def __str__(self) -> str:
        return f"{self.kind} of {', '.join(self.files)}"


def first_of(path: str) -> int | None:
    """The first record that a file speaks of; None for the head."""
    found = _PLACE.match(path)
    if found is None:
        return None
    level = 0 if found[1] == "entries" else int(found[1])
    return int("".join(part.removeprefix("x") for part in found[2].split("/"))) * WIDTH ** (level + 1)


def flipped(path: str, raw: bytes, chance: random.Random) -> Change:
    """One bit of a file, and the record that it is of."""
    offset = chance.randrange(len(raw))
    changed = bytearray(raw)
    changed[offset] ^= 1 << chance.randrange(8)
    first, bad = first_of(path), None
    if first is not None and path.startswith("tile/entries/"):
        at = index = 0
        while offset >= at + 2 + int.from_bytes(raw[at : at + 2], "big"):
            at, index = at + 2 + int.from_bytes(raw[at : at + 2], "big"), index + 1
        bad = first if offset < at + 2 else first + index  # a length that is changed makes the whole bundle unreadable
    elif first is not None:
        bad = first + offset // 32 * WIDTH ** int(path.split("/")[1])
    return Change("flip", {path: bytes(changed)}, bad)


def change(files: Mapping[str, bytes], chance: random.Random) -> Change:
    """One of the four kinds, of files drawn among all."""
    path, other = chance.sample(sorted(files), 2)
    kind = chance.choice(KINDS)
    if kind == "flip":
        return flipped(path, files[path], chance)
    if kind == "cut":
        return Change(kind, {path: files[path][: chance.randrange(len(files[path]))]}, first_of(path))
    if kind == "gone":
        return Change(kind, {path: None}, first_of(path))
    firsts = first_of(path), first_of(other)
    bad = None if None in firsts else min(first for first in firsts if first is not None)
    return Change(kind, {path: files[other], other: files[path]}, bad)


def play(driver: Path, folder: Path, *, records: int, count: int, seed: int) -> list[str]:
    """What was not found, or not named as it is; a first line of `OK` from both for the log as it is."""
    files = log_of(chain(records))
    for path, raw in files.items():
        (folder / "log" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "log" / path).write_bytes(raw)
    chance = random.Random(seed)
    changes = [change(files, chance) for _ in range(count)]
    job = {"dir": str(folder / "log"), "vkey": str(KEY)}
    coded = [
        job | {"files": {p: None if raw is None else base64.b64encode(raw).decode() for p, raw in one.files.items()}}
        for one in changes
    ]
    begun = perf_counter()
    assert verify(reader(files), [KEY]).ok
    ours = perf_counter() - begun
    answers = ask(driver, [job, *coded, job])
    wrong = [] if answers[0] == answers[-1] == "OK" else [f"the log as it is: {answers[0]}, {answers[-1]}"]
    wrong += [f"Go: {one}" for one, said in zip(changes, answers[1:-1], strict=True) if not said.startswith("BAD")]
    for number, one in enumerate(changes):
        if sys.stderr.isatty():
            print(f"\r\x1b[K{number} of {count}", end="", file=sys.stderr, flush=True)
        seen = {path: raw for path, raw in ({**files, **one.files}).items() if raw is not None}
        report = verify(reader(seen), [KEY])
        if report.ok:
            wrong.append(f"ours: {one}")
        elif one.first_bad is not None and report.first_bad != one.first_bad:
            wrong.append(f"ours names {report.first_bad}, expected {one.first_bad}: {one}")
    print(f"{records} records verified in {ours:.1f} s; {count} changes, {len(wrong)} not found or not named")
    return wrong


def main() -> int:
    """Play what is asked for; exit 1 where a change was not found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=4096)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="duenotice-mutations-") as name:
        wrong = play(build_driver(Path(name)), Path(name), records=args.records, count=args.count, seed=args.seed)
    print("\n".join(wrong[:20]))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB, the log itself included")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
