"""Writers of DBF, OFD and CSV files for tests: byte by byte after the formats, sharing nothing with the readers."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

SJSFX: tuple[tuple[str, str, int, int], ...] = (
    ("FXJSZH", "C", 8, 0),
    ("FXTGDY", "C", 8, 0),
    ("FXZQDM", "C", 10, 0),
    ("FXZQZH", "C", 25, 0),
    ("FXYWLB", "C", 6, 0),
    ("FXDDBH", "C", 12, 0),
    ("FXWTGS", "N", 18, 2),
    ("FXQRGS", "N", 18, 2),
    ("FXZJJE", "N", 20, 2),
    ("FXCWDH", "C", 6, 0),
    ("FXFSRQ", "C", 10, 0),
    ("FXBYBZ", "C", 2, 0),
)
"""The real layout of Shenzhen's issuance file: name, type, width, decimals."""

FUND_07: tuple[tuple[str, str, int, int], ...] = (
    ("FundName", "C", 40, 0),
    ("TotalFundVol", "N", 16, 2),
    ("FundCode", "C", 6, 0),
    ("FundStatus", "C", 1, 0),
    ("NAV", "N", 7, 4),
    ("UpdateDate", "A", 8, 0),
    ("NextTradeDate", "A", 8, 0),
)
"""Some fields of fund file 07 in the 2016 layout."""


def dbf(
    fields: Sequence[tuple[str, str, int, int]],
    rows: Sequence[Mapping[str, Any]],
    *,
    changed: date = date(2024, 2, 1),
    encoding: str = "gbk",
    deleted: frozenset[int] = frozenset(),
    version: int = 0x03,
    end: bytes = b"\x1a",
) -> bytes:
    """A dBase III table; `deleted` are row numbers from 0; a value may be bytes, taken as they are."""
    width = 1 + sum(f[2] for f in fields)
    start = 32 + 32 * len(fields) + 1
    head = struct.pack("<BBBBIHH20x", version, changed.year % 100, changed.month, changed.day, len(rows), start, width)
    names = b"".join(struct.pack("<11sc4xBB14x", n.encode(), t.encode(), w, d) for n, t, w, d in fields)
    body = b"".join(
        (b"*" if i in deleted else b" ") + b"".join(dbf_cell(row.get(n), t, w, d, encoding) for n, t, w, d in fields)
        for i, row in enumerate(rows)
    )
    return head + names + b"\r" + body + end


def dbf_cell(value: Any, kind: str, width: int, decimals: int, encoding: str) -> bytes:
    """One field: C to the left, N to the right with its decimals, D and L as they are, None blank."""
    if isinstance(value, bytes):
        return value.ljust(width)[:width]
    if value is None:
        return b" " * width
    if kind == "N":
        return (f"{value:.{decimals}f}" if not isinstance(value, str) else value).encode().rjust(width)
    text = value.strftime("%Y%m%d") if isinstance(value, date) else str(value)
    raw = text.encode(encoding)
    assert len(raw) <= width, (text, width)
    return raw.ljust(width)


def ofd(
    fields: Sequence[tuple[str, str, int, int]],
    rows: Sequence[Mapping[str, Any] | bytes],
    *,
    file_date: str = "20240201",
    version: str = "21",
    file_type: str = "07",
    count: int | None = None,
    upper: bool = False,
    padded: bool = True,
    end: bytes = b"OFDCFEND\r\n",
) -> bytes:
    """A data file of the fund exchange protocol; a row given as bytes stands as it is."""
    widths = (8, 8, 20, 20, 8, 8, 8, 8, 8, 8) if version == "22" else (8, 4, 9, 9, 8, 3, 2, 8, 8, 3)
    said = ("OFDCFDAT", version, "98", "101", file_date, "001", file_type, "98", "101", str(len(fields)).zfill(3))
    head = [text.ljust(width) if padded else text for text, width in zip(said, widths, strict=True)]
    names = [name.upper() if upper else name for name, *_ in fields]
    number = str(len(rows) if count is None else count).zfill(16 if version == "22" else 8)
    lines = [line.encode() for line in (*head, *names, number)]
    lines += [row if isinstance(row, bytes) else ofd_record(fields, row) for row in rows]
    return b"\r\n".join(lines) + b"\r\n" + end


def ofd_record(fields: Sequence[tuple[str, str, int, int]], row: Mapping[str, Any]) -> bytes:
    """One record: texts to the left in GB18030, numbers as zero-padded digits with implied decimals, None blank."""
    return b"".join(_ofd_cell(row.get(name), kind, width, decimals) for name, kind, width, decimals in fields)


def _ofd_cell(value: Any, kind: str, width: int, decimals: int) -> bytes:
    if value is None:
        return b" " * width
    if isinstance(value, bytes):
        return value.ljust(width)
    if kind == "N":
        scaled = str(int(value * 10**decimals))
        return scaled.zfill(width).encode()
    raw = str(value).encode("gb18030")
    assert len(raw) <= width, (value, width)
    return raw.ljust(width)


def csv_text(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], *, end: str = "\n") -> str:
    """CSV with a header; a value with comma or quote is quoted; None is blank."""
    lines = [columns, *(["" if row.get(c) is None else str(row[c]) for c in columns] for row in rows)]
    return "".join(",".join(map(_quoted, line)) + end for line in lines)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"') else text
