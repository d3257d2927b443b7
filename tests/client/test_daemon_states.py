"""Daemon, camera, losses and run in the trust strip. Pure."""

import pytest
from client_stream import STREAM
from trust_states import ENDPOINT, WELL, lamp, said, seen, verdict, with_picture

from client.state import ViewerState, reduce_unreadable
from client.trust.freshness import stale_reason
from client.trust.sentences import empty_text
from daemon.protocol.findings import RECENT_S
from daemon.protocol.messages import FrameCounts, WindowCounts
from selfstorm.frames import StreamInfo

PAUSED = WindowCounts(complete=9, published=1, skipped=8, skipped_while_paused=8)


@pytest.mark.parametrize(
    ("state", "level", "word"),
    [
        ("running", "good", "Connected"),
        ("waiting", "warning", "press Live"),
        ("ended", "warning", "has ended"),
        ("failed", "bad", "no camera"),
        ("draining", "good", "finishing"),
    ],
)
def test_the_daemons_state(state, level, word):
    detail = "no camera" if state == "failed" else ""
    one = lamp(seen(said(state=state, detail=detail)), "Daemon")
    assert (one.value, one.level) == (state, level)
    assert word in one.why


def test_silence_is_bad_and_the_rest_is_then_unknown():
    state = with_picture(seen(said()))
    assert lamp(state, "Daemon", 9.0).level == "bad"
    assert "9 s" in lamp(state, "Daemon", 9.0).why
    assert lamp(state, "Missing", 9.0).level == "none"


def test_a_daemon_of_another_protocol_is_bad_and_says_which():
    state = reduce_unreadable(ViewerState(ENDPOINT), "protocol 2.0, this side speaks 1.1: update the older side")
    assert lamp(state, "Daemon").level == "bad"
    assert "update the older side" in lamp(state, "Daemon").why


def test_a_camera_that_gives_nothing_is_bad_and_a_slow_one_a_warning():
    info = StreamInfo(stream=STREAM, source="camera", height=8, width=8, dtype="uint16", rate_hz=100.0)
    assert lamp(seen(said(rate_hz=0.0)), "Camera").level == "bad"
    assert lamp(seen(info, said(rate_hz=50.0)), "Camera").level == "warning"
    assert lamp(seen(info, said(rate_hz=97.0)), "Camera").level == "good"


def test_a_window_with_missing_frames_or_an_old_one_is_a_warning():
    assert lamp(with_picture(seen(said()), frames=97, missing=3), "Window").level == "warning"
    state = with_picture(seen(said()))
    assert "OLD" in lamp(seen(said(), now=30.0, state=state), "Window", 30.0).why


def test_a_window_that_failed_is_bad_while_it_is_news():
    state = with_picture(seen(said(), said(windows=WindowCounts(complete=91, published=90, failed=1)), now=5.0))
    assert lamp(state, "Window", 5.0).level == "bad"
    later = seen(state.status, now=6.0 + RECENT_S, state=state)
    assert lamp(later, "Window", 6.0 + RECENT_S).level != "bad"


@pytest.mark.parametrize(("name", "count"), [("Missing", "missing"), ("Rejected", "rejected")])
def test_a_lost_frame_is_a_warning_for_a_minute_and_many_are_bad(name, count):
    def counts(lost):
        rest = {"sent": 9_000, "received": 9_000 - (lost if count == "missing" else 0)}
        return FrameCounts(**rest, **{count: lost})

    state = seen(said(), said(frames=counts(1)), now=10.0)
    assert lamp(state, name, 10.0).level == "warning"
    calm = seen(state.status, now=11.0 + RECENT_S, state=state)
    assert (lamp(calm, name, 11.0 + RECENT_S).level, lamp(calm, name, 11.0 + RECENT_S).value) == ("good", "1")
    assert lamp(seen(said(frames=counts(200))), name).level == "bad"


def test_missing_frames_name_where_they_were_lost():
    frames = FrameCounts(sent=1_000, received=990, missing=10, used=990, lost_at_source=7, estimated_lost_in_outages=40)
    why = lamp(seen(said(frames=frames)), "Missing").why
    for part in ("10 in transit", "7 in the camera or its buffer", "40 while the camera process was away"):
        assert part in why
    replayed = lamp(seen(said(frames=frames, source="replay:cell.tif")), "Missing").why
    assert "7 missing in the recording" in replayed


@pytest.mark.parametrize(("skipped", "level"), [(0, "good"), (5, "good"), (20, "warning"), (60, "bad")])
def test_skipped_windows_count_by_their_share(skipped, level):
    windows = WindowCounts(complete=100, published=100 - skipped, skipped=skipped)
    assert lamp(seen(said(windows=windows)), "Skipped").level == level


@pytest.mark.parametrize(
    ("model", "level"),
    [("warm", "good"), ("cold", "warning"), ("scene changed", "warning"), ("rolled back", "warning"), ("", "none")],
)
def test_the_models_state_comes_from_the_status_or_the_picture(model, level):
    assert lamp(seen(said(model_state=model)), "Model").level == level
    assert lamp(with_picture(seen(said()), state=model), "Model").level == level


def test_before_the_first_picture_nobody_says_that_it_is_well():
    assert "no picture yet" in verdict(seen(said()))[1]


def test_a_daemon_that_was_paused_is_no_slow_one():
    state = with_picture(seen(said()))
    paused = seen(said(paused=True, windows=PAUSED), now=30.0, state=state)
    assert stale_reason(paused, 30.0) == "PAUSED: this picture is 30 s old"
    assert (lamp(paused, "Daemon", 30.0).value, lamp(paused, "Daemon", 30.0).level) == ("paused", "warning")
    assert "Daemon > Resume" in lamp(paused, "Daemon", 30.0).hint
    skipped = lamp(paused, "Skipped", 30.0)
    assert (skipped.value, skipped.level) == ("8", "good")
    assert "8 more while paused" in skipped.why
    assert lamp(seen(said(windows=PAUSED), now=40.0, state=paused), "Skipped", 40.0).level == "good"
    assert lamp(paused, "Window", 30.0).level == "good"


def test_the_second_picture_of_a_late_joiner_tells_how_often_they_come():
    state = with_picture(seen(said(sent_unix_ns=0)), published_unix_ns=0)
    state = with_picture(state, now=0.5, window=1, published_unix_ns=10_000_000_000)
    assert state.interval_s == 10.0
    assert stale_reason(seen(said(sent_unix_ns=0), now=20.0, state=state), 20.0) == ""


def test_an_ended_run_is_ended_and_not_disconnected():
    state = with_picture(seen(said(state="ended", model_state="warm")), metrics=WELL)
    one = lamp(state, "Daemon", 60.0)
    assert (one.value, one.level) == ("ended", "warning")
    assert lamp(state, "Missing", 60.0).value == "0"
    assert stale_reason(state, 60.0) == "NOT LIVE: the run has ended, this is its last picture"


def test_the_demo_that_starts_is_not_a_daemon_that_is_missing():
    state = ViewerState(ENDPOINT, demo=True)
    assert empty_text(state, 0.0) == "The demo is starting.\n\nThe first picture comes within a minute."
    assert lamp(state, "Daemon").value == "starting"
