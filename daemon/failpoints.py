"""Named points at which a process kills itself, for tests that must know what a SIGKILL between two commits leaves.

`DUENOTICE_FAIL_AT=name:count` kills the process that reaches `name` for the `count`-th time; `name:count:parent` its parent
too. With `DUENOTICE_FAIL_ONCE=file` that happens once over all processes: the file says that it has. Nothing here acts
without the first variable, which a real installation cannot have: an unknown variable of ours refuses the start.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

VARIABLE, ONCE = "DUENOTICE_FAIL_AT", "DUENOTICE_FAIL_ONCE"
POLL = ("poll_given", "after_sheet", "after_record", "after_update", "mid_make", "after_make", "poll_ran")
DELIVERY = (
    "after_claim",
    "after_ask",
    "after_sending_commit",
    "before_send",
    "after_send",
    "before_settle",
    "after_settle_commit",
    "receipt_read",
    "receipt_stored",
    "after_upkeep",
    "before_revoke",
    "after_revoke",
    "revoke_settled",
    "after_query",
)
PUBLICATION = tuple(f"publish_{step}" for step in ("assign", "stage", "settle", "swap", "prune", "sign", "checkpoint"))
POINTS = (*POLL, *DELIVERY, *PUBLICATION)
"""In the order of a notice's way: a poll's steps in a child; delivery, receipts, timers, revocations in the parent; the log."""

_seen = 0


def reached(name: str) -> None:
    """This point is reached. Returns, or never does."""
    wanted = os.environ.get(VARIABLE)
    if wanted:
        _look(name, *wanted.split(":"))


def _look(name: str, point: str, count: str, whom: str = "") -> None:
    global _seen
    if point not in POINTS:
        raise ValueError(f"{VARIABLE}: found {point!r}, expected one of {', '.join(POINTS)}")
    if name != point:
        return
    _seen += 1
    once = os.environ.get(ONCE)
    if _seen != int(count) or (once and Path(once).exists()):
        return
    if once:
        Path(once).touch()
    if whom == "parent":
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
