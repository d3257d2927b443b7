"""Protocols of a PSF: all that differs between kinds, so that no other code asks which kind it is."""

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
    """A point spread function of one kind: its own parameters, samples, modes and ways to fit it.

    kind: its name in files. origin: who says so, for the user. has_twin: whether another PSF of its kind has the same
    autocorrelation, so that the second moments of a field cannot tell them apart.
    """

    kind: ClassVar[str]
    has_twin: ClassVar[bool]

    @property
    def origin(self) -> str: ...

    @property
    def reach_nm(self) -> float:
        """Distance from the emitter beyond which the PSF is cut."""
        ...

    @property
    def equivalent_sigma_nm(self) -> float:
        """Standard deviation of the Gaussian that is like it, the mean one where it is not round."""
        ...

    @property
    def aperture(self) -> tuple[float, float] | None:
        """Numerical aperture and wavelength in nm, None where it knows of none."""
        ...

    def kernel(self, axis_nm: Array) -> Array:
        """(n, n) samples at (y, x) on an even axis, of total 1."""
        ...

    def modes(self) -> list[Mode]:
        """Separable modes, as many as it takes."""
        ...

    def turned(self) -> Self:
        """The same PSF turned by 180 degrees."""
        ...


class TunablePsf(PsfKind, Protocol):
    """A PSF whose shape is a smooth function of real parameters theta: logarithms, or radians of phase.

    nominal_parameters: how many of the first ones are known from the objective, within a few per cent.
    """

    nominal_parameters: ClassVar[int]

    def parameters(self) -> list[float]:
        """Theta, (P,), of this PSF."""
        ...

    def with_parameters(self, theta: Sequence[float], origin: str) -> Self:
        """The PSF of the same kind with these parameters."""
        ...

    def samples(self, theta: Tensor, axis_nm: Tensor) -> Tensor:
        """(n, n) samples at (y, x) on an even axis (n,), up to a factor, with their gradient in theta (P,)."""
        ...


@dataclass(frozen=True)
class FitFamily:
    """PSFs of one kind as fits to moments see them.

    make: parameters (P,) -> PSF. starts: (P,) each. origin: (P,), the centre of the bounds and of the prior; None: each
    start is its own. sd: (P,) of the prior, None where there is none.
    """

    make: Callable[[Array], Psf]
    starts: tuple[Array, ...]
    origin: Array | None = None
    sd: Array | None = None
