"""Document as PDF of A4 pages, by ReportLab (extra `report`)."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from selfstorm.errors import InputError
from selfstorm.report.document import (
    Block,
    Document,
    DocumentSection,
    FigureBlock,
    Paragraph,
    TableBlock,
    label,
    printable,
)

MARGIN_MM, HEAD_MM = 18.0, 16.0
TEXT_MM, NAME_MM, MAX_FIGURE_MM = 169.7, 42.0, 215.0
MIN_SECTION_PT, MIN_TABLE_PT = 110, 80  # left on a page, or a section or a table begins on the next
INK, DIM, LINE, ACCENT = "#1b1f24", "#57606a", "#d6dbe0", "#2f5f8f"
REGULAR, BOLD = "DejaVuSans", "DejaVuSans-Bold"  # they come with matplotlib, and have every letter and unit


def write_pdf(document: Document, path: Path) -> None:
    """Write a document as PDF.

    Raises:
        InputError: ReportLab is not installed.
    """
    try:
        from reportlab.lib.pagesizes import A4
        from reportlab.lib.units import mm
        from reportlab.platypus import SimpleDocTemplate
    except ImportError:
        raise InputError("needs ReportLab", where="--pdf", hint='pip install "selfstorm[report]"') from None
    _register_fonts()
    title = printable(document.title)

    def foot(canvas: Any, pages: Any) -> None:
        canvas.setFont(REGULAR, 7)
        canvas.setFillColor(DIM)
        canvas.drawString(MARGIN_MM * mm, 9 * mm, title[:100])
        canvas.drawRightString(A4[0] - MARGIN_MM * mm, 9 * mm, f"page {pages.page}")

    side, head = MARGIN_MM * mm, HEAD_MM * mm
    margins = {"leftMargin": side, "rightMargin": side, "topMargin": head, "bottomMargin": head}
    pages = SimpleDocTemplate(str(path), pagesize=A4, title=title, author="selfstorm", **margins)
    pages.build(list(_flowables(document)), onFirstPage=foot, onLaterPages=foot)


def _register_fonts() -> None:
    import matplotlib
    from reportlab.pdfbase.pdfmetrics import registerFont, registerFontFamily
    from reportlab.pdfbase.ttfonts import TTFont

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name in (REGULAR, BOLD):
        registerFont(TTFont(name, str(folder / f"{name}.ttf")))
    registerFontFamily(REGULAR, normal=REGULAR, bold=BOLD, italic=REGULAR, boldItalic=BOLD)


def _style(size: float, **more: Any) -> Any:
    from reportlab.lib.styles import ParagraphStyle

    plain = {"fontName": REGULAR, "fontSize": size, "leading": 1.45 * size, "textColor": INK, "splitLongWords": 1}
    return ParagraphStyle("text", **{**plain, **more})


def _flowables(document: Document) -> Iterator[Any]:
    from reportlab.platypus import CondPageBreak
    from reportlab.platypus import Paragraph as Text

    labels = label(document)
    yield Text(_text(document.title), _style(17, fontName=BOLD, leading=21))
    yield Text(_text(document.subtitle), _style(8.5, textColor=DIM, spaceBefore=3, spaceAfter=8))
    heading = _style(11.5, fontName=BOLD, spaceBefore=12, spaceAfter=5)
    for section in document.sections:
        yield CondPageBreak(_needed(section))
        yield Text(_text(section.heading), heading)
        for block in section.blocks:
            yield from _block(block, labels.get(id(block), ""))


def _needed(section: DocumentSection) -> float:
    """Return the room that a section's heading needs below it, in points."""
    from reportlab.lib.units import mm
    from reportlab.lib.utils import ImageReader

    first = section.blocks[0]
    if not isinstance(first, FigureBlock):
        return MIN_SECTION_PT
    wide, high = ImageReader(BytesIO(first.png)).getSize()
    return float(MIN_SECTION_PT + TEXT_MM * mm * high / wide)


def _block(block: Block, name: str) -> Iterator[Any]:
    from reportlab.lib.units import mm
    from reportlab.lib.utils import ImageReader
    from reportlab.platypus import CondPageBreak, Image, KeepTogether
    from reportlab.platypus import Paragraph as Text

    caption_style = _style(7.5, textColor="#3b434b", spaceBefore=4, spaceAfter=10)
    match block:
        case Paragraph(text, quoted):
            bar = {"leftIndent": 8, "borderPadding": (4, 4, 4, 8), "backColor": "#f4f7fa"} if quoted else {}
            yield Text(_text(text), _style(8.5, spaceAfter=9 if quoted else 6, spaceBefore=3 if quoted else 0, **bar))
        case FigureBlock(caption, png, width_mm):
            wide, high = ImageReader(BytesIO(png)).getSize()
            width = min(width_mm, TEXT_MM, MAX_FIGURE_MM * wide / high) * mm
            image = Image(BytesIO(png), width, width * high / wide)
            yield KeepTogether([image, Text(f"<b>{name}.</b> {_text(caption)}", caption_style)])
        case TableBlock():
            yield CondPageBreak(MIN_TABLE_PT)
            yield Text(f"<b>{name}.</b> {_text(block.caption)}", _style(7.5, spaceAfter=3))
            yield _table(block)


def _table(table: TableBlock) -> Any:
    from reportlab.lib.units import mm
    from reportlab.platypus import LongTable, TableStyle
    from reportlab.platypus import Paragraph as Text

    cell, name, head = _style(7.5), _style(7.5, textColor=DIM), _style(7.5, fontName=BOLD)
    rows = [[Text(_text(text), head) for text in table.header]] if table.header else []
    for row in table.rows:
        first = name if not table.header else cell
        rows.append([Text(_text(text), first if place == 0 else cell) for place, text in enumerate(row)])
    columns = len(table.header) or 2
    widths = [TEXT_MM / columns] * columns if table.header else [NAME_MM, TEXT_MM - NAME_MM]
    if table.header:
        widths = _widths(table)
    lines: list[Any] = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
    ]
    if table.header:
        lines.append(("LINEBELOW", (0, 0), (-1, 0), 0.8, DIM))
    made = LongTable(
        rows or [[Text("none", cell)] * columns], [width * mm for width in widths], repeatRows=bool(table.header)
    )
    made.setStyle(TableStyle(lines))
    made.spaceAfter = 10
    return made


def _widths(table: TableBlock) -> list[float]:
    """Divide the width of the page by the length of the columns' texts."""
    longest = [max(map(len, column)) for column in zip(table.header, *table.rows, strict=True)]
    weights = [min(max(length, 6), 60) ** 0.8 for length in longest]
    return [TEXT_MM * weight / sum(weights) for weight in weights]


def _text(text: str) -> str:
    return escape(printable(text))
