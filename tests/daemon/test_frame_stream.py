"""A camera process by itself: what it says, where it resumes, and that it never outlives who started it."""

import json
import subprocess
import sys
import threading
from contextlib import contextmanager

import numpy as np
import pytest
import tifffile
import zmq
from daemon_process import DEADLINE_S, SCENE, wait_until

from daemon.sources.camera import CameraFrame
from daemon.sources.stream_publisher import StreamPublisher
from daemon.transport.frame_subscriber import FrameSubscriber
from selfstorm.frames import StreamInfo
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene

ANY_PORT = "tcp://127.0.0.1:*"


@contextmanager
def camera(section, *flags):
    """(process, the first line it printed) of a camera process; its end is the parent's, as in the daemon."""
    line = [sys.executable, "-m", "daemon.sources", json.dumps(section), "--bind", ANY_PORT, *map(str, flags)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def received_until(subscriber, last):
    """All messages up to the first for which last() holds."""
    received = []

    def came():
        if (one := subscriber.receive()) is not None:
            received.append(one)
        return bool(received) and last(received[-1])

    wait_until(came)
    return received


def has_ended(received):
    return received.kind == "heartbeat" and received.message.state == "ended"


def stream_of(section, *flags):
    with camera(section, *flags) as (_, said), FrameSubscriber(said["endpoint"]) as subscriber:
        received = received_until(subscriber, has_ended)
    frames = [one for one in received if one.kind == "frame"]
    assert [one.message.seq for one in frames] == list(range(len(frames)))
    assert received[-1].message.next_seq == len(frames)
    assert next(one.kind for one in received if one.kind != "heartbeat") == "info"
    return [one.message.number for one in frames], np.stack([one.pixels for one in frames])


@pytest.mark.parametrize("first", [0, 5])
def test_a_simulation_resumes_with_the_frame_it_is_told(first):
    section = {"uri": "simulate:", "rate_hz": 500, "frames": 12, "simulate": SCENE}
    numbers, pixels = stream_of(section, "--resume-at", first, "--sent", first)
    assert numbers == list(range(first, 12))
    movie = simulate(Scene(**SCENE), frames=12 - first, start_frame=first)
    np.testing.assert_array_equal(pixels, [frame for frame, _ in movie])


def test_a_replay_resumes_and_loops_without_a_seam(tmp_path):
    frames = np.random.default_rng(2).integers(0, 4000, (9, 16, 24), np.uint16)
    tifffile.imwrite(tmp_path / "movie.tif", frames, photometric="minisblack", metadata=None)
    section = {"uri": f"replay:{tmp_path / 'movie.tif'}", "frames": 20, "loop": True}
    numbers, pixels = stream_of(section, "--resume-at", 7, "--sent", 7, "--lossless")
    assert numbers == list(range(7, 20))
    np.testing.assert_array_equal(pixels, frames[[number % 9 for number in numbers]])


def test_frames_that_a_process_before_it_sent_count_whatever_their_numbers():
    section = {"uri": "simulate:", "rate_hz": 500, "frames": 12, "simulate": SCENE}
    numbers, _ = stream_of(section, "--resume-at", 1000, "--sent", 7)
    assert numbers == list(range(1000, 1005))
    with camera(section, "--sent", 12) as (_, said), FrameSubscriber(said["endpoint"]) as subscriber:
        received = received_until(subscriber, has_ended)
    assert received[-1].message.next_seq == 0


def test_who_wants_other_topics_is_no_subscriber_and_fills_no_memory():
    received = []

    def listen(endpoint):
        with zmq.Context() as context, context.socket(zmq.SUB) as stranger:
            stranger.linger = 0
            stranger.connect(endpoint)
            for topic in (*range(300), "heartbeat"):
                stranger.subscribe(str(topic))
            assert stranger.poll(1000 * DEADLINE_S), "a heartbeat says that all of it was taken in"
            with FrameSubscriber(endpoint) as subscriber:
                received.extend(received_until(subscriber, has_ended))

    with StreamPublisher(ANY_PORT, threading.Event(), lossless=False) as publisher:
        listener = threading.Thread(target=listen, args=(publisher.endpoint,))
        listener.start()
        publisher.wait_for_subscribers(1)
        publisher.begin(info("stream-1", 2))
        publisher.send(CameraFrame(np.zeros((2, 2), np.uint8), 0))
        publisher.say("ended")

        def heard():
            publisher.beat()
            return not listener.is_alive()

        wait_until(heard)  # by then both have left, and ZeroMQ tells of each topic nobody wants any more

        def taken_in():
            publisher.beat()
            return not publisher._socket.poll(0)

        wait_until(taken_in)
    assert [one.message.seq for one in received if one.kind == "frame"] == [0]


def test_it_ends_when_its_input_closes_however_busy_it_is():
    section = {"uri": "simulate:", "rate_hz": 200, "simulate": SCENE}
    with camera(section) as (process, said), FrameSubscriber(said["endpoint"]) as subscriber:
        received_until(subscriber, lambda one: one.kind == "frame")
        process.stdin.close()
        received_until(subscriber, has_ended)
        assert process.wait(DEADLINE_S) == 0


def test_it_ends_when_its_input_closes_before_anybody_listened():
    with camera({"uri": "simulate:", "simulate": SCENE}) as (process, _):
        process.stdin.close()
        assert process.wait(DEADLINE_S) == 0


def info(stream, side):
    return StreamInfo(stream=stream, source="here", height=side, width=side, dtype="uint8")


def test_a_second_stream_is_described_before_its_first_frame():
    with (
        StreamPublisher(ANY_PORT, threading.Event(), lossless=False) as publisher,
        FrameSubscriber(publisher.endpoint) as subscriber,
    ):
        publisher.wait_for_subscribers(1)
        for stream, side in (("stream-1", 2), ("stream-2", 3)):
            publisher.begin(info(stream, side))
            for number in range(2):
                publisher.send(CameraFrame(np.zeros((side, side), np.uint8), number))
        publisher.say("ended")
        received = received_until(subscriber, has_ended)
    told = [(one.kind, one.message.stream) for one in received if one.kind != "heartbeat"]
    frames = [("frame", "stream-1")] * 2, [("frame", "stream-2")] * 2
    assert told[:6] == [("info", "stream-1"), *frames[0], ("info", "stream-2"), *frames[1]]
