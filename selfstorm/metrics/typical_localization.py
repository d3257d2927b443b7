"""Typical localization of a window, measured with one wait for the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from selfstorm.localizations import Localizations
from selfstorm.metrics.nena import nena_nm

MAX_REPEATED = 8000  # localisations, the newest, whose repetition is measured: within .1 s


@dataclass(frozen=True, slots=True)
class TypicalLocalization:
    """Medians over the localisations of a window, and how well they repeat.

    Attributes:
        crowding: factor by which overlap with neighbours inflates a variance.
        photons: of a localisation.
        claimed_nm: precision that it claims, along one axis.
        nena_nm: precision by nearest-neighbour analysis, along one axis; None where it was not measured, or too few
            emitters stay on for a frame.
    """

    crowding: float
    photons: float
    claimed_nm: float
    nena_nm: float | None


def typical_localization(found: Localizations | None, *, repeated: bool) -> TypicalLocalization | None:
    """Measure the typical localisation; None where there is none.

    Args:
        found: of the window.
        repeated: measure how well positions repeat, which takes time.
    """
    if found is None or not len(found):
        return None
    claimed = (found.sd_nm**2).mean(1).sqrt()
    medians = torch.stack([values.median() for values in (found.crowding, found.photons, claimed)])
    newest = slice(-MAX_REPEATED, None) if repeated else slice(0, 0)
    frame = (found.frame[newest] - found.frame[newest][:1]).to(medians.dtype)
    columns = torch.cat([medians, frame, found.y_nm[newest], found.x_nm[newest]]).numpy(force=True)
    crowding, photons, claimed_nm = (float(value) for value in columns[:3])
    frames, y_nm, x_nm = columns[3:].reshape(3, -1).astype(np.float64)
    again_nm = nena_nm(frames.astype(np.int64), np.stack([y_nm, x_nm], 1), claimed_nm)
    return TypicalLocalization(crowding, photons, claimed_nm, again_nm)
