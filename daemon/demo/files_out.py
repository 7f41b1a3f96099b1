"""Writers of the sample back office's files: DBF (sjsfx), OFD (file 07), CSV, each with a flag when it is complete.

Written apart from the readers in `sources`, so that a misread layout shows as a difference. A file is written
beside its place and moved there whole; its flag (`NAME.flg` for `NAME.*`) follows last.
"""

from __future__ import annotations

import csv
import hashlib
import io
import struct
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

from daemon.demo.counter import LANDED_AT, instant

SJSFX = (
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
"""Fields of the Shenzhen issuance file: name, type, width, decimals (domain.md C1)."""

OFD_WIDTHS = (8, 4, 9, 9, 8, 3, 2, 8, 8, 3)
"""Header lines of OFD V2.0 and V2.1: identifier, version, creator, receiver, date, summary number, file type, sender,
recipient, field count. The record count has 8 digits (domain.md C2)."""

Layout = Sequence[tuple[str, str, int, int]]


def write_dbf(path: Path, fields: Layout, rows: Sequence[tuple[str, ...]], day: date) -> None:
    """dBase III, code page GBK (language byte 0x4D): a header, 32 bytes a field, 0x0D; records of blank-padded
    bytes after a deletion flag; 0x1A. N fields are text, right-aligned. Raises ValueError for a value wider than
    its field."""
    size = 1 + sum(width for _, _, width, _ in fields)
    head = 32 + 32 * len(fields) + 1
    out = io.BytesIO()
    out.write(struct.pack("<BBBBLHH17xB2x", 3, day.year - 1900, day.month, day.day, len(rows), head, size, 0x4D))
    for name, kind, width, decimals in fields:
        out.write(struct.pack("<11sc4xBB14x", name.encode("ascii"), kind.encode("ascii"), width, decimals))
    out.write(b"\r")
    for row in rows:
        out.write(b" " + b"".join(_dbf_cell(f, v) for f, v in zip(fields, row, strict=True)))
    out.write(b"\x1a")
    _place(path, out.getvalue(), len(rows), day)


def _dbf_cell(field: tuple[str, str, int, int], value: str) -> bytes:
    name, kind, width, _ = field
    raw = value.encode("gbk")
    if len(raw) > width:
        raise ValueError(f"{name}: found {len(raw)} bytes, room for {width}")
    return raw.rjust(width) if kind == "N" else raw.ljust(width)


def write_ofd_07(path: Path, layout: Layout, records: Sequence[Mapping[str, str]], day: date) -> None:
    """OFD file 07, version 2.1, GB18030, CRLF: header lines padded to `OFD_WIDTHS`, the field names, the record
    count, one record a line with widths in bytes, `OFDCFEND`. A field without a value is blank."""
    values = ("OFDCFDAT", "21", "98", "101", f"{day:%Y%m%d}", "999", "07", "", "", f"{len(layout):03d}")
    lines = [value.encode("ascii").ljust(width) for value, width in zip(values, OFD_WIDTHS, strict=True)]
    lines += [name.encode("ascii") for name, *_ in layout]
    lines.append(f"{len(records):08d}".encode("ascii"))
    lines += [b"".join(ofd_cell(field, record.get(field[0], "")) for field in layout) for record in records]
    lines.append(b"OFDCFEND")
    _place(path, b"\r\n".join(lines) + b"\r\n", len(records), day)


def ofd_cell(field: tuple[str, str, int, int], value: str) -> bytes:
    """One field: C and A left-aligned and cut between characters, N as digits with implied decimals; `1.0500` in
    N(7.4) is `0010500`. Raises ValueError for a number that does not fit or would lose decimals."""
    name, kind, width, decimals = field
    if kind == "N" and value:
        scaled = Decimal(value).scaleb(decimals)
        if scaled != int(scaled) or scaled < 0 or scaled >= 10**width:
            raise ValueError(f"{name}: found {value}, room for N({width}.{decimals})")
        return f"{int(scaled):0{width}d}".encode("ascii")
    raw = b""
    for character in value:
        more = character.encode("gb18030")
        if len(raw) + len(more) > width:
            break
        raw += more
    return raw.ljust(width)


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]], day: date) -> None:
    """UTF-8 without a mark, comma, one header line, CRLF (RFC 4180)."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(rows)
    _place(path, out.getvalue().encode("utf-8"), len(rows), day)


def _place(path: Path, content: bytes, rows: int, day: date) -> None:
    """Move the whole file into place, then write its flag, one `name=value` a line."""
    flag = path.with_suffix(".flg")
    flag.unlink(missing_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)
    said = {
        "size": str(len(content)),
        "sha256": hashlib.sha256(content).hexdigest(),
        "rows": str(rows),
        "business_date": day.isoformat(),
        "settled": "1",
        "as_of": instant(day, LANDED_AT),
    }
    flag.write_bytes("".join(f"{name}={value}\n" for name, value in said.items()).encode("ascii"))
