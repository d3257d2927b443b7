"""Keep the number of iterations that held-out frames confirm.

It is carried from window to window.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from selfstorm.compute.cuda_graphs import Graphs
from selfstorm.physics.operators import Operator
from selfstorm.stages.held_out import Halves, HeldOut, choose_iterations

# The verdict is asked for again after 1, 2, 4, 8 and 16 windows of a scene, then every 16: it costs two densities.
MAX_WAIT_WINDOWS = 16
MIN_PEAK_Z = 8.0  # of one place, where the halves do not predict each other: few emitters, each seen in one half


@dataclass(frozen=True, slots=True)
class IterationChoice:
    """The number of iterations in use.

    Attributes:
        verdict: Of the last halves; None where there were none yet.
        windows: How many there were since the scene began.
    """

    verdict: HeldOut | None = None
    windows: int = 0

    def iterations(self, ceiling: int) -> int:
        """Return the number of iterations to use, at most `ceiling`.

        It is the ceiling unless held-out frames confirm fewer.
        """
        return min(self.verdict.iterations, ceiling) if self.verdict is not None and self.verdict.limited else ceiling

    @property
    def due(self) -> bool:
        """True where this window is to be checked against held-out frames again."""
        if self.verdict is None or not self.verdict.confirmed:
            return True
        regular = self.windows % MAX_WAIT_WINDOWS == 0
        return regular or (self.windows < MAX_WAIT_WINDOWS and self.windows.bit_count() == 1)

    def without_check(self) -> IterationChoice:
        """Return the choice for the next window after one without held-out frames."""
        return replace(self, windows=self.windows + 1)

    def for_window(
        self, operator: Operator, halves: Halves, mean: Tensor, ceiling: int, graphs: Graphs | None = None
    ) -> IterationChoice:
        """Return the choice for the next window.

        Args:
            operator: Density to covariances.
            halves: Of the frames that its density is made from.
            mean: (H, W) photons.
            ceiling: The largest number allowed.
            graphs: CUDA graphs of the operator.
        """
        carried = None if self.verdict is None else self.iterations(ceiling)
        verdict = choose_iterations(operator, halves, mean, ceiling, carried, graphs)
        return IterationChoice(verdict, self.windows + 1)

    def nothing_blinks(self, peak_z: Tensor) -> bool:
        """Return whether there is no evidence of emitters.

        Held-out frames do not confirm any emitters, and no single place stands out.

        Args:
            peak_z: z-score of the most significant place.
        """
        return self.verdict is not None and not self.verdict.confirmed and float(peak_z) < MIN_PEAK_Z
