"""Headers of the published pictures."""

from __future__ import annotations

import math
from typing import Any

from daemon.health import Health
from daemon.processing.reconstructor import WindowResult
from daemon.protocol.findings import GRADE_SENTENCES
from daemon.protocol.messages import MAX_LISTED_MISSING, Grade, PictureHeader
from daemon.stopwatch import Stopwatch
from selfstorm.frames import Array, Window
from selfstorm.metrics.delivery import Delivery
from selfstorm.metrics.registry import METRICS
from selfstorm.reconstruction import NO_UNIT, PICTURE_UNIT, Reconstruction
from selfstorm.stream.accumulation import Accumulation
from selfstorm.stream.processing_level import ProcessingLevel
from selfstorm.stream.settings import Settings

REPEATED = "The frames come again, so nothing more is accumulated: the same frames twice would claim any resolution"


def header_of(
    window: Window,
    made: WindowResult,
    settings: Settings,
    health: Health,
    stopwatch: Stopwatch,
    *,
    device: str,
    now_unix_ns: int,
) -> PictureHeader:
    """Describe a window's picture, published now."""
    result, level = made.result, made.level
    notes = list(result.notes)
    if level.name not in ("full", "preview"):
        notes.append(GRADE_SENTENCES[grade_of(level)][1].format(level.name).rstrip("."))
    if window.missing:
        notes.append(f"{len(window.missing)} of its {window.last_seq - window.first_seq + 1} frames never arrived")
    shape: Any = result.picture.shape
    frames, windows = health.counts()
    delivery = Delivery(window.frames[-1].received_unix_ns, now_unix_ns, len(window.frames), len(window.missing))
    return PictureHeader(
        run=health.run,
        window=window.index,
        stream=window.info.stream,
        shape=shape,
        region=window.region,
        pixel_nm=settings.pixel_nm / result.scale,
        scale=result.scale,
        first_seq=window.first_seq,
        last_seq=window.last_seq,
        frames=result.frames,
        missing=len(window.missing),
        missing_seqs=window.missing[:MAX_LISTED_MISSING],
        estimate=result.estimate,
        unit=result.unit,
        effort=level.name,
        grade=grade_of(level),
        state=made.state,
        model=f"{settings.model}, {result.iterations} iterations",
        model_hash=made.model_hash,
        memory=result.memory,
        motion=result.motion,
        optics=result.optics,
        camera=result.camera,
        device=device,
        fine_tuning=str(result.fit or ""),
        metrics={**result.metrics, **METRICS.measure("delivery", delivery)},
        stage_ms=stopwatch.milliseconds,
        published_unix_ns=now_unix_ns,
        notes=tuple(notes),
        frame_counts=frames,
        window_counts=windows,
    )


def raw_header_of(header: PictureHeader, result: Reconstruction) -> PictureHeader:
    """Describe the mean of the same camera frames."""
    shape: Any = result.raw_mean.shape
    pixel_nm = header.pixel_nm * result.scale if header.pixel_nm else None
    own = {
        "shape": shape,
        "pixel_nm": pixel_nm,
        "scale": 1,
        "estimate": "mean",
        "unit": "ADU",
        "metrics": {key: value for key, value in header.metrics.items() if key not in result.metrics},
    }
    return header.model_copy(update=own)


def maps_of(header: PictureHeader, result: Reconstruction) -> dict[str, tuple[PictureHeader, Array]]:
    """Describe the maps of a picture by kind; those that there are."""
    seen = raw_header_of(header, result)
    maps = {
        "quality": ("error map", PICTURE_UNIT, result.error_map),
        "trust": ("trust map", NO_UNIT, result.trust_map),
    }
    return {
        kind: (seen.model_copy(update={"estimate": estimate, "unit": unit, "metrics": header.metrics}), pixels)
        for kind, (estimate, unit, pixels) in maps.items()
        if pixels is not None
    }


def accumulated_of(header: PictureHeader, accumulation: Accumulation) -> tuple[PictureHeader, Array] | None:
    """Describe the picture of all frames of a scene; None where there is none.

    Args:
        header: Of the newest window's picture, of the same size.
        accumulation: Sums over the scene's frames.
    """
    picture = accumulation.picture()
    if picture is None:
        return None
    resolution, drift_nm = accumulation.resolution_nm(), accumulation.drift_nm or (0.0, 0.0)
    own = {
        "frames": accumulation.frames,
        "estimate": "accumulated",
        "motion": f"moved to the scene's first frames; the sample is {math.hypot(*drift_nm):.0f} nm from there",
        "metrics": {} if resolution is None else {"resolution_nm": resolution},
        "scene": accumulation.scene,
        "drift_nm": drift_nm,
        "notes": (REPEATED,) if accumulation.repeats else (),
    }
    return header.model_copy(update=own), picture


def grade_of(level: ProcessingLevel) -> Grade:
    """Compare a processing level with what the settings ask for."""
    if level.name == "preview":
        return "preview"
    if level.quick:
        return "quick"
    return "full" if level.name == "full" else "reduced"
