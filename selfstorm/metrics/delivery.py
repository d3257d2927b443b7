"""Metrics of a picture's delivery: latency and missing frames."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delivery:
    """Times and frames of one published picture.

    Args:
        last_frame_unix_ns: When the window's last frame arrived.
        published_unix_ns: When the picture was published.
        frames: Frames of the window that arrived.
        missing: Frames of the window that never did.
    """

    last_frame_unix_ns: int
    published_unix_ns: int
    frames: int
    missing: int


def latency_ms(delivery: Delivery) -> float:
    """Measure the time from the window's last frame to the picture, ms."""
    return (delivery.published_unix_ns - delivery.last_frame_unix_ns) / 1e6


def missing_share(delivery: Delivery) -> float:
    """Measure the share of the window's frames that never arrived, 0..1."""
    return delivery.missing / max(delivery.frames + delivery.missing, 1)
