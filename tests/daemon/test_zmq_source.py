"""zmq:, a publisher that is not ours: waited for, joined late, restarted at will, and never believed unseen."""

import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import msgpack
import numpy as np
import pytest
import zmq
from daemon_process import DAEMON, Results, account_closes, command, free_ports, simulated, wait_until, within

from daemon.config import load
from daemon.sources import publish
from daemon.sources.camera import CameraFrame
from daemon.sources.losses import LossCause
from daemon.sources.section import SourceSection, source_of
from daemon.sources.stream_publisher import StreamPublisher
from selfstorm.errors import InputError
from selfstorm.frames import StreamInfo

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
SIDE, WINDOW = 16, 10
FRAMES = np.random.default_rng(8).poisson(200, (400, SIDE, SIDE)).astype(np.uint16)


def listening_to(port, **settings):
    return simulated(window=WINDOW, stride=WINDOW, **settings) | {"source": {"uri": f"zmq:127.0.0.1:{port}"}}


@contextmanager
def publisher(port="*"):
    stop = threading.Event()
    with StreamPublisher(f"tcp://127.0.0.1:{port}", stop, lossless=False) as running:
        yield running


def begin(running, stream):
    running.begin(
        StreamInfo(stream=stream, source="there", height=SIDE, width=SIDE, dtype="uint16", pixel_nm=100.0, rate_hz=50.0)
    )


def send(running, first, count):
    for number in range(first, first + count):
        running.send(CameraFrame(FRAMES[number % len(FRAMES)], number))
    running.say("running", f"{first + count} sent")  # a heartbeat at once


def test_a_publisher_is_waited_for_joined_late_and_may_be_started_again(start, tmp_path):
    [port] = free_ports(1)
    daemon = start(listening_to(port, record="raw"))

    def status(condition, running=None):
        """The first status that fulfils a condition; until then the publisher that runs is heard."""

        def met():
            if running is not None:
                running.beat()
            now = daemon.status()
            assert account_closes(now)
            return now if condition(now) else None

        return wait_until(met)

    assert "for a publisher on tcp://127.0.0.1" in status(lambda now: now.state == "waiting").detail
    with Results(daemon.results) as results:
        with publisher() as running:
            begin(running, "stream-1")
            send(running, 0, 100)  # nobody listens yet: these are none of the daemon's
            running._socket.bind(f"tcp://127.0.0.1:{port}")
            running.wait_for_subscribers(2)
            running.say("running", "everybody listens")
            send(running, 100, 40)
            joined = status(lambda now: now.frames.received >= 40 and now.state == "running", running)
            assert (joined.frames.sent, joined.frames.missing, joined.state) == (40, 0, "running")
            running.lost(6)
            running.lost(2, LossCause.IN_CAMERA)
            send(running, 140, 20)
            assert "6 frames were lost at the source, in the camera's buffer" in results.event("lost_at_source").text
            assert "about 2 frames" in results.event("lost_in_camera").text
            status(lambda now: now.recorded_frames == 60, running)
        status(lambda now: now.state == "waiting" and "SSH tunnel" in now.detail)
        results.event("source_silent")
        with publisher(port) as running:
            running.wait_for_subscribers(2)
            begin(running, "stream-2")
            send(running, 0, 40)
            again = status(lambda now: now.frames.received >= 100 and now.state == "running", running)
            assert (again.stream, again.state, again.frames.missing) == ("stream-2", "running", 0)
            running.say("ended")
            status(lambda now: now.state == "waiting" and now.source_state == "ended", running)

        def of_both_streams():
            return {one.message.stream for one in results.pictures("raw.mean")} == {"stream-1", "stream-2"}

        wait_until(of_both_streams)
        for one in results.pictures("raw.mean"):
            first = one.message.first_seq
            np.testing.assert_allclose(one.pixels, FRAMES[first : first + WINDOW].mean(0), rtol=1e-6)
    final = status(lambda now: now.recorded_frames == 100)
    assert (final.recording_missing, final.refused) == (0, {})


def packed(kind, *pixels, **header):
    return [kind.encode(), msgpack.packb({"v": [2, 0], **header}), *pixels]


INFO = {"stream": "stream-1", "source": "there", "height": 2, "width": 2, "dtype": "uint16"}
HEAD = {"stream": "stream-1", "shape": [2, 2], "dtype": "uint16", "number": 0, "sent_unix_ns": 0}
PIXELS = bytes(8)
WRONG = {
    "instead of 2 or 3": [b"frame"],
    "unknown kind": packed("frames"),
    "not msgpack": [b"info", b"\xc1"],
    "protocol 9": [b"info", msgpack.packb(INFO | {"v": [9, 0]})],
    "'info' header, height": packed("info", **INFO | {"height": 0}),
    "'info' header, stream": packed("info", **INFO | {"stream": "../../etc"}),
    "'info' header, rate_hz": packed("info", **INFO | {"rate_hz": float("inf")}),
    "description changed": packed("info", **INFO | {"width": 3}),
    "bytes of pixels": packed("frame", PIXELS[:-1], **HEAD, seq=5),
    "carries no pixels": packed("frame", **HEAD, seq=5),
    "'frame' header, seq": packed("frame", PIXELS, **HEAD, seq=-1),
    "came twice": packed("frame", PIXELS, **HEAD, seq=0),
    "frame number jumps": packed("frame", PIXELS, **HEAD, seq=2**62),
    "lost frames jumps": packed("heartbeat", stream="stream-1", next_seq=2, state="running", lost_at_source=2**62),
    "does not belong": packed("request", id="1", verb="stop"),
}


def test_whatever_is_wrong_is_refused_counted_and_told(start):
    [port] = free_ports(1)
    daemon = start(listening_to(port))
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        socket.linger = 0
        socket.bind(f"tcp://127.0.0.1:{port}")
        assert socket.poll(20_000)
        socket.send_multipart(packed("info", **INFO))
        socket.send_multipart(packed("frame", PIXELS, **HEAD, seq=0))
        for message in WRONG.values():
            for _ in range(12):
                socket.send_multipart(message)
        socket.send_multipart(packed("frame", PIXELS, **HEAD, seq=1))

        def both_good_ones():
            status = daemon.status()
            return status if status.frames.received == 2 else None

        status = wait_until(both_good_ones)

    def refusals():
        lines = [line for line in daemon.err.splitlines() if "message_refused" in line]
        return lines if len(lines) >= 2 * len(WRONG) else None

    events = wait_until(refusals)
    assert account_closes(status)
    assert (status.frames.missing, status.frames.used) == (0, 2)
    assert status.frames.malformed_messages == sum(status.refused.values()) == 12 * len(WRONG)
    for why in WRONG:
        assert [count for reason, count in status.refused.items() if why in reason] == [12], why
        assert len([text for text in events if why in text]) == 2, "told at the first and the tenth"
    assert "Traceback" not in daemon.err


def test_reasons_without_number_do_not_fill_the_status():
    from daemon.health import Health
    from daemon.transport.refusal_counter import MAX_REASONS, OTHERS, RejectionCounter

    health = Health(run="run")
    refusals = RejectionCounter(health)
    for number in range(1000):
        refusals.refuse(f"{number} " * 1000)
    status = health.status()
    assert len(status.refused) == MAX_REASONS + 1
    assert status.refused[OTHERS] == 1000 - MAX_REASONS
    assert len(health.events_since(0)) < 40


def test_the_command_publishes_a_source_and_the_daemon_takes_it(start):
    [port] = free_ports(1)
    line = [*DAEMON, "publish", "simulate:", "--bind", f"tcp://127.0.0.1:{port}"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        try:
            daemon = start(listening_to(port))
            status = daemon.published(1)
            assert process.stdout.readline() == f"publishing simulate: on tcp://127.0.0.1:{port}\n"
            assert status.frames.sent == status.frames.received
            assert status.source == "simulate:"
        finally:
            process.terminate()
            process.wait()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["publish", "camera:"], "is no source"),
        (["publish", "none.toml"], "none.toml: no such file"),
        (["publish", "zmq:127.0.0.1:5710"], "is a publisher already"),
    ],
)
def test_a_mistake_in_publishing_is_one_line(line, said, capfd):
    outcome = within([*DAEMON, *line], capfd)
    assert (outcome.returncode, outcome.stderr.count("\n")) == (2, 1), outcome.stderr
    assert said in outcome.stderr


def test_frames_come_from_this_machine_or_with_a_key():
    with pytest.raises(InputError, match=r"'selfstorm-daemon publish SOURCE --bind tcp://0\.0\.0\.0:5710'"):
        source_of("zmq:gpu-pc:5710")
    with pytest.raises(InputError, match="write zmq:"):
        source_of("zmq:5710")
    assert load(ROOT / "configs" / "zmq.toml", {}).source == SourceSection(uri="zmq:127.0.0.1:5710")
    with pytest.raises(InputError, match="cannot be made to wait"):
        load(ROOT / "configs" / "zmq.toml", {"lossless": True})


def test_the_example_publisher_feeds_the_daemon(start):
    [port] = free_ports(1)
    program = (EXAMPLES / "publish_numpy.py").read_text().replace("5710", str(port))
    daemon = start(listening_to(port))
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        try:
            status = daemon.published(2)
        finally:
            process.kill()
    assert (status.frames.missing, status.refused) == (0, {})
    assert account_closes(status)


def test_a_camera_process_that_the_command_starts_again_goes_on_behind_the_last_frame(monkeypatch):
    """Not behind the count of the frames: a camera's numbers begin anywhere, and have gaps."""
    [port], stop, asked = free_ports(1), threading.Event(), []

    class Camera:
        endpoint = f"tcp://127.0.0.1:{port}"

        def check(self, _heard_s, resume_at, sent):
            asked.append((resume_at, sent))
            running.beat()

        def stop(self):
            pass

    monkeypatch.setattr(publish, "CameraSupervisor", lambda *_, **__: Camera())
    with publisher(port) as running:
        begin(running, "first-stream")
        for number in (100, 101, 105):
            running.send(CameraFrame(FRAMES[0], number))
        for said in publish.publish(SourceSection(uri="simulate:"), Camera.endpoint, stop):
            if "first-st" in said:
                begin(running, "second-stream")  # of the next process, which has sent no frame yet
            elif "second-s" in said:
                stop.set()
    assert asked[-1] == (106, 3)


def test_a_microscope_pc_needs_no_torch():
    """What runs there: publish, camera process, check; and the recorder, which would take seconds to begin."""
    modules = (
        "daemon.cli, daemon.sources.publish, daemon.sources.__main__, daemon.check.examine, daemon.recording.recorder"
    )
    program = f"import sys; sys.modules['torch'] = sys.modules['scipy'] = None; import {modules}"
    done = command([sys.executable, "-c", program])
    assert (done.returncode, done.stderr) == (0, "")
