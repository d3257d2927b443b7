"""Blinks are linked once, and the precision that positions repeat with is found, on tables whose truth is known."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from selfstorm import simulate
from selfstorm.cli import cli
from selfstorm.io.localization_table import LocalizationTable, TableInfo, read_table, table_writer
from selfstorm.metrics.nena import nena_nm
from selfstorm.stages.linking import link, linked

FRAMES, SIZE_NM, MEAN_ON = 200, 6400.0, 2.5


def blinks(sd_nm, per_um2, seed=3):
    """Blinks on a filament: frames, positions, and the emitter of each localization."""
    rng = np.random.default_rng(seed)
    count = int(per_um2 * (SIZE_NM / 1000) ** 2 * FRAMES / MEAN_ON)
    along = rng.uniform(0, 1, count)
    places = np.stack([0.5 + 0.4 * np.sin(7 * along), 0.1 + 0.8 * along], 1) * SIZE_NM
    begin, length = rng.integers(0, FRAMES, count), rng.geometric(1 / MEAN_ON, count)
    emitter = np.repeat(np.arange(count), length)
    frame = np.concatenate([first + np.arange(many) for first, many in zip(begin, length, strict=True)])
    order = np.argsort(frame[frame < FRAMES], kind="stable")
    emitter, frame = emitter[frame < FRAMES][order], frame[frame < FRAMES][order]
    return frame, places[emitter] + sd_nm * rng.normal(size=(len(frame), 2)), emitter


def table_of(frame, yx_nm, sd_nm=10.0):
    ones = np.ones(len(frame))
    return LocalizationTable(
        frame, yx_nm[:, 1], yx_nm[:, 0], 130 * ones, 500 * ones, 9 * ones, 3 * ones, sd_nm * ones, sd_nm * ones
    )


@pytest.mark.parametrize("max_dark", [0, 1])
def test_an_emitter_in_consecutive_frames_is_one(max_dark):
    frame, yx_nm, emitter = blinks(sd_nm=5.0, per_um2=0.02)
    found = link(frame, yx_nm, 4.3 * 5.0, max_dark)
    pairs = {(a, b) for a, b in zip(found.tolist(), emitter.tolist(), strict=True)}
    assert len(pairs) == pytest.approx(len(set(emitter.tolist())), rel=0.03)  # 99 % of the steps are within the radius
    assert found.max() + 1 == pytest.approx(len(set(emitter.tolist())), rel=0.03)


def test_a_dark_frame_is_bridged_where_it_is_allowed():
    frame, yx_nm = np.array([0, 1, 3, 4, 7]), np.zeros((5, 2))
    assert [link(frame, yx_nm, 10.0, dark).max() + 1 for dark in (0, 1, 2)] == [3, 2, 1]


def test_two_emitters_in_reach_stay_two():
    frame, yx_nm = np.array([0, 0, 1, 1]), np.array([[0.0, 0], [8, 0], [1, 0], [7, 0]])
    assert link(frame, yx_nm, 20.0).tolist() == [0, 1, 0, 1]


def test_many_localizations_of_the_first_frame_end_no_thread_that_flushes_subnormals():
    link_in_a_thread = (
        "import numpy as np, torch; from selfstorm.stages.linking import link; torch.set_flush_denormal(True); "
        "frame = np.r_[np.zeros(1500, int), np.arange(1, 501)]; "
        "print(len(set(link(frame, np.random.default_rng(0).uniform(0, 100, (2000, 2)), 1e-6))))"
    )
    done = subprocess.run([sys.executable, "-c", link_in_a_thread], capture_output=True, text=True, check=False)
    assert (done.returncode, int(done.stdout or 0)) == (0, 2000), done.stderr


def test_linked_rows_are_means_weighted_by_precision():
    frame, yx_nm = np.array([4, 5, 5]), np.array([[100.0, 200], [106, 206], [5000, 5000]])
    table = replace(table_of(frame, yx_nm), sd_x_nm=np.array([3.0, 6, 5]), sd_y_nm=np.array([3.0, 6, 5]))
    one = linked(table)
    assert one.frame.tolist() == [4, 5]
    assert one.frames.tolist() == [2, 1]
    assert one.photons.tolist() == [1000, 500]
    assert one.x_nm[0] == pytest.approx((200 / 9 + 206 / 36) / (1 / 9 + 1 / 36))
    assert one.sd_x_nm[0] == pytest.approx((1 / 9 + 1 / 36) ** -0.5)
    assert [one.y_nm[1], one.sd_y_nm[1]] == pytest.approx([5000, 5])
    assert len(linked(table.rows(0, 0))) == 0


@pytest.mark.parametrize("suffix", [".csv", ".hdf5", ".smlm"])
def test_a_table_is_linked_from_format_to_format(tmp_path, suffix):
    frame, yx_nm, _ = blinks(sd_nm=5.0, per_um2=0.02)
    source, target, copy = tmp_path / "found.hdf5", tmp_path / f"linked{suffix}", tmp_path / "copy.smlm"
    with table_writer(source, TableInfo(64, 64, 100.0, FRAMES)) as writer:
        writer.append(table_of(frame, yx_nm, 5.0))
    done = CliRunner().invoke(cli, ["convert", str(source), str(target), "--linked", "--max-dark", "1"])
    assert done.exit_code == 0, done.output
    assert CliRunner().invoke(cli, ["convert", str(target), str(copy)]).exit_code == 0
    for path in (target, copy):
        table = read_table(path)[0]
        assert f"wrote {len(table)} emitters" in done.output
        assert table.frames.sum() == len(frame)
        assert len(table) < 0.5 * len(frame)


def test_a_table_without_precision_is_not_linked(tmp_path):
    frame, yx_nm = np.arange(3), np.zeros((3, 2))
    with table_writer(tmp_path / "found.csv", TableInfo(64, 64, 100.0, 3)) as writer:
        writer.append(table_of(frame, yx_nm, sd_nm=0.0))
    done = CliRunner().invoke(cli, ["convert", str(tmp_path / "found.csv"), str(tmp_path / "out.csv"), "--linked"])
    assert done.exit_code
    assert "3 of 3 localizations state no precision" in str(done.exception)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(("sd_nm", "per_um2"), [(5.0, 0.1), (12.0, 1.0), (25.0, 3.0)])
@pytest.mark.parametrize("claim", [0.4, 1.0, 2.5])
def test_repeated_positions_show_their_precision(sd_nm, per_um2, claim):
    frame, yx_nm, _ = blinks(sd_nm, per_um2)
    assert nena_nm(frame, yx_nm, claim * sd_nm) == pytest.approx(sd_nm, rel=0.12)


def test_emitters_that_never_stay_show_no_precision():
    rng = np.random.default_rng(0)
    frame = np.repeat(np.arange(FRAMES), 30)
    assert nena_nm(frame, rng.uniform(0, SIZE_NM, (len(frame), 2)), 10.0) is None
    assert nena_nm(frame[:30], np.zeros((30, 2)), 10.0) is None
    assert nena_nm(frame[:0], np.zeros((0, 2)), 10.0) is None


def test_a_reconstruction_links_across_its_windows_as_a_conversion_does(tmp_path):
    movie = simulate(24, height=20, width=20, density=1.0, on_frames=4.0, photons=3_000.0, seed=2)
    tifffile.imwrite(tmp_path / "movie.tif", movie.frames)
    plain, together, after = (tmp_path / name for name in ("plain.hdf5", "together.hdf5", "after.hdf5"))
    given = ["--pixel-nm", "100", "--psf-sigma-nm", "110", "--window", "12", "--scale", "2", "--quality", "fast"]

    def ran(*arguments):
        done = CliRunner().invoke(cli, [*map(str, arguments)])
        assert done.exit_code == 0, done.output
        return done.output

    movie_path = tmp_path / "movie.tif"
    common = [movie_path, *given, "--tuning-steps", "0", "--device", "cpu", "--overwrite"]
    ran("reconstruct", *common, "--localizations", plain)
    said = ran("reconstruct", *common, "--localizations", together, "--linked", "--max-dark", "1")
    ran("convert", plain, after, "--linked", "--max-dark", "1")
    linked_rows, rows = read_table(together)[0], read_table(plain)[0]
    assert f"wrote {len(linked_rows)} emitters" in said
    assert linked_rows.frames.sum() == len(rows) > len(linked_rows)
    crossing = (linked_rows.frame < 12) & (linked_rows.frame + linked_rows.frames > 12)
    assert crossing.any()
    afterwards = read_table(after)[0]
    assert (linked_rows.frame.tolist(), linked_rows.frames.tolist()) == (
        afterwards.frame.tolist(),
        afterwards.frames.tolist(),
    )
    assert linked_rows.x_nm == pytest.approx(afterwards.x_nm, abs=0.1)


def test_linking_without_a_table_is_refused():
    done = CliRunner().invoke(cli, ["reconstruct", "movie.tif", "--linked"])
    assert "--linked belongs to --localizations" in done.output
