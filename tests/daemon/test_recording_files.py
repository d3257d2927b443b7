"""Files of a recording: readable up to and around whatever damaged them."""

import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.protocol.codec import Received
from daemon.protocol.messages import FrameHeader
from daemon.recording.recorder import Recorder
from selfstorm.errors import InputError
from selfstorm.frames import StreamInfo
from selfstorm.io.movies import MovieFile
from selfstorm.report.camera_frames import with_movie
from selfstorm.report.evidence import RunEvidence, WindowRecord

SHAPE = (6, 8)
INFO = StreamInfo(stream="stream-1", source="here", height=6, width=8, dtype="uint16", pixel_nm=120)
LINUX = pytest.mark.skipif(sys.platform == "win32", reason="an open file can be removed")


@pytest.fixture
def recorded(tmp_path):
    """A recording of ten frames, whose first pixels count them."""
    recorder = Recorder(tmp_path, "", 0)
    recorder.take(Received("info", INFO))
    for seq in range(10):
        header = FrameHeader(stream="stream-1", seq=seq, number=seq, shape=SHAPE, dtype="uint16", sent_unix_ns=1)
        recorder.take(Received("frame", header, np.full(SHAPE, seq, np.uint16)))
    recorder.close()
    return next(tmp_path.glob("*.tif"))


def first_pixels(path):
    with MovieFile(path) as movie:
        return [int(movie.frame(k)[0, 0]) for k in range(movie.length)]


OTHERS = [{"shape": (4, 4)}, {"shape": SHAPE[::-1]}, {"dtype": "uint8"}, {"sent_unix_ns": 2**63}]


@pytest.mark.parametrize("other", [*OTHERS, {"number": 2**63}], ids=str)
def test_a_frame_that_would_make_the_files_unreadable_is_left_out(tmp_path, other):
    recorder = Recorder(tmp_path, "", 0)
    recorder.take(Received("info", INFO))
    good = FrameHeader(stream="stream-1", seq=0, number=0, shape=SHAPE, dtype="uint16", sent_unix_ns=1)
    for header in (good, good.model_copy(update={"seq": 1} | other), good.model_copy(update={"seq": 2})):
        recorder.take(Received("frame", header, np.full(header.shape, min(header.seq, 9), header.dtype)))
    recorder.close()
    assert (recorder._counts(), first_pixels(*tmp_path.glob("*.tif"))) == ({"recorded": 2, "missing": 1}, [0, 2])


def test_the_camera_image_of_a_report_is_that_of_the_windows_frames(tmp_path):
    """The camera counts from 500 and lost 3 frames at the source, which the stream's own numbers do not show."""
    recorder, numbers = Recorder(tmp_path, "", 0), [500, 501, 505, 506, 507]
    recorder.take(Received("info", INFO))
    for seq, number in enumerate(numbers):
        header = FrameHeader(stream="stream-1", seq=seq, number=number, shape=SHAPE, dtype="uint16", sent_unix_ns=1)
        recorder.take(Received("frame", header, np.full(SHAPE, seq, np.uint16)))
    recorder.close()
    windows = (WindowRecord(2, 3, numbers=(505, 506)),)
    evidence = with_movie(RunEvidence("run", windows), next(tmp_path.glob("*.tif")))
    assert evidence.camera_mean.mean() == 2.5


@LINUX
@pytest.mark.parametrize("removed", ["*.tif", "*.jsonl", "*"])
def test_a_file_of_the_recording_that_is_removed_ends_it(tmp_path, removed):
    recorder = Recorder(tmp_path, "", 0)
    header = FrameHeader(stream="stream-1", seq=0, number=0, shape=SHAPE, dtype="uint16", sent_unix_ns=1)
    recorder.take(Received("info", INFO))
    recorder.take(Received("frame", header, np.zeros(SHAPE, np.uint16)))
    for path in list(tmp_path.glob(removed)):
        path.unlink()
    with pytest.raises(FileNotFoundError, match="was removed while it was written"):
        recorder.report()
    recorder.close()


DAMAGE = {
    "no JSON": lambda line: b"{not json\n",
    "another type": lambda line: line.replace(b"uint16", b"uint8"),
    "no UTF-8": lambda line: b'{"seq": "\xff\xfe"}\n',
    "nothing": lambda line: b"\n",
    "zeros": lambda line: bytes(len(line) - 1) + b"\n",
    "cut": lambda line: line[: len(line) // 2] + b"\n",
    "a list": lambda line: b"[1, 2]\n",
    "a number past 2**63": lambda line: line.replace(b'"number":', b'"number":99999999999999999999'),
    "nested": lambda line: b"[" * 100_000 + b"\n",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_recording_is_read_around_a_line_that_is_damaged(recorded, damage):
    index = recorded.with_suffix(".jsonl")
    lines = index.read_bytes().splitlines(keepends=True)
    for number in (3, 6):
        lines[number] = DAMAGE[damage](lines[number])
    index.write_bytes(b"".join(lines))
    assert first_pixels(recorded) == [0, 1, 2, 4, 5, 7, 8, 9]


@pytest.mark.parametrize("which", [".tif", ".jsonl"])
@given(share=st.floats(0, 1, allow_subnormal=False))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_recording_is_read_up_to_where_it_was_cut(recorded, which, share):
    """A killed machine may cut either file: all frames before are read, and no pixel is wrong."""
    cut = recorded.with_suffix(which)
    whole = cut.read_bytes()
    kept = int(share * len(whole))
    cut.write_bytes(whole[:kept])
    try:
        frames = first_pixels(recorded)
    except InputError:
        frames = []
    finally:
        cut.write_bytes(whole)
    assert frames == list(range(len(frames)))
    assert len(frames) >= (whole[:kept].count(b"\n") if which == ".jsonl" else 10 * kept // len(whole) - 1)
