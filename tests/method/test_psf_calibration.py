"""The PSF is measured in a bead stack plane by plane, and blind in a movie of blinking emitters."""

import numpy as np
import pytest
from click.testing import CliRunner

from selfstorm.calibration.bead_psf import bead_psf
from selfstorm.cli import cli
from selfstorm.errors import InputError
from selfstorm.io.ome_tiff import OmeTiffWriter
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene
from selfstorm.simulation.spots import GaussianPsf, place

SIGMAS = ((170.0, 120.0), (140.0, 130.0), (120.0, 160.0))  # of y and x: astigmatic, narrowest in the middle


def bead_stack():
    rng, y, x = np.random.default_rng(3), np.array([1530.0, 1480.0, 4110.0]), np.array([1490.0, 4260.0, 2570.0])
    photons = np.array([6000.0, 9000.0, 7000.0])
    planes = [place(y, x, photons, (56, 58), psf=GaussianPsf(*sigma), pixel_nm=100.0) for sigma in SIGMAS]
    return (100 + 4 * rng.poisson(np.stack(planes) + 5)).astype(np.uint16)


def written(path, frames):
    with OmeTiffWriter(path, 100.0) as writer:
        for frame in frames:
            writer.add(frame)
    return path


def test_beads_give_the_width_of_every_plane():
    found = bead_psf(bead_stack(), 100.0)
    assert found.beads == 3
    assert found.focus == 1
    widths = np.stack([found.sigma_y_nm, found.sigma_x_nm], 1)
    np.testing.assert_allclose(widths, SIGMAS, rtol=0.04)
    wide = bead_psf(bead_stack(), 100.0, bead_nm=200.0)
    assert wide.sigma_nm**2 == pytest.approx(found.sigma_nm**2 - 200**2 / 20, rel=0.02)


def test_a_stack_without_beads_is_refused():
    with pytest.raises(InputError, match="no isolated bead"):
        bead_psf(np.random.default_rng(0).poisson(50, (3, 40, 40)), 100.0)


def test_the_command_reports_both_with_plots(tmp_path):
    beads, movie = written(tmp_path / "beads.tif", bead_stack()), tmp_path / "movie.tif"
    written(movie, (pixels for pixels, _ in simulate(Scene(height=40, width=40, density=3, seed=78), frames=80)))
    for file, options, expected in ((beads, ["--beads"], "use it with --psf-sigma-nm 13"), (movie, [], "sigma 1")):
        plot = file.with_suffix(".png")
        said = CliRunner().invoke(cli, ["calibrate", "psf", str(file), *options, "--plot", str(plot)])
        assert said.exit_code == 0, said.output
        assert expected in said.output
        assert plot.read_bytes().startswith(b"\x89PNG")
