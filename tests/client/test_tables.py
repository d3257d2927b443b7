"""Tables and pictures for other programs."""

import sys
from pathlib import Path

import pytest
from PySide6 import QtWidgets

sys.path.insert(0, str(Path(__file__).parents[1] / "daemon"))

from daemon_process import posix

from selfstorm.io.ome_tiff import read_pictures


def test_the_profile_is_averaged_copied_and_saved(showing, tmp_path):
    assert not showing.window.menu_actions["save_profile"].isEnabled()
    showing.do("profile")
    showing.drag((0.1, 0.4), (0.7, 0.4))
    narrow = showing.window.profile.sr.getData()[1].copy()
    showing.window.profile.averaging.setValue(400)
    assert not (showing.window.profile.sr.getData()[1] == narrow).all()
    path = showing.answers["Save profile"] = tmp_path / "profile.csv"
    showing.do("save_profile")
    showing.do("copy_profile")
    lines = path.read_text().splitlines()
    assert QtWidgets.QApplication.clipboard().text().splitlines() == lines
    assert "# averaging width: 0.4 um" in lines
    table = [line.split(",") for line in lines if not line.startswith("#")]
    assert table[0] == ["distance_um", "super_resolved_photons_per_frame", "raw_mean_adu"]
    assert float(table[-1][0]) == pytest.approx(0.6, abs=0.02)


def test_the_region_is_saved_as_a_table(showing, tmp_path):
    showing.do("region")
    showing.drag((0.2, 0.1), (0.5, 0.5))
    path = showing.answers["Save region"] = tmp_path / "region.csv"
    showing.do("save_region")
    rows = [line.split(",") for line in path.read_text().splitlines() if not line.startswith("#")]
    assert [row[:2] for row in rows] == [["picture", "unit"], ["super-resolved", "photons/frame"], ["raw mean", "ADU"]]
    assert "# region: x 2, y 1, 3 x 4 camera pixels" in path.read_text()


def test_trends_are_saved_as_a_table(showing, publisher, tmp_path):
    publisher.send_window(1, metrics={"misfit": 0.02})
    showing.until(lambda: showing.shows(1))
    path = showing.answers["Save trends"] = tmp_path / "trends.csv"
    showing.do("save_trends")
    rows = [line.split(",") for line in path.read_text().splitlines()]
    assert rows[0][:4] == ["number", "run", "window", "windows_skipped"]
    assert rows[2][rows[0].index("misfit")] == "0.02"


@posix
def test_a_picture_is_opened_in_another_program(showing, tmp_path, monkeypatch):
    monkeypatch.setenv("FIJI", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    showing.do("open_in_fiji")
    assert "Fiji was not found" in showing.window.message.full_text
    seen = tmp_path / "seen"
    program = tmp_path / "fiji"
    program.write_text(
        f"#!{sys.executable}\nimport os, shutil, sys; part = {str(seen)!r} + '.part'\n"
        f"shutil.copy(sys.argv[1], part); os.replace(part, {str(seen)!r})\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("FIJI", str(program))
    showing.do("open_in_fiji")
    showing.until(lambda: seen.exists() and len(read_pictures(seen).pictures) == 1)
