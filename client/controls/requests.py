"""Control requests of the viewer, with the message shown when they end.

No Qt, no socket.

Every change is also an event of the daemon, which all viewers list; the messages here are for the user who asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import Any

from client.picture.region import CameraRegion
from client.remote_daemon import Daemon

NEXT = "from the next window on"
SEND_REGION = "Reconstruct region"


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """A request to the daemon.

    Attributes:
        name: Text of its menu entry, for messages.
        do: Sends the request and returns the message for the user.
    """

    name: str
    do: Callable[[Daemon], str]


@dataclass(frozen=True, slots=True)
class RequestOutcome:
    """Result of a request.

    The message for the user, and whether the request was carried out.
    """

    request: ControlRequest
    message: str
    done: bool


def pause(paused: bool) -> ControlRequest:
    """Pause or resume reconstruction."""

    def do(daemon: Daemon) -> str:
        daemon.pause() if paused else daemon.resume()
        return "paused; frames are still received and recorded" if paused else "reconstruction resumed"

    return ControlRequest("Pause" if paused else "Resume", do)


def reset_model() -> ControlRequest:
    """Reset the model."""

    def do(daemon: Daemon) -> str:
        daemon.reset_model()
        return "the model starts from scratch with the next window"

    return ControlRequest("Reset the model", do)


def record(on: bool) -> ControlRequest:
    """Start or stop recording raw frames."""

    def do(daemon: Daemon) -> str:
        if on:
            folder = PureWindowsPath(str(daemon.record_start()))  # reads paths of POSIX too
            return f"recording to {folder.parent.name}/{folder.name} begins; ● REC above counts the frames in it"
        daemon.record_stop()
        return "recording stopped; the Events tab says how many frames are in which folder, once all are written"

    return ControlRequest("Record" if on else "Stop recording", do)


def snapshot() -> ControlRequest:
    """Save the newest picture on the daemon's machine."""
    return ControlRequest("Snapshot", lambda daemon: f"saved on the daemon's machine: {daemon.snapshot()}")


def note(text: str) -> ControlRequest:
    """Add a note about this moment for all viewers and the manifest."""

    def do(daemon: Daemon) -> str:
        daemon.mark(text)
        return f"note added for all viewers: {text}"

    return ControlRequest("Note", do)


def change(changes: Mapping[str, Any]) -> ControlRequest:
    """Change settings, all or none."""

    def do(daemon: Daemon) -> str:
        changed = daemon.set(dict(changes))
        summary = ", ".join(f"{key.partition('.')[2]} {_format(after)}" for key, (_, after) in changed.items())
        return f"{NEXT}: {summary}" if summary else "no change: these are the current values"

    return ControlRequest("Settings", do)


def reconstruct_region(region: CameraRegion | None) -> ControlRequest:
    """Reconstruct only a region of the camera's field, or all of it."""

    def do(daemon: Daemon) -> str:
        daemon.set({"reconstruction.region": None if region is None else list(region_tuple(region))})
        if region is None:
            return f"the whole field is reconstructed {NEXT}"
        return f"{region.width} x {region.height} camera pixels at x {region.x}, y {region.y} {NEXT}"

    return ControlRequest("Whole field" if region is None else SEND_REGION, do)


def region_tuple(region: CameraRegion) -> tuple[int, int, int, int]:
    """Return (y, x, height, width), the order of the configuration."""
    return region.y, region.x, region.height, region.width


def _format(value: Any) -> str:
    return "automatic" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
