"""Error and trust map: colours, window, place over the picture."""

from dataclasses import replace

import numpy as np
import pytest
from client_stream import header, pixels
from PySide6 import QtCore

from client.picture.crosshair import describe_point
from client.picture.error_map import error_range, error_table
from client.picture.pictures import HEADER_BYTES
from client.picture.trust_map import NOT_COMPARED, RANGE, trust_pixels, trust_table
from client.state import ViewerState, reduce_message
from client.timeline.playhead import seek
from daemon.protocol.codec import Received, encode


def picture(kind, window=0, values=None, **other):
    one = header(kind, window, **other)
    return Received(kind, one, pixels(one.shape) if values is None else values)


def after(*received, state=None):
    state = state or ViewerState("tcp://127.0.0.1:5711")
    for one in received:
        state = reduce_message(state, one, 0.0)
    return state


PAIR = (picture("sr.refined"), picture("raw.mean"))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_map_finds_its_window_whenever_it_comes(place):
    messages = list(PAIR)
    messages.insert(place, picture("quality"))
    state = after(*messages)
    assert state.shown.error.window == state.shown.window
    assert state.history.used_bytes == state.shown.memory_bytes
    assert state.shown.memory_bytes == 4 * (32 * 32 + 8 * 8 + 8 * 8) + 3 * HEADER_BYTES


def test_a_map_of_another_window_or_run_is_not_laid_over_this_one():
    state = after(*PAIR, picture("quality", 1), picture("quality", 0, run="other"))
    assert state.history.get(0).error is None


def test_a_map_of_an_earlier_window_goes_to_that_one():
    later = (picture("sr.refined", 1), picture("raw.mean", 1))
    state = after(*PAIR, *later, picture("quality", 0))
    assert [one.error is not None for one in state.history.pairs] == [True, False]
    back = replace(state, playhead=seek(state.playhead, state.history, 0))
    assert back.shown.error is not None


def test_a_map_of_a_preview_stays_with_its_refined_picture():
    preview = picture("sr.preview")
    state = after(preview, picture("raw.mean"), picture("quality"), PAIR[0])
    assert not state.shown.sr.preview
    assert state.shown.error is not None


def test_a_map_sent_again_changes_nothing_and_one_that_does_not_fit_is_said():
    one = picture("quality")
    state = after(*PAIR, one)
    assert after(one, state=state).shown is state.shown
    state = after(*PAIR, picture("quality", side=9))
    assert state.shown.error is None
    assert "does not match" in state.unreadable_text


def test_a_trust_map_goes_to_its_window_beside_the_error_map():
    state = after(picture("trust"), *PAIR, picture("quality"), picture("trust", 1))
    assert state.shown.trust.window == state.shown.error.window == state.shown.window
    assert state.shown.memory_bytes == 4 * (32 * 32 + 3 * 8 * 8) + 4 * HEADER_BYTES


def test_what_was_not_compared_has_a_colour_of_its_own():
    table = trust_table()
    shown = trust_pixels(np.float32([np.nan, 0.0, 1.0]))
    assert shown.tolist() == [NOT_COMPARED, 0, 1]
    places = np.interp(shown, RANGE, (0, len(table) - 1)).round().astype(int)
    grey, violet, clear = table[places]
    assert clear >> 24 == 0
    assert violet >> 24 > 200
    assert len({int(grey) >> shift & 255 for shift in (0, 8, 16)}) == 1


def test_the_range_is_a_round_value_that_few_pixels_exceed():
    values = np.linspace(-3.4, 3.4, 10_000, dtype=np.float32).reshape(100, 100)
    values[0, 0], values[1, 1] = 1e9, np.nan
    assert error_range(values) == 5.0
    assert error_range(0.1 * values) == pytest.approx(0.5)
    assert error_range(np.full((3, 3), 2.0)) == 2.0
    assert error_range(np.zeros((3, 3))) == error_range(np.full((3, 3), np.nan)) == 1.0


def test_the_colours_are_clear_in_the_middle_and_of_two_kinds():
    table = error_table()
    alpha, red, blue = table >> 24, table >> 16 & 255, table & 255
    assert alpha[len(table) // 2] == 0
    assert alpha[0] == alpha[-1] > 200
    assert red[0] < blue[0]
    assert red[-1] > blue[-1]


def colour(showing, x, y):
    plot = showing.window.sr.plot
    at = plot.mapFromScene(showing.window.sr.view.mapViewToScene(QtCore.QPointF(x, y)))
    return plot.grab().toImage().pixelColor(at).getRgb()[:3]


def test_it_is_laid_over_the_picture_read_and_taken_away(showing, publisher):
    action = showing.window.menu_actions["error_map"]
    assert not action.isEnabled()
    assert "comes with a FULL picture that has localizations" in action.toolTip()
    values = np.zeros((8, 8), np.float32)
    values[:, 2], values[:, 5] = -4.0, 4.0
    publisher.send(encode("quality", header("quality", 0), values))
    showing.until(action.isEnabled)
    assert "imaged again" in action.toolTip()
    assert "error -4 photons/frame" in describe_point(showing.state.shown, 0.25, 0.45)
    before = [colour(showing, x, 0.45) for x in (0.25, 0.45, 0.55)]
    showing.do("error_map")
    dim, clear, bright = (colour(showing, x, 0.45) for x in (0.25, 0.45, 0.55))
    assert dim[2] > 200 > dim[0]
    assert bright[0] > 200 > bright[2]
    assert max(clear) - min(clear) <= 1  # grey: nothing is laid over it
    assert showing.window.sr.error_overlay.legend.text == "Error map (photons): −5 too dim to +5 too bright"
    showing.do("error_map")
    assert [colour(showing, x, 0.45) for x in (0.25, 0.45, 0.55)] == before
    assert showing.window.sr.error_overlay.legend.text == ""


def test_a_window_without_a_map_says_so(showing, publisher):
    publisher.send(encode("quality", header("quality", 0), np.ones((8, 8), np.float32)))
    showing.until(showing.window.menu_actions["error_map"].isEnabled)
    showing.do("error_map")
    publisher.send_window(1)
    showing.until(lambda: showing.shows(1))
    assert showing.window.sr.error_overlay.legend.text == "No error map for this window"
    publisher.send_preview(2)
    showing.until(lambda: showing.shows(2))
    assert "follows with the refined picture" in showing.window.sr.error_overlay.legend.text
    showing.do("oldest")
    assert showing.window.sr.error_overlay.visible


def test_one_map_is_shown_at_a_time(showing, publisher):
    action = showing.window.menu_actions["trust_map"]
    assert not action.isEnabled()
    publisher.send(encode("quality", header("quality", 0), np.zeros((8, 8), np.float32)))
    values = np.full((8, 8), np.nan, np.float32)
    values[:4] = 0.5
    publisher.send(encode("trust", header("trust", 0), values))
    showing.until(action.isEnabled)
    assert "trust 0.50" in describe_point(showing.state.shown, 0.25, 0.25)
    assert "trust" not in describe_point(showing.state.shown, 0.25, 0.65)
    showing.do("error_map")
    showing.do("trust_map")
    sr = showing.window.sr
    assert (sr.error_overlay.visible, sr.trust_overlay.visible) == (False, True)
    assert "not compared" in sr.trust_overlay.legend.text
    showing.do("error_map")
    assert (sr.error_overlay.visible, sr.trust_overlay.visible) == (True, False)


def test_a_map_that_is_not_finite_is_drawn_without_complaint(showing, publisher):
    publisher.send(encode("quality", header("quality", 0), np.full((8, 8), np.nan, np.float32)))
    showing.until(showing.window.menu_actions["error_map"].isEnabled)
    showing.do("error_map")
    assert not showing.window.grab().isNull()
