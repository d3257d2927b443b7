"""The live engine under load: maximum camera rate, latency, window length.

The rates are found with the daemon as it is installed, a process of its own that replays a simulated movie; the rest is
measured on the engine in this process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.io.ome_tiff import OmeTiffWriter
from selfstorm.metrics.ground_truth import score_picture
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.model_kinds import new_model
from selfstorm.stream.processing_level import ProcessingLevel, degradation_ladder
from selfstorm.stream.settings import Settings

WINDOW, STRIDE = 100, 25
FIRST_RATE_HZ, MAX_RATE_HZ = 12.5, 3200.0
MOVIE_FRAMES = 400
LENGTHS = (50, 100, 200, 400)
SETTLED = 4  # strides, once the first window is done
SCENE: dict[str, Any] = {"density": 5.0, "photons": 1200.0, "on_frames": 1.5, "seed": 41}


@dataclass(frozen=True, slots=True)
class RateRun:
    """One run of the daemon at a camera rate.

    Attributes:
        side_px: of the field.
        rate_hz: of the camera.
        effort: name of the processing level at the end.
        missing: frames.
        published: windows.
        skipped: windows.
        preview_ms: p50, p95, p99 from a window's last frame; None if there was no time for previews.
        refined_ms: the same of refined pictures.
    """

    side_px: int
    rate_hz: float
    level: str
    missing: int
    published: int
    skipped: int
    preview_ms: tuple[float, ...] | None
    refined_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LengthCost:
    """Cost of a stride in windows of a length.

    Attributes:
        window: frames.
        effort: name of the processing level.
        stride_s: seconds for a stride of 25 frames.
    """

    window: int
    level: str
    stride_s: float


@dataclass(frozen=True, slots=True)
class WarmStart:
    """Scores of the last window's picture, after a warm and a cold start.

    Attributes:
        effort: name of the processing level.
        warm: Pearson correlation with the truth, after other windows.
        cold: the same of a first window.
        seconds: of that window.
    """

    level: str
    warm: float
    cold: float
    seconds: float


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """Figures of one run.

    Attributes:
        rates: runs of the daemon.
        lengths: cost of window lengths.
        warm: scores after warm and cold starts.
    """

    rates: tuple[RateRun, ...]
    lengths: tuple[LengthCost, ...]
    warm: tuple[WarmStart, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return asdict(self)

    def fastest(self, side_px: int) -> float:
        """Return the highest rate without loss, 0 if there was none.

        No window was skipped and no frame was missing.
        """
        good = [run.rate_hz for run in self.rates if run.side_px == side_px and not run.skipped + run.missing]
        return max(good, default=0.0)


def measure(
    sides_px: tuple[int, ...],
    seconds: float,
    device: torch.device,
    say: Callable[[str], None],
    rates_hz: tuple[float, ...] = (),
) -> StreamFigures:
    """Measure rates, window lengths and warm starts.

    Args:
        sides_px: of the fields.
        seconds: of every run of the daemon.
        device: to compute on.
        say: called with a line for every figure.
        rates_hz: of the camera, and then nothing else is measured; none: twice as fast each time until windows are
            skipped.
    """
    rates: list[RateRun] = []
    for side_px in sides_px:
        raw, _ = _movie(side_px)
        with tempfile.TemporaryDirectory() as folder:
            for run in _sweep(Path(folder), raw, side_px, seconds, device, rates_hz):
                rates.append(run)
                say(
                    f"{side_px} px at {run.rate_hz:g} frames/s: {run.published} windows, {run.skipped} skipped, "
                    f"'{run.level}', p95 {_ms(run.preview_ms)} (preview), {_ms(run.refined_ms)} (refined)"
                )
    if rates_hz:
        return StreamFigures(tuple(rates), (), ())
    raw, emitters = _movie(64)
    lengths = []
    for length in LENGTHS:
        for cost in _lengths(raw, length, device):
            lengths.append(cost)
            say(f"windows of {length} frames, '{cost.level}': {1000 * cost.stride_s:.0f} ms a stride")
    warm = []
    for start in _warm_starts(raw, emitters, device):
        warm.append(start)
        say(f"'{start.level}': warm {start.warm:.3f}, cold {start.cold:.3f} in {1000 * start.seconds:.0f} ms")
    return StreamFigures(tuple(rates), tuple(lengths), tuple(warm))


def _movie(side_px: int) -> tuple[Array, Array]:
    shots = list(simulate(Scene(height=side_px, width=side_px, filaments=side_px // 6, **SCENE), frames=MOVIE_FRAMES))
    emitters = [np.c_[np.full(len(e), t), e[:, 1:3]] for t, (_, e) in enumerate(shots)]
    return np.stack([pixels for pixels, _ in shots]), np.concatenate(emitters)


def _ms(latency_ms: tuple[float, ...] | None) -> str:
    return "none" if latency_ms is None else f"{latency_ms[1]:.0f} ms"


def _sweep(
    folder: Path, raw: Array, side_px: int, seconds: float, device: torch.device, rates_hz: tuple[float, ...]
) -> Iterator[RateRun]:
    """Run the given rates, or search for the highest.

    The search doubles the rate until windows are skipped, then tries one rate half way back.
    """
    with OmeTiffWriter(folder / "movie.ome.tif", 100.0) as writer:
        for frame in raw:
            writer.add(frame)
    if rates_hz:
        yield from (_run_daemon(folder, side_px, rate_hz, seconds, device) for rate_hz in rates_hz)
        return
    rate_hz = FIRST_RATE_HZ
    while rate_hz <= MAX_RATE_HZ:
        run = _run_daemon(folder, side_px, rate_hz, seconds, device)
        yield run
        if run.skipped or run.missing:
            if rate_hz > FIRST_RATE_HZ:
                yield _run_daemon(folder, side_px, rate_hz / np.sqrt(2), seconds, device)
            return
        rate_hz *= 2


def _run_daemon(folder: Path, side_px: int, rate_hz: float, seconds: float, device: torch.device) -> RateRun:
    frames = WINDOW + max(8 * STRIDE, round(rate_hz * seconds))
    lines = [
        f'[source]\nuri = "replay:movie.ome.tif"\nrate_hz = {rate_hz}\nloop = true\nframes = {frames}',
        "[camera]\npixel_nm = 100.0\noffset_adu = 100.0\ngain_adu_per_electron = 4.0",
        "[optics]\npsf_sigma_nm = 110.0",
        f'[reconstruction]\nwindow = {WINDOW}\nstride = {STRIDE}\ndevice = "{device.type}"',
        '[server]\nresults = "tcp://127.0.0.1:*"\ncontrol = "tcp://127.0.0.1:*"',
    ]
    config = folder / "stream.toml"
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [sys.executable, "-c", "from daemon.cli import main; main()", "run", str(config), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"the daemon failed: {done.stderr.strip().splitlines()[-1]}", where="selfstorm-daemon")
    status = json.loads(done.stdout[done.stdout.index("{") :])
    latency = {stage["stage"]: (stage["p50_ms"], stage["p95_ms"], stage["p99_ms"]) for stage in status["latencies"]}
    frames_, windows = status["frames"], status["windows"]
    return RateRun(
        side_px,
        float(rate_hz),
        status["effort"],
        frames_["missing"],
        windows["published"],
        windows["skipped"],
        latency.get("preview"),
        latency["refined"],
    )


def _settings() -> Settings:
    return Settings(100.0, Gaussian(110.0), 100.0, 4.0, quality="fast", tuning_steps=0)


def _lengths(raw: Array, length: int, device: torch.device) -> Iterator[LengthCost]:
    for level in _levels():
        model = new_model(_settings(), raw[:length], Compute(device))
        took = []
        for stride in range(SETTLED + 1):
            end = length + stride * STRIDE
            numbers = np.arange(model.last_number + 1, end)
            start = time.perf_counter()
            place = WindowSpan(numbers, stride * STRIDE, STRIDE)
            model.ingest(raw[numbers % len(raw)], place)
            model.picture(place, level)
            took.append(time.perf_counter() - start)
        yield LengthCost(length, level.name, float(np.median(took[1:])))


def _warm_starts(raw: Array, emitters: Array, device: torch.device) -> Iterator[WarmStart]:
    """Compare the last window of 25 frames after 15 others and on its own.

    Both take the same steps, so the same budget.
    """
    last = len(raw) - STRIDE
    truth = emitters[emitters[:, 0] >= last, 1:3]
    for level in _levels():
        scores, took = [], 0.0
        for first in (0, last):
            model = new_model(_settings(), raw[first : first + STRIDE], Compute(device))
            for start in range(first, len(raw), STRIDE):
                began = time.perf_counter()
                place = WindowSpan(np.arange(start, start + STRIDE), start, STRIDE)
                model.ingest(raw[start : start + STRIDE], place)
                result = model.picture(place, level)
                took = time.perf_counter() - began
            scores.append(score_picture(result.picture, truth, 25.0).pearson)
        yield WarmStart(level.name, scores[0], scores[1], took)


def _levels() -> list[ProcessingLevel]:
    return [step for step in degradation_ladder(_settings().level) if step.name != "emitters"]
