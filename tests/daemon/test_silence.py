"""A silence is one of whom is listened to: a machine that stands still makes none."""

import ctypes
import threading
from itertools import count
from types import SimpleNamespace

import pytest
from daemon_process import posix

from daemon import silence
from daemon.health import Health
from daemon.silence import MAX_STEP_S, Silence
from daemon.sources.liveness import BEAT_S, STILL_S, Liveness
from daemon.sources.remote import SILENCE_S, ExternalSource
from daemon.sources.section import SourceSection


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(s=100.0)
    monkeypatch.setattr(silence, "time", SimpleNamespace(monotonic=lambda: now.s))
    return now


def asked(quiet, clock, heard_s, seconds, step_s=0.1):
    """Ask regularly for so long; return the last answer."""
    for _ in range(round(seconds / step_s)):
        clock.s += step_s
        lasts_s = quiet.lasts_s(heard_s)
    return lasts_s


def test_a_silence_lasts_since_something_was_heard(clock):
    quiet = Silence()
    assert asked(quiet, clock, 100.0, 4.0) == pytest.approx(4.0)
    assert asked(quiet, clock, 104.0, 2.0) == pytest.approx(2.0)


@pytest.mark.parametrize("heard_s", [99.0, 101.0, 101.05])
def test_time_that_this_process_did_not_have_is_none_of_it(clock, heard_s):
    """The last word came before the question before, with it, or since."""
    quiet = Silence()
    before_s = asked(quiet, clock, min(heard_s, 101.0), 1.0)
    clock.s += 30.0
    assert quiet.lasts_s(heard_s) <= before_s + MAX_STEP_S
    assert asked(quiet, clock, heard_s, 2.0) <= before_s + MAX_STEP_S + 2.0
    assert asked(quiet, clock, heard_s, 2.0) >= 4.0


def test_a_publisher_is_not_called_silent_by_a_daemon_that_stood_still(clock):
    health = Health(run="run")
    source, heard_s = ExternalSource(SourceSection(uri="zmq:127.0.0.1:5710"), health), 100.0
    source.check(99.0, 0, 0)
    for wait_s in (0.1, SILENCE_S + 10.0, 0.1):
        clock.s += wait_s
        source.check(heard_s, 0, 0)
    assert not source.away
    asked(SimpleNamespace(lasts_s=lambda heard_s: source.check(heard_s, 0, 0)), clock, heard_s, SILENCE_S)
    assert source.away, "nothing came while it was listened to"


@posix
def test_a_camera_is_not_said_to_stand_still_where_its_process_did():
    said = []

    class Source:
        def events(self):
            for _ in count():
                yield None
                ctypes.PyDLL(None).usleep(int(2e6 * STILL_S))  # unlike ctypes.CDLL it keeps the interpreter to itself
                threading.Event().wait(2 * BEAT_S)

    publisher = SimpleNamespace(stand_still=lambda still_s, _: said.append(still_s))
    with Liveness(publisher, Source()) as liveness:
        events = liveness.events()
        for _ in range(2):
            next(events)
    assert said
    assert not any(said)
