"""Metrics of each window, kept longer than its picture. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from client.picture.pictures import PicturePair
from daemon.protocol.messages import PictureHeader

MAX_SAMPLES = 5000


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One window.

    Args:
        number: In the viewer's history.
        at_s: When it was first shown.
        skipped: Windows of its run that were skipped until then.
        preview_ms: Latency of its preview; None where there was none.
        refined: Header of its refined picture; None until that comes. The quality of a preview is not a window's.
    """

    number: int
    at_s: float
    skipped: int
    preview_ms: float | None = None
    refined: PictureHeader | None = None

    @property
    def metrics(self) -> Mapping[str, float]:
        """Metrics of the refined picture by key; empty until it comes."""
        return self.refined.metrics if self.refined else {}


@dataclass(frozen=True, slots=True)
class Trend:
    """Samples, oldest first, and the keys of all metrics ever measured."""

    samples: tuple[TrendPoint, ...] = ()
    keys: frozenset[str] = field(default_factory=frozenset)

    def with_window(self, number: int, pair: PicturePair) -> Trend:
        """Add a new window, or the refined picture of one whose preview is known."""
        header, preview = pair.sr.header, pair.sr.preview
        refined = None if preview else _compact(header)
        if self.samples and self.samples[-1].number >= number:
            samples = tuple(replace(one, refined=refined) if one.number == number else one for one in self.samples)
        else:
            preview_ms = header.metrics.get("latency_ms") if preview else None
            new = TrendPoint(number, pair.at_s, header.window_counts.skipped, preview_ms, refined)
            samples = (*self.samples, new)[-MAX_SAMPLES:]
        return Trend(samples, self.keys if preview else self.keys | set(header.metrics))

    def last_refined(self, number: int, count: int) -> tuple[PictureHeader, ...]:
        """Return up to `count` refined headers until `number`, oldest first."""
        newest_first = (one.refined for one in reversed(self.samples) if one.number <= number and one.refined)
        return tuple(islice(newest_first, count))[::-1]


def _compact(header: PictureHeader) -> PictureHeader:
    """Drop what takes memory: thousands of headers are kept."""
    return header.model_copy(update={"missing_seqs": (), "notes": (), "stage_ms": {}})
