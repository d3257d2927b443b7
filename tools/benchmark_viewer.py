"""Benchmark the viewer: event-loop delay and memory with large pictures.

The pictures come from a real publisher process and are drawn offscreen.

python tools/benchmark_viewer.py                         2048 x 2048 float32, 20 a second, 10,000 of them
python tools/benchmark_viewer.py --pictures 500 --mode split
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import zmq

from daemon.protocol.codec import Buffer, encode
from daemon.protocol.messages import PictureHeader, Status, WindowCounts

RAW_SIDE, SCALE = 512, 4
DIFFERENT = 3  # pictures made beforehand and sent in turn
HEARTBEAT_S = 0.5
TICK_MS = 5
WARM_UP = 150  # pictures until the history is full and every cache is made
MB = 1e6


def main() -> int:
    """Run one benchmark and print its figures; 1 if the event loop was late."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=20.0, help="pictures a second")
    parser.add_argument("--mode", choices=["single", "split", "overlay", "time"], default="single")
    parser.add_argument("--limit-ms", type=float, default=50.0, help="what the 95th percentile must stay below")
    parser.add_argument("--publish", metavar="ENDPOINT", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.publish:
        publish(chosen.publish, chosen.rate)
        return 0
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    return watch(chosen)


def publish(endpoint: str, rate_hz: float) -> None:
    """Publish windows at a steady rate until the process is killed."""
    random = np.random.default_rng(0)
    raws = [random.normal(100, 5, (RAW_SIDE, RAW_SIDE)).astype(np.float32) for _ in range(DIFFERENT)]
    large = [np.kron(one, np.ones((SCALE, SCALE), np.float32)) for one in raws]
    with zmq.Context() as context, context.socket(zmq.XPUB) as results:
        results.linger = 0
        results.sndhwm = 20
        results.bind(endpoint)
        results.recv()  # the viewer has subscribed
        begun_s, beat_s, window = time.monotonic(), 0.0, 0
        while True:
            time.sleep(max(0.0, begun_s + window / rate_hz - time.monotonic()))
            for kind, pixels in (("sr.refined", large), ("raw.mean", raws)):
                results.send_multipart(message(kind, window, pixels[window % DIFFERENT]), copy=False)
            if time.monotonic() - beat_s > HEARTBEAT_S:
                beat_s = time.monotonic()
                windows = WindowCounts(complete=window, published=window)
                status = Status(run="benchmark", version="0", state="running", rate_hz=rate_hz, windows=windows)
                results.send_multipart(encode("status", status))
            window += 1


def message(kind: str, window: int, pixels: np.ndarray) -> list[Buffer]:
    """Encode one picture as the daemon sends it."""
    header = PictureHeader(
        run="benchmark",
        window=window,
        stream="benchmark",
        shape=(pixels.shape[0], pixels.shape[1]),
        pixel_nm=100.0 * RAW_SIDE / pixels.shape[0],
        scale=pixels.shape[0] // RAW_SIDE,
        first_seq=100 * window,
        last_seq=100 * window + 99,
        frames=100,
        published_unix_ns=time.time_ns(),
    )
    return encode(kind, header, pixels)


def watch(chosen: argparse.Namespace) -> int:
    """Run the real window, with a timer that records how late it is called."""
    from PySide6 import QtCore, QtWidgets

    from client.session import ViewerSession
    from client.widgets.theme import apply_theme
    from client.window.preferences import Preferences
    from daemon.protocol.address import DaemonAddress

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    application = QtWidgets.QApplication([])
    apply_theme(application)
    session = ViewerSession(Preferences(None))
    session.window.sr.set_mode(chosen.mode)
    delays_ms: list[float] = []
    busy_ms: list[float] = []
    memory_mb: list[float] = []
    last, worked = [time.perf_counter()], [time.thread_time()]

    def tick() -> None:
        now, work = time.perf_counter(), time.thread_time()
        delays_ms.append(max(0.0, (now - last[0]) * 1000 - TICK_MS))
        busy_ms.append((work - worked[0]) * 1000)
        last[0], worked[0] = now, work

    def look() -> None:
        # Qt redraws every window that the platform counts as visible: offscreen windows are painted like any other.
        state = session.presenter.state
        sent = state.newest.sr.header.window + 1 if state.newest else 0
        if sent < WARM_UP:
            delays_ms.clear()
            busy_ms.clear()
            return
        memory_mb.append(resident_mb())
        if sent >= chosen.pictures:
            application.quit()

    ticker = QtCore.QTimer(timerType=QtCore.Qt.TimerType.PreciseTimer)
    ticker.timeout.connect(tick)
    looker = QtCore.QTimer()
    looker.timeout.connect(look)
    command = [sys.executable, __file__, "--publish", endpoint, "--rate", str(chosen.rate)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    publisher = subprocess.Popen(command, env=environment)
    try:
        session.connect(DaemonAddress(endpoint))
        session.window.show()
        ticker.start(TICK_MS)
        looker.start(250)
        application.exec()
    finally:
        publisher.kill()
        publisher.wait()
        session.stop()
    state = session.presenter.state
    shown, sent = state.windows, state.newest.sr.header.window + 1 if state.newest else 0
    print(f"pictures   {sent} sent of {RAW_SIDE * SCALE} x {RAW_SIDE * SCALE} at {chosen.rate:g} /s, {shown} shown")
    print(f"event loop late by {spread(delays_ms)}")
    print(f"           of it its own work {spread(busy_ms)}: the rest is other processes' on the same cores")
    print(
        f"memory     {memory_mb[0]:.0f} MB after {WARM_UP} pictures, {memory_mb[-1]:.0f} MB at the end, "
        f"{max(memory_mb):.0f} MB at most; {len(state.history.pairs)} windows kept"
    )
    return int(np.percentile(delays_ms, 95) >= chosen.limit_ms)


def spread(times_ms: list[float]) -> str:
    """Format percentiles."""
    p50, p95, p99 = np.percentile(times_ms, (50, 95, 99))
    return f"{p50:.1f} ms (p50), {p95:.1f} ms (p95), {p99:.1f} ms (p99), {max(times_ms):.0f} ms at most"


def resident_mb() -> float:
    """Return the resident memory of this process; NaN without /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / MB


if __name__ == "__main__":
    sys.exit(main())
