"""Smooth a drift curve as strongly as its measurements ask for.

A stage that creeps, wanders and settles has a position and a velocity. Both take random steps, whose sizes are those
under which the measurements are most likely; the scale of the measurements' errors is found with them. A Kalman filter
gives the likelihood, its smoother the curve, and its state at the end goes on with the drift.

Reference:
    Rauch, Tung and Striebel, AIAA Journal 3, 1445 (1965).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Random steps per square root of a frame: of the position in nm, of the velocity in nm a frame.
POSITION_STEPS_NM = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
VELOCITY_STEPS_NM = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1)
ERROR_SCALES = (0.5, 1.0, 2.0, 4.0)  # of the variances given
START_SD_NM = 1_000.0
START_VELOCITY_SD_NM = 1.0  # nm a frame
MAX_VARIANCE_NM2 = 1e8  # of a measurement that tells nothing


@dataclass(frozen=True)
class SmoothedDrift:
    """Position and velocity at some frames.

    Attributes:
        frame: (K,) rising.
        yx_nm: (K, 2).
        velocity_nm: (K, 2) nm a frame.
    """

    frame: Floats
    yx_nm: Floats
    velocity_nm: Floats

    def at(self, frame: float) -> Floats:
        """Extrapolate from the nearest end, (2,) nm."""
        end = 0 if frame < self.frame[0] else -1
        return np.asarray(self.yx_nm[end] + (frame - self.frame[end]) * self.velocity_nm[end])


def smoothed(frame: Floats, measured_nm: Floats, variance_nm2: Floats) -> SmoothedDrift:
    """Smooth measurements of a drift.

    Args:
        frame: (K,) their times, rising, K >= 1.
        measured_nm: (K, 2).
        variance_nm2: (K, 2) of their errors along y and x, up to a common factor.
    """
    models = np.array(list(product(POSITION_STEPS_NM, VELOCITY_STEPS_NM, ERROR_SCALES)))
    variance = variance_nm2.clip(1e-6, MAX_VARIANCE_NM2)
    likelihood = _filter(frame, measured_nm, variance, models)[0]
    best = models[int(likelihood.argmax())][None]
    _, means, covariances, predicted = _filter(frame, measured_nm, variance, best)
    mean, covariance = means[-1], covariances[-1]
    states = [mean]
    for k in range(len(frame) - 2, -1, -1):
        gap = frame[k + 1] - frame[k]
        ahead_mean, ahead = predicted[k + 1]
        carry = np.array([[1.0, gap], [0.0, 1.0]])
        gain = covariances[k] @ carry.T @ np.linalg.inv(ahead)
        mean = means[k] + (gain @ (mean - ahead_mean)[..., None])[..., 0]
        covariance = covariances[k] + gain @ (covariance - ahead) @ gain.swapaxes(-1, -2)
        states.append(mean)
    state = np.stack(states[::-1])[:, 0]
    return SmoothedDrift(frame, state[..., 0], state[..., 1])


def _filter(
    frame: Floats, measured: Floats, variance: Floats, models: Floats
) -> tuple[Floats, list[Floats], list[Floats], list[tuple[Floats, Floats]]]:
    """Filter under some models.

    Args:
        frame: (K,).
        measured: (K, 2) nm.
        variance: (K, 2) nm^2.
        models: (M, 3) steps of position and velocity, and scale of the errors.

    Returns:
        (M,) log likelihoods; then for every frame, with states of position and velocity along y and x, the means
        (M, 2, 2) and covariances (M, 2, 2, 2) with the measurement, and both before it.
    """
    position, velocity, scale = models.T[:, :, None]
    count = len(models)
    pos, vel = np.broadcast_to(measured[0], (count, 2)), np.zeros((count, 2))
    pp = np.full((count, 2), START_SD_NM**2)
    pv, vv = np.zeros((count, 2)), np.full((count, 2), START_VELOCITY_SD_NM**2)
    likelihood = np.zeros(count)
    means: list[Floats] = []
    covariances: list[Floats] = []
    predicted: list[tuple[Floats, Floats]] = []
    for k in range(len(frame)):
        gap = frame[k] - frame[k - 1] if k else 0.0
        pos = pos + gap * vel
        pp = pp + gap * (2 * pv + gap * vv + position**2 + velocity**2 * gap**2 / 3)
        pv = pv + gap * (vv + velocity**2 * gap / 2)
        vv = vv + gap * velocity**2
        predicted.append((np.stack([pos, vel], -1), _matrix(pp, pv, vv)))
        whole = pp + scale * variance[k]
        error = measured[k] - pos
        likelihood = likelihood - 0.5 * (np.log(whole) + error**2 / whole).sum(-1)
        pos, vel = pos + pp / whole * error, vel + pv / whole * error
        pp, pv, vv = pp - pp * pp / whole, pv - pp * pv / whole, vv - pv * pv / whole
        means.append(np.stack([pos, vel], -1))
        covariances.append(_matrix(pp, pv, vv))
    return likelihood, means, covariances, predicted


def _matrix(pp: Floats, pv: Floats, vv: Floats) -> Floats:
    return np.stack([np.stack([pp, pv], -1), np.stack([pv, vv], -1)], -2)
