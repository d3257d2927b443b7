"""Pages of a TIFF that are no frame of the movie, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from selfstorm.io.tiff_pages import PageKind, kind_of, usual_kind

Index = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Pages that are no frames of the movie, and why.

    pages: counted from 0 in their file.
    """

    file: str
    pages: tuple[int, ...]
    why: str

    def __str__(self) -> str:
        named = f"page{'s' * (len(self.pages) > 1)} {ranges(self.pages)}"
        return f"{self.file}: {named} left out: {self.why}"


def ranges(numbers: Iterable[int]) -> str:
    """Write numbers as ranges: 3, 5-9."""
    ordered = sorted(numbers)
    starts = [ordered[0]] + [later for sooner, later in pairwise(ordered) if later != sooner + 1]
    ends = [sooner for sooner, later in pairwise(ordered) if later != sooner + 1] + [ordered[-1]]
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))


def left_out(file: str, pages: Sequence[int], kinds: Sequence[PageKind], usual: PageKind) -> list[LeftOut]:
    """Name the pages that are not of the usual kind, by the difference."""
    reasons: dict[str, list[int]] = {}
    for page, kind in zip(pages, kinds, strict=True):
        if kind != usual:
            reasons.setdefault(usual.differences(kind), []).append(page)
    return [LeftOut(file, tuple(numbers), why) for why, numbers in reasons.items()]


def keep_usual(pages: dict[Index, Any], named: list[LeftOut], number: Mapping[int, tuple[str, int]]) -> None:
    """Leave out the pages of another kind than most, by name."""
    if not pages:
        return
    kinds = {place: kind_of(page) for place, page in pages.items()}
    usual = usual_kind(list(kinds.values()))
    others: dict[str, list[Index]] = {}
    for place, kind in kinds.items():
        if kind != usual:
            others.setdefault(number[id(pages[place])][0], []).append(place)
    for file, places in others.items():
        named += left_out(file, [number[id(pages[p])][1] for p in places], [kinds[p] for p in places], usual)
        for place in places:
            del pages[place]
