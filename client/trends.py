"""What each window said of itself, kept longer than its picture, for the plots over time. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from client.pictures import Pair

MAX_SAMPLES = 5000


@dataclass(frozen=True, slots=True)
class Sample:
    """One window. at_s: when it was first shown. skipped: windows skipped in its run until then."""

    number: int
    at_s: float
    misfit: float | None
    emitters_per_frame: float | None
    preview_ms: float | None
    refined_ms: float | None
    skipped: int


def with_window(trend: tuple[Sample, ...], number: int, pair: Pair) -> tuple[Sample, ...]:
    """The trend with a new window, or with the refined picture of one whose preview it knows."""
    header = pair.sr.header
    if trend and trend[-1].number >= number:
        known = [
            replace(
                one, misfit=header.misfit, emitters_per_frame=header.emitters_per_frame, refined_ms=header.latency_ms
            )
            if one.number == number
            else one
            for one in trend
        ]
        return tuple(known)
    preview_ms, refined_ms = (header.latency_ms, None) if pair.sr.preview else (None, header.latency_ms)
    skipped = header.window_counts.skipped
    new = Sample(number, pair.at_s, header.misfit, header.emitters_per_frame, preview_ms, refined_ms, skipped)
    return (*trend, new)[-MAX_SAMPLES:]
