"""A user's mistake ends the daemon at once; a fault that may pass is waited out, with longer and longer pauses."""

import pytest
from daemon_process import DAEMON, command, free_ports, simulated, write_config

from daemon.health import Health
from daemon.sources import supervisor
from daemon.sources.section import SourceSection
from daemon.sources.supervisor import BACKOFF_S, MAX_RESTARTS, CameraSupervisor
from selfstorm.errors import InputError


class Ended:
    """A camera process that has ended so; the next one as well."""

    def __init__(self, exit_code, *said):
        self.exit_code, self._said = exit_code, [{"endpoint": "tcp://127.0.0.1:1"}, *said]
        self.pid, self.ending = 1, f"ended so: {exit_code}"

    def said(self, timeout_s=0.0):
        return self._said.pop(0) if self._said else None

    def stop(self, timeout_s=0.0):
        pass


@pytest.fixture
def supervise(monkeypatch):
    """supervise(uri, child): a supervisor whose processes are all such children, and its health; no time passes."""

    def begin(uri, child):
        now = [1000.0]
        monkeypatch.setattr(supervisor.time, "monotonic", lambda: now[0])
        monkeypatch.setattr(supervisor, "ChildProcess", lambda *_: child())
        health = Health(run="run")
        return CameraSupervisor(SourceSection(uri=uri), health, subscribers=0, lossless=False), health, now

    return begin


def test_a_mistake_of_the_users_ends_it_without_a_restart(supervise):
    camera, health, _ = supervise("micromanager:", lambda: Ended(2, {"error": "it is several cameras at once"}))
    with pytest.raises(InputError, match="several cameras at once"):
        camera.check(1000.0, 0, 0)
    assert health.events_since(0) == []


@pytest.mark.parametrize("uri", ["micromanager:", "mmcore:"])
def test_a_microscope_is_never_given_up_and_asked_less_and_less_often(supervise, uri):
    camera, health, now = supervise(uri, lambda: Ended(3, {"failed": "CameraError: no camera"}))
    for _ in range(600):
        camera.check(now[0], 0, 0)
        now[0] += 0.1
    events = [event.text for event in health.events_since(0) if event.code == "camera_process_lost"]
    waits = [float(text.rpartition("in ")[2].rstrip(" s")) for text in events]
    assert waits[: len(BACKOFF_S)] == list(BACKOFF_S)
    assert set(waits[len(BACKOFF_S) :]) == {BACKOFF_S[-1]}
    assert "CameraError: no camera" in events[0]
    assert health.status().source_restarts >= len(BACKOFF_S)


def test_notes_of_a_source_become_events_once(supervise):
    notes = [{"note": "m.tif: pages 4-5 left out"}, {"note": "frame 7 is left out"}]
    camera, health, now = supervise("replay:m.tif", lambda: Ended(-9, *notes))
    for _ in range(20):
        camera.check(now[0], 0, 0)
        now[0] += 0.1
    told = [(event.level, event.text) for event in health.events_since(0) if event.code == "source_note"]
    assert told == [("warning", note["note"]) for note in notes]
    assert health.status().source_restarts


def test_what_is_left_to_the_next_process_reaches_it_or_is_told_at_the_end(supervise, monkeypatch):
    owed, settled = ({"left": {"exposure_ms": 10.0}, "debt": "exposure 10 ms"}, {"left": {}, "debt": ""})
    children, given = [Ended(-9, owed), Ended(None, settled, owed)], []
    camera, health, now = supervise("micromanager:", lambda: children.pop(0))
    begun = supervisor.ChildProcess
    monkeypatch.setattr(supervisor, "ChildProcess", lambda module, arguments: given.append(arguments) or begun())
    for _ in range(4):
        camera.check(now[0], 7, 70)
        now[0] += 0.2
    lost, restarted = health.events_since(0)
    assert "before exposure 10 ms was put back; it is restarted" in lost.text
    assert restarted.code == "camera_process_restarted"
    [arguments] = given
    handed = {name: arguments[arguments.index(name) + 1] for name in ("--resume-at", "--sent", "--left")}
    assert handed == {"--resume-at": "7", "--sent": "70", "--left": '{"exposure_ms": 10.0}'}
    camera.stop()
    [*_, last] = health.events_since(0)
    assert (last.code, last.text.endswith("put it back: exposure 10 ms")) == ("settings_left", True)


def test_a_process_that_says_why_before_it_ends_is_heard(supervise):
    child = Ended(None, {"error": "it is several cameras at once"})
    camera, _, _ = supervise("micromanager:", lambda: child)
    camera.check(1000.0, 0, 0)
    child.exit_code = 2
    with pytest.raises(InputError, match="several cameras at once"):
        camera.check(1000.0, 0, 0)


def test_a_recording_that_cannot_be_played_is_given_up(supervise):
    camera, health, now = supervise("simulate:", lambda: Ended(-9))

    def until_given_up():
        while True:
            camera.check(now[0], 0, 0)
            now[0] += 0.1

    with pytest.raises(InputError, match="for the 7th time in two minutes"):
        until_given_up()
    assert health.status().source_restarts == MAX_RESTARTS


def test_what_cannot_begin_again_is_tried_again(supervise):
    children = [Ended(3), *(Ended(3) for _ in range(3))]
    for child in children[1:3]:
        child._said = [{"error": "Micro-Manager says: no such device"}]
    children.append(Ended(None))
    camera, health, now = supervise("mmcore:", lambda: children.pop(0))
    for _ in range(120):
        camera.check(now[0], 0, 0)
        now[0] += 0.1
    texts = [event.text for event in health.events_since(0)]
    assert any("could not begin again: Micro-Manager says: no such device" in text for text in texts)
    assert not camera.away
    assert health.status().source_restarts == 4


def test_a_mistake_found_while_running_ends_the_daemon_with_what_to_do(tmp_path):
    ports = {name: f"tcp://127.0.0.1:{port}" for name, port in zip(("results", "control"), free_ports(2), strict=True)}
    mmcore = {"properties": {"Camera-PixelType": "32bitRGB"}}
    settings = simulated(server=ports) | {"source": {"uri": "mmcore:", "mmcore": mmcore}}
    outcome = command([*DAEMON, "run", write_config(tmp_path / "daemon.toml", settings)])
    assert outcome.returncode == 2
    assert "gives colour pixels; set its PixelType to 8bit or 16bit" in outcome.stderr
    assert "restarted" not in outcome.stderr
