"""The last windows and where the user is among them: pure."""

import numpy as np
import pytest
from client_stream import header, pixels, status

from client.picture.pictures import Picture, PicturePair
from client.timeline.history import History
from client.timeline.playhead import (
    PLAY_HZ,
    Playhead,
    advance,
    displayed_pair,
    follow,
    mark,
    pause,
    play,
    position,
    seek,
    set_loop,
    step,
    to_mark,
)
from client.trust.trends import MAX_SAMPLES, Trend
from daemon.protocol.losses import LossTimes, note_losses
from daemon.protocol.messages import FrameCounts

TICK_S = 1 / PLAY_HZ


def pair(window, preview=False, at_s=0.0, **other):
    sr, raw = header("sr.refined", window, **other), header("raw.mean", window, **other)
    return PicturePair(Picture(sr, pixels(sr.shape), at_s, preview), Picture(raw, pixels(raw.shape), at_s))


ONE = pair(0).memory_bytes


def history_of(windows, limit_bytes=2**30):
    history = History(limit_bytes)
    for window in range(windows):
        history = history.add(pair(window))
    return history


def windows(history):
    return [one.window[1] for one in history.pairs]


def test_memory_is_bounded_in_bytes_and_the_oldest_give_way():
    history = history_of(1000, limit_bytes=10 * ONE)
    assert windows(history) == list(range(990, 1000))
    assert (history.first, history.count, history.used_bytes) == (990, 1000, 10 * ONE)
    larger = history.add(pair(1000, side=16))
    assert larger.used_bytes <= 10 * ONE
    assert windows(larger)[-1] == 1000


def test_one_pair_larger_than_the_memory_is_still_shown():
    assert windows(history_of(3, limit_bytes=1)) == [2]


def test_a_refined_picture_takes_the_place_of_its_preview():
    history = history_of(3)
    refined = pair(1)
    refined_history = history.put(1, refined)
    assert refined_history.get(1) is refined
    assert (refined_history.used_bytes, refined_history.count, refined_history.number_of(refined.window)) == (
        history.used_bytes,
        3,
        1,
    )


def test_following_shows_what_comes_and_holding_does_not_move():
    history = history_of(5)
    assert displayed_pair(Playhead(), history).window[1] == 4
    held = step(Playhead(), history, -1)
    later = history.add(pair(5))
    assert displayed_pair(held, later).window[1] == 3
    assert displayed_pair(follow(held), later).window[1] == 5


def test_what_is_held_stays_though_the_history_has_forgotten_it():
    history = history_of(4, limit_bytes=4 * ONE)
    held = seek(Playhead(), history, 0)
    for window in range(4, 20):
        history = history.add(pair(window))
    assert history.get(0) is None
    assert displayed_pair(held, history).window[1] == 0
    assert position(step(held, history, 1), history) == history.first


def test_a_held_preview_becomes_its_refined_picture():
    history = History().add(pair(0, preview=True)).add(pair(1))
    held = seek(Playhead(), history, 0)
    assert not displayed_pair(held, history.put(0, pair(0))).sr.preview


@pytest.mark.parametrize(("asked", "found"), [(-7, 0), (2, 2), (99, 4)])
def test_seeking_stays_within_what_is_kept(asked, found):
    history = history_of(5)
    assert position(seek(Playhead(), history, asked), history) == found


def test_without_windows_nothing_can_be_held():
    for head in (step(Playhead(), History(), 1), play(Playhead(), History(), 0.0), mark(Playhead(), History())):
        assert head == Playhead()


def test_playing_goes_window_by_window_and_ends_live():
    history, now = history_of(3), 0.0
    head = play(Playhead(), history, now)
    seen = [position(head, history)]
    assert advance(head, history, now) is head
    while head.playing:
        now += TICK_S
        head = advance(head, history, now)
        seen.append(position(head, history))
    assert seen == [0, 1, 2, 2]
    assert head.at is None


def test_a_loop_starts_again_and_pausing_holds():
    history, now = history_of(3), 0.0
    head, seen = set_loop(play(Playhead(), history, now), True), []
    for _ in range(5):
        now += TICK_S
        head = advance(head, history, now)
        seen.append(position(head, history))
    assert seen == [1, 2, 0, 1, 2]
    held = pause(head, history)
    assert (held.playing, position(advance(held, history, now + 9), history)) == (False, 2)


def test_moments_are_marked_found_and_unmarked():
    history = history_of(6)
    head = Playhead()
    for number in (4, 1):
        head = mark(seek(head, history, number), history)
    assert [one.number for one in head.marks] == [1, 4]
    head = seek(head, history, 2)
    assert position(to_mark(head, history, +1), history) == 4
    assert position(to_mark(head, history, -1), history) == 1
    assert to_mark(seek(head, history, 5), history, +1).at == 5
    assert mark(seek(head, history, 4), history).marks == (head.marks[0],)


def test_a_trend_has_one_sample_a_window_and_is_bounded():
    trend = Trend()
    for number in range(MAX_SAMPLES + 3):
        trend = trend.with_window(number, pair(number, preview=True, metrics={"latency_ms": 10.0, "misfit": 0.2}))
    assert (trend.samples[-1].metrics, trend.keys) == ({}, set()), "a preview's misfit is not the picture's"
    trend = trend.with_window(MAX_SAMPLES + 2, pair(MAX_SAMPLES + 2, metrics={"latency_ms": 90.0, "misfit": 0.02}))
    assert len(trend.samples) == MAX_SAMPLES
    last, before = trend.samples[-1], trend.samples[-2]
    assert (last.preview_ms, last.metrics) == (10.0, {"latency_ms": 90.0, "misfit": 0.02})
    assert before.refined is None
    assert trend.keys == {"latency_ms", "misfit"}


def test_a_loss_is_news_when_its_count_rises():
    before = status()
    worse = status(frames=FrameCounts(sent=503, received=500, missing=4, used=498, rejected=2))
    assert note_losses(LossTimes(skipped_s=1.0), None, before, 5.0) == LossTimes()
    assert note_losses(LossTimes(), before, before, 5.0) == LossTimes()
    assert note_losses(LossTimes(), before, worse, 5.0) == LossTimes(missing_s=5.0)


def test_pixels_in_the_history_are_the_ones_received():
    one = pair(0)
    assert np.shares_memory(History().add(one).get(0).sr.pixels, one.sr.pixels)
