"""`python -m tests.crash --seeds 200`: every fail point killed, on three carriers; a table, and what was wrong.

Exit 0 where nothing was lost, doubled or unaccounted, 1 where something was, with the command that repeats it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from daemon import log
from daemon.failpoints import POINTS
from tests.crash import matrix


def main() -> int:
    """Play all of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description="SIGKILL at every fail point.")
    parser.add_argument("--seeds", type=int, default=3, help="per fail point and carrier (default 3)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--point", action="append", choices=POINTS, help="only these")
    parser.add_argument("--carrier", action="append", choices=matrix.CARRIERS, help="only these")
    args = parser.parse_args()
    log.start("ERROR")
    points, carriers = args.point or POINTS, args.carrier or matrix.CARRIERS
    totals: dict[tuple[str, str], list[matrix.Found]] = defaultdict(list)
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="duenotice-crash-") as name:
        folder = Path(name)
        matrix.warm(folder / "warm")
        known = {carrier: matrix.counts_of(carrier, folder / carrier, url(args.store)) for carrier in carriers}
        wanted = list(matrix.cases(points, carriers, range(args.first, args.first + args.seeds)))
        for number, (carrier, point, seed) in enumerate(wanted, 1):
            if sys.stderr.isatty():
                print(f"\r\x1b[K{number}/{len(wanted)} {carrier} {point}", end="", file=sys.stderr, flush=True)
            whole, seen = known[carrier]
            place = folder / "case"
            found = matrix.kill(
                matrix.Case(carrier, place, url(args.store) if seen[point] else ""), point, seen, seed, whole
            )
            shutil.rmtree(place, ignore_errors=True)
            if found is None:
                continue
            totals[carrier, point].append(found)
            again = f"python -m tests.crash --store {args.store} --carrier {carrier} --point {point} --first {seed} --seeds 1"
            wrong += [f"{carrier} {point} {seed}: {line}\n    {again}" for line in found.wrong]
    show(totals)
    print("\n".join(wrong))
    bad = sum(one.lost + one.doubled + one.unaccounted for several in totals.values() for one in several)
    missing = [point for point in points if not any((carrier, point) in totals for carrier in carriers)]
    if missing:
        print("never reached:", ", ".join(missing))
    return 1 if bad or wrong or missing else 0


def url(store: str) -> str:
    """A new database, where the store is one."""
    if store == "sqlite":
        return ""
    from tests import postgres

    return postgres.database()


def show(totals: dict[tuple[str, str], list[matrix.Found]]) -> None:
    """The table."""
    print(f"| {'carrier':<8} | {'killed at':<21} | kills | lost | doubled | unaccounted | in doubt | in sending |")
    print("|----------|-----------------------|------:|-----:|--------:|------------:|---------:|-----------:|")
    for (carrier, point), several in totals.items():
        sums = [
            sum(getattr(one, name) for one in several)
            for name in ("lost", "doubled", "unaccounted", "doubts", "allowed")
        ]
        lost, doubled, unaccounted, doubts, allowed = sums
        print(
            f"| {carrier:<8} | {point:<21} | {len(several):>5} | {lost:>4} | {doubled:>7} | {unaccounted:>11} "
            f"| {doubts:>8} | {allowed:>10} |"
        )


if __name__ == "__main__":
    sys.exit(main())
