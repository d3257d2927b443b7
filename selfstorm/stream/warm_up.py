"""What a graphics card needs once in a process, done before frames come instead of while they wait."""

from __future__ import annotations

import logging
import time

import torch

from selfstorm.physics.operators import Grid, Imaging, LaggedCovariance
from selfstorm.psf.models import Gaussian
from selfstorm.stages.covariances import window_statistics
from selfstorm.stages.density import density
from selfstorm.stages.emitters import QUALITY, emitter_maps

log = logging.getLogger(__name__)

PSF, PIXEL_NM, SCALE = Gaussian(110.0), 100.0, 4
FIELD = (5, 7)  # of two lengths: kernels that were made for squares would be made again
FRAMES, LAYERS = 4, 8


def warm(device: torch.device) -> None:
    """Compile the networks' kernels on a tiny field, where the device has any: some seconds, for all sizes."""
    if device.type != "cuda":
        return
    began = time.monotonic()
    run_networks(device)
    log.info("kernels made in %.1f s", time.monotonic() - began)


def run_networks(device: torch.device) -> None:
    """Both networks on frames of nothing but light: of one frame and of several, which are two kinds of kernel."""
    grid, like = Grid(*FIELD, SCALE, PIXEL_NM), torch.zeros((), device=device)
    imaging, covariance = Imaging(PSF, grid, like), LaggedCovariance(PSF, grid, like)
    y, prior = torch.ones((FRAMES, *FIELD), device=device), torch.ones(grid.cells, device=device)
    with torch.inference_mode():
        for some in (y, y[:1]):
            emitter_maps(imaging, some, prior, like.new_ones((len(some), 1, 1)), torch.ones_like(some), QUALITY["fast"])
        density(covariance, window_statistics(y + torch.arange(FRAMES, device=device)[:, None, None] % 2), LAYERS)
