"""States of the viewer that no good run shows, made from a real one.

Pictures and account of a real run are received again by the viewer, with the header or the status of a fault.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from client.picture.pictures import PicturePair
from client.state import ViewerState, reduce_connection_refused, reduce_message
from daemon.protocol.address import DEFAULT_RESULTS
from daemon.protocol.codec import Received
from daemon.protocol.messages import FrameCounts, MetricDescriptions, Status, WindowCounts
from selfstorm.frames import StreamInfo

MICROSCOPE = "micromanager:"


@dataclass(frozen=True)
class RealRun:
    """Run to make states from: description, newest status and window."""

    info: StreamInfo
    status: Status
    pair: PicturePair
    metrics: MetricDescriptions

    @classmethod
    def of(cls, state: ViewerState) -> RealRun:
        """Take them from the state of a viewer that shows a refined picture."""
        if state.info is None or state.status is None or state.newest is None:
            raise ValueError("the viewer has shown no picture yet")
        return cls(state.info, state.status, state.newest, MetricDescriptions(metrics=tuple(state.metrics)))


@dataclass(frozen=True)
class Fault:
    """Changes to what a real run sent.

    Args:
        header: Fields of the picture's header.
        metrics: Values of the picture; None removes one.
        status: Fields of the status.
        preview: The refined picture does not come.
        refined_before: That of the window before came.
        accumulated_nm: Resolution of the accumulated picture, and of the one after 10 times the frames.
        picture_age_s: Time since the picture came.
        silent_s: Time since the last status came.
        refused: Reason why the connection is refused.
    """

    header: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)
    preview: bool = False
    refined_before: bool = False
    accumulated_nm: tuple[float, ...] = ()
    picture_age_s: float = 0.0
    silent_s: float = 0.0
    refused: str = ""

    def received(self, run: RealRun, now: float) -> ViewerState:
        """Return the viewer's state after it has received all this."""
        status_at_s = now - self.silent_s
        picture_at_s = min(now - self.picture_age_s, status_at_s)
        measured = {**run.pair.sr.header.metrics, "latency_ms": 830.0, **self.metrics}
        values = {key: value for key, value in measured.items() if value is not None}
        sent_ns = time.time_ns()
        age_ns = round((status_at_s - picture_at_s) * 1e9)
        header = {
            "state": "warm",
            "grade": "preview" if self.preview else "full",
            "effort": "preview" if self.preview else "full",
            "published_unix_ns": sent_ns - age_ns,
            **self.header,
            "metrics": values,
        }
        state = ViewerState(DEFAULT_RESULTS)
        for message in (run.info.model_copy(update={"source": MICROSCOPE}), run.metrics):
            state = reduce_message(state, Received("info", message), picture_at_s)
        before = run.pair.window[1] - 1
        for name, one in (("sr.refined", run.pair.sr), ("raw.mean", run.pair.raw)) if self.refined_before else ():
            if one is not None:
                changed = one.header.model_copy(update={"window": before})
                state = reduce_message(state, Received(name, changed, one.pixels), picture_at_s)
        for number, nm in enumerate(self.accumulated_nm):
            record = {"frames": 500 * 10**number, "metrics": {"resolution_nm": nm}, "motion": "drift corrected"}
            changed = run.pair.sr.header.model_copy(update=record)
            state = reduce_message(state, Received("accumulated", changed, run.pair.sr.pixels), picture_at_s)
        kind = "sr.preview" if self.preview else "sr.refined"
        for name, one in ((kind, run.pair.sr), ("raw.mean", run.pair.raw), ("quality", run.pair.error)):
            if one is None or (name == "quality" and self.preview):
                continue
            changed = one.header.model_copy(update=header)
            state = reduce_message(state, Received(name, changed, one.pixels), picture_at_s)
        update = {
            "source": MICROSCOPE,
            "state": "running",
            "rate_hz": 50.0,
            "model_state": "warm",
            **CLEAN,
            "sent_unix_ns": sent_ns,
            **self.status,
        }
        state = reduce_message(state, Received("status", run.status.model_copy(update=update)), status_at_s)
        return reduce_connection_refused(state, self.refused) if self.refused else state


CLEAN = {
    "frames": FrameCounts(sent=9_000, received=9_000, used=9_000),
    "windows": WindowCounts(complete=90, published=90),
}
LOSSY = FrameCounts(sent=9_000, received=8_410, missing=590, lost_at_source=12, used=8_390, rejected=20)
SLOW = WindowCounts(complete=90, published=40, skipped=50)
RECORDING = {"recording": "D:/cells/run7", "recorded_frames": 128_000, "recording_fits": 98_000}
REDUCED = {"grade": "reduced", "effort": "emitters"}
QUICK = {"grade": "quick", "effort": "quick density", "estimate": "density"}
OF_LOCALIZATIONS = ("emitters_per_frame", "photons", "crowding", "claimed_precision_nm", "nena_nm", "precision_ratio")
UNASSESSED = dict.fromkeys(("resolution_nm", "fidelity", "false_share", "agreement", *OF_LOCALIZATIONS))
NOT_BLINKING = {"far_correlation": 0.92, "misfit": 0.003}

STATES: dict[str, Fault] = {
    "full": Fault(),
    "reduced": Fault(REDUCED, UNASSESSED),
    "quick": Fault(QUICK, {**UNASSESSED, "misfit": 0.3}),
    "not-blinking": Fault(QUICK, {**UNASSESSED, **NOT_BLINKING}),
    "preview": Fault({"estimate": "density"}, UNASSESSED, preview=True),
    "preview-after": Fault({"estimate": "density"}, UNASSESSED, preview=True, refined_before=True),
    "accumulated": Fault(accumulated_nm=(72.0, 41.0)),
    "coarser": Fault(accumulated_nm=(72.0, 95.0)),
    "late": Fault(metrics={"latency_ms": 52_000.0}),
    "replay": Fault(status={"source": "replay:cell_3.ome.tif"}),
    "misfit": Fault(metrics={"misfit": 0.31, "agreement": 0.61, "fidelity": 0.2}),
    "missing": Fault({"missing": 12, "frames": 88}, {"missing": 0.12}, {"frames": LOSSY}),
    "skipped": Fault(REDUCED, UNASSESSED, {"windows": SLOW}),
    "stalled": Fault(status={"rate_hz": 0.0}, picture_age_s=40.0),
    "paused": Fault(status={"paused": True}, picture_age_s=12.0),
    "disconnected": Fault(silent_s=12.0),
    "refused": Fault(silent_s=12.0, refused="the daemon needs a key"),
    "ended": Fault(status={"state": "ended"}, silent_s=30.0),
    "failed": Fault(status={"state": "failed", "detail": "the camera was switched off"}, silent_s=30.0),
    "recording": Fault(status=RECORDING),
    "many": Fault(
        {**QUICK, "missing": 12, "frames": 88},
        {**UNASSESSED, "misfit": 0.31, "latency_ms": 52_000.0, "missing": 0.12},
        {"windows": SLOW, "frames": LOSSY, "rate_hz": 3.0, **RECORDING},
    ),
}
