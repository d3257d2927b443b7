"""Protocols of a PSF: everything that differs between kinds.

No other code asks which kind a PSF is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

from selfstorm.frames import Array
from selfstorm.psf.separable import Mode

if TYPE_CHECKING:  # torch is imported where gradients are needed: a PSF alone does not load it
    from torch import Tensor

    from selfstorm.psf.models import Psf


class PsfKind(Protocol):
    """A point spread function of one kind: parameters, samples, modes, fits.

    Attributes:
        kind: its name in files.
        has_twin: whether another PSF of its kind has the same autocorrelation, so that the second moments of a field
            cannot distinguish them.
        tunes: whether it can be fine-tuned, as it is or as another kind (models.tunable).
    """

    kind: ClassVar[str]
    has_twin: ClassVar[bool]
    tunes: ClassVar[bool]

    @property
    def origin(self) -> str:
        """Where the PSF comes from, for the user."""
        ...

    @property
    def reach_nm(self) -> float:
        """Distance from the emitter beyond which the PSF is cut."""
        ...

    @property
    def equivalent_sigma_nm(self) -> float:
        """Standard deviation of the most similar Gaussian, their mean if elliptic."""
        ...

    @property
    def aperture(self) -> tuple[float, float] | None:
        """Numerical aperture and wavelength in nm, None if unknown."""
        ...

    def kernel(self, axis_nm: Array) -> Array:
        """Sample the PSF on an even axis: (n, n) at (y, x), with sum 1."""
        ...

    def modes(self) -> list[Mode]:
        """Return the separable modes, as many as the PSF needs."""
        ...

    def turned(self) -> Self:
        """Return the same PSF turned by 180 degrees."""
        ...


class TunablePsf(PsfKind, Protocol):
    """A PSF whose shape is a smooth function of real parameters theta.

    The parameters are logarithms of lengths, or radians of phase.

    Attributes:
        nominal_parameters: number of leading parameters known from the objective within a few per cent.
    """

    nominal_parameters: ClassVar[int]

    def parameters(self) -> list[float]:
        """Return theta, (P,), of this PSF."""
        ...

    def with_parameters(self, theta: Sequence[float], origin: str) -> Self:
        """Return the PSF of the same kind with these parameters."""
        ...

    def samples(self, theta: Tensor, axis_nm: Tensor) -> Tensor:
        """Sample the PSF, differentiable in theta.

        Args:
            theta: (P,).
            axis_nm: (n,), even.

        Returns:
            (n, n) at (y, x), up to a factor.
        """
        ...


@dataclass(frozen=True)
class FitFamily:
    """PSFs of one kind, as a fit to moments sees them.

    Attributes:
        make: parameters (P,) -> PSF.
        starts: parameters to start from, (P,) each.
        origin: (P,), the centre of the bounds and of the prior; None: each start is its own.
        sd: (P,), standard deviations of the prior; None without a prior.
    """

    make: Callable[[Array], Psf]
    starts: tuple[Array, ...]
    origin: Array | None = None
    sd: Array | None = None
