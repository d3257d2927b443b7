"""Fine-tuning on one window, in a budget.

The optics follow the gradient through the unrolled density network: they are the one thing for which such steps were
seen to help; steps on anything else improve the prediction and damage the picture. Half of the window's frames gives
the densities and the loss. The other half judges: how well its own density, under the old and the new optics, predicts
pixel pairs further apart than any that it was made from, and how well the field-summed moments agree. A PSF that is not
clearly better there is not used.

Steps are Newton's, with the curvature of the moments (they are all but quadratic) and a floor. Where the moments do not
decide, such as on coma's sign or on small coma, the network's misfit decides along their flat valley.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from selfstorm.calibration.differentiable_psf import Optics, parameters
from selfstorm.calibration.finetuning_loss import FAR_LAGS, Half, Loss
from selfstorm.psf.models import Psf, tunable, tuning_starts
from selfstorm.stages.covariances import shifted

Outcome = Literal["kept", "rolled back", "not needed", "not possible"]
TUNED = "fine-tuned on the frames"
MIN_FRAMES = 40
BLOCK_FRAMES = 10  # frames assigned to one half together: emitters that stay on correlate neighbouring frames
SIDE_PX, WIDER_PX = 64, 128  # the network and the moments see the parts of the field that fluctuate most
MAX_STEP = 0.3
CONVERGED = 5e-3
TINY = 1e-12
TILE_PX = 8  # of the field: misfits further apart than a PSF are independent
BETTER_Z, WORSE_Z = 3.0, -1.0  # standard errors
BETTER_SHARE = 0.5  # of the judging moments' chi2


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of fine-tuning.

    Attributes:
        steps: at most.
        seconds: after which no step begins; None: no limit, so that a replay does not depend on the clock.
    """

    steps: int = 8
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class FitReport:
    """Outcome of fine-tuning.

    Attributes:
        psf: to use from now on, the old one unless outcome is 'kept'.
        outcome: one of Outcome.
        reason: for the user.
        losses: at the start and after each step.
        held_out_before: misfit of the judging half's far pixel pairs, in variances, with the old PSF; NaN if not
            measured.
        held_out_after: the same with the new PSF.
        anchor_before: chi2 of the judging half's moments, about 1 for the right PSF; NaN if not measured.
        anchor_after: the same with the new PSF.
        seconds: that it took.
    """

    psf: Psf
    outcome: Outcome
    reason: str
    losses: tuple[float, ...] = ()
    held_out_before: float = math.nan
    held_out_after: float = math.nan
    anchor_before: float = math.nan
    anchor_after: float = math.nan
    seconds: float = 0.0

    @property
    def steps(self) -> int:
        """Number of steps made."""
        return max(0, len(self.losses) - 1)

    def __str__(self) -> str:
        return f"{self.outcome} after {self.steps} steps: {self.reason}"


def finetune(
    psf: Psf, frames: Tensor, pixel_nm: float, budget: Budget, clock: Callable[[], float] = time.monotonic
) -> FitReport:
    """Fine-tune a PSF on the frames of one window.

    Args:
        psf: to start from. It stays of its kind, but for an Airy one, which may become that of an aberrated pupil.
        frames: (T, H, W) photons at equal brightness, without out-of-focus background.
        pixel_nm: camera pixel.
        budget: steps and seconds.
        clock: in seconds.
    """
    start = clock()
    with torch.inference_mode(False), torch.enable_grad():
        report = _finetune(psf, frames.detach().to("cpu", torch.float32, copy=True), pixel_nm, budget, clock)
    return replace(report, seconds=clock() - start)


def _finetune(psf: Psf, frames: Tensor, pixel_nm: float, budget: Budget, clock: Callable[[], float]) -> FitReport:
    if not psf.tunes:
        return FitReport(psf, "not possible", "a sampled PSF has no parameters to tune")
    if len(frames) < MIN_FRAMES or not bool(torch.isfinite(frames).all()):
        return FitReport(psf, "not possible", f"learning the optics needs {MIN_FRAMES} good frames")
    second = (torch.arange(len(frames)) // BLOCK_FRAMES) % 2 == 1
    y, wider = _most_fluctuating(frames, SIDE_PX), _most_fluctuating(frames, WIDER_PX)
    learning, judging = (Half(y[which], wider[which], pixel_nm) for which in (~second, second))
    if not (learning.informative and judging.informative):
        return FitReport(psf, "not possible", "the frames show too little to learn the optics from")
    if learning.agrees(psf) and judging.agrees(psf) and not (psf.has_twin and psf.origin != TUNED):
        return FitReport(psf, "not needed", "the frames agree with the optics as they are")
    loss = Loss(learning, psf, pixel_nm)
    starts = [torch.tensor(start, dtype=torch.float64) for start in tuning_starts(psf)]
    theta, losses = descend(loss, starts, budget, clock)
    if not all(map(math.isfinite, losses)):
        return FitReport(psf, "rolled back", "the steps led to numbers that are not finite", losses)
    tuned = loss.optics.psf.with_parameters(theta.tolist(), TUNED)
    return judge(judging, loss.optics, psf, tuned, losses)


def descend(
    loss: Loss, starts: list[Tensor], budget: Budget, clock: Callable[[], float]
) -> tuple[Tensor, tuple[float, ...]]:
    """Make Newton's steps from the best start, shortened where one leads up.

    Args:
        loss: to minimise.
        starts: parameters to start from, (P,) each.
        budget: steps and seconds.
        clock: in seconds.

    Returns:
        The best parameters and the losses, of the start and after each step.
    """
    began, share = clock(), 1.0
    theta, (lowest, slope) = min(((start, loss(start)) for start in starts), key=lambda tried: tried[1][0])
    losses = [lowest]
    for _ in range(budget.steps):
        if budget.seconds is not None and clock() - began >= budget.seconds:
            break
        step = -torch.linalg.solve(loss.curvature(theta), slope)
        step = share * step * min(1.0, MAX_STEP / max(float(step.norm()), TINY))
        tried, tried_slope = loss(theta + step)
        losses.append(tried)
        gained = lowest - tried
        if gained > 0:
            theta, lowest, slope, share = theta + step, tried, tried_slope, min(1.0, 3 * share)
        else:
            share /= 4
        if abs(gained) < CONVERGED * lowest:
            break
    return theta, tuple(losses)


def judge(half: Half, optics: Optics, old: Psf, new: Psf, losses: tuple[float, ...]) -> FitReport:
    """Compare the new PSF with the old one on the judging half.

    It is kept if neither the far pixel pairs nor the moments speak against it, and one of them clearly for it. A PSF
    that the moments still reject after a step is of the wrong kind: slightly better predictions were then seen to make
    the picture slightly worse.

    Args:
        half: the judging half.
        optics: of the PSFs' kind.
        old: PSF before the steps.
        new: PSF after them.
        losses: for the report.
    """
    with torch.no_grad():
        before, after = (half.misfit(optics, optics.spectrum(parameters(tunable(psf))), FAR_LAGS) for psf in (old, new))
    moments_before, moments_after = half.target.hold(old).chi2, half.target.hold(new).chi2
    gain = _standard_errors(before - after)
    worse = gain < WORSE_Z or moments_after > moments_before + 1
    surely = (gain > BETTER_Z and half.agrees(new)) or moments_after < min(
        moments_before - 1, BETTER_SHARE * moments_before
    )
    kept = surely and not worse
    if kept:
        reason = "the held-out frames are predicted clearly better by the new optics"
    elif worse:
        reason = "the held-out frames are predicted worse by the new optics"
    else:
        reason = "the held-out frames are predicted no better by the new optics"
    return FitReport(
        psf=new if kept else old,
        outcome="kept" if kept else "rolled back",
        reason=reason,
        losses=losses,
        held_out_before=float(before.mean()),
        held_out_after=float(after.mean()),
        anchor_before=moments_before,
        anchor_after=moments_after,
    )


def _standard_errors(gain: Tensor) -> float:
    """Measure by how many standard errors the mean of a map is above zero.

    Args:
        gain: (H, W); the standard error comes from the scatter of its tiles.
    """
    tiles = F.avg_pool2d(gain[None], TILE_PX).flatten()
    return float(tiles.mean() / (tiles.std() / math.sqrt(len(tiles))).clamp(min=TINY))


def _most_fluctuating(frames: Tensor, side_px: int) -> Tensor:
    """Cut out the part whose neighbouring pixels fluctuate most together.

    Args:
        frames: (T, H, W).
        side_px: of the part, at most.

    Returns:
        (T, <= side_px, <= side_px).
    """
    c = frames - frames.mean(0)
    fluctuation = (c * shifted(c, 0, 1)).mean(0)
    height, width = (min(side_px, side) for side in fluctuation.shape)
    sums = F.avg_pool2d(fluctuation[None], (height, width), stride=TILE_PX)[0]
    row, column = (TILE_PX * int(place) for place in divmod(int(sums.argmax()), sums.shape[1]))
    return frames[:, row : row + height, column : column + width]
