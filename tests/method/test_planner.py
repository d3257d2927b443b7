"""What a window takes is counted before it is taken, and a window that has less room makes the same picture."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from allocated import Allocated
from streams import learned, movie_windows

from selfstorm.compute.batching import DEVICE_EMITTERS, DEVICE_MAP_BYTES, MIN_MAP_BYTES, BatchLimits
from selfstorm.compute.device import prepare_device
from selfstorm.errors import InputError
from selfstorm.physics.operators import Grid, Imaging, LaggedCovariance
from selfstorm.psf.models import Airy, Ellipse, Gaussian
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene
from selfstorm.stages.candidates import CANDIDATES, candidates
from selfstorm.stages.covariances import STATISTICS, window_statistics
from selfstorm.stages.density import DENSITY, density
from selfstorm.stages.emitters import EMITTERS, EmitterSettings, emitter_maps
from selfstorm.stages.localization import LOCALIZATION, localize
from selfstorm.stages.out_of_focus import OUT_OF_FOCUS
from selfstorm.stages.rendering import RENDERING, render
from selfstorm.stages.stage import Batch
from selfstorm.stream import memory_plan as planner
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.memory_plan import COUNTED_WITHIN, plan
from selfstorm.stream.offline import check_memory
from selfstorm.stream.settings import Settings

CPU = prepare_device("cpu")
LIKE = torch.zeros(())
OPTICS = (Gaussian(110.0), Airy(1.4, 680.0), Ellipse(150.0, 100.0, 30.0))
FIELDS = ((48, 64), (112, 128), (100, 300))  # one dense block each way; several; both
FEW_ITERATIONS = EmitterSettings(2, 0.2, 0.1)
SETTINGS = Settings(100.0, Gaussian(110.0), 100.0, 4.0, quality="fast", tuning_steps=0)


def about(counted, taken):
    """A count may be too careful; it is not to be too low by more than chance."""
    assert taken / 1.1 < counted < COUNTED_WITHIN * taken


def batch_of(model, frames, emitters, new, map_bytes):
    operators = model.learned.operators
    return Batch(operators.imaging, operators.covariance, frames, emitters, new, map_bytes)


@pytest.fixture(scope="module")
def raw():
    scene = Scene(height=32, width=36, filaments=6, density=4.0, photons=1500.0, seed=6)
    return np.stack([pixels for pixels, _ in simulate(scene, frames=60)])


def picture(raw, limits=None, estimate="emitters"):
    model = learned(replace(SETTINGS, estimate=estimate), raw, CPU)
    model.compute.limits = limits or model.compute.limits
    (result,) = movie_windows(raw, model, len(raw), len(raw))
    return model, result


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("psf", OPTICS, ids=lambda psf: type(psf).__name__)
def test_what_stages_a_and_b_take_is_what_was_counted(psf, field):
    grid, frames = Grid(*field, 4, 100.0), 4
    imaging, covariance = Imaging(psf, grid, LIKE), LaggedCovariance(psf, grid, LIKE)
    batch = Batch(imaging, covariance, frames, 0, frames, 2**24)
    y = 10 + torch.rand(frames, *field)
    with torch.inference_mode():
        statistics = window_statistics(y)
        with Allocated() as stage_b:
            maps = emitter_maps(imaging, y, torch.rand(grid.cells), torch.ones(frames, 1, 1), y, FEW_ITERATIONS)
        about(EMITTERS.bytes(batch), stage_b.peak)
        with Allocated() as search:
            candidates(maps, grid)
        about(CANDIDATES.bytes(batch), search.peak + maps.numel() * 4)
        with Allocated() as stage_a:
            density(covariance, statistics, 4)
        about(DENSITY.bytes(batch), stage_a.peak)


def test_what_watching_takes_is_what_was_counted(raw):
    wide = np.tile(raw, (2, 3, 3))
    model = learned(SETTINGS, wide, CPU)
    for first, last in ((0, 60), (60, 80), (80, 120)):
        with Allocated() as taken:
            model.ingest(wide[first:last], WindowSpan(np.arange(first, last), 0, 20))
        batch = Batch(
            model.learned.operators.imaging,
            model.learned.operators.covariance,
            1,
            0,
            last - first,
            model.compute.limits.map_bytes,
        )
        counted = max(STATISTICS.bytes(batch), OUT_OF_FOCUS.bytes(batch))
        if first:
            about(counted, taken.peak)
        else:  # no frames before them
            assert counted > taken.peak / 1.1


def test_what_fitting_takes_is_what_was_counted(raw, monkeypatch):
    groups = []

    def spied(y, begin, *more):
        with Allocated() as taken:
            found = localize(y, begin, *more)
        groups.append((len(begin.frame), len(y), taken.peak))
        return found

    monkeypatch.setattr("selfstorm.stream.searched_frames.localize", spied)
    model, _ = picture(raw, estimate="fused")
    emitters, frames, taken = max(groups)
    assert emitters > 1000
    about(
        LOCALIZATION.bytes(batch_of(model, frames, emitters, frames, 2**24)),
        taken,
    )


def test_what_drawing_takes_is_what_was_counted(raw):
    model, result = picture(np.tile(raw, (1, 3, 3)), estimate="fused")
    found, flat = result.localizations, torch.ones(model.learned.grid.cells)
    assert len(found) > 1000
    with Allocated() as taken:
        render(found, flat, model.learned.grid, len(raw))
    about(
        RENDERING.bytes(batch_of(model, 1, 0, 1, 2**24)),
        taken.peak,
    )


@pytest.mark.parametrize("psf", OPTICS, ids=lambda psf: type(psf).__name__)
def test_the_matrices_are_counted_exactly(psf):
    grid = Grid(100, 60, 4, 100.0)
    operators = Imaging(psf, grid, LIKE), LaggedCovariance(psf, grid, LIKE)
    held = {
        matrix.untyped_storage().data_ptr(): matrix.untyped_storage().nbytes()
        for one in operators
        for band in (one.separable.y_down, one.separable.y_up, one.separable.x_down, one.separable.x_up)
        for _, matrix in band._blocks
    }
    assert sum(one.separable.bytes for one in operators) == sum(held.values())


def planned(free, frames=100, field=(512, 512), most=None):
    grid = Grid(*field, 4, 100.0)
    imaging, covariance = Imaging(SETTINGS.psf, grid, LIKE), LaggedCovariance(SETTINGS.psf, grid, LIKE)
    return plan(imaging, covariance, frames, most or BatchLimits(DEVICE_MAP_BYTES, DEVICE_EMITTERS), free)


def test_less_is_done_at_once_where_less_is_free():
    plenty, some, short = planned(80 * 2**30), planned(4 * 2**30), planned(2**20)
    assert plenty.limits == BatchLimits(DEVICE_MAP_BYTES, DEVICE_EMITTERS)
    assert plenty.limits.map_bytes > some.limits.map_bytes > short.limits.map_bytes == MIN_MAP_BYTES
    assert some.peak <= planner.FREE_SHARE * some.free
    assert (plenty.fits, some.fits, short.fits) == (True, True, False)
    assert planned(None).limits == plenty.limits
    assert planned(4 * 2**30 + 2**20).limits == some.limits  # a little more free: the same batches, the same picture


def test_room_is_left_for_graphs_but_a_window_fits_without(monkeypatch):
    grid = Grid(256, 256, 4, 100.0)
    imaging, covariance = Imaging(SETTINGS.psf, grid, LIKE), LaggedCovariance(SETTINGS.psf, grid, LIKE)
    most = BatchLimits(DEVICE_MAP_BYTES, DEVICE_EMITTERS)
    needed = plan(imaging, covariance, 100, most, None).peak
    batch = Batch(imaging, covariance, 100, most.emitters, 100, most.map_bytes)
    graphs = planner.graph_bytes(batch)
    assert 0 < graphs < planner.LARGE_GRAPHS * 6 * planner.MAX_GRAPH_BYTES
    tight = plan(imaging, covariance, 100, most, round(needed / planner.FREE_SHARE) + 1)
    assert tight.limits.map_bytes < most.map_bytes
    assert plan(imaging, covariance, 100, most, round((needed + graphs) / planner.FREE_SHARE) + 1).limits == most
    assert plan(imaging, covariance, 100, tight.limits, tight.peak).fits
    monkeypatch.setattr(planner, "MAX_GRAPH_BYTES", 2**20)  # no graphs of maps as large as these
    assert planner.graph_bytes(batch) == 0


def test_a_window_that_has_less_room_makes_the_same_picture(raw):
    """Frames do not know who is in their batch: all that differs is how matrix products are rounded."""
    _, whole = picture(raw, estimate="fused")
    _, small = picture(raw, BatchLimits(map_bytes=MIN_MAP_BYTES, emitters=100), estimate="fused")
    assert np.abs(small.picture - whole.picture).max() < 1e-4 * whole.picture.max()
    assert abs(len(small.localizations) - len(whole.localizations)) <= 2


def test_free_memory_is_asked_for_at_the_window(raw, monkeypatch):
    asked = []
    monkeypatch.setattr("selfstorm.stream.per_frame.free_bytes", lambda device: asked.append(device) or 2**20)
    together = []
    real = emitter_maps
    monkeypatch.setattr(
        "selfstorm.stream.searched_frames.emitter_maps",
        lambda imaging, y, *more: together.append(len(y)) or real(imaging, y, *more),
    )
    model, _ = picture(raw)
    assert asked
    assert max(together) < 6
    assert model.compute.limits == BatchLimits()  # short for this window alone, not from now on


class NoMemory:
    """Raises as a device does for more than so many frames at once."""

    def __init__(self, monkeypatch, frames, error):
        self.asked, real = [], emitter_maps

        def maps(imaging, y, *more):
            self.asked.append(len(y))
            if len(y) > frames:
                raise error
            return real(imaging, y, *more)

        monkeypatch.setattr("selfstorm.stream.searched_frames.emitter_maps", maps)


def test_offline_goes_on_with_half_as_much_where_memory_ends(raw, monkeypatch):
    _, whole = picture(raw)
    short = NoMemory(monkeypatch, 9, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."))
    model, small = picture(raw)
    assert max(short.asked) > 9
    assert short.asked[-1] <= 9
    assert sum(asked for asked in short.asked if asked <= 9) == len(raw)  # nothing is done twice
    assert model.compute.limits.map_bytes < BatchLimits().map_bytes
    assert np.abs(small.picture - whole.picture).max() < 1e-4 * whole.picture.max()


def test_other_faults_are_not_taken_for_memory_and_nothing_is_tried_for_ever(raw, monkeypatch):
    other = NoMemory(monkeypatch, 0, RuntimeError("an illegal memory access was encountered"))
    with pytest.raises(RuntimeError, match="illegal"):
        picture(raw)
    assert len(other.asked) == 1
    never = NoMemory(monkeypatch, 0, torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(InputError, match="no memory for 60 frames of this field"):
        picture(raw)
    assert never.asked[-1] < never.asked[0]


def test_a_window_that_cannot_fit_is_refused_in_words_before_it_is_begun(raw, monkeypatch):
    model = learned(SETTINGS, raw, CPU)
    check_memory(model, 60)
    monkeypatch.setattr("selfstorm.stream.unrolled_stream.free_bytes", lambda device: 2**20)
    with pytest.raises(InputError, match=r"0\.0 GiB of its memory are free, 60 frames of this field take 0\.\d"):
        check_memory(model, 60)


def test_groups_of_emitters_are_as_large_as_planned(raw, monkeypatch):
    """On a card whose memory is counted; a frame that holds more on its own is a group."""
    groups, limit = [], 60

    def spied(y, begin, *more):
        groups.append((len(y), len(begin.frame)))
        return localize(y, begin, *more)

    monkeypatch.setattr("selfstorm.stream.searched_frames.localize", spied)
    _, unbounded = picture(raw, BatchLimits(emitters=limit), estimate="fused")
    assert max(count for frames, count in groups if frames > 1) > limit
    whole, groups[:] = sum(count for _, count in groups), []
    monkeypatch.setattr(Compute, "max_group", property(lambda self: self.planned.emitters))
    _, bounded = picture(raw, BatchLimits(emitters=limit), estimate="fused")
    assert max(count for frames, count in groups if frames > 1) <= limit
    assert sum(count for _, count in groups) == whole
    assert np.abs(bounded.picture - unbounded.picture).max() < 1e-4 * unbounded.picture.max()
    numbers = bounded.localizations.frame
    assert (numbers[1:] >= numbers[:-1]).all()


def test_where_memory_ends_in_a_group_it_is_halved_and_no_frame_is_lost(raw, monkeypatch):
    groups = []

    def short(y, begin, *more):
        if len(begin.frame) > 100:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        groups.append((len(y), len(begin.frame)))
        return localize(y, begin, *more)

    _, whole = picture(raw, BatchLimits(emitters=400), estimate="fused")
    monkeypatch.setattr("selfstorm.stream.searched_frames.localize", short)
    model, small = picture(raw, BatchLimits(emitters=400), estimate="fused")
    assert groups
    assert set(small.localizations.frame.tolist()) == set(whole.localizations.frame.tolist())
    assert model.compute.limits.emitters <= 100
    assert np.abs(small.picture - whole.picture).max() < 1e-4 * whole.picture.max()
