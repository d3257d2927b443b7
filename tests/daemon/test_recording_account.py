"""The recording's own account: frames = recorded + missing, whatever happens to files and stream."""

import errno
import json
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from recording_rig import INFO, SHAPE, rig

from daemon.config import CameraSection
from daemon.protocol.codec import Received
from daemon.protocol.messages import FrameHeader
from daemon.recording.recorder import Recorder, Recording, _step
from daemon.sources.camera import CameraFrame
from selfstorm.io.movies import MovieFile

__all__ = ["rig"]  # the fixture
LINUX = pytest.mark.skipif(sys.platform == "win32", reason="stops a process by a signal")


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


@pytest.mark.parametrize("second", ["AppendFile", "BigTiff"])
def test_a_recording_whose_second_file_cannot_be_opened_leaves_none_without_the_other(tmp_path, monkeypatch, second):
    def full(*_, **__):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(f"daemon.recording.recorder.{second}", full)
    with pytest.raises(OSError, match="Too many"):
        Recording(tmp_path, INFO, 0)
    assert list(tmp_path.iterdir()) == []


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
