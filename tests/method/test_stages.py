"""What operations cost is counted right, and the benchmark of the stages writes what it measured."""

import json

import pytest
import torch
from benchmarks.command import benchmark
from benchmarks.roofline import Ceilings, StageCost
from benchmarks.tally import Tally
from click.testing import CliRunner
from skimage.io import imread
from torch.utils.flop_counter import FlopCounterMode

from selfstorm.physics.operators import Grid, Imaging, LaggedCovariance
from selfstorm.psf.models import Airy, Gaussian
from selfstorm.stages.covariances import window_statistics
from selfstorm.stages.density import density
from selfstorm.stages.emitters import EmitterSettings, emitter_maps
from selfstorm.stages.pipeline import STAGES

LIKE = torch.zeros(())
FRAMES, HEIGHT, WIDTH = 6, 40, 48


def layers_of(imaging, y, count):
    prior, start = torch.ones(imaging.grid.cells), torch.ones(len(y), 1, 1)
    return emitter_maps(imaging, y, prior, start, y, EmitterSettings(count, 0.3, 0.1))


def counted(work):
    with Tally() as tally:
        work()
    return tally


@pytest.mark.parametrize("psf", [Gaussian(110.0), Airy(1.4, 680.0)], ids=lambda psf: type(psf).__name__)
@pytest.mark.parametrize("height", [HEIGHT, 110])  # one dense block, and several
def test_products_of_an_iteration_are_counted_as_torch_counts_them(psf, height):
    grid = Grid(height, WIDTH, 4, 100.0)
    imaging, covariance = Imaging(psf, grid, LIKE), LaggedCovariance(psf, grid, LIKE)
    y = 5 + torch.rand(FRAMES, height, WIDTH)
    with torch.inference_mode():
        statistics = window_statistics(y)
        for work in (lambda: layers_of(imaging, y, 2), lambda: density(covariance, statistics, 2)):
            with FlopCounterMode(display=False) as torchs:
                work()
            ours = counted(work)
            assert ours.flops == torchs.get_total_flops() > 0


def test_a_layer_of_stage_b_is_counted_by_hand():
    """Four products of a Gaussian's bands; every map is read or written by hand too."""
    grid = Grid(HEIGHT, WIDTH, 4, 100.0)
    (rows, columns), imaging = grid.cells, Imaging(Gaussian(110.0), grid, LIKE)
    y = 5 + torch.rand(FRAMES, HEIGHT, WIDTH)
    with torch.inference_mode():
        two, three = (counted(lambda count=count: layers_of(imaging, y, count)) for count in (2, 3))
    products = 2 * 2 * (HEIGHT * rows * columns + HEIGHT * columns * WIDTH) * FRAMES
    assert three.flops - two.flops == products
    maps, frames, between = (4 * FRAMES * n for n in (rows * columns, HEIGHT * WIDTH, HEIGHT * columns))
    one_map, bands = 4 * rows * columns, 4 * 2 * (HEIGHT * rows + WIDTH * columns)
    # products read and write; caught: 2 maps; clamp: 2; sqrt: 2; q *: 3; q *= x: 3; *= kept, which is made in the first
    # half of the layers: 2; caught and kept of one frame; frames: + background 3, / 3, clamp 2
    moved = 4 * between + 2 * maps + 2 * frames + bands + 14 * maps + 2 * one_map + 8 * frames
    assert three.bytes - two.bytes == pytest.approx(moved, rel=0.02)


def test_views_are_free_and_what_is_repeated_is_read_once():
    z = torch.ones(8, 16)
    assert counted(lambda: z.T.reshape(16, 8)[2:].view(-1, 8)[None]).bytes == 0
    wide = torch.ones(1, 16).expand(8, 16)
    assert counted(lambda: z + wide).bytes == 4 * (128 + 16 + 128)
    assert counted(lambda: z.mul_(2.0)).bytes == 4 * 2 * 128
    assert counted(lambda: torch.fft.fft(torch.ones(4, 8, dtype=torch.complex64))).flops == 5 * 32 * 3
    with torch.enable_grad():  # what a gradient costs is seen too
        weight = torch.ones(8, 8, requires_grad=True)
        assert counted(lambda: (weight @ torch.ones(8, 8)).sum().backward()).flops == 2 * 2 * 8**3


def test_the_limit_is_the_slower_ceiling():
    ceilings = Ceilings(copy_bytes_s=1e9, product_flops_s=1e10)
    cost = StageCost(64, "A", "layer", seconds=0.01, flops=2e7, bytes=5e6)
    assert cost.limit_seconds(ceilings) == pytest.approx(5e-3)
    assert cost.share(ceilings) == pytest.approx(0.5)


def test_the_command_writes_three_files(tmp_path):
    asked = ["--stages", "--sides", "16,24", "--frames", "20", "--device", "cpu", "-o", str(tmp_path)]
    done = CliRunner().invoke(benchmark, asked, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stages.json", "stages.md", "stages.png"]
    record = json.loads((tmp_path / "stages.json").read_text())
    assert record["ceilings"]["copy_bytes_s"] > 1e8
    assert [(cost["side_px"], cost["frames"]) for cost in record["windows"]] == [(16, 20), (24, 20)]
    assert [cost["paper_s"] is None for cost in record["windows"]] == [False, True]
    assert {cost["stage"] for cost in record["stages"]} == {"fine-tuning, on the CPU"} | {one.name for one in STAGES}
    assert all(cost["seconds"] > 0 and cost["bytes"] > 0 for cost in record["stages"])
    multiplied = {cost["stage"] for cost in record["stages"] if cost["flops"] > 0}
    assert multiplied >= {"density", "emitters", "localizations", "out of focus", "fine-tuning, on the CPU"}
    assert "bound by" in (tmp_path / "stages.md").read_text()
    assert imread(tmp_path / "stages.png")[..., :3].std() > 10


def test_rates_that_are_none_are_refused():
    refused = CliRunner().invoke(benchmark, ["--stream", "--rates", "fast"])
    assert refused.exit_code == 2
    assert "--rates takes frames a second" in refused.output
