"""The table of localisations: where emitters were, on which frame, and how surely."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Localizations:
    """E emitters, those of one frame together and frames in order.

    frame: (E,) int64 from 0. y_nm, x_nm: (E,) from the corner of the first camera pixel. photons: (E,).
    sd_nm: (E, 2) posterior sd of (y, x), inflated by what overlapping neighbours share. crowding: (E,) factor of that
    inflation in the variance, 1 = alone. background_photons: (E,) per camera pixel; background_sd: (E,) its noise,
    Poisson and whatever else the residuals around the emitter show.
    """

    frame: Tensor
    y_nm: Tensor
    x_nm: Tensor
    photons: Tensor
    sd_nm: Tensor
    crowding: Tensor
    background_photons: Tensor
    background_sd: Tensor

    def __len__(self) -> int:
        return len(self.frame)

    def where(self, keep: Tensor) -> Localizations:
        return Localizations(*(getattr(self, field.name)[keep] for field in fields(self)))


def joined(parts: Iterable[Localizations]) -> Localizations:
    """Tables one after another, at least one."""
    tables = list(parts)
    return Localizations(*(torch.cat([getattr(t, field.name) for t in tables]) for field in fields(Localizations)))
