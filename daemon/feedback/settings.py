"""One TOML file into the validated settings of a feedback loop."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from daemon.config import explained
from daemon.config_base import Section
from daemon.toml_file import read_toml

LASER = re.compile(r"micromanager:([0-9]{1,5})?|mmcore:.+")
MAX_FACTOR = 2.0  # by which one change may raise or lower the laser


def _known_laser(uri: str) -> str:
    """Check the URI of the program that sets the laser."""
    if not LASER.fullmatch(uri):
        raise ValueError("write 'micromanager:', 'micromanager:PORT' or 'mmcore:CONFIG.cfg'")
    return uri


class FeedbackSettings(Section):
    """A feedback loop: what is held, by which laser, and within which limits.

    Attributes:
        emitters_per_frame: localizations per camera frame that are aimed at.
        band: share of them within which nothing is changed.
        max_crowding: overlap above which the count no longer says how many there are, and the laser is lowered.
        laser: 'micromanager:[PORT]', the running Micro-Manager, or 'mmcore:CONFIG.cfg', a core with the laser alone.
        device: laser, as Micro-Manager's Device Property Browser names it.
        property: its power, as named there.
        minimum: least power while the density is held, in the device's own unit.
        maximum: highest power while the density is held.
        safe: power at every other time.
        start: first power; the minimum if not given.
        settle_s: time from a change to the first frame that counts.
        viewer: stop when no viewer receives the pictures.
    """

    emitters_per_frame: Annotated[float, Field(gt=0, le=1e6)]
    band: Annotated[float, Field(gt=0, lt=1)] = 0.1
    max_crowding: Annotated[float, Field(gt=1)] = 5.0
    laser: Annotated[str, AfterValidator(_known_laser)] = "micromanager:"
    device: Annotated[str, Field(min_length=1, max_length=200)]
    property: Annotated[str, Field(min_length=1, max_length=200)]
    minimum: Annotated[float, Field(gt=0)]
    maximum: float
    safe: float = 0.0
    start: float | None = None
    settle_s: Annotated[float, Field(ge=0, le=60)] = 0.2
    viewer: bool = True

    @model_validator(mode="after")
    def _limits(self) -> Self:
        if self.maximum <= self.minimum:
            raise ValueError("maximum must be above minimum")
        if self.safe > self.minimum:
            raise ValueError("safe must not be above minimum: the laser has it at every other time")
        if not self.minimum <= self.first() <= self.maximum:
            raise ValueError("start must lie between minimum and maximum")
        return self

    def first(self) -> float:
        """Return the first value of the laser's property."""
        return self.minimum if self.start is None else self.start


def load_feedback(path: Path) -> FeedbackSettings:
    """Read and validate the settings of a feedback loop.

    Raises:
        InputError: the file cannot be read, or a setting is missing or wrong.
    """
    raw = read_toml(path, "an example is in docs/how-to/hold-the-density.md")
    try:
        return FeedbackSettings.model_validate(raw)
    except ValidationError as error:
        raise explained(error, path, FeedbackSettings) from None
