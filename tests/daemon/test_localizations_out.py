"""--localizations: every frame once, whatever windows do, in files that a run leaves readable."""

import math
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from daemon_process import Daemon, posix, simulated, wait_until

from daemon.config import load_defaults
from daemon.control.commands import account
from daemon.health import Health
from daemon.processing.light_check import LightCheck
from daemon.processing.pixel_size_check import PixelSizeCheck
from daemon.recording.localization_writer import LocalizationWriter
from selfstorm.errors import InputError
from selfstorm.frames import Region, StreamInfo
from selfstorm.io.localization_table import read_table
from selfstorm.localizations import Localizations
from selfstorm.psf.models import Gaussian


@pytest.fixture
def health():
    return Health(run="run")


def window(first, last, *, stream="0123456789abcdef", region=None, lost=()):
    info = StreamInfo(stream=stream, source="simulate:", height=48, width=64, dtype="uint16", pixel_nm=100.0)
    frames = [SimpleNamespace(seq=seq) for seq in range(first, last + 1) if seq not in lost]
    return SimpleNamespace(info=info, first_seq=first, last_seq=last, frames=frames, region=region)


def output(first, last, *, localized=True, pixel_nm=100.0, **where):
    """Two emitters a frame, at positions that say which frame it is."""
    frames = window(first, last, **where)
    frame = torch.tensor([one.seq for one in frames.frames]).repeat_interleave(2)
    place = 10.0 * frame
    ones = torch.ones(len(frame))
    found = Localizations(frame, place, place + 1, ones, torch.ones(len(frame), 2), ones, ones, ones)
    result = SimpleNamespace(localizations=found if localized else None, psf=Gaussian(110.0) if localized else None)
    header = SimpleNamespace(pixel_nm=pixel_nm / 4, scale=4, run="run", optics="", camera="", model="")
    return SimpleNamespace(window=frames, made=SimpleNamespace(result=result), header=header)


def written(path, health, *steps):
    writer = LocalizationWriter(path, health)
    for step in steps:
        writer.result(step)
    writer.close()
    return read_table(path)[0]


def events(health):
    return [(event.code, event.text) for event in health.events_since(0)]


@pytest.mark.parametrize("suffix", [".csv", ".hdf5", ".smlm"])
def test_each_frame_is_written_once_though_windows_overlap(tmp_path, health, suffix):
    steps = output(0, 19), output(5, 24), output(20, 39), output(50, 69)
    table = written(tmp_path / f"out{suffix}", health, *steps)
    np.testing.assert_array_equal(table.frame, np.repeat([*range(40), *range(50, 70)], 2))
    np.testing.assert_allclose(table.y_nm, 10.0 * table.frame, atol=0.01)
    assert events(health) == []


def test_frames_that_only_a_later_window_localizes_are_written_then(tmp_path, health):
    steps = output(0, 19), output(10, 29, localized=False), output(20, 39)
    assert set(written(tmp_path / "out.csv", health, *steps).frame) == set(range(40))
    assert events(health) == []


def test_frames_that_no_window_localizes_are_counted(tmp_path, health):
    steps = output(0, 19), output(20, 39, localized=False, lost=(25, 26)), output(40, 59)
    assert len(written(tmp_path / "out.csv", health, *steps)) == 80
    ((code, text),) = events(health)
    assert (code, text[:43]) == ("frames_not_localized", "18 of 58 frames have no localizations: thei")


def test_frames_of_a_failed_window_are_counted(tmp_path, health):
    writer = LocalizationWriter(tmp_path / "out.csv", health)
    writer.result(output(0, 9))
    writer.failed(window(10, 19), "no memory")
    writer.close()
    assert events(health)[0][1].startswith("10 of 20 frames")


def test_positions_are_the_cameras_though_a_region_is_reconstructed(tmp_path, health):
    table = written(tmp_path / "out.csv", health, output(0, 3), output(4, 7, region=Region(10, 20, 16, 16)))
    shift = np.where(table.frame < 4, 0, 1)
    np.testing.assert_allclose(table.y_nm, 10.0 * table.frame + 1000 * shift)
    np.testing.assert_allclose(table.x_nm, 10.0 * table.frame + 1 + 2000 * shift)


def test_a_new_stream_and_a_corrected_pixel_begin_new_tables(tmp_path, health):
    steps = output(0, 9), output(0, 4, stream="fedcba9876543210"), output(5, 9, stream="fedcba9876543210", pixel_nm=90)
    (tmp_path / "out-2.yaml").write_text("mine")
    written(tmp_path / "out.hdf5", health, *steps)
    tables = [read_table(tmp_path / f"out{number}.hdf5") for number in ("", "-3", "-4")]
    assert [(len(table), info.pixel_nm, info.frames) for table, info in tables] == [
        (20, 100, 10),
        (10, 100, 5),
        (10, 90, 10),
    ]
    assert tables[0][1].facts["stream"] == "0123456789abcdef"
    assert events(health) == []


def test_a_table_of_an_earlier_run_is_kept(tmp_path, health):
    (tmp_path / "out.csv").write_text("mine")
    with pytest.raises(InputError, match="no column"):
        written(tmp_path / "out.csv", health, output(0, 9))
    assert (tmp_path / "out.csv").read_text() == "mine"
    assert len(read_table(tmp_path / "out-2.csv")[0]) == 20
    assert [code for code, _ in events(health)] == ["localizations_renamed"]


def test_a_place_that_cannot_be_written_ends_the_table_with_one_event(tmp_path, health):
    folder = tmp_path / "folder"
    folder.mkdir()
    writer = LocalizationWriter(folder / "out.csv", health)
    folder.rmdir()
    for first in (0, 10, 20):
        writer.result(output(first, first + 9))
    writer.close()
    assert [code for code, _ in events(health)] == ["localizations_stopped"]
    status = health.status()
    assert (status.localizations, status.localizations_written) == ("", 0)
    assert "no such folder" in status.outputs_ended["localizations"]


def test_the_status_tells_the_table_and_its_counts(tmp_path, health):
    writer = LocalizationWriter(tmp_path / "out.csv", health)
    assert health.status().localizations == str(tmp_path / "out.csv")
    writer.result(output(0, 9))
    writer.result(output(5, 14, localized=False))
    writer.failed(window(15, 17), "why")
    writer.result(output(0, 9, stream="fedcba9876543210"))
    status = health.status()
    assert (status.localizations, status.outputs_ended) == (str(tmp_path / "out-2.csv"), {})
    assert (status.localizations_written, status.frames_not_localized) == (40, 8)
    assert "found    40 localizations, 8 frames without: " in account(status)
    writer.close()


def test_without_localizations_there_is_no_file(tmp_path, health):
    writer = LocalizationWriter(tmp_path / "out.smlm", health)
    writer.result(output(0, 9, localized=False))
    writer.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "chosen"),
    [
        ("localizations", {"estimate": "density"}),
        ("localizations", {"model": "paper"}),
        ("accumulated", {"estimate": "density"}),
        ("accumulated", {"model": "paper"}),
        ("checkpoint", {"model": "paper"}),
        ("checkpoint", {"model": "tiled", "estimate": "emitters"}),
    ],
)
def test_an_output_that_a_model_or_estimate_does_not_have_is_refused_at_the_start(output, chosen):
    settings = {f"reconstruction.{key}": value for key, value in chosen.items()}
    assert load_defaults(settings, "--model")
    with pytest.raises(InputError, match=f"{output}: (they come|it comes) with .*our own model"):
        load_defaults({output: "out", **settings}, "--model")


def test_a_pixel_size_whose_psf_no_light_has_is_doubted_once(health):
    check = PixelSizeCheck(health)
    for pixel_nm, sigma_nm in ((100, 110), (1000, 1100), (1000, 1150), (100, 110), (10, 11)):
        result = SimpleNamespace(psf=Gaussian(sigma_nm))
        header = SimpleNamespace(pixel_nm=pixel_nm / 4, scale=4)
        check.result(SimpleNamespace(made=SimpleNamespace(result=result), header=header))
    (first, second) = events(health)
    assert (first[0], "check the pixel size of 1000 nm" in first[1]) == ("pixel_size_doubtful", True)
    assert "check the pixel size of 10 nm" in second[1]


def test_saturation_and_a_lost_focus_are_reported_when_they_begin(health):
    check, good = LightCheck(health), {"saturated": 0.0, "emitters_per_frame": 3.0, "psf_limit_nm": 200.0}
    light = {"saturated": 0.03}, {"saturated": 0.04}, {}, {"blinking_nm": 350.0}, {"saturated": 0.001}
    for changes in (*light, {"far_correlation": 0.9}):
        result = SimpleNamespace(metrics=good | changes)
        check.result(SimpleNamespace(made=SimpleNamespace(result=result)))
    reported = events(health)
    assert [code for code, _ in reported] == ["saturated", "out_of_focus", "saturated", "not_blinking"]
    assert all(part in reported[0][1] for part in ("3.00 % of the pixel values", "Lower the laser power"))
    assert "350 nm wide" in reported[1][1]


def test_a_focus_that_moves_is_reported_once_until_it_is_back(health):
    check = LightCheck(health)
    for defocus in (1.0, 1.2, 1.12, 1.16, None, 1.2, 1.08, 1.2):
        result = SimpleNamespace(metrics={"saturated": 0.0} | ({} if defocus is None else {"defocus": defocus}))
        check.result(SimpleNamespace(made=SimpleNamespace(result=result)))
    reported = events(health)
    assert [code for code, _ in reported] == ["focus_moved", "focus_moved"]
    assert "1.20 times as wide as at its sharpest in this run: the focus has moved. Refocus" in reported[0][1]


@posix
def test_the_table_of_a_daemon_that_is_killed_can_be_read(tmp_path):
    settings = simulated(localizations=str(tmp_path / "out.hdf5"))
    settings["reconstruction"]["estimate"] = "fused"
    # Lossless, because a machine that is in a hurry localizes nothing.
    with Daemon(tmp_path, settings, "--lossless") as daemon:
        daemon.started()
        wait_until(lambda: daemon.status().localizations_written)
        daemon.send(signal.SIGKILL)
    table, info = read_table(tmp_path / "out.hdf5.part")
    assert len(table)
    assert np.all(np.diff(table.frame) >= 0)
    assert (info.height, info.pixel_nm, info.facts["movie"]) == (32, 100.0, "simulate:")
    assert 0 <= table.y_nm.min() < table.y_nm.max() <= 3200
    assert math.isfinite(table.sd_nm.max())
