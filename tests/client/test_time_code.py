"""Colour-coded time: which windows, what colours, and their display."""

import numpy as np
import pytest
from client_stream import header, pixels
from PySide6 import QtCore

from client.picture.pictures import Picture, PicturePair
from client.picture.rasterise import Crop, crop_for
from client.picture.time_code import blended, brightness, last_windows, span_text, time_colours, time_tables
from client.picture.time_overlay import MAX_BLENDED, block_px
from client.timeline.history import History


def pair(window, **other):
    one = header("sr.refined", window, **other)
    return PicturePair(Picture(one, pixels(one.shape), 0.0), None)


def history_of(*pairs):
    history = History()
    for one in pairs:
        history = history.add(one)
    return history


def numbers(pairs):
    return [one.window[1] for one in pairs]


def test_the_last_windows_end_with_the_one_shown():
    history = history_of(*(pair(window) for window in range(8)))
    assert numbers(last_windows(history, 7, history.get(7), 3)) == [5, 6, 7]
    assert numbers(last_windows(history, 4, history.get(4), 3)) == [2, 3, 4]
    assert numbers(last_windows(history, 1, history.get(1), 10)) == [0, 1]


@pytest.mark.parametrize("other", [{"run": "earlier"}, {"side": 9}, {"pixel_nm": 65.0}, {"region": (0, 0, 8, 8)}])
def test_windows_of_another_run_or_field_are_left_out(other):
    history = history_of(pair(0), pair(1, **other), pair(2), pair(3))
    assert numbers(last_windows(history, 3, history.get(3), 10)) == [2, 3]


def test_a_window_that_is_kept_no_longer_stands_alone():
    held = pair(0)
    assert last_windows(History(first=50).add(pair(60)), 0, held, 10) == (held,)


def channels(colours):
    return np.stack([colours >> shift & 255 for shift in (16, 8, 0)], axis=-1)


def test_what_moves_has_the_colour_of_its_moment_and_what_stays_is_white():
    count = 9
    windows = [np.zeros((1, count + 1), np.float32) for _ in range(count)]
    for place, one in enumerate(windows):
        one[0, place] = one[0, count] = 1.0
    drawn = channels(blended([brightness(one, (0.0, 1.0)) for one in windows], time_tables(count, 1.0)))[0]
    assert np.array_equal(drawn[:count], channels(time_colours(count)))
    assert drawn[count].min() > 160
    oldest, newest = drawn[0].astype(int), drawn[count - 1].astype(int)
    assert oldest[2] > oldest[0] + 100
    assert newest[0] > newest[2] + 100


def test_dim_is_dark_and_gamma_brightens_it():
    dim = brightness(np.full((1, 1), 0.25, np.float32), (0.0, 1.0))
    plain, bright = (channels(blended([dim], time_tables(1, gamma))) for gamma in (1.0, 0.5))
    assert 0 < plain.max() < bright.max() < 255


def test_blocks_are_no_smaller_than_asked():
    assert crop_for((1024, 1024), (0, 1024), (0, 1024), 0.62, 1.0) == Crop(0, 1024, 0, 1024, 2)
    assert crop_for((1024, 1024), (0, 1024), (0, 1024), 0.5, 1.0).side == 2
    assert crop_for((1024, 1024), (0, 1024), (0, 1024), 3.0, 1.0).side == 1


def test_the_span_is_told_in_time_or_windows():
    old, new = pair(3, published_unix_ns=10**9), pair(7, published_unix_ns=41 * 10**9)
    assert span_text((old, new)) == "−40 s"
    assert span_text((pair(3, published_unix_ns=0), pair(7, published_unix_ns=0))) == "−4 windows"


def colour(showing, x, y):
    plot = showing.window.sr.plot
    at = plot.mapFromScene(showing.window.sr.view.mapViewToScene(QtCore.QPointF(x, y)))
    return plot.grab().toImage().pixelColor(at).getRgb()[:3]


@pytest.fixture
def moved(showing, publisher):
    """Make windows 0 to 3, each ten times as bright as the one before.

    They are otherwise the same.
    """
    for window in range(1, 4):
        publisher.send_window(window, level=10**window)
        showing.until(lambda window=window: showing.shows(window))
    return showing


def test_time_is_colour_coded_live_and_scrubbed_back(moved, publisher):
    window, overlay = moved.window, moved.window.sr.time_overlay
    moved.do("time")
    assert numbers(overlay.pairs) == [0, 1, 2, 3]
    assert overlay.legend.text.startswith("Colour: time, 4 windows")
    assert overlay.legend.text.endswith("to window 3")
    publisher.send_window(4, level=1e4)
    moved.until(lambda: numbers(overlay.pairs) == [0, 1, 2, 3, 4])
    moved.do("back")
    moved.do("back")
    assert numbers(overlay.pairs) == [0, 1, 2]
    window.sr.window_count.setValue(2)
    assert numbers(overlay.pairs) == [1, 2]
    assert not window.sr.controls.colours.isVisible()
    moved.do("single")
    assert (overlay.pairs, overlay.legend.text, overlay.item.isVisible()) == ((), "", False)
    assert window.sr.controls.colours.isVisible()


def test_windows_are_as_bright_as_each_other_unless_the_contrast_is_locked(moved):
    moved.do("time")
    assert min(colour(moved, 0.4, 0.77)) > 100  # white: the same in all windows
    moved.do("lock")
    red, _, blue = colour(moved, 0.4, 0.77)
    assert red > 100 > 50 > blue  # only the last is bright enough


def test_what_was_reduced_is_not_reduced_again_and_nothing_is_kept_afterwards(moved, publisher):
    item = moved.window.sr.time_overlay.item
    moved.do("time")
    moved.window.grab()
    before = dict(item._bright)
    publisher.send_window(4)
    moved.until(lambda: moved.shows(4))
    moved.window.grab()
    assert len(item._bright) == 5
    assert all(item._bright[key] is bright for key, bright in before.items())
    moved.do("single")
    assert item._bright == {}


def test_many_windows_are_drawn_coarser():
    assert block_px(3, 800 * 800) == 1.0
    assert 100 * 800 * 800 / block_px(100, 800 * 800) ** 2 == pytest.approx(MAX_BLENDED)
