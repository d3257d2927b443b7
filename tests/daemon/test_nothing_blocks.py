"""Nothing outside may hold up the daemon: blocked consoles, clocks that are set, slow readers, many connections."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import zmq
from test_worker import CONFIG

from daemon import run_clock
from daemon.control.cropped_view import newest
from daemon.health import Health
from daemon.live_config import LiveConfig
from daemon.log_queue import LogQueue
from daemon.stop_signals import StopSignals
from daemon.transport import publisher
from selfstorm.errors import InputError
from selfstorm.frames import StreamInfo


def drain(pipe):
    while os.read(pipe, 65_536):
        pass


YEAR_S = 365 * 24 * 3600
POSIX = pytest.mark.skipif(os.name == "nt", reason="POSIX only")


def test_a_blocked_console_delays_no_event_and_the_dropped_lines_are_counted():
    console, far_end = os.pipe()
    stream = os.fdopen(far_end, "w", buffering=1)
    queue = LogQueue(logging.StreamHandler(stream), size=100)
    log = logging.getLogger("daemon.health")
    log.addHandler(queue.handler)
    log.setLevel(logging.INFO)
    logged = threading.Event()

    def events():
        health = Health(run="run")
        for number in range(5000):
            health.event("info", "mark", f"{number}: {'x' * 100}")
        logged.set()

    threading.Thread(target=events, daemon=True).start()
    try:
        assert logged.wait(30), "events waited for the console"
        text = b""
        while b"lines of the log were dropped" not in text:
            text += os.read(console, 65_536)
            log.info("one more")
    finally:
        log.removeHandler(queue.handler)
        threading.Thread(target=drain, args=(console,), daemon=True).start()
        queue.close()
        stream.close()


@pytest.mark.parametrize("set_to_s", [0, -3600, 3600, 10 * YEAR_S])
def test_no_time_goes_backwards_when_the_clock_is_set(monkeypatch, set_to_s):
    before, now_s = run_clock.unix_ns(), time.time() if set_to_s else 0
    monkeypatch.setattr(time, "time_ns", lambda: int((now_s + set_to_s) * 1e9))
    monkeypatch.setattr(time, "time", lambda: float(now_s + set_to_s))
    assert 0 <= run_clock.unix_ns() - before < 60 * 10**9


@pytest.mark.parametrize(("preview_window", "kind"), [(7, "sr.preview"), (6, "sr.refined"), (5, "sr.refined")])
def test_the_newest_picture_is_that_of_the_newest_window_whatever_the_clock_says(preview_window, kind):
    refined = SimpleNamespace(window=6, published_unix_ns=1_000)
    preview = SimpleNamespace(window=preview_window, published_unix_ns=10**18 if preview_window < 7 else 5)
    pictures = {"sr.refined": (refined, np.zeros(1)), "sr.preview": (preview, np.zeros(1))}
    assert newest(pictures, "newest")[0] == kind


def test_viewers_that_stand_still_get_no_heartbeats_that_libzmq_would_die_of():
    """Issue 4767 of libzmq: heartbeats from a publisher to a full subscriber abort the subscriber."""
    assert zmq.HEARTBEAT_IVL not in publisher.OPTIONS
    assert publisher.OPTIONS[zmq.TCP_KEEPALIVE] == 1


SLOW_READER = """
import sys, time, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.setsockopt(zmq.RCVHWM, 1)
socket.subscribe(b"")
socket.connect(sys.argv[1])
end_s = time.monotonic() + 6
while time.monotonic() < end_s:
    if socket.poll(300):
        socket.recv_multipart()
    time.sleep(0.3)
"""


def test_readers_that_stand_still_with_full_queues_survive():
    """Three of four die here, as in minutes with real pictures, when OPTIONS has HEARTBEAT_IVL 50 and _TIMEOUT 100.

    It is libzmq's 'Assertion failed: !_io_error' in the reader (issues 4364 and 4767).
    """
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        for option, value in publisher.OPTIONS.items():
            socket.setsockopt(option, value)
        endpoint = f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"
        readers = [subprocess.Popen([sys.executable, "-c", SLOW_READER, endpoint]) for _ in range(4)]
        while any(reader.poll() is None for reader in readers):
            socket.send_multipart([b"sr.refined", bytes(100)])
            if socket.poll(10):
                socket.recv()  # a subscription
    assert [reader.returncode for reader in readers] == [0, 0, 0, 0]


@POSIX
def test_a_closed_terminal_stops_the_daemon_in_order():
    asked = threading.Event()
    with StopSignals(asked.set):
        os.kill(os.getpid(), signal.SIGHUP)
        assert asked.wait(10)


@POSIX
def test_the_limit_of_open_files_is_raised_to_what_the_system_permits():
    program = (
        "import resource\n"
        "from daemon.file_limit import raise_file_limit\n"
        "soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))\n"
        "raise_file_limit()\n"
        "soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "assert soft == min(hard, 65536), (soft, hard)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(("window", "side"), [(100_000, 2048), (40_000, 4096)])
def test_a_window_that_does_not_fit_into_memory_is_refused_in_words(window, side):
    stream = StreamInfo(stream="stream-1", source="here", height=side, width=side, dtype="uint16")
    live = LiveConfig(CONFIG)
    with pytest.raises(InputError, match=r"needs .* GB of memory"):
        live.change({"reconstruction.window": window}, stream)
    assert live.current is CONFIG
    live.change({"reconstruction.window": window, "reconstruction.region": [0, 0, 32, 32]}, stream)
