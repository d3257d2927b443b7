"""`python -m benchmarks.feedback`: density of emitters held by a laser.

    sample (bleaches) --frames--> daemon --counts--> feedback loop --power--> sample

The daemon is a process, its frames come over its own sockets, and the loop is the product's; the sample and the laser
are simulated. Held is the true number of emitters a frame, which the loop never sees.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import uuid4

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.outputs import prepare_output
from daemon.control.client import ControlClient
from daemon.feedback.loop import FeedbackLoop
from daemon.feedback.settings import FeedbackSettings
from daemon.sources.camera import CameraFrame
from daemon.sources.stream_publisher import StreamPublisher
from selfstorm.commands.console import run
from selfstorm.frames import StreamInfo
from selfstorm.io.atomic_files import atomic_write
from selfstorm.simulation.spots import GaussianPsf, place

SIDE_PX, PIXEL_NM, SIGMA_NM = 40, 100.0, 130.0
PHOTONS, BACKGROUND, OFFSET_ADU = 900.0, 12.0, 100.0
ON_FRAMES, BLEACHED = 3.0, 0.5  # mean time that an emitter shines, and the share that never does so again
RATE_PER_UNIT = 2e-5  # activations of a molecule, per frame and unit of the laser
DAEMON_STARTS_MS = 60_000
POLL_S, SMOOTH_FRAMES, BAND = 0.2, 50, 0.2


@dataclass
class BleachingSample:
    """Molecules that a laser activates and that bleach, and the laser.

    Attributes:
        value: the laser's power.
        emitters: true number in every frame so far.
        powers: the laser's in each of them.
    """

    molecules: int
    seed: int
    value: float = 0.0
    emitters: list[int] = field(default_factory=list)
    powers: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self._yx_nm = self._rng.uniform(0, SIDE_PX * PIXEL_NM, (self.molecules, 2))
        self._dark, self._on = np.ones(self.molecules, bool), np.zeros(self.molecules, bool)
        self._psf = GaussianPsf(SIGMA_NM)

    def order(self, value: float) -> None:
        """Set the laser."""
        self.value = value

    @property
    def left(self) -> float:
        """Share of the molecules that have not bleached."""
        return float((self._dark | self._on).mean())

    def frame(self) -> NDArray[np.uint16]:
        """Take the next frame, (SIDE_PX, SIDE_PX) ADU."""
        rng = self._rng
        ends = self._on & (rng.random(self.molecules) < 1 / ON_FRAMES)
        self._on &= ~ends
        self._dark |= ends & (rng.random(self.molecules) >= BLEACHED)
        begins = self._dark & (rng.random(self.molecules) < RATE_PER_UNIT * self.value)
        self._dark &= ~begins
        self._on |= begins
        self.powers.append(self.value)
        self.emitters.append(int(self._on.sum()))
        y, x = self._yx_nm[self._on].T
        photons = rng.exponential(PHOTONS, len(y))
        light = place(y, x, photons, (SIDE_PX, SIDE_PX), psf=self._psf, pixel_nm=PIXEL_NM) + BACKGROUND
        return (rng.poisson(light) + rng.normal(OFFSET_ADU, 1.5, light.shape)).clip(0, 65_535).astype(np.uint16)


def film(sample: BleachingSample, publisher: StreamPublisher, rate_hz: float, stop: threading.Event) -> None:
    """Publish the sample's frames until stopped.

    Args:
        sample: filmed, by this thread alone.
        publisher: of the frames.
        rate_hz: frames a second.
        stop: ends it.
    """
    publisher.wait_for_subscribers(1)
    info = StreamInfo(
        stream=uuid4().hex, source="simulated", height=SIDE_PX, width=SIDE_PX, dtype="uint16", pixel_nm=PIXEL_NM
    )
    publisher.begin(info)
    number, due_s = 0, time.monotonic()
    while not stop.wait(max(0.0, due_s - time.monotonic())):
        publisher.send(CameraFrame(sample.frame(), number, None))
        publisher.beat()
        number, due_s = number + 1, due_s + 1 / rate_hz


@contextmanager
def _daemon(source: str, window: int) -> Iterator[str]:
    """Run the daemon; yield the address of its control."""
    results, control = (f"tcp://127.0.0.1:{port}" for port in _free_ports())
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "daemon.toml"
        config.write_text(
            f'[source]\nuri = "zmq:{source.removeprefix("tcp://")}"\n'
            f'[server]\nresults = "{results}"\ncontrol = "{control}"\n'
            f"[optics]\npsf_sigma_nm = {SIGMA_NM}\n"
            f"[camera]\noffset_adu = {OFFSET_ADU}\ngain_adu_per_electron = 1.0\n"
            f"[reconstruction]\nwindow = {window}\nstride = {window}\nscale = 4\n",
            encoding="utf-8",
        )
        command = [sys.executable, "-c", "from daemon.cli import main; main()", "run", str(config)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            with ControlClient(control, DAEMON_STARTS_MS) as client:
                client.ask("status")
            yield control
        finally:
            process.kill()
            process.wait()


def _free_ports() -> list[int]:
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in (one, other)]


@dataclass(frozen=True, slots=True)
class Course:
    """One sample, filmed and held.

    Attributes:
        seed: of the sample.
        aim: localizations per frame.
        published: frame at which each window was published.
        counted: its localizations per frame.
        emitters: true number, mean of SMOOTH_FRAMES frames each.
        powers: the laser's, likewise.
        left: share of the molecules that did not bleach.
    """

    seed: int
    aim: float
    published: list[int]
    counted: list[float]
    emitters: list[float]
    powers: list[float]
    left: float

    def errors(self) -> NDArray[np.float64]:
        """Return relative errors since the aim was reached; empty if never."""
        errors = np.asarray(self.counted) / self.aim - 1
        reached = np.flatnonzero(np.abs(errors) < BAND)
        return errors[reached[0] :] if len(reached) else errors[:0]

    def held(self) -> NDArray[np.float64]:
        """Return the true emitters since the aim was reached."""
        first = self.published[len(self.published) - len(self.errors())] if len(self.errors()) else 0
        return np.asarray(self.emitters[first // SMOOTH_FRAMES :])


def course(
    seed: int, emitters: float, molecules: int, frames: int, rate_hz: float, window: int, fixed: float | None
) -> Course:
    """Film a sample through a daemon, held by the loop."""
    sample, stop = BleachingSample(molecules, seed, value=fixed or 0.0), threading.Event()
    published: dict[int, tuple[int, float]] = {}
    with ExitStack() as stack:
        publisher = stack.enter_context(StreamPublisher("tcp://127.0.0.1:*", stop, lossless=False))
        address = stack.enter_context(_daemon(publisher.endpoint, window))
        control, watched = (stack.enter_context(ControlClient(address)) for _ in range(2))
        camera = threading.Thread(target=film, args=(sample, publisher, rate_hz, stop))
        camera.start()
        stack.callback(camera.join)
        stack.callback(stop.set)
        settings = FeedbackSettings(
            emitters_per_frame=emitters,
            device="Laser",
            property="Power",
            minimum=0.5,
            start=10.0,
            maximum=200.0,
            viewer=False,
        )
        if fixed is None:
            loop = FeedbackLoop(settings, control, sample, click.echo)
            follower = threading.Thread(target=loop.run, args=(stop,))
            follower.start()
            stack.callback(follower.join)
            stack.callback(stop.set)
        while len(sample.emitters) < frames:
            status = watched.ask("status")
            count = status["metrics"].get("emitters_per_frame")
            if count is not None:
                published.setdefault(status["windows"]["published"], (len(sample.emitters), count))
            time.sleep(POLL_S)
    at, counted = zip(*published.values(), strict=True) if published else ((), ())
    true, powers = (_smooth(values[:frames]) for values in (sample.emitters, sample.powers))
    return Course(seed, emitters, list(at), list(counted), true, powers, sample.left)


def _smooth(values: Sequence[float]) -> list[float]:
    """Return the means of SMOOTH_FRAMES values each."""
    whole = np.asarray(values[: len(values) // SMOOTH_FRAMES * SMOOTH_FRAMES], float)
    return [round(float(mean), 2) for mean in whole.reshape(-1, SMOOTH_FRAMES).mean(1)]


def table(courses: Sequence[Course]) -> str:
    """Format courses as a Markdown table."""
    lines = [
        "| seed | windows | within 20 % | rms error | mean error | worst | true emitters | molecules left |",
        "|" + "---|" * 8,
    ]
    for one in courses:
        errors, held = one.errors(), one.held()
        if not len(errors):
            lines.append(f"| {one.seed} | never within {BAND:.0%} |" + " |" * 6)
            continue
        within, rms = (np.abs(errors) < BAND).mean(), np.sqrt((errors**2).mean())
        lines.append(
            f"| {one.seed} | {len(errors)} | {within:.0%} | {rms:.0%} | {errors.mean():+.0%} | "
            f"{np.abs(errors).max():.0%} | {held.mean():.1f} +- {held.std():.1f} | {one.left:.0%} |"
        )
    return "\n".join(lines) + "\n"


def draw(courses: Sequence[Course], path: Path) -> None:
    """Draw counts, true emitters and the laser over the frames as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for number, one in enumerate(courses):
        colour, frames = f"C{number}", (np.arange(len(one.emitters)) + 0.5) * SMOOTH_FRAMES
        left.plot(one.published, one.counted, "o-", ms=3, color=colour, label=f"localizations, seed {one.seed}")
        left.plot(frames, one.emitters, ":", color=colour, label="emitters, true")
        right.step(frames, one.powers, where="mid", color=colour, label=f"seed {one.seed}")
    if courses:
        left.axhspan(courses[0].aim * (1 - BAND), courses[0].aim * (1 + BAND), color="0.9", label="aim +- 20 %")
    for axes, what in ((left, "a frame"), (right, "laser")):
        axes.set_xlabel("frame")
        axes.set_ylabel(what)
        axes.set_ylim(0)
        axes.legend(fontsize=6)
    figure.savefig(path, dpi=110, format="png")


def write(courses: Sequence[Course], output: Path, overwrite: bool) -> None:
    """Write feedback.json, .md and .png into a folder."""
    texts = {"json": json.dumps([asdict(one) for one in courses]) + "\n", "md": table(courses)}
    for kind, text in texts.items():
        with atomic_write(output / f"feedback.{kind}", overwrite=overwrite) as part:
            part.write_text(text, encoding="utf-8")
    with atomic_write(output / "feedback.png", overwrite=overwrite) as part:
        draw(courses, part)


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("docs/benchmarks"), show_default=True)
@click.option("--emitters", default=24.0, show_default=True, help="Emitters a frame that are aimed at.")
@click.option("--molecules", default=40_000, show_default=True)
@click.option("--frames", default=4000, show_default=True)
@click.option("--rate-hz", default=10.0, show_default=True)
@click.option("--window", default=100, show_default=True)
@click.option("--seed", "seeds", type=int, multiple=True, default=(31, 32, 33), show_default=True)
@click.option("--fixed", type=float, help="Leave the laser at this power, for comparison.")
@click.option("--overwrite", is_flag=True, help="Replace the files of an earlier run.")
def main(
    output: Path,
    emitters: float,
    molecules: int,
    frames: int,
    rate_hz: float,
    window: int,
    seeds: tuple[int, ...],
    fixed: float | None,
    overwrite: bool,
) -> None:
    """Hold the density on simulated samples; writes .json, .md and .png."""
    prepare_output(output, "feedback", overwrite=overwrite)
    courses = [course(seed, emitters, molecules, frames, rate_hz, window, fixed) for seed in seeds]
    click.echo(table(courses))
    write(courses, output, overwrite)


if __name__ == "__main__":
    run(main)
