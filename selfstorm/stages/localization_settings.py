"""Settings of the joint fit, by quality."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LocalizationSettings:
    """Settings of the joint fit.

    Attributes:
        first: steps of the first fit.
        again: steps of the fits after a split.
        settle: steps after pruning.
        rounds: of splitting.
        min_ratio: twice the log-likelihood ratio below which an emitter is dropped.
        split_z: standard errors of the score above which an emitter is split.
        min_pair_ratio: twice the log-likelihood ratio that keeps it split where it is alone; less in crowds.
        prior_weight: of the density's slope.
    """

    first: int = 9
    again: int = 11
    settle: int = 3
    rounds: int = 2
    min_ratio: float = 20.0
    split_z: float = 2.0
    min_pair_ratio: float = 15.0
    prior_weight: float = 0.5


# measured on the public benchmark: 18-22 and 32-39 ms a frame of 64 x 64 pixels and 225 emitters, on one CPU thread
LOCALIZATION_SETTINGS = {
    "fast": LocalizationSettings(),
    "best": LocalizationSettings(first=15, again=14, settle=4, rounds=3),
}
