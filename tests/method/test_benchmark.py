"""The classical methods do what they are for, pictures lie where the emitters are, the command writes its files."""

import json

import numpy as np
import pytest
import tifffile
import torch
from benchmarks import methods as benchmark_methods
from benchmarks.command import benchmark
from benchmarks.comparison import chosen_methods, run, truth_of
from benchmarks.figure import densest_part
from benchmarks.methods import METHODS, Task
from benchmarks.report import numbers, table
from click.testing import CliRunner
from skimage.io import imread

from selfstorm.baselines import classical as baselines
from selfstorm.commands.benchmark import benchmark as installed_benchmark
from selfstorm.commands.console import run as run_command
from selfstorm.compute.device import prepare_device
from selfstorm.errors import InputError
from selfstorm.physics.operators import Grid, Imaging
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import Scene, place, simulate
from selfstorm.simulation.spots import GaussianPsf
from selfstorm.stream.settings import Settings

PIXEL_NM, SIGMA_NM = 100.0, 110.0
SETTINGS = Settings(PIXEL_NM, Gaussian(SIGMA_NM), 100.0, 4.0, 4)
SIDE, HEIGHT = 20, 16
AT_NM = (783.0, 1127.0)  # in the middle of nothing: neither a cell's centre nor an edge
CLASSICAL = ("fista", "richardson-lucy", "sofi2", "std")


@pytest.fixture(autouse=True)
def _few_iterations(monkeypatch):
    """The defaults are for pictures; a lone emitter is found sooner."""
    monkeypatch.setattr(baselines.fista, "__defaults__", (150, baselines.FISTA_PENALTY))
    monkeypatch.setattr(baselines.richardson_lucy, "__defaults__", (150,))


def blinking_emitter(frames=24, photons=3000.0, background=20.0):
    """(T, H, W) ADU: one emitter, on every other frame, with shot noise; offset 100, gain 4."""
    rng = np.random.default_rng(5)
    y, x = (np.array([v]) for v in AT_NM)
    spot = place(y, x, np.array([photons]), (HEIGHT, SIDE), psf=GaussianPsf(SIGMA_NM), pixel_nm=PIXEL_NM)
    expected = background + spot * (np.arange(frames) % 2)[:, None, None]
    return np.rint(100 + 4 * rng.poisson(expected)).astype(np.uint16)


def photons(raw):
    return torch.as_tensor((raw.astype(np.float32) - 100) / 4)


def imaging(height=HEIGHT, width=SIDE):
    grid = Grid(height, width, 4, PIXEL_NM)
    return Imaging(Gaussian(SIGMA_NM), grid, torch.zeros(())), grid


def centre_nm(picture, pitch_nm, floor=0.2):
    """Centroid (y, x) of what is brighter than a share of the brightest."""
    bright = np.clip(picture - floor * picture.max(), 0, None)
    return np.array([(bright.sum(1 - a) * (np.arange(bright.shape[a]) + 0.5)).sum() / bright.sum() for a in (0, 1)]) * (
        pitch_nm
    )


def task_of(raw):
    return Task(raw, SETTINGS, prepare_device("cpu"), 1)


@pytest.mark.parametrize("method", CLASSICAL)
def test_a_lone_emitter_is_where_it_is(method):
    (made,) = METHODS[method](task_of(blinking_emitter()))
    assert made.picture.shape[0] * made.pitch_nm == HEIGHT * PIXEL_NM
    assert made.picture.shape[1] * made.pitch_nm == SIDE * PIXEL_NM
    # camera pixels are coarse and their noise is in the centroid; half a cell of the others is 12.5 nm
    tolerance = 12.0 if made.pitch_nm == PIXEL_NM else 6.0
    np.testing.assert_allclose(centre_nm(made.picture, made.pitch_nm), AT_NM, atol=tolerance)


def test_the_papers_model_enlarges_without_a_shift():
    untrained = next(made for made in METHODS["paper"](task_of(blinking_emitter())) if "no ridges" in made.label)
    assert untrained.pitch_nm == PIXEL_NM / 4
    np.testing.assert_allclose(
        centre_nm(untrained.picture, untrained.pitch_nm), AT_NM, atol=35.0
    )  # its boxes are whole camera pixels


def test_fista_lowers_its_objective_and_empties_pure_noise():
    operator, _ = imaging()
    y, flat = photons(blinking_emitter())[1:2], torch.full((HEIGHT, SIDE), 20.0)
    weight = baselines.shrinkage(operator, y)

    def objective(iterations):
        x = baselines.fista(operator, y, flat, iterations)
        return float(0.5 * ((operator.forward(x) + flat - y) ** 2).sum() + (weight * x).sum()), x

    (start, _), (middle, _), (end, x) = objective(0), objective(10), objective(150)
    assert start > middle > end
    assert x.min() >= 0
    # where the emitter is fitted well the penalty is paid and little else is left
    assert float(operator.forward(x).sum()) == pytest.approx(3000, rel=0.1)
    noise = torch.poisson(torch.full((4, HEIGHT, SIDE), 20.0), generator=torch.Generator().manual_seed(1))
    assert float(baselines.fista(operator, noise, flat, 150, penalty=5.0).sum()) == 0


def test_the_step_of_fista_is_the_operators_norm():
    operator, _ = imaging(8, 8)
    cells = operator.norm.numel()
    matrix = operator.forward(torch.eye(cells).reshape(cells, *operator.norm.shape)).reshape(cells, -1)
    exact = float(torch.linalg.matrix_norm(matrix, 2)) ** 2
    estimate = baselines.squared_norm(operator)
    assert exact / baselines.LIPSCHITZ_MARGIN < estimate <= exact * 1.0001


def test_richardson_lucy_is_nonnegative_and_keeps_the_photons():
    operator, _ = imaging()
    frame = photons(blinking_emitter(background=0.0)).mean(0).clamp(min=0)
    for iterations in (1, 20):
        x = baselines.richardson_lucy(operator, frame, torch.zeros_like(frame), iterations)
        assert x.min() >= 0
        assert float(operator.forward(x).sum()) == pytest.approx(float(frame.sum()), rel=1e-3)


def test_sofi_is_narrower_than_the_mean_and_blind_to_shot_noise():
    y = photons(blinking_emitter(frames=60))

    def width_nm(picture, pitch_nm):
        bright = np.clip(picture - 0.05 * picture.max(), 0, None)
        middle = centre_nm(picture, pitch_nm, floor=0.05)
        along = (np.arange(picture.shape[1]) + 0.5) * pitch_nm - middle[1]
        return float(np.sqrt((bright.sum(0) * along**2).sum() / bright.sum()))

    mean = (y.mean(0) - 20).numpy()
    assert width_nm(baselines.sofi2(y, 4), 25.0) < 0.8 * width_nm(mean, PIXEL_NM)
    steady = torch.poisson(torch.full((4000, 8, 8), 50.0), generator=torch.Generator().manual_seed(2))
    cross = baselines.sofi2(steady, 2)
    assert cross.max() < 0.2 * float(steady.var(0).mean())


def test_std_is_of_time():
    y = torch.tensor([1.0, 3.0])[:, None, None] * torch.tensor([[1.0, 2.0]])
    torch.testing.assert_close(baselines.temporal_std(y), torch.tensor([[2.0, 4.0]]) / 2**0.5)


def test_the_background_is_found_under_the_emitters():
    scene = Scene(height=32, width=32, density=2.0, seed=4)
    raw = np.stack([pixels for pixels, _ in simulate(scene, frames=40)])
    found = baselines.smooth_background(photons(raw))
    assert float(found.mean()) == pytest.approx(scene.background_photons, abs=4.0)


@pytest.fixture(scope="module")
def small_movie():
    scene = Scene(height=24, width=28, density=3.0, seed=3)
    shots = list(simulate(scene, frames=12))
    return np.stack([pixels for pixels, _ in shots]), np.concatenate([emitters for _, emitters in shots])


def test_scores_and_ratios_are_to_ours(small_movie):
    raw, truth = small_movie
    results = list(run(task_of(raw), truth, ["ours", "std"]))
    ours, *hurried, std = results
    assert ours.found is not None
    assert std.found is None
    figures = numbers(std, ours, len(raw))
    assert figures["time_to_ours"] == pytest.approx(std.made.took.seconds / ours.made.took.seconds)
    assert figures["pearson_minus_ours"] == pytest.approx(std.score.pearson - ours.score.pearson)
    assert figures["cpu_seconds"] == std.made.took.cpu_seconds
    assert figures["frames_per_second"] == pytest.approx(12 / std.made.took.seconds)
    assert figures["jaccard"] is None
    assert numbers(std, None, 12)["time_to_ours"] is None
    names = ["ours", "ours, fast", "ours, fast, emitters alone", "ours, fast, density alone", "temporal std"]
    assert [row[0] for row in table(results, 12)] == ["method", *names]
    assert [made.localizations is None for made in (result.made for result in hurried)] == [False, True, True]


def test_a_picture_without_structure_is_a_result_without_scores(small_movie, monkeypatch):
    raw, truth = small_movie
    monkeypatch.setattr(benchmark_methods, "temporal_std", lambda y: torch.zeros_like(y[0]))
    (result,) = run(task_of(raw), truth, ["std"])
    assert result.score is None
    assert numbers(result, None, len(raw))["pearson"] is None


def test_the_enlarged_part_is_the_crowded_one_and_inside():
    yx_nm = np.concatenate([np.full((50, 2), [90.0, 1950.0]), np.random.default_rng(0).uniform(0, 1000, (20, 2))])
    top, left, side = densest_part(yx_nm, (1000.0, 2000.0))
    assert side == 250
    assert top == pytest.approx(0, abs=32)  # searched in eighths of the side
    assert left == pytest.approx(1750, abs=32)


def write_movie(folder, small_movie):
    raw, truth = small_movie
    movie, emitters = folder / "movie.tif", folder / "truth.csv"
    tifffile.imwrite(movie, raw, photometric="minisblack")
    np.savetxt(emitters, truth[:, :3], "%.3f", ",", header="frame,y_nm,x_nm", comments="")
    return ["--truth", str(emitters), "--pixel-nm", "100", "--scale", "4", "--device", "cpu", str(movie)]


def test_the_command_writes_three_files(tmp_path, small_movie):
    given = write_movie(tmp_path, small_movie)
    out = tmp_path / "new" / "folder"
    asked = ["--methods", "ours,paper,sofi2,widefield", "--paper-epochs", "1", "--frames", "10", "-o", str(out)]
    done = CliRunner().invoke(benchmark, [*given, *asked, "--psf-sigma-nm", "110"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in out.iterdir()) == ["benchmark.json", "benchmark.md", "benchmark.png"]
    record = json.loads((out / "benchmark.json").read_text())
    assert record["movie"]["name"] == "movie.tif"
    assert len(record["movie"]["sha256"]) == 64
    assert (record["movie"]["frames"], record["movie"]["height"], record["movie"]["width"]) == (10, 24, 28)
    assert {"python", "numpy", "torch", "selfstorm", "platform", "cpu", "threads", "device"} <= set(
        record["environment"]
    )
    assert record["settings"]["paper_epochs"] == 1
    labels = [result["label"] for result in record["results"]]
    assert labels == [
        "ours",
        "ours, fast",
        "ours, fast, emitters alone",
        "ours, fast, density alone",
        "paper, untrained",
        "paper, untrained, no ridges",
        "paper, 1 epoch",
        "paper, 1 epoch, no ridges",
        "SOFI2",
        "widefield",
    ]
    assert record["results"][0]["jaccard"] is not None
    assert all(result["seconds"] > 0 and -1 <= result["pearson"] <= 1 for result in record["results"])
    page = (out / "benchmark.md").read_text()
    assert all(f"| {label} |" in page and f"**{label}**" in page for label in labels)
    assert all(label in done.output for label in labels)
    picture = imread(out / "benchmark.png")
    assert min(picture.shape[:2]) > 200
    assert picture[..., :3].std() > 10


def test_without_a_movie_one_is_simulated(tmp_path):
    asked = ["--methods", "widefield", "--scene", "dim", "--frames", "8", "--device", "cpu", "-o", str(tmp_path)]
    done = CliRunner().invoke(benchmark, asked, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "benchmark.json").read_text())
    assert record["movie"]["name"] == "simulated, dim"
    assert record["movie"]["scene"]["density"] == 3.0
    assert record["results"][0]["pearson"] > 0.2


@pytest.mark.parametrize(
    ("names", "said"), [("ours,sofi", "did you mean 'sofi2'?"), ("magic", "choose from ours"), (" ,", "no method")]
)
def test_an_unknown_method_is_told_with_those_there_are(names, said):
    with pytest.raises(InputError) as told:
        chosen_methods(names)
    assert said in str(told.value)


def test_methods_are_chosen_once_and_in_order():
    assert chosen_methods("std, ours,std") == ["ours", "std"]
    assert chosen_methods("all") == list(METHODS)


def test_truth_of_other_frames_is_refused(small_movie):
    _, truth = small_movie
    assert truth_of(truth, 3, "x")[:, 0].max() == 2
    with pytest.raises(InputError, match="no emitter in frames 0 to 2"):
        truth_of(truth[truth[:, 0] > 5], 3, "x")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["movie.tif"], "give its --truth"),
        (["--pixel-nm", "100"], "belong to a MOVIE"),
        (["nowhere.tif", "--truth", "t.csv"], "no such file"),
        (["--methods", "x"], "no method 'x'"),
    ],
)
def test_a_mistake_is_one_line(asked, said, capsys):
    with pytest.raises(SystemExit) as left:
        run_command(benchmark, [*asked, "--device", "cpu"])
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error


@pytest.mark.parametrize("sides", ["", "64,", "sixty", "8", "100000"])
def test_the_live_engines_benchmark_refuses_sides_that_are_none(sides, tmp_path):
    refused = CliRunner().invoke(benchmark, ["--stream", "--sides", sides, "-o", str(tmp_path / "out")])
    assert refused.exit_code == 2
    assert "--sides takes numbers of pixels" in refused.output
    assert not (tmp_path / "out").exists()


def test_without_the_source_tree_the_benchmark_says_where_it_is(monkeypatch, tmp_path):
    monkeypatch.setattr("selfstorm.commands.benchmark.TOOLS", tmp_path)
    for arguments in (["--help"], ["movie.tif"]):
        with pytest.raises(InputError, match="not part of the installed package") as refused:
            installed_benchmark.main(arguments, standalone_mode=False)
        assert "source tree" in (refused.value.hint or "")
