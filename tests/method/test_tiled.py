"""The tiled model: its pictures are those of the whole field, and what it refuses."""

import os
import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from selfstorm.cli import cli
from selfstorm.compute.host_memory import return_freed_memory
from selfstorm.errors import InputError
from selfstorm.physics.camera import Camera
from selfstorm.physics.operators import Grid, LaggedCovariance
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene
from selfstorm.stages.covariances import window_statistics
from selfstorm.stages.density import density
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.engine import EngineWindow, StreamEngine
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.model_kinds import new_model
from selfstorm.stream.offline import ArrayFrames, reconstruct_movie
from selfstorm.stream.settings import Settings
from selfstorm.stream.tiled.board import Board
from selfstorm.stream.tiled.field import TiledField
from selfstorm.stream.tiled.plan import halo_px, side_that_fits, tiles_of
from selfstorm.stream.tiled.tile import LocalTiles, TileOperators, TileSettings

CPU = torch.device("cpu")
PSF = Gaussian(110.0)
SETTINGS = Settings(100.0, PSF, 100.0, 1.0, scale=2, estimate="density", quality="fast", tuning_steps=0)
SCENE = Scene(
    height=56,
    width=64,
    seed=3,
    density=0.6,
    photons=2000.0,
    gain_adu_per_electron=1.0,
    flicker=0.03,
    drift_nm_per_frame=(2.0, 1.0),
)
MAX_DIFFERENCE = 1e-3  # of the maximum, promised


@pytest.fixture(scope="module")
def raw():
    return np.stack([pixels for pixels, _ in simulate(SCENE, frames=100)])


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def engine(settings):
    return StreamEngine(lambda first_window: new_model(settings, first_window, Compute(CPU)))


def pictures(settings, raw, window=50, stride=25):
    return [result for _, result in reconstruct_movie(ArrayFrames(raw), engine(settings), window, stride)]


def apart(one, other):
    """Largest difference of two pictures, as a share of the maximum."""
    return float(np.abs(one - other).max() / one.max())


@pytest.mark.parametrize("field", [(56, 64), (70, 33), (16, 200)])
@pytest.mark.parametrize("side", [16, 40, 512])
def test_the_cores_of_the_tiles_partition_the_padded_grid(field, side):
    grid = Grid(*field, 2, 100.0)
    times = np.zeros(grid.cells, int)
    for tile in tiles_of(field, side, halo=18):
        times[tile.field_cells(2)] += 1
        assert max(axis.core.stop - axis.core.start for axis in (tile.y, tile.x)) <= side
        inner = np.zeros(tile.grid(grid).cells)[tile.cells(2)]
        assert inner.shape == times[tile.field_cells(2)].shape
    assert (times == 1).all()


def changed_by_rounding(operator, statistics, iterations):
    """Largest difference of the density where the last bits of the data are others."""
    whole, changes = density(operator, statistics, iterations).numpy(), []
    for seed in range(3):
        bits = torch.randint(-1, 2, statistics.covariance.shape, generator=torch.Generator().manual_seed(seed))
        rounded = replace(statistics, covariance=statistics.covariance * (1 + bits * 2**-23))
        changes.append(apart(whole, density(operator, rounded, iterations).numpy()))
    return max(changes)


@pytest.mark.parametrize(("iterations", "largest"), [(30, 2e-5), (50, 1e-4), (100, MAX_DIFFERENCE)])
def test_iterations_in_tiles_are_those_of_the_whole_field(raw, iterations, largest):
    """A hundred amplify rounding: the last bits of the data change the density of the whole field by up to 1e-3."""
    y = torch.as_tensor(raw[:60].astype(np.float32) - 100)
    statistics, grid, board = window_statistics(y), Grid(56, 64, 4, 100.0), Board()
    tiles = tiles_of((56, 64), 28, halo_px(PSF, 100.0))
    shared = TileSettings(grid, PSF, Camera(100.0, 1.0), np.inf, 2**24)
    field = TiledField(grid, tiles, [LocalTiles(tiles, shared, board, CPU)], board, CPU)
    field.begin(statistics)
    seen = field.density(iterations)
    operator = LaggedCovariance(PSF, grid, torch.zeros(()))
    whole, rounding = density(operator, statistics, iterations), changed_by_rounding(operator, statistics, iterations)
    assert apart(whole.numpy(), field.map().numpy()) < largest + rounding
    assert apart(operator.forward(whole).numpy(), seen.covariances.numpy()) < MAX_DIFFERENCE


@pytest.mark.parametrize("estimate", ["density", "emitters"])
def test_pictures_in_tiles_are_those_of_the_whole_field_window_after_window(raw, estimate):
    whole = replace(SETTINGS, estimate=estimate)
    tiled = replace(whole, model="tiled", tile_px=32)
    for one, other in zip(pictures(whole, raw[:75]), pictures(tiled, raw[:75]), strict=True):
        assert apart(one.picture, other.picture) < MAX_DIFFERENCE
        assert (one.state, one.iterations, one.memory, one.frames) == (
            other.state,
            other.iterations,
            other.memory,
            other.frames,
        )
        assert one.metrics["misfit"] == pytest.approx(other.metrics["misfit"], abs=1e-3)
        assert other.notes == (*one.notes, "Computed in 2 x 2 tiles of 28 x 32 pixels")


def test_another_scene_begins_anew_in_tiles_too(raw):
    other = np.stack([pixels for pixels, _ in simulate(replace(SCENE, seed=9), frames=50)])
    movie = np.concatenate([raw[:50], other])
    one, tiled = (pictures(replace(SETTINGS, model=model, tile_px=32), movie)[-1] for model in ("unrolled", "tiled"))
    assert any(note.startswith("Another scene since frame") for note in one.notes)
    assert tiled.notes[:-1] == one.notes
    assert apart(one.picture, tiled.picture) < MAX_DIFFERENCE


def test_a_window_that_is_tried_again_makes_the_same_picture(raw):
    """A copy of the model that failed leaves the frames of the others as they were."""
    frames = ArrayFrames(raw)
    windows = [
        EngineWindow(WindowSpan(np.arange(first, first + 40), first, 20), frames.frame_shape, frames.read)
        for first in (0, 20, 40)
    ]
    made = []
    for tried in (1, 2):
        tiled = engine(replace(SETTINGS, model="tiled", tile_px=32))
        for window in windows[:2]:
            tiled.reconstruct(window)
        before = tiled.model
        for _ in range(tried):
            tiled.go_on_from(before)
            tiled._last_number = 59
            last = tiled.reconstruct(windows[2]).result
        made.append(last.picture)
    assert np.array_equal(*made)


def test_tiles_share_what_grows_with_the_field():
    """The splines of a field of 2048 pixels, with a copy in each of 64 tiles, took 360 MB."""
    operators = TileOperators(PSF, torch.zeros(()))
    shared = [operators.splines(axis) for tile in tiles_of((200, 150), 50, 8) for axis in (tile.y, tile.x)]
    assert len({rows.untyped_storage().data_ptr() for rows in shared}) == 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library gives memory back by itself")
def test_memory_between_arrays_that_are_kept_is_given_back():
    def resident_bytes():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    arrays = [np.ones(8_000) for _ in range(1_000)]
    kept = arrays[::10]
    del arrays
    before = resident_bytes()
    return_freed_memory()
    assert resident_bytes() < before - 30e6
    assert len(kept) == 100


def test_the_sides_of_tiles_shrink_with_the_memory():
    grid = Grid(2048, 2048, 4, 100.0)
    assert [side_that_fits(grid, 18, free) for free in (None, 2**28, 2**27, 2**20)] == [256, 256, 128, 64]


def test_localizations_are_refused_before_a_frame_is_computed(raw, tmp_path):
    with pytest.raises(InputError, match="makes no localizations"):
        new_model(replace(SETTINGS, model="tiled", estimate="fused"), raw, Compute(CPU))
    movie = tmp_path / "movie.tif"
    movie.write_bytes(b"")
    for wrong, why in (
        (["--model", "tiled"], "This model makes --estimate density or emitters alone."),
        (["--tile-px", "64"], "--tile-px belongs to --model tiled."),
    ):
        refused = CliRunner().invoke(cli, ["reconstruct", str(movie), *wrong])
        assert refused.exit_code == 2
        assert why in refused.output
