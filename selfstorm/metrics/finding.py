"""Finding: a subject, its value, how serious it is, why, what to do.

Indicators, the terminal, `status` and `check` all show findings. No Qt, no torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["good", "warning", "bad", "none"]
SEVERITY: dict[Level, int] = {"none": 0, "good": 1, "warning": 2, "bad": 3}


@dataclass(frozen=True, slots=True)
class Finding:
    """A named value with a verdict.

    Args:
        name: The subject, such as "Misfit".
        value: The value as text.
        level: "none" where nothing is known or judged yet.
        why: A sentence: what the value means, or what is wrong.
        hint: A sentence: what to do about it; empty where nothing is to be done.
    """

    name: str
    value: str
    level: Level
    why: str = ""
    hint: str = ""

    @property
    def explanation(self) -> str:
        """The sentence and what to do about it."""
        return " ".join(part for part in (self.why, self.hint) if part)

    @property
    def serious(self) -> bool:
        """True for a warning and for a bad value."""
        return SEVERITY[self.level] >= SEVERITY["warning"]


def worst_level(findings: Iterable[Finding]) -> Level:
    """Return the most serious level, "none" where there is no finding."""
    return max((finding.level for finding in findings), key=SEVERITY.__getitem__, default="none")
