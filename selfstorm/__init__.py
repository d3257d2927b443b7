"""Super-resolved pictures learned from movies of blinking emitters.

Example:
    >>> import selfstorm
    >>> movie = selfstorm.simulate(frames=100, height=24, width=32, seed=1)
    >>> result = selfstorm.reconstruct(movie.frames, pixel_nm=movie.pixel_nm, scale=4, quality="fast")
    >>> result.picture.shape, result.pixel_nm
    ((96, 128), 25.0)
    >>> selfstorm.evaluate(result.picture, movie.emitters, pixel_nm=result.pixel_nm).pearson > 0.6
    True

Functions are loaded when they are first used: importing selfstorm loads neither torch nor numpy.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfstorm.api import Result, SimulatedMovie, evaluate, reconstruct, simulate

    __version__: str

__all__ = ["Result", "SimulatedMovie", "__version__", "evaluate", "reconstruct", "simulate"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name == "__version__":
        return version("selfstorm")
    if name in __all__:
        return getattr(import_module("selfstorm.api"), name)
    raise AttributeError(f"module 'selfstorm' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
