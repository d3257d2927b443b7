"""Classical methods for comparison.

Temporal standard deviation, SOFI, Richardson-Lucy and FISTA. They are given the same input as our method: photons, the
PSF through the same operator, a background. Each is the plain published method; its free parameters were chosen once,
on simulated movies (docs/benchmarks).
"""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from scipy.ndimage import map_coordinates
from torch import Tensor

from selfstorm.frames import Array, cell_centres_nm, to_cells
from selfstorm.physics.background import fit_background
from selfstorm.physics.multiplicative import multiplicative_step
from selfstorm.physics.operators import Imaging

RL_ITERATIONS = 500
FISTA_ITERATIONS = 400
# of the standard deviation that the noise of a frame has in the correlation with one emitter
FISTA_PENALTY = 1.0
POWER_ITERATIONS = 30
LIPSCHITZ_MARGIN = 1.02  # the power iteration approaches |A|^2 from below
MIN_PHOTONS = 1e-3
# Pairs of pixels (dy, dx) to either side of a virtual pixel, by its position between the pixels in half pixels.
# None pairs a pixel with itself: that product carries its shot noise.
PAIRS = {
    (0, 0): (((0, -1), (0, 1)), ((-1, 0), (1, 0))),
    (0, 1): (((0, 0), (0, 1)),),
    (1, 0): (((0, 0), (1, 0)),),
    (1, 1): (((0, 0), (1, 1)), ((1, 0), (0, 1))),
}


def temporal_std(y: Tensor) -> Tensor:
    """Compute the standard deviation over time of every pixel of y (T, H, W)."""
    return y.std(0)


def sofi2(y: Tensor, scale: int) -> Array:
    """Compute second-order cross-cumulant SOFI (XC-SOFI2) on the SR grid.

    The zero-lag cross-cumulants of neighbouring pixels are the picture at virtual pixels half way between them, twice
    as dense as the camera's. The four lattices of virtual pixels differ by the PSF's overlap at the pairs' distances;
    as all see the same smooth light, they are scaled to one mean instead of by an assumed PSF. Cubic splines then
    interpolate to the SR grid. Amplitudes are those of the cumulant: brightness squared, linear in the number of
    emitters.

    Args:
        y: (T, H, W) photons.
        scale: SR cells along a camera pixel.

    Returns:
        (scale*H, scale*W) >= 0, photons squared.

    Reference:
        Dertinger et al., Optics Express 18, 18875 (2010).
    """
    height, width = y.shape[1:]
    change = torch.nn.functional.pad((y - y.mean(0))[None], (1, 1, 1, 1), mode="replicate")[0]
    lattice = y.new_zeros((2 * height - 1, 2 * width - 1))
    reference = 0.0
    for down, right in product((0, 1), (0, 1)):
        shape = height - down, width - right
        cumulant = torch.stack(
            [(_part(change, a, shape) * _part(change, b, shape)).mean(0) for a, b in PAIRS[down, right]]
        ).mean(0)
        level = float(cumulant.mean())
        reference = reference or level
        lattice[down::2, right::2] = cumulant * (reference / level) if level > 0 else 0.0
    # lattice point k lies at (k + 1) / 2 camera pixels from the corner
    positions = [to_cells(cell_centres_nm(scale * n, 1 / scale) - 0.25, 0.5) for n in (height, width)]
    grid = np.meshgrid(*positions, indexing="ij")
    picture: Array = map_coordinates(lattice.cpu().numpy(), grid, order=3, mode="nearest")
    return picture.clip(min=0)


def smooth_background(y: Tensor) -> Tensor:
    """Fit the smooth background of a movie.

    It is our method's spline, fitted to the mean frame together with the fluctuations above shot noise. On simulated
    movies, FISTA with it is within .006 Pearson of FISTA with the true background.

    Args:
        y: (T, H, W) photons.

    Returns:
        (H, W) photons >= 0.
    """
    mean = y.mean(0)
    return fit_background(mean, (y.var(0) - mean).clamp(min=MIN_PHOTONS).sqrt(), len(y))[1]


def richardson_lucy(imaging: Imaging, frame: Tensor, background: Tensor, iterations: int = RL_ITERATIONS) -> Tensor:
    """Deconvolve by maximum likelihood for Poisson noise, stopped early.

    Args:
        imaging: operator of the PSF.
        frame: (H, W) photons.
        background: (H, W) photons.
        iterations: after which it stops.

    Returns:
        (rows, columns) >= 0, photons per cell of the padded grid. Without a background, its image has the photons of
        the frame after every iteration.

    Reference:
        Richardson, J. Opt. Soc. Am. 62, 55 (1972); Lucy, Astron. J. 79, 745 (1974).
    """
    seen = frame.clamp(min=0)
    x = torch.full_like(imaging.norm, max(float(seen.mean()), MIN_PHOTONS))
    for _ in range(iterations):
        x = multiplicative_step(imaging, x, seen, background, floor=1e-9)
    return x


def fista(
    imaging: Imaging,
    y: Tensor,
    background: Tensor,
    iterations: int = FISTA_ITERATIONS,
    penalty: float = FISTA_PENALTY,
) -> Tensor:
    """Recover sparse emitters of each frame by l1-regularised least squares.

    Minimises |A x + background - y|^2 / 2 + lambda sum(x) over x >= 0, with lambda = penalty * sd * |a|, sd the shot
    noise of a frame's mean pixel and a the image of one photon: where there is only noise, x is empty. The step is 1 /
    |A|^2.

    Args:
        imaging: operator A of the PSF.
        y: (T, H, W) photons.
        background: (H, W) or (T, H, W) photons.
        iterations: of each frame.
        penalty: in standard deviations of the noise.

    Returns:
        (T, rows, columns) >= 0, photons per cell of the padded grid.

    Reference:
        Beck & Teboulle, SIAM J. Imaging Sciences 2, 183 (2009).
    """
    weight = shrinkage(imaging, y, penalty)
    step = 1 / (LIPSCHITZ_MARGIN * squared_norm(imaging))
    target = y - background
    x = y.new_zeros((len(y), *imaging.norm.shape))
    ahead, t = x, 1.0
    for _ in range(iterations):
        last = x
        x = (ahead - step * (imaging.adjoint(imaging.forward(ahead) - target) + weight)).clamp(min=0)
        t_next = 0.5 * (1 + (1 + 4 * t * t) ** 0.5)
        ahead = x + ((t - 1) / t_next) * (x - last)
        t = t_next
    return x


def shrinkage(imaging: Imaging, y: Tensor, penalty: float = FISTA_PENALTY) -> Tensor:
    """Compute lambda of fista for every frame: (T, 1, 1).

    Args:
        imaging: operator A of the PSF.
        y: (T, H, W) photons.
        penalty: in standard deviations of the noise.
    """
    centre = torch.zeros_like(imaging.norm)
    centre[centre.shape[0] // 2, centre.shape[1] // 2] = 1
    noise = y.mean((1, 2), keepdim=True).clamp(min=MIN_PHOTONS).sqrt()
    noise_seen: Tensor = noise * imaging.forward(centre).norm()
    return penalty * noise_seen


def squared_norm(imaging: Imaging) -> float:
    """Compute |A|^2, the largest eigenvalue of A^T A, by power iteration."""
    x = torch.ones_like(imaging.norm)
    for _ in range(POWER_ITERATIONS):
        x = imaging.adjoint(imaging.forward(x / x.norm()))
    return float(x.norm())


def _part(padded: Tensor, offset: tuple[int, int], shape: tuple[int, int]) -> Tensor:
    """Shift frames padded by one pixel by offset (y, x), and crop them."""
    top, left = 1 + offset[0], 1 + offset[1]
    return padded[:, top : top + shape[0], left : left + shape[1]]
