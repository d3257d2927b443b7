"""The third view: all frames of a scene in one picture, with its own resolution over time."""

import numpy as np
import pytest
from client_stream import header, pixels, status

from client.state import ViewerState, reduce_message
from daemon.protocol.codec import Received, encode


def accumulated(frames, resolution=None, scene=0, **other):
    metrics = {} if resolution is None else {"resolution_nm": resolution}
    one = header(frames=frames, scene=scene, estimate="accumulated", metrics=metrics, motion="moved", **other)
    return Received("accumulated", one, pixels(one.shape))


def after(*messages):
    state = ViewerState("tcp://nowhere:1")
    for number, message in enumerate(messages):
        state = reduce_message(state, message, float(number))
    return state


def test_its_resolution_over_time_is_kept_as_the_frames_grow():
    state = after(*(accumulated(frames, 60 - frames / 100) for frames in (1000, 1100, 1500, 3000)))
    assert state.accumulated.steps == ((1000, 50.0), (1500, 45.0), (3000, 30.0))
    assert state.accumulated.text(0.0) == "30 nm after 3,000 frames"
    assert state.accumulated.text(100.0) == "30 nm after 30 s"
    assert state.accumulated.text(10.0) == "30 nm after 5 min"
    assert "45 nm after 1,500 frames" in state.accumulated.explanation


@pytest.mark.parametrize("other", [{"scene": 1}, {"run": "another"}])
def test_another_scene_or_run_begins_another_curve(other):
    state = after(accumulated(1000, 50.0), accumulated(100, 70.0, **other))
    assert state.accumulated.steps == ((100, 70.0),)


def test_no_resolution_is_claimed_before_it_is_known():
    state = after(accumulated(100))
    assert state.accumulated.text(0.0) == "100 frames"
    assert "not known yet" in state.accumulated.explanation
    assert state.windows == 0  # it is no window


def test_it_is_amber_with_its_cause_where_it_is_coarser_than_a_window():
    state = after(accumulated(1000, 265.0))
    assert "265 against 180 nm: the sample has moved" in state.accumulated.coarser_reason(180.0)
    assert state.accumulated.coarser_reason(300.0) == ""
    assert state.accumulated.coarser_reason(None) == ""


def test_it_is_amber_with_its_cause_where_it_has_become_coarser_than_it_was():
    state = after(accumulated(1000, 41.0), accumulated(1500, 44.0))
    assert state.accumulated.coarser_reason(None) == ""
    state = after(accumulated(1000, 41.0), accumulated(1500, 60.0))
    assert "60 against 41 nm: the sample has moved" in state.accumulated.coarser_reason(None)
    assert "after 1,000 frames" in state.accumulated.coarser_reason(70.0)


def test_its_badge_follows_the_window_beside_it(showing, publisher):
    badge = showing.window.accumulated.badge
    one = accumulated(1200, 41.0)
    publisher.send(encode("accumulated", one.message, one.pixels))
    showing.until(lambda: badge.isVisible())
    assert "Coarser" not in badge.toolTip()
    publisher.send_window(1, metrics={"resolution_nm": 30.0})
    showing.until(lambda: showing.shows(1))
    assert "Coarser than the single window, 41 against 30 nm" in badge.toolTip()


def test_it_is_shown_beside_the_window_and_hidden_by_its_action(showing, publisher):
    panel = showing.window.accumulated
    assert not panel.isVisible()
    one = accumulated(1200, 41.0)
    publisher.send(encode("status", status()))
    publisher.send(encode("accumulated", one.message, one.pixels))
    showing.until(lambda: showing.state.accumulated.picture is not None and panel.isVisible())
    np.testing.assert_array_equal(panel.image.pixels, one.pixels)
    assert panel.badge.text.startswith("41 nm after")
    assert "All 1,200 frames" in panel.badge.toolTip()
    showing.do("time")
    assert showing.window.minimumSizeHint().width() <= 1280
    showing.do("single")
    assert panel.view.viewRect().center() == showing.window.sr.view.viewRect().center()
    showing.do("accumulated")
    showing.until(lambda: not panel.isVisible())
    showing.do("accumulated")
    showing.until(panel.isVisible)


def test_a_picture_of_another_field_is_not_shown(showing, publisher):
    one = accumulated(1200, 41.0, side=9)
    publisher.send(encode("accumulated", one.message, one.pixels))
    showing.until(lambda: showing.state.accumulated.picture is not None)
    assert not showing.window.accumulated.isVisible()
