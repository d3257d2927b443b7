"""Requests to a running daemon, verb by verb.

Every change is an event that all viewers see.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from daemon.control.cropped_view import newest, view_of, visible
from daemon.control.snapshots import Snapshots
from daemon.control.work_budget import WorkBudget
from daemon.health import VERSION as SELFSTORM_VERSION
from daemon.health import Health
from daemon.ingest.windows import WindowQueue
from daemon.keys.store import Role
from daemon.live_config import LiveConfig, values_of
from daemon.protocol.codec import Buffer, encode
from daemon.protocol.messages import VERSION, MetricDescriptions, Reply, Request
from daemon.protocol.verbs import VERBS, Changes, Mark, Nothing, RefusedRequestError, Since, ViewOf, arguments_of
from daemon.recording.controller import RecordingController
from daemon.transport.publisher import Publisher
from selfstorm.frames import StreamInfo
from selfstorm.metrics.registry import METRICS

MAX_EVENTS = 50  # in one answer
# Camera or picture pixels of all views. A pixel takes some 30 ns to average or to pack, and others wait meanwhile.
VIEWED_PX_HZ, VIEWED_PX_AT_ONCE = 16e6, 8e6
MIN_VIEW_PX = 10_000  # a smaller view takes as long


class Model(Protocol):
    """Owner of the model."""

    def reset_model(self) -> None:
        """Start a new model with the next window."""


class RequestHandler:
    """Answers requests from the parts of the service.

    It is used by the control thread alone.

    Args:
        stream: returns the running camera stream, None before the first.
        stop_service: starts the drain.
    """

    def __init__(
        self,
        *,
        live: LiveConfig,
        health: Health,
        queue: WindowQueue,
        publisher: Publisher,
        recording: RecordingController,
        snapshots: Snapshots,
        model: Model,
        stream: Callable[[], StreamInfo | None],
        stop_service: Callable[[], None],
    ) -> None:
        self._live, self._health, self._queue, self._publisher = live, health, queue, publisher
        self._recording, self._snapshots, self._model, self._stop_service = recording, snapshots, model, stop_service
        self._stream, self._paused = stream, False
        self._viewed = WorkBudget(VIEWED_PX_HZ, VIEWED_PX_AT_ONCE)
        self._verbs: dict[str, Callable[[], dict[str, Any]]] = {
            "status": self._status,
            "metrics": lambda: MetricDescriptions(metrics=tuple(METRICS)).model_dump(),
            "pause": lambda: self._pause(True),
            "resume": lambda: self._pause(False),
            "stop": self._stop,
            "reset-model": self._reset_model,
            "snapshot": self._snapshot,
            "record-start": self._record_start,
            "record-stop": self._record_stop,
        }

    def answer(self, request: Request, role: Role) -> list[Buffer]:
        """Execute a request and return the reply.

        Args:
            request: of any verb.
            role: permissions of the client, which `info` reports.

        Raises:
            RefusedRequestError: the request cannot be fulfilled now.
            InputError: an argument is not valid.
        """
        arguments = arguments_of(request.verb, request.arguments)
        match arguments:
            case ViewOf():
                return self._view(request.id, arguments)
            case Changes():
                result = self._set(arguments.changes)
            case Mark():
                result = self._mark(arguments.text)
            case Nothing() if request.verb == "info":
                result = self._info(role)
            case Since():
                result = self._events(arguments.since)
            case _:
                result = self._verbs[request.verb]()
        return encode("reply", Reply(id=request.id, ok=True, result=result))

    def _status(self) -> dict[str, Any]:
        return self._health.status().model_dump()

    def _info(self, role: Role) -> dict[str, Any]:
        stream = self._stream()
        return {
            "version": SELFSTORM_VERSION,
            "protocol": VERSION,
            "verbs": list(VERBS),
            "role": role,
            "stream": None if stream is None else stream.model_dump(),
            "settings": values_of(self._live.current),
        }

    def _events(self, since: int) -> dict[str, Any]:
        events = self._health.events_since(since)[:MAX_EVENTS]
        return {"events": [event.model_dump() for event in events]}

    def _view(self, request_id: str, wanted: ViewOf) -> list[Buffer]:
        found = newest(self._publisher.last, wanted.kind)
        if found is None:
            raise RefusedRequestError("there is no picture of this kind yet")
        kind, picture = found
        if wanted.unless == (kind, picture[0].published_unix_ns):
            return encode("reply", Reply(id=request_id, ok=True, result={"newer": False}))
        region = visible(picture[1].shape, wanted)
        if not self._viewed.spend(max(MIN_VIEW_PX, region.height * region.width)):
            raise RefusedRequestError("too many pixels are viewed: ask for a smaller region, or less often")
        view, pixels = view_of(request_id, kind, picture, region, wanted)
        return encode("view", view, pixels)

    def _pause(self, paused: bool) -> dict[str, Any]:
        if paused != self._paused:
            self._paused = paused
            self._queue.pause(paused)
            self._health.report(paused=paused)
            what = "paused: frames are received, no picture is made" if paused else "resumed: pictures are made again"
            self._health.event("info", "paused" if paused else "resumed", what)
        return {"paused": paused}

    def _stop(self) -> dict[str, Any]:
        self._health.event("info", "stopping", "stop requested: waiting windows are finished")
        self._stop_service()
        return self._status()

    def _reset_model(self) -> dict[str, Any]:
        self._model.reset_model()
        self._health.event("info", "model_reset", "requested: the next window starts a new model")
        return {}

    def _set(self, changes: dict[str, Any]) -> dict[str, Any]:
        changed = self._live.change(changes, self._stream())
        for key, (before, after) in changed.items():
            self._health.event("info", "setting_changed", f"{key}: from {_format(before)} to {_format(after)}")
        return {"changed": changed, "settings": values_of(self._live.current)}

    def _snapshot(self) -> dict[str, Any]:
        found = newest(self._publisher.last, "newest")
        if found is None:
            raise RefusedRequestError("there is no picture yet")
        last = self._publisher.last
        long_ones = last.get("accumulated"), self._publisher.scene_before
        return {"file": str(self._snapshots.save(found[1], last.get("raw.mean"), *long_ones))}

    def _record_start(self) -> dict[str, Any]:
        return {"folder": str(self._recording.start())}

    def _record_stop(self) -> dict[str, Any]:
        folder = self._recording.stop()
        return {"folder": None if folder is None else str(folder)}

    def _mark(self, text: str) -> dict[str, Any]:
        status = self._health.status()
        self._health.event("info", "mark", f"after {status.windows.complete} windows: {text or 'marked'}")
        return {"event": status.events}


def _format(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)
