"""A stream that a test sends, and the recorder that a daemon would run beside it."""

import threading
import time

import numpy as np
import pytest
from daemon_process import DEADLINE_S

from daemon.health import Health
from daemon.recording.supervisor import Reached, RecorderSupervisor
from daemon.sources.camera import CameraFrame
from daemon.sources.stream_publisher import StreamPublisher
from selfstorm.frames import StreamInfo
from selfstorm.io.movies import MovieFile

SHAPE = (6, 8)
INFO = StreamInfo(stream="stream-1", source="here", height=6, width=8, dtype="uint16", pixel_nm=120)
OTHER = INFO.model_copy(update={"stream": "stream-2"})


class Rig:
    """A publisher, a receiver that misses nothing, and the supervised recorder."""

    def __init__(self, publisher, folder):
        self.publisher, self.folder, self.health, self.sent = publisher, folder, Health(run="run"), 0
        self.supervisor, self.info = None, INFO

    def record(self, **options):
        self.start(**options)
        self.publisher.wait_for_subscribers(1)
        self.publisher.say("running")  # with the description of the stream

    def start(self, **options):
        self.folder.mkdir(exist_ok=True)
        self.supervisor = RecorderSupervisor(
            self.publisher.endpoint,
            self.folder,
            self.health,
            lambda: Reached(self.sent, self.info.stream, self.publisher._next_seq),
            **options,
        )

    def go_on_with(self, info, next_seq):
        """Let another stream replace the running one, as a second program on the address does."""
        self.publisher.begin(info)
        self.info, self.publisher._next_seq = info, next_seq

    def send(self, count):
        for _ in range(count):
            pixels = np.full(SHAPE, self.sent, np.uint16)
            self.publisher.send(CameraFrame(pixels, self.sent, None))
            self.sent += 1
        self.publisher.say("running")

    def until(self, condition):
        deadline_s = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline_s, (self.health.status(), self.health.events_since(0))
            self.supervisor.check()
            self.publisher.say("running")
            time.sleep(0.02)

    @property
    def codes(self):
        return [event.code for event in self.health.events_since(0)]

    def closes(self):
        """End it; the account, which must be that of the files."""
        self.publisher.say("ended")
        self.supervisor.stop(final=True)
        files = sorted(self.folder.glob("*.tif"))
        in_files = 0
        for file in files:
            with MovieFile(file) as movie:
                in_files += movie.length
        status = self.health.status()
        assert status.recorded_frames == in_files
        assert status.recorded_frames + status.recording_missing == self.sent
        assert ("recording_incomplete" in self.codes) == (status.recording_missing > 0)
        return status


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
