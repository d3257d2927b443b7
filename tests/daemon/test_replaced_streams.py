"""Two programs on one address: no frame is lost silently, none is counted twice."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from daemon.health import Health
from daemon.ingest import receiver as receiving
from daemon.ingest.receiver import ANOTHER_STREAM, FrameReceiver, RefusedError
from daemon.ingest.stream import NUMBER_AGAIN
from daemon.ingest.windows import WindowQueue
from daemon.protocol.codec import Received
from daemon.protocol.messages import FrameHeader, Heartbeat
from daemon.recording.recorder import Recorder
from selfstorm.frames import StreamInfo

PIXELS = np.zeros((6, 8), np.uint16)
GOOD, OTHER = "good-stream", "other-stream"


def info(name):
    return Received("info", StreamInfo(stream=name, source="here", height=6, width=8, dtype="uint16"))


def frames(name, first, count):
    for seq in range(first, first + count):
        header = FrameHeader(stream=name, seq=seq, number=seq, shape=(6, 8), dtype="uint16", sent_unix_ns=1)
        yield Received("frame", header, PIXELS)


def heartbeat(name, next_seq):
    return Received("heartbeat", Heartbeat(stream=name, next_seq=next_seq, state="running"))


@pytest.fixture
def receiver():
    """A receiver that is given messages without a socket."""
    config = SimpleNamespace(reconstruction=SimpleNamespace(window=100, stride=100, region=None), lossless=False)
    health, queue = Health(run="run"), WindowQueue(lossless=False)
    settings = SimpleNamespace(current=config)
    made = FrameReceiver("inproc://none", health, queue, settings=settings, begins=lambda _: None)
    made.status = health.status
    return made


def feed(taker, *messages):
    for message in messages:
        taker(message)


def account(receiver):
    frames = receiver.status().frames
    assert frames.sent == frames.received + frames.missing
    assert frames.received == frames.used + frames.rejected
    return frames.used, frames.rejected, frames.missing


def test_frames_of_a_stream_that_another_replaced_are_counted_and_explained(receiver):
    feed(receiver._sort, info(GOOD), *frames(GOOD, 0, 5), info(OTHER), *frames(GOOD, 5, 4))
    assert account(receiver) == (5, 4, 0)
    assert receiver.status().refused == {ANOTHER_STREAM: 4}


def test_a_stream_that_comes_back_goes_on_where_it_was(receiver):
    feed(receiver._sort, info(GOOD), *frames(GOOD, 0, 5), info(OTHER), *frames(GOOD, 5, 2))
    feed(receiver._sort, info(GOOD), heartbeat(GOOD, 7), *frames(GOOD, 9, 1))
    assert account(receiver) == (6, 2, 2)


@pytest.mark.parametrize("ahead", [0, 3, 100])
def test_two_programs_that_publish_one_stream_name_are_named(receiver, ahead):
    """The program that is ahead is followed; no frame of the other is taken for one of it, nor for a bad network."""
    feed(receiver._sort, info(GOOD))
    refused = []
    for one, other in zip(frames(GOOD, 0, 20), frames(GOOD, ahead, 20), strict=True):
        for message in (other, one):
            try:
                receiver._sort(message)
            except RefusedError as error:
                refused.append(str(error))
    assert account(receiver) == (20, 0, ahead)
    assert refused == [NUMBER_AGAIN] * 20
    assert "two programs publish one stream" in NUMBER_AGAIN


def test_streams_that_are_described_do_not_excuse_one_that_is_not(receiver, monkeypatch):
    feed(receiver._sort, info(GOOD), *frames(OTHER, 0, 1), info(GOOD))
    later_s = time.monotonic() + 3
    monkeypatch.setattr(receiving, "time", SimpleNamespace(monotonic=lambda: later_s))
    with pytest.raises(RefusedError, match="not described"):
        feed(receiver._sort, *frames(OTHER, 1, 1))


def test_a_recording_counts_no_frame_twice_when_a_stream_comes_back(tmp_path):
    recorder = Recorder(tmp_path, "", 0)
    feed(recorder.take, info(GOOD), *frames(GOOD, 0, 5), info(OTHER), *frames(GOOD, 5, 4))
    feed(recorder.take, info(GOOD), heartbeat(GOOD, 9), *frames(GOOD, 9, 1))
    recorder.close()
    assert recorder._counts() == {"recorded": 6, "missing": 4}


@pytest.mark.parametrize("pixel_nm", [5e-324, 1e-300, 1e6])
def test_any_pixel_size_that_a_message_may_name_can_be_recorded(tmp_path, pixel_nm):
    recorder = Recorder(tmp_path, "", 0)
    described = info(GOOD).message.model_copy(update={"pixel_nm": pixel_nm})
    feed(recorder.take, Received("info", described), *frames(GOOD, 0, 2))
    recorder.close()
    assert recorder._counts() == {"recorded": 2, "missing": 0}


def test_a_window_that_does_not_fit_into_memory_is_shortened_in_words(receiver):
    receiver._settings.current.reconstruction.window = 100_000
    wide = info(GOOD).message.model_copy(update={"height": 2048, "width": 2048})
    feed(receiver._sort, Received("info", wide))
    [event] = [one for one in receiver._health.events_since(0) if one.code == "window_too_large"]
    assert "100000 frames of 2048 x 2048 px do not fit into memory: windows have 953 frames" in event.text
    assert receiver.stream.windows.length == 953
