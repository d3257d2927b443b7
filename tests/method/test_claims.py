"""Claims on a picture: resolution, fidelity, false localizations, verdict."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from streams import learned, reconstruct

from selfstorm.calibration.far_correlation import far_correlation
from selfstorm.compute.device import prepare_device
from selfstorm.localizations import Localizations
from selfstorm.metrics.frc import crossing_period_nm
from selfstorm.metrics.split_halves import (
    HalvesFound,
    correlation,
    drift_nm,
    fidelity,
    structure_resolution_nm,
    trust_map,
    whole_from_halves,
)
from selfstorm.metrics.verdict import verdict
from selfstorm.physics.operators import Grid
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import Scene, simulate
from selfstorm.stream.claims import most_localized_part
from selfstorm.stream.decoys import decoy_frames, matched, noise_excess
from selfstorm.stream.engine import EngineWindow, StreamEngine
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.per_frame import ProgressCallbacks
from selfstorm.stream.settings import Settings
from selfstorm.stream.span_counts import SpanCounts
from selfstorm.stream.split_halves import independent_share

CPU = prepare_device("cpu")
SETTINGS = Settings(100.0, Gaussian(110.0), 100.0, 4.0, quality="fast", tuning_steps=0)
SIDE_NM = 4_000.0
GOOD = {"emitters_per_frame": 20.0, "fidelity": 0.9, "false_share": 0.02, "psf_sigma_nm": 110.0, "crowding": 1.1}


def movie(frames, **scene):
    options = {"height": 32, "width": 32, "offset_variation_adu": 0.0, "seed": 3} | scene
    return np.stack([pixels for pixels, _ in simulate(Scene(**options), frames=frames)])


def table(y_nm, x_nm, frame=None):
    y, x = (torch.as_tensor(values, dtype=torch.float64) for values in (y_nm, x_nm))
    frame = torch.zeros(len(y), dtype=torch.int64) if frame is None else torch.as_tensor(frame)
    one = torch.ones(len(y))
    return Localizations(frame, y, x, one, torch.ones(len(y), 2), one, one, one)


def fibres(count, sd_nm, seed, shift_nm=0.0):
    """Emitters on the same 30 straight fibres, found with that error."""
    shape, rng = np.random.default_rng(0), np.random.default_rng(seed)
    centre, angle = shape.uniform(0, SIDE_NM, (30, 2)), shape.uniform(0, np.pi, 30)
    fibre, along = rng.integers(0, 30, count), rng.uniform(-3_500, 3_500, count)
    y = centre[fibre, 0] + along * np.sin(angle[fibre]) + rng.normal(0, sd_nm, count) + shift_nm
    x = centre[fibre, 1] + along * np.cos(angle[fibre]) + rng.normal(0, sd_nm, count)
    return table(y, x)


@pytest.mark.parametrize("side_nm", [60_000.0, 64e6])
def test_a_part_of_pixels_of_any_size_takes_few_cells(side_nm):
    """A pixel of 10 um in the settings made a daemon take gigabytes for minutes."""
    at = np.random.default_rng(0).random((2, 200)) * side_nm
    halves = HalvesFound(table(*at), table(*at), side_nm, side_nm)
    spans = SpanCounts((0.0, 0.0), (side_nm, side_nm)).with_frames(1, at.T)
    for counts in (*halves.counts(), *spans.counts):
        assert max(counts.shape) <= 2048
        assert counts.sum() >= 199
    resolution_nm = structure_resolution_nm(halves)
    assert resolution_nm is None or resolution_nm >= 2 * side_nm / 2048
    assert fidelity(halves) == pytest.approx(1.0)
    assert trust_map(halves, side_nm / 8).shape == (8, 8)


def halves(count, sd_nm, shift_nm=0.0, whole_over_half=2.0):
    found = fibres(count, sd_nm, 1), fibres(count, sd_nm, 2, shift_nm)
    return HalvesFound(*found, SIDE_NM, SIDE_NM, whole_over_half)


def test_worse_emitters_make_a_coarser_resolution():
    found = [structure_resolution_nm(halves(60_000, sd_nm)) for sd_nm in (5.0, 20.0, 40.0)]
    assert found == sorted(found)
    assert 25 <= found[0] < 40
    assert found[2] > 1.5 * found[1] > 60


def test_few_emitters_and_unlike_halves_have_no_resolution():
    assert structure_resolution_nm(halves(40, 5.0)) is None
    rng = np.random.default_rng(5)
    noise = [table(*rng.uniform(0, SIDE_NM, (2, 3_000))) for _ in range(2)]
    assert structure_resolution_nm(HalvesFound(*noise, SIDE_NM, SIDE_NM)) is None
    assert fidelity(HalvesFound(*noise, SIDE_NM, SIDE_NM)) < 0.3


def test_the_resolution_lies_between_two_rings():
    """Noise of a known band: one picture is the other, without what is finer than 100 nm."""
    rng = np.random.default_rng(1)
    first = rng.normal(size=(256, 256))
    cycles = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256))
    other = rng.normal(size=(256, 256))
    second = np.fft.ifft2(np.where(cycles < 0.125, np.fft.fft2(first), np.fft.fft2(other))).real
    assert crossing_period_nm(first, second, 12.5, 0.5) == pytest.approx(100, rel=0.1)


def test_fidelity_is_that_of_the_whole_and_not_of_a_half():
    one = halves(20_000, 10.0)
    both = table(*(np.concatenate([getattr(t, name) for t in (one.first, one.second)]) for name in ("y_nm", "x_nm")))
    structure = fibres(4_000_000, 0.0, 9)
    first, second = HalvesFound(both, structure, SIDE_NM, SIDE_NM).counts()
    assert fidelity(one) == pytest.approx(correlation(first, second), abs=0.03)
    assert whole_from_halves(-0.1) == 0.0
    assert whole_from_halves(1.0) == 1.0


def test_halves_of_fewer_frames_claim_the_same_of_the_picture():
    every, fourth = halves(60_000, 20.0), halves(15_000, 20.0, whole_over_half=8.0)
    assert fidelity(fourth) == pytest.approx(fidelity(every), abs=0.02)
    assert structure_resolution_nm(fourth) == pytest.approx(structure_resolution_nm(every), rel=0.15)


def test_every_other_frame_shows_nearly_all_blinks_where_emitters_shine_for_several():
    assert independent_share(0.0, 4) == 1 / 4
    assert independent_share(2.5, 2) > 0.95
    assert independent_share(20.0, 6) > 0.95


def test_decoys_are_made_of_fewer_frames_where_each_shows_many_emitters():
    assert [len(decoy_frames(100, found)) for found in (0, 300, 4_000, 60_000)] == [16, 16, 10, 4]
    assert len(decoy_frames(8, 30)) == 8


def test_drift_between_the_halves_is_measured():
    assert drift_nm(halves(20_000, 10.0)) is None
    assert drift_nm(halves(20_000, 10.0, shift_nm=75.0)) == pytest.approx(75, abs=13)


def test_the_trust_map_falls_where_the_halves_differ():
    one = halves(40_000, 10.0)
    left = one.second.x_nm < SIDE_NM / 2
    rng = np.random.default_rng(7)
    x_nm = torch.where(left, one.second.x_nm, torch.as_tensor(rng.uniform(SIDE_NM / 2, SIDE_NM, len(left))))
    y_nm = torch.where(left, one.second.y_nm, torch.as_tensor(rng.uniform(0, SIDE_NM, len(left))))
    trusted = trust_map(replace(one, second=replace(one.second, y_nm=y_nm, x_nm=x_nm)), 100.0)
    assert trusted.shape == (40, 40)
    assert trusted.dtype == np.float32
    assert np.median(trusted[:, :15]) > 0.9
    assert np.median(trusted[:, 25:]) < 0.5


def test_the_noise_is_measured_and_not_assumed():
    rng = np.random.default_rng(2)
    background = torch.full((20, 32, 32), 40.0)
    y = torch.as_tensor(40 + rng.normal(0, np.sqrt(3 * 40), (20, 32, 32)), dtype=torch.float32)
    y[:, :4, :4] += 500  # an emitter that was missed
    assert noise_excess(y, torch.zeros_like(y), background) == pytest.approx(3, rel=0.1)


def test_localizations_are_matched_within_their_frame():
    true = table([100.0, 900.0], [100.0, 900.0], [0, 1])
    assert matched(table([120.0, 950.0], [90.0, 900.0], [0, 1]), true, 100.0) == 2
    assert matched(table([120.0, 950.0], [90.0, 900.0], [0, 0]), true, 100.0) == 1
    assert matched(table([120.0, 130.0], [90.0, 95.0], [0, 0]), true, 100.0) == 1


def test_a_large_field_is_checked_where_most_is_found():
    rng = np.random.default_rng(3)
    found = table(rng.uniform(15_000, 19_000, 500), rng.uniform(2_000, 6_000, 500))
    rows, columns = most_localized_part(found, Grid(200, 150, 4, 100.0))
    assert (rows.stop - rows.start, columns.stop - columns.start) == (64, 64)
    assert rows.start <= 150
    assert rows.stop >= 186
    assert columns.start <= 20


def test_a_window_is_checked_when_it_is_due_and_its_claims_hold_until_then():
    raw = movie(100)
    engine = StreamEngine(lambda first: learned(SETTINGS, first, CPU))
    due, claimed, steps = [], [], []
    callbacks = ProgressCallbacks(mark=steps.append)

    def checked(start):
        steps.clear()
        span = WindowSpan(np.arange(start, start + 60), start, 20)
        due.append(engine.model is None or engine.model.cost(start).claims_due)
        window = EngineWindow(span, raw.shape[1:], lambda numbers: raw[numbers])
        claimed.append(engine.reconstruct(window, callbacks=callbacks).result.metrics["fidelity"])
        before_picture = "claims" in steps
        steps.clear()
        engine.accumulate(callbacks)
        return before_picture, "claims" in steps

    def schedule(**changes):
        before = engine.model.learned.state.claims
        engine.model.learned = engine.model.learned.with_state(claims=replace(before, **changes))

    assert checked(0) == (True, False)
    assert checked(20) == (False, False)
    schedule(wait_windows=0)
    assert checked(40) == (False, True)  # pictures show something: this one does not wait
    assert due == [True, False, True]
    assert claimed[0] == claimed[1] == claimed[2]
    of_third = engine.model.learned.state.claims.evidence
    assert of_third.fidelity != claimed[2]
    empty = replace(of_third, decoys=replace(of_third.decoys, decoys=of_third.decoys.found))
    schedule(evidence=empty, wait_windows=0)
    again = engine.model.copy()
    again.picture(WindowSpan(np.arange(40, 100), 40, 20), callbacks=callbacks)
    assert "claims" in steps  # no picture of what may not be there
    assert again.learned.state.claims.evidence.fidelity == of_third.fidelity  # the same before a picture and after


def test_no_claim_rests_on_frames_that_a_replay_repeats():
    """A loop shows its own noise again: as two halves, it would agree with itself perfectly."""
    raw = movie(40, density=1.0, photons=300.0)
    result = reconstruct(learned(SETTINGS, raw, CPU), np.concatenate([raw, raw]))
    assert "fidelity" not in result.metrics


def test_frames_alike_but_for_their_noise_have_few_false_localizations():
    raw = movie(60, density=1.0, photons=2_000.0)
    assert reconstruct(learned(SETTINGS, raw, CPU), raw).metrics["false_share"] < 0.1


def moving_stripes(frames, side_px=40):
    y, x, time = np.arange(side_px)[:, None], np.arange(side_px), np.arange(frames)[:, None, None]
    return np.random.default_rng(3).poisson(100 + 80 * np.sin(0.3 * y + 0.6 * x + 0.8 * time)).astype(np.uint16)


def test_a_pattern_that_moves_is_not_blinking_and_emitters_are():
    assert far_correlation(moving_stripes(40)) > 0.6
    assert far_correlation(movie(40, density=3.0)) < 0.1
    assert far_correlation(np.random.default_rng(3).normal(size=(40, 40, 40))) is None
    assert far_correlation(moving_stripes(6)) is None


def test_the_picture_of_a_pattern_says_that_nothing_blinks_at_every_level():
    raw = moving_stripes(24, 24)
    metrics = reconstruct(learned(replace(SETTINGS, estimate="density"), raw, CPU), raw).metrics
    finding = verdict(metrics)
    assert (finding.value, finding.level) == ("not blinking", "bad")
    assert "demo camera" in finding.hint


@pytest.mark.parametrize(
    ("changes", "word", "level"),
    [
        ({}, "good", "good"),
        ({"emitters_per_frame": 0.0}, "empty", "warning"),
        ({"psf_sigma_nm": 350.0, "psf_limit_nm": 200.0}, "out of focus", "bad"),
        ({"blinking_nm": 350.0, "psf_limit_nm": 200.0, "emitters_per_frame": 0.0}, "out of focus", "bad"),
        ({"far_correlation": 0.9}, "not blinking", "bad"),
        ({"far_correlation": 0.1}, "good", "good"),
        ({"false_share": 0.6}, "unreliable", "bad"),
        ({"saturated": 0.03}, "saturated", "warning"),
        ({"saturated": 0.01}, "good", "good"),
        ({"psf_variation": 0.3}, "PSF varies", "warning"),
        ({"psf_variation": 0.3, "fidelity": 0.2}, "PSF varies", "bad"),
        ({"psf_variation": 0.1}, "good", "good"),
        ({"fidelity": 0.6}, "too few blinks", "warning"),
        ({"fidelity": 0.2}, "too few blinks", "bad"),
        ({"fidelity": 0.6, "crowding": 2.0}, "crowded", "warning"),
        ({"fidelity": 0.6, "motion_nm": 90.0}, "moving", "warning"),
    ],
)
def test_the_verdict_is_a_word_with_its_cause(changes, word, level):
    finding = verdict(GOOD | changes)
    assert (finding.value, finding.level) == (word, level)
    assert finding.why
    assert bool(finding.hint) == (word != "good")


def test_no_shorter_window_is_asked_for_where_the_picture_follows_the_motion():
    moving = GOOD | {"fidelity": 0.2, "motion_nm": 90.0}
    assert "shorter window" in verdict(moving | {"motion_left_nm": 90.0}).hint
    followed = verdict(moving | {"motion_left_nm": 0.0})
    assert (followed.value, followed.level) == ("moving", "warning")
    assert "shorter window" not in followed.hint


def test_a_picture_without_localizations_has_a_verdict_only_on_its_light():
    assert verdict({"misfit": 0.01, "prediction_z": 40.0, "far_correlation": 0.02}) is None
    assert verdict({"prediction_z": 2.0}).value == "no blinking seen"
    assert verdict({"prediction_z": 40.0, "psf_variation": 0.3}).value == "PSF varies"
    unknown = verdict({"emitters_per_frame": 3.0})
    assert unknown.value == "unknown"
    assert "more frames" in unknown.hint
