"""A frame's whole journey: simulated, counted, cut into windows, reconstructed, published, recorded and saved."""

import json
import socket
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from daemon_process import DAEMON, Daemon, Results, account_closes, command, mean_frame, simulated, wait_until

from daemon.protocol.messages import Status
from selfstorm.io.movies import MovieFile
from selfstorm.io.ome_tiff import read_pictures

WINDOW, STRIDE, SCALE, SIDE = 30, 20, 2, 32


@pytest.fixture(scope="module")
def journey(tmp_path_factory):
    """One run from start to stop, and all that could be seen of it."""
    folder = tmp_path_factory.mktemp("journey")
    settings = simulated(window=WINDOW, stride=STRIDE, save="out.ome.tif", record="raw")
    with Daemon(folder, settings) as daemon, Results(daemon.results) as results:
        daemon.started()
        wait_until(results.has("status"))
        before = daemon.published(3)
        with Results(daemon.results) as late:
            wait_until(late.has("info", "event", "sr.refined", "raw.mean", "status"))
        as_json = command([*DAEMON, "status", "--json", "--daemon", daemon.address])
        as_text = command([*DAEMON, "status", "--daemon", daemon.address])
        stopped = command([*DAEMON, "stop", "--daemon", daemon.address])
        socket.create_server(("127.0.0.1", int(daemon.control.rpartition(":")[2]))).close()  # another may run at once
        exit_code = daemon.exit_code()
        wait_until(results.has_ended)
    return SimpleNamespace(**locals())


def test_every_status_is_an_account_that_closes(journey):
    statuses = journey.results.messages("status")
    assert len(statuses) >= 3
    assert all(account_closes(status) for status in statuses)
    assert [status.state for status in statuses][-1] == "ended"
    assert {"running", "draining"} & {status.state for status in statuses}


def test_nothing_is_lost_on_the_way(journey):
    frames = journey.results.messages("status")[-1].frames
    assert frames.sent == frames.received == frames.used > 3 * STRIDE
    assert (frames.missing, frames.rejected, frames.lost_at_source, frames.malformed_messages) == (0, 0, 0, 0)


def test_the_published_windows_are_the_ones_counted(journey):
    windows = journey.results.messages("status")[-1].windows
    assert windows.published + windows.skipped + windows.failed == windows.complete
    assert windows.published == len(journey.results.pictures("sr.refined")) == len(journey.results.pictures("raw.mean"))
    assert windows.failed == 0


def test_a_window_is_two_pictures_with_one_account(journey):
    infos = {info.stream: info for info in journey.results.messages("info")}
    fine, coarse = journey.results.pictures("sr.refined"), journey.results.pictures("raw.mean")
    for sr, raw in zip(fine, coarse, strict=True):
        header = sr.message
        same = {"window", "stream", "run", "first_seq", "last_seq", "frames", "missing", "missing_seqs"}
        assert header.model_dump(include=same) == raw.message.model_dump(include=same)
        assert header.first_seq == header.window * STRIDE
        assert header.last_seq - header.first_seq + 1 == header.frames == WINDOW
        assert (header.shape, header.scale) == ((SCALE * SIDE, SCALE * SIDE), SCALE)
        assert (raw.message.shape, raw.message.scale) == ((SIDE, SIDE), 1)
        assert header.pixel_nm * SCALE == raw.message.pixel_nm == infos[header.stream].pixel_nm == 100
        assert header.metrics["latency_ms"] > 0
    assert [one.message.window for one in fine] == sorted({one.message.window for one in fine})


def test_the_mean_picture_is_that_of_the_windows_own_frames(journey):
    for raw in journey.results.pictures("raw.mean")[:3]:
        np.testing.assert_array_equal(raw.pixels, mean_frame(raw.message.first_seq, WINDOW))


def test_the_picture_is_bright_where_the_frames_are(journey):
    sr, raw = journey.results.pictures("sr.refined")[0].pixels, journey.results.pictures("raw.mean")[0].pixels
    assert (sr >= 0).all()
    binned = sr.reshape(SIDE, SCALE, SIDE, SCALE).sum((1, 3))
    assert raw[binned > np.quantile(binned, 0.9)].mean() > raw.mean() + raw.std() / 2


def test_who_comes_late_is_told_all_at_once(journey):
    kinds = [received.kind for received in journey.late.all]
    first = [received.message for received in journey.late.all[: kinds.index("info")]]
    # Before it is told, it can have seen what was published just as it came: pictures of one window, events, a status.
    just_so = {"sr.preview", "raw.mean", "sr.refined", "quality", "trust", "accumulated", "event", "status"}
    assert set(kinds[: len(first)]) <= just_so
    assert len({message.window for message in first if hasattr(message, "window")}) <= 1
    # Everybody is sent the last pictures again, so who has listened all along knows them twice.
    told = [one.message.window for one in journey.results.of("sr.refined")]
    assert told.count(journey.late.of("sr.refined")[0].message.window) == 2
    assert {"stream_begins"} <= {event.code for event in journey.late.messages("event")}


def test_the_status_command(journey):
    status = Status.model_validate_json(journey.as_json.stdout)
    assert (journey.as_json.returncode, status.state, status.run) == (0, "running", journey.before.run)
    assert account_closes(status)
    assert status.stream in {info.stream for info in journey.results.messages("info")}
    assert journey.as_text.stdout.startswith("running\n")
    assert f"saved    {status.saving}" in journey.as_text.stdout


def test_the_stop_command_ends_it_in_order(journey):
    assert (journey.stopped.returncode, journey.stopped.stdout) == (0, "stopped\n")
    assert journey.exit_code == 0
    assert "ended" in journey.daemon.out
    assert "Traceback" not in journey.daemon.err
    warnings = [line for line in journey.daemon.err.splitlines() if " WARNING " in line]
    assert all(" pace: " in line for line in warnings)  # how fast this machine is, is not the question here


def test_the_saved_file_is_an_ome_tiff_of_the_published_pictures(journey):
    path = journey.folder / "out.ome.tif"
    assert not path.with_name(path.name + ".part").exists()
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        assert 'PhysicalSizeX="50.0" PhysicalSizeXUnit="nm"' in file.ome_metadata
    saved, published = read_pictures(path), journey.results.pictures("sr.refined")
    assert saved.pixel_nm == 50
    np.testing.assert_array_equal(saved.pictures, [one.pixels for one in published], strict=True)
    assert [record["window"] for record in saved.records] == [one.message.window for one in published]


def test_the_recording_is_every_frame(journey):
    status = journey.results.messages("status")[-1]
    assert (status.recorded_frames, status.recording_missing) == (status.frames.sent, 0)
    with MovieFile(next((journey.folder / "raw").glob("*.tif"))) as movie:
        assert (movie.length, movie.pixel_nm) == (status.frames.sent, 100)
        mean = movie.frames()[STRIDE : STRIDE + WINDOW].mean(0, dtype=np.float64)
        np.testing.assert_array_equal(mean.astype(np.float32), mean_frame(STRIDE, WINDOW))
    lines = next((journey.folder / "raw").glob("*.jsonl")).read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(status.frames.sent))
