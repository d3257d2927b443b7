"""A daemon that is asked to stop ends, whatever it is doing, with its files closed and its account complete."""

import json
import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import tifffile
from daemon_process import Daemon, Results, account_closes, free_ports, posix, runs, simulated, wait_until
from hypothesis import given
from hypothesis import strategies as st

from daemon.control.client import ask
from daemon.control.commands import account
from daemon.health import Health
from daemon.protocol.messages import Status
from daemon.service import Service
from daemon.stop_deadline import CAMERA_S, CLOSE_S, FILES_S, MIN_WAIT_S, RECORDER_S, WINDOW_S, StopDeadline
from daemon.transport import child_process
from daemon.transport.child_process import STOP_S, ChildProcess, wait_ready
from daemon.transport.publisher import LAST_EVENTS, Publisher

STOP = signal.CTRL_BREAK_EVENT if os.name == "nt" else signal.SIGINT
HELD = """
import sys, threading
from daemon.processing.reconstructor import Reconstructor
reconstruct, windows = Reconstructor.reconstruct, iter(range({}))
def held(*arguments):
    if next(windows, None) is None:
        print("held", file=sys.stderr, flush=True)
        threading.Event().wait()
    return reconstruct(*arguments)
Reconstructor.reconstruct = held
from daemon.cli import main; main()
"""
NO_MEMORY = """
import torch
from daemon.processing import reconstructor
def no_memory(*arguments):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB.")
reconstructor.new_model = no_memory
from daemon.cli import main; main()
"""


@pytest.fixture
def held(tmp_path):
    """held(windows): a daemon that computes so many windows, and never finishes the next one."""
    daemons = []

    def begin(windows):
        settings = simulated(save="out.ome.tif", record="raw")
        daemon = Daemon(tmp_path, settings, "--json", program=(sys.executable, "-c", HELD.format(windows)))
        daemons.append(daemon.__enter__())
        daemon.started()
        wait_until(lambda: "held" in daemon.err)
        return daemon

    yield begin
    for daemon in daemons:
        daemon.__exit__()


def ended_well(daemon):
    assert daemon.exit_code() == 0
    assert "Traceback" not in daemon.err
    status = Status.model_validate(json.loads(daemon.out[daemon.out.index("{") :]), strict=False)
    assert status.state == "ended"
    assert account_closes(status)
    windows = status.windows
    assert windows.complete == windows.published + windows.skipped + windows.failed
    assert windows.skipped >= windows.skipped_at_stop >= 1
    assert f"{windows.skipped_at_stop} not reconstructed: the run was stopped" in account(status)
    assert ("cannot keep up" in account(status)) == (windows.skipped > windows.skipped_at_stop)  # on a busy machine
    assert status.recorded_frames + status.recording_missing == status.frames.sent
    assert "windows_abandoned" in daemon.err
    return status


def test_a_stop_request_does_not_wait_for_the_first_window(held, tmp_path):
    daemon = held(0)
    ask(daemon.control, "stop", timeout_ms=10_000)
    assert ended_well(daemon).windows.published == 0
    assert not list(tmp_path.glob("*.part"))


def test_a_signal_does_not_wait_for_a_window_and_saves_those_before(held, tmp_path):
    daemon = held(1)
    daemon.send(STOP)
    assert ended_well(daemon).windows.published == 1
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as file:
        assert len(file.pages) == 1


def test_a_stop_request_ends_a_daemon_whose_models_find_no_memory(tmp_path):
    with Daemon(tmp_path, simulated(save="out.ome.tif"), program=(sys.executable, "-c", NO_MEMORY)) as daemon:
        daemon.started()
        wait_until(lambda: daemon.status().windows.failed >= 2)
        ask(daemon.control, "stop", timeout_ms=10_000)
        assert daemon.exit_code() == 0
    assert "Tried to allocate" in daemon.err
    assert not list(tmp_path.glob("*.part"))


def test_what_happens_last_is_published_before_the_end():
    [port] = free_ports(1)
    health = Health(run="run")
    publisher = Publisher(f"tcp://127.0.0.1:{port}", health)
    publisher.listen()
    with Results(f"tcp://127.0.0.1:{port}") as results:
        try:
            wait_until(results.has("metrics", "status"))
            for number in range(LAST_EVENTS):
                health.event("info", "mark", str(number))
            health.report(state="ended")
        finally:
            publisher.stop()
        wait_until(results.has_ended)
    assert [event.text for event in results.events("mark")] == [str(number) for number in range(LAST_EVENTS)]


@given(used=st.lists(st.floats(0, 1, allow_subnormal=False), min_size=5, max_size=5))
def test_the_waits_of_a_stop_share_one_deadline(used):
    now = [100.0]
    deadline = StopDeadline(lambda: now[0])
    for share, until_s in zip(used, (CAMERA_S, RECORDER_S, WINDOW_S, FILES_S, CLOSE_S), strict=True):
        now[0] += share * deadline.left_s(until_s)
    assert now[0] - 100.0 <= FILES_S + MIN_WAIT_S < 5.0


@pytest.mark.parametrize("stopped", [True, False])
def test_a_recorder_that_hangs_is_given_what_the_stop_has_left(stopped):
    given_s = []
    service = object.__new__(Service)
    service.health = service._queue = MagicMock()
    service._stop = threading.Event()
    if stopped:
        service._stop.set()
    service._recording = SimpleNamespace(close=given_s.append)
    service._worker = MagicMock(is_alive=lambda: False)
    service._drain(MagicMock(), MagicMock(source_state="ended", still_s=0.0))
    [recorder_s] = given_s
    assert recorder_s <= RECORDER_S if stopped else recorder_s == STOP_S


def test_a_child_process_that_cannot_even_be_killed_is_left_to_the_system(monkeypatch):
    child = ChildProcess("this", [])
    process, waits_s = child._process, []
    held = MagicMock(stdin=process.stdin, stdout=process.stdout)

    def wait(timeout):  # without a timeout, there is an end to no wait
        waits_s.append(timeout)
        raise subprocess.TimeoutExpired("held", timeout)

    held.wait = wait
    monkeypatch.setattr(child, "_process", held)
    child.stop(0.0)
    assert held.kill.called
    assert len(waits_s) == 2
    process.wait()
    child._listener.join()


def test_a_child_process_that_ends_later_than_it_is_waited_for_leaves_nothing(monkeypatch):
    """Python would tell of an open file and of a process that runs in another test, when they are collected."""
    monkeypatch.setattr(child_process, "KILLED_S", 0.0)
    child = ChildProcess("json.tool", [])  # waits for its input
    child.stop(0.0)
    child._listener.join()
    assert child._process.returncode is not None
    assert child._process.stdout.closed


def test_a_stop_request_does_not_wait_for_a_camera_process_that_starts():
    class Silent:
        ending = ""

        def said(self, timeout_s=0.0):
            return None

    stop = threading.Event()
    stop.set()
    assert "stopped" in wait_ready(Silent(), 1e9, stop)["error"]


@pytest.mark.parametrize("recorder_hangs", [False, pytest.param(True, marks=posix)])
def test_a_stop_does_not_wait_for_what_hangs_and_closes_the_files(emulator, tmp_path, recorder_hangs):
    with emulator.lock:
        emulator.camera.start()
        emulator.camera.shoot(4)
    settings = simulated(record="raw", source={"uri": f"micromanager:127.0.0.1:{emulator.port}"})
    with Daemon(tmp_path, settings, "--json") as daemon:
        daemon.started()

        def some_came():
            return daemon.status().recorded_frames >= 1

        wait_until(some_came)
        recorder = daemon.child("daemon.recording.recorder")
        if recorder_hangs:
            os.kill(recorder, signal.SIGSTOP)
        emulator.stall()
        ask(daemon.control, "stop", timeout_ms=10_000)
        assert daemon.exit_code() == 0
        status = Status.model_validate(json.loads(daemon.out[daemon.out.index("{") :]), strict=False)
        assert account_closes(status)
        assert status.recorded_frames + status.recording_missing == status.frames.sent
        assert "Traceback" not in daemon.err
        assert not runs(recorder)
    [movie] = (tmp_path / "raw").glob("*.tif")
    with tifffile.TiffFile(movie) as file:
        assert len(file.pages) == status.recorded_frames
