"""Statistics of a window: its mean and the covariances between neighbouring pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from selfstorm.compute.device import precise
from selfstorm.physics.operators import LAGS, inside_field
from selfstorm.stages.stage import Batch, Run, Sample, Stage

# A lag-one correlation read from few frames is too large as often as too small; whitening by this share of it
# never did harm where nothing remembers.
MEMORY_TRUST = 0.8
# What changes more slowly than this is bleaching or motion, not blinking.
TREND_FRAMES = 51
# A covariance this many standard errors above zero keeps nothing of itself; far above, all.
SIGNIFICANT_Z = 3.0
TINY = 1e-12
TREND_COPIES = 7.75  # frames alive together while the trend is taken out, for each frame


@dataclass(frozen=True)
class WindowStatistics:
    """Mean (H, W) photons; covariances, as far as they are significant, and their variances (lags, H, W), meaningful
    where `inside` is 1.

    memory: a scalar, correlation between the fluctuations of one frame and the next, 0 where emitters do not remember.
    peak_z: a scalar, standard errors by which the most significant place stands out; noise alone makes up to 5.
    """

    frames: int
    mean: Tensor
    covariance: Tensor
    uncertainty: Tensor
    inside: Tensor
    memory: Tensor
    peak_z: Tensor


def shifted(z: Tensor, dy: int, dx: int) -> Tensor:
    """z at p + (dy, dx), zero outside the field; dy >= 0."""
    out = torch.zeros_like(z)
    within(out, dy, dx).copy_(neighbours(z, dy, dx))
    return out


def within(z: Tensor, dy: int, dx: int) -> Tensor:
    """The part of z whose neighbours at p + (dy, dx) are in the field too; dy >= 0."""
    height, width = z.shape[-2:]
    return z[..., : height - dy, max(0, -dx) : width - max(0, dx)]


def neighbours(z: Tensor, dy: int, dx: int) -> Tensor:
    """The part of z that lies at p + (dy, dx) of some p in the field; dy >= 0."""
    return z[..., dy:, max(0, dx) : z.shape[-1] - max(0, -dx)]


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over some frames that the statistics are made of. Sums over different frames add up.

    frames: how many. freedom: less what their own trend took of them. now, following: (lags, H, W) photons^2, products
    of a pixel with its neighbour in the same frame, and in the next. power: (H, W) photons^2.
    """

    frames: int
    freedom: float
    now: Tensor
    following: Tensor
    power: Tensor

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.frames + other.frames,
            self.freedom + other.freedom,
            self.now + other.now,
            self.following + other.following,
            self.power + other.power,
        )

    def part(self, rows: slice, columns: slice) -> Sums:
        """Sums over the same frames of a part of the field."""
        maps = (each[..., rows, columns] for each in (self.now, self.following, self.power))
        return Sums(self.frames, self.freedom, *maps)


def sums_of(c: Tensor, before: Tensor | None, window: int) -> Sums:
    """Sums over c (T, H, W) photons, frames of a window of so many without their trend.

    before: (1, H, W), the frame before them, None where there is none.
    """
    past, after = (c[:-1], c[1:]) if before is None else (torch.cat([before, c[:-1]]), c)
    now, following = c.new_zeros((2, len(LAGS), *c.shape[1:]))
    for number, lag in enumerate(LAGS):
        within(now[number], *lag).copy_((within(c, *lag) * neighbours(c, *lag)).sum(0))
        crossed = within(past, *lag) * neighbours(after, *lag) + within(after, *lag) * neighbours(past, *lag)
        within(following[number], *lag).copy_(crossed.sum(0))
    return Sums(len(c), len(c) * (window - 1) / window, now, following / 2, (c * c).sum(0))


def window_statistics(y: Tensor) -> WindowStatistics:
    """Statistics of y (T, H, W) photons, T >= 3, with slow trends and blinking memory taken out."""
    return statistics_of(sums_of(y - trend(y), None, len(y)), y.mean(0))


def statistics_of(sums: Sums, mean: Tensor, memory: Tensor | None = None) -> WindowStatistics:
    """The same from sums over frames. mean: (H, W) photons. memory: where more is known of it than these sums say."""
    covariance, uncertainty, inside, rho = whitened(sums, memory)
    z = _standard_errors(covariance, uncertainty, inside)
    return WindowStatistics(sums.frames, mean, covariance * _significance(z), uncertainty, inside, rho, z.max())


def whitened(sums: Sums, memory: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Covariances without blinking memory, their variances, where both mean anything, (lags, H, W) each; the memory.

    Emitters that stay on for several frames make consecutive frames alike, so T frames hold less than T frames'
    worth of independent fluctuations. Subtracting the covariance with the next frame, as far as the data show such
    memory (rho_1), whitens them in time: D <- D_0 - alpha D_1 with alpha = 2 phi / (1 + phi^2), phi = 0.8 rho_1.
    memory: rho_1 where more is known of it than these sums say.
    """
    variance = sums.power / sums.frames
    inside = inside_field(LAGS, variance)
    now, following = sums.now / sums.freedom, sums.following / sums.freedom
    uncertainty = (torch.stack([variance * shifted(variance, *lag) for lag in LAGS]) + now**2) / sums.frames
    if memory is None:
        explained = (inside * (now**2 - uncertainty)).sum()
        ratio = (inside * following * now).sum() / explained
        memory = precise(torch.where(explained > 0, ratio, 0.0))
    phi = MEMORY_TRUST * memory.clamp(0.0, 1.0)
    alpha = 2 * phi / (1 + phi**2)
    return (now - alpha * following) * inside, uncertainty * (1 + alpha**2 / 2), inside, memory


def contrast(sums: Sums, memory: Tensor | None = None, floor: Tensor | None = None) -> Tensor:
    """(H, W) covariance over all lags in a measure in which its noise is about the same everywhere.

    The noise of a covariance grows with it where emitters blink and is constant where they do not: `floor`, measured
    when None. Dividing by the measured noise instead would move the structure: its flanks count for more on the side
    where it was not before.
    """
    total = whitened(sums, memory)[0].sum(0)
    floor = noise_floor(sums) if floor is None else floor
    return total / (total.abs() + floor).sqrt()


def noise_floor(sums: Sums) -> Tensor:
    """Standard error, a scalar, of the covariance over all lags at the median pixel."""
    return whitened(sums)[1].sum(0).median().sqrt().clamp(min=TINY)


def _standard_errors(covariance: Tensor, uncertainty: Tensor, inside: Tensor) -> Tensor:
    """(H, W) >= 0, by which covariance stands out over all lags and a PSF's width together."""
    lags = inside.sum(0).clamp(min=1)
    local, power = _smooth(covariance.sum(0) / lags)
    error, _ = _smooth((uncertainty * inside).sum(0) / lags**2)
    return local.clamp(min=0) / (error * power).clamp(min=1e-20).sqrt()


def _significance(z: Tensor) -> Tensor:
    """(H, W) in 0..1: 1 - (3 / z)^2 where z standard errors of local covariance speak for emitters, 0 below 3.

    Without it stage A deconvolves the noise of empty regions into a honeycomb.
    """
    return (1 - (SIGNIFICANT_Z / z.clamp(min=SIGNIFICANT_Z)) ** 2).clamp(min=0)


def _smooth(z: Tensor) -> tuple[Tensor, Tensor]:
    """(H, W) blurred by a Gaussian of one pixel, and the factor by which this scales white noise's variance."""
    kernel = torch.exp(-0.5 * torch.arange(-3, 4, device=z.device, dtype=z.dtype) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(z[None, None], (3, 3, 3, 3), mode="replicate")
    blurred = F.conv2d(F.conv2d(padded, kernel.view(1, 1, 7, 1)), kernel.view(1, 1, 1, 7))
    return blurred[0, 0], (kernel**2).sum() ** 2


def trend(y: Tensor) -> Tensor:
    """(T, ...): the running mean over 51 frames, mirrored at the ends; (1, ...), the mean of 51 frames or fewer."""
    mean = y.mean(0, keepdim=True)
    if len(y) <= TREND_FRAMES:
        return mean
    half, c = TREND_FRAMES // 2, y - mean  # small numbers, so that running sums stay exact
    mirrored = torch.cat([torch.zeros_like(mean), c[1 : half + 1].flip(0), c, c[-half - 1 : -1].flip(0)])
    running = mirrored.cumsum(0)
    return mean + (running[TREND_FRAMES:] - running[:-TREND_FRAMES]) / TREND_FRAMES


def _bytes(batch: Batch) -> int:
    """New frames and those before them, with their trend."""
    return round(TREND_COPIES * (batch.new_frames + TREND_FRAMES) * batch.imaging.grid.frame_bytes)


def _prepare(sample: Sample) -> Run:
    return lambda iterations: window_statistics(sample.y)


STATISTICS = Stage("statistics", _bytes, _prepare)
