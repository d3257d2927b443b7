"""Control a running daemon from a notebook or a script.

Example::

    with Daemon() as daemon:
        daemon.set({"reconstruction.stride": 25})
        view = daemon.view()
        plt.imshow(view.pixels)
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from daemon.control.client import ANSWER_MS, ControlClient
from daemon.protocol.address import DEFAULT, VARIABLE, DaemonAddress
from daemon.protocol.key_file import KeyFile
from daemon.protocol.messages import Event, MetricDescriptions, PictureHeader, Status, View
from selfstorm.frames import Array, Region, StreamInfo
from selfstorm.metrics.metric import MetricDescription

Kind = Literal["newest", "sr.preview", "sr.refined", "raw.mean", "quality", "trust", "accumulated"]


@dataclass(frozen=True, slots=True, eq=False)
class PictureView:
    """Part of a published picture.

    Attributes:
        kind: Kind of the picture.
        header: Metadata and quality of the whole picture.
        region: Part returned, in pixels of the whole picture.
        zoom: Binning: this many pixels of the picture along a side make one of `pixels`.
        pixels: (H, W) float32, read-only.
    """

    kind: str
    header: PictureHeader
    region: Region
    zoom: int
    pixels: Array


@dataclass(frozen=True, slots=True)
class Info:
    """Description of the running daemon.

    Attributes:
        version: Version of the daemon.
        protocol: Protocol version, (major, minor).
        verbs: Requests it understands.
        stream: The camera stream, None before the first frame.
        settings: Settings that `set` can change, with their values.
        role: Permission of the caller, 'view' or 'control'; empty where the daemon is too old to tell.
    """

    version: str
    protocol: tuple[int, int]
    verbs: tuple[str, ...]
    stream: StreamInfo | None
    settings: dict[str, Any]
    role: str = ""


class Daemon(ControlClient):
    """Connection to a running daemon, for one thread.

    Every method waits for the answer and raises `selfstorm.errors.InputError` where no daemon answers or it refuses,
    with its reason.

    Args:
        daemon: HOST[:PORT], as for --daemon; where it is empty the one that the environment variable SELFSTORM_DAEMON
            names, or the one on this machine.
        key: Key or path of its file, for a daemon on another machine.
        timeout_ms: Longest wait for an answer; of a daemon that holds the connection, and is busy, 10 s at least.
        leaving: Event that ends all waiting once it is set, by any thread.
    """

    def __init__(
        self,
        daemon: str | DaemonAddress = "",
        *,
        key: KeyFile | Path | None = None,
        timeout_ms: int = ANSWER_MS,
        leaving: threading.Event | None = None,
    ) -> None:
        if isinstance(daemon, str):
            daemon = DaemonAddress.of(daemon or os.environ.get(VARIABLE, DEFAULT))
        super().__init__(daemon.control_address, timeout_ms, key, leaving)

    def status(self) -> Status:
        """Return the status: frames received and lost, windows, rate, latency."""
        return Status.model_validate(self.ask("status"))

    def info(self) -> Info:
        """Return version, stream, the caller's permission, and the settings.

        The settings are those that can be changed.
        """
        answer = self.ask("info")
        stream = answer["stream"]
        return Info(
            version=answer["version"],
            protocol=tuple(answer["protocol"]),
            verbs=tuple(answer["verbs"]),
            stream=None if stream is None else StreamInfo.model_validate(stream),
            settings=answer["settings"],
            role=answer.get("role", ""),
        )

    def metrics(self) -> tuple[MetricDescription, ...]:
        """Describe every metric of the daemon's pictures.

        Each has a label, a unit, thresholds and sentences.
        """
        return MetricDescriptions.model_validate(self.ask("metrics")).metrics

    def events(self, since: int = 0) -> list[Event]:
        """Return at most 50 events from number `since` on.

        Status.events is their total number.
        """
        return [Event.model_validate(event) for event in self.ask("events", since=since)["events"]]

    def view(
        self,
        kind: Kind = "newest",
        region: tuple[int, int, int, int] | None = None,
        zoom: int = 1,
        unless: PictureView | None = None,
    ) -> PictureView | None:
        """Return the newest picture or a part of it.

        Args:
            kind: Kind of picture.
            region: (y, x, height, width) in pixels of the whole picture; None for all of it.
            zoom: Number of pixels along a side that are averaged into one.
            unless: Result of an earlier call.

        Returns:
            The picture, None where it is still the one of `unless`.
        """
        had = None if unless is None else (unless.kind, unless.header.published_unix_ns)
        received = self.ask_view(kind=kind, region=region, zoom=zoom, unless=had)
        if received is None or received.pixels is None or not isinstance(received.message, View):
            return None
        view = received.message
        return PictureView(view.kind, view.picture, Region(*view.region), view.zoom, received.pixels)

    def pause(self) -> None:
        """Pause reconstruction; frames are still received, counted and recorded."""
        self.ask("pause")

    def resume(self) -> None:
        """Resume reconstruction."""
        self.ask("resume")

    def stop(self) -> None:
        """Stop the daemon once it has processed its frames and closed its files."""
        self.ask("stop")

    def reset_model(self) -> None:
        """Reset the model: the next window starts from scratch."""
        self.ask("reset-model")

    def set(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Change settings, all or none.

        Args:
            changes: New values by key of the configuration file; None resets a key. `Info.settings` has the keys.

        Returns:
            {key: (before, after)} of the settings that have changed.
        """
        changed: dict[str, Any] = self.ask("set", changes=changes)["changed"]
        return changed

    def snapshot(self) -> Path:
        """Save the newest picture on the daemon's machine and return its path.

        An event confirms that it was written.
        """
        return Path(self.ask("snapshot")["file"])

    def record_start(self) -> Path:
        """Start recording raw frames and return the folder.

        The folder is on the daemon's machine.
        """
        return Path(self.ask("record-start")["folder"])

    def record_stop(self) -> None:
        """Stop recording; an event says when its files are finished."""
        self.ask("record-stop")

    def mark(self, text: str = "") -> int:
        """Mark this moment for all viewers and in the run's manifest.

        Returns:
            The number of the event.
        """
        number: int = self.ask("mark", text=text)["event"]
        return number
