"""A daemon on a Micro-Manager to which everything happens: told, accounted where it happened, and the picture returns.

Every stream has a brightness of its own, so that a picture which mixes frames of two would show it.
"""

import threading
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from bridge_emulator import BridgeEmulator
from daemon_process import Daemon, Results, account_closes, free_ports, posix, simulated, wait_until
from disturbed import fault
from emulated_camera import Camera

WINDOW, LEVEL, SIDE = 16, 10_000, 16
RATE_HZ = 8  # so few that none is skipped where looks take 100 ms
MOST_UNSEEN = 160


class Scope:
    """An emulated Micro-Manager that films by itself, and may be closed and started again."""

    def __init__(self):
        [self.port] = free_ports(1)
        self.level = 0
        self.start()

    def start(self):
        self.emulator = BridgeEmulator(self.port)
        self.level += LEVEL
        camera = self.emulator.camera
        camera.height = camera.width = SIDE
        camera.noise, camera.level, camera.roi, camera.capacity = 100, self.level, f"0-0-{SIDE}-{SIDE}", 100_000
        camera.frame_ms = 1000 / RATE_HZ
        camera.start()
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._film, name="film")
        self._thread.start()

    def close(self):
        self._halt.set()
        self._thread.join()
        self.emulator.__exit__()

    @contextmanager
    def at_work(self):
        """The camera, while no frame comes in between."""
        with self.emulator.lock:
            yield self.emulator.camera

    def new_level(self, camera):
        self.level += LEVEL
        camera.level = self.level

    def _film(self):
        """As fast as the daemon follows on this machine: what it has not seen yet would grow without end otherwise."""
        while not self._halt.wait(1 / RATE_HZ):
            with self.at_work() as camera:
                if camera.live and camera.unseen < MOST_UNSEEN:
                    camera.shoot()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scope")
    scope = Scope()
    settings = simulated(window=WINDOW, stride=WINDOW) | {"source": {"uri": f"micromanager:127.0.0.1:{scope.port}"}}
    try:
        with Daemon(folder, settings) as daemon, Results(daemon.results) as results:
            daemon.started().published(1)
            yield SimpleNamespace(daemon=daemon, results=results, scope=scope)
            assert all(account_closes(status) for status in results.messages("status"))
            assert "Traceback" not in daemon.err
            pure(results)
    finally:
        scope.close()


def pure(results):
    """No picture is made of frames from before and after a change: it would be as bright as neither."""
    for one in results.pictures("raw.mean"):
        np.testing.assert_array_less(np.mod(one.pixels, LEVEL), LEVEL / 2)


def test_frames_lost_inside_the_camera(running):
    with fault(running) as outcome, running.scope.at_work() as camera:
        camera.miss(5)
    assert outcome.told("lost_in_camera", "about 5 frames were lost at the source, inside the camera")
    assert (outcome.lost(), outcome.same_stream, outcome.restarts) == (5, True, 0)


def test_images_that_another_program_takes(running):
    with fault(running) as outcome, running.scope.at_work() as camera:
        camera.shoot(250)
        camera.pop(len(camera.buffer) - 20)
    assert outcome.told("taken_by_another", "by another program or an acquisition")
    assert outcome.told("source_waits", "another program, or an acquisition, takes the images out")
    assert outcome.lost() >= 200
    assert (outcome.same_stream, outcome.restarts) == (True, 0)


def test_a_buffer_that_overflows(running):
    with fault(running) as outcome:
        for capacity in (60, 100_000):
            with running.scope.at_work() as camera:
                running.scope.new_level(camera)
                camera.capacity = capacity
                camera.start()
            if capacity == 60:
                wait_until(lambda: running.scope.emulator.camera.looked_at)
                with running.scope.at_work() as camera:
                    camera.shoot(150)
                assert outcome.told("lost_at_source", "in the camera's buffer: they came faster than they were taken")
    assert "taken_by_another" not in outcome.losses()
    assert (outcome.same_stream, outcome.restarts) == (False, 0)


def test_numbers_that_begin_again(running):
    with fault(running) as outcome, running.scope.at_work() as camera:
        running.scope.new_level(camera)
        camera.start()
    assert outcome.told("source_waits", "restarted, or its buffer emptied: frames between are estimated")
    assert (outcome.same_stream, outcome.restarts) == (False, 0)


@contextmanager
def images_left(scope):
    """The camera, stopped, with images that were not fetched.

    The fewest that are several: after half a second without an answer it is in doubt whose images they are, and they
    may be told as estimated.
    """
    scope.emulator.stall()
    wait_until(lambda: scope.emulator.camera.unseen >= 3)
    with scope.at_work() as camera:
        camera.live = False
        yield camera
    scope.emulator.go_on()


def test_another_region_of_the_camera(running):
    with fault(running) as outcome:
        with images_left(running.scope) as camera:
            camera.label = "Second"
        assert outcome.told(
            "camera_changed", "could not be read any more: the camera, its region or its pixel type was"
        )
        with running.scope.at_work() as camera:
            running.scope.new_level(camera)
            camera.roi, camera.height = f"0-0-{SIDE}-{SIDE + 8}", SIDE + 8
            camera.start()
    assert outcome.told("stream_begins", f"{SIDE} x {SIDE + 8} px")
    assert (outcome.same_stream, outcome.restarts) == (False, 0)
    shapes = [one.message.shape for one in running.results.pictures("raw.mean")]
    assert shapes[-1] == (SIDE + 8, SIDE)


def test_an_at_sign_in_the_metadata(running):
    with fault(running) as outcome, running.scope.at_work() as camera:
        camera.comment = "@7ffffff0"
    assert outcome.losses() <= {"not_fetched"}, "all that this machine had the time to fetch is seen"
    assert (outcome.same_stream, outcome.restarts) == (True, 0)


def test_answers_that_come_late(running):
    with fault(running) as outcome:
        running.scope.emulator.delay_s = 0.03
        late = outcome.told("not_fetched", "the camera is faster than Micro-Manager's bridge, which gives")
        running.scope.emulator.delay_s = 0.0
    assert late
    assert (outcome.same_stream, outcome.restarts) == (True, 0)


def test_live_mode_stopped_and_pressed_again(running):
    with fault(running) as outcome:
        with running.scope.at_work() as camera:
            camera.live = False

        def waits():
            status = running.daemon.status()
            return status if status.state == "waiting" and "press Live" in status.detail else None

        wait_until(waits)
        with running.scope.at_work() as camera:
            running.scope.new_level(camera)
            camera.start()
    assert outcome.told("source_waits", "live mode has stopped: press Live")
    assert outcome.losses() <= {"not_fetched"}, "all that this machine had the time to fetch is seen"
    assert (outcome.same_stream, outcome.restarts) == (False, 0)
    assert outcome.after.frames.estimated_lost_in_outages == outcome.before.frames.estimated_lost_in_outages


def test_a_bridge_that_fails(running):
    with fault(running) as outcome:
        running.scope.emulator.fail("target is null")
    assert outcome.told("source_waits", "failed, it is attached to again")
    assert outcome.told("source_waits", "target is null")
    assert outcome.losses() <= {"not_fetched"}, "all that this machine had the time to fetch is seen"
    assert outcome.after.frames.rejected == outcome.before.frames.rejected
    assert (outcome.same_stream, outcome.restarts) == (False, 0)


def test_a_micromanager_that_stands_still_is_said_and_waited_for(running):
    with fault(running) as outcome:
        running.scope.emulator.stall()

        def stands_still():
            status = running.daemon.status()
            return (status.source_state, status.state) == ("not answering", "waiting")

        wait_until(stands_still)
        running.scope.emulator.go_on()
    assert outcome.told("source_still", "Micro-Manager does not answer")
    assert outcome.told("source_answers", "the source answers again")
    assert outcome.losses() <= {"not_fetched"}, "all that this machine had the time to fetch is seen"
    assert (outcome.same_stream, outcome.restarts) == (True, 0)
    assert running.daemon.status().source_state == "running"


@posix
def test_micromanager_dies_within_a_call_and_is_started_again_later(running):
    with fault(running) as outcome:
        running.scope.emulator.stall()
        running.scope.close()

        def waits():
            status = running.daemon.status()
            return status if status.state == "waiting" and "start it" in status.detail else None

        wait_until(waits)
        running.scope.start()
    assert outcome.told("camera_process_lost", "was closed")
    assert outcome.told("frames_lost_in_outage", "not captured")
    assert outcome.losses() <= {"not_fetched"}, "all that this machine had the time to fetch is seen"
    assert outcome.after.frames.estimated_lost_in_outages > outcome.before.frames.estimated_lost_in_outages
    assert outcome.told("source_waits", "tick Tools > Options")
    assert (outcome.same_stream, outcome.restarts) == (False, 1)


def test_an_image_that_is_looked_at_again_leaves_none_unseen():
    """A daemon in doubt looks at an older one, and a test that waits for images left to it would find none."""
    camera = Camera()
    camera.start()
    camera.shoot(5)
    for distance in (0, 3):
        camera.tagged_image(distance)
    assert camera.unseen == 0
