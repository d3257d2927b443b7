"""Simulated movies: photons, blinking, motion and camera follow the scene; frame k is always frame k."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from selfstorm.errors import InputError
from selfstorm.simulation.blinking import activation_rate
from selfstorm.simulation.movie import Movie, Scene, simulate

Array = NDArray[np.float64]
STILL_CAMERA: dict[str, Any] = {"offset_variation_adu": 0, "gain_variation": 0, "read_noise_variation": 0}


@pytest.mark.parametrize("optics", [{}, {"na": 1.3, "wavelength_nm": 680.0}], ids=["gaussian", "airy"])
@pytest.mark.parametrize("shape", [(33, 20), (7, 51), (1, 1)])
def test_frames_of_any_size_are_read_only_counts(shape: tuple[int, int], optics: dict[str, Any]) -> None:
    scene = Scene(height=shape[0], width=shape[1], speed_nm_per_frame=1, **optics)
    for k, (pixels, emitters) in enumerate(simulate(scene, frames=5)):
        assert pixels.shape == shape
        assert pixels.dtype == np.uint16
        assert not pixels.flags.writeable
        assert not emitters.flags.writeable
        assert emitters.shape[1] == 4
        assert (emitters[:, 0] == k).all()
        assert (emitters[:, 3] > 0).all()
        assert ((emitters[:, 1:3] >= 0) & (emitters[:, 1:3] < np.array(shape) * 100)).all()


LIVELY = Scene(
    height=24,
    width=31,
    density=5,
    speed_nm_per_frame=2,
    drift_nm_per_frame=(1, -0.5),
    bleaching_half_life_frames=80,
    flicker=0.05,
    photon_spread="lognormal",
    seed=11,
)


def test_a_movie_entered_at_frame_n_is_the_one_that_reached_it() -> None:
    whole = list(simulate(LIVELY, frames=60))
    for start in (1, 40):
        for (pixels, emitters), (same_pixels, same_emitters) in zip(
            simulate(LIVELY, start_frame=start, frames=20), whole[start:], strict=False
        ):
            np.testing.assert_array_equal(pixels, same_pixels)
            np.testing.assert_array_equal(emitters, same_emitters)


def test_emitters_alone_are_those_of_the_frames() -> None:
    movie = Movie(LIVELY)
    for (_, emitters), alone in zip(islice(movie.frames(3), 10), movie.emitters(3), strict=False):
        np.testing.assert_array_equal(emitters, alone)


def test_another_seed_is_another_movie() -> None:
    first, second = (next(simulate(Scene(height=16, width=16, seed=seed)))[0] for seed in (1, 2))
    assert (first != second).mean() > 0.5


def test_a_late_frame_is_reached_at_once() -> None:
    _, emitters = next(simulate(Scene(height=16, width=16), start_frame=10**9))
    assert (emitters[:, 0] == 10**9).all()


@pytest.mark.parametrize(("density", "on_frames"), [(2.0, 2.5), (20.0, 0.3), (6.0, 8.0)])
def test_the_truth_is_as_dense_as_asked_from_the_first_frame_on(density: float, on_frames: float) -> None:
    scene = Scene(height=50, width=64, density=density, on_frames=on_frames, seed=5)
    counts = np.array([len(e) for e in islice(Movie(scene).emitters(), 1500)])
    wanted = density * 5.0 * 6.4
    # Neighbouring frames share emitters: 1500 frames are about 1500 / (2 on_frames + 1) independent ones.
    spread = np.sqrt(wanted * (2 * on_frames + 1))
    assert counts.mean() == pytest.approx(wanted, abs=4 * spread / np.sqrt(1500))
    assert counts[:30].mean() == pytest.approx(wanted, abs=4 * spread / np.sqrt(30))


def test_an_emitter_is_listed_once_a_frame() -> None:
    scene = Scene(height=12, width=12, filaments=3, site_spacing_nm=50, density=6, on_frames=0.2)
    for emitters in islice(Movie(scene).emitters(), 300):
        assert len(np.unique(emitters[:, 1:3], axis=0)) == len(emitters)


@pytest.mark.parametrize("on_frames", [1.0, 2.5, 6.0])
def test_light_is_correlated_in_time_as_a_two_state_process_says(on_frames: float) -> None:
    scene = Scene(height=64, width=64, density=5, on_frames=on_frames, seed=2)
    light = np.array([e[:, 3].sum() for e in islice(Movie(scene).emitters(), 5000)])
    light -= light.mean()
    lag = [float(np.mean(light[k:] * light[: len(light) - k])) for k in range(3)]
    # A telegraph process of mean on-time t, averaged over frames of length 1.
    decay = np.exp(-1 / on_frames)
    lag_one = on_frames**2 * (1 - decay) ** 2 / (2 * on_frames**2 * (1 / on_frames - 1 + decay))
    assert lag[1] / lag[0] == pytest.approx(lag_one, abs=0.04)
    assert lag[2] / lag[1] == pytest.approx(decay, abs=0.06)


@pytest.mark.parametrize("on_frames", [0.0, 0.3, 8.0, 1e4])
@pytest.mark.parametrize("share", [1e-9, 0.02, 0.999])
def test_the_rate_gives_the_share_that_is_asked_for(share: float, on_frames: float) -> None:
    k = activation_rate(share, on_frames)
    assert -np.expm1(-k - np.log1p(k * on_frames)) == pytest.approx(share, rel=1e-12)


def test_photons_have_the_mean_asked_for_and_partial_exposures() -> None:
    scene = Scene(photons=500, on_frames=2.5, photon_spread="lognormal", photon_spread_relative=0.0, seed=4)
    photons = np.concatenate([e[:, 3] for e in islice(Movie(scene).emitters(), 1500)])
    assert photons.max() == pytest.approx(500)
    assert 0.1 < (photons < 450).mean() < 0.9
    # An on-period of mean length t meets t + 1 frames on average.
    assert photons.mean() == pytest.approx(500 * 2.5 / 3.5, rel=0.02)


@pytest.mark.parametrize("spread", ["exponential", "lognormal"])
def test_the_spread_of_brightness_keeps_its_mean(spread: Any) -> None:
    scene = Scene(photons=500, photon_spread=spread, seed=4)
    photons = np.concatenate([e[:, 3] for e in islice(Movie(scene).emitters(), 3000)])
    assert photons.mean() == pytest.approx(500 * 2.5 / 3.5, rel=0.02)
    assert photons.max() > 1000


def test_bleaching_halves_the_emitters_in_a_half_life() -> None:
    scene = Scene(density=10, bleaching_half_life_frames=200, seed=6)
    counts = np.array([len(e) for e in islice(Movie(scene).emitters(), 430)])
    start, one, two = (counts[k : k + 30].mean() for k in (0, 200, 400))
    assert one / start == pytest.approx(0.5, abs=0.08)
    assert two / start == pytest.approx(0.25, abs=0.06)


def test_flicker_moves_the_light_of_whole_frames() -> None:
    scene = Scene(height=8, width=8, density=0, background_photons=4000, flicker=0.1, seed=1)
    means = np.array([p.mean() - 100 for p, _ in simulate(scene, frames=400)])
    assert means.std() / means.mean() == pytest.approx(0.1, rel=0.15)


def nearest_nm(points: Array, others: Array) -> Array:
    return np.asarray(np.linalg.norm(points[:, None] - others[None], axis=-1).min(1))


def test_the_stage_drifts_by_its_vector_and_comes_round() -> None:
    still, moving = (Movie(Scene(seed=8, drift_nm_per_frame=drift)).structure for drift in ((0.0, 0.0), (0.6, -0.3)))
    sites = np.arange(0, still.sites, 17)
    moved = moving.positions_nm(sites, 1000.0) - still.positions_nm(sites, 0.0)
    moved -= np.round((moved - [600, -300]) / moving.world_nm) * moving.world_nm
    np.testing.assert_allclose(moved, np.broadcast_to([600.0, -300.0], moved.shape), atol=1e-6)


def test_filaments_move_at_their_speed_smoothly_and_for_ever_around_the_field() -> None:
    movie = Movie(Scene(speed_nm_per_frame=0.8, filaments=40, seed=9))
    sites = np.arange(0, movie.structure.sites, 23)
    squares, jumps = [], []
    for time in range(0, 200_000, 1_003):
        at = [movie.structure.positions_nm(sites, time + step) for step in (0.0, 1.0, 2.0)]
        steps = np.diff(at, axis=0)
        inside = (np.abs(steps) < 100).all((0, 2))  # less those that come back on the other side
        squares.append((steps[0, inside] ** 2).sum(-1).mean())
        jumps.append(np.abs(steps[1] - steps[0])[inside].max())
        assert (np.abs(at[0]) <= 6_400 + movie.structure.margin_nm).all()
    assert np.sqrt(np.mean(squares)) == pytest.approx(0.8, rel=0.05)
    assert max(jumps) < 0.02


def test_each_filament_has_a_velocity_of_its_own() -> None:
    filaments = Movie(Scene(speed_nm_per_frame=0.8, seed=9)).structure
    middle = np.arange(12) * filaments.sites_each + filaments.sites_each // 2
    velocity = filaments.positions_nm(middle, 1.0) - filaments.positions_nm(middle, 0.0)
    assert velocity.std(0).min() > 0.1


def test_listed_emitters_sit_on_the_filaments_of_their_frame() -> None:
    scene = Scene(height=30, width=30, filaments=3, speed_nm_per_frame=5, drift_nm_per_frame=(3, 2), seed=3)
    movie = Movie(scene)
    emitters = next(movie.emitters(400))[:, 1:3]
    sites = np.arange(movie.structure.sites)
    assert len(emitters) > 5
    assert nearest_nm(emitters, movie.structure.positions_nm(sites, 400.5)).max() < 1e-6
    assert nearest_nm(emitters, movie.structure.positions_nm(sites, 300.5)).max() > 50


def test_a_filament_is_as_thick_as_asked() -> None:
    thin, thick = (Movie(Scene(thickness_nm=t, seed=3)).structure for t in (0.0, 60.0))
    sites = np.arange(thin.sites)
    offset = thick.positions_nm(sites, 0.5) - thin.positions_nm(sites, 0.5)
    offset = np.linalg.norm(offset - np.round(offset / thin.world_nm) * thin.world_nm, axis=1)
    assert offset.max() == pytest.approx(30, abs=0.1)
    assert np.sqrt((offset**2).mean()) == pytest.approx(30 / np.sqrt(2), rel=0.02)  # a tube seen from above


def test_emitters_outside_the_field_shine_into_it_unlisted() -> None:
    scene = Scene(height=6, width=6, density=8, background_photons=0, photons=1e5, on_frames=0.5, seed=1)
    dark_inside = [int(pixels.max()) for pixels, emitters in simulate(scene, frames=400) if not len(emitters)]
    assert dark_inside
    assert max(dark_inside) > 1000


def test_photon_transfer_gives_the_gain_and_the_read_noise() -> None:
    scene = Scene(
        height=60, width=60, density=0, background_photons=50, gain_adu_per_electron=3,
        read_noise_electrons=2, seed=7, **STILL_CAMERA,
    )  # fmt: skip
    stack = np.stack([pixels for pixels, _ in simulate(scene, frames=400)]).astype(float)
    mean, variance = stack.mean(0).ravel() - 100, stack.var(0, ddof=1).ravel()
    assert mean.max() > 1.5 * mean.min()  # uneven enough to see a slope
    assert mean.mean() == pytest.approx(3 * 50, rel=0.01)
    slope, intercept = np.polyfit(mean, variance, 1)
    assert slope == pytest.approx(3, rel=0.04)
    assert intercept == pytest.approx((3 * 2) ** 2 + 1 / 12, abs=20)
    assert (variance / (3 * mean + 36 + 1 / 12)).mean() == pytest.approx(1, abs=0.01)


def test_camera_maps_are_in_the_dark_frames() -> None:
    scene = Scene(height=40, width=40, density=0, background_photons=0, offset_variation_adu=5, seed=7)
    movie = Movie(scene)
    dark = np.stack([pixels for pixels, _ in islice(movie.frames(), 300)]).astype(float)
    assert np.abs(dark.mean(0) - movie.camera.offset_adu).max() < 3
    assert movie.camera.offset_adu.std() == pytest.approx(5, rel=0.1)
    noise = movie.camera.read_noise_electrons * movie.camera.gain_adu_per_electron
    assert np.corrcoef(dark.std(0).ravel(), noise.ravel())[0, 1] > 0.95


def test_mean_frame_is_the_expected_one() -> None:
    scene = Scene(height=20, width=26, density=10, seed=12, **STILL_CAMERA)
    movie = Movie(scene)
    stack = np.mean([(pixels - 100.0) / 4 for pixels, _ in islice(movie.frames(), 2000)], axis=0)
    truth = np.concatenate(list(islice(movie.emitters(), 2000)))
    inner = movie.expected(0, truth[:, 1:3], truth[:, 3] / 2000)[6:-6, 6:-6]
    np.testing.assert_allclose(stack[6:-6, 6:-6], inner, atol=6 * np.sqrt(inner.max() / 2000))


def test_bright_pixels_are_clipped_at_saturation() -> None:
    scene = Scene(height=10, width=10, background_photons=3000, saturation_adu=4095)
    pixels, _ = next(simulate(scene))
    assert (pixels == 4095).all()
    pixels, _ = next(simulate(Scene(height=10, width=10, background_photons=1e6)))
    assert (pixels == 65_535).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("height", 0), ("width", 64.0), ("width", True), ("density", -1), ("density", float("nan")),
        ("photons", "many"), ("photons", None), ("on_frames", 0), ("psf_sigma_nm", float("inf")),
        ("flicker", 2), ("seed", -1), ("saturation_adu", 70_000), ("photon_spread", "gamma"),
        ("drift_nm_per_frame", 3.0), ("drift_nm_per_frame", (0.0, float("nan"))), ("density", 900),
    ],
)  # fmt: skip
def test_a_bad_value_names_its_field_and_gives_a_hint(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"^{field}: .*give") as caught:
        simulate(Scene(**{field: value}))
    assert caught.value.where == field


def test_half_an_airy_psf_is_refused() -> None:
    with pytest.raises(InputError, match=r"wavelength_nm: .*both"):
        Scene(na=1.4)


@pytest.mark.parametrize("bad", [{"start_frame": -1}, {"frames": -5}])
def test_a_movie_cannot_start_or_last_below_zero(bad: Any) -> None:
    with pytest.raises(InputError, match=next(iter(bad))):
        simulate(Scene(), **bad)


@pytest.mark.parametrize("motion", ["turning", "pulsing", "pausing", "parting"])
def test_other_motions_glide_without_jumps_at_their_mean_speed(motion: str) -> None:
    filaments = Movie(Scene(speed_nm_per_frame=0.8, motion=motion, seed=9)).structure
    middle = np.arange(12) * filaments.sites_each + filaments.sites_each // 2
    at = np.stack([filaments.positions_nm(middle, float(time)) for time in range(401)])
    steps = np.diff(at, axis=0)
    steps -= np.round(steps / filaments.world_nm) * filaments.world_nm
    speed = np.hypot(*np.moveaxis(steps, -1, 0))
    assert speed.max() < 1.7
    assert speed.mean() == pytest.approx(0.8, rel=0.02)


def test_emitters_moved_to_their_own_frame_are_those_listed_there() -> None:
    movie = Movie(Scene(height=24, width=24, speed_nm_per_frame=2.0, seed=3))
    np.testing.assert_array_equal(movie.emitters_moved_to(7, 7, 1), next(movie.emitters(7)))


def test_emitters_moved_to_a_later_frame_drift_along() -> None:
    movie = Movie(Scene(drift_nm_per_frame=(0.5, -0.25), seed=3))
    listed, moved = next(movie.emitters(7)), movie.emitters_moved_to(107, 7, 1)
    assert nearest_nm(moved[:, 1:3], listed[:, 1:3] + [50.0, -25.0]).max() < 1e-6 or len(moved) != len(listed)
    kept = nearest_nm(moved[:, 1:3], listed[:, 1:3] + [50.0, -25.0]) < 1e-6
    assert kept.mean() > 0.9
