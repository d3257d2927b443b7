"""PSFs of SMAP and uiPSF are read in focus; damaged files are refused in words."""

import json

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from scipy.interpolate import CubicSpline
from scipy.io import savemat
from scipy.special import erf

from selfstorm.cli import cli
from selfstorm.errors import InputError
from selfstorm.io.psf_files import evaluate_cspline, read_psf
from selfstorm.psf.models import psf_from_dict, psf_to_dict

PIXEL_NM, SIDE, PLANES, FOCUS = 100.0, 13, 9, 5
SIGMA_YX_NM = 130.0, 110.0


def profiles(z):
    """Light in the pixels of a spot that widens away from the focus: (SIDE,) along y and along x."""
    edges = (np.arange(SIDE + 1) - SIDE / 2) * PIXEL_NM
    wide = 1 + 0.2 * abs(z - FOCUS)
    return [np.diff(0.5 * erf(edges / (wide * sigma_nm * np.sqrt(2)))) for sigma_nm in SIGMA_YX_NM]


def coefficients():
    """Cubic splines through the samples, constant within a plane: (x, y, z, 64)."""
    found = np.zeros((SIDE - 1, SIDE - 1, PLANES, 64), np.float32)
    for z in range(PLANES):
        along_y, along_x = (CubicSpline(np.arange(SIDE), one).c[::-1] for one in profiles(z))  # by rising power
        found[:, :, z, :16] = np.einsum("ix,jy->xyji", along_x, along_y).reshape(SIDE - 1, SIDE - 1, 16)
    return found


def smap(path, **changes):
    cspline = {"coeff": coefficients(), "dz": 50.0, "z0": float(FOCUS + 1), "x0": 7.0} | changes
    savemat(path, {"SXY": {"cspline": cspline}})
    return path


def uipsf(path, model=None, pixel_um=0.1):
    with h5py.File(path, "w") as file:
        file["res/I_model"] = np.stack([np.outer(*profiles(z)) for z in range(PLANES)]) if model is None else model
        file.attrs["params"] = json.dumps({"pixel_size": {"x": pixel_um, "y": pixel_um, "z": 0.05}})
    return path


def widths_nm(psf):
    """Standard deviations of a PSF along y and x, from the middle of its profiles."""
    axis = np.arange(-40, 41) * 10.0
    kernel = psf.kernel(axis)
    middle = len(axis) // 2
    return [
        np.sqrt(-(axis[middle + 8] ** 2) / (2 * np.log(line[middle + 8] / line[middle])))
        for line in (kernel[:, middle], kernel[middle])
    ]


@pytest.mark.parametrize("write", [smap, uipsf])
def test_the_plane_in_focus_becomes_a_psf_without_the_pixels_box(tmp_path, write):
    path = write(tmp_path / ("beads_3dcal.mat" if write is smap else "beads.h5"))
    psf = read_psf(path, PIXEL_NM)
    assert widths_nm(psf) == pytest.approx(SIGMA_YX_NM, rel=0.03)
    assert psf.equivalent_sigma_nm == pytest.approx(np.sqrt(np.prod(SIGMA_YX_NM)), rel=0.03)
    assert path.name in str(psf)
    assert psf_from_dict(json.loads(json.dumps(psf_to_dict(psf)))) == psf
    kernel = psf.kernel(np.arange(-50, 51) * 10.0)
    assert kernel.sum() == pytest.approx(1)
    assert len(psf.modes()) <= 4
    assert psf.turned().turned() == psf


def test_splines_are_evaluated_in_the_order_of_their_powers():
    powers = np.zeros((2, 3, 2, 64))
    powers[..., 0], powers[..., 1], powers[..., 2 * 4], powers[..., 3 * 16] = 5.0, 1.0, 10.0, 100.0
    x, y = (np.arange(4) + 0.5) / 4, (np.arange(4) + 0.5) / 4
    values = evaluate_cspline(powers, 1.5)
    assert values.shape == (8, 12)
    np.testing.assert_allclose(values[:4, 4:8], 5 + x[:, None] + 10 * y**2 + 100 * 0.5**3)


def replaced(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda at: replaced(at, "x.mat", b"not MATLAB at all" * 40), "is no MATLAB file"),
        (lambda at: replaced(at, "x.mat", b""), "is no MATLAB file"),
        (lambda at: replaced(at, "x.mat", b"MATLAB 7.3 MAT-file, Platform"), "is of MATLAB 7.3; in MATLAB"),
        (lambda at: replaced(at, "x.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 50), "is no HDF5 file"),
        (lambda at: replaced(at, "x.tif", b"II"), "is no PSF calibration"),
        (lambda at: at / "none.mat", "No such file"),
        (lambda at: smap(at / "x.mat", coeff=np.zeros((9, 9, 9))), r"coefficients of shape \(9, 9, 9\)"),
        (lambda at: smap(at / "x.mat", coeff=np.zeros((300, 9, 2, 64))), "2 planes of 300 x 9"),
        (lambda at: smap(at / "x.mat", coeff=np.full((9, 9, 9, 64), np.nan)), "not of finite numbers"),
        (lambda at: smap(at / "x.mat", coeff=np.zeros((9, 9, 9, 64))), "brightest place at the edge|no light"),
        (lambda at: smap(at / "x.mat", z0=900.0), "focus in plane 900 of 9"),
        (lambda at: smap(at / "x.mat", z0="in focus"), "z0 that is not of finite numbers"),
        (lambda at: uipsf(at / "x.h5", np.zeros((2, 2))), "a model of shape"),
        (lambda at: uipsf(at / "x.h5", np.zeros((5, 9, 9))), "brightest place at the edge|no light"),
        (lambda at: uipsf(at / "x.h5", pixel_um=0.16), "pixels of 160 nm, the movie's have 100"),
    ],
)
def test_a_file_that_is_no_calibration_is_refused_in_words(tmp_path, make, says):
    with pytest.raises(InputError, match=says) as caught:
        read_psf(make(tmp_path), PIXEL_NM)
    assert str(caught.value.where).startswith(str(tmp_path))


def test_a_matlab_file_without_splines_and_a_link_are_refused(tmp_path):
    savemat(tmp_path / "x.mat", {"SXY": {"PSF": np.zeros((3, 3))}})
    with pytest.raises(InputError, match=r"has no SXY\.cspline; give the file"):
        read_psf(tmp_path / "x.mat", PIXEL_NM)
    uipsf(tmp_path / "other.h5")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["res/I_model"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "res/I_model")
    with pytest.raises(InputError, match="has no res/I_model of its own"):
        read_psf(tmp_path / "x.h5", PIXEL_NM)


def test_the_optics_are_given_once():
    done = CliRunner().invoke(cli, ["reconstruct", "m.tif", "--psf", "x.mat", "--psf-sigma-nm", "100"])
    assert done.exit_code != 0
