"""How commands end: their own code, a user's mistake in one line, foreign packages refused."""

import io
import subprocess
import sys
import threading
from pathlib import Path
from threading import Condition

import click
import pytest

from selfstorm.commands.console import run
from selfstorm.commands.progress import progress
from selfstorm.errors import InputError


@click.command()
@click.option("--number", type=int, default=0)
@click.option("--file", type=click.Path(path_type=Path), default=".")
def command(number, file):
    if number < 0:
        raise InputError("a negative\nnumber", where="--number", hint="give 0 or more")
    file.exists()


WRONG = [["--number", "-1"], ["--number", "x"], ["-q"], ["--file", "x" * 300], ["--file", "movies/" + "x" * 10_000]]


@pytest.mark.parametrize(("arguments", "code"), [([], 0), *((words, 2) for words in WRONG)])
def test_a_mistake_is_one_line_and_exit_code_2(arguments, code, capsys):
    with pytest.raises(SystemExit) as left:
        run(command, arguments)
    said = capsys.readouterr().err
    assert (left.value.code or 0) == code
    assert said.count("\n") == (1 if code else 0)
    assert said.startswith("error: ") == bool(code)


def test_another_distributions_daemon_is_refused(tmp_path, capsys, monkeypatch):
    """What python-daemon leaves beside us when it is installed into the same environment."""
    metadata = tmp_path / "python_daemon-3.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: python-daemon\nVersion: 3.1\n")
    (metadata / "RECORD").write_text("daemon/__init__.py,,\ndaemon/daemon.py,,\n")
    (tmp_path / "daemon").mkdir()
    for module in ("__init__.py", "daemon.py"):  # some readers of metadata pass over files that are not there
        (tmp_path / "daemon" / module).touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit) as left:
        run(command, [])
    assert left.value.code == 2
    assert "python-daemon also has a package 'daemon'" in capsys.readouterr().err


def test_progress_is_written_in_lines_where_the_output_is_no_terminal(monkeypatch):
    written, lines = [], Condition()

    def echo(line):
        with lines:
            written.append(line)
            lines.notify()

    def wait_for(part):
        with lines:
            assert lines.wait_for(lambda: any(part in line for line in written), 30)

    monkeypatch.setattr(click, "echo", echo)
    with progress(100, "reconstructing", "frames", interval_s=0.01) as add:
        wait_for("reconstructing: 0 of 100 frames")
        add(40)
        wait_for("reconstructing: 40 of 100 frames")
    assert "progress" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("client.application", ["torch", "scipy", "skimage"]),
        ("daemon.cli", ["torch", "scipy", "skimage", "PySide6"]),
        ("selfstorm.frames", ["torch", "scipy", "zmq"]),
        ("daemon.sources.simulate", ["torch", "scipy.interpolate", "scipy.optimize"]),
        ("daemon.service", ["scipy.signal", "scipy.stats", "skimage"]),
    ],
)
def test_what_is_not_needed_is_not_imported(module, forbidden):
    """A PC that only watches has no torch; it can ask a daemon for its status all the same. Others start sooner."""
    code = f"import sys, {module}; print([name for name in {forbidden} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_pipe_whose_code_page_lacks_a_letter_ends_in_no_traceback(monkeypatch):
    pipe = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", pipe)

    @click.command()
    def status():
        click.echo("σ of 110 nm")

    with pytest.raises(SystemExit) as left:
        run(status, [])
    pipe.flush()
    assert left.value.code == 0
    assert pipe.buffer.getvalue().strip() == b"? of 110 nm"


ENTRIES = ["selfstorm.cli:cli", "daemon.cli:cli", "client.cli:viewer"]

# In a process of its own: click keeps on a command the help option that it was first called with.
WALK = """
import importlib, sys
from click.testing import CliRunner

def walk(command, path):
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from walk(below, [*path, name])

module, name = sys.argv[1].split(":")
root = getattr(importlib.import_module(module), name)
for path, command in walk(root, []):
    outcome = CliRunner().invoke(root, [*path, "-h"])
    unexplained = [one.opts[0] for one in command.params if one.param_type_name == "option" and not one.help]
    if outcome.exit_code or unexplained:
        print(path, unexplained, outcome.output)
"""


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_command_has_h_and_explains_every_option(entry):
    done = subprocess.run([sys.executable, "-c", WALK, entry], capture_output=True, text=True, check=True)
    assert done.stdout == ""
