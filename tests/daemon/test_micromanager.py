"""The camera process of a running Micro-Manager, from outside."""

from pathlib import Path

import numpy as np
from daemon_process import free_ports, wait_until
from watched import live, shoot

from daemon.config import load
from daemon.protocol.messages import Heartbeat
from daemon.sources.section import SourceSection
from daemon.transport.child_process import ChildProcess
from daemon.transport.frame_subscriber import FrameSubscriber


def test_a_camera_process_without_micromanager_says_what_it_waits_for_and_ends_with_its_input(capfd):
    [port] = free_ports(1)
    section = SourceSection(uri=f"micromanager:127.0.0.1:{port}")
    child = ChildProcess("daemon.sources", [section.model_dump_json(), "--bind", "tcp://127.0.0.1:*"])
    try:
        announced = wait_until(lambda: child.said(0.1))
        with FrameSubscriber(announced["endpoint"]) as subscriber:

            def beat():
                received = subscriber.receive()
                message = received.message if received else None
                return message if isinstance(message, Heartbeat) and "start it" in message.detail else None

            beats = [wait_until(beat) for _ in range(3)]
        assert {heartbeat.state for heartbeat in beats} == {"waiting"}
        assert beats[-1].detail.startswith(f"Micro-Manager on port {port}: start it and tick Tools > Options")
        child.ask_to_stop()
        assert wait_until(lambda: (child.exit_code is not None) and [child.exit_code]) == [0]
    finally:
        child.stop()
    assert capfd.readouterr().err == ""


def test_a_camera_process_sends_the_frames_of_micromanager(emulator):
    live(emulator, frames=1)
    section = SourceSection(uri=f"micromanager:127.0.0.1:{emulator.port}")
    child = ChildProcess("daemon.sources", [section.model_dump_json(), "--bind", "tcp://127.0.0.1:*"])
    try:
        announced = wait_until(lambda: child.said(0.1))
        with FrameSubscriber(announced["endpoint"]) as subscriber:

            def frame():
                received = subscriber.receive()
                return received if received and received.pixels is not None else None

            first = wait_until(frame)
            shoot(emulator, 1)
            second = wait_until(frame)
        assert (first.message.number, second.message.number) == (0, 1)
        np.testing.assert_array_equal(second.pixels, np.ones((4, 6)))
        child.ask_to_stop()
        assert wait_until(lambda: (child.exit_code is not None) and [child.exit_code]) == [0]
        assert emulator.handles == 0, "all is given back at the end"
    finally:
        child.stop()


def test_the_example_configuration_loads():
    configs = Path(__file__).parents[2] / "configs"
    config = load(configs / "micromanager.toml", {})
    assert (config.source.scheme, config.source.place) == ("micromanager", "")
