"""The activation laser: what decides about it, and that it is never left on."""

import os
import signal
import subprocess
import threading

import numpy as np
import pytest
from bridge_emulator import BridgeEmulator
from daemon_process import DAEMON, Daemon, Results, as_toml, posix, processes, runs, simulated, wait_until

from daemon.feedback import laser_switch, loop
from daemon.feedback.density_control import Measurement, Response, decide
from daemon.feedback.laser_switch import LaserSwitch
from daemon.feedback.settings import MAX_FACTOR, FeedbackSettings, load_feedback
from daemon.protocol.messages import Status
from selfstorm.errors import InputError

LASER = {"device": "Laser405", "property": "Power", "minimum": 0.5, "maximum": 20.0, "safe": 0.0}
SETTINGS = FeedbackSettings(emitters_per_frame=40, **LASER)
AIM, WINDOW = SETTINGS.emitters_per_frame, 100  # frames


@pytest.mark.parametrize(
    ("found", "crowding", "value"),
    [
        (AIM * 1.05, 1.0, 4.0),  # within the band
        (AIM * 0.95, None, 4.0),
        (0.0, None, 4.0 * MAX_FACTOR),
        (AIM * 100, 1.0, 4.0 / MAX_FACTOR),
        (AIM * 0.5, 9.0, 4.0 / MAX_FACTOR),  # too crowded: a low count does not mean few emitters
    ],
)
def test_the_laser_follows_the_count(found, crowding, value):
    assert decide(SETTINGS, 4.0, Measurement(found, crowding)).value == value


@pytest.mark.parametrize(("found", "start", "limit"), [(1, 19.0, "maximum"), (1e4, 0.6, "minimum")])
def test_the_laser_stays_within_its_limits_and_says_so(found, start, limit):
    decision = decide(SETTINGS, start, Measurement(found))
    assert (decision.value, decision.limit) == (getattr(SETTINGS, limit), limit)


@pytest.mark.parametrize(("molecules", "windows", "offset"), [(60_000, 60, 0.07), (15_000, 16, 0.11)])
def test_the_density_holds_while_the_sample_bleaches(molecules, windows, offset):
    """A unit of the laser activates 1 of 10,000 molecules a frame; they shine for 3 frames, and half of them bleach."""
    rng, left, value, response, held = np.random.default_rng(5), float(molecules), SETTINGS.first(), None, []
    for _ in range(windows):
        activated = 1e-4 * value * left
        held.append(3 * activated)
        left -= 0.5 * activated * WINDOW
        measured = Measurement(rng.poisson(3 * activated * WINDOW) / WINDOW)
        decision = decide(SETTINGS, value, measured, response)
        value, response = decision.value, decision.response
    error = np.asarray(held[10:]) / AIM - 1
    assert left < molecules / 2
    assert np.abs(error).max() < 0.2
    assert abs(error.mean()) < offset  # a law without the slope lags behind the bleaching more


def test_another_sample_ends_the_trend():
    before = decide(SETTINGS, 4.0, Measurement(AIM)).response
    decision = decide(SETTINGS, 4.0, Measurement(AIM * 3), Response(before.level, slope=-0.2))
    assert decision.value == 4.0 / MAX_FACTOR
    assert decision.response.slope == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"maximum": 0.1}, "maximum must be above minimum"),
        ({"start": 40.0}, "start must lie between"),
        ({"safe": 30.0}, "safe must not be above minimum"),
        ({"laser": "serial:COM3"}, "laser: write 'micromanager:'"),
        ({"devise": "x"}, "did you mean 'device'"),
        ({"minimum": 0}, "minimum"),
    ],
)
def test_a_wrong_setting_is_explained(tmp_path, changes, words):
    path = tmp_path / "feedback.toml"
    path.write_text(as_toml({"emitters_per_frame": 40, **LASER, **changes}), encoding="utf-8")
    with pytest.raises(InputError, match=r"feedback\.toml") as told:
        load_feedback(path)
    assert words in str(told.value)


@pytest.fixture
def emulator():
    with BridgeEmulator() as emulator:
        emulator.camera.owned = True
        emulator.camera.properties["Laser405", "Power"] = "7"
        yield emulator


def power(emulator):
    return float(emulator.camera.properties["Laser405", "Power"])


def switch_of(emulator, **changes):
    chosen = {**LASER, "laser": f"micromanager:{emulator.port}", **changes}
    return LaserSwitch(FeedbackSettings(emitters_per_frame=40, **chosen))


def ordered(switch, emulator, value):
    def has_it():
        switch.order(value)
        return power(emulator) == value and switch.value == value

    wait_until(has_it)


def laser_process():
    return next(pid for pid, parent, what in processes() if parent == os.getpid() and "laser_process" in what)


def test_the_laser_is_safe_before_and_after_and_never_beyond_its_limits(emulator):
    switch = switch_of(emulator)
    assert power(emulator) == 0
    ordered(switch, emulator, 3.0)

    def at_its_maximum():  # which an order that nobody renews does not keep it at
        switch.order(500.0)
        return power(emulator) == LASER["maximum"]

    wait_until(at_its_maximum)
    switch.close()
    assert power(emulator) == 0


def test_an_order_that_nobody_renews_ends(emulator):
    switch = switch_of(emulator)
    ordered(switch, emulator, 3.0)
    wait_until(lambda: power(emulator) == 0)  # the loop stands still, but lives
    with pytest.raises(InputError, match="laser's process ended"):
        wait_until(lambda: switch.order(3.0))
    switch.close()


@posix
def test_a_laser_process_that_was_killed_is_replaced_to_make_it_safe(emulator):
    switch = switch_of(emulator)
    process = laser_process()
    ordered(switch, emulator, 3.0)
    os.kill(process, signal.SIGKILL)
    with pytest.raises(InputError, match="was killed"):
        wait_until(lambda: switch.order(3.0))
    assert power(emulator) == 3
    switch.close()
    assert power(emulator) == 0


@posix
def test_a_laser_process_that_cannot_be_replaced_leaves_the_laser_to_the_user(emulator):
    resource = pytest.importorskip("resource")
    switch, before = switch_of(emulator), resource.getrlimit(resource.RLIMIT_NOFILE)
    ordered(switch, emulator, 3.0)
    os.kill(laser_process(), signal.SIGKILL)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        with pytest.raises(InputError, match=r"laser may still be on.*Too many open files.*BY HAND"):
            switch.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_laser_that_cannot_be_set_is_an_error_before_anything_is_armed(emulator):
    with pytest.raises(InputError, match="Laser405-Poer cannot be set to 0"):
        switch_of(emulator, property="Poer")


class Feedback:
    """`selfstorm-daemon hold-density --arm`, in a process of its own."""

    def __init__(self, folder, emulator, address, **changes):
        path = folder / "feedback.toml"
        settings = {"emitters_per_frame": 4000, **LASER, "laser": f"micromanager:{emulator.port}", **changes}
        path.write_text(as_toml(settings), encoding="utf-8")
        self._out = (folder / "feedback.txt").open("w+")
        self.process = subprocess.Popen(
            [*DAEMON, "hold-density", str(path), "--arm", "--daemon", address],
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self._out.close()

    @property
    def out(self):
        self._out.seek(0)
        return self._out.read()


class OneState:
    """A daemon that is asked for its state until the loop has seen it twice."""

    def __init__(self, state):
        self._status, self.marks, self.looks, self.stop = (
            Status(run="r", version="1", state=state),
            [],
            0,
            threading.Event(),
        )

    def ask(self, verb, **arguments):
        if verb == "mark":
            self.marks.append(arguments["text"])
            return {}
        self.looks += 1
        if self.looks == 2:
            self.stop.set()
        return self._status.model_dump()


@pytest.mark.parametrize("state", ["starting", "waiting", "running"])
def test_a_daemon_that_makes_no_pictures_yet_is_waited_for(monkeypatch, state):
    monkeypatch.setattr(loop, "POLL_S", 0.0)
    daemon, settings = OneState(state), SETTINGS.model_copy(update={"viewer": False})
    loop.FeedbackLoop(settings, daemon, None, lambda _: None).run(daemon.stop)
    assert daemon.marks[-1] == "feedback ends: stopped"


@pytest.mark.parametrize("state", ["draining", "ended", "failed"])
def test_a_daemon_that_makes_no_more_pictures_ends_the_loop(state):
    daemon, settings = OneState(state), SETTINGS.model_copy(update={"viewer": False})
    with pytest.raises(InputError, match=state):
        loop.FeedbackLoop(settings, daemon, None, lambda _: None).run(daemon.stop)


@posix
def test_no_loss_leaves_the_laser_on(tmp_path, emulator):
    """The last viewer and the daemon: each is lost once; every change is a mark in the run."""
    settings = simulated(rate_hz=12)
    settings["reconstruction"]["estimate"] = "fused"
    # Lossless, because a machine that is in a hurry counts no emitters.
    with Daemon(tmp_path, settings, "--lossless") as daemon:
        daemon.started()
        with Results(daemon.results) as viewer, Feedback(tmp_path, emulator, daemon.address) as first:
            wait_until(lambda: power(emulator) > LASER["minimum"])
            wait_until(
                lambda: any(
                    "Laser405-Power = " in mark.text and "wanted" in mark.text for mark in viewer.events("mark")
                )
            )
            viewer.__exit__()
            assert first.process.wait(20) == 2
            assert "no viewer receives the pictures" in first.out
            assert power(emulator) == 0
        with Feedback(tmp_path, emulator, daemon.address, viewer=False) as second:
            wait_until(lambda: power(emulator) >= LASER["minimum"])
            daemon.send(signal.SIGKILL)
            wait_until(lambda: power(emulator) == 0)
            assert second.process.wait(20) == 2
            assert "no daemon answered" in second.out


@posix
def test_a_micromanager_that_stands_still_leaves_no_process_behind(emulator, monkeypatch):
    """The laser cannot be made safe then, and the user is told to do it."""
    monkeypatch.setattr(laser_switch, "STOP_S", 0.5)
    switch = switch_of(emulator)
    ordered(switch, emulator, 3.0)
    left = laser_process()
    emulator.stall()
    with pytest.raises(InputError, match=r"laser may still be on.*BY HAND"):
        switch.close()
    wait_until(lambda: not runs(left))
    emulator.go_on()
