"""What asking again found, kept with its record and replayed like a line of a sheet."""

from __future__ import annotations

from sqlalchemy import RowMapping, select

from daemon.store.db import Tx, flush, later
from daemon.store.tables import asks


def add(
    tx: Tx, *, notice: str, at: int, reading_started: int, bucket: str, reason: str, sealed: str, record: str
) -> None:
    """Keep one answer. `sealed` holds its packed inputs, empty where the subject was not in the answer."""
    row = {"notice": notice, "at": at, "reading_started": reading_started, "bucket": bucket, "reason": reason}
    later(tx, asks, {**row, "sealed": sealed, "record": record})


def of_notice(tx: Tx, notice: str) -> list[RowMapping]:
    """The answers about a notice, oldest first."""
    flush(tx)
    return list(tx.execute(select(asks).where(asks.c.notice == notice).order_by(asks.c.id)).mappings())
