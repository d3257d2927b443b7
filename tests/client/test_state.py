from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from client_stream import STREAM, event, header, pixels, status

from client.presenter import Presenter, reduce_batch
from client.state import MAX_EVENTS, ViewerState, reduce_connection_refused, reduce_message, reduce_unreadable
from client.subscriber import Arrival, ArrivalBatch, Inbox
from client.trust.freshness import picture_age_s, seconds, silence_s, stale_reason
from client.trust.sentences import empty_text, event_line, picture_lines, unreadable_line
from daemon.protocol.codec import Received
from daemon.protocol.messages import Heartbeat
from selfstorm.frames import StreamInfo

ENDPOINT = "tcp://127.0.0.1:5711"
EMPTY = ViewerState(ENDPOINT)


def picture(kind, window, **other):
    one = header(kind, window, **other)
    return Received(kind, one, pixels(one.shape))


def after(*received, state=EMPTY, now=0.0):
    for one in received:
        state = reduce_message(state, one, now)
    return state


def pair(window, **other):
    return picture("sr.refined", window, **other), picture("raw.mean", window, **other)


def said(**other):
    return Received("status", status(**other))


def test_half_a_window_shows_nothing():
    assert after(picture("sr.refined", 0)).shown is None
    assert after(picture("raw.mean", 0)).shown is None


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_halves_of_a_window_are_a_pair_in_either_order(order):
    halves = pair(3)
    state = after(*(halves[i] for i in order))
    assert state.shown.sr.header.window == state.shown.raw.header.window == 3
    assert state.windows == 1


def test_halves_of_different_windows_or_runs_are_never_paired():
    assert after(picture("sr.refined", 1), picture("raw.mean", 2)).shown is None
    assert after(picture("sr.refined", 1, run="a"), picture("raw.mean", 1, run="b")).shown is None


def test_the_last_pair_stays_until_the_next_is_complete():
    state = after(*pair(0), picture("sr.refined", 1))
    assert state.shown.sr.header.window == 0
    assert after(picture("raw.mean", 1), state=state).shown.sr.header.window == 1


def test_a_result_sent_again_for_another_viewer_is_not_new():
    state = after(*pair(4), now=1.0)
    again = after(*pair(4), *pair(3), state=state, now=50.0)
    assert again.shown is state.shown
    assert again.windows == 1


def preview(window, **other):
    return picture("sr.preview", window, **other), picture("raw.mean", window, **other)


def test_a_preview_is_shown_at_once_and_its_refined_picture_takes_its_place():
    state = after(*preview(3), now=1.0)
    assert (state.shown.sr.header.window, state.shown.sr.preview, state.windows) == (3, True, 1)
    refined = after(picture("sr.refined", 3), state=state, now=2.0)
    assert (refined.shown.sr.preview, refined.windows, refined.shown.raw) == (False, 1, state.shown.raw)


@pytest.mark.parametrize("later", [3, 4])
def test_a_preview_never_replaces_a_refined_picture_of_its_window_or_a_later_one(later):
    state = after(*pair(later))
    assert after(*preview(3), state=state).shown is state.shown


def test_a_preview_behind_its_refined_picture_does_not_take_its_raw_mean():
    state = after(picture("sr.refined", 3), *preview(3))
    assert not state.shown.sr.preview


def test_a_refined_picture_behind_the_next_preview_mends_its_own_window_only():
    state = after(*preview(3), *preview(4), picture("sr.refined", 3))
    assert [(one.window[1], one.sr.preview) for one in state.history.pairs] == [(3, False), (4, True)]
    assert state.shown.sr.header.window == 4


def test_a_window_counts_once_in_interval_and_number():
    state = after(*preview(0), now=0.0)
    state = after(picture("sr.refined", 0), state=state, now=2.0)
    state = after(*preview(1), state=state, now=3.0)
    assert (state.windows, state.interval_s) == (2, 3.0)


def test_pictures_that_do_not_cover_the_same_field_are_refused_and_said():
    state = after(picture("sr.refined", 0, side=9), picture("raw.mean", 0, side=8))
    assert state.shown is None
    assert "does not match" in state.unreadable_text


def test_a_new_run_keeps_the_picture_and_marks_it():
    state = after(*pair(7), said(), now=0.0)
    state = after(said(run="second"), state=state, now=1.0)
    assert state.shown.sr.header.run == "first-run"
    assert stale_reason(state, 1.0).startswith("PREVIOUS RUN")
    state = after(*pair(0, run="second"), state=state, now=1.1)
    assert (state.shown.sr.header.run, stale_reason(state, 1.1)) == ("second", "")


def test_silence_makes_the_picture_stale_and_is_said():
    state = after(said(), *pair(0), now=10.0)
    assert stale_reason(state, 11.9) == ""
    assert stale_reason(state, 17.0) == "STALE: daemon silent for 7 s"


def test_a_refused_viewer_is_not_called_a_silent_daemon():
    state = reduce_connection_refused(after(said(), *pair(0), now=10.0), "the key was revoked")
    assert stale_reason(state, 17.0) == "NOT LIVE: the daemon refuses this viewer"


def test_a_viewer_that_stood_still_calls_no_daemon_silent(qtbot):
    now, silences = [10.0], []
    before = ArrivalBatch((Arrival(said(), 10.05),), Counter())  # it came just before, and is taken in afterwards
    batches = iter([ArrivalBatch((), Counter()), before])
    source = SimpleNamespace(drain=lambda: next(batches, ArrivalBatch((), Counter())))
    view = SimpleNamespace(show_state=lambda state, now: silences.append(silence_s(state, now)))
    presenter = Presenter(source, view, after(said(), now=10.0), lambda: now[0])
    for step_s in (0.1, 30.0, *[0.1] * 20):
        now[0] += step_s
        presenter.tick()
    assert set(silences) == {0.0}
    for _ in range(20):
        now[0] += 0.1
        presenter.tick()
    assert silences[-1] == pytest.approx(4.55), "nothing came while it was listened to"


def test_pictures_alone_are_no_heartbeat():
    state = after(*pair(0), now=0.0)
    state = after(*pair(1), state=state, now=4.0)
    assert silence_s(state, 4.0) == pytest.approx(4.0)


def test_a_living_daemon_without_new_pictures_makes_the_picture_old():
    state = after(said(), *pair(0), now=0.0)
    state = after(said(), state=state, now=20.0)
    assert stale_reason(state, 20.0) == "OLD: no new picture for 20 s"


def test_slow_windows_are_not_old_before_three_of_them():
    state = after(said(), *pair(0), now=0.0)
    state = after(said(), *pair(1), state=state, now=30.0)
    assert stale_reason(after(said(), state=state, now=70.0), 70.0) == ""
    assert stale_reason(after(said(), state=state, now=130.0), 130.0).startswith("OLD")


def test_the_first_window_is_not_old_before_its_frames_took_three_times_as_long():
    state = after(said(rate_hz=5.0), *pair(0), now=0.0)
    assert stale_reason(after(said(rate_hz=5.0), state=state, now=50.0), 50.0) == ""
    assert stale_reason(after(said(rate_hz=5.0), state=state, now=70.0), 70.0).startswith("OLD")
    assert stale_reason(after(said(rate_hz=0.0), state=state, now=10.0), 10.0).startswith("OLD")


def test_a_late_joiner_learns_the_age_of_the_last_picture_from_the_daemons_own_clock():
    hour_ns = 3_600 * 10**9
    state = after(*pair(0, published_unix_ns=hour_ns), said(sent_unix_ns=2 * hour_ns), now=5.0)
    assert picture_age_s(state, 6.0) == pytest.approx(3_601)
    assert stale_reason(state, 6.0) == "OLD: no new picture for 60 min"


@pytest.mark.parametrize("end", ["ended", "failed"])
def test_the_last_picture_of_a_run_is_not_live(end):
    assert end in stale_reason(after(*pair(0), said(state=end)), 0.0)


def test_events_are_bounded_and_not_repeated():
    messages = [Received("event", event(number)) for number in range(MAX_EVENTS + 10)]
    state = after(*messages, messages[-1])
    assert [kept.number for kept in state.events] == list(range(10, MAX_EVENTS + 10))
    assert event_line(state.events[-1]).endswith("WARNING  3 frames never arrived  [frames.missing]")


def test_unreadable_messages_are_counted_and_said():
    state = reduce_unreadable(reduce_unreadable(EMPTY, "a"), "protocol 2.0, this side speaks 1.0", count=2)
    assert unreadable_line(EMPTY) == ""
    assert "3 messages could not be read: protocol 2.0" in unreadable_line(state)


def test_a_frame_streams_address_is_recognised():
    beat = Heartbeat(stream=STREAM, next_seq=0, state="running")
    assert "frame stream" in after(Received("heartbeat", beat)).unreadable_text


def test_an_empty_window_explains_itself():
    assert f"Waiting for a daemon at {ENDPOINT}" in empty_text(EMPTY, 0.0)
    assert "selfstorm-daemon run" in empty_text(EMPTY, 0.0)
    assert "498 frames so far" in empty_text(after(said()), 0.0)
    assert "does not respond" in empty_text(after(said()), 9.0)


def test_a_picture_describes_itself():
    one = header(
        missing=40,
        missing_seqs=tuple(range(20)),
        model="cold",
        optics="Airy",
        camera="gain 2",
        metrics={"misfit": 1.25},
    )
    assert "resolution" not in "\n".join(picture_lines(one))
    one = one.model_copy(update={"metrics": {"misfit": 1.25, "resolution_nm": 47.2, "agreement": 0.9876}})
    text = "\n".join(picture_lines(one))
    for part in (
        "100 used",
        "40 missing (0, 1,",
        "…",
        "model cold",
        "optics: Airy",
        "camera: gain 2",
        "misfit 125.0 %, resolution 47 nm, agreement 0.988",
    ):
        assert part in text


def test_durations_are_readable():
    assert [seconds(value) for value in (3.4, 119, 300, 7_300)] == ["3 s", "119 s", "5 min", "2 h"]


def test_info_of_a_new_stream_may_come_before_its_run():
    info = StreamInfo(stream=STREAM, source="camera", height=8, width=8, dtype="uint16")
    assert after(Received("info", info), said(run="second")).info is info


def test_the_inbox_keeps_the_newest_pair_all_events_and_counts_the_rest():
    inbox = Inbox()
    for window in range(10):
        for one in (*pair(window), Received("event", event(window)), said()):
            inbox.put(Arrival(one, float(window)))
        inbox.put(Arrival("not msgpack", float(window)))
    inbox.put(Arrival(picture("sr.refined", 10), 10.0))
    state = reduce_batch(EMPTY, inbox.drain())
    assert state.shown.sr.header.window == 9
    assert np.array_equal(state.shown.raw.pixels, pixels((8, 8)))
    assert (len(state.events), state.unreadable) == (10, 10)
    assert state.skipped == 9
    assert inbox.drain().arrivals == ()
