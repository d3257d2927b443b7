"""The accumulated picture goes out beside the sliding one, and can be saved, also after a change of scene."""

import numpy as np
from daemon_process import Daemon, Results, free_ports, simulated, wait_until

from daemon.control.snapshots import Snapshots
from daemon.health import Health
from daemon.protocol.messages import PictureHeader
from daemon.transport.publisher import Publisher
from selfstorm.io.ome_tiff import read_pictures

SIDE, SCALE = 32, 2


def test_an_accumulated_picture_follows_the_windows_and_grows(tmp_path):
    settings = simulated(rate_hz=12, window=24, stride=12)
    settings["reconstruction"]["estimate"] = "fused"
    with Daemon(tmp_path, settings, "--lossless") as daemon, Results(daemon.results) as results:
        daemon.started().published(2)
        wait_until(lambda: len(results.of("accumulated")) > 1)
    first, *_, last = results.pictures("accumulated")
    assert last.pixels.shape == (SCALE * SIDE, SCALE * SIDE)
    assert last.message.frames > first.message.frames >= 24
    assert (last.message.estimate, last.message.scene) == ("accumulated", 0)
    assert len(last.message.drift_nm) == 2
    shown = [set(one.message.metrics) for one in results.pictures("sr.refined")]
    assert all({"drift_y_nm", "drift_x_nm"} <= metrics for metrics in shown)
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
    snapshots.close()
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
