"""Tiles in processes of their own: the same pictures, and the loss of a process costs a window's tiles alone."""

import os
import signal
import subprocess
import sys
import threading
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
import pytest
import torch
from daemon_process import wait_until

from daemon.tiles import process_tiles
from daemon.tiles.pool import TilePool, devices_of
from daemon.tiles.shared_arrays import NAMES_OUTLIVE, SharedArrays
from daemon.transport.child_process import STOP_S, ChildProcess
from selfstorm.errors import InputError
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.engine import EngineWindow, StreamEngine
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.model_kinds import new_model
from selfstorm.stream.offline import ArrayFrames
from selfstorm.stream.settings import Settings
from selfstorm.stream.tiled.field import TiledField, TilesLostError

CPU = torch.device("cpu")
SHM, MINE = Path("/dev/shm"), f"selfstorm-{os.getpid()}-*"  # noqa: S108  (no file of ours)
SETTINGS = Settings(
    100.0, Gaussian(110.0), 100.0, 1.0, scale=2, estimate="emitters", quality="fast", model="tiled", tile_px=24
)
SCENE = Scene(height=40, width=44, seed=3, density=0.6, photons=2000.0, gain_adu_per_electron=1.0)
WINDOW, STRIDE = 30, 15
MISSING = "2 of 4 tiles are missing, for the process that computes them was lost; the picture is black there"


@pytest.fixture(scope="module")
def raw():
    return np.stack([pixels for pixels, _ in simulate(SCENE, frames=75)])


@pytest.fixture(scope="module")
def said():
    return []


@pytest.fixture(scope="module")
def pool(said, tmp_path_factory):
    pool = TilePool(["cpu", "cpu"], said.append, tmp_path_factory.mktemp("notes"))
    yield pool
    pool.close()


def reconstructions(raw, workers=None):
    """Yield the results of window after window, by processes or here."""
    compute = Compute(CPU, tile_workers=workers)
    engine = StreamEngine(lambda first_window: new_model(SETTINGS, first_window, compute))
    frames = ArrayFrames(raw)
    for first in range(0, len(raw) - WINDOW + 1, STRIDE):
        span = WindowSpan(np.arange(first, first + WINDOW), first, STRIDE)
        yield engine.reconstruct(EngineWindow(span, frames.frame_shape, frames.read)).result


def test_two_processes_make_the_picture_of_one(raw, pool):
    for one, shared in zip(reconstructions(raw[:45]), reconstructions(raw[:45], pool), strict=True):
        assert np.array_equal(one.picture, shared.picture)
        assert one.notes == shared.notes


def test_a_process_that_is_killed_costs_its_tiles_of_one_window(raw, pool, said, monkeypatch):
    whole = [result.picture for result in reconstructions(raw)]
    call, steps = TiledField.call, []

    def killing(field, command, *numbers):
        steps.append(command)
        within_second_window = steps.count("finish") == 2 and steps[-2:] == ["step", "step"]
        if within_second_window and "killed" not in steps:
            os.kill(pool.groups[1].pid, signal.SIGTERM)
            steps.append("killed")
        return call(field, command, *numbers)

    said.clear()
    monkeypatch.setattr(TiledField, "call", killing)
    made = []
    for number, result in enumerate(reconstructions(raw, pool)):
        made.append(result)
        if number == 1:
            assert pool.groups[1].wait_ready(60.0)
    assert [MISSING in result.notes for result in made] == [False, True, False, False]
    assert len(said) == 1
    assert said[0].startswith("the process of tiles 1 was killed")
    kept = np.zeros(whole[1].shape, bool)
    kept[:, : 22 * SETTINGS.scale] = True  # the tiles of the other process: every second one
    assert not made[1].picture[~kept].any()
    # its five iterations went on with the momentum of the tiles that were left: a density of about as many
    assert np.corrcoef(made[1].picture[kept], whole[1][kept])[0, 1] > 0.9
    assert np.corrcoef(made[3].picture.ravel(), whole[3].ravel())[0, 1] > 0.999


@pytest.fixture
def light(monkeypatch):
    """Processes that only wait for their input, in place of those that compute."""
    monkeypatch.setattr(process_tiles, "ChildProcess", lambda *_: ChildProcess("json.tool", []))


@pytest.fixture
def few_files():
    """A limit of open files for this process, while it is called with True."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def limit(on):
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]) if on else before)

    yield limit
    limit(False)


def test_a_process_that_cannot_be_started_again_is_tried_with_every_window(light, few_files, monkeypatch):
    said = []
    group = process_tiles.ProcessTiles(0, "cpu", 1, said.append, lambda _: None)
    os.kill(group.pid, signal.SIGTERM)
    wait_until(lambda: group._child.ending)
    few_files(True)
    for _ in range(2):
        group.ask("begin")
        with monkeypatch.context() as patched:
            patched.setattr(process_tiles, "wait_said", lambda *_: pytest.fail("it waits for a process that has ended"))
            group.ask("step")
            with pytest.raises(TilesLostError):
                group.answer()
    few_files(False)
    group.ask("begin")
    group.stop(STOP_S)
    assert len(said) == 3
    assert all("no process can be started (Too many open files)" in text for text in said[:2])
    assert said[2].endswith("it is started again")


def test_no_process_is_left_where_one_of_several_cannot_be_started(light, few_files, tmp_path, monkeypatch):
    begun = []

    class SecondFails(process_tiles.ProcessTiles):
        def __init__(self, number, *more):
            few_files(number == 1)
            super().__init__(number, *more)
            begun.append(self)

    monkeypatch.setattr("daemon.tiles.pool.ProcessTiles", SecondFails)
    pool = TilePool(["cpu", "cpu"], print, tmp_path)
    with pytest.raises(InputError, match="no process can be started"):
        pool.board()
    assert len(begun) == 1
    assert begun[0]._child.ending
    few_files(False)
    pool.close()


@pytest.mark.skipif(not NAMES_OUTLIVE, reason="Windows frees shared memory with the last process that holds it")
def test_the_next_start_removes_what_a_killed_daemon_left(tmp_path):
    program = (
        "import os, signal, sys, numpy as np\n"
        "from multiprocessing import resource_tracker\n"
        "from pathlib import Path\n"
        "from daemon.tiles.shared_arrays import SharedArrays\n"
        "arrays = SharedArrays(Path(sys.argv[1]))\n"
        "arrays.allocate('frames', (4, 4), np.dtype(np.uint16))\n"
        "print(arrays.memory_name('frames'), flush=True)\n"
        "os.kill(resource_tracker._resource_tracker._pid, signal.SIGKILL)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60)
    name = ended.stdout.strip()
    SharedMemory(name).close()  # still there
    SharedArrays(tmp_path).close()
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not NAMES_OUTLIVE, reason="no notes are kept on Windows")
@pytest.mark.parametrize("note", [str(10**15), "9" * 5000, "-5", "x", "", "a folder", "a pipe", "a link"])
def test_no_note_holds_up_a_start(tmp_path, note):
    """Others may write into the system's folder for temporary files."""
    path, kept = tmp_path / "99999999", tmp_path / "kept"
    kept.write_text("1")
    make = {"a folder": path.mkdir, "a pipe": lambda: os.mkfifo(path), "a link": lambda: path.symlink_to(kept)}
    make.get(note, lambda: path.write_text(note))()
    starting = threading.Thread(target=SharedArrays, args=[tmp_path], daemon=True)
    starting.start()
    starting.join(20)
    assert not starting.is_alive()
    assert kept.exists()


@pytest.mark.skipif(not NAMES_OUTLIVE, reason="no notes are kept on Windows")
@pytest.mark.parametrize("kind", ["a link", "open to others", "a file", "nothing can be written"])
def test_notes_are_written_into_a_folder_of_this_user_alone(tmp_path, kind):
    notes, other = tmp_path / "notes", tmp_path / "other"
    other.mkdir()
    if kind == "a link":
        notes.symlink_to(other)
    elif kind == "open to others":
        notes.mkdir()
        notes.chmod(0o777)
    else:
        notes.touch()
        notes = notes / "below" if kind == "nothing can be written" else notes
    with pytest.raises(InputError, match=r"is not a folder of this user alone|cannot be made"):
        SharedArrays(notes).allocate("map", (2, 2), np.dtype(np.uint16))
    assert not list(other.iterdir())


@pytest.mark.skipif(not SHM.is_dir(), reason="needs Linux' shared memory")
def test_too_little_shared_memory_is_said_and_ends_nothing(tmp_path):
    """The process that writes into memory that is not there is ended by the system: a container has 64 MB."""
    there, of_others = os.statvfs(SHM), set(SHM.glob(MINE))
    shared = SharedArrays(tmp_path)
    before = shared.allocate("map", (2, 2), np.dtype(np.uint16))
    with pytest.raises(InputError, match=r"no shared memory of \d+ MB .*docker: --shm-size"):
        shared.allocate("map", (there.f_blocks + 1, there.f_frsize), np.dtype(np.uint8))
    assert not before.any()
    shared.close()
    assert set(SHM.glob(MINE)) == of_others


@pytest.mark.skipif(not NAMES_OUTLIVE, reason="no notes are kept on Windows")
@pytest.mark.parametrize("lacking", ["files", "space for the notes"])
def test_shared_memory_that_cannot_be_made_or_noted_is_said(tmp_path, few_files, monkeypatch, lacking):
    shared = SharedArrays(tmp_path)
    shared.allocate("map", (2, 2), np.dtype(np.uint16))  # starts the process that watches over the memory
    if lacking == "files":
        monkeypatch.setattr(SharedArrays, "_note", lambda _: None)
        few_files(True)
    else:
        monkeypatch.setattr("daemon.tiles.shared_arrays.os.getpid", lambda: "full")
        (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"Too many open files|cannot be written \(No space left"):
        shared.allocate("more", (2, 2), np.dtype(np.uint16))
    few_files(False)
    monkeypatch.undo()
    shared.close()


def test_an_array_outlives_the_memory_that_was_given_up(tmp_path):
    shared = SharedArrays(tmp_path)
    before = shared.allocate("map", (3, 5), np.dtype(np.float32))
    empty = shared.allocate("none", (0, 5), np.dtype(np.float32))
    after = shared.allocate("map", (4, 6), np.dtype(np.float32))
    shared.close()
    before[...] = 7  # the process died here where nothing held its memory
    assert before.sum() == 7 * 15
    assert not after.any()
    assert empty.shape == (0, 5)


def test_one_process_a_device_where_there_are_several():
    assert devices_of(CPU, None) == []
    assert devices_of(CPU, 2) == ["cpu", "cpu"]
