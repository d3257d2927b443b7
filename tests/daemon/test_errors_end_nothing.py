"""Errors of one part end nothing else: windows, outputs, sockets and settings may fail, and the stream goes on."""

import builtins
import errno
import io
import os
import sys

import numpy as np
import pytest
import torch
import zmq
from test_replaced_streams import feed, receiver
from test_worker import CONFIG, SIDE, Log, window

from daemon.config import Config
from daemon.health import Health
from daemon.ingest.windows import WindowQueue
from daemon.live_config import LiveConfig
from daemon.processing import reconstructor
from daemon.processing.worker import Worker
from daemon.prometheus import StatusCollector
from daemon.protocol.codec import Received, encode
from daemon.protocol.messages import Heartbeat
from daemon.transport.child_process import ChildProcess
from daemon.transport.server_socket import ServerSocket
from selfstorm.errors import InputError, first_line
from selfstorm.frames import Frame, StreamInfo, Window

__all__ = ["receiver"]  # the fixture
CPU = torch.device("cpu")
NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB."),
    MemoryError("Unable to allocate 80.0 GiB for an array"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ValueError("array is too big"),
]


def worked(windows):
    """The account, the worker and the steps of an output after these windows."""
    health, queue, log = Health(run="run"), WindowQueue(lossless=True), Log()
    worker = Worker(LiveConfig(CONFIG), health, queue, CPU, [log])
    queue.hurry()
    for one in windows:
        queue.put(one)
    queue.close()
    worker.start()
    worker.join(60)
    assert not worker.is_alive()
    return health, worker, log.steps


@pytest.mark.parametrize(("height", "width"), [(3, 3), (1, 64), (64, 2), (1, 1)])
def test_a_field_that_is_too_small_fails_its_windows_and_the_next_stream_is_reconstructed(height, width):
    info = StreamInfo(stream="stream-0", source="here", height=height, width=width, dtype="uint16")
    pixels = np.full((height, width), 100, np.uint16)
    frames = tuple(Frame("stream-0", k, k, pixels, None, 0, k) for k in range(20))
    health, worker, steps = worked([Window(0, info, 0, 19, frames, (), stride=10), window(1)])
    assert (worker.fatal, worker.died) == (None, False)
    assert "failed 0" in steps
    assert "result 1" in steps
    [event] = [event for event in health.events_since(0) if event.code == "window_failed"]
    assert f"a field of {width} x {height} pixels" in event.text


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: type(error).__name__)
def test_no_memory_for_a_new_model_fails_each_window_once_and_the_events_are_gathered(monkeypatch, error):
    attempts = []

    def no_memory(settings, frames, device):
        attempts.append(1)
        raise error

    monkeypatch.setattr(reconstructor, "new_model", no_memory)
    windows = [window(index) for index in range(200)]
    health, worker, _ = worked(windows)
    assert (health.status().windows.failed, worker.died) == (200, False)
    assert len(attempts) <= 2 * len(windows)
    assert len(health.events_since(0)) < 60


def test_no_memory_for_a_larger_field_after_a_good_one_is_tried_at_most_twice_a_window(monkeypatch):
    made, new_model = [], reconstructor.new_model

    def for_small_fields(settings, frames, device):
        made.append(frames.shape)
        if frames.shape[1] > SIDE:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB.")
        return new_model(settings, frames, device)

    monkeypatch.setattr(reconstructor, "new_model", for_small_fields)
    info = StreamInfo(stream="stream-2", source="here", height=2 * SIDE, width=2 * SIDE, dtype="uint16")
    pixels = np.random.default_rng(0).poisson(100, (20, 2 * SIDE, 2 * SIDE)).astype(np.uint16)
    frames = tuple(Frame("stream-2", k, k, image, None, 0, k) for k, image in enumerate(pixels))
    _, _, steps = worked([window(0), Window(1, info, 0, 19, frames, (), stride=10), window(2)])
    assert [step for step in steps if "preview" not in step] == ["start", "result 0", "failed 1", "result 2", "close"]
    assert sum(shape[1] > SIDE for shape in made) <= 2


def test_of_many_events_of_a_kind_the_first_are_reported_and_the_rest_are_counted(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("daemon.health.time.monotonic", lambda: now[0])
    health = Health(run="run")
    for number in range(10_000):
        health.event("error", "window_failed", f"window {number}: no memory")
    health.event("warning", "other", "something else")
    assert len(health.events_since(0)) == 21
    now[0] += 10.0
    assert health.status().events == 22, "they are reported although no other comes"
    assert health.events_since(0)[-1].text == "9980 more of this kind"


def test_marks_and_settings_are_never_gathered():
    health = Health(run="run")
    for number in range(500):
        health.event("info", "mark", str(number))
        health.event("info", "setting_changed", str(number))
    assert len(health.events_since(0)) == 1000


@pytest.mark.parametrize("region", [[0, 0, 3, 3], [0, 0, 1, 40], [5, 5, 40, 2], [0, 0, 40, 3]])
def test_a_region_that_cannot_be_reconstructed_is_refused(region):
    live = LiveConfig(CONFIG)
    with pytest.raises(InputError, match="region is smaller than 4 x 4 pixels"):
        live.change({"reconstruction.region": region}, None)
    assert live.current is CONFIG


@pytest.mark.parametrize(("na", "wavelength_nm"), [(0.001, 600), (0.05, 2000), (1e-300, 500), (0.01, 200)])
def test_optics_that_cannot_be_computed_are_refused(na, wavelength_nm):
    optics = {"na": na, "wavelength_nm": wavelength_nm}
    changes = {f"optics.{key}": value for key, value in optics.items()} | {"optics.psf_sigma_nm": None}
    with pytest.raises(InputError, match="a PSF that is too wide to compute"):
        LiveConfig(CONFIG).change(changes, None)
    with pytest.raises(ValueError, match="too wide to compute"):
        Config.model_validate({"optics": optics})


@pytest.mark.parametrize(
    "error", [zmq.ZMQError(msg="Too many open files"), OSError(24, "Too many open files"), MemoryError(), KeyError("x")]
)
def test_a_socket_whose_thread_fails_is_reported_and_opened_again(error):
    health, served = Health(run="run"), []

    def serve(socket):
        served.append(socket)
        if len(served) == 1:
            raise error
        endpoint.stopping.wait(30)

    endpoint = ServerSocket("publisher", health, "tcp://127.0.0.1:*", zmq.XPUB, {}, serve)
    endpoint.listen()
    while len(served) < 2:
        assert endpoint._thread.is_alive(), "the thread ended"
    endpoint.stop()
    [event] = health.events_since(0)
    assert (event.code, first_line(error) in event.text) == ("endpoint_restarted", True)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN])
def test_a_process_that_cannot_be_started_is_an_input_error(monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, "no more")

    monkeypatch.setattr("subprocess.Popen", refuse)
    with pytest.raises(InputError, match="no process can be started \\(no more\\)"):
        ChildProcess("daemon.recording.recorder", [])


NOISY = """
import os, sys
os.write(1, b'\\xff\\xfe a driver in another code page\\n')
os.write(1, b'{"also": "\\xff"}\\n')
os.write(1, b'[1, 2]\\n{not json\\n\\x1b[2J\\n')
os.write(1, b'{"endpoint": "here"}\\n')
sys.stdin.read()
"""


def test_what_a_driver_prints_in_any_code_page_ends_no_listener(tmp_path, monkeypatch):
    (tmp_path / "noisy_driver.py").write_text(NOISY, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    child = ChildProcess("noisy_driver", [])
    said = [child.said(30), child.said(30)]
    child.stop()
    assert said == [{"also": "\N{REPLACEMENT CHARACTER}"}, {"endpoint": "here"}]


@pytest.mark.parametrize("length", [2030, 2031, 2040, 2048])
def test_a_wait_detail_of_any_length_is_an_event(receiver, length):
    beat = Heartbeat(stream="good-stream", next_seq=0, state="waiting", detail="x" * length)
    feed(receiver._sort, Received("heartbeat", beat))
    [event] = [one for one in receiver._health.events_since(0) if one.code == "source_waits"]
    assert event.text.startswith("the source waits: xxx")


def test_a_status_opens_no_file(monkeypatch):
    """With all file descriptors in use it must still be sent."""
    health = Health(run="run")

    def refuse(*_, **__):
        raise OSError(24, "Too many open files")

    for module, name in ((builtins, "open"), (os, "open"), (io, "open")):
        monkeypatch.setattr(module, name, refuse)
    assert encode("status", health.status())
    assert list(StatusCollector(health).collect())
    health.event("info", "mark", "still here")
    assert health.events_since(0)
