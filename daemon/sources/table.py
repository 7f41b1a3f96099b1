"""A file cut into columns and rows: what csvfile, dbf and ofd give to files. Values only, and the cell decoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from daemon.model.facts import BadRow, Row

SHOWN_BYTES = 40


@dataclass(frozen=True, slots=True)
class Table:
    """`columns` in the order of the rows' values; `shape`: one line per column for the fingerprint; `count`: live
    rows as the file's own header counts them, or None; `records`: how many are there; `rows`: once through.

    A cell that cannot be read as its encoding or number form stays `bytes`, which the mapping calls invalid: the row
    keeps its key. Only a row that cannot be cut into cells is a BadRow.
    """

    columns: tuple[str, ...]
    shape: tuple[str, ...]
    rows: Iterator[Row | BadRow]
    records: int
    count: int | None = None
    file_date: date | None = None
    deleted: int | None = None
    as_of: datetime | None = None

    def header(self) -> dict[str, object]:
        """What the file's own header says, as header fields; None where it says nothing."""
        return {"rows": self.count, "file_date": self.file_date, "deleted": self.deleted}


def cell(raw: bytes, encoding: str) -> str | bytes:
    """Text without its right padding, or the bytes unchanged where they are not of the encoding."""
    try:
        return raw.decode(encoding).rstrip(" ")
    except UnicodeDecodeError:
        return raw


def shown(raw: bytes) -> str:
    """Bytes for a reject: hexadecimal, the first SHOWN_BYTES of them."""
    text = raw[:SHOWN_BYTES].hex()
    return f"{text}… ({len(raw)} bytes)" if len(raw) > SHOWN_BYTES else f"{text} ({len(raw)} bytes)"
