"""What the viewer asks of a daemon: each request once, with what is said when it is done. No Qt, no socket.

Every change is an event of the daemon's too, which all viewers list; what is said here is for who asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from client.picture.region import Region
from client.remote_daemon import Daemon

NEXT = "from the next window on"
SEND_REGION = "Send the region"


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """name: in the words of the menu, for a refusal. do: asks and returns what is to be said."""

    name: str
    do: Callable[[Daemon], str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an request went: what to say, and whether it was done."""

    request: ControlRequest
    message: str
    done: bool


def pause(paused: bool) -> ControlRequest:
    """Make no pictures, or make them again."""

    def do(daemon: Daemon) -> str:
        daemon.pause() if paused else daemon.resume()
        return "paused: frames are still taken in" if paused else "pictures are made again"

    return ControlRequest("Pause" if paused else "Resume", do)


def reset_model() -> ControlRequest:
    """Forget what was learned."""

    def do(daemon: Daemon) -> str:
        daemon.reset_model()
        return "the model starts anew with the next window"

    return ControlRequest("Reset the model", do)


def record(on: bool) -> ControlRequest:
    """Keep the raw frames from now on, or no more."""

    def do(daemon: Daemon) -> str:
        if on:
            return f"recording into {daemon.record_start()} on the daemon's machine"
        daemon.record_stop()
        return "the recording has ended"

    return ControlRequest("Record" if on else "Stop recording", do)


def snapshot() -> ControlRequest:
    """Save the newest picture where the daemon runs."""
    return ControlRequest("Snapshot", lambda daemon: f"saved on the daemon's machine: {daemon.snapshot()}")


def note(text: str) -> ControlRequest:
    """Mark this moment for all viewers and in the manifest."""

    def do(daemon: Daemon) -> str:
        daemon.mark(text)
        return f"marked for all viewers: {text}"

    return ControlRequest("Mark", do)


def change(changes: Mapping[str, Any]) -> ControlRequest:
    """Set keys of the configuration, all or none."""

    def do(daemon: Daemon) -> str:
        changed = daemon.set(dict(changes))
        told = ", ".join(f"{key.partition('.')[2]} {_written(after)}" for key, (_, after) in changed.items())
        return f"{NEXT}: {told}" if told else "nothing changes: that is how it is"

    return ControlRequest("Settings", do)


def take_region(region: Region | None) -> ControlRequest:
    """Reconstruct a part of the camera's field alone, or all of it."""

    def do(daemon: Daemon) -> str:
        daemon.set({"reconstruction.region": None if region is None else list(region_tuple(region))})
        if region is None:
            return f"the whole field is reconstructed {NEXT}"
        return f"{region.width} x {region.height} camera pixels at x {region.x}, y {region.y} {NEXT}"

    return ControlRequest("Whole field" if region is None else SEND_REGION, do)


def region_tuple(region: Region) -> tuple[int, int, int, int]:
    """(y, x, height, width), as the configuration writes it."""
    return region.y, region.x, region.height, region.width


def _written(value: Any) -> str:
    return "as it comes" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
