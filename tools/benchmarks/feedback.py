"""`python -m benchmarks.feedback`: density of emitters held by a laser.

    sample (bleaches) --frames--> daemon --counts--> feedback loop --power--> sample

The daemon is a process, its frames come over its own sockets, and the loop is the product's; the sample and the laser
are simulated. Held is the true number of emitters a frame, which the loop never sees.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import click
import numpy as np
from numpy.typing import NDArray

from daemon.control.client import ControlClient
from daemon.feedback.loop import FeedbackLoop
from daemon.feedback.settings import FeedbackSettings
from daemon.sources.camera import CameraFrame
from daemon.sources.stream_publisher import StreamPublisher
from selfstorm.commands.console import run
from selfstorm.frames import StreamInfo
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
    """

    molecules: int
    seed: int
    value: float = 0.0
    emitters: list[int] = field(default_factory=list)

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


@click.command()
@click.option("--emitters", default=24.0, show_default=True, help="Emitters a frame that are aimed at.")
@click.option("--molecules", default=40_000, show_default=True)
@click.option("--frames", default=4000, show_default=True)
@click.option("--rate-hz", default=10.0, show_default=True)
@click.option("--window", default=100, show_default=True)
@click.option("--seed", default=2, show_default=True)
@click.option("--fixed", type=float, help="Leave the laser at this power, for comparison.")
def main(
    emitters: float, molecules: int, frames: int, rate_hz: float, window: int, seed: int, fixed: float | None
) -> None:
    """Hold the density of emitters on a simulated sample, and print it."""
    sample, stop = BleachingSample(molecules, seed, value=fixed or 0.0), threading.Event()
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
        reported: list[tuple[int, float]] = []
        while len(sample.emitters) < frames:
            count = watched.ask("status")["metrics"].get("emitters_per_frame")
            if count is not None and (not reported or count != reported[-1][1]):
                reported.append((len(sample.emitters), count))
            time.sleep(POLL_S)
    _report(np.asarray(sample.emitters[:frames], float), np.asarray(reported), emitters, sample)


def _report(true: NDArray[np.float64], reported: NDArray[np.float64], aim: float, sample: BleachingSample) -> None:
    """Print the course and how well the aim was held.

    Args:
        true: emitters in every frame.
        reported: (K, 2), frame at which a window was published, and its localisations per frame.
        aim: localisations per frame.
        sample: at the end.
    """
    for frame, count in reported[:: max(1, len(reported) // 25)]:
        mean = true[max(0, int(frame) - SMOOTH_FRAMES) : int(frame)].mean()
        click.echo(f"frame {frame:6.0f}  {count:6.1f} localisations a frame, {mean:6.1f} emitters")
    error = reported[:, 1] / aim - 1
    reached = np.flatnonzero(np.abs(error) < BAND)
    if not len(reached):
        click.echo(f"never within {BAND:.0%} of the aim")
        return
    error = error[reached[0] :]
    held = true[int(reported[reached[0], 0]) :]
    held = held[: len(held) // SMOOTH_FRAMES * SMOOTH_FRAMES].reshape(-1, SMOOTH_FRAMES).mean(1)
    click.echo(
        f"reached at frame {reported[reached[0], 0]:.0f}; then rms error {np.sqrt((error**2).mean()):.0%}, worst "
        f"{np.abs(error).max():.0%}, {(np.abs(error) < BAND).mean():.0%} of {len(error)} windows within {BAND:.0%}; "
        f"emitters {held.mean():.1f} +- {held.std():.1f}; {sample.left:.0%} of the molecules left, laser at "
        f"{sample.value:.1f}"
    )


if __name__ == "__main__":
    run(main)
