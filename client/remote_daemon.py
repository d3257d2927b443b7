"""Control a running daemon from a notebook or a script.

with Daemon("tcp://127.0.0.1:5712") as daemon:
    daemon.set({"reconstruction.stride": 25})
    view = daemon.view()
    plt.imshow(view.pixels)
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from daemon.control.client import ANSWER_MS, ControlClient
from daemon.protocol.key_file import KeyFile
from daemon.protocol.messages import Event, PictureHeader, Status, View
from selfstorm.frames import Array, Region, StreamInfo

DEFAULT = "tcp://127.0.0.1:5712"
Kind = Literal["newest", "sr.preview", "sr.refined", "raw.mean", "quality"]


@dataclass(frozen=True, slots=True, eq=False)
class PictureView:
    """A part of a picture. pixels: (H, W) float32, read-only; region: in pixels of the whole picture; zoom: so many of
    those along a side are one of these. header: of the whole picture: what it was made from and how good it is."""

    kind: str
    header: PictureHeader
    region: Region
    zoom: int
    pixels: Array


@dataclass(frozen=True, slots=True)
class Info:
    """What runs. stream: the camera's, None before the first frame. settings: keys that `set` can change.

    role: of who asks, 'view' or 'control'; empty where the daemon is too old to say.
    """

    version: str
    protocol: tuple[int, int]
    verbs: tuple[str, ...]
    stream: StreamInfo | None
    settings: dict[str, Any]
    role: str = ""


class Daemon(ControlClient):
    """One running daemon; for one thread. Every method waits for the answer, at most timeout_ms.

    key: a key or the path of its file, for a daemon on another machine. leaving: once it is set, by any thread, no
    answer is waited for any more.
    All raise selfstorm.errors.InputError where no daemon answers or it refuses, with its reason.
    """

    def __init__(
        self,
        endpoint: str = DEFAULT,
        *,
        key: KeyFile | Path | None = None,
        timeout_ms: int = ANSWER_MS,
        leaving: threading.Event | None = None,
    ) -> None:
        super().__init__(endpoint, timeout_ms, key, leaving)

    def status(self) -> Status:
        """The account: what came, what was lost and where, what became of it."""
        return Status.model_validate(self.ask("status"))

    def info(self) -> Info:
        """Version, stream, what the asker may do, and the settings that can be changed."""
        told = self.ask("info")
        stream = told["stream"]
        return Info(
            version=told["version"],
            protocol=tuple(told["protocol"]),
            verbs=tuple(told["verbs"]),
            stream=None if stream is None else StreamInfo.model_validate(stream),
            settings=told["settings"],
            role=told.get("role", ""),
        )

    def events(self, since: int = 0) -> list[Event]:
        """At most 50 events from that number on; Status.events is how many there were."""
        return [Event.model_validate(event) for event in self.ask("events", since=since)["events"]]

    def view(
        self,
        kind: Kind = "newest",
        region: tuple[int, int, int, int] | None = None,
        zoom: int = 1,
        unless: PictureView | None = None,
    ) -> PictureView | None:
        """A part of the newest picture; None where it is the one that `unless` shows.

        region: (y, x, height, width) in pixels of the whole picture. zoom: so many along a side are averaged into one.
        """
        had = None if unless is None else (unless.kind, unless.header.published_unix_ns)
        received = self.ask_view(kind=kind, region=region, zoom=zoom, unless=had)
        if received is None or received.pixels is None or not isinstance(received.message, View):
            return None
        view = received.message
        return PictureView(view.kind, view.picture, Region(*view.region), view.zoom, received.pixels)

    def pause(self) -> None:
        """Make no pictures; frames are still taken in, counted and recorded."""
        self.ask("pause")

    def resume(self) -> None:
        """Make pictures again."""
        self.ask("resume")

    def stop(self) -> None:
        """Let the daemon finish what it has, close its files and end."""
        self.ask("stop")

    def reset_model(self) -> None:
        """Forget what was learned: the next window starts anew."""
        self.ask("reset-model")

    def set(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Change settings by their keys in the configuration file; {key: (before, after)} of what has changed.

        All or none. None: as if the key were left out. Info.settings has the keys.
        """
        changed: dict[str, Any] = self.ask("set", changes=changes)["changed"]
        return changed

    def snapshot(self) -> Path:
        """Save the picture shown last on the daemon's machine; the file, which an event says is written."""
        return Path(self.ask("snapshot")["file"])

    def record_start(self) -> Path:
        """Record the raw frames from now on; the folder on the daemon's machine."""
        return Path(self.ask("record-start")["folder"])

    def record_stop(self) -> None:
        """Record no more."""
        self.ask("record-stop")

    def mark(self, text: str = "") -> int:
        """Mark this moment for all viewers and the run's manifest; the number of the event."""
        number: int = self.ask("mark", text=text)["event"]
        return number
