"""Repetition of a run from its manifest.

The same frames and decisions give the same pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch
from pydantic import ValidationError

from daemon.config import Config
from daemon.processing.manifest import ManifestLine, RunLine, WindowLine, picture_hash
from daemon.processing.reconstructor import Reconstructor
from daemon.sources.kinds import resolve
from daemon.stopwatch import Stopwatch
from daemon.stream_settings import stream_settings
from selfstorm.compute.device import prepare_device
from selfstorm.errors import InputError
from selfstorm.frames import Array, Frame, StreamInfo, Window
from selfstorm.io.recording import RecordingReader
from selfstorm.io.regular_file import check_regular
from selfstorm.reconstruction import Reconstruction
from selfstorm.stream.processing_level import ProcessingLevel
from selfstorm.stream.window import TooFewFramesError

MAX_LINE_CHARACTERS = 64 * 2**20
HINT = "give a manifest that selfstorm-daemon wrote"

Pixels = Callable[[int, int], Array]  # of a seq and the camera's number


@dataclass(frozen=True, slots=True)
class Repeated:
    """A repeated window.

    Attributes:
        line: of the manifest.
        result: of the repetition.
        pixel_nm: of its picture.
        equal: the picture is bit for bit that of the run.
    """

    line: WindowLine
    result: Reconstruction
    pixel_nm: float
    equal: bool


def repeat_run(manifest: Path) -> Iterator[Repeated]:
    """Reconstruct every window of a run again.

    Args:
        manifest: of the run; its recording or movie must be where it was.

    Yields:
        The repeated windows in order.

    Raises:
        InputError: the manifest is damaged, or the frames or the model of the run are gone.
    """
    lines = _lines(manifest)
    first = next(lines, None)
    if first is None or first.run is None:
        raise InputError("does not begin with the start of a run", where=manifest, hint=HINT)
    run = first.run
    config = now = run.config
    device = prepare_device(run.device.split()[0])
    torch.set_num_threads(run.torch_threads)
    again = Reconstructor(
        lambda info: stream_settings(now, info),
        device,
        steady=True,
        as_offline=config.lossless,
        tell=lambda level, code, text: None,
        checkpoint=_start(manifest, run),
    )
    info: StreamInfo | None = None
    pixels: Pixels | None = None
    with ExitStack() as movies:
        for line in lines:
            if line.stream is not None:
                info = line.stream
                pixels = _pixels_of(info, config, movies)
            elif line.changed is not None:
                now = now.model_copy(update=dict(line.changed))
            elif line.reset:
                again.forget()
            elif line.window is not None and info is not None and pixels is not None:
                window = _window(line.window, info, pixels)
                level = ProcessingLevel(**line.window.effort.model_dump())
                try:
                    made = again.reconstruct(window, Stopwatch(), level=level)
                except TooFewFramesError as error:
                    raise InputError(f"window {window.index}: {error}", where=manifest, hint=HINT) from None
                pixel_nm = again.settings.pixel_nm / made.result.scale
                equal = picture_hash(made.result.picture) == line.window.picture_hash
                yield Repeated(line.window, made.result, pixel_nm, equal)


def _lines(manifest: Path) -> Iterator[ManifestLine]:
    check_regular(manifest, HINT)
    try:
        with manifest.open(encoding="utf-8") as file:
            for number, text in enumerate(iter(lambda: file.readline(MAX_LINE_CHARACTERS), ""), 1):
                if text.endswith("\n"):  # the last line of a killed run may be incomplete
                    yield _line(manifest, number, text)
                elif number == 1:
                    raise InputError("is not the manifest of a run", where=manifest, hint=HINT)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=manifest) from None
    except UnicodeDecodeError:
        raise InputError("is not a text file", where=manifest, hint=HINT) from None


def _line(manifest: Path, number: int, text: str) -> ManifestLine:
    try:
        return ManifestLine.model_validate_json(text)
    except ValidationError as error:
        why = error.errors()[0]["msg"]
        raise InputError(f"line {number} does not belong to a manifest ({why})", where=manifest, hint=HINT) from None


def _start(manifest: Path, run: RunLine) -> Path | None:
    if not run.checkpoint:
        return None
    path = manifest.parent / Path(run.checkpoint).name
    check_regular(path, HINT)
    if not path.exists() or sha256(path.read_bytes()).hexdigest() != run.checkpoint_sha256:
        raise InputError("the model that the run started from is missing or has changed", where=path)
    return path


def _window(line: WindowLine, info: StreamInfo, pixels: Pixels) -> Window:
    seqs = (*line.before, *line.seqs)
    less = line.number_less_seq
    numbers = line.numbers if less is None else [seq + less for seq in seqs]

    def frame(seq: int, number: int) -> Frame:
        whole = pixels(seq, number)
        return Frame(info.stream, seq, number, whole if line.region is None else line.region.of(whole), None, 0, 0)

    frames = tuple(map(frame, seqs, numbers))
    before = len(line.before)
    there = set(line.seqs)
    missing = tuple(seq for seq in range(line.first_seq, line.last_seq + 1) if seq not in there)
    return Window(
        line.index,
        info,
        line.first_seq,
        line.last_seq,
        frames[before:],
        missing,
        frames[:before],
        line.stride,
        line.region,
    )


def _pixels_of(info: StreamInfo, config: Config, movies: ExitStack) -> Pixels:
    """Find the frames of a stream again.

    They were recorded, or are in the replayed movie, or are simulated again.

    Returns:
        A function of a frame's seq and the camera's number, which returns its pixels, (H, W).

    Raises:
        InputError: the frames are not to be had any more.
    """
    if config.record is not None:
        return _recorded(config.record, info, movies)
    if again := config.source.kind.frames_again:
        pixels = resolve(again)(config.source, config.reconstruction.window * 2, movies)
        return lambda seq, number: pixels(number)
    raise InputError(
        "the frames of this run were not recorded", where=info.source, hint="record them with --record DIR"
    )


def _recorded(folder: Path, info: StreamInfo, movies: ExitStack) -> Pixels:
    paths = sorted(folder.glob(f"*-{info.stream[:8]}.tif"))
    if not paths:
        raise InputError(f"holds no recording of stream {info.stream}", where=folder)
    recording = RecordingReader(paths)
    movies.callback(recording.close)
    places = {int(seq): place for place, seq in enumerate(recording.seqs)}

    def pixels(seq: int, number: int) -> Array:
        if seq not in places:
            raise InputError(f"frame {seq} of stream {info.stream} is not in the recording", where=folder)
        return recording.pixels(places[seq])

    return pixels
