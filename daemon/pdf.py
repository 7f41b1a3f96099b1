"""A document as PDF: title, tables, paragraphs, page numbers. The only user of reportlab.

Chinese is set in a TrueType font that the caller names, embedded as far as it is used; without one in Adobe's STSong-Light, which
viewers bring along and no file holds (ISO 32000-1, 9.7.5): for a paper that is kept, name a font.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from daemon.errors import ConfigError

STANDARD = "STSong-Light"
MARGIN = 51.0
"""Points: 18 mm."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A section's title."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text; line feeds are kept. `small`: as a remark."""

    text: str
    small: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under heads; cells wrap. `widths`: shares of the page's width, by column."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[float, ...]


Block = Heading | Paragraph | Table


def write_pdf(out: Path, title: str, blocks: Sequence[Block], *, foot: str, font: Path | None = None) -> None:
    """Write a document on A4; `foot` stands on every page beside its number and how many there are. Raises ConfigError for a font
    that cannot be read."""
    from reportlab.lib.pagesizes import A4
    from reportlab.platypus import SimpleDocTemplate

    name = _font(font)
    margins = dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), MARGIN)
    document = SimpleDocTemplate(str(out), pagesize=A4, title=title, author="duenotice", invariant=True, **margins)
    styles = _Styles(name)
    story: list[Any] = [styles.paragraph(title, styles.title)]
    for block in blocks:
        story += styles.flow(block, A4[0] - 2 * MARGIN)
    document.build(story, canvasmaker=_numbered(name, foot))


def _font(font: Path | None) -> str:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfbase.ttfonts import TTFError, TTFont

    if font is None:
        pdfmetrics.registerFont(UnicodeCIDFont(STANDARD))
        return STANDARD
    try:
        pdfmetrics.registerFont(TTFont("named", str(font)))
    except (TTFError, OSError) as reason:
        raise ConfigError(
            f"{font}: found no font that can be embedded ({reason}), expected TrueType (.ttf, .ttc)"
        ) from None
    return "named"


class _Styles:
    def __init__(self, font: str) -> None:
        from reportlab.lib import colors
        from reportlab.lib.styles import ParagraphStyle

        text = ParagraphStyle("text", fontName=font, fontSize=9.5, leading=14, wordWrap="CJK", spaceAfter=4)
        self.text = text
        self.small = ParagraphStyle(
            "small", parent=text, fontSize=8, leading=11.5, textColor=colors.HexColor("#444444")
        )
        self.cell = ParagraphStyle("cell", parent=text, fontSize=8.2, leading=11.4, spaceAfter=0)
        self.head = ParagraphStyle("head", parent=self.cell, textColor=colors.white)
        self.title = ParagraphStyle("title", parent=text, fontSize=18, leading=25, alignment=1, spaceAfter=10)
        self.section = ParagraphStyle(
            "section", parent=text, fontSize=12.5, leading=17, spaceBefore=12, spaceAfter=5, keepWithNext=1
        )
        self.line, self.dark, self.pale = (
            colors.HexColor("#9aa5b1"),
            colors.HexColor("#2f4858"),
            colors.HexColor("#f4f6f8"),
        )

    def paragraph(self, text: str, style: Any) -> Any:
        from reportlab.platypus import Paragraph as Flowable

        return Flowable(escape(text).replace("\n", "<br/>") or "&nbsp;", style)

    def flow(self, block: Block, width: float) -> list[Any]:
        """What of reportlab a block becomes."""
        if isinstance(block, Heading):
            return [self.paragraph(block.text, self.section)]
        if isinstance(block, Paragraph):
            return [self.paragraph(block.text, self.small if block.small else self.text)]
        return self._table(block, width)

    def _table(self, table: Table, width: float) -> list[Any]:
        from reportlab.platypus import Spacer
        from reportlab.platypus import Table as Grid

        cells = [[self.paragraph(head, self.head) for head in table.heads]]
        cells += [[self.paragraph(cell, self.cell) for cell in row] for row in table.rows]
        whole = sum(table.widths)
        grid = Grid(cells, colWidths=[width * share / whole for share in table.widths], repeatRows=1, splitInRow=1)
        grid.setStyle(
            [
                ("GRID", (0, 0), (-1, -1), 0.4, self.line),
                ("BACKGROUND", (0, 0), (-1, 0), self.dark),
                ("ROWBACKGROUNDS", (0, 1), (-1, -1), [None, self.pale]),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("TOPPADDING", (0, 0), (-1, -1), 2.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
            ]
        )
        return [grid, Spacer(0, 6)]


def _numbered(font: str, foot: str) -> Any:
    """A canvas that knows how many pages there are before it writes their feet."""
    from reportlab.pdfgen.canvas import Canvas

    class Numbered(Canvas):  # type: ignore[misc]
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            self._pages: list[dict[str, Any]] = []

        def showPage(self) -> None:
            self._pages.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for number, page in enumerate(self._pages, 1):
                self.__dict__.update(page)
                self.setFont(font, 7.5)
                self.drawString(MARGIN, MARGIN - 22, foot)
                self.drawRightString(
                    self._pagesize[0] - MARGIN, MARGIN - 22, f"第 {number} 页，共 {len(self._pages)} 页"
                )
                super().showPage()
            super().save()

    return Numbered
