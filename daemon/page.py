"""One HTML page that stands alone: tables and texts for reading and for printing on A4. Pure.

All text is escaped; the page loads nothing and runs nothing (its policy forbids scripts and every address).
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_STYLE = """
@page { size: A4; margin: 15mm }
body { font: 14px/1.5 "Noto Sans SC", "Microsoft YaHei", sans-serif; color: #1b1b1b; max-width: 72em; margin: 2em auto }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 1.6em }
table { border-collapse: collapse; width: 100%; margin: .6em 0 } thead { display: table-header-group }
tr { break-inside: avoid } th, td { text-align: left; padding: .25em .7em; border-bottom: 1px solid #ddd; vertical-align: top }
th { border-bottom: 2px solid #888 } td.number { text-align: right; font-variant-numeric: tabular-nums }
tr.finding td { background: #fdecea } p.finding { background: #fdecea; padding: .5em .8em; border-left: 4px solid #c0392b }
pre { white-space: pre-wrap; background: #f6f6f6; padding: .6em; border-radius: .4em }
footer { color: #666; margin-top: 2em; font-size: .85em }
@media print { body { margin: 0; font-size: 10.5pt } }
"""


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], findings: Sequence[int] = ()) -> str:
    """A table; whole numbers stand to the right, the rows numbered in `findings` are marked."""
    marked = set(findings)
    lines = ["<table><thead><tr>", *(f"<th>{escape(head)}</th>" for head in heads), "</tr></thead><tbody>"]
    for at, row in enumerate(rows):
        lines.append('<tr class="finding">' if at in marked else "<tr>")
        lines += [_cell(cell) for cell in row]
        lines.append("</tr>")
    return "".join([*lines, "</tbody></table>"])


def _cell(cell: object) -> str:
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f'<td class="number">{cell:,}</td>'
    return f"<td>{'' if cell is None else escape(str(cell))}</td>"


def heading(text: str) -> str:
    """A heading of a section."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str, *, finding: bool = False) -> str:
    """A paragraph; a finding is marked."""
    return f'<p class="finding">{escape(text)}</p>' if finding else f"<p>{escape(text)}</p>"


def verbatim(text: str) -> str:
    """A text with its line breaks, as a card is shown."""
    return f"<pre>{escape(text)}</pre>"


def page(title: str, body: Sequence[str], footer: str = "", lang: str = "zh-CN") -> str:
    """The page; `body` holds what the functions of this module gave."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return "\n".join(
        [
            f'<!doctype html><html lang="{escape(lang)}"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            *body,
            f"<footer>{escape(footer)}</footer></body></html>",
        ]
    )
