"""Windows are cut by number, not by arrival, and the queue of them forgets nothing it has not counted."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from daemon_process import wait_until
from hypothesis import given
from hypothesis import strategies as st

from daemon.ingest.windows import LOSSLESS_DEPTH, SlidingWindows, WindowQueue
from selfstorm.frames import Frame, StreamInfo, Window, window_starts

INFO = StreamInfo(stream="0123456789abcdef", source="here", height=1, width=1, dtype="uint16")


def frame(seq):
    return Frame(INFO.stream, seq, seq, np.full((1, 1), seq, np.uint16), None, 0, 0)


def cut(frames, length, stride, lost=(), first_index=0):
    """The windows of a stream of `frames` frames of which some were lost."""
    windows = SlidingWindows(INFO, length, stride, first_seq=0, first_index=first_index)
    complete = [window for seq in range(frames) if seq not in lost for window in windows.push(frame(seq))]
    return [*complete, *windows.passed(frames)]


@given(
    frames=st.integers(0, 80),
    length=st.integers(1, 20),
    stride=st.integers(1, 30),
    lost=st.sets(st.integers(0, 79)),
)
def test_windows_start_where_they_do_offline_and_name_what_is_missing(frames, length, stride, lost):
    windows = cut(frames, length, stride, lost)
    assert [window.first_seq for window in windows] == list(window_starts(frames, length, stride))
    assert [window.index for window in windows] == list(range(len(windows)))
    for window in windows:
        expected = range(window.first_seq, window.first_seq + length)
        assert window.last_seq == expected[-1]
        assert [f.seq for f in window.frames] == [seq for seq in expected if seq not in lost]
        assert window.missing == tuple(seq for seq in expected if seq in lost)


@pytest.mark.parametrize(("length", "stride", "starts"), [(4, 4, [0, 4, 8]), (4, 1, range(9)), (3, 5, [0, 5])])
def test_stride_as_long_as_the_window_shorter_and_longer(length, stride, starts):
    windows = cut(12, length, stride)
    assert [window.first_seq for window in windows] == list(starts)
    assert [[int(frame.pixels[0, 0]) for frame in window.frames] for window in windows] == [
        list(range(s, s + length)) for s in starts
    ]


def test_a_window_is_complete_with_its_last_frame_and_not_before():
    windows = SlidingWindows(INFO, 4, 2, first_seq=0, first_index=0)
    assert [len(list(windows.push(frame(seq)))) for seq in range(8)] == [0, 0, 0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize("stride", [6, 50, 100_000])
@pytest.mark.parametrize("length", [4, 3, 5])
def test_after_a_longer_stride_windows_come_again_at_once(stride, length):
    windows = SlidingWindows(INFO, 4, stride, first_seq=0, first_index=0)
    assert [window.first_seq for seq in range(4) for window in windows.push(frame(seq))] == [0]
    windows.recut(length, 4, None)
    assert [window.first_seq for seq in range(4, 4 + length) for window in windows.push(frame(seq))] == [4]


def test_a_gap_of_many_windows_gives_all_of_them():
    lost = range(6, 1003)
    windows = cut(1005, 5, 5, lost)
    assert len(windows) == 201
    assert windows[1].missing == (6, 7, 8, 9)
    assert [len(window.frames) for window in windows[1:200:100]] == [1, 0]
    assert [f.seq for f in windows[200].frames] == [1003, 1004]


def test_a_stream_of_which_nothing_arrived_still_has_its_windows():
    windows = cut(10, 4, 3, lost=range(10))
    assert [(window.first_seq, window.frames, len(window.missing)) for window in windows] == [
        (0, (), 4),
        (3, (), 4),
        (6, (), 4),
    ]


def test_windows_are_numbered_on_from_the_stream_before():
    assert [window.index for window in cut(12, 4, 4, first_index=7)] == [7, 8, 9]


def window(index):
    return Window(index, INFO, 0, 0, (frame(0),))


def drained(queue):
    return [taken.index for taken in iter(lambda: queue.get(0), None)]


def test_live_the_newest_window_wins_and_the_others_are_counted():
    queue = caught_up()
    assert [queue.put(window(index)).windows for index in range(4)] == [0, 1, 1, 1]
    assert drained(queue) == [3]
    assert queue.put(window(4)).windows == 0


def sliding(first, stream="a"):
    info = INFO.model_copy(update={"stream": stream})
    frames = tuple(replace(frame(seq), stream=stream) for seq in range(first, first + 4))
    return Window(first, info, first, first + 3, frames)


def caught_up():
    """A queue whose first window is long done."""
    queue = WindowQueue(lossless=False)
    for first in (0, 4):
        queue.put(sliding(first, stream="before"))
        queue.get(0)
    return queue


def test_frames_of_skipped_windows_go_along_once_with_the_newest():
    queue = WindowQueue(lossless=False)
    queue.put(sliding(0))
    assert queue.get(0).before == ()
    for first in (2, 4, 6, 8):
        queue.put(sliding(first))
    assert [f.seq for f in queue.get(0).before] == [4, 5, 6, 7]


def test_what_is_more_than_the_model_remembers_is_counted(monkeypatch):
    monkeypatch.setattr("daemon.ingest.windows.MAX_EARLIER", 3)
    queue = WindowQueue(lossless=False)
    passed_over = [queue.put(sliding(first)).frames for first in range(0, 20, 2)]
    assert [f.seq for f in queue.get(0).before] == [15, 16, 17]
    assert sum(passed_over) == 15


def test_frames_of_another_stream_do_not_go_along():
    queue = caught_up()
    queue.put(sliding(0))
    assert queue.put(sliding(0, stream="b")) == (1, 0, 4)
    assert queue.get(0).before == ()


def test_what_is_skipped_while_it_is_paused_is_counted_apart():
    queue = caught_up()
    queue.put(sliding(0))
    assert (queue.put(sliding(2)).windows, queue.put(sliding(4)).paused) == (1, 0)
    queue.pause(True)
    assert queue.put(sliding(6)) == (1, 1, 0)


def test_while_the_first_window_is_learned_from_three_wait_for_it_in_order():
    queue = WindowQueue(lossless=False)
    queue.put(sliding(0))
    queue.get(0)
    assert sum(queue.put(sliding(first)).windows for first in (2, 4, 6)) == 0
    assert queue.get(0).first_seq == 2
    assert queue.put(sliding(8)).windows == 0
    assert [queue.get(0).first_seq for _ in range(3)] == [4, 6, 8]
    queue.put(sliding(10))
    assert queue.put(sliding(12)).windows == 1, "it has caught up: from now on the newest alone waits"


def test_who_is_too_slow_for_those_that_wait_goes_on_with_the_newest():
    queue = WindowQueue(lossless=False)
    queue.put(sliding(0))
    queue.get(0)
    assert [queue.put(sliding(first)).windows for first in (2, 4, 6, 8, 10)] == [0, 0, 0, 3, 1]
    newest = queue.get(0)
    assert (newest.first_seq, [f.seq for f in newest.before]) == (10, [4, 5, 6, 7, 8, 9])


def test_an_empty_queue_gives_nothing_in_time():
    assert WindowQueue(lossless=False).get(0.01) is None


@pytest.fixture
def producer():
    """A thread that puts 6 windows into a lossless queue, and how far it is."""
    queue, done = WindowQueue(lossless=True), []

    def produce():
        for index in range(6):
            done.append(queue.put(window(index)).windows)

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    yield queue, done, thread
    queue.hurry()
    thread.join()


def test_lossless_putting_waits_for_room_and_every_window_comes_in_order(producer):
    queue, done, thread = producer
    for taken in range(6):
        full = min(taken + LOSSLESS_DEPTH, 6)
        wait_until(lambda full=full: len(done) >= full)
        if not taken:
            thread.join(0.2)
            assert thread.is_alive()
        assert len(done) == full
        assert queue.get(0).index == taken
    assert (queue.get(0), done) == (None, [0] * 6)


def test_lossless_nobody_waits_for_room_once_hurried(producer):
    queue, done, thread = producer
    queue.hurry()
    thread.join(30)
    assert not thread.is_alive()
    assert (done, drained(queue)) == ([0] * 6, list(range(6)))


@pytest.mark.parametrize("lossless", [True, False])
def test_a_closed_queue_hands_out_what_waits_and_is_finished_then(lossless):
    queue = WindowQueue(lossless=lossless)
    queue.put(window(0))
    queue.close()
    assert not queue.finished
    assert queue.get(30).index == 0
    assert queue.finished
    assert queue.get(30) is None  # at once


def test_closing_wakes_who_waits():
    queue, got = WindowQueue(lossless=False), []
    waiting = threading.Thread(target=lambda: got.append(queue.get(60)), daemon=True)
    waiting.start()
    queue.close()
    waiting.join(30)
    assert got == [None]
