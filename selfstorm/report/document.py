"""Document: sections of paragraphs, figures and tables, in no format.

Every text is plain. What writes a document escapes it for its format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_CHARACTERS = 2000  # of one text, which may come from a damaged file


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph; set off from the others where it is a quotation."""

    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class TableBlock:
    """A table.

    Attributes:
        caption: What it shows; it is numbered.
        header: Names of the columns; () for pairs of a name and a value.
        rows: Texts.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class FigureBlock:
    """A figure.

    Attributes:
        caption: What it shows; it is numbered.
        png: The image.
        width_mm: Of the image on the page.
    """

    caption: str
    png: bytes
    width_mm: float = 174.0


Block = Paragraph | TableBlock | FigureBlock


@dataclass(frozen=True, slots=True)
class DocumentSection:
    """A section with its heading."""

    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A whole document."""

    title: str
    subtitle: str
    sections: tuple[DocumentSection, ...]


def label(document: Document) -> dict[int, str]:
    """Count the figures and tables, each from 1.

    Returns:
        'Figure 1' and so on, by the identity of the block.
    """
    counts: dict[type[Block], int] = {}
    labels = {}
    for section in document.sections:
        for block in section.blocks:
            if not isinstance(block, Paragraph):
                counts[type(block)] = counts.get(type(block), 0) + 1
                labels[id(block)] = f"{type(block).__name__.removesuffix('Block')} {counts[type(block)]}"
    return labels


def printable(text: object) -> str:
    """Return a text on one line, without control characters."""
    line = " ".join(str(text).split())
    shown = "".join(character for character in line if character.isprintable())
    return shown if len(shown) <= MAX_CHARACTERS else f"{shown[:MAX_CHARACTERS]}…"


def pairs(caption: str, rows: Sequence[tuple[str, object]]) -> TableBlock:
    """Make a table of names and values; values that are empty are left out."""
    known = ((name, printable(value)) for name, value in rows if value not in (None, ""))
    return TableBlock(caption, (), tuple((name, text) for name, text in known if text))
