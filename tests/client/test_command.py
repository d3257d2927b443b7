"""The command as a user starts it."""

import os
import subprocess
import sys

import numpy as np
import pytest
from client_stream import free_port

from client.cli import main
from client.widgets.screen import require_screen
from daemon.protocol.address import DaemonAddress
from selfstorm.errors import InputError
from selfstorm.io.ome_tiff import OmeTiffWriter

COMMAND = (sys.executable, "-c", "from client.cli import main; main()")
PNG = b"\x89PNG\r\n"


def viewer(*arguments, before=""):
    command = (COMMAND[0], COMMAND[1], before + COMMAND[2], *map(str, arguments))
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


@pytest.mark.parametrize("endpoint", ["no sense", "tcp://*:5711", "host:", "host:0", "host:70000", "host:1,0"])
def test_a_malformed_endpoint_is_one_line(endpoint, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["selfstorm-viewer", "--daemon", endpoint])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr().err
    assert (left.value.code, said.count("\n")) == (2, 1)
    assert endpoint in said
    assert "HOST[:PORT]" in said


def test_the_daemon_is_named_by_its_host_alone_or_with_ports():
    assert DaemonAddress.of("gpu-pc") == DaemonAddress("tcp://gpu-pc:5711")
    assert DaemonAddress.of("gpu-pc:6000").control_address == "tcp://gpu-pc:6001"
    assert DaemonAddress.of("[::1]:6000,7000").control_address == "tcp://[::1]:7000"
    for text in ("gpu-pc:6000", "gpu-pc:6000,7000"):
        assert str(DaemonAddress.of(text)) == text


@pytest.mark.parametrize("module", ["PySide6", "pyqtgraph"])
def test_missing_libraries_are_named_with_the_extra_that_brings_them(module):
    done = viewer(before=f"import sys; sys.modules[{module!r}] = None; ")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert module in done.stderr
    assert 'pip install "selfstorm[viewer]"' in done.stderr


def test_a_screenshot_of_a_running_stream(tmp_path, publisher):
    path = tmp_path / "shot.png"
    publisher.send_windows_for_ever()
    done = viewer("--daemon", publisher.endpoint, "--screenshot", path, "--after-windows", 2, "--timeout", 40)
    assert (done.returncode, done.stderr) == (0, "")
    assert path.read_bytes().startswith(PNG)


def test_a_screenshot_without_a_daemon_times_out_and_saves_what_is_there(tmp_path):
    path = tmp_path / "shot.png"
    done = viewer("--daemon", f"tcp://127.0.0.1:{free_port()}", "--screenshot", path, "--timeout", 0.5)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "0 of 1 windows" in done.stderr
    assert path.read_bytes().startswith(PNG)


def test_a_screenshot_that_cannot_be_written_is_said_at_once(tmp_path):
    done = viewer("--screenshot", tmp_path / "nowhere" / "shot.png")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_a_saved_movie_is_opened_from_the_command_line(tmp_path):
    movie, path = tmp_path / "cell.ome.tif", tmp_path / "shot.png"
    with OmeTiffWriter(movie, 25.0) as writer:
        writer.add(np.ones((32, 32), np.float32))
    done = viewer(movie, "--screenshot", path, "--timeout", 40)
    assert (done.returncode, done.stderr) == (0, "")
    assert path.read_bytes().startswith(PNG)


def test_a_file_that_is_no_movie_is_one_line(tmp_path):
    movie = tmp_path / "cell.tif"
    movie.write_text("nothing")
    done = viewer(movie, "--screenshot", tmp_path / "shot.png")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "cell.tif" in done.stderr


def test_the_viewer_loads_no_torch_nor_what_only_the_engine_needs():
    heavy = ("torch", "scipy", "skimage", "matplotlib", "pymmcore_plus", "pycromanager")
    modules = "client.window.main_window, client.application"
    probe = f"import sys, {modules}; print([one for one in {heavy} if one in sys.modules])"
    done = subprocess.run((sys.executable, "-c", probe), capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_help_needs_no_window_libraries():
    done = viewer("--help", before="import sys; sys.modules['PySide6'] = None; ")
    assert done.returncode == 0
    assert "--daemon" in done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a screen")
def test_no_screen_is_said_before_qt_aborts(tmp_path):
    with pytest.raises(InputError, match="no screen"):
        require_screen({}, tmp_path)
    with pytest.raises(InputError, match=r"libqxcb.*apt install"):
        require_screen({"DISPLAY": ":0"}, tmp_path)
    require_screen({"QT_QPA_PLATFORM": "offscreen"}, tmp_path)
    require_screen({"WAYLAND_DISPLAY": "wayland-0"}, tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fonts are configured otherwise elsewhere")
def test_a_machine_without_fonts_still_gets_letters(tmp_path):
    empty = tmp_path / "fonts.conf"
    empty.write_text("<fontconfig></fontconfig>")
    probe = (
        "from PySide6 import QtGui, QtWidgets; from client.widgets.theme import apply_theme;"
        "application = QtWidgets.QApplication([]); apply_theme(application);"
        "metrics = QtGui.QFontMetrics(application.font());"
        "print(all(metrics.inFontUcs4(ord(letter)) for letter in 'Self-STORM µm·…'))"
    )
    environment = os.environ | {"FONTCONFIG_FILE": str(empty), "QT_QPA_PLATFORM": "offscreen"}
    command = (sys.executable, "-c", probe)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.stdout.strip() == "True", done.stderr
