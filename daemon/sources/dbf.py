"""DBF: a strict reader of dBase III tables (and Visual FoxPro's variant) by slices of fixed width.

Layout: byte 0 version, 1-3 date of last change (year, month, day), 4-7 record count, 8-9 header length, 10-11 record
length (little-endian); from byte 32 a 32-byte descriptor per field (name 0-10, type 11, width 16, decimals 17, flags
18), ended by 0x0D; then records of a deletion flag (blank: live, '*': deleted) and the fields; then at most one
0x1A. The file's size must be exactly what the header says: shorter or longer is a file being written (NotReady). The
code page byte is not believed (usually wrong or empty); the encoding is the source's setting.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

from daemon.errors import SourceChanged
from daemon.model.facts import BadRow, Row, Where
from daemon.model.kinds import Part
from daemon.sources.reading import NotReady, wanted
from daemon.sources.table import Table, shown

VERSIONS = {0x03: "dBase III", 0x30: "Visual FoxPro", 0x31: "Visual FoxPro, autoincrement"}
NAME = re.compile(rb"([A-Za-z_][A-Za-z0-9_]{0,9})\x00[\x00-\xff]*|([A-Za-z_][A-Za-z0-9_]{10})")
WIDTHS: Mapping[str, range] = {
    "C": range(1, 255),
    "N": range(1, 33),
    "D": range(8, 9),
    "L": range(1, 2),
    "0": range(1, 33),
}
"""Types read, with the widths they may have; '0' is FoxPro's hidden column of null bits."""
NULL_BITS = "_NULLFLAGS"
MAX_FIELDS = 255

Reader: TypeAlias = Callable[[bytes], str | bytes]
Cells: TypeAlias = tuple[str | bytes | None, ...]


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field descriptor."""

    name: str
    type: str
    width: int
    decimals: int
    nullable: bool


@dataclass(frozen=True, slots=True)
class Head:
    """The header: `start` is where records begin."""

    changed: date | None
    count: int
    start: int
    width: int
    fields: tuple[FieldSpec, ...]


def open_table(content: bytes, name: str, part: Part, encoding: str) -> Table:
    """The live records, values as text: C right-trimmed, N trimmed, D as 8 digits, L as T, F or blank.

    Only columns the part maps are decoded (all where it maps none). Raises NotReady for a torn file, SourceChanged for
    another shape.
    """
    head = read_head(content, name)
    end = head.start + head.count * head.width
    if content[end:] not in (b"", b"\x1a") or len(content) < end:
        raise NotReady(f"{name}: {len(content)} bytes, expected {end} for {head.count} records by its header")
    body = memoryview(content)[head.start : end]
    deleted = bytes(body[:: head.width]).count(b"*") if head.count else 0
    keep = wanted(part)
    fields = [f for f in head.fields if f.type != "0" and (f.name in keep or not keep)]
    return Table(
        columns=tuple(f.name for f in fields),
        shape=tuple(f"{f.name} {f.type}{f.width}.{f.decimals}" for f in head.fields),
        rows=_rows(body, name, head, fields, encoding),
        count=head.count - deleted,
        records=head.count - deleted,
        deleted=deleted,
        file_date=head.changed,
    )


def read_head(content: bytes, name: str) -> Head:
    """The header, every bound of it checked. Raises NotReady when it is cut, SourceChanged when it is no such table."""
    if len(content) < 33:
        raise NotReady(f"{name}: {len(content)} bytes, expected a header of at least 33")
    version, year, month, day, count, start, width = struct.unpack_from("<BBBBIHH", content)
    if version not in VERSIONS:
        raise SourceChanged(f"{name}: version byte 0x{version:02x}, expected 0x03, 0x30 or 0x31")
    if len(content) < start:
        raise NotReady(f"{name}: {len(content)} bytes, expected a header of {start}")
    fields = _fields(content[32:start], name)
    total = 1 + sum(f.width for f in fields)
    if total != width:
        raise SourceChanged(f"{name}: record length {width}, expected {total}, the sum of its fields")
    return Head(_date(year, month, day), count, start, width, fields)


def _fields(block: bytes, name: str) -> tuple[FieldSpec, ...]:
    end = next((i for i in range(0, len(block), 32) if block[i : i + 1] == b"\r"), -1)
    if not 32 <= end <= MAX_FIELDS * 32:
        raise SourceChanged(f"{name}: field list without its end mark 0x0d, expected 1..{MAX_FIELDS} fields")
    fields = tuple(_field(block[i : i + 32], name) for i in range(0, end, 32))
    names = [f.name for f in fields]
    if len(set(names)) != len(names):
        raise SourceChanged(f"{name}: field names twice: {sorted({n for n in names if names.count(n) > 1})}")
    return fields


def _field(raw: bytes, name: str) -> FieldSpec:
    found, kind, width = NAME.fullmatch(raw[:11]), chr(raw[11]), raw[16]
    if found is None:
        raise SourceChanged(f"{name}: field name bytes {shown(raw[:11])}, expected letters, digits and _")
    text = (found[1] or found[2]).decode("ascii")
    if width not in WIDTHS.get(kind, ()) or raw[17] >= width or (kind == "0") != (text == NULL_BITS):
        raise SourceChanged(f"{name}: field {text} is {kind!r}({width}.{raw[17]}), expected C, N, D or L in its bounds")
    return FieldSpec(text, kind, width, raw[17], bool(raw[18] & 0x02))


def _date(year: int, month: int, day: int) -> date | None:
    """The date of last change: years count from 1900, and many writers store them modulo 100 (24 is 2024)."""
    try:
        return date(year + (1900 if year >= 80 else 2000), month, day)
    except ValueError:
        return None


def _rows(body: memoryview, name: str, head: Head, fields: list[FieldSpec], encoding: str) -> Iterator[Row | BadRow]:
    kept = {f.name for f in fields} | {NULL_BITS}
    form = "<1s" + "".join(f"{f.width}{'s' if f.name in kept else 'x'}" for f in head.fields)
    readers = [_reader(f.type, encoding) for f in fields]
    nulls = _null_bits(head.fields, fields)
    for line, (flag, *cells) in enumerate(struct.iter_unpack(form, body), 1):
        if flag == b" ":
            values: Cells = tuple([read(raw) for read, raw in zip(readers, cells, strict=False)])
            if nulls:
                bits = int.from_bytes(cells[-1], "little")
                values = tuple([None if bits & mask else v for mask, v in zip(nulls, values, strict=True)])
            yield Row(Where(name, line), values)
        elif flag != b"*":
            yield BadRow(Where(name, line), "", shown(flag), "a deletion flag, blank or *")


def _null_bits(all_fields: tuple[FieldSpec, ...], kept: list[FieldSpec]) -> list[int]:
    """For each kept field its bit in FoxPro's hidden last column, 0 for one that cannot be null; empty without the
    column.
    """
    if all_fields[-1].type != "0":
        return []
    nullable = [f.name for f in all_fields if f.nullable and f.type != "0"]
    return [1 << nullable.index(f.name) if f.name in nullable else 0 for f in kept]


def _reader(kind: str, encoding: str) -> Reader:
    return {"C": _characters(encoding), "N": _number, "D": _number, "L": _logical}[kind]


def _characters(encoding: str) -> Reader:
    """Right padding (blanks, NULs) off; bytes of another encoding stay bytes."""

    def read(raw: bytes) -> str | bytes:
        try:
            return raw.decode(encoding).rstrip(" \x00")
        except UnicodeDecodeError:
            return raw

    return read


def _number(raw: bytes) -> str | bytes:
    return raw.strip(b" \x00").decode("ascii") if raw.isascii() else raw


def _logical(raw: bytes) -> str | bytes:
    found = {b"T": "T", b"t": "T", b"Y": "T", b"y": "T", b"F": "F", b"f": "F", b"N": "F", b"n": "F", b" ": "", b"?": ""}
    return found.get(raw, raw)
