"""Manifest of a run, beside every output: enough to repeat the run.

Each line is a step:

    {"run": ...}     the first line: configuration, versions, device, what the model started from
    {"stream": ...}  a stream begins
    {"window": ...}  a window was reconstructed: its frames, its processing level, the hash of its picture
    {"failed": ...}  a window could not be reconstructed
    {"changed": ...} settings from here on, changed by control; {"reset": true} a new model starts
    {"event": ...}   an event as the viewers saw it, marks among them

Lines are appended and flushed: what a killed run wrote before its end can be repeated too.
"""

from __future__ import annotations

import platform
import shutil
import time
from dataclasses import asdict
from hashlib import blake2b, sha256
from importlib.metadata import version
from pathlib import Path
from typing import IO, Annotated, Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from daemon.config import PATHS, CameraSection, Config, OpticsSection, ReconstructionSection
from daemon.health import Health
from daemon.processing.sinks import Sink, WindowOutput
from daemon.protocol.messages import Count, Event
from selfstorm.frames import Array, Region, StreamInfo, Window
from selfstorm.io.atomic_files import free_path, stem
from selfstorm.stream.processing_level import Estimate, Quality

SUFFIX = ".manifest.ndjson"
PACKAGES = ("selfstorm", "torch", "numpy", "scipy", "pyzmq")

MAX_SPAN = 1_000_000  # frames of a window
Seqs = Annotated[list[Count], Field(max_length=MAX_SPAN)]
CameraNumber = Annotated[int, Field(gt=-(2**63), lt=2**63)]


class Line(BaseModel):
    """Base of what a line holds; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class RunLine(Line):
    """Start of the run.

    Attributes:
        run: identity of the run.
        started_unix_ns: nanoseconds since 1970.
        config: with absolute paths.
        versions: of the packages, by their names.
        device: type and name.
        torch_threads: threads of torch on the CPU.
        checkpoint: file name of a copy of the model that the run started from; empty without one.
        checkpoint_sha256: of that copy.
    """

    format: Literal["selfstorm-run"] = "selfstorm-run"
    format_version: Literal[1] = 1
    run: str
    started_unix_ns: int
    config: Config
    versions: dict[str, str]
    device: Annotated[str, Field(pattern=r"^\S")]
    torch_threads: Annotated[int, Field(ge=1, le=4096)]
    checkpoint: str = ""
    checkpoint_sha256: str = ""


class ProcessingLevelLine(Line):
    """Processing level of a window.

    Its fields are those of `selfstorm.stream.processing_level.ProcessingLevel`; in the file, measure_quality is judged.
    """

    name: str
    estimate: Estimate
    quality: Quality
    optics: bool
    quick: bool
    ahead: Estimate | None = None
    measure_quality: bool = Field(default=True, alias="judged")
    claims: bool = True


class WindowLine(Line):
    """One reconstructed window.

    Attributes:
        index: number of the window in the run.
        stream: stream of its frames.
        first_seq: first number that it covers.
        last_seq: last number that it covers.
        seqs: numbers of its frames; those that are missing were lost.
        before: numbers of frames before the window that were ingested with it.
        stride: frames until the next window.
        region: reconstructed part of the field in camera pixels; None for all of it.
        numbers: the camera's numbers of `before`, then of `seqs`; they have gaps where frames were lost at the source.
        effort: processing level.
        learned: the model learned from the window.
        model_hash: names the model; empty where it has no name.
        picture_hash: of the refined picture, bit for bit.
        metrics: of the refined picture.
        misfit: in files older than `metrics`.
        number_less_seq: in files older than `numbers`, the camera's number of the first frame less its seq.
    """

    index: Count
    stream: str
    first_seq: Count
    last_seq: Count
    seqs: Seqs
    before: Seqs
    stride: Annotated[int, Field(ge=1, le=MAX_SPAN)]
    region: Region | None = None
    numbers: Annotated[list[CameraNumber], Field(max_length=2 * MAX_SPAN)] = Field(default_factory=list)
    effort: ProcessingLevelLine
    learned: bool
    model_hash: str
    picture_hash: str
    metrics: dict[str, float] = Field(default_factory=dict)
    misfit: float | None = None
    number_less_seq: CameraNumber | None = None

    @model_validator(mode="after")
    def _spans_a_window(self) -> Self:
        if not 0 <= self.last_seq - self.first_seq < MAX_SPAN:
            raise ValueError(f"a window of frames {self.first_seq} to {self.last_seq}")
        if self.number_less_seq is None and len(self.numbers) != len(self.before) + len(self.seqs):
            raise ValueError(f"{len(self.numbers)} camera numbers of {len(self.before) + len(self.seqs)} frames")
        return self


class FailedLine(Line):
    """A window that could not be reconstructed, with the reason."""

    index: int
    stream: str
    first_seq: int
    last_seq: int
    error: str


class ChangedLine(Line):
    """Whole sections of the configuration that control may change."""

    camera: CameraSection
    optics: OpticsSection
    reconstruction: ReconstructionSection


class ManifestLine(BaseModel):
    """One line of the file: exactly one of these is set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: RunLine | None = None
    stream: StreamInfo | None = None
    window: WindowLine | None = None
    failed: FailedLine | None = None
    changed: ChangedLine | None = None
    reset: Literal[True] | None = None
    event: Event | None = None


class Manifest(Sink):
    """Writes the lines of one run beside its outputs.

    The first line is written with the first window.

    A file that cannot be written is given up, with an event; the stream goes on.
    """

    def __init__(self, config: Config, health: Health, device: str) -> None:
        self._config, self._health, self._device = config, health, device
        self._started_unix_ns = time.time_ns()
        self._stream: StreamInfo | None = None
        self._next_event = 0
        self._files: list[IO[str]] = []
        self._begun, self._starts_new_model = False, False

    def _begin(self) -> None:
        config = self._config
        for path in _places(config, self._health.run):
            try:
                self._files.append(free_path(path).open("x", encoding="utf-8"))
            except OSError as error:
                self._give_up(path, error)
        run = RunLine(
            run=self._health.run,
            started_unix_ns=self._started_unix_ns,
            config=_absolute(config),
            versions={"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
            device=self._device,
            torch_threads=torch.get_num_threads(),
        )
        self._write(ManifestLine(run=run.model_copy(update=self._copy_checkpoint())))

    def _copy_checkpoint(self) -> dict[str, str]:
        """Copy the model that the run starts from.

        The run's own checkpoint will replace it.

        Returns:
            Fields `checkpoint` and `checkpoint_sha256` of the first line; none without a model.
        """
        checkpoint = self._config.checkpoint
        if not self._files or checkpoint is None or not checkpoint.exists() or self._starts_new_model:
            return {}
        kept = free_path(Path(self._files[0].name).with_suffix(".start.safetensors"))
        try:
            with checkpoint.open("rb") as source, kept.open("xb") as copy:
                shutil.copyfileobj(source, copy)
            return {"checkpoint": kept.name, "checkpoint_sha256": sha256(kept.read_bytes()).hexdigest()}
        except OSError as error:
            self._give_up(kept, error)
            return {}

    def result(self, output: WindowOutput) -> None:
        """Write the line of a reconstructed window."""
        window, made = output.window, output.made
        self._describe(window)
        line = WindowLine(
            index=window.index,
            stream=window.info.stream,
            first_seq=window.first_seq,
            last_seq=window.last_seq,
            seqs=[frame.seq for frame in window.frames],
            before=[frame.seq for frame in window.before],
            stride=window.stride,
            region=window.region,
            numbers=[frame.number for frame in (*window.before, *window.frames)],
            effort=ProcessingLevelLine(**asdict(made.level)),
            learned=made.learned,
            model_hash=made.model_hash,
            picture_hash=picture_hash(made.result.picture),
            metrics=dict(output.header.metrics),
        )
        self._write(ManifestLine(window=line))

    def failed(self, window: Window, error: str) -> None:
        """Write the line of a window that could not be reconstructed."""
        self._describe(window)
        seqs: dict[str, Any] = {"first_seq": window.first_seq, "last_seq": window.last_seq}
        self._write(ManifestLine(failed=FailedLine(index=window.index, stream=window.info.stream, error=error, **seqs)))

    def config_changed(self, config: Config) -> None:
        """Write the sections of the configuration that control may change."""
        if not self._begun:  # the first line will say so
            self._config = config
            return
        sections = {name: getattr(config, name) for name in ChangedLine.model_fields}
        self._write(ManifestLine(changed=ChangedLine(**sections)))

    def model_reset(self) -> None:
        """Write that a new model starts."""
        if self._begun:
            self._write(ManifestLine(reset=True))
        else:
            self._starts_new_model = True

    def close(self) -> None:
        """Write the last events, and close the files."""
        if self._begun:
            self._write_events()
        for file in self._files:
            file.close()

    def _describe(self, window: Window) -> None:
        if not self._begun:
            self._begun = True
            self._begin()
        self._write_events()
        if window.info != self._stream:
            self._stream = window.info
            self._write(ManifestLine(stream=window.info))

    def _write_events(self) -> None:
        for event in self._health.events_since(self._next_event):
            self._write(ManifestLine(event=event))
            self._next_event = event.number + 1

    def _write(self, line: ManifestLine) -> None:
        for file in list(self._files):
            try:
                file.write(line.model_dump_json(exclude_none=True, by_alias=True) + "\n")
                file.flush()
            except OSError as error:
                self._files.remove(file)
                self._give_up(Path(file.name), error)

    def _give_up(self, path: Path, error: OSError) -> None:
        self._health.event("error", "manifest_stopped", f"{path}: {error.strerror}; the stream goes on")


def picture_hash(picture: Array) -> str:
    """Hash the picture bit for bit: 32 hexadecimal digits."""
    return blake2b(picture.tobytes(), digest_size=16).hexdigest()


def _absolute(config: Config) -> Config:
    """Make all paths absolute.

    The run can be repeated from another folder then.
    """
    paths = {name: getattr(config, name) for name in PATHS}
    source = config.source
    if source.kind.place and source.place:
        source = source.model_copy(update={"uri": f"{source.scheme}:{Path(source.place).absolute()}"})
    whole = {name: path.absolute() for name, path in paths.items() if path is not None}
    return config.model_copy(update={"source": source, **whole})


def _places(config: Config, run: str) -> list[Path]:
    places = []
    named = config.save or config.localizations or config.accumulated
    if named is not None:
        places.append(named.with_name(stem(named) + SUFFIX))
    if config.record is not None:
        places.append(config.record / f"run-{run[:8]}{SUFFIX}")
    return places
