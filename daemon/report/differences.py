"""What a row of the store may have against the trail, as values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A row that is not as the trail says. `id`: its key in the store, or what the trail calls it. `what`: `missing`, `unknown`,
    `twice`, `differs`, `loose` (it names a row that is not there), `gone`, `changed` (a sheet's file), `count`, `unfounded` (a
    notice of a client without a line), `untold` (a client to notify without a notice). `detail`: what else a reader needs."""

    table: str
    id: str
    what: str
    detail: str = ""


def differences(table: str, id: object, pairs: Iterable[tuple[str, object, object]]) -> Iterator[Discrepancy]:
    """A discrepancy for each (column, what the store says, what the trail says) of a row that are not the same."""
    for column, store, trail in pairs:
        if store != trail:
            yield Discrepancy(table, str(id), "differs", f"{column}: {_word(store)}, recorded {_word(trail)}")


def _word(value: object) -> str:
    return "nothing" if value in (None, "") else str(value)
