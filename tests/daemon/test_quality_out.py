"""Error and trust map go out with the picture they are of, to those who were there and to those who come late."""

import numpy as np
from daemon_process import Daemon, Results, free_ports, simulated, wait_until

from daemon.health import Health
from daemon.protocol.messages import PictureHeader
from daemon.transport.publisher import Publisher

SIDE, SCALE = 32, 2


def test_every_refined_picture_comes_with_its_maps(tmp_path):
    settings = simulated(rate_hz=12, window=24, stride=12)
    settings["reconstruction"]["estimate"] = "fused"
    # Lossless, because a machine that is in a hurry makes no map.
    with Daemon(tmp_path, settings, "--lossless") as daemon, Results(daemon.results) as results:
        daemon.started().published(3)
        wait_until(results.has("quality", "trust", "sr.refined"))
        with Results(daemon.results) as late:

            def both():
                of_late = [{one.message.window for one in late.of(kind)} for kind in ("quality", "sr.refined")]
                return set.intersection(*of_late)

            wait_until(both)
    refined = {one.message.window: one.message for one in results.pictures("sr.refined")}
    maps = results.pictures("quality")
    assert maps
    for one in maps:
        header = refined.get(one.message.window)
        assert one.pixels.shape == (SIDE, SIDE)
        assert np.isfinite(one.pixels).all()
        assert (one.message.estimate, one.message.scale, one.message.pixel_nm) == ("error map", 1, 100.0)
        if header is not None:  # the last map may have come before its picture was waited for
            assert header.effort == "full"
            assert (one.message.metrics, one.message.first_seq) == (header.metrics, header.first_seq)
            assert "quality" in header.stage_ms
    for one in results.pictures("raw.mean"):
        assert not {"agreement", "resolution_nm"} & set(one.message.metrics)
    trusted = results.pictures("trust")
    assert {one.message.estimate for one in trusted} == {"trust map"}
    assert all(one.pixels.shape == (SIDE, SIDE) and np.nanmax(one.pixels) <= 1 for one in trusted)


def picture(window, estimate):
    header = PictureHeader(
        run="run",
        window=window,
        stream="0123456789abcdef",
        shape=(8, 8),
        first_seq=0,
        last_seq=19,
        frames=20,
        estimate=estimate,
        published_unix_ns=1,
    )
    return header, np.zeros((8, 8), np.float32)


def test_a_picture_made_in_a_hurry_leaves_no_error_map_of_another_behind():
    (port,) = free_ports(1)
    publisher = Publisher(f"tcp://127.0.0.1:{port}", Health(run="run"))
    publisher.listen()
    maps = {"quality": picture(0, "error map"), "trust": picture(0, "trust map")}
    try:
        with Results(f"tcp://127.0.0.1:{port}") as early:
            wait_until(early.has("status"))
            publisher.pictures("sr.refined", picture(0, "fused"), None, maps)
            wait_until(early.has("quality", "trust"))
            publisher.pictures("sr.preview", picture(1, "density"), None)
            publisher.pictures("sr.refined", picture(1, "density"), None)
            wait_until(lambda: len(early.pictures("sr.refined")) == 2)
        with Results(f"tcp://127.0.0.1:{port}") as late:
            wait_until(late.has("sr.refined", "status"))
    finally:
        publisher.stop()
    assert [one.message.window for one in late.of("sr.refined")] == [1]
    assert late.of("quality") == late.of("trust") == []
