"""OFD: data files of the fund data exchange protocol (中国结算开放式基金业务数据交换协议), e.g. file 07, fund dynamics.

Lines end in CRLF: `OFDCFDAT`, version, creator, receiver, date, summary number, file type, sender, recipient, field
count, one field name a line, record count, records of fixed width in bytes (GB18030), `OFDCFEND`. Fields are taken
by the names in the header, in any letter case, with type and width from a layout table. N(w.d) is w digits (a minus
may be first), zero-padded, its point implied d digits from the right. A record of the wrong byte count is a BadRow;
a file without its end line or with another number of records is being written (NotReady).
"""

from __future__ import annotations

import csv
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeAlias

from daemon.clock import SHANGHAI
from daemon.errors import ConfigError, SourceChanged
from daemon.model.facts import BadRow, Row, Where
from daemon.model.kinds import Part
from daemon.sources.header import day_of
from daemon.sources.reading import NotReady, wanted
from daemon.sources.table import Table, cell, shown

HEAD_WIDTHS: Mapping[str, tuple[tuple[int, ...], int]] = {
    "20": ((8, 4, 9, 9, 8, 3, 2, 8, 8, 3), 8),
    "21": ((8, 4, 9, 9, 8, 3, 2, 8, 8, 3), 8),
    "22": ((8, 8, 20, 20, 8, 8, 8, 8, 8, 8), 16),
}
"""By version: the widths of the ten lines before the field names, and of the record count. Padding may be left off."""

END = b"OFDCFEND"
DIGITS = re.compile(rb"-?[0-9]+")
MAX_FIELDS = 500


@dataclass(frozen=True, slots=True)
class OfdField:
    """One field of a layout: `type` C, A (digits as text) or N."""

    name: str
    type: str
    width: int
    decimals: int


Layout: TypeAlias = Mapping[tuple[str, str], OfdField]
"""(file type, field name in lower case) -> field."""

Reader: TypeAlias = Callable[[bytes], str | bytes]


def load_layout(extra: Path | None) -> Layout:
    """The shipped layout, and over it the rows of `extra` (same columns: file_type, name, type, width, decimals).

    Raises ConfigError with file and line of a bad row.
    """
    layout: dict[tuple[str, str], OfdField] = {}
    for path in (Path(__file__).with_name("ofd_layout.csv"), extra):
        if path is not None:
            layout.update(_layout_rows(path))
    return layout


def _layout_rows(path: Path) -> Iterator[tuple[tuple[str, str], OfdField]]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"layout {path.name}: {error}") from error
    for line, row in enumerate(csv.reader(text.splitlines()), 1):
        if line == 1 and row == ["file_type", "name", "type", "width", "decimals"]:
            continue
        good = len(row) == 5 and row[2] in ("C", "A", "N") and all(re.fullmatch("[0-9]{1,3}", n) for n in row[3:])
        if not good or not 1 <= int(row[3]) <= 999 or int(row[4]) > int(row[3]):
            raise ConfigError(f"layout {path.name}:{line}: found {row}, expected file_type,name,C|A|N,width,decimals")
        yield (row[0], row[1].lower()), OfdField(row[1], row[2], int(row[3]), int(row[4]))


@dataclass(frozen=True, slots=True)
class Head:
    """The header: `line` is the file line of the first record, `start` its byte."""

    version: str
    date: str
    fields: tuple[OfdField, ...]
    count: int
    line: int
    start: int


def open_table(content: bytes, name: str, part: Part, encoding: str, layout: Layout) -> Table:
    """The records, values as text: C and A right-trimmed, N with its point put in (blank stays blank).

    Only columns the part maps are decoded (all where it maps none), named as the layout spells them. `as_of` is the
    start of the header's date in Asia/Shanghai. Raises NotReady for a torn file, SourceChanged for another shape.
    """
    records_end = _records_end(content, name)
    head = _head(content, name, layout)
    body = content[head.start : records_end]
    records = body.removesuffix(b"\r\n").split(b"\r\n") if body else []
    if len(records) != head.count:
        raise NotReady(f"{name}: {len(records)} records, expected {head.count} by its header")
    width, lengths = sum(f.width for f in head.fields), {len(r) for r in records}
    if len(lengths) == 1 and width not in lengths:
        raise SourceChanged(f"{name}: every record has {lengths.pop()} bytes, expected {width} by the layout")
    day = day_of(head.date)
    if day is None:
        raise SourceChanged(f"{name}: date line {head.date!r}, expected YYYYMMDD")
    keep = wanted(part)
    fields = [f for f in head.fields if f.name in keep or not keep]
    return Table(
        columns=tuple(f.name for f in fields),
        shape=(f"version {head.version}", *(f"{f.name} {f.type}{f.width}.{f.decimals}" for f in head.fields)),
        rows=_rows(records, name, head, fields, encoding),
        count=head.count,
        records=len(records),
        file_date=day,
        as_of=datetime(day.year, day.month, day.day, tzinfo=SHANGHAI),
    )


def _records_end(content: bytes, name: str) -> int:
    """Where the end line begins. Raises NotReady without one, SourceChanged for other line ends."""
    text = content.removesuffix(b"\r\n").rstrip(b" ")
    if text.endswith(b"\r\n" + END):
        return len(text) - len(END)
    if content.rstrip(b"\n").endswith(b"\n" + END):
        raise SourceChanged(f"{name}: lines end in LF, expected CRLF")
    raise NotReady(f"{name}: does not end in {END.decode()}, expected the whole file")


def _head(content: bytes, name: str, layout: Layout) -> Head:
    lines = _lines(content, name)
    first = [next(lines) for _ in range(10)]
    version = first[1][0]
    if first[0][0] != "OFDCFDAT" or version not in HEAD_WIDTHS:
        found = f"{first[0][0][:20]!r} version {version[:8]!r}"
        raise SourceChanged(f"{name}: starts with {found}, expected OFDCFDAT of version {', '.join(HEAD_WIDTHS)}")
    widths, count_width = HEAD_WIDTHS[version]
    for line, ((text, size, _), most) in enumerate(zip(first, widths, strict=True), 1):
        if size > most:
            raise SourceChanged(
                f"{name}:{line}: {text!r} of {size} bytes, expected at most {most} in version {version}"
            )
    listed = range(_count(first[9][0], name, "field count", MAX_FIELDS))
    fields = _fields([next(lines)[0] for _ in listed], first[6][0], name, layout)
    text, size, start = next(lines)
    count = _count(text, name, "record count", 10**count_width)
    if size > count_width:
        raise SourceChanged(f"{name}: record count {text!r}, expected at most {count_width} digits")
    return Head(version, first[4][0], fields, count, 12 + len(fields), start)


def _lines(content: bytes, name: str) -> Iterator[tuple[str, int, int]]:
    """Header lines as (text without padding, bytes, where the next line starts)."""
    start = 0
    while (end := content.find(b"\r\n", start, start + 256)) >= 0:
        raw, start = content[start:end], end + 2
        if not raw.isascii():
            raise SourceChanged(f"{name}: header line {shown(raw)}, expected ASCII")
        yield raw.decode("ascii").strip(" "), len(raw), start
    raise SourceChanged(f"{name}: header ends early, expected names and counts, each line at most 256 bytes with CRLF")


def _count(text: str, name: str, what: str, most: int) -> int:
    if not re.fullmatch("[0-9]{1,16}", text) or int(text) > most:
        raise SourceChanged(f"{name}: {what} {text[:20]!r}, expected a number of at most {most}")
    return int(text)


def _fields(names: list[str], file_type: str, name: str, layout: Layout) -> tuple[OfdField, ...]:
    lower = [n.lower() for n in names]
    unknown = [n for n in names if (file_type, n.lower()) not in layout]
    doubled = sorted({n for n in names if lower.count(n.lower()) > 1})
    if unknown or doubled or not names:
        found = f"fields not in the layout of file {file_type}: {unknown}, twice: {doubled}"
        raise SourceChanged(f"{name}: {found}, expected the layout's names, each once")
    return tuple(layout[file_type, n] for n in lower)


def _rows(records: list[bytes], name: str, head: Head, fields: list[OfdField], encoding: str) -> Iterator[Row | BadRow]:
    kept = {f.name for f in fields}
    form = struct.Struct("".join(f"{f.width}{'s' if f.name in kept else 'x'}" for f in head.fields))
    readers = [_reader(f, encoding) for f in fields]
    for line, raw in enumerate(records, head.line):
        if len(raw) == form.size:
            values = tuple([read(value) for read, value in zip(readers, form.unpack(raw), strict=True)])
            yield Row(Where(name, line), values)
        else:
            yield BadRow(Where(name, line), "", shown(raw), f"a record of {form.size} bytes, found {len(raw)}")


def _reader(field: OfdField, encoding: str) -> Reader:
    if field.type != "N":
        return partial(cell, encoding=encoding)
    return partial(_number, decimals=field.decimals)


def _number(raw: bytes, decimals: int) -> str | bytes:
    """`0012345` with 4 decimals is `001.2345`. What is neither all digits nor blank stays bytes, so it reads as
    invalid.
    """
    if DIGITS.fullmatch(raw):
        text = raw.decode("ascii")
        return f"{text[:-decimals] or '0'}.{text[-decimals:]}" if decimals else text
    return "" if raw.isspace() and raw.count(b" ") == len(raw) else raw
