"""Evidence of a run: what its files say, before it is put into words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfstorm.frames import Array
from selfstorm.io.localization_table import LocalizationTable

MAX_VALUE = 1e30  # of a metric; no axis can be drawn for much more


def drawable(metrics: Mapping[str, object]) -> dict[str, float]:
    """Return the metrics that are numbers, finite and not beyond `MAX_VALUE`."""
    return {
        key: float(value)
        for key, value in metrics.items()
        if isinstance(value, int | float) and abs(value) <= MAX_VALUE
    }


@dataclass(frozen=True, slots=True)
class WindowRecord:
    """One picture of a run.

    Attributes:
        first: First frame that it covers.
        last: Last frame.
        used: Frames in it; None where that is not recorded.
        metrics: Values by key.
        grade: Processing level in a word; empty where it is not recorded.
        numbers: The camera's numbers of its frames; empty where they are first to last.
    """

    first: int
    last: int
    used: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    grade: str = ""
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class FrameAccount:
    """Every frame of a run, by what became of it.

    Attributes:
        sent: By the camera, or stored in the movie with those that are missing there.
        delivered: That arrived.
        lost: That did not.
        covers: Frames that the account is of, in words.
        causes: Number and cause of what was lost or left out.
    """

    sent: int
    delivered: int
    lost: int
    covers: str
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event of the run."""

    unix_ns: int
    level: str
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class RunEvidence:
    """Evidence in the files of a run.

    Attributes:
        name: Of the run or picture.
        windows: Pictures that were made, oldest first.
        picture: (H, W) the newest; None where none was saved.
        picture_pixel_nm: Its pixel; None where that is unknown.
        unit: Of its values.
        camera_mean: (H, W) mean camera image of its frames; None where the raw frames are not there.
        brightness: (2, N) frames, drawn evenly from the movie, and the mean of each in ADU; None likewise.
        pixel_nm: The camera's pixel; None where it is unknown.
        table: Localizations; None without.
        account: Of the frames; None where nothing states them.
        events: Oldest first.
        record: Facts on the newest picture, as it was saved.
        settings: Names and values.
        versions: Of software, by name.
        files: That this was read from.
        notes: On what is missing or does not fit together.
    """

    name: str
    windows: tuple[WindowRecord, ...]
    picture: Array | None = None
    picture_pixel_nm: float | None = None
    unit: str = ""
    camera_mean: Array | None = None
    brightness: Array | None = None
    pixel_nm: float | None = None
    table: LocalizationTable | None = None
    account: FrameAccount | None = None
    events: tuple[LoggedEvent, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)
    settings: tuple[tuple[str, str], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def metrics(self) -> Mapping[str, float]:
        """Metrics of the newest picture."""
        return self.windows[-1].metrics if self.windows else {}
