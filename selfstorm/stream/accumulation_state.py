"""Accumulated picture in a checkpoint, for the next run to go on with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from selfstorm.errors import InputError
from selfstorm.physics.operators import Grid
from selfstorm.stream.accumulation import KEPT_FINGERPRINTS, Accumulation
from selfstorm.stream.drift import DriftCurve
from selfstorm.stream.live_drift import MAX_KNOTS, MAX_REFERENCE, LiveDrift
from selfstorm.stream.span_counts import MAX_SPANS, SpanCounts

PREFIX = "accumulated."
FACTS = 7


def accumulation_tensors(accumulation: Accumulation) -> dict[str, Tensor]:
    """Return an accumulation as tensors on the CPU; none where it is empty."""
    one, spans = accumulation, accumulation.spans
    if one.drawn is None or one.seen is None or one.maps is None or spans is None:
        return {}
    curve, drift = one.drift.curve, one.drift
    facts = (one.frames, one.emitters, one.crowding, one.checks, one.shared_nm2, one.repeats, one.scene)
    parts = {
        "drawn": one.drawn.cpu().clone(),
        "seen": one.seen.cpu().clone(),
        "maps": one.maps.cpu().clone(),
        "facts": torch.tensor(facts, dtype=torch.float64),
        "curve": torch.tensor(np.column_stack([curve.frame, curve.yx_nm])),
        "reference": torch.tensor(np.column_stack([drift.reference_nm, drift.priority])),
        "spans": torch.tensor(np.stack(spans.counts)).to(torch.int32),
        "span_frames": torch.tensor([*spans.frames, spans.length]),
        "part": torch.tensor([*spans.corner_nm, *spans.size_nm], dtype=torch.float64),
        "first_frames": torch.tensor(one.first_frames, dtype=torch.int64),
    }
    return {PREFIX + name: part for name, part in parts.items()}


def accumulation_from(tensors: Mapping[str, Tensor], grid: Grid, scale: int, device: torch.device) -> Accumulation:
    """Restore an accumulation; the next frame has number 0.

    Args:
        tensors: from `accumulation_tensors`, among others.
        grid: of the maps.
        scale: cells of the picture along a camera pixel.
        device: of the pictures.

    Returns:
        An empty one where there is none, or one of another magnification.

    Raises:
        InputError: the tensors do not fit each other or the field.
    """
    own = {name.removeprefix(PREFIX): part for name, part in tensors.items() if name.startswith(PREFIX)}
    shape = grid.height * scale, grid.width * scale
    if not own or own.get("drawn", torch.zeros(0)).shape != shape:
        return Accumulation()
    try:
        return _restored(own, grid, device)
    except (KeyError, ValueError, IndexError, TypeError, RuntimeError) as fault:
        raise InputError(f"an accumulated picture that is damaged ({fault})", where="state") from fault


def _restored(own: Mapping[str, Tensor], grid: Grid, device: torch.device) -> Accumulation:
    frames, emitters, crowding, checks, shared_nm2, repeats, scene = own["facts"].tolist()
    curve, reference = own["curve"].numpy(), own["reference"].numpy()
    counts, span_frames = own["spans"].numpy(), own["span_frames"].tolist()
    part, names = own["part"].tolist(), own["first_frames"].tolist()
    *span_lengths, length = span_frames
    spans = SpanCounts(
        (part[0], part[1]), (part[2], part[3]), tuple(counts.astype(np.float32)), tuple(span_lengths), length
    )
    right = (
        own["maps"].shape == grid.cells,
        min(frames, emitters, checks, shared_nm2, scene) >= 0 and frames > 0 and crowding > 0,
        curve.ndim == 2 and curve.shape[1] == 3 and len(curve) <= MAX_KNOTS and bool((np.diff(curve[:, 0]) > 0).all()),
        reference.ndim == 2 and reference.shape[1] == 3 and len(reference) <= MAX_REFERENCE,
        len(part) == 4 and min(part) >= 0 and part[2] <= grid.height * grid.pixel_nm + 1,
        part[3] <= grid.width * grid.pixel_nm + 1,
        0 < len(counts) == len(span_lengths) <= MAX_SPANS and counts.shape[1:] == spans.shape and counts.min() >= 0,
        len(names) <= KEPT_FINGERPRINTS,
        bool((own["drawn"] >= 0).all() and (own["maps"] >= 0).all()),
        own["seen"].shape == own["drawn"].shape and bool(((own["seen"] >= 0) & (own["seen"] <= frames)).all()),
    )
    if not all(right):
        raise ValueError("parts that do not fit each other")
    drift = LiveDrift(DriftCurve(curve[:, 0], curve[:, 1:]), reference[:, :2], reference[:, 2])
    return Accumulation(
        drawn=own["drawn"].to(device, torch.float32),
        seen=own["seen"].to(device, torch.float32),
        maps=own["maps"].to(device, torch.float32),
        grid=grid,
        frames=int(frames),
        emitters=int(emitters),
        crowding=crowding,
        drift=drift,
        spans=spans,
        checks=int(checks),
        shared_nm2=shared_nm2,
        first_frames=tuple(names),
        repeats=bool(repeats),
        scene=int(scene),
    ).for_next_stream()
