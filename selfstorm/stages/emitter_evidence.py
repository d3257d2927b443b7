"""Evidence of the joint fit: which emitters are needed, two or one.

Likelihood ratios of a spot, and Rao's score for the PSF's second derivatives, of all emitters at once.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

SPLIT_PX = (0.25, 1.2)  # minimum and maximum distance of a new pair from its middle
ANGLES = 8
CROWD_POWER = 4  # in a crowd, a pair is a priori likelier than a single emitter


def likelihood_ratio(
    photons: Tensor, spot: Tensor, expected: Tensor, y: Tensor, inside: Tensor, min_rest: Tensor
) -> Tensor:
    """Return twice the log-likelihood ratio of each emitter, the others fixed.

    Args:
        photons: (E,).
        spot: (E, side, side) of one photon; this and the next three are patches around the emitters.
        expected: photons.
        y: photons of the frames.
        inside: 1 within the field, else 0.
        min_rest: a scalar, lower bound of the photons without the emitter.
    """
    rest = torch.maximum(expected - photons[:, None, None] * spot, min_rest)
    gain = y * torch.log(expected / rest) - (expected - rest)
    return 2 * (inside * gain).sum((1, 2))


def residuals(y: Tensor, expected: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Return 1 / expected photons and the relative residual, 0 outside."""
    return inside / expected, (y - expected) * inside / expected


@lru_cache(maxsize=4)
def directions(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Return the directions that emitters are split along.

    Returns:
        Cosine and sine of the angle to the y axis, (ANGLES,) each; and (ANGLES, 3), by which second derivatives d2/dy2,
        d2/dydx and d2/dx2 are those along each direction.
    """
    angle = torch.arange(ANGLES, device=device, dtype=dtype) * (math.pi / ANGLES)
    c, s = angle.cos(), angle.sin()
    return c, s, torch.stack([c * c, 2 * c * s, s * s], 1)


def without_own_spot(gram: Tensor) -> Tensor:
    """Project the emitter's own spot, the first of shapes, out of the others.

    Args:
        gram: (E, 4, 4) weighted products of the shapes.

    Returns:
        (E, 3, 3) of the other shapes.
    """
    own = gram[:, 1:, 0]
    return gram[:, 1:, 1:] - own[:, :, None] * own[:, None, :] / gram[:, :1, :1].clamp(min=1e-12)


def best_directions(score: Tensor, spread: Tensor, direction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the direction along which each emitter is two with most certainty.

    Args:
        score: (E, ANGLES).
        spread: (E, 3, ANGLES), products of shapes with directions.
        direction: (ANGLES, 3).

    Returns:
        Its number and the score in standard errors, (E,) each; and the variances of the scores, (E, ANGLES).
    """
    variance = (spread * direction.T).sum(1).clamp(min=1e-12)
    z, best = (score / variance.sqrt()).max(1)
    return best, z, variance


def halves(
    y: Tensor,
    x: Tensor,
    photons: Tensor,
    pair: Tensor,
    best: Tensor,
    score: Tensor,
    variance: Tensor,
    c: Tensor,
    s: Tensor,
    pad_px: int,
    height: int,
    width: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Part emitters into two of half the photons.

    Args:
        y: (E,) position from the field's corner, pixels.
        x: (E,) likewise.
        photons: (E,).
        pair: (E,) bool, those that are parted; the others remain as they are, twice.
        best: (E,) number of the direction.
        score: (E, ANGLES).
        variance: (E, ANGLES), of the scores.
        c: (ANGLES,) cosines of the directions.
        s: (ANGLES,) sines.
        pad_px: distance outside the field up to which emitters may be.
        height: of the field.
        width: of the field.

    Returns:
        Positions and photons, the first halves of all emitters before their second halves, (2 E,) each.
    """
    bend = score.gather(1, best[:, None])[:, 0] / variance.gather(1, best[:, None])[:, 0]
    apart = (2 * bend / photons).clamp(min=0).sqrt().clamp(*SPLIT_PX)
    dy, dx = apart * c[best] * pair, apart * s[best] * pair
    halved = torch.where(pair, photons / 2, photons)
    side = 1 - 2 * torch.arange(2, device=y.device)[:, None]  # both halves by their sign, not joined: one kernel
    low, edge = -float(pad_px), pad_px - 1e-3
    y, x = (y + side * dy).clamp(low, height + edge), (x + side * dx).clamp(low, width + edge)
    return y.flatten(), x.flatten(), halved.expand(2, -1).flatten()


def middles(
    y: Tensor, x: Tensor, photons: Tensor, other_y: Tensor, other_x: Tensor, other_photons: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the emitters in the middle of pairs, with the light of both."""
    total = photons + other_photons
    share = photons / total
    return other_y + share * (y - other_y), other_x + share * (x - other_x), total


def pair_evidence(
    one: Tensor, two: Tensor, middle: Tensor, here: Tensor, background: Tensor, y: Tensor, inside: Tensor
) -> tuple[Tensor, Tensor]:
    """Compare pairs with single emitters in their middle.

    Args:
        one: (P, side, side) photons of one of the pair; this and all others are patches around the middle.
        two: of the other.
        middle: of the emitter in the middle.
        here: photons expected, with the pair.
        background: photons.
        y: photons of the frames.
        inside: 1 within the field, else 0.

    Returns:
        (P,) each: twice the log-likelihood ratio of the pair; and its crowd, the light there over its own, >= 1, to the
        power by which that counts.
    """
    both = one + two
    single = (here - both + middle).clamp(min=1e-2)
    gain = y * torch.log(here / single) - (here - single)
    light = both * inside
    crowd = (light * (here - background)).sum((1, 2)) / (light * both).sum((1, 2)).clamp(min=1e-9)
    return 2 * (inside * gain).sum((1, 2)), crowd.clamp(min=1.0) ** CROWD_POWER
