"""A user's mistake is one line that says what to mend, exit code 2, and nothing left behind.

Starting a process takes longer than most mistakes do: one of each command is made in a process of its own, as a user
makes it, and all of them in this one.
"""

import socket
import sys
from contextlib import closing

import numpy as np
import pytest
import tifffile
from daemon_process import DAEMON, SELFSTORM, command, free_ports, simulated, within, write_config

FRAMES = np.random.default_rng(5).poisson(100, (24, 16, 16)).astype(np.uint16)
PER_CM = 1e7 / 100


def movies(folder):
    """A good movie of 24 frames, and everything that is none."""
    stack = {"photometric": "minisblack", "metadata": None}
    scaled = stack | {"resolution": (PER_CM, PER_CM), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(folder / "good.tif", FRAMES, **scaled)
    tifffile.imwrite(folder / "unscaled.tif", FRAMES, **stack)
    whole = (folder / "good.tif").read_bytes()
    (folder / "truncated.tif").write_bytes(whole[: len(whole) * 2 // 3])
    tifffile.imwrite(folder / "rgb.tif", np.zeros((24, 16, 16, 3), np.uint8), photometric="rgb")
    nan = FRAMES.astype(np.float32)
    nan[7, 3, 3] = np.nan
    tifffile.imwrite(folder / "nan.tif", nan, **scaled)
    tifffile.imwrite(folder / "single.tif", FRAMES[0], **scaled)
    (folder / "truth.csv").write_text("frame,y_nm\n0,5\n")


def replay(movie, *flags, **settings):
    """A run of the daemon on a movie of this folder."""
    ports = {name: f"tcp://127.0.0.1:{port}" for name, port in zip(("results", "control"), free_ports(2), strict=True)}
    merged = simulated(window=8, stride=8, server=ports) | {"source": {"uri": f"replay:{movie}"}} | settings
    return lambda folder: [*DAEMON, "run", write_config(folder / "daemon.toml", merged), "--save", "OUT.tif", *flags]


def reconstruct(movie, *flags):
    return lambda folder: [*SELFSTORM, "reconstruct", movie, "-o", "OUT.tif", *flags]


def plain(program, *arguments):
    return lambda folder: [*program, *arguments]


# What the user did -> the command, and what the line must say.
MISTAKES = {
    "reconstruct: missing movie": (reconstruct("none.tif"), ["none.tif: no such file"]),
    "reconstruct: truncated": (reconstruct("truncated.tif"), ["truncated.tif", "truncated"]),
    "reconstruct: colours": (reconstruct("rgb.tif"), ["rgb.tif", "RGB"]),
    "reconstruct: NaN": (reconstruct("nan.tif"), ["nan.tif", "frame 7"]),
    "reconstruct: one image": (reconstruct("single.tif"), ["single.tif", "one image", "give a movie"]),
    "reconstruct: pixel size unknown": (reconstruct("unscaled.tif"), ["pixel size unknown", "--pixel-nm"]),
    "reconstruct: window too long": (reconstruct("good.tif", "--window", 25), ["25 frames in a movie of 24"]),
    "reconstruct: unknown flag": (reconstruct("good.tif", "--pixels", 9), ["No such option", "--pixels"]),
    "reconstruct: bad value": (reconstruct("good.tif", "--gain", "much"), ["'much'"]),
    "evaluate: missing column": (
        plain(SELFSTORM, "evaluate", "good.tif", "--truth", "truth.csv"),
        ["truth.csv, line 1", "no column x_nm"],
    ),
    "daemon: missing config": (plain(DAEMON, "run", "none.toml"), ["none.toml: no such file"]),
    "daemon: unknown key": (replay("good.tif", losless=True), ["unknown key 'losless'", "'lossless'"]),
    "daemon: unknown flag": (replay("good.tif", "--fast"), ["No such option", "--fast"]),
    "daemon: bad value": (replay("good.tif", "--duration", "-1"), ["--duration", "-1"]),
    "daemon: missing movie": (replay("none.tif"), ["none.tif: no such file"]),
    "daemon: truncated": (replay("truncated.tif"), ["truncated.tif", "truncated"]),
    "daemon: colours": (replay("rgb.tif"), ["rgb.tif", "RGB"]),
    "daemon: pixel size unknown": (replay("unscaled.tif"), ["pixel size unknown", "[camera]"]),
    "daemon: saving over a folder": (replay("good.tif", "--save", "."), ["is a folder"]),
    "daemon: saving nowhere": (replay("good.tif", "--save", "gone/out.tif"), ["gone: no such folder"]),
    "status: no daemon": (
        plain(DAEMON, "status", "--daemon", f"127.0.0.1:{free_ports(1)[0]}"),
        ["no daemon answered", "selfstorm-daemon run", "--daemon HOST[:PORT]", "--key"],
    ),
    "stop: no address": (plain(DAEMON, "stop", "--daemon", "no sense"), ["'no sense': is not the address of a daemon"]),
}


IN_A_PROCESS = (
    "reconstruct: truncated",
    "evaluate: missing column",
    "daemon: unknown key",
    "daemon: truncated",
    "status: no daemon",
)


def assert_one_line(done, *said):
    """One line of error, behind at most what the daemon's log has to tell."""
    lines = [line for line in done.stderr.splitlines() if " INFO " not in line]
    assert (done.returncode, len(lines)) == (2, 1), done.stderr
    assert lines[0].startswith("error: ")
    assert all(part in lines[0] for part in said), lines[0]
    assert "Traceback" not in done.stderr + done.stdout


def assert_mistake(case, folder, carried_out):
    movies(folder)
    line = MISTAKES[case][0](folder)
    before = {path.name for path in folder.iterdir()}
    assert_one_line(carried_out(line, cwd=folder), *MISTAKES[case][1])
    assert {path.name for path in folder.iterdir()} == before


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(case, tmp_path, capfd):
    assert_mistake(case, tmp_path, lambda line, cwd: within(line, capfd, cwd))


@pytest.mark.parametrize("case", IN_A_PROCESS)
def test_it_is_one_line_as_a_user_starts_it(case, tmp_path):
    assert_mistake(case, tmp_path, command)


@pytest.mark.parametrize("taken", ["results", "control"])
def test_a_port_in_use_is_named(tmp_path, taken, capfd):
    with closing(socket.socket()) as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        endpoint = f"tcp://127.0.0.1:{holder.getsockname()[1]}"
        ports = dict.fromkeys(("results", "control"), f"tcp://127.0.0.1:{free_ports(1)[0]}") | {taken: endpoint}
        config = write_config(tmp_path / "daemon.toml", simulated(server=ports))
        outcome = within([*DAEMON, "run", config, "--save", tmp_path / "OUT.tif"], capfd)
    assert_one_line(outcome, endpoint, "cannot listen there", "[server]")
    assert [path.name for path in tmp_path.iterdir()] == ["daemon.toml"]


def test_all_mistakes_of_a_run_are_reported_before_torch_is_loaded(tmp_path, capfd):
    (tmp_path / "file").touch()
    settings = simulated() | {
        "source": {"uri": "replay:none.tif"},
        "server": dict.fromkeys(("results", "control"), "tcp://127.0.0.1:5999"),
        "save": "gone/out.tif",
        "record": "file",
    }
    config = write_config(tmp_path / "daemon.toml", settings)
    watched = "import sys; sys.modules['torch'] = None; from daemon.cli import main; main()"
    outcome = command([sys.executable, "-c", watched, "run", config], cwd=tmp_path)
    assert (outcome.returncode, outcome.stdout) == (2, "")
    lines = outcome.stderr.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    for said in (
        "none.tif: no such file",
        "results and control have the same",
        "gone: no such folder",
        "is a file, not",
    ):
        assert [said in line for line in lines].count(True) == 1, (said, lines)
    assert {path.name for path in tmp_path.iterdir()} == {"daemon.toml", "file"}
