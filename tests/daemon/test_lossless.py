"""The live daemon and the offline command are one method: same movie, same settings, same pictures bit for bit."""

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from daemon_process import DAEMON, SELFSTORM, command, free_ports, within, write_config
from safetensors.torch import load_file

from selfstorm.io.ome_tiff import read_pictures
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene

FRAMES, HEIGHT, WIDTH = 160, 24, 28
DATA = Path(__file__).parents[3] / "shared" / "data"
LONG = {"window": 140, "stride": 20}  # more than the live daemon takes in at once
SHORT = {"window": 40, "stride": 120}
GIVEN = {
    "config": {"optics": {"psf_sigma_nm": 110.0}, "camera": {"offset_adu": 100.0, "gain_adu_per_electron": 4.0}},
    "flags": ["--psf-sigma-nm", 110, "--offset-adu", 100, "--gain", 4],
    "method": {"scale": 4, "estimate": "fused", "quality": "fast", **LONG},
}
LEARNED = {
    "config": {"camera": {}},
    "flags": [],
    "method": {"scale": 2, "estimate": "emitters", "quality": "best", **LONG},
}
PAPER = {"config": {"camera": {}}, "flags": [], "method": {"scale": 2, "model": "paper", **SHORT}}


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    path = tmp_path_factory.mktemp("movie") / "movie.tif"
    scene = Scene(height=HEIGHT, width=WIDTH, filaments=5, seed=11)
    frames = np.stack([pixels for pixels, _ in simulate(scene, frames=FRAMES)])
    tifffile.imwrite(path, frames, photometric="minisblack", metadata=None)
    return path


def live(folder, movie, chosen):
    ports = {name: f"tcp://127.0.0.1:{port}" for name, port in zip(("results", "control"), free_ports(2), strict=True)}
    config = chosen["config"] | {
        "camera": chosen["config"]["camera"] | {"pixel_nm": 100.0},
        "reconstruction": {"device": "cpu", **chosen["method"]},
        "server": ports,
    }
    path = write_config(folder / "daemon.toml", config)
    line = [*DAEMON, "run", path, "--source", f"replay:{movie}", "--lossless", "--save", folder / "live.ome.tif"]
    line += [*tabled(folder / "live.csv", chosen), *kept("--checkpoint", folder / "live.model", chosen)]
    return command([*line, *kept("--accumulated", folder / "live-accumulated.ome.tif", chosen)])


def tabled(path, chosen):
    """Localizations come with the fused estimate alone."""
    return ["--localizations", path] if chosen["method"].get("estimate") == "fused" else []


def kept(flag, path, chosen):
    """Accumulated pictures come with localizations, and are in the model too."""
    return [flag, path] if chosen["method"].get("estimate") == "fused" else []


def offline(folder, movie, chosen, capfd):
    method = [word for name, value in chosen["method"].items() for word in (f"--{name}", value)]
    line = [*SELFSTORM, "reconstruct", movie, "-o", folder / "offline.ome.tif", "--pixel-nm", 100, "--device", "cpu"]
    line += [*method, *chosen["flags"], *tabled(folder / "offline.csv", chosen)]
    line += kept("--save-model", folder / "offline.model", chosen)
    return within([*line, *kept("--accumulated", folder / "accumulated.ome.tif", chosen)], capfd)


@pytest.mark.parametrize(
    "chosen", [GIVEN, LEARNED, PAPER], ids=["all settings given", "all but the pixel learned", "the paper's model"]
)
def test_live_and_offline_give_the_same_bits(tmp_path, movie, chosen, capfd):
    daemon, cli = live(tmp_path, movie, chosen), offline(tmp_path, movie, chosen, capfd)
    assert (daemon.returncode, cli.returncode) == (0, 0), daemon.stderr + cli.stderr
    ours, theirs = (read_pictures(tmp_path / f"{how}.ome.tif") for how in ("live", "offline"))
    window, stride = chosen["method"]["window"], chosen["method"]["stride"]
    windows = (FRAMES - window) // stride + 1
    assert ours.pictures.shape == (windows, HEIGHT * chosen["method"]["scale"], WIDTH * chosen["method"]["scale"])
    np.testing.assert_array_equal(ours.pictures, theirs.pictures, strict=True)
    tables = [path.read_bytes() for path in sorted(tmp_path.glob("*.csv"))]
    assert len(tables) == 2 * bool(tabled(None, chosen))
    assert len(set(tables)) <= 1  # each frame once, though the windows overlap
    if tables:
        check_accumulated(tmp_path, chosen["method"]["scale"])
    assert ours.pixel_nm == theirs.pixel_nm == 100 / chosen["method"]["scale"]
    for record, other in zip(ours.records, theirs.records, strict=True):
        assert (record["first_seq"], record["last_seq"]) == (other["first_frame"], other["last_frame"])
        assert (record["optics"], record["camera"]) == (other["optics"], other["camera"])
    assert re.search(rf"sent {FRAMES} = received {FRAMES} \+ missing 0$", daemon.stdout, re.M), daemon.stdout
    assert f"complete {windows}: published {windows}, skipped 0, failed 0" in daemon.stdout


def check_accumulated(folder, scale):
    """The accumulated picture is the same, in the daemon's checkpoint and file and in what offline saves."""
    ours, theirs = (load_file(folder / f"{how}.model") for how in ("live", "offline"))
    names = {name for name in theirs if name.startswith("accumulated.")}
    assert names == {name for name in ours if name.startswith("accumulated.")} != set()
    assert all(torch.equal(ours[name], theirs[name]) for name in names)
    (picture,) = read_pictures(folder / "accumulated.ome.tif").pictures
    (live_one,) = read_pictures(folder / "live-accumulated.ome.tif").pictures
    np.testing.assert_array_equal(picture, live_one, strict=True)
    assert picture.shape == (HEIGHT * scale, WIDTH * scale)
    assert picture.any()


def scene(frames, seed):
    shots = simulate(Scene(height=HEIGHT, width=WIDTH, filaments=5, seed=seed), frames=frames)
    return np.stack([pixels for pixels, _ in shots])


def drifting():
    """A sample that moves by a tenth of a pixel in ten frames."""
    there = Scene(
        height=24, width=28, filaments=4, seed=11, density=6.0, on_frames=0.5, photons=2_500.0,
        drift_nm_per_frame=(0.9, -0.6),
    )  # fmt: skip
    return np.stack([pixels for pixels, _ in simulate(there, frames=140)])


def disturbed():
    """A movie with a flash, dark frames, stripes of the readout, and then another scene."""
    first = scene(140, seed=11)
    first[30] = 4000
    first[100:120, :, ::2] += 300
    dark = np.random.default_rng(1).poisson(100, (62, *first.shape[1:])).astype(np.uint16)
    return np.concatenate([first[:60], dark, first[60:], scene(78, seed=12)])


def recorded(name, frames, side=32):
    """The middle of the first frames of a real movie."""
    raw = tifffile.imread(DATA / name)[:frames]
    y, x = ((size - side) // 2 for size in raw.shape[1:])
    return raw[:, y : y + side, x : x + side]


HARD = {
    "disturbances": (disturbed, {"window": 40, "stride": 20}, {"cold", "warm", "rolled back", "scene changed"}),
    "a sample that drifts": (
        drifting,
        {"window": 100, "stride": 20, "estimate": "fused"},
        {"cold", "warm"},
    ),
    "a real movie that bleaches": (
        lambda: recorded("real_3b_300.tif", 300),
        {"window": 100, "stride": 50},
        {"cold", "warm"},
    ),
    "a real movie of moving mitochondria": (
        lambda: recorded("real_mito_50.tif", 50),
        {"window": 20, "stride": 10},
        {"cold", "warm"},
    ),
}


@pytest.mark.parametrize("name", HARD)
def test_live_and_offline_decide_the_same_where_windows_are_hard(tmp_path, name, capfd):
    if name.startswith("a real") and not DATA.is_dir():
        pytest.skip("no ../shared/data beside the repository")
    make, windows, states = HARD[name]
    movie = tmp_path / "movie.tif"
    tifffile.imwrite(movie, make(), photometric="minisblack", metadata=None)
    chosen = {
        "config": {"camera": {}},
        "flags": [],
        "method": {"scale": 2, "estimate": "emitters", "quality": "fast", **windows},
    }
    daemon, cli = live(tmp_path, movie, chosen), offline(tmp_path, movie, chosen, capfd)
    assert (daemon.returncode, cli.returncode) == (0, 0), daemon.stderr + cli.stderr
    ours, theirs = (read_pictures(tmp_path / f"{how}.ome.tif") for how in ("live", "offline"))
    np.testing.assert_array_equal(ours.pictures, theirs.pictures, strict=True)
    assert [one["first_seq"] for one in ours.records] == [one["first_frame"] for one in theirs.records]
    assert [one["state"] for one in ours.records] == [one["state"] for one in theirs.records]
    assert {one["state"] for one in ours.records} == states
    assert [one["motion"] for one in ours.records] == [one["motion"] for one in theirs.records]
    assert ("moved to frame 139" in ours.records[-1]["motion"]) == (name == "a sample that drifts")
    failed = cli.stderr.count("no picture of frames")
    assert (failed > 0) == (name == "disturbances"), cli.stderr
    assert f"published {len(ours.records)}, skipped 0, failed {failed}" in daemon.stdout
