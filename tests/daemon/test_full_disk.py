"""A disk that gets full: the recording stops and says so, what was recorded is whole, the stream goes on."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from daemon_process import Results, account_closes, posix, simulated

from daemon.control.client import ask
from daemon.protocol.codec import Received
from daemon.protocol.messages import FrameHeader
from daemon.recording.recorder import Recorder
from selfstorm.frames import StreamInfo
from selfstorm.io.movies import MovieFile
from selfstorm.io.ome_tiff import OmeTiffWriter, read_pictures

INFO = StreamInfo(stream="stream-1", source="here", height=24, width=40, dtype="uint16", pixel_nm=108.3)
FRAMES = np.random.default_rng(4).integers(0, 60_000, (60, 24, 40), np.uint16)


def header_of(number):
    return FrameHeader(stream="stream-1", seq=number, number=number, shape=(24, 40), dtype="uint16", sent_unix_ns=1)


def recorded(folder, most=60):
    """A recorder in this process that is fed until it fails; what it raised."""
    recorder = Recorder(folder, "", 0)
    try:
        recorder.take(Received("info", INFO))
        for number, pixels in enumerate(FRAMES[:most]):
            recorder.take(Received("frame", header_of(number), pixels))
    except OSError as error:
        return error
    finally:
        recorder.close()
    return None


def whole(folder):
    """The recording of a folder: its pages are the first frames, and no line is without its page. How many pages."""
    [path] = folder.glob("*.tif")
    lines = [json.loads(line)["number"] for line in path.with_suffix(".jsonl").read_text().splitlines()]
    with MovieFile(path) as movie:
        np.testing.assert_array_equal(movie.frames(), FRAMES[: movie.length], strict=True)
        assert movie.pixel_nm == pytest.approx(108.3)
        assert lines == list(range(len(lines)))
        assert len(lines) in (movie.length, movie.length - 1)
        return movie.length


def test_a_recording_is_whole_after_every_frame(tmp_path):
    recorder = Recorder(tmp_path, "", 0)
    recorder.take(Received("info", INFO))
    for number, pixels in enumerate(FRAMES[:5]):
        recorder.take(Received("frame", header_of(number), pixels))
        assert number == 0 or whole(tmp_path) == number + 1  # one image alone is no movie
    recorder.close()


@posix
@pytest.mark.parametrize("room", range(20_000, 22_400, 300))
def test_wherever_the_limit_cuts_the_recording_is_whole(tmp_path, room):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        error = recorded(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert error.strerror == "File too large"
    assert room // 2400 <= whole(tmp_path) <= room // 2100


@posix
def test_a_disk_that_is_full_from_the_start_leaves_no_empty_file(tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, before[1]))
    try:
        error = recorded(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert error.strerror == "File too large"
    assert list(tmp_path.iterdir()) == []


def added_until_full(writer):
    """Number of pictures that the writer took before it raised."""
    saved = 0
    with suppress(OSError):
        for number, picture in enumerate(FRAMES.astype(np.float32)):
            writer.add(picture, {"window": number})
            saved = number + 1
    assert saved < len(FRAMES)
    return saved


def pictures_saved(path, room, freed):
    """Write pictures until the limit of a file's size is met; close with the limit or, if freed, without."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = OmeTiffWriter(path, 25.0)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        saved = added_until_full(writer)
        if freed:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        with suppress(OSError):  # no space for the OME-XML, or just enough
            writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.exists() or not freed
    return saved, path if path.exists() else writer.part


@posix
@pytest.mark.parametrize("freed", [True, False])
@pytest.mark.parametrize("room", range(16_500, 20_500, 500))
def test_wherever_the_limit_cuts_the_pictures_before_are_whole(tmp_path, room, freed):
    saved, path = pictures_saved(tmp_path / "out.ome.tif", room, freed)
    back = read_pictures(path)
    np.testing.assert_array_equal(back.pictures, FRAMES[:saved].astype(np.float32), strict=True)
    assert back.records == [{"window": number} for number in range(saved)]
    assert back.pixel_nm == 25.0


@posix
def test_pictures_of_a_daemon_on_a_full_disk_are_readable_and_the_loss_is_said(tmp_path, start):
    resource = pytest.importorskip("resource")
    daemon = start(simulated(save="out.ome.tif"))
    with Results(daemon.results) as results:
        results.more("sr.refined", 3)
        room = (tmp_path / "out.ome.tif.part").stat().st_size + 1000
        unlimited = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        told = results.event("saving_stopped").text
        assert "what was written before is kept" in told
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, unlimited)
        results.more("sr.refined", 1)
    ask(daemon.control, "stop", 10_000)
    daemon.exit_code()
    assert len(read_pictures(tmp_path / "out.ome.tif").pictures) >= 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full disk at hand")
def test_no_space_left_for_the_index_is_an_error_and_the_movie_is_whole(tmp_path, monkeypatch):
    really_open = Path.open

    def on_a_full_disk(path, *arguments, **keywords):
        if path.suffix == ".jsonl":
            return really_open(Path("/dev/full"), "wb", buffering=0)
        return really_open(path, *arguments, **keywords)

    monkeypatch.setattr(Path, "open", on_a_full_disk)
    error = recorded(tmp_path, most=3)
    assert error.strerror == "No space left on device"


@posix
def test_the_daemon_says_so_and_goes_on(tmp_path, start):
    daemon = start(simulated(record="raw"))
    with Results(daemon.results) as results:
        room = 200_000
        resource = pytest.importorskip("resource")
        resource.prlimit(daemon.child("daemon.recording.recorder"), resource.RLIMIT_FSIZE, (room, room))
        told = results.event("recording_stopped").text
        assert "File too large; what was recorded before is readable; the stream goes on" in told
        results.more("sr.refined", 2)
    status = daemon.status()
    assert (status.recording, status.source_restarts) == ("", 0)
    assert account_closes(status)
    [path] = (tmp_path / "raw").glob("*.tif")
    with MovieFile(path) as movie:
        assert movie.length == status.recorded_frames > 50
    assert "Traceback" not in daemon.err
