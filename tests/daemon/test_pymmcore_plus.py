"""Acquisitions of pymmcore-plus' own engine on the real core, published to a real daemon."""

from types import SimpleNamespace

import numpy as np
import pytest
from daemon_process import Results, account_closes, free_ports, simulated, wait_until
from real_core import demo_camera

from daemon.protocol.messages import FrameHeader, Heartbeat
from daemon.pymmcore_plus import IDLE, FramePublisher
from daemon.transport.frame_subscriber import FrameSubscriber
from selfstorm.errors import InputError
from selfstorm.frames import StreamInfo

useq = pytest.importorskip("useq")
WINDOW, META = 10, {"pixel_size_um": 0.1, "exposure_ms": 5.0, "camera_device": "Camera", "runner_time_ms": 1.0}
PIXELS = np.arange(12, dtype=np.uint16).reshape(3, 4)


@pytest.mark.parametrize("connected", [True, False])
def test_an_acquisition_of_the_real_engine_reaches_the_daemon_whole(start, connected):
    [port] = free_ports(1)
    daemon = start(simulated(window=WINDOW, stride=WINDOW) | {"source": {"uri": f"zmq:127.0.0.1:{port}"}})
    frames, loops = [], 3 * WINDOW
    sequence = useq.MDASequence(time_plan={"interval": 0, "loops": loops})
    with (
        Results(daemon.results) as results,
        demo_camera(exposure_ms=5.0) as core,
        FramePublisher(f"tcp://127.0.0.1:{port}") as publisher,
    ):
        core.setROI(0, 0, 32, 32)
        core.setPixelSizeUm("Res10x", 0.1)
        wait_until(lambda: IDLE in daemon.status().detail)
        core.mda.events.frameReady.connect(lambda image, event: frames.append(image.copy()))
        if connected:
            publisher.connect(core)
            core.mda.run(sequence)
        else:
            core.mda.run(sequence, output=publisher)
        status = daemon.published(loops // WINDOW)
        assert (len(frames), publisher.sent, publisher.dropped) == (loops, loops, 0)
        assert (status.frames.sent, status.frames.missing, status.frames.lost_at_source) == (loops, 0, 0)
        assert account_closes(status)

        def all_came():
            return len(results.pictures("raw.mean")) == loops // WINDOW

        wait_until(all_came)
    for one in results.pictures("raw.mean"):
        shown = frames[one.message.first_seq : one.message.last_seq + 1][-one.message.frames :]
        np.testing.assert_array_equal(one.pixels, np.mean(shown, 0, dtype=np.float64).astype(np.float32))
        assert one.message.pixel_nm == pytest.approx(100.0)


class Reader:
    """All that a publisher sends."""

    def __init__(self, publisher):
        self._subscriber = FrameSubscriber(publisher.endpoint)
        self.infos, self.numbers, self.beats = [], [], []

    def __enter__(self):
        self._subscriber.__enter__()
        return self

    def __exit__(self, *error):
        self._subscriber.__exit__(*error)

    def until(self, condition):
        def met():
            received = self._subscriber.receive()
            match received and received.message:
                case StreamInfo() as info if info not in self.infos:
                    self.infos.append(info)
                case FrameHeader() as header:
                    self.numbers.append(header.number)
                case Heartbeat() as beat:
                    self.beats.append(beat)
            return condition()

        wait_until(met)


@pytest.fixture
def published():
    """A publisher with space for two images, and a reader that it knows."""
    with FramePublisher("tcp://127.0.0.1:*", queue_bytes=2 * PIXELS.nbytes) as publisher, Reader(publisher) as reader:
        reader.until(lambda: reader.beats)
        yield SimpleNamespace(publisher=publisher, reader=reader)


def test_an_acquisition_is_never_held_up_and_frames_without_space_are_counted(published, caplog):
    publisher, reader = published.publisher, published.reader
    with publisher._publisher._lock:  # nothing can be sent
        publisher.sequenceStarted()
        for _ in range(5):
            publisher.frameReady(PIXELS, None, META)
    reader.until(lambda: reader.beats[-1].lost_at_source == 3)
    assert (reader.numbers, publisher.dropped) == ([0, 1], 3)
    publisher.frameReady(PIXELS, None, META)
    reader.until(lambda: reader.numbers[-1] == 5)
    publisher.close()
    assert "3 frames were not published" in caplog.text


def test_every_acquisition_and_every_size_is_a_stream_of_its_own(published):
    publisher, reader = published.publisher, published.reader
    for count, image in enumerate((PIXELS, PIXELS, PIXELS[:2], PIXELS[:2])):
        if count in (0, 3):
            publisher.setup(None)
        publisher.append(image, None, META)
        reader.until(lambda count=count: len(reader.numbers) == count + 1)
    assert [info.height for info in reader.infos] == [3, 2, 2]
    assert len({info.stream for info in reader.infos}) == 3
    assert reader.numbers == [0, 1, 2, 0]
    assert (reader.infos[0].pixel_nm, reader.infos[0].camera) == (pytest.approx(100.0), "Camera")


def test_colour_is_not_published_and_said_to_be(published, caplog):
    published.publisher.frameReady(np.zeros((3, 4, 3), np.uint8), None, META)
    published.publisher.frameReady(PIXELS, None, META)
    published.reader.until(lambda: published.reader.numbers)
    assert published.reader.numbers == [1]
    assert "only gray of 8 or 16 bits" in caplog.text


def test_frames_that_cannot_be_described_are_counted_and_the_next_ones_sent(published, caplog):
    publisher, reader = published.publisher, published.reader
    for count in range(1, 4):  # more than there is space for
        publisher.frameReady(PIXELS, None, META | {"exposure_ms": -1.0} if count == 2 else None)
        wait_until(lambda count=count: publisher.dropped == count)
    publisher.frameReady(PIXELS, None, META)
    reader.until(lambda: reader.numbers and reader.beats[-1].lost_at_source == 3)
    assert (reader.numbers, publisher.sent, publisher.dropped) == ([3], 1, 3)
    assert "exposure_ms" in caplog.text


def test_an_address_that_is_taken_is_said_to_be(published):
    with pytest.raises(InputError, match="cannot listen there"):
        FramePublisher(published.publisher.endpoint)
