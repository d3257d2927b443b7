"""The live daemon and the offline command are one method: same movie, same settings, same pictures bit for bit."""

import re

import numpy as np
import pytest
import tifffile
from daemon_process import DAEMON, SELFSTORM, command, free_ports, within, write_config

from selfstorm.io.ome_tiff import read_pictures
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene

FRAMES = 160
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
    scene = Scene(height=32, width=40, filaments=5, seed=11)
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
    return command(line)


def offline(folder, movie, chosen, capfd):
    method = [word for name, value in chosen["method"].items() for word in (f"--{name}", value)]
    line = [*SELFSTORM, "reconstruct", movie, "-o", folder / "offline.ome.tif", "--pixel-nm", 100, "--device", "cpu"]
    return within([*line, *method, *chosen["flags"]], capfd)


@pytest.mark.parametrize(
    "chosen", [GIVEN, LEARNED, PAPER], ids=["all settings given", "all but the pixel learned", "the paper's model"]
)
def test_live_and_offline_give_the_same_bits(tmp_path, movie, chosen, capfd):
    daemon, cli = live(tmp_path, movie, chosen), offline(tmp_path, movie, chosen, capfd)
    assert (daemon.returncode, cli.returncode) == (0, 0), daemon.stderr + cli.stderr
    ours, theirs = (read_pictures(tmp_path / f"{how}.ome.tif") for how in ("live", "offline"))
    window, stride = chosen["method"]["window"], chosen["method"]["stride"]
    windows = (FRAMES - window) // stride + 1
    assert ours.pictures.shape == (windows, 32 * chosen["method"]["scale"], 40 * chosen["method"]["scale"])
    np.testing.assert_array_equal(ours.pictures, theirs.pictures, strict=True)
    assert ours.pixel_nm == theirs.pixel_nm == 100 / chosen["method"]["scale"]
    for record, other in zip(ours.records, theirs.records, strict=True):
        assert (record["first_seq"], record["last_seq"]) == (other["first_frame"], other["last_frame"])
        assert (record["optics"], record["camera"]) == (other["optics"], other["camera"])
    assert re.search(rf"sent {FRAMES} = received {FRAMES} \+ missing 0$", daemon.stdout, re.M), daemon.stdout
    assert f"complete {windows}: published {windows}, skipped 0, failed 0" in daemon.stdout
