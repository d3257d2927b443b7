"""Messages on the wire, one class each; PROTOCOL.md is normative.

Message
├── frame stream   FrameHeader, Heartbeat, and the stream's StreamInfo ('info')
├── results        PictureHeader ('sr.preview', 'sr.refined', 'raw.mean', 'quality', 'trust', 'accumulated'),
│                  MetricDescriptions, Status, Event
└── control        Request, Reply, View

Unknown keys are ignored, so a newer minor version can be read; types and ranges are strict. A list of words ('state',
'level') never grows within a major version, because an older reader would reject the new one.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from selfstorm.frames import MAX_SIDE_PX, PixelType, Region, StreamInfo
from selfstorm.metrics.metric import MetricDescription, MetricKey
from selfstorm.metrics.metric_table import MAX_METRICS

VERSION = (2, 3)
MAX_LISTED_MISSING = 256
MAX_ARGUMENTS = 32

Count = Annotated[int, Field(ge=0, lt=2**63)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE_PX)]
Text = Annotated[str, Field(max_length=2048)]
Name = Annotated[str, Field(max_length=64)]
MetricValues = Annotated[dict[MetricKey, Annotated[float, Field(allow_inf_nan=False)]], Field(max_length=MAX_METRICS)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Grade = Literal["full", "reduced", "quick", "preview"]


class Message(BaseModel):
    """Base of all headers: immutable, strict, tolerant of unknown keys."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class FrameHeader(Message):
    """One camera frame; its pixels (H, W) follow as the third part."""

    stream: Name
    seq: Count
    number: int
    shape: tuple[Side, Side]
    dtype: PixelType
    camera_ms: float | None = None
    sent_unix_ns: Count


class Heartbeat(Message):
    """State of the camera process, sent several times a second.

    Args:
        next_seq: Frames of the stream sent so far.
        last_number: The camera's number of the last of them, None before the first.
        lost_at_source: Frames lost before they could be sent, in all.
        lost_in_camera: Of these, inside the camera, estimated from its clock.
        lost_by_cause: Of these, by cause: 'in_camera', 'not_fetched', 'taken', 'changed', 'restarted' (estimated too).
            A reader that does not know a cause counts it with the others.
        still_s: Seconds since the camera, or the program that has it, answered last; 0 while it answers.
    """

    stream: Name
    next_seq: Count
    last_number: int | None = None
    lost_at_source: Count = 0
    lost_in_camera: Count = 0
    lost_by_cause: Annotated[dict[Name, Count], Field(max_length=16)] = Field(default_factory=dict)
    state: Literal["waiting", "running", "ended", "failed"]
    detail: Text = ""
    still_s: Annotated[float, Field(ge=0, lt=1e9)] = 0.0


class FrameCounts(Message):
    """Frames since the daemon started, by what became of them.

    sent = received + missing; received = used + rejected. passed_over: frames of skipped windows that came so fast that
    the statistics left them out too; they count as used.
    """

    sent: Count = 0
    received: Count = 0
    missing: Count = 0
    used: Count = 0
    rejected: Count = 0
    passed_over: Count = 0
    lost_at_source: Count = 0
    estimated_lost_in_outages: Count = 0
    malformed_messages: Count = 0


class WindowCounts(Message):
    """Windows since the daemon started, by what became of them.

    complete = published + skipped + failed + those waiting or being processed. skipped_while_paused and
    skipped_at_stop, given up because the run was stopped: parts of skipped.
    """

    complete: Count = 0
    published: Count = 0
    skipped: Count = 0
    skipped_while_paused: Count = 0
    skipped_at_stop: Count = 0
    failed: Count = 0


class PictureHeader(Message):
    """One published picture; its float32 pixels follow as the third part.

    Args:
        region: (y, x, height, width), the camera pixels of the frame that it shows; None for all of them.
        pixel_nm: Size of a pixel of *this* picture; None where the camera's is unknown.
        first_seq, last_seq: These frames of the stream, less the missing ones, made it.
        frames: Frames that are in it.
        estimate: Kind of picture: density, emitters, fused, mean, ...
        unit: Of a pixel: 'photons/frame', 'ADU', 'a.u.' for arbitrary; empty where the daemon is older.
        effort: Name of the processing level it was made at.
        grade: How that level compares with what the settings ask for.
        state: What was known of the scene before: cold, warm, scene changed, rolled back.
        motion: Time that the sample is shown at, in words: 'as it lay', or moved to the newest frame.
        model_hash: Fingerprint of the model that made it.
        metrics: By key, as `metrics` messages describe them; those that could not be measured are left out.
        stage_ms: Time of each processing stage.
        scene: Number of the scene that the picture has accumulated since its first frame.
        drift_nm: (y, x) where the sample is now, against that frame.
    """

    run: Name
    window: Count
    stream: Name
    shape: tuple[Side, Side]
    dtype: Literal["float32"] = "float32"
    region: Region | None = None
    pixel_nm: Annotated[float, Field(gt=0, lt=1e9)] | None = None
    scale: Annotated[int, Field(ge=1, le=64)] = 1
    first_seq: Count
    last_seq: Count
    frames: Count
    missing: Count = 0
    missing_seqs: Annotated[tuple[Count, ...], Field(max_length=MAX_LISTED_MISSING)] = ()
    estimate: Name = ""
    unit: Name = ""
    effort: Name = ""
    grade: Grade = "full"
    state: Name = ""
    model: Name = ""
    model_hash: Name = ""
    memory: Text = ""
    motion: Text = ""
    optics: Text = ""
    camera: Text = ""
    device: Text = ""
    fine_tuning: Text = ""
    metrics: MetricValues = Field(default_factory=dict)
    stage_ms: Annotated[dict[Name, float], Field(max_length=32)] = Field(default_factory=dict)
    scene: Count = 0
    drift_nm: tuple[Finite, Finite] | None = None
    published_unix_ns: Count
    notes: Annotated[tuple[Text, ...], Field(max_length=32)] = ()
    frame_counts: FrameCounts = FrameCounts()
    window_counts: WindowCounts = WindowCounts()


class MetricDescriptions(Message):
    """Descriptions of the metrics of pictures, in the order of display."""

    metrics: Annotated[tuple[MetricDescription, ...], Field(max_length=MAX_METRICS)]


class StageLatency(Message):
    """Time of one processing stage in the last windows.

    'preview' and 'refined' count from a window's last frame.
    """

    stage: Name
    windows: Count
    p50_ms: float
    p95_ms: float
    p99_ms: float


class Status(Message):
    """Account of the daemon, sent twice a second as its heartbeat.

    metrics, estimate, effort, grade, model_state: of the newest refined picture. recording_fits: frames that still fit
    on the disk that is recorded to. saving, accumulated, localizations: paths of the open files; outputs_ended: why
    files are no longer written, by the key of their path. viewers: programs that receive the refined pictures; None
    where the daemon is older.
    """

    run: Name
    version: Name
    state: Literal["starting", "waiting", "running", "draining", "ended", "failed"]
    detail: Text = ""
    source: Text = ""
    source_state: Name = ""
    source_restarts: Count = 0
    refused: Annotated[dict[Text, Count], Field(max_length=32)] = Field(default_factory=dict)
    stream: Name = ""
    frames: FrameCounts = FrameCounts()
    windows: WindowCounts = WindowCounts()
    rate_hz: float = 0.0
    metrics: MetricValues = Field(default_factory=dict)
    latencies: Annotated[tuple[StageLatency, ...], Field(max_length=32)] = ()
    estimate: Name = ""
    effort: Name = ""
    grade: Grade = "full"
    model_state: Name = ""
    device: Text = ""
    checkpoint: Text = ""
    recording: Text = ""
    recorded_frames: Count = 0
    recording_missing: Count = 0
    recording_fits: Count | None = None
    saving: Text = ""
    accumulated: Text = ""
    localizations: Text = ""
    localizations_written: Count = 0
    frames_not_localized: Count = 0
    outputs_ended: Annotated[dict[Name, Text], Field(max_length=8)] = Field(default_factory=dict)
    results_dropped: Count = 0
    paused: bool = False
    viewers: Count | None = None
    events: Count = 0
    refused_requests: Annotated[dict[Text, Count], Field(max_length=32)] = Field(default_factory=dict)
    refused_of_viewers: Annotated[dict[Text, Count], Field(max_length=32)] = Field(default_factory=dict)
    uptime_s: float = 0.0
    sent_unix_ns: Count = 0

    @property
    def disk_left_s(self) -> float | None:
        """Time until the recording's disk is full; None where unknown."""
        known = self.recording and self.recording_fits is not None and self.rate_hz
        return self.recording_fits / self.rate_hz if known and self.recording_fits is not None else None


class Event(Message):
    """Something a user should know happened, once."""

    run: Name
    number: Count
    unix_ns: Count
    level: Literal["info", "warning", "error"]
    code: Name
    text: Text


class Request(Message):
    """A control request; the reply carries the same id.

    An id that was answered already gets the same answer again.
    """

    id: Annotated[str, Field(min_length=1, max_length=64)]
    verb: Name
    arguments: Annotated[dict[Name, Any], Field(max_length=MAX_ARGUMENTS)] = Field(default_factory=dict)


class View(Message):
    """The answer to `view`: a part of the last picture, with its pixels.

    kind: of the picture. region: (y, x, height, width) in pixels of the whole picture; zoom: so many of them along each
    side are averaged into one, the last of a row or column from fewer. codec: how the pixels are packed, see codec.py.
    """

    id: Name
    kind: Name
    picture: PictureHeader
    region: Region
    zoom: Annotated[int, Field(ge=1, le=MAX_SIDE_PX)]
    shape: tuple[Side, Side]
    dtype: Literal["float32"] = "float32"
    codec: Literal["raw", "shuffle-zstd"]


class Reply(Message):
    """ok with a result, or not ok with an error a user can read."""

    id: Name
    ok: bool
    error: Text = ""
    result: dict[str, Any] = Field(default_factory=dict)


KINDS: dict[str, type[BaseModel]] = {
    "frame": FrameHeader,
    "info": StreamInfo,
    "heartbeat": Heartbeat,
    "sr.preview": PictureHeader,
    "sr.refined": PictureHeader,
    "raw.mean": PictureHeader,
    "quality": PictureHeader,
    "trust": PictureHeader,
    "accumulated": PictureHeader,
    "metrics": MetricDescriptions,
    "status": Status,
    "event": Event,
    "request": Request,
    "reply": Reply,
    "view": View,
}
