"""Statistics of a window: mean, and covariances of neighbouring pixels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from selfstorm.compute.device import precise
from selfstorm.physics.operators import LAGS, inside_field
from selfstorm.stages.gaussian_blur import blur, gaussian_kernel
from selfstorm.stages.stage import Batch, Run, Sample, Stage

# A lag-one correlation measured on few frames is too large as often as too small; whitening by this share of it
# never did harm to emitters without memory.
MEMORY_TRUST = 0.8
# What changes more slowly than this is bleaching or motion, not blinking.
TREND_FRAMES = 51
# A covariance this many standard errors above zero or fewer gets weight 0; far above, 1.
SIGNIFICANT_Z = 3.0
TINY = 1e-12
TREND_COPIES = 7.75  # frames allocated at once while the trend is subtracted, per frame


@dataclass(frozen=True)
class WindowStatistics:
    """Mean and covariances of a window.

    Attributes:
        frames: of the window.
        mean: (H, W) photons.
        covariance: (lags, H, W) photons^2, as far as it is significant; valid where `inside` is 1.
        uncertainty: (lags, H, W), variance of the covariance.
        inside: (lags, H, W), 1 if both pixels are in the field.
        memory: a scalar, correlation between the fluctuations of one frame and the next; 0 if emitters do not remember.
        peak_z: a scalar, significance of the most significant place in standard errors; noise alone reaches 5.
    """

    frames: int
    mean: Tensor
    covariance: Tensor
    uncertainty: Tensor
    inside: Tensor
    memory: Tensor
    peak_z: Tensor


def shifted(z: Tensor, dy: int, dx: int) -> Tensor:
    """Return z at p + (dy, dx), zero outside the field; dy >= 0."""
    out = torch.zeros_like(z)
    within(out, dy, dx).copy_(neighbours(z, dy, dx))
    return out


def within(z: Tensor, dy: int, dx: int) -> Tensor:
    """Return the part of z whose neighbours are in the field too.

    The neighbours are at p + (dy, dx), dy >= 0.
    """
    height, width = z.shape[-2:]
    return z[..., : height - dy, max(0, -dx) : width - max(0, dx)]


def neighbours(z: Tensor, dy: int, dx: int) -> Tensor:
    """Return the part of z that is at p + (dy, dx) of some p; dy >= 0."""
    return z[..., dy:, max(0, dx) : z.shape[-1] - max(0, -dx)]


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over frames from which statistics are made.

    Sums over different frames add up.

    Attributes:
        frames: number of frames.
        freedom: degrees of freedom, `frames` less those of their own trend.
        now: (lags, H, W) photons^2, products of a pixel with its neighbour in the same frame.
        following: the same with its neighbour in the next frame.
        power: (H, W) photons^2.
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

    @property
    def maps(self) -> tuple[Tensor, Tensor, Tensor]:
        """The sums without the number of their frames."""
        return self.now, self.following, self.power

    def of(self, maps: Iterable[Tensor]) -> Sums:
        """Return other sums over as many frames."""
        return Sums(self.frames, self.freedom, *maps)

    def part(self, rows: slice, columns: slice) -> Sums:
        """Return the sums over the same frames of a part of the field."""
        return self.of(each[..., rows, columns] for each in self.maps)


def sums_of(c: Tensor, before: Tensor | None, window: int) -> Sums:
    """Sum over frames of a window.

    Args:
        c: (T, H, W) photons without their trend.
        before: (1, H, W), the frame before them; None if there is none.
        window: frames of the window.
    """
    past, after = (c[:-1], c[1:]) if before is None else (torch.cat([before, c[:-1]]), c)
    now, following = c.new_zeros((2, len(LAGS), *c.shape[1:]))
    for number, lag in enumerate(LAGS):
        within(now[number], *lag).copy_((within(c, *lag) * neighbours(c, *lag)).sum(0))
        crossed = within(past, *lag) * neighbours(after, *lag) + within(after, *lag) * neighbours(past, *lag)
        within(following[number], *lag).copy_(crossed.sum(0))
    return Sums(len(c), len(c) * (window - 1) / window, now, following / 2, (c * c).sum(0))


def window_statistics(y: Tensor) -> WindowStatistics:
    """Return the statistics of a window without trend and blinking memory.

    Args:
        y: (T, H, W) photons, T >= 3.
    """
    return statistics_of(sums_of(y - trend(y), None, len(y)), y.mean(0))


def statistics_of(sums: Sums, mean: Tensor, memory: Tensor | None = None) -> WindowStatistics:
    """Return the statistics of a window from sums over its frames.

    Args:
        sums: over the frames.
        mean: (H, W) photons.
        memory: rho_1, if more is known of it than from these sums.
    """
    covariance, uncertainty, inside, rho = whitened(sums, memory)
    z = _standard_errors(covariance, uncertainty, inside)
    return WindowStatistics(sums.frames, mean, covariance * _significance(z), uncertainty, inside, rho, z.max())


def whitened(sums: Sums, memory: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return covariances without blinking memory.

    Emitters that stay on for several frames make consecutive frames alike, so T frames contain fewer than T
    independent fluctuations. Subtracting the covariance with the next frame, as far as the data show such
    memory (rho_1), whitens them in time: D <- D_0 - alpha D_1 with alpha = 2 phi / (1 + phi^2), phi = 0.8 rho_1.

    Args:
        sums: over the frames.
        memory: rho_1, if more is known of it than from these sums.

    Returns:
        Covariances, their variances, and a mask of where both are valid, (lags, H, W) each; and rho_1, a scalar.
    """
    variance = sums.power / sums.frames
    inside = inside_field(LAGS, variance)
    now, following = sums.now / sums.freedom, sums.following / sums.freedom
    uncertainty = (torch.stack([variance * shifted(variance, *lag) for lag in LAGS]) + now**2) / sums.frames
    if memory is None:
        explained = (inside * (now**2 - uncertainty)).sum()
        ratio = (inside * following * now).sum() / explained
        memory = precise(torch.where(explained > 0, ratio, 0.0))
    alpha = _memory_share(memory)
    return (now - alpha * following) * inside, uncertainty * (1 + alpha**2 / 2), inside, memory


def covariances_without_memory(sums: Sums, memory: Tensor) -> Tensor:
    """Return the covariances of `whitened` for a known memory: (lags, H, W)."""
    now, following = sums.now / sums.freedom, sums.following / sums.freedom
    return (now - _memory_share(memory) * following) * inside_field(LAGS, sums.power)


def _memory_share(memory: Tensor) -> Tensor:
    """Return alpha, the share of the next frame's covariance to subtract."""
    phi = MEMORY_TRUST * memory.clamp(0.0, 1.0)
    return 2 * phi / (1 + phi**2)


def contrast(covariance: Tensor, floor: Tensor) -> Tensor:
    """Scale covariances over all lags to about constant noise: (H, W).

    The noise of a covariance grows with it where emitters blink and is constant elsewhere. Dividing by the measured
    noise instead would move the structure: its flanks would count for more on the side where it was not before.

    Args:
        covariance: (lags, H, W), whitened.
        floor: the constant noise (`noise_floor`).
    """
    total = covariance.sum(0)
    return total / (total.abs() + floor).sqrt()


def noise_floor(uncertainty: Tensor) -> Tensor:
    """Return the noise of covariances over all lags.

    Args:
        uncertainty: (lags, H, W), their variances (`whitened`).

    Returns:
        The standard error at the median pixel, a scalar.
    """
    return uncertainty.sum(0).median().sqrt().clamp(min=TINY)


def _standard_errors(covariance: Tensor, uncertainty: Tensor, inside: Tensor) -> Tensor:
    """Return the significance of covariances in standard errors: (H, W) >= 0.

    They are combined over all lags and the width of a PSF.
    """
    lags = inside.sum(0).clamp(min=1)
    kernel = gaussian_kernel(1.0, 3, inside.device, inside.dtype)
    local = blur(covariance.sum(0) / lags, kernel)
    error = blur((uncertainty * inside).sum(0) / lags**2, kernel)
    power = (kernel**2).sum() ** 2  # by which the blur scales the variance of white noise
    return local.clamp(min=0) / (error * power).clamp(min=1e-20).sqrt()


def _significance(z: Tensor) -> Tensor:
    """Weigh pixels by the significance z of their local covariance: (H, W).

    The weight is 1 - (3 / z)^2, and 0 below z = 3. Without it stage A deconvolves the noise of empty regions into a
    honeycomb.
    """
    return (1 - (SIGNIFICANT_Z / z.clamp(min=SIGNIFICANT_Z)) ** 2).clamp(min=0)


def trend(y: Tensor) -> Tensor:
    """Return the running mean over TREND_FRAMES frames, mirrored at the ends.

    Args:
        y: (T, ...).

    Returns:
        (T, ...), or (1, ...) the mean of TREND_FRAMES frames or fewer.
    """
    mean = y.mean(0, keepdim=True)
    if len(y) <= TREND_FRAMES:
        return mean
    half, c = TREND_FRAMES // 2, y - mean  # small numbers, so that running sums stay exact
    mirrored = torch.cat([torch.zeros_like(mean), c[1 : half + 1].flip(0), c, c[-half - 1 : -1].flip(0)])
    running = mirrored.cumsum(0)
    return mean + (running[TREND_FRAMES:] - running[:-TREND_FRAMES]) / TREND_FRAMES


def _bytes(batch: Batch) -> int:
    """Count new frames and those before them, with their trend."""
    return round(TREND_COPIES * (batch.new_frames + TREND_FRAMES) * batch.imaging.grid.frame_bytes)


def _prepare(sample: Sample) -> Run:
    return lambda iterations: window_statistics(sample.y)


STATISTICS = Stage("statistics", _bytes, _prepare)
