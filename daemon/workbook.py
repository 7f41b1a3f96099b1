"""xlsx workbooks out: the only user of xlsxwriter. Pure: sheets in, bytes out; the same sheets give the same bytes.

Every text is written as a text, whatever it begins with: no cell becomes a formula or a link, and one that a spreadsheet
program would take for a formula when it is typed in again or saved as CSV (`= + - @`, a tab, a carriage return, also
full-width) carries the quote prefix of that format.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import xlsxwriter

Cell = str | int | Decimal | None

_FORMULA = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")
_MADE = datetime(2000, 1, 1)  # noqa: DTZ001  xlsx knows no zones; a fixed moment, so that equal sheets are equal bytes
_WIDEST = 60


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet: its name (at most 31 characters), heads, rows; a row has one cell a head."""

    name: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def workbook(sheets: Sequence[Sheet]) -> bytes:
    """The bytes of an xlsx file. Decimals are written as texts: the format knows binary floats only, and a figure that
    binds the firm is not rounded by its table."""
    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(out, options) as book:
        book.set_properties({"created": _MADE})
        head = book.add_format({"bold": True, "bottom": 1})
        quoted = book.add_format({"quote_prefix": True})
        for sheet in sheets:
            page = book.add_worksheet(sheet.name)
            page.freeze_panes(1, 0)
            page.write_row(0, 0, sheet.heads, head)
            for at, row in enumerate(sheet.rows, 1):
                for column, cell in enumerate(row):
                    if isinstance(cell, int) and not isinstance(cell, bool):
                        page.write_number(at, column, cell)
                    elif cell is not None:
                        text = str(cell)
                        page.write_string(at, column, text, quoted if text.startswith(_FORMULA) else None)
            for column, name in enumerate(sheet.heads):
                longest = max([len(name), *(len(str(row[column] or "")) for row in sheet.rows[:200])])
                page.set_column(column, column, min(longest * 1.6 + 2, _WIDEST))
            if sheet.rows:
                page.autofilter(0, 0, len(sheet.rows), len(sheet.heads) - 1)
    return out.getvalue()
