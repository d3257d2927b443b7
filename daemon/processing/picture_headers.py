"""What a published picture says of itself."""

from __future__ import annotations

from typing import Any

from daemon.health import Health
from daemon.processing.reconstructor import WindowResult
from daemon.protocol.messages import MAX_LISTED_MISSING, PictureHeader
from daemon.stopwatch import Stopwatch
from selfstorm.frames import Array, Window
from selfstorm.reconstruction import Reconstruction
from selfstorm.stream.model import Settings


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
    """The header of a window's picture, published now."""
    result, effort = made.result, made.effort
    notes = list(result.notes)
    if effort.name not in ("full", "preview"):
        notes.append(f"less was made of it, to keep up with the camera: '{effort.name}'")
    if window.missing:
        notes.append(f"{len(window.missing)} of its {window.last_seq - window.first_seq + 1} frames never arrived")
    shape: Any = result.picture.shape
    frames, windows = health.counts()
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
        effort=effort.name,
        state=made.state,
        model=f"{settings.model}, {result.layers} layers",
        model_hash=made.model_hash,
        memory=result.memory,
        optics=result.optics,
        camera=result.camera,
        device=device,
        fine_tuning=str(result.fit or ""),
        misfit=result.metrics.get("misfit"),
        resolution_nm=result.metrics.get("resolution_nm"),
        agreement=result.metrics.get("agreement"),
        emitters_per_frame=result.metrics.get("emitters_per_frame"),
        latency_ms=(now_unix_ns - window.frames[-1].received_unix_ns) / 1e6,
        stage_ms=stopwatch.milliseconds,
        published_unix_ns=now_unix_ns,
        notes=tuple(notes),
        frame_counts=frames,
        window_counts=windows,
    )


def raw_header_of(header: PictureHeader, result: Reconstruction) -> PictureHeader:
    """The header of the mean of the same camera frames."""
    shape: Any = result.raw_mean.shape
    pixel_nm = header.pixel_nm * result.scale if header.pixel_nm else None
    own = {
        "shape": shape,
        "pixel_nm": pixel_nm,
        "scale": 1,
        "estimate": "mean",
        "resolution_nm": None,
        "agreement": None,
    }
    return header.model_copy(update=own)


def quality_of(header: PictureHeader, result: Reconstruction) -> tuple[PictureHeader, Array] | None:
    """The error map of a picture with its header, None where there is none."""
    if result.error_map is None:
        return None
    seen = raw_header_of(header, result)
    kept = {"estimate": "error map", "resolution_nm": header.resolution_nm, "agreement": header.agreement}
    return seen.model_copy(update=kept), result.error_map
