"""Compile kernels on a graphics card, once per process.

This is done before frames arrive.
"""

from __future__ import annotations

import logging
import time

import torch

from selfstorm.physics.operators import Grid, Imaging, LaggedCovariance
from selfstorm.psf.models import Gaussian
from selfstorm.stages.pipeline import STAGES
from selfstorm.stages.stage import Sample

log = logging.getLogger(__name__)

PSF, PIXEL_NM, SCALE = Gaussian(110.0), 100.0, 4
FIELD = (5, 7)  # of two lengths: kernels that were made for squares would be made again
FRAMES, ITERATIONS = 4, 8
PHOTONS = 2000.0  # of an emitter, so that the joint fit has something to do
PAIR_CELLS = 8  # between two that are found as one, and split


def warm_up(device: torch.device) -> None:
    """Compile the kernels on a tiny field, where the device has any.

    This takes some seconds, and serves fields of all sizes.
    """
    if device.type != "cuda":
        return
    began = time.monotonic()
    run_stages(device)
    log.info("compiled kernels in %.1f s", time.monotonic() - began)


def run_stages(device: torch.device) -> None:
    """Run every stage on frames of even light with an emitter and a pair.

    It is run on several frames and on one alone, which need two kinds of kernel.
    """
    grid, like = Grid(*FIELD, SCALE, PIXEL_NM), torch.zeros((), device=device)
    imaging, covariance = Imaging(PSF, grid, like), LaggedCovariance(PSF, grid, like)
    flicker = torch.arange(FRAMES, device=device)[:, None, None] % 2  # covariances that are not zero
    y = torch.ones((FRAMES, *FIELD), device=device) + flicker
    with torch.inference_mode():
        bright = torch.zeros((1, *grid.cells), device=device)
        middle, single, pair = grid.cells[0] // 2, grid.cells[1] // 3, 2 * grid.cells[1] // 3
        bright[0, middle, [single, pair, pair + PAIR_CELLS]] = PHOTONS
        y = y + imaging.forward(bright)
    with torch.inference_mode():
        for stage in STAGES:
            for frames in (y, y[:1]) if stage.per_frame else (y,):
                stage.prepare(Sample(PSF, imaging, covariance, frames))(ITERATIONS)
