"""Benchmark the daemon's cost of viewers.

    python tools/benchmark_viewers.py [--seconds 300]

No viewer, then twenty of which five are stopped, then none again, in one run. Viewers are processes that receive all
results; they are stopped by SIGSTOP. The worker's latency is read from the pictures the daemon saves, its memory from
the operating system. Linux only.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from client import Daemon
from selfstorm.errors import InputError
from selfstorm.io.ome_tiff import read_pictures

VIEWERS, STOPPED = 20, 5
SETTLE_S = 10.0
CONFIG = """
[source]
uri = "simulate:"
rate_hz = 40.0
[source.simulate]
height = 64
width = 64
[optics]
psf_sigma_nm = 110.0
[reconstruction]
window = 50
stride = 25
estimate = "density"
device = "cpu"
[server]
results = "tcp://127.0.0.1:6921"
control = "tcp://127.0.0.1:6922"
"""
VIEWER = """
import sys, zmq
sockets = []
poller = zmq.Poller()
for _ in range(int(sys.argv[1])):
    socket = zmq.Context().socket(zmq.SUB)  # a context each, as in a process each
    socket.rcvhwm = 20
    socket.subscribe(b"")
    socket.connect("tcp://127.0.0.1:6921")
    poller.register(socket, zmq.POLLIN)
    sockets.append(socket)
while True:
    for socket, _ in poller.poll():
        socket.recv_multipart(copy=False)
"""


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process (Linux)."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


@click.command()
@click.option("--seconds", default=300.0, show_default=True, help="How long the viewers look.")
def main(seconds: float) -> None:
    """Run the three parts and print their latency and memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = folder / "daemon.toml"
        config.write_text(CONFIG, encoding="utf-8")
        saved = folder / "sr.ome.tif"
        command = [
            sys.executable,
            "-c",
            "from daemon.cli import main; main()",
            "run",
            str(config),
            "--save",
            str(saved),
        ]
        log = (folder / "log.txt").open("w")
        service = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        viewers: list[subprocess.Popen[bytes]] = []
        try:
            with Daemon("127.0.0.1:6921") as daemon:
                _wait_for(daemon)
                marks = [daemon.status().windows.published]
                before_mb = [memory_mb(service.pid)]

                def part(what: str, part_s: float) -> None:
                    time.sleep(part_s)
                    marks.append(daemon.status().windows.published)
                    before_mb.append(memory_mb(service.pid))
                    print(f"{what}: {marks[-1] - marks[-2]} windows, daemon {before_mb[-1]:.0f} MB", flush=True)

                part("no viewer", seconds / 2)
                viewers.append(subprocess.Popen([sys.executable, "-c", VIEWER, str(VIEWERS - STOPPED)]))
                stopped = [subprocess.Popen([sys.executable, "-c", VIEWER, "1"]) for _ in range(STOPPED)]
                viewers += stopped
                part("viewers come", SETTLE_S)
                for viewer in stopped:
                    os.kill(viewer.pid, signal.SIGSTOP)
                part(f"{VIEWERS} viewers, {STOPPED} of them stopped", seconds)
                for viewer in viewers:
                    viewer.kill()
                part("viewers go", SETTLE_S)
                part("no viewer", seconds / 2)
                status = daemon.status()
                daemon.stop()
            service.wait(60)
        finally:
            for process in (service, *viewers):
                process.kill()
            log.close()
        latencies = [record["metrics"]["latency_ms"] for record in read_pictures(saved).records]
    alone = latencies[marks[0] : marks[1]] + latencies[marks[4] : marks[5]]
    seen = latencies[marks[2] : marks[3]]
    ratio = statistics.median(seen) / statistics.median(alone)
    print(f"worker latency, median: {statistics.median(alone):.1f} ms alone, {statistics.median(seen):.1f} ms seen")
    print(f"ratio {ratio:.3f}; memory {before_mb[3] / before_mb[2] - 1:+.1%} while {VIEWERS} looked")
    frames = status.frames
    print(
        f"sent {frames.sent} = received {frames.received} + missing {frames.missing}; skipped {status.windows.skipped}"
    )


def _wait_for(daemon: Daemon) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if daemon.status().windows.published >= 20:
                return
        except InputError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


if __name__ == "__main__":
    main()
