"""Emitters of some frames: positions and photons."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from selfstorm.compute.compiled import CompiledOp


class Emitters(NamedTuple):
    """E emitters of a batch of frames, (E,) each.

    Attributes:
        frame: int64, index in the batch.
        y_px: position from the field's corner.
        x_px: position from the field's corner.
        photons: per frame.
    """

    frame: Tensor
    y_px: Tensor
    x_px: Tensor
    photons: Tensor

    def where(self, keep: Tensor) -> Emitters:
        """Select emitters by a mask (E,) bool or by indices."""
        chosen = keep.nonzero()[:, 0] if keep.dtype == torch.bool else keep  # once: it waits for the device
        return Emitters(*_selected(chosen, *self))


def selected(chosen: Tensor, frame: Tensor, y_px: Tensor, x_px: Tensor, photons: Tensor) -> tuple[Tensor, ...]:
    """Select the values of emitters (E,) by indices."""
    return tuple(values.index_select(0, chosen) for values in (frame, y_px, x_px, photons))


_selected = CompiledOp(selected)
