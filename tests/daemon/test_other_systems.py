"""Faults of other systems, made visible on any: Windows' code pages, profiles, pipes and signals."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from daemon_process import DAEMON, Daemon, posix, simulated

from daemon.control.client import ask
from daemon.feedback import laser_process
from daemon.feedback.settings import FeedbackSettings
from daemon.health import Health
from daemon.keys.store import Keyring
from daemon.processing.checkpoint_writer import CheckpointWriter
from daemon.stop_signals import StopSignals
from daemon.transport import child_process
from selfstorm import parent_process
from selfstorm.io.camera_file import calibrations_folder
from selfstorm.io.ome_tiff import read_pictures

ROOT = Path(__file__).parents[2]
PACKAGES = "daemon", "selfstorm", "client"
WORKFLOW = ROOT / ".github" / "workflows" / "test.yml"
CP1252 = {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0", "PYTHONLEGACYWINDOWSSTDIO": "1"}


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """A daemon whose files and remarks have letters that cp1252 lacks."""

    folder = tmp_path_factory.mktemp("code-page")
    settings = {"folder": str(folder / "σ-中"), **simulated()}
    with Daemon(folder, settings, "--save", folder / "σ-中.ome.tif") as daemon:
        daemon.started()
        ask(daemon.control, "mark", text="λ → 中文 \u202e µ")
        daemon.published(1)
        yield daemon


@pytest.mark.parametrize(
    "words",
    [
        ["status", "--daemon", "{address}"],
        ["snapshot", "--daemon", "{address}"],
        ["watch", "--once", "--daemon", "{address}"],
        ["record", "start", "--daemon", "{address}"],
    ],
    ids=" ".join,
)
def test_a_command_into_a_file_prints_in_any_code_page(spoken, tmp_path, words):
    line = [word.format(address=spoken.address) for word in words]
    with (tmp_path / "out.txt").open("wb") as out:
        done = subprocess.run(
            [*DAEMON, *line], stdout=out, stderr=subprocess.PIPE, env=os.environ | CP1252, timeout=90, check=False
        )
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert (tmp_path / "out.txt").read_bytes().decode("cp1252").strip()


@posix
@pytest.mark.parametrize("number", ["SIGHUP", "SIGTERM", "SIGINT"])
def test_a_signal_to_end_drains_and_finishes_the_files(start, tmp_path, number):
    """A terminal that is closed, and Ctrl-C, reach the camera process and the recorder too."""
    daemon = start(simulated(), "--save", tmp_path / "out.ome.tif", "--record", "raw")
    daemon.published(1)
    daemon.send(getattr(signal, number), group=number != "SIGTERM")
    assert daemon.exit_code() == 0, daemon.err
    assert "recording_incomplete" not in daemon.err
    assert len(read_pictures(tmp_path / "out.ome.tif").pictures) >= 1
    assert not list(tmp_path.glob("*.part"))
    assert "Traceback" not in daemon.err


@pytest.mark.parametrize("name", ["SIGINT", "SIGBREAK", "SIGTSTP", "SIGHUP"])
def test_a_child_leaves_keys_of_the_console_to_its_parent(monkeypatch, name):
    ignored = {}
    fake = SimpleNamespace(SIG_IGN=signal.SIG_IGN, signal=ignored.__setitem__, **{name: 21})
    monkeypatch.setattr(child_process, "signal", fake)
    monkeypatch.setattr(child_process, "wait_for_closed_input", lambda: None)
    assert child_process.stop_requested().wait(10)
    assert ignored == {21: signal.SIG_IGN}


@posix
def test_the_daemon_drains_at_ctrl_break(monkeypatch):
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)  # the name that Windows has
    asked = threading.Event()
    with StopSignals(asked.set):
        os.kill(os.getpid(), signal.SIGUSR1)
        assert asked.wait(10)


@pytest.mark.parametrize("waiting", [[], [5], [0, 3, 0]])
def test_on_windows_a_childs_input_is_polled_and_no_thread_blocks_on_it(monkeypatch, waiting):
    """A thread that blocks there holds a lock for which OpenBLAS waits while it is imported: for ever."""
    read, polls = [], iter([*waiting, None])

    def peek(handle, buffer, size, read_bytes, available, left):
        count = next(polls)
        available._obj.value = count or 0
        return count is not None

    kernel = SimpleNamespace(kernel32=SimpleNamespace(PeekNamedPipe=peek))
    monkeypatch.setattr(ctypes, "windll", kernel, raising=False)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(get_osfhandle=lambda number: number))
    monkeypatch.setattr(parent_process, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setattr(parent_process, "os", SimpleNamespace(read=lambda _, count: read.append(count)))
    monkeypatch.setattr(parent_process, "PEEK_S", 0.0)
    parent_process.wait_for_closed_input()
    assert read == [count for count in waiting if count], "only what waits is read"


READS_INPUT = re.compile(r"sys\.stdin\b|os\.read\(0\b|\binput\(")
READERS = {
    "selfstorm/parent_process.py",  # polled on Windows
    "daemon/tiles/__main__.py",  # in the one thread, which loads nothing meanwhile
    "daemon/feedback/laser_process.py",  # once its libraries are loaded: the next test
}


def test_a_child_reads_its_input_only_where_no_library_can_be_loaded_meanwhile():
    code = {path.relative_to(ROOT).as_posix(): path for top in PACKAGES for path in (ROOT / top).rglob("*.py")}
    lines = {
        name: [line.partition("#")[0] for line in path.read_text("utf-8").splitlines()] for name, path in code.items()
    }
    reads = {name for name in lines if any(READS_INPUT.search(line.partition("#")[0]) for line in lines[name])}
    assert reads == READERS


@pytest.mark.parametrize("fails", [False, True])
def test_the_laser_process_reads_its_orders_once_its_libraries_are_loaded(monkeypatch, fails):
    steps, orders = [], SimpleNamespace(next=lambda value: None, end=lambda: None)

    def open_laser(settings):
        steps.append("libraries")
        if fails:
            raise ImportError("no pymmcore")
        return SimpleNamespace(set=lambda value: value, close=lambda: None)

    monkeypatch.setattr(laser_process, "open_laser", open_laser)
    monkeypatch.setattr(laser_process, "Orders", lambda: steps.append("orders") or orders)
    monkeypatch.setattr(laser_process, "leave_signals_to_parent", lambda: None)
    monkeypatch.setattr(laser_process, "send_line", lambda **line: None)
    settings = FeedbackSettings(emitters_per_frame=40, device="Laser", property="Power", minimum=0.5, maximum=20)
    monkeypatch.setattr(sys, "argv", ["laser", settings.model_dump_json()])
    assert laser_process.main() == int(fails)
    assert steps == (["libraries"] if fails else ["libraries", "orders"])


@pytest.mark.parametrize(
    "path",
    [
        lambda: Keyring().folder,
        lambda: Keyring()._pair,
        lambda: Keyring().allowed_path,
        calibrations_folder,
    ],
    ids=["folder", "secret key", "allowed keys", "calibrations"],
)
def test_keys_and_calibrations_stay_on_this_machine(monkeypatch, path):
    """A roaming profile is copied to servers and to other machines, with the secret key, or 100 MB of maps."""
    monkeypatch.setattr("click.utils.WIN", True)
    monkeypatch.setenv("APPDATA", "roaming")
    monkeypatch.setenv("LOCALAPPDATA", "local")
    assert path().is_relative_to(Path("local") / "selfstorm")


class Refusing:
    """A model that cannot be saved."""

    def __init__(self, error):
        self._error = error

    def save(self, path, source, *, overwrite):
        raise self._error


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), OSError(28, "No space left on device"), ValueError("a fault")]
)
def test_a_checkpoint_that_cannot_be_written_is_said_and_the_status_names_it_no_more(tmp_path, error):

    health = Health(run="run")
    writer = CheckpointWriter(tmp_path / "learned.safetensors", health)
    assert health.status().checkpoint
    writer.start()
    info = SimpleNamespace(source="here", stream="stream-1")
    window = SimpleNamespace(info=info, last_seq=9)
    writer.learned(SimpleNamespace(model=Refusing(error), window=window, continues=False), None)
    writer.close()
    [event] = [one for one in health.events_since(0) if one.code == "checkpoint_stopped"]
    assert event.text.endswith("; the stream goes on")
    assert health.status().checkpoint == ""


def test_the_tests_are_run_on_windows_macos_and_linux():
    text = WORKFLOW.read_text(encoding="utf-8")
    for word in ("ubuntu-latest", "windows-latest", "macos-latest", '"3.11"', "tools/dev.py test"):
        assert word in text
