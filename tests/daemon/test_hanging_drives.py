"""A drive that hangs holds up neither requests nor a stop."""

import ctypes
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from daemon_process import posix
from recording_rig import INFO
from test_movie_out import picture
from test_worker import CONFIG, Log, window

from daemon import drive_work, live_config
from daemon.config import Config
from daemon.control.snapshots import MAX_WAITING, Snapshots
from daemon.drive_work import MAX_DRIVE_S, STEP_S, DriveHangsError, DriveWork
from daemon.health import Health
from daemon.ingest.windows import WindowQueue
from daemon.keys.allow_list import AllowList
from daemon.keys.store import Keyring
from daemon.live_config import LiveConfig
from daemon.processing.worker import Worker
from daemon.recording.controller import RecordingController
from daemon.service import Service
from daemon.stop_deadline import MIN_WAIT_S
from daemon.transport.client_socket import new_pair
from selfstorm.errors import InputError

CPU = torch.device("cpu")


def test_a_drive_that_hangs_holds_up_neither_snapshots_nor_recordings(tmp_path, monkeypatch):
    """Their answers come at once; what cannot be begun says so, and is begun once the drive is back."""
    back, health = threading.Event(), Health(run="run")
    original = Path.mkdir
    monkeypatch.setattr(Path, "mkdir", lambda *line, **how: back.wait() and original(*line, **how))
    monkeypatch.setattr("os.path.lexists", lambda path: back.wait() and Path(path).exists())
    monkeypatch.setattr(drive_work, "MAX_DRIVE_S", 0.01)
    snapshots, recording = Snapshots(tmp_path / "x", health), RecordingController(tmp_path / "y", health)
    snapshots.start()
    one = picture(8, 1)
    path = snapshots.save((one.header, one.picture), None)
    for _ in range(2):
        with pytest.raises(InputError, match="the drive does not answer; check it"):
            recording.start()
    assert not recording.wanted
    back.set()
    snapshots.finish()
    snapshots.join()
    assert path.exists()
    recording._drive._thread.join()
    monkeypatch.setattr(drive_work, "MAX_DRIVE_S", 30.0)
    assert recording.start().is_dir()


def test_a_stop_does_not_wait_for_snapshots_on_a_drive_that_hangs(tmp_path, monkeypatch):
    back = threading.Event()
    monkeypatch.setattr("os.path.lexists", lambda path: back.wait() and Path(path).exists())
    service = object.__new__(Service)
    service.health, service._stop = Health(run="run"), threading.Event()
    service._config = SimpleNamespace(folder=tmp_path)
    service._deadline = SimpleNamespace(left_s=lambda until_s: MIN_WAIT_S)
    service._stop.set()
    service._worker, service._snapshots = SimpleNamespace(abandoned=False), Snapshots(tmp_path, service.health)
    one = picture(8, 1)
    paths = [service._snapshots.save((one.header, one.picture), None) for _ in range(MAX_WAITING)]
    service._snapshots.start()
    service._finish_snapshots()
    assert [event.code for event in service.health.events_since(0)] == ["snapshot_failed"]
    assert service.abandoned, "the program does not wait for the thread either"
    back.set()
    service._snapshots.join()
    assert all(path.exists() for path in paths)


@pytest.mark.parametrize("step", ["result", "close"])
def test_a_stop_does_not_wait_for_outputs_on_a_drive_that_hangs(tmp_path, step):
    """Neither where the drive hangs with a window, nor with the end of a file."""
    hangs, back, health = threading.Event(), threading.Event(), Health(run="run")

    class Held(Log):
        pass

    def hold(*_):
        hangs.set()
        back.wait()

    held, after, queue = Held(), Log(), WindowQueue(lossless=True)
    setattr(held, step, hold)
    worker = Worker(LiveConfig(CONFIG), health, queue, CPU, [held, after])
    queue.hurry()
    for number in range(2):
        health.windows(complete=1)
        queue.put(window(number))
    queue.close()
    worker.start()
    hangs.wait()
    worker.abandon(0.05)
    windows = health.status().windows
    assert (windows.published, windows.skipped) == ((1, 1) if step == "result" else (2, 0))
    assert "outputs_unfinished" in [event.code for event in health.events_since(0)]
    assert (worker.abandoned, worker.died) == (True, False)
    back.set()
    worker.join()
    assert after.steps[-1] == "close", "a drive that comes back in time gets its file"
    assert health.status().windows == windows


def test_a_drive_that_hangs_holds_up_no_change_of_settings(monkeypatch):
    """Settings are checked against the camera's calibration, which lies in a folder that may be on such a drive."""
    back = threading.Event()
    original = live_config.stream_settings
    monkeypatch.setattr(live_config, "stream_settings", lambda *of: back.wait() and original(*of))
    monkeypatch.setattr(drive_work, "MAX_DRIVE_S", 0.01)
    live = LiveConfig(Config())
    for _ in range(2):
        with pytest.raises(InputError, match="the drive does not answer; check it"):
            live.change({"reconstruction.stride": 7}, INFO)
    assert live.current == Config(), "nothing is changed"
    back.set()
    live._drive._thread.join()
    monkeypatch.setattr(drive_work, "MAX_DRIVE_S", 30.0)
    assert live.change({"reconstruction.stride": 7}, INFO) == {"reconstruction.stride": (50, 7)}


@posix
def test_a_machine_that_stands_still_is_no_drive_that_hangs(tmp_path):
    def work():
        pause = threading.Event()
        pause.wait(STEP_S)  # it is waited for by now
        ctypes.PyDLL(None).usleep(2 * int(1e6 * MAX_DRIVE_S))  # unlike ctypes.CDLL it keeps the interpreter to itself
        pause.wait(STEP_S)
        return "done"

    assert DriveWork("this").do(work, tmp_path) == "done"


def test_a_drive_that_comes_back_while_it_is_asked_has_not_done_what_was_asked(tmp_path):
    """The authenticator of keys would end with the traceback."""
    drive, alive = DriveWork("this"), iter([True, False])
    drive._thread = SimpleNamespace(is_alive=lambda: next(alive))
    with pytest.raises(DriveHangsError):
        drive.do(lambda: "done", tmp_path)
    drive._thread = None
    assert drive.do(lambda: "done", tmp_path) == "done"


def test_a_drive_that_hangs_with_the_keyring_holds_up_no_request(tmp_path, monkeypatch):
    """Clients that were allowed stay so until it answers; then what changed meanwhile counts."""
    monkeypatch.setattr(drive_work, "MAX_DRIVE_S", 0.01)
    ring, back = Keyring(tmp_path), threading.Event()
    ring.make_pair()
    keys = [new_pair()[0] for _ in range(2)]
    ring.allow("laptop", keys[0], "view")
    allowed = AllowList(ring, "tcp://0.0.0.0:1", print)
    while allowed.of(keys[0]) is None:  # the first reading may take longer than that
        allowed._drive._thread.join()
    original = ring.allowed_state
    monkeypatch.setattr(ring, "allowed_state", lambda: back.wait(20) and original())
    ring.allow("tablet", keys[1], "view")
    assert [allowed.of(key) is not None for key in keys] == [True, False]
    back.set()
    allowed._drive._thread.join()
    while allowed.of(keys[1]) is None:
        allowed._drive._thread.join()
