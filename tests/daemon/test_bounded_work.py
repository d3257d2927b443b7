"""Each quantity that a setting, a file or a peer names has a bound, which is checked before work begins."""

import socket
import threading
from contextlib import ExitStack, suppress
from types import SimpleNamespace
from urllib.request import urlopen

import numpy as np
import pytest
from daemon_process import wait_until
from test_replaced_streams import account, feed, frames, heartbeat, info, receiver

from daemon import prometheus
from daemon.config import Config
from daemon.health import Health
from daemon.ingest import windows as cutting
from daemon.ingest.receiver import OTHER_PIXELS
from daemon.ingest.windows import MAX_AT_ONCE, MAX_FRAMES_AT_ONCE, SlidingWindows
from daemon.live_config import LiveConfig
from daemon.prometheus import MAX_CONNECTIONS, MetricsServer
from daemon.protocol.codec import Received
from daemon.recording.recorder import FILES_AT_ONCE, Recorder
from selfstorm.errors import InputError
from selfstorm.frames import Frame, StreamInfo

__all__ = ["receiver"]  # the fixture
TINY = StreamInfo(stream="0123456789abcdef", source="here", height=1, width=1, dtype="uint16")
STREAMS = 3221


def tiny(seq):
    return Frame(TINY.stream, seq, seq, np.zeros((1, 1), np.uint16), None, 0, 0)


def gap(length, stride, missing, *, lossless=False):
    """The windows that one frame completes after a gap, and the number of those left out."""
    windows = SlidingWindows(TINY, length, stride, first_seq=0, first_index=0, lossless=lossless)
    before = [window for seq in range(length + 1) for window in windows.push(tiny(seq))]
    made = list(windows.push(tiny(length + missing)))
    assert windows.next_index == len(before) + len(made) + windows.left_out
    return made, windows.left_out


@pytest.mark.parametrize(
    ("length", "stride", "missing"), [(20_000, 1, 25_000), (20_000, 1, 5_000), (100_000, 1, 10**6), (100, 1, 10**7)]
)
def test_a_gap_makes_few_windows_however_many_it_completes(length, stride, missing):
    made, left_out = gap(length, stride, missing)
    assert len(made) * length <= max(MAX_FRAMES_AT_ONCE, 2 * length)
    assert left_out == missing - len(made)
    assert [frame.seq for frame in made[0].frames][-1] == length, "the first has all frames since the window before"
    assert [frame.seq for frame in made[-1].frames][-1] == length + missing, "the last has the newest"


def test_a_gap_of_few_windows_makes_them_all():
    made, left_out = gap(100, 1, MAX_AT_ONCE // 2)
    assert (len(made), left_out) == (MAX_AT_ONCE // 2, 0)


def test_lossless_every_window_of_a_gap_that_has_frames_is_made_one_at_a_time(monkeypatch):
    monkeypatch.setattr(cutting, "MAX_FRAMES_AT_ONCE", 100)
    made, left_out = gap(50, 1, 60, lossless=True)
    assert [window.index for window in made] == list(range(2, 62))
    assert left_out == 0


def test_thousands_of_streams_make_few_events_and_their_account_closes(receiver):
    for number in range(STREAMS):
        feed(receiver._sort, info(f"stream-{number}"), *frames(f"stream-{number}", 0, 1))
    assert account(receiver) == (STREAMS, 0, 0)
    assert len(receiver._health.events_since(0)) < 60


def test_thousands_of_streams_make_few_files_and_every_frame_is_recorded_or_missing(tmp_path, capfd):
    recorder = Recorder(tmp_path, "", 0)
    for number in range(STREAMS):
        feed(recorder.take, info(f"stream-{number}"), *frames(f"stream-{number}", 0, 2))
        feed(recorder.take, heartbeat(f"stream-{number}", 3))
    recorder.report(now=True)
    recorder.close()
    counts = recorder._counts()
    assert counts["recorded"] + counts["missing"] == 3 * STREAMS
    assert counts["recorded"] == 2 * len(list(tmp_path.glob("*.tif")))
    assert FILES_AT_ONCE <= len(list(tmp_path.glob("*.tif"))) < 2 * FILES_AT_ONCE
    assert '"refused_streams": 3' in capfd.readouterr().out


@pytest.mark.parametrize("other", [{"height": 4, "width": 4}, {"dtype": "uint8"}, {"height": 8, "width": 6}])
def test_frames_of_another_kind_than_their_stream_are_explained(receiver, other):
    feed(receiver._sort, info("good-stream"), *frames("good-stream", 0, 2))
    [wrong] = frames("good-stream", 2, 1)
    described = SimpleNamespace(**({"height": 6, "width": 8, "dtype": "uint16"} | other))
    shape = (described.height, described.width)
    header = wrong.message.model_copy(update={"shape": shape, "dtype": described.dtype})
    feed(receiver._sort, Received("frame", header, np.zeros(shape, described.dtype)))
    assert account(receiver) == (2, 1, 0)
    assert receiver.status().refused == {OTHER_PIXELS: 1}


@pytest.fixture
def metrics():
    server = MetricsServer(0, Health(run="run"))
    yield server
    server.stop()


@pytest.fixture
def threads(monkeypatch):
    """The numbers of connections that were answered at once, as each began."""
    answer, lock, running, seen = prometheus._BoundedServer.process_request_thread, threading.Lock(), set(), []

    def counted(server, request, address):
        with lock:
            running.add(address)
            seen.append(len(running))
        try:
            answer(server, request, address)
        finally:
            with lock:
                running.discard(address)

    monkeypatch.setattr(prometheus._BoundedServer, "process_request_thread", counted)
    return seen


@pytest.mark.parametrize("sent", [b"", b"GET /metrics", b"GET / HTTP/1.1\r\n"])
def test_idle_connections_to_the_metrics_take_few_threads_and_are_closed(metrics, threads, monkeypatch, sent):
    monkeypatch.setattr(prometheus._QuietHandler, "timeout", 0.3)
    with ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(("127.0.0.1", metrics.port))) for _ in range(40)]
        for connection in idle:
            with suppress(OSError):  # closed already
                connection.sendall(sent)
        for connection in idle:
            connection.settimeout(30)
            with suppress(ConnectionError):
                assert connection.recv(1) == b""
    assert 1 <= max(threads) <= MAX_CONNECTIONS + 1, "one may end while the next begins"

    def page():
        with suppress(OSError):  # the last thread is just about to be free
            return urlopen(f"http://127.0.0.1:{metrics.port}/metrics", timeout=30).read()

    assert b"selfstorm_frames_total" in wait_until(page)


@pytest.mark.parametrize("side", [512, 1024])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_a_window_of_100000_frames_is_refused_in_words(side, dtype):
    stream = TINY.model_copy(update={"height": side, "width": side, "dtype": dtype})
    live = LiveConfig(Config())
    with pytest.raises(InputError, match=r"a window of 100000 frames .* needs .* GB of memory"):
        live.change({"reconstruction.window": 100_000, "camera.pixel_nm": 100.0}, stream)
    assert live.current == Config()


def test_other_settings_change_while_region_and_window_do_not_fit_a_new_camera():
    chosen = {"window": 100_000, "region": [500, 500, 100, 100]}
    live = LiveConfig(Config.model_validate({"camera": {"pixel_nm": 100.0}, "reconstruction": chosen}))
    stream = TINY.model_copy(update={"height": 512, "width": 512})
    assert live.change({"camera.pixel_nm": 110.0}, stream) == {"camera.pixel_nm": (100.0, 110.0)}
    with pytest.raises(InputError, match="exceeds the camera's 512 x 512 pixels"):
        live.change({"reconstruction.window": 90_000}, stream)
    with pytest.raises(InputError, match="GB of memory"):
        live.change({"reconstruction.region": None}, stream)
    live.change({"reconstruction.region": None, "reconstruction.window": 100}, stream)
