"""First window of a field: its duration, and the mean shown meanwhile.

Camera, optics and density are learned from it. On a large field and a slow machine that takes minutes.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch

from daemon.health import Health
from daemon.protocol.messages import MAX_LISTED_MISSING, PictureHeader
from daemon.transport.publisher import Picture
from selfstorm.frames import Array, Window
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.model_kinds import new_model
from selfstorm.stream.processing_level import ProcessingLevel
from selfstorm.stream.settings import Settings

PROBE_SIDE_PX, PROBE_FRAMES = 32, 20
MIN_PROBES = 16  # a first window with less work than so many probes takes a few seconds at most
NOTE = "not super-resolved: the mean of the camera's frames, until the first density in about {seconds:.0f} s"
DENSITY = ProcessingLevel("preview", "density", "fast")


def estimate_s(settings: Settings, window: Window, device: torch.device) -> float:
    """Estimate the seconds until the first density of a field.

    A small part of the window, and half of that part, are reconstructed and timed: time grows along the line through
    both, over pixels times frames.

    Args:
        settings: of the stream.
        window: the first one.
        device: prepared for computation.

    Returns:
        0 for a small field, which takes no longer than the estimate itself.
    """
    field = window.info.height * window.info.width * len(window.frames)
    part = _middle(window)
    if field < MIN_PROBES * part.size:
        return 0.0
    half = part[:, : part.shape[1] // 2]
    try:
        _reconstruct(settings, half, device)  # untimed: libraries are loaded meanwhile
        half_s, part_s = (_reconstruct(settings, probe, device) for probe in (half, part))
    except Exception:  # what is wrong is reported when the whole window is reconstructed
        return 0.0
    return part_s + max(part_s - half_s, 0.0) * (field - part.size) / (part.size - half.size)


def _reconstruct(settings: Settings, frames: Array, device: torch.device) -> float:
    """Reconstruct the density of frames (T, H, W); return the seconds it took."""
    started_s, span = time.perf_counter(), WindowSpan(np.arange(len(frames)), 0, len(frames))
    model = new_model(replace(settings, estimate="density"), frames, Compute(device))
    model.ingest(frames, span)
    model.picture(span, DENSITY)
    return time.perf_counter() - started_s


def mean_of(window: Window, settings: Settings, health: Health, now_unix_ns: int, seconds: float) -> Picture:
    """Make the mean of a window's frames, shown until the first density.

    Args:
        window: the first one.
        settings: of the stream.
        health: account at this moment.
        now_unix_ns: time of publication.
        seconds: estimate of the wait.

    Returns:
        Header and pixels, (H, W) float32 ADU. Its scale is 1: it is not super-resolved, and says so.
    """
    mean = np.mean([frame.pixels for frame in window.frames], 0, dtype=np.float64)
    pixels: Array = np.asarray(np.nan_to_num(mean), np.float32)  # frames of floats may hold what is no number
    frames, windows = health.counts()
    header = PictureHeader(
        run=health.run,
        window=window.index,
        stream=window.info.stream,
        shape=(window.info.height, window.info.width),
        region=window.region,
        pixel_nm=settings.pixel_nm,
        first_seq=window.first_seq,
        last_seq=window.last_seq,
        frames=len(window.frames),
        missing=len(window.missing),
        missing_seqs=window.missing[:MAX_LISTED_MISSING],
        estimate="mean",
        effort="mean",
        grade="preview",
        state="cold",
        model="none yet",
        optics="being learned",
        camera="being learned",
        published_unix_ns=now_unix_ns,
        notes=(NOTE.format(seconds=seconds),),
        frame_counts=frames,
        window_counts=windows,
    )
    return header, pixels


def _middle(window: Window) -> Array:
    """Cut (T, H, W) out of the middle of a window's first frames."""
    rows, columns = (
        slice(max(0, (side - PROBE_SIDE_PX) // 2), max(0, (side - PROBE_SIDE_PX) // 2) + PROBE_SIDE_PX)
        for side in (window.info.height, window.info.width)
    )
    return np.stack([frame.pixels[rows, columns] for frame in window.frames[:PROBE_FRAMES]])
