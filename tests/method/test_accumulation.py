"""The picture that sharpens for minutes: localizations of all frames, drift-corrected."""

import numpy as np
import pytest
import torch
from streams import CPU, learned, movie_windows, reconstruct
from test_drift import left_nm, recording

from selfstorm import simulate
from selfstorm.errors import InputError
from selfstorm.localizations import Localizations
from selfstorm.metrics.ground_truth import score_picture
from selfstorm.physics.operators import Grid
from selfstorm.stream.accumulation import Accumulation, DrawingSettings, accumulate, newly_localized
from selfstorm.stream.accumulation_state import accumulation_from, accumulation_tensors
from selfstorm.stream.drift import DriftCurve
from selfstorm.stream.frame_store import FrameBlock
from selfstorm.stream.live_drift import MAX_KNOTS, MAX_REFERENCE, LiveDrift
from selfstorm.stream.settings import Settings
from selfstorm.stream.span_counts import MAX_SPANS, SpanCounts

STRIDE, EMITTERS = 25, 100
SIDE = 16
GRID = Grid(SIDE, SIDE, 4, 100.0)
HOW = DrawingSettings(GRID, 4, 100)
WHOLE = (slice(0, SIDE), slice(0, SIDE))


def followed(drift_nm, a_frame):
    """The live curve of a recording, stride by stride."""
    frame, at = recording(drift_nm, a_frame)
    live = LiveDrift()
    for first in range(0, len(drift_nm), STRIDE):
        new = (frame >= first) & (frame < first + STRIDE)
        live = live.with_localizations(frame[new], at[new])
    return live


def walk(frames):
    return np.cumsum(np.random.default_rng(1).normal(0, 0.4, (frames, 2)), 0)


@pytest.mark.parametrize(
    "drift",
    [np.arange(400)[:, None] * [0.5, -0.3], np.arange(300)[:, None] * [1.6, -1.2], walk(400)],
    ids=["linear", "fast", "random walk"],
)
def test_less_than_three_nanometres_of_a_live_drift_are_left_at_twenty_localizations_a_frame(drift):
    assert left_nm(drift, followed(drift, 20).curve) < 2.5


def test_a_sample_at_rest_is_known_to_rest_once_there_are_enough_localizations():
    """The first window alone is wrong by 10 nm and more where they are few."""
    live = followed(np.zeros((600, 2)), 10)
    assert np.abs(live.newest_nm).max() < 3.0
    assert np.abs(live.curve.yx_nm - live.curve.yx_nm.mean(0)).max() < 3.0


def test_a_new_measurement_leaves_what_was_drawn_where_it_is():
    frame, at = recording(np.arange(400)[:, None] * [0.5, -0.3], 5)
    early = frame < 100
    before = LiveDrift().with_localizations(frame[early], at[early])
    after = before.with_localizations(frame[~early], at[~early])
    moved = after.curve.at(frame[early]) - before.curve.at(frame[early])
    np.testing.assert_allclose(moved.mean(0), 0, atol=1e-6)
    assert np.abs(moved).max() > 0.1


def test_the_reference_and_the_curve_are_bounded():
    live = LiveDrift(DriftCurve(np.arange(MAX_KNOTS) / 10, np.zeros((MAX_KNOTS, 2))))
    spread = np.random.default_rng(1).uniform(0, 5_000, (MAX_REFERENCE, 2))
    live = LiveDrift(live.curve, spread, np.zeros(MAX_REFERENCE))
    frame = np.repeat(np.arange(500.0, 520.0), 30)
    after = live.with_localizations(frame, np.random.default_rng(0).normal(0, 20, (len(frame), 2)))
    assert len(after.reference_nm) == len(after.priority) == MAX_REFERENCE
    assert len(after.curve.frame) < MAX_KNOTS
    assert (np.diff(after.curve.frame) > 0).all()


def test_no_localizations_leave_the_drift_as_it_is():
    live = LiveDrift()
    assert live.with_localizations(np.zeros(0), np.zeros((0, 2))) is live
    assert not live.newest_nm.any()


def test_the_sample_is_found_again_after_a_gap_between_streams():
    """It moved by 250 nm while no frames came."""
    drift = np.where(np.arange(400)[:, None] < 200, 0.0, [250.0, 0.0])
    frame, at = recording(drift, 30)
    before = frame < 200
    live = LiveDrift().with_localizations(frame[before], at[before]).for_next_stream()
    found = live.with_localizations(frame[~before], at[~before]).newest_nm
    np.testing.assert_allclose(found, [250, 0], atol=5)


def test_spans_are_merged_and_keep_every_count():
    spans = SpanCounts((0.0, 0.0), (400.0, 400.0))
    at = np.random.default_rng(0).uniform(0, 400, (30, 2))
    for _ in range(100):
        spans = spans.with_frames(10, at)
    assert sum(span.sum() for span in spans.counts) == 3000
    assert sum(spans.frames) == 1000
    assert len(spans.counts) <= MAX_SPANS
    first, second = spans.halves()
    assert first.sum() + second.sum() == 3000
    assert 0.6 < first.sum() / second.sum() < 1 / 0.6


def test_localizations_outside_the_part_are_not_counted():
    spans = SpanCounts((100.0, 0.0), (200.0, 200.0)).with_frames(1, np.array([[50.0, 50.0], [150.0, 50.0]]))
    assert spans.counts[0].sum() == 1
    assert spans.halves() is None
    assert spans.resolution_nm() is None


def block(first, yx_nm, seed):
    """A block of 25 frames with as many emitters in each, (E, 2) nm."""
    rng = np.random.default_rng(seed)
    one = torch.ones(len(yx_nm))
    at = torch.tensor(yx_nm, dtype=torch.float32)
    numbers = np.arange(first, first + STRIDE)
    found = Localizations(
        torch.tensor(np.sort(np.resize(numbers, len(at)))),
        at[:, 0],
        at[:, 1],
        1000 * one,
        10 * torch.ones(len(at), 2),
        one,
        10 * one,
        3 * one,
    )
    y = torch.tensor(rng.poisson(20, (STRIDE, SIDE, SIDE)), dtype=torch.float32)
    return FrameBlock(
        numbers, y, y.new_zeros(STRIDE), np.zeros((SIDE, SIDE)), total=torch.full(GRID.cells, 25.0), found=found
    )


def at_places(drift_nm, seed):
    places = np.array([[400.0, 500.0], [1000.0, 700.0], [600.0, 1200.0]])
    rng = np.random.default_rng(seed)
    return places[rng.integers(3, size=EMITTERS)] + drift_nm + rng.normal(0, 8, (EMITTERS, 2))


def added(so_far, *blocks):
    counting = so_far if so_far.spans is not None else so_far.counting_in(WHOLE, GRID.pixel_nm)
    return accumulate(counting, blocks, torch.full(GRID.cells, 1.0), HOW)


def many(count, drift_nm=(0.0, 0.0)):
    so_far = Accumulation()
    for number in range(count):
        so_far = added(so_far, block(number * STRIDE, at_places(np.array(drift_nm) * number, number), number))
    return so_far


def test_a_drifting_sample_is_drawn_where_it_was_first():
    still, drifting = many(16), many(16, (6.0, -4.0))
    one, other = still.picture(), drifting.picture()
    assert one.shape == (4 * SIDE, 4 * SIDE)
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.9
    np.testing.assert_allclose(one.sum(), one.size, rtol=0.02)  # photons a frame, those of the maps


def test_a_place_that_leaves_the_view_is_as_bright_as_the_others():
    """An emitter near the edge is seen in the first half of the frames, in which it shines as often as another."""
    so_far, places = Accumulation(), [[400.0, 500.0], [1000.0, 700.0], [600.0, 1200.0], [1520.0, 1100.0]]
    for number in range(16):
        at = np.random.default_rng(number).normal((10.0 * number, 0.0), 8.0, (EMITTERS // 4, 4, 2)) + places
        at = at.reshape(-1, 2)
        so_far = added(so_far, block(number * STRIDE, at[at[:, 0] < SIDE * 100], number))
    picture = so_far.picture()
    leaving, staying = picture[-8:, 38:50].sum(), picture[9:23, 13:27].sum()
    assert leaving == pytest.approx(staying, rel=0.2)
    assert so_far.seen.min() < so_far.seen.max() == so_far.frames


def test_the_sums_are_of_every_frame_once():
    so_far = many(4)
    assert (so_far.frames, so_far.emitters) == (100, 400)
    assert sum(so_far.spans.frames) == 100


def test_frames_of_a_replay_that_begins_again_are_not_added():
    so_far = many(4)
    again = added(so_far, block(4 * STRIDE, at_places(0.0, 0), 0))
    assert again.repeats
    assert again.frames == so_far.frames
    assert added(again, block(5 * STRIDE, at_places(0.0, 9), 9)).frames == so_far.frames


def test_another_scene_begins_anew_and_another_stream_goes_on():
    so_far = many(2)
    scene, stream = so_far.for_next_scene(), so_far.for_next_stream()
    assert (scene.frames, scene.scene, scene.picture()) == (0, so_far.scene + 1, None)
    on = added(stream, block(0, at_places(0.0, 7), 7))
    assert on.frames == 3 * STRIDE
    assert (np.diff(on.drift.curve.frame) > 0).all()


def test_a_resolution_is_claimed_once_the_error_that_halves_share_is_known():
    so_far = many(20)
    raw = so_far.spans.resolution_nm()
    assert raw is not None
    assert so_far.resolution_nm() is None
    assert so_far.with_check(50.0, 40.0).resolution_nm() == pytest.approx(np.hypot(30.0, raw))
    assert so_far.with_check(40.0, 50.0).resolution_nm() == pytest.approx(raw)
    assert so_far.with_check(None, 50.0).resolution_nm() is None


def test_blocks_are_new_once():
    before = block(0, at_places(0.0, 0), 0)
    bare = FrameBlock(before.numbers, before.y, before.smooth, before.raw_sum)
    assert newly_localized([bare], [before]) == (before,)
    assert newly_localized([before], [before]) == ()
    assert newly_localized([bare], [bare]) == ()


def test_no_localizations_are_an_empty_picture():
    empty = block(0, np.zeros((0, 2)), 0)
    frames = block(0, at_places(0.0, 1), 1)
    nothing = FrameBlock(
        frames.numbers, frames.y, frames.smooth, frames.raw_sum, total=torch.zeros(GRID.cells), found=empty.found
    )
    so_far = added(Accumulation(), nothing)
    assert so_far.frames == STRIDE
    assert not so_far.picture().any()


def test_the_engine_accumulates_every_frame_once():
    movie = simulate(100, height=SIDE, width=SIDE, density=2.0, seed=3)
    settings = Settings(100.0, scale=4, quality="fast", tuning_steps=0)
    model = learned(settings, movie.frames[:50])
    results = movie_windows(movie.frames, model, 50, STRIDE)
    assert [result.accumulation.frames for result in results] == [50, 75, 100]
    every = sum(len(result.localizations) for result in results[::2])
    assert 0.97 * every < results[-1].accumulation.emitters <= every  # less those that drift out of the field
    assert results[0].accumulation.picture().shape == results[0].picture.shape
    pictures = results[-1].picture, results[-1].accumulation.picture()
    window, accumulated = (score_picture(one, movie.emitters[:, 1:3], 25.0).pearson for one in pictures)
    assert accumulated > window


def test_a_window_is_accumulated_once_its_picture_is_out_or_with_the_next():
    movie = simulate(100, height=SIDE, width=SIDE, density=2.0, seed=3)
    settings = Settings(100.0, scale=4, quality="fast", tuning_steps=0)
    at_once, later = (learned(settings, movie.frames[:50]) for _ in range(2))
    for model in (at_once, later):
        for number in range(2):
            picture = reconstruct(model, movie.frames[50 * number : 50 * (number + 1)])
            assert model.learned.state.accumulation.frames == (0, 50)[number]
            if model is at_once:
                model.accumulate()
                assert model.learned.state.accumulation.frames == 50 * (number + 1)
        assert "drift_y_nm" in picture.metrics
    sums = at_once.accumulate(), later.accumulate()
    assert [one.frames for one in sums] == [100, 100]
    np.testing.assert_array_equal(*(one.picture() for one in sums))


def test_a_checkpoint_goes_on_with_the_accumulated_picture():
    before = many(6).with_check(60.0, 50.0)
    after = accumulation_from(accumulation_tensors(before), GRID, 4, CPU)
    assert np.array_equal(after.picture(), before.picture())
    assert after.resolution_nm() == before.resolution_nm()
    on = added(after, block(0, at_places(0.0, 7), 7))
    assert on.frames == before.frames + STRIDE
    assert (np.diff(on.drift.curve.frame) > 0).all()
    assert added(after, block(0, at_places(0.0, 0), 0)).repeats


def test_a_checkpoint_of_another_magnification_begins_anew():
    assert not accumulation_from(accumulation_tensors(many(1)), GRID, 8, CPU).frames
    assert not accumulation_from({}, GRID, 4, CPU).frames
    assert accumulation_tensors(Accumulation()) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seen", torch.zeros(3, 3)),
        ("seen", torch.full((4 * SIDE, 4 * SIDE), 51.0)),
        ("maps", torch.zeros(3, 3)),
        ("facts", torch.zeros(3)),
        ("facts", torch.tensor([-1.0, 0, 1, 0, 0, 0, 0])),
        ("curve", torch.zeros(4, 3)),
        ("reference", torch.zeros(5)),
        ("spans", torch.zeros((2, 1, 1), dtype=torch.int32)),
        ("part", torch.tensor([0.0, 0, 1e9, 1e9])),
        ("first_frames", torch.zeros((1000,), dtype=torch.int64)),
        ("span_frames", torch.zeros(0)),
    ],
)
def test_a_damaged_accumulation_is_refused(name, value):
    with pytest.raises(InputError, match="damaged"):
        accumulation_from(accumulation_tensors(many(2)) | {f"accumulated.{name}": value}, GRID, 4, CPU)
