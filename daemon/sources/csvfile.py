"""CSV with a header line, strictly: known columns only, one record a line, every line ended.

Lines end in LF or CRLF, the last one too (a cut file lacks it: NotReady). A quoted field may hold delimiters and
doubled quotes but no line end, so an unclosed quote spoils its own line only (RFC 4180 allows line ends; feeds do not
need them). Header columns that the part does not map are SourceChanged unless a column without field names them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator

from daemon.errors import SourceChanged
from daemon.model.facts import BadRow, Row, Where
from daemon.model.kinds import Part
from daemon.sources.reading import NotReady, wanted
from daemon.sources.table import Table, shown

MAX_LINE = 65_536
"""Bytes of one line, and so of one field."""

BOM = b"\xef\xbb\xbf"


def open_table(content: bytes, name: str, part: Part, encoding: str, delimiter: str) -> Table:
    """The records, values as text untrimmed; bytes that are not of the encoding stay as escapes, which read as invalid.

    Line numbers are the file's. Raises NotReady when it is empty or its last line has no end, SourceChanged for
    missing, doubled or extra columns.
    """
    if not content.endswith(b"\n"):
        raise NotReady(f"{name}: last line has no line end, expected the whole file")
    body = content.removeprefix(BOM) if encoding == "utf-8" else content
    end = body.index(b"\n")
    header = _split(_clean(body[:end]), encoding, delimiter)
    if isinstance(header, str):
        raise SourceChanged(f"{name}:1: header {header}, expected column names")
    columns = tuple(header)
    extra = [c for c in columns if wanted(part) and c not in wanted(part)]
    doubled = sorted({c for c in columns if columns.count(c) > 1})
    missing = [c for c in wanted(part) if c not in columns]
    if extra or doubled or missing:
        raise SourceChanged(f"{name}:1: columns missing: {missing}, twice: {doubled}, not known: {extra}")
    rows = _rows(body, end + 1, name, columns, encoding, delimiter)
    return Table(columns=columns, shape=columns, rows=rows, records=body.count(b"\n") - 1)


def _rows(
    body: bytes, start: int, name: str, columns: tuple[str, ...], encoding: str, delimiter: str
) -> Iterator[Row | BadRow]:
    line, width, size = 1, len(columns), len(body)
    while start < size:
        end = body.index(b"\n", start)
        raw, start, line = _clean(body[start:end]), end + 1, line + 1
        cells = _split(raw, encoding, delimiter)
        if isinstance(cells, str):
            yield BadRow(Where(name, line), "", shown(raw), cells)
        elif len(cells) != width or not raw:
            yield BadRow(Where(name, line), "", f"{len(cells) if raw else 0} columns: {shown(raw)}", f"{width} columns")
        else:
            yield Row(Where(name, line), tuple(cells))


def _clean(raw: bytes) -> bytes:
    return raw.removesuffix(b"\r")


def _split(raw: bytes, encoding: str, delimiter: str) -> list[str] | str:
    """The cells of one line, or what was expected instead of it."""
    if len(raw) > MAX_LINE:
        return f"a line of at most {MAX_LINE} bytes"
    try:
        text = raw.decode(encoding, "surrogateescape")
    except UnicodeDecodeError:
        return f"{encoding} text"
    if '"' not in text:
        return text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        return "quotes closed on the same line and followed by the delimiter"
