"""A recorder that dies, hangs or cannot be started: the account of its frames closes, and it is started again."""

import signal
import sys
import threading
from pathlib import Path

import pytest
from daemon_process import DEADLINE_S
from recording_rig import INFO, OTHER, rig

from daemon.recording.controller import RecordingController
from daemon.recording.supervisor import MAX_RESTARTS, RESTARTS_WITHIN_S, Reached, RecorderSupervisor
from selfstorm.errors import InputError

__all__ = ["rig"]  # the fixture
LINUX = pytest.mark.skipif(sys.platform == "win32", reason="stops a process by a signal")


class Ended:
    """A process that ended as soon as it was started."""

    exit_code = 1

    def stop(self, timeout_s=0):
        pass

    def said(self):
        return None


def test_what_a_killed_recorder_wrote_is_counted_by_its_files(rig):
    rig.record(whole=True)
    rig.send(300)
    rig.until(lambda: rig.supervisor.recorded > 0)
    rig.supervisor._child._process.kill()
    rig.send(50)
    rig.until(lambda: "recorder_lost" in rig.codes)
    rig.send(20)
    rig.closes()


def test_a_stream_that_comes_back_after_the_recorder_died_is_counted_once(rig):
    """The recorder that goes on does not know what the one before it recorded of that stream."""
    rig.record(whole=True)
    rig.send(10)
    rig.until(lambda: rig.supervisor.recorded == 10)
    rig.go_on_with(OTHER, 0)
    rig.send(1)
    rig.until(lambda: rig.supervisor.recorded == 11)
    rig.supervisor._child._process.kill()
    rig.until(lambda: "recorder_lost" in rig.codes and rig.supervisor._said["file"])
    rig.go_on_with(INFO, 10)
    rig.send(5)
    rig.until(lambda: rig.supervisor.recorded == 16)
    assert rig.closes().recording_missing == 0


def test_a_recording_on_demand_whose_recorder_dies_at_once_misses_no_earlier_frames(rig):
    rig.send(180)
    rig.start(late=True)
    rig.supervisor._child._process.kill()
    rig.until(lambda: "recorder_lost" in rig.codes and rig.supervisor._said["file"])
    rig.send(40)
    rig.until(lambda: rig.supervisor.recorded == 40)
    assert rig.supervisor.missing == 0


@pytest.mark.parametrize("ends", [False, True])
def test_a_drive_that_hangs_after_a_recorder_died_holds_up_nothing_else(rig, monkeypatch, ends):
    rig.record()
    rig.send(20)
    rig.until(lambda: rig.supervisor.recorded == 20)
    answers, really_open = threading.Event(), Path.open

    def hanging(path, *arguments, **options):
        if path.suffix == ".jsonl":
            answers.wait(2 * DEADLINE_S)
        return really_open(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", hanging)
    monkeypatch.setattr("daemon.recording.supervisor.MAX_SILENCE_S", 0.2)
    rig.supervisor._child._process.kill()
    rig.send(5)
    rig.until(lambda: {"recorder_silent", "recorder_lost"} & set(rig.codes))
    assert "recorder_lost" not in rig.codes, "it is restarted once its frames are counted"
    assert rig.supervisor.missing == 0, "what is not counted yet is under way"
    if ends:
        rig.supervisor.stop(final=True)
        status = rig.health.status()
        assert (status.recorded_frames, status.recording_missing) == (20, 5)
    answers.set()
    if not ends:
        rig.until(lambda: {"recorder_lost", "recorder_answers"} <= set(rig.codes))
        rig.send(1)
        assert rig.closes().recorded_frames >= 20


def test_a_recorder_killed_before_the_end_leaves_no_open_account(rig):
    rig.record(whole=True)
    rig.send(200)
    rig.until(lambda: rig.supervisor.recorded > 0)
    rig.supervisor._child._process.kill()
    rig.send(110)
    rig.closes()


@LINUX
def test_a_recorder_that_hangs_is_an_event_and_so_is_its_return(rig):
    rig.record(whole=True)
    rig.send(10)
    rig.until(lambda: rig.supervisor.recorded == 10)
    rig.supervisor._child._process.send_signal(signal.SIGSTOP)
    rig.until(lambda: "recorder_silent" in rig.codes)
    rig.supervisor._child._process.send_signal(signal.SIGCONT)
    rig.until(lambda: "recorder_answers" in rig.codes)
    assert rig.closes().recording_missing == 0


def test_a_recorder_that_dies_now_and_then_is_started_again_for_ever(rig, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("daemon.recording.supervisor.time.monotonic", lambda: now[0])
    started = []
    monkeypatch.setattr("daemon.recording.supervisor.ChildProcess", lambda *_: started.append(1) or Ended())
    rig.supervisor = RecorderSupervisor("tcp://127.0.0.1:1", rig.folder, rig.health, Reached)
    for _ in range(5 * MAX_RESTARTS):
        now[0] += 1.1 * RESTARTS_WITHIN_S / MAX_RESTARTS
        rig.supervisor.check()
    assert (len(started), rig.supervisor.stopped) == (1 + 5 * MAX_RESTARTS, False)
    for _ in range(MAX_RESTARTS):
        rig.supervisor.check()
    assert rig.supervisor.stopped, "it dies at once: that has a cause that stays"


def test_a_process_that_cannot_be_started_is_tried_again_for_ever(rig, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("daemon.recording.supervisor.time.monotonic", lambda: now[0])
    short = iter([True] * 20 + [False])

    def start(*_):
        if next(short):
            raise InputError("no process can be started (Too many open files)")
        return Ended()

    monkeypatch.setattr("daemon.recording.supervisor.ChildProcess", start)
    rig.supervisor = RecorderSupervisor("tcp://127.0.0.1:1", rig.folder, rig.health, Reached)
    while rig.supervisor._child is None:
        assert not rig.supervisor.stopped
        now[0] += 3.0
        rig.supervisor.check()


@pytest.mark.parametrize("whole", [True, False])
def test_frames_are_missing_while_no_recorder_can_be_started(rig, monkeypatch, whole):
    def start(*_):
        raise InputError("no process can be started (Too many open files)")

    monkeypatch.setattr("daemon.recording.supervisor.ChildProcess", start)
    rig.sent = 7
    reached = lambda: Reached(rig.sent, INFO.stream, rig.sent)  # noqa: E731
    rig.supervisor = RecorderSupervisor("tcp://127.0.0.1:1", rig.folder, rig.health, reached, whole=whole)
    rig.supervisor.check()
    rig.sent += 5
    rig.supervisor.check()
    status = rig.health.status()
    assert (status.recorded_frames, status.recording_missing) == (0, 12 if whole else 5)


def test_a_requested_recording_after_one_that_was_given_up_is_a_new_one(rig, tmp_path):
    controller = RecordingController(tmp_path, rig.health)
    first = controller.start()
    controller.check("tcp://127.0.0.1:1")
    controller._recorder.stopped = True
    assert not controller.wanted
    second = controller.start()
    assert (second != first, controller.wanted) == (True, True)
    assert controller.start() == second
    controller.close()


@LINUX
def test_a_recorder_that_does_not_end_holds_up_neither_the_camera_nor_the_next_recording(rig, tmp_path):
    """The main loop, which looks after the camera, goes on; the next recording begins when this one has ended."""
    controller = RecordingController(tmp_path, rig.health)
    controller.start()
    controller.check(rig.publisher.endpoint)
    recorder, process = controller._recorder, controller._recorder._child._process
    rig.publisher.wait_for_subscribers(1)
    process.send_signal(signal.SIGSTOP)
    controller.stop()
    second = controller.start()
    for _ in range(3):
        controller.check(rig.publisher.endpoint)
    assert process.poll() is None, "it was not waited for"
    assert controller._recorder in (recorder, None)
    process.send_signal(signal.SIGCONT)
    controller._ending.join()
    controller.check(rig.publisher.endpoint)
    assert controller._recorded_in == second
    assert rig.codes.count("recording_ended") == 1
    controller.close()
