"""Document as one HTML file: no scripts, nothing to load."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from html import escape

from selfstorm.report.document import Block, Document, FigureBlock, Paragraph, TableBlock, label, printable

# Nothing is loaded or run, whatever a text says.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
MAX_WORD = 30  # characters of a word that is not broken
MAX_UNBROKEN = 16  # characters of a cell that stays on one line: a level, a value with its unit
STYLE = """
@page { size: A4; margin: 16mm 18mm }
html { background: #eceef1; color: #1b1f24; font: 10.5pt/1.5 "Helvetica Neue", Arial, "Liberation Sans", sans-serif }
body { background: #fff; max-width: 174mm; margin: 8mm auto; padding: 16mm 18mm }
h1 { font-size: 20pt; line-height: 1.2; margin: 0 0 1mm; overflow-wrap: anywhere }
h2 { font-size: 13pt; margin: 9mm 0 2mm; padding-bottom: 1mm; border-bottom: .3mm solid #9aa3ad; break-after: avoid }
.subtitle { color: #57606a; margin: 0 0 6mm }
p { margin: 0 0 3mm; overflow-wrap: anywhere }
blockquote { margin: 0 0 3mm; padding: 1mm 4mm; border-left: .8mm solid #2f5f8f; background: #f4f7fa }
figure { margin: 4mm 0 6mm; break-inside: avoid }
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto }
figcaption, caption { font-size: 9pt; line-height: 1.4; color: #3b434b; text-align: left }
figcaption { margin-top: 2mm }
caption { caption-side: top; padding-bottom: 1.5mm }
table { border-collapse: collapse; width: 100%; margin: 3mm 0 6mm; font-size: 9pt; line-height: 1.35 }
th { text-align: left; border-bottom: .3mm solid #57606a }
th, td { padding: 1mm 3mm 1mm 0; vertical-align: top }
th { white-space: nowrap }
.long { overflow-wrap: anywhere }
.short { white-space: nowrap }
td { border-bottom: .15mm solid #d6dbe0 }
tr { break-inside: avoid }
.pairs td:first-child { width: 48mm; color: #57606a }
@media print {
  html, body { background: #fff; margin: 0; padding: 0; max-width: none }
}
""".strip()


def html_page(document: Document) -> str:
    """Write a document as HTML."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Document) -> Iterable[str]:
    labels = label(document)
    yield '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<title>{_text(document.title)}</title>\n<style>\n{STYLE}\n</style>"
    yield f'<h1>{_text(document.title)}</h1>\n<p class="subtitle">{_text(document.subtitle)}</p>'
    for section in document.sections:
        yield f"<section>\n<h2>{_text(section.heading)}</h2>"
        yield from (_block(block, labels.get(id(block), "")) for block in section.blocks)
        yield "</section>"
    yield "</html>"


def _block(block: Block, name: str) -> str:
    match block:
        case Paragraph(text, quoted):
            tag = "blockquote" if quoted else "p"
            return f"<{tag}>{_text(text)}</{tag}>"
        case FigureBlock(caption, png, width_mm):
            image = (
                f'<img alt="{name}" style="width:{width_mm:g}mm" src="data:image/png;base64,{b64encode(png).decode()}">'
            )
            return f"<figure>\n{image}\n<figcaption><b>{name}.</b> {_text(caption)}</figcaption>\n</figure>"
        case TableBlock(caption, header, rows):
            head = f"<thead>{_row(header, 'th')}</thead>" if header else ""
            body = "\n".join(_row(row, "td") for row in rows)
            kind = "" if header else ' class="pairs"'
            return f"<table{kind}>\n<caption><b>{name}.</b> {_text(caption)}</caption>\n{head}\n{body}\n</table>"


def _row(cells: Iterable[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}{_kind(cell)}>{_text(cell)}</{tag}>" for cell in cells) + "</tr>"


def _kind(cell: str) -> str:
    """Break long words, such as checksums, anywhere; short cells nowhere."""
    if max(map(len, cell.split()), default=0) > MAX_WORD:
        return ' class="long"'
    return ' class="short"' if len(cell) <= MAX_UNBROKEN else ""


def _text(text: str) -> str:
    return escape(printable(text))
