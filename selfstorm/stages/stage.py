"""Declaration of a stage of a window: memory, cost, a way to run it alone.

The memory plan, the load control, the warm-up, the benchmark and the tests of memory iterate over `pipeline.STAGES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from selfstorm.physics.operators import Grid, Imaging, LaggedCovariance
from selfstorm.psf.models import Psf


@dataclass(frozen=True, slots=True)
class Batch:
    """Sizes of what is computed at once, which determine a stage's memory.

    Attributes:
        imaging: A.
        covariance: F.
        frames: whose maps are made together.
        emitters: localized together.
        new_frames: ingested together, in batches.
        map_bytes: memory of the maps of such a batch.
    """

    imaging: Imaging
    covariance: LaggedCovariance
    frames: int
    emitters: int
    new_frames: int
    map_bytes: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Input that any stage can be run on.

    Attributes:
        psf: of the operators.
        imaging: A of the field.
        covariance: F of the field.
        y: (T, H, W) photons > 0.
    """

    psf: Psf
    imaging: Imaging
    covariance: LaggedCovariance
    y: Tensor


Run = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of a window.

    Attributes:
        name: key of its measured seconds.
        bytes: peak memory, in addition to the frames and matrices that stay.
        prepare: makes its inputs from a sample; returns the stage as a function of its number of iterations, which
            stages
            that do not iterate ignore.
        iterates: whether its time is proportional to the iterations.
        per_frame: whether its time is proportional to the frames.
        batched: whether its input is the frames of one batch, not of a whole window.
        captured: whether CUDA graphs of it are kept.
        costs: time of one unit, in iterations of the density network, until it is measured; by name, or by name and
            quality. Without costs it is not timed on its own.
        estimates: pictures that need it.
        unit_bytes: bytes of one unit (see `unit`) if each input were read once and each output written once, by grid
            and frames of a batch.
    """

    name: str
    bytes: Callable[[Batch], int]
    prepare: Callable[[Sample], Run]
    iterates: bool = False
    per_frame: bool = True
    batched: bool = False
    captured: bool = False
    costs: Mapping[str, float] = field(default_factory=dict)
    estimates: tuple[str, ...] = ()
    unit_bytes: Callable[[Grid, int], float] | None = None

    @property
    def unit(self) -> str:
        """Unit that its time is proportional to, for the user."""
        parts = ["iteration"] * self.iterates + ["frame"] * self.per_frame
        return " and ".join(parts) or "window"

    def cost_key(self, quality: str) -> str:
        """Return the key of its time at a quality.

        It is the name alone if the quality makes no difference.
        """
        return self.name if self.name in self.costs else f"{self.name} {quality}"
