"""The recording's own account: frames = recorded + missing, whatever happens to recorder, files and stream."""

import errno
import json
import shutil
import signal
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from recording_rig import INFO, OTHER, SHAPE, Rig

from daemon.config import CameraSection
from daemon.protocol.codec import Received
from daemon.protocol.messages import FrameHeader
from daemon.recording.controller import RecordingController
from daemon.recording.recorder import Recorder, Recording, _step
from daemon.recording.supervisor import MAX_RESTARTS, RESTARTS_WITHIN_S, Reached, RecorderSupervisor
from daemon.sources.camera import CameraFrame
from daemon.sources.stream_publisher import StreamPublisher
from selfstorm.errors import InputError
from selfstorm.io.movies import MovieFile

LINUX = pytest.mark.skipif(sys.platform == "win32", reason="stops a process by a signal")


@pytest.fixture
def rig(tmp_path):
    stop = threading.Event()
    with StreamPublisher("tcp://127.0.0.1:*", stop, lossless=False) as publisher:
        publisher.begin(INFO)
        made = Rig(publisher, tmp_path / "recording")
        yield made
        stop.set()
        if made.supervisor is not None:
            made.supervisor.stop(final=True)


class Ended:
    """A process that ended as soon as it was started."""

    exit_code = 1

    def stop(self, timeout_s=0):
        pass

    def said(self):
        return None


def test_frames_before_the_recorder_came_are_missing(rig):
    rig.send(180)
    rig.record(late=True, whole=True)
    rig.send(40)
    rig.until(lambda: rig.supervisor.recorded == 40)
    rig.until(lambda: rig.supervisor.missing == 180)
    assert rig.closes().recording_missing == 180


def test_a_recording_on_demand_has_nothing_to_do_with_earlier_frames(rig):
    rig.send(180)
    rig.record(late=True)
    rig.send(40)
    rig.until(lambda: rig.supervisor.recorded == 40)
    rig.publisher.say("ended")
    rig.supervisor.stop(final=False)
    assert (rig.supervisor.recorded, rig.supervisor.missing) == (40, 0)


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
            answers.wait(3)
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


@LINUX
def test_a_folder_that_is_removed_while_recording_is_an_event_and_its_frames_are_missing(rig):
    rig.record(whole=True)
    rig.send(10)
    rig.until(lambda: rig.supervisor.recorded == 10)
    shutil.rmtree(rig.folder)
    rig.until(lambda: "recording_stopped" in rig.codes)
    rig.send(5)
    status = rig.closes()
    assert (status.recorded_frames, status.recording_missing) == (0, 15)


@LINUX
def test_frames_that_come_after_the_recorder_gave_up_are_missing_at_every_moment(rig):
    rig.record(whole=True)
    rig.send(10)
    rig.until(lambda: rig.supervisor.recorded == 10)
    shutil.rmtree(rig.folder)
    rig.until(lambda: "recording_stopped" in rig.codes)
    for _ in range(3):
        rig.send(7)
        rig.supervisor.check()
        status = rig.health.status()
        assert status.recorded_frames + status.recording_missing == rig.sent


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


@pytest.mark.parametrize("second", ["AppendFile", "BigTiff"])
def test_a_recording_whose_second_file_cannot_be_opened_leaves_none_without_the_other(tmp_path, monkeypatch, second):
    def full(*_, **__):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(f"daemon.recording.recorder.{second}", full)
    with pytest.raises(OSError, match="Too many"):
        Recording(tmp_path, INFO, 0)
    assert list(tmp_path.iterdir()) == []


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


def test_what_the_user_gives_of_the_camera_is_recorded(rig):
    """A replay has the scale of the run; what the camera reported stays beside it."""
    rig.record(whole=True, camera=CameraSection(pixel_nm=100.5, offset_adu=-3))
    rig.send(3)
    rig.until(lambda: rig.health.status().recorded_frames == 3)
    rig.closes()
    with MovieFile(rig.folder) as movie:
        assert (movie.length, movie.pixel_nm, movie.acquisition.offset_adu) == (3, 100.5, -3)
        assert movie.acquisition.gain_adu_per_electron is None
    with tifffile.TiffFile(next(rig.folder.glob("*.tif"))) as file:
        described = json.loads(file.pages[0].description)
    assert described["reported"] == {"pixel_nm": 120, "offset_adu": None}


def test_the_file_is_named_before_the_first_report_is_due(tmp_path, capfd):
    """A recorder that is killed within its first half second is counted by the file that it named."""
    recorder = Recorder(tmp_path, "", 0)
    recorder.report(now=True)
    header = FrameHeader(stream="stream-1", seq=0, number=0, shape=SHAPE, dtype="uint16", sent_unix_ns=1)
    recorder.take(Received("info", INFO))
    recorder.take(Received("frame", header, np.zeros(SHAPE, np.uint16)))
    recorder.report()
    last = json.loads(capfd.readouterr().out.splitlines()[-1])
    recorder.close()
    assert (last["file"], last["in_file"]) == (str(*tmp_path.glob("*.tif")), 1)


MISFITS = [  # described as, pixels, the camera's number
    ({}, np.zeros((4, 4), np.uint16), 5),
    ({"height": 4, "width": 4}, np.zeros((4, 4), np.uint16), 5),
    ({"dtype": "uint8"}, np.zeros(SHAPE, np.uint8), 5),
    ({}, np.zeros(SHAPE, np.uint16), 2**63),
]


def test_frames_that_do_not_fit_are_missing_and_the_recording_is_readable(rig):
    rig.record(whole=True)
    for described, pixels, number in MISFITS:
        rig.send(5)
        rig.publisher._info = INFO.model_copy(update=described)  # as another program may send it
        rig.publisher.send(CameraFrame(pixels, number, None))
        rig.publisher._info = INFO
        rig.sent += 1
    rig.send(1)
    rig.until(lambda: rig.supervisor.recorded == 21)
    status = rig.closes()
    assert (status.recorded_frames, status.recording_missing) == (21, len(MISFITS))


def test_a_recording_that_is_stopped_before_it_reports_misses_what_came(rig):
    rig.record(whole=True)
    rig.sent += 30  # before the recorder listened
    rig.supervisor.stop(final=False)
    assert (rig.supervisor.recorded, rig.supervisor.missing) == (0, 30)


def test_a_message_that_cannot_be_recorded_does_not_end_the_recording(tmp_path, monkeypatch):
    recorder = Recorder(tmp_path, "", 0)
    monkeypatch.setattr(Recording, "fits", lambda *_: 1 // 0)
    header = FrameHeader(stream="stream-1", seq=0, number=0, shape=SHAPE, dtype="uint16", sent_unix_ns=1)
    messages = [Received("info", INFO), Received("frame", header, np.zeros(SHAPE, np.uint16))]
    subscriber = SimpleNamespace(receive=lambda _: messages.pop(0))
    while messages:
        assert _step(subscriber, recorder)
    recorder.close()


def test_the_frames_that_still_fit_on_the_disk_are_reported(rig):
    rig.record(whole=True)
    rig.send(10)
    rig.until(lambda: rig.health.status().recording_fits is not None)
    free = shutil.disk_usage(rig.folder).free
    assert rig.health.status().recording_fits == pytest.approx(free / (2 * SHAPE[0] * SHAPE[1]), rel=0.2)
    assert "recording_disk_low" not in rig.codes
    rig.closes()


def test_a_disk_that_is_soon_full_is_reported_once(rig, monkeypatch):
    monkeypatch.setattr(rig.health, "rate_hz", lambda: 1e15)
    rig.record(whole=True)
    rig.send(10)
    rig.until(lambda: "recording_disk_low" in rig.codes)
    rig.send(10)
    rig.until(lambda: rig.supervisor.recorded == 20)
    assert rig.codes.count("recording_disk_low") == 1
    rig.closes()
