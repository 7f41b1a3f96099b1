"""`python -m tests.bench [rules] [decide] [poll] [cards] [notices] [deliver] [gap] [keys]`: tables, each step as a ratio."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.bench.clockwork import HEAD, Row

NAMES = ("rules", "decide", "poll", "cards", "notices", "deliver", "gap", "keys")


def measure(name: str, folder: Path, facts: int, clients: int, messages: int) -> list[Row]:
    """One measurement, in a folder of its own."""
    from tests.bench import delivering, gap, keys, outward, poll

    if name == "decide":
        return poll.deciding(folder, min(facts, 50_000))
    if name == "poll":
        return poll.whole_poll(folder, facts)
    if name == "deliver":
        return delivering.rows(folder, messages)
    if name == "keys":
        return keys.measure(folder, 10 * messages)
    if name == "gap":
        return gap.measure(folder, 4 * messages, facts)
    if name == "cards":
        return outward.cards(5_000)
    return outward.notices(folder, clients)


def main() -> None:
    """Measure what was named, else everything."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Each step beside the plainest Python.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; default: all")
    parser.add_argument("--facts", type=int, default=300_000, help="of the poll (default 300000)")
    parser.add_argument("--rule-facts", type=int, default=1_000_000, help="of `rules` (default 1000000)")
    parser.add_argument("--clients", type=int, default=1_500, help="of the demo for `notices` (default 1500)")
    parser.add_argument(
        "--messages",
        type=int,
        default=5_000,
        help="of `deliver`, a quarter of those of `gap`, a tenth of the clients of `keys` (default 5000)",
    )
    args = parser.parse_args()
    if unknown := sorted(set(args.names) - set(NAMES)):
        parser.error(f"found {', '.join(unknown)}, expected {', '.join(NAMES)}")
    names = args.names or list(NAMES)
    if "rules" in names:
        from tests.bench import verdicts

        print(verdicts.table(verdicts.measure(args.rule_facts, verdicts.everything(share=10))), flush=True)
    if names == ["rules"]:
        return
    print(HEAD)
    for name in [name for name in names if name != "rules"]:
        with tempfile.TemporaryDirectory(prefix="duenotice-bench-") as folder:
            for row in measure(name, Path(folder), args.facts, args.clients, args.messages):
                print(row, flush=True)


if __name__ == "__main__":
    main()
