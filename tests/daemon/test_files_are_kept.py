"""Files made earlier are never destroyed: pictures, manifests, checkpoints, snapshots and keys of other runs stay."""

import errno
import os
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from test_movie_out import picture
from test_worker import CONFIG, window

from daemon.control.snapshots import Snapshots
from daemon.health import Health
from daemon.ingest.windows import WindowQueue
from daemon.keys.store import AllowedClient, write
from daemon.live_config import LiveConfig
from daemon.processing.checkpoint_writer import CheckpointWriter
from daemon.processing.manifest import Manifest
from daemon.processing.worker import Worker
from daemon.recording.picture_writer import PictureWriter
from selfstorm.commands.info import describe
from selfstorm.errors import InputError
from selfstorm.io import atomic_files
from selfstorm.io.atomic_files import atomic_write, free_path, publish, replace_file
from selfstorm.io.ome_tiff import read_pictures
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.model import Settings
from selfstorm.stream.model_kinds import load_model

CPU = torch.device("cpu")


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def saved(path, count=2):
    health = Health(run="run")
    movie = PictureWriter(path, health)
    for number in range(count):
        movie.result(picture(8, number))
    movie.close()
    return health


def run(folder, windows=1, **outputs):
    """A worker with real outputs, as a service makes them."""
    config = CONFIG.model_copy(update={name: folder / file for name, file in outputs.items()})
    health, queue = Health(run=os.urandom(16).hex()), WindowQueue(lossless=True)
    sinks = [Manifest(config, health, "cpu")]
    if config.checkpoint is not None:
        sinks.append(CheckpointWriter(config.checkpoint, health))
    worker = Worker(LiveConfig(config), health, queue, CPU, sinks)
    queue.hurry()
    for number in range(windows):
        queue.put(window(number))
    queue.close()
    worker.start()
    worker.join()
    return health


@pytest.mark.parametrize("kind", ["finished", "killed", "foreign"])
def test_saving_again_keeps_what_is_there(tmp_path, kind):
    path = tmp_path / "out.ome.tif"
    if kind == "foreign":
        path.write_bytes(b"my thesis")
    else:
        saved(path)
    if kind == "killed":
        path.rename(tmp_path / "out.ome.tif.part")
    before = content(tmp_path)
    health = saved(path, count=3)
    after = content(tmp_path)
    assert {name: after[name] for name in before} == before
    assert read_pictures(tmp_path / "out-2.ome.tif").pictures.shape == (3, 8, 8)
    [event] = health.events_since(0)
    assert (event.code, health.status().saving) == ("saving_renamed", str(tmp_path / "out-2.ome.tif"))


def test_two_daemons_with_one_name_both_keep_their_pictures(tmp_path):
    path = tmp_path / "out.ome.tif"
    movies = [PictureWriter(path, Health(run="run")) for _ in range(2)]
    for number in range(3):
        for movie in movies:
            movie.result(picture(8, number))
    for movie in movies:
        movie.close()
    assert sorted(content(tmp_path)) == ["out-2.ome.tif", "out.ome.tif"]
    assert [read_pictures(file).pictures.shape for file in tmp_path.iterdir()] == [(3, 8, 8), (3, 8, 8)]


def test_manifests_of_earlier_runs_are_kept(tmp_path):
    for _ in range(3):
        before = content(tmp_path)
        run(tmp_path, save="out.ome.tif")
        after = content(tmp_path)
        assert {name: after[name] for name in before} == before
    assert sorted(after) == ["out-2.manifest.ndjson", "out-3.manifest.ndjson", "out.manifest.ndjson"]


@pytest.mark.parametrize(
    "foreign",
    [b"my thesis", b"", b"\x00" * 100, save({"weights": torch.zeros(3)})],
    ids=["text", "nothing", "zeros", "a model of another program"],
)
def test_a_checkpoint_never_replaces_a_file_that_the_run_did_not_start_from(tmp_path, foreign):
    path = tmp_path / "learned.safetensors"
    path.write_bytes(foreign)
    health = run(tmp_path, checkpoint="learned.safetensors")
    assert path.read_bytes() == foreign
    assert (tmp_path / "learned-2.safetensors").exists()
    assert "checkpoint_renamed" in [event.code for event in health.events_since(0)]
    assert health.status().checkpoint == str(tmp_path / "learned-2.safetensors")


def test_a_checkpoint_that_the_run_continues_is_replaced(tmp_path):
    run(tmp_path, checkpoint="learned.safetensors")
    health = run(tmp_path, windows=2, checkpoint="learned.safetensors")
    assert sorted(content(tmp_path)) == ["learned.safetensors"]
    assert "checkpoint_used" in [event.code for event in health.events_since(0)]


def test_every_snapshot_is_a_file_of_its_own(tmp_path):
    health = Health(run="run")
    snapshots = Snapshots(tmp_path, health)
    one = picture(8, 1)
    paths = [snapshots.save((one.header, one.picture), None) for _ in range(3)]
    snapshots.start()
    snapshots.finish()
    snapshots.join()
    assert len(set(paths)) == 3
    assert all(read_pictures(path).pictures.shape == (1, 8, 8) for path in paths)
    before = [path.read_bytes() for path in paths]
    later = Snapshots(tmp_path, health)
    later.save((one.header, one.picture), None)
    later.start()
    later.finish()
    later.join()
    assert [path.read_bytes() for path in paths] == before
    last = health.events_since(0)[-1]
    assert (last.code, Path(last.text) in paths) == ("snapshot_saved", False)


def test_a_key_file_is_never_replaced_even_when_it_appears_meanwhile(tmp_path, monkeypatch):
    path = tmp_path / "laptop.key"
    appear = threading.Event()

    def lexists(name):
        found = name.exists()
        if not appear.is_set():
            appear.set()
            path.write_text("another key")
        return found

    monkeypatch.setattr("daemon.keys.store.os.path.lexists", lexists)
    key = AllowedClient(name="laptop", public="x" * 40, role="view", since_unix=0)
    with pytest.raises(InputError, match="exists already"):
        write(path, key, replace=False)
    assert path.read_text() == "another key"


def written(old, new):
    with atomic_write(old, overwrite=True) as part:
        part.write_text(new.read_text())
    new.unlink()


WAYS = {
    "renamed": lambda old, new: replace_file(new, old),
    "published": lambda old, new: publish(new, old, overwrite=True),
    "written": written,
    "a drive without links": lambda old, new: (old.unlink(), publish(new, old)),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_a_scanner_holds_open_is_replaced_when_it_lets_go(tmp_path, monkeypatch, way):
    """As Windows refuses it: access is denied while another program has the file open."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("old")
    new.write_text("new")
    refusals, replace = [PermissionError(13, "Access is denied")] * 3, atomic_files._replace

    def replace_later(*paths):
        if refusals:
            raise refusals.pop()
        replace(*paths)

    def no_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(atomic_files, "_replace", replace_later)
    monkeypatch.setattr("os.link", no_links)
    WAYS[way](old, new)
    assert not refusals
    assert old.read_text() == "new"
    assert not new.exists()


def test_a_free_path_has_a_number_before_the_whole_ending(tmp_path):
    for taken, free in (
        ("a.ome.tif", "a-2.ome.tif"),
        ("b_0.5uM.safetensors", "b_0.5uM-2.safetensors"),
        ("c.tif.part", "c.tif-2.part"),
        ("d.manifest.ndjson", "d-2.manifest.ndjson"),
        ("bare", "bare-2"),
    ):
        (tmp_path / taken).touch()
        assert free_path(tmp_path / taken) == tmp_path / free
    assert free_path(tmp_path / "c.tif") == tmp_path / "c-2.tif"
    assert free_path(tmp_path / "new.tif") == tmp_path / "new.tif"


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("learned")
    run(folder, checkpoint="learned.safetensors")
    return folder / "learned.safetensors"


def loaded(path, **settings):
    chosen = Settings(pixel_nm=100.0, scale=2, tuning_steps=0, **settings)
    return load_model(path, chosen, (16, 16), Compute(CPU))


def refused(path):
    with pytest.raises(InputError, match="network scale") as told:
        loaded(path, estimate="fused")
    return told.value


READS = {
    "for a density": lambda path: loaded(path, estimate="density"),
    "for emitters": lambda path: loaded(path, estimate="emitters"),
    "where it does not fit": lambda path: refused(path),
    "its description": lambda path: list(describe(path)),
}


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
@pytest.mark.parametrize("way", READS)
def test_a_checkpoint_that_was_read_is_not_mapped_any_more(learned, way):
    """Windows replaces no file that is mapped, and every saved checkpoint replaces the one before."""
    kept = READS[way](learned)
    assert kept
    assert str(learned) not in Path("/proc/self/maps").read_text()
