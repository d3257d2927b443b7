"""Table of localizations: emitters' positions, frames, uncertainties."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Localizations:
    """E emitters in the order of their frames.

    Attributes:
        frame: (E,) int64 from 0.
        y_nm: (E,) from the corner of the first camera pixel.
        x_nm: (E,) likewise.
        photons: (E,).
        sd_nm: (E, 2) posterior standard deviation of (y, x), inflated by overlap with neighbours.
        crowding: (E,) factor of that inflation in the variance, 1 where an emitter is alone.
        background_photons: (E,) per camera pixel.
        background_sd: (E,) noise of the background: Poisson, and all else that the residuals around the emitter show.
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
        """Select the emitters where keep, (E,) bool, is true."""
        kept = keep.nonzero()[:, 0]  # the device is waited for once, not for every column
        return Localizations(*(getattr(self, field.name)[kept] for field in fields(self)))

    def displaced(self, by_nm: Tensor) -> Localizations:
        """Move the emitters by (E, 2) nm, along y and x."""
        return replace(self, y_nm=self.y_nm + by_nm[:, 0], x_nm=self.x_nm + by_nm[:, 1])


def joined(parts: Iterable[Localizations]) -> Localizations:
    """Concatenate tables, at least one."""
    tables = list(parts)
    return Localizations(*(torch.cat([getattr(t, field.name) for t in tables]) for field in fields(Localizations)))
