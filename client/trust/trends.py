"""What each window said of itself, kept longer than its picture, for the plots over time. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from client.picture.pictures import Pair
from daemon.protocol.messages import PictureHeader

MAX_SAMPLES = 5000


@dataclass(frozen=True, slots=True)
class Sample:
    """One window. at_s: when it was first shown. skipped: windows skipped in its run until then.

    What is said of quality is of the refined picture: a preview is less, and would make every window look bad at first.
    """

    number: int
    at_s: float
    misfit: float | None
    resolution_nm: float | None
    agreement: float | None
    emitters_per_frame: float | None
    preview_ms: float | None
    refined_ms: float | None
    skipped: int


def with_window(trend: tuple[Sample, ...], number: int, pair: Pair) -> tuple[Sample, ...]:
    """The trend with a new window, or with the refined picture of one whose preview it knows."""
    header = pair.sr.header
    if trend and trend[-1].number >= number:
        return tuple(_refined(one, header) if one.number == number else one for one in trend)
    new = Sample(
        number,
        pair.at_s,
        misfit=None,
        resolution_nm=None,
        agreement=None,
        emitters_per_frame=None,
        preview_ms=header.latency_ms if pair.sr.preview else None,
        refined_ms=None,
        skipped=header.window_counts.skipped,
    )
    return (*trend, new if pair.sr.preview else _refined(new, header))[-MAX_SAMPLES:]


def _refined(known: Sample, header: PictureHeader) -> Sample:
    return replace(
        known,
        misfit=header.misfit,
        resolution_nm=header.resolution_nm,
        agreement=header.agreement,
        emitters_per_frame=header.emitters_per_frame,
        refined_ms=header.latency_ms,
    )


def last_known(trend: tuple[Sample, ...], name: str) -> float | None:
    """The last value that was named: a preview may name none, and what was known stands until its refined picture."""
    return next((value for one in reversed(trend) if (value := getattr(one, name)) is not None), None)
