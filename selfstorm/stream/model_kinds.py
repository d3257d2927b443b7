"""Model kinds of streams, registered by dotted name.

Light: configuration and command line read the table without loading torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from selfstorm.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from selfstorm.frames import Array
    from selfstorm.stream.compute_resources import Compute
    from selfstorm.stream.model_protocol import StreamModel
    from selfstorm.stream.settings import Settings


@dataclass(frozen=True, slots=True)
class ModelKind:
    """A kind of model: its class, and what it can do.

    Attributes:
        path: 'package.module:Class' of a StreamModel, imported when it is first used.
        localizes: makes localizations and error maps.
        saves: can be saved and loaded.
        has_levels: can save time by lower processing levels.
        estimates: pictures that it makes.
        calibrates: uses the calibration of each pixel.
    """

    path: str
    localizes: bool = False
    saves: bool = False
    has_levels: bool = False
    estimates: tuple[str, ...] = ("density", "emitters", "fused")
    calibrates: bool = False

    def can_write(self, output: str, estimate: str) -> bool:
        """Return whether a run with an estimate has what an output needs.

        Args:
            output: 'model' (a checkpoint), 'error_map', or one that is made of localizations.
            estimate: picture of the run.
        """
        if output == "model":
            return self.saves
        return self.localizes and (output == "error_map" or estimate == "fused")

    @property
    def model_class(self) -> type[StreamModel]:
        """Class of the kind."""
        module, _, name = self.path.partition(":")
        found: type[StreamModel] = getattr(import_module(module), name)
        return found


MODEL_KINDS = {
    "unrolled": ModelKind(
        "selfstorm.stream.unrolled_stream:UnrolledStream",
        localizes=True,
        saves=True,
        has_levels=True,
        calibrates=True,
    ),
    "tiled": ModelKind("selfstorm.stream.tiled.model:TiledStream", has_levels=True, estimates=("density", "emitters")),
    "paper": ModelKind("selfstorm.baselines.self_storm_stream:SelfStormStream"),
}


def kind_of(name: str) -> ModelKind:
    """Look up a model kind by name; InputError where there is none."""
    if name not in MODEL_KINDS:
        raise InputError(f"no model '{name}'", where="model", hint=f"give one of {', '.join(MODEL_KINDS)}")
    return MODEL_KINDS[name]


def new_model(settings: Settings, first_window: Array, compute: Compute) -> StreamModel:
    """Make the model of a stream that begins with first_window, (T, H, W) ADU."""
    return kind_of(settings.model).model_class.learned_from(settings, first_window, compute)


def load_model(path: Path, settings: Settings, field: tuple[int, int], compute: Compute) -> StreamModel:
    """Load a saved model for a stream of a field (H, W).

    Raises:
        InputError: The file does not fit the stream.
    """
    return kind_of(settings.model).model_class.load(path, settings, field, compute)
