"""Typical localization of a window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from selfstorm.frames import Array
from selfstorm.localizations import Localizations
from selfstorm.metrics.nena import nena_nm

MAX_REPEATED = 8000  # localizations, the newest, whose repetition is measured: within .1 s


@dataclass(frozen=True, slots=True)
class TypicalLocalization:
    """Medians over the localizations of a window, and how well they repeat.

    Attributes:
        crowding: factor by which overlap with neighbours inflates a variance.
        photons: of a localization.
        claimed_nm: precision that it claims, along one axis.
        nena_nm: precision by nearest-neighbour analysis, along one axis; None where it was not measured, or too few
            emitters stay on for a frame.
    """

    crowding: float
    photons: float
    claimed_nm: float
    nena_nm: float | None


def typical_columns(found: Localizations | None, *, repeated: bool) -> Tensor:
    """Return what a typical localization is measured by, as one column.

    Args:
        found: of the window; None where none were made.
        repeated: measure how well positions repeat, which takes time.

    Returns:
        Medians, then frames and positions of the newest; empty where there is none.
    """
    if found is None or not len(found):
        return torch.zeros(0)
    claimed = (found.sd_nm**2).mean(1).sqrt()
    medians = torch.stack([values.median() for values in (found.crowding, found.photons, claimed)])
    newest = slice(-MAX_REPEATED, None) if repeated else slice(0, 0)
    frame = (found.frame[newest] - found.frame[newest][:1]).to(medians.dtype)
    return torch.cat([medians, frame, found.y_nm[newest], found.x_nm[newest]])


def typical_localization(columns: Array) -> TypicalLocalization | None:
    """Measure the typical localization by `typical_columns`, fetched."""
    if not len(columns):
        return None
    crowding, photons, claimed_nm = (float(value) for value in columns[:3])
    frames, y_nm, x_nm = columns[3:].reshape(3, -1).astype(np.float64)
    again_nm = nena_nm(frames.astype(np.int64), np.stack([y_nm, x_nm], 1), claimed_nm)
    return TypicalLocalization(crowding, photons, claimed_nm, again_nm)
