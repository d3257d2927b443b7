"""The recorder by itself: what it writes, where it goes on, and that it finishes its files whatever happens."""

import json
import subprocess
import sys
import threading
from contextlib import contextmanager

import numpy as np
from daemon_process import DEADLINE_S

from daemon.sources.camera import CameraFrame
from daemon.sources.stream_publisher import StreamPublisher
from selfstorm.frames import StreamInfo
from selfstorm.io.movies import MovieFile

FRAMES = np.random.default_rng(4).integers(0, 60_000, (12, 6, 8), np.uint16)


@contextmanager
def recorder(folder, *flags, heard=True, missed=()):
    """(publisher, said) on which a recorder process listens; it ends in order with the block.

    said: all it has printed, once it ended. heard: whether anybody reads that. missed: frames sent before it came.
    """
    said, stop = [], threading.Event()
    with StreamPublisher("tcp://127.0.0.1:*", stop, lossless=False) as publisher:
        begin(publisher, frames=missed)
        line = [
            sys.executable,
            "-m",
            "daemon.recording.recorder",
            "--connect",
            publisher.endpoint,
            "--folder",
            str(folder),
        ]
        with subprocess.Popen([*line, *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            giving_up = threading.Timer(DEADLINE_S, stop.set)
            giving_up.start()
            try:
                if not heard:
                    process.stdout.close()
                publisher.wait_for_subscribers(1)
                publisher.say("running")
                yield publisher, said
                publisher.say("ended")
                process.stdin.close()
                if heard:
                    said += map(json.loads, process.stdout)
                assert process.wait(DEADLINE_S) == 0
            finally:
                giving_up.cancel()
                process.kill()


def begin(publisher, stream="stream-1", frames=()):
    height, width = np.shape(frames)[1:] or FRAMES.shape[1:]
    publisher.begin(StreamInfo(stream=stream, source="here", height=height, width=width, dtype="uint16", pixel_nm=120))
    for number, pixels in enumerate(frames):
        publisher.send(CameraFrame(pixels, 100 + number, camera_ms=10.0 * number))


def test_every_stream_is_a_movie_and_an_index(tmp_path):
    with recorder(tmp_path) as (publisher, said):
        begin(publisher, "stream-2", FRAMES)
        begin(publisher, "stream-3", FRAMES[:5, :4])
    assert (said[-1]["recorded"], said[-1]["missing"]) == (17, 0)
    for stream, frames in (("stream-2", FRAMES), ("stream-3", FRAMES[:5, :4])):
        (path,) = tmp_path.glob(f"*-{stream}.tif")
        with MovieFile(path) as movie:
            np.testing.assert_array_equal(movie.frames(), frames, strict=True)
            assert movie.pixel_nm == 120
        lines = [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]
        assert [(line["seq"], line["number"], line["camera_ms"]) for line in lines] == [
            (n, 100 + n, 10.0 * n) for n in range(len(frames))
        ]


def test_it_finishes_its_file_when_nobody_hears_what_it_says(tmp_path, capfd):
    with recorder(tmp_path, heard=False) as (publisher, _):
        begin(publisher, "stream-2", FRAMES)
    with MovieFile(next(tmp_path.glob("*.tif"))) as movie:
        np.testing.assert_array_equal(movie.frames(), FRAMES)
    assert capfd.readouterr().err == ""


def test_what_another_recorder_has_written_is_not_missing(tmp_path):
    flags = ["--stream", "stream-1", "--next-seq", "4"]
    with recorder(tmp_path, *flags, missed=FRAMES[:7]) as (publisher, said):
        publisher.send(CameraFrame(FRAMES[7], 107))
    last = said[-1]
    assert (last["recorded"], last["missing"], last["stream"], last["next_seq"]) == (1, 3, "stream-1", 8)


def test_a_stream_without_frames_leaves_no_file(tmp_path):
    with recorder(tmp_path) as (publisher, _):
        begin(publisher, "stream-2")
    assert list(tmp_path.iterdir()) == []
