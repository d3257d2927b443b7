"""The accumulated picture goes out beside the sliding one, and can be saved, also after a change of scene."""

from types import SimpleNamespace

import numpy as np
import pytest
from daemon_process import Daemon, Results, free_ports, posix, simulated, wait_until

from daemon.control.snapshots import Snapshots
from daemon.health import Health
from daemon.protocol.messages import PictureHeader
from daemon.recording.accumulated_writer import AccumulatedWriter
from daemon.transport.publisher import Publisher
from selfstorm.io.ome_tiff import read_pictures

SIDE, SCALE = 32, 2


def test_an_accumulated_picture_follows_the_windows_and_grows(tmp_path):
    settings = simulated(rate_hz=12, window=24, stride=12)
    settings["reconstruction"]["estimate"] = "fused"
    with Daemon(tmp_path, settings, "--lossless") as daemon, Results(daemon.results) as results:
        daemon.started().published(2)
        wait_until(lambda: len(results.pictures("accumulated")) > 1)
    first, *_, last = results.pictures("accumulated")
    assert last.pixels.shape == (SCALE * SIDE, SCALE * SIDE)
    assert last.message.frames > first.message.frames >= 24
    assert (last.message.estimate, last.message.scene) == ("accumulated", 0)
    assert len(last.message.drift_nm) == 2
    shown = [set(one.message.metrics) for one in results.pictures("sr.refined")]
    assert all({"drift_y_nm", "drift_x_nm"} <= metrics for metrics in shown[1:])  # of the stride before
    assert set(last.message.metrics) <= {"resolution_nm"}


def picture(scene, frames):
    header = PictureHeader(
        run="run",
        window=scene,
        stream="0123456789abcdef",
        shape=(8, 8),
        first_seq=0,
        last_seq=19,
        frames=frames,
        estimate="accumulated",
        scene=scene,
        pixel_nm=25.0,
        published_unix_ns=1,
    )
    return header, np.full((8, 8), frames, np.float32)


def test_the_picture_of_the_scene_before_is_kept_and_saved(tmp_path):
    (port,) = free_ports(1)
    publisher = Publisher(f"tcp://127.0.0.1:{port}", Health(run="run"))
    for scene, frames in ((0, 100), (0, 200), (1, 50), (1, 75)):
        publisher.accumulated(picture(scene, frames))
    assert publisher.last["accumulated"][0].frames == 75
    assert publisher.scene_before[0].frames == 200
    snapshots = Snapshots(tmp_path, Health(run="run"))
    snapshots.start()
    path = snapshots.save(picture(1, 75), None, publisher.last["accumulated"], publisher.scene_before)
    snapshots.finish()
    snapshots.join()
    name = path.name.removesuffix(".ome.tif")
    for what, frames in (("accumulated", 75), ("accumulated-before", 200)):
        (saved,) = read_pictures(tmp_path / f"{name}-{what}.ome.tif").pictures
        assert (saved == frames).all()


def test_a_reset_model_keeps_the_accumulated_picture_before_it():
    (port,) = free_ports(1)
    publisher = Publisher(f"tcp://127.0.0.1:{port}", Health(run="run"))
    for frames in (100, 300, 50):
        publisher.accumulated(picture(0, frames))
    assert publisher.scene_before[0].frames == 300


def summed(scene, frames):
    """A window and its sums, whose accumulated picture has the value of its frames."""
    sums = SimpleNamespace(
        scene=scene,
        frames=frames,
        repeats=False,
        drift_nm=(3.0, 4.0),
        picture=lambda: np.full((8, 8), frames, np.float32),
        resolution_nm=lambda: None,
    )
    return SimpleNamespace(header=picture(scene, frames)[0]), sums


def test_a_file_has_the_last_accumulated_picture_of_every_scene(tmp_path):
    writer = AccumulatedWriter(tmp_path / "out.ome.tif", Health(run="run"))
    for scene, frames in ((0, 100), (0, 200), (1, 50), (1, 20)):
        writer.learned(*summed(scene, frames))
    writer.close()
    saved = read_pictures(tmp_path / "out.ome.tif").pictures
    assert [float(page.mean()) for page in saved] == [200, 50, 20]  # the model was reset last


@posix
@pytest.mark.parametrize(("room", "freed"), [(0, False), (100, False), (1500, False), (1500, True)])
def test_a_full_disk_ends_the_accumulated_pictures_in_words_and_keeps_the_scenes_before(tmp_path, room, freed):
    resource = pytest.importorskip("resource")
    health, before = Health(run="run"), resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = AccumulatedWriter(tmp_path / "out.ome.tif", health)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        for scene in range(4):
            writer.learned(*summed(scene, 10 + scene))
        if freed:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    told = [event.text for event in health.events_since(0) if event.code == "accumulated_stopped"]
    assert all("File too large" in text and "Errno" not in text for text in told)
    assert "File too large" in health.status().outputs_ended["accumulated"]
    names = [path.name for path in tmp_path.iterdir()]
    assert names == ([] if room < 1000 else ["out.ome.tif"] if freed else ["out.ome.tif.part"])
    assert told[-1].endswith("kept as " + str(tmp_path / "out.ome.tif.part")) == (names == ["out.ome.tif.part"])
    for path in tmp_path.iterdir():
        assert [float(page.mean()) for page in read_pictures(path).pictures] == [10.0]


def test_accumulated_pictures_write_over_nothing_and_none_are_no_file(tmp_path):
    path, health = tmp_path / "out.ome.tif", Health(run="run")
    AccumulatedWriter(path, health).close()
    assert not list(tmp_path.iterdir())
    path.write_text("mine")
    writer = AccumulatedWriter(path, health)
    writer.learned(*summed(0, 10))
    writer.close()
    assert path.read_text() == "mine"
    assert len(read_pictures(tmp_path / "out-2.ome.tif").pictures) == 1
    assert [event.code for event in health.events_since(0)] == ["accumulated_renamed"]
