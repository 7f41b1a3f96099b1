"""The order in which records enter the log: a cause before its effects."""

from __future__ import annotations

from collections.abc import Sequence

from daemon.audit.record import parse


def causes_first(rows: Sequence[tuple[int, bytes]]) -> list[int]:
    """Row ids of (row id, record bytes) so that a cause comes before its effects, otherwise as given.

    A cause that is not among the rows is taken to be in the log already. Raises ValueError for what is no record, for
    an id that two rows have, and for causes in a circle.
    """
    causes: dict[str, tuple[int, str | None]] = {}
    for row, raw in rows:
        try:
            leaf = parse(raw)
        except ValueError as reason:
            raise ValueError(f"row {row} of the trail: {reason}") from None
        if leaf["id"] in causes:
            raise ValueError(f"row {row} of the trail: the id {leaf['id']} is that of row {causes[leaf['id']][0]} too")
        causes[leaf["id"]] = row, leaf.get("cause")
    placed: dict[str, int] = {}
    for id in causes:
        chain = _chain(id, causes, placed)
        placed.update((link, causes[link][0]) for link in reversed(chain))
    return list(placed.values())


def _chain(id: str, causes: dict[str, tuple[int, str | None]], placed: dict[str, int]) -> dict[str, None]:
    """The record and its causes not placed yet, from effect to cause."""
    chain: dict[str, None] = {}
    at: str | None = id
    while at is not None and at in causes and at not in placed:
        if at in chain:
            raise ValueError(f"row {causes[at][0]} of the trail: it is its own cause, over {len(chain)} records")
        chain[at] = None
        at = causes[at][1]
    return chain
