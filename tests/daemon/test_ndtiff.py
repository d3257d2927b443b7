"""An NDTiff data set followed while it is written: all images, in order, none of them stale, and nothing is touched."""

import os
import subprocess
import sys
import threading
from itertools import islice, takewhile
from pathlib import Path

import numpy as np
import pytest
from daemon_process import DAEMON, DEADLINE_S, Daemon, free_ports, simulated, wait_until, within, write_config

from daemon.sources import growing, ndtiff
from daemon.sources.camera import CameraError, CameraFrame, Lost, Resume, Waiting
from daemon.sources.data_sets import DataSets
from daemon.sources.growing import GrowingDataSet
from daemon.sources.ndtiff import NDTiff
from daemon.sources.section import SourceSection
from selfstorm.errors import InputError, MovieError
from selfstorm.frames import StreamInfo
from selfstorm.io.movies import MovieFile

ndtiff_dataset = pytest.importorskip("ndstorage.ndtiff_dataset")

FRAMES = np.random.default_rng(1).integers(1, 4000, (12, 9, 13)).astype(np.uint16)
WRITER = Path(__file__).with_name("ndtiff_writer.py")


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    """Nobody writes to these data sets unseen."""
    for name, seconds in (("SETTLE_S", 0.1), ("LOOK_S", 0.02)):
        monkeypatch.setattr(growing, name, seconds)
    monkeypatch.setattr(ndtiff, "QUIET_S", 0.4)


class Writer:
    """A data set as pycromanager's Python backend writes it, image by image."""

    def __init__(self, folder, name="acq"):
        self._set = ndtiff_dataset.NDTiffDataset(str(folder), name=name, writable=True)
        self._set.initialize({})
        self._readers = []
        self.folder = Path(self._set.path)
        self._count = 0

    def put(self, frames, number=None, **axes):
        for frame in frames:
            tags = {"ImageNumber": str(self._count if number is None else number), "ElapsedTime-ms": 5.0 * self._count}
            self._set.put_image({"time": self._count, **axes}, frame, tags)
            self._count += 1
            self._readers += [self._set.current_writer.reader]
        self._set._index_file.flush()
        return self

    def finish(self):
        self._set.finish()
        for reader in self._readers:  # ndstorage forgets them
            reader.close()
        self._set.close()
        return self.folder


def followed(place, **keys):
    return NDTiff(SourceSection(uri=f"ndtiff:{place}", **keys), threading.Event(), Resume()).events()


def to_its_end(place, **keys):
    """All that happens until the data set is finished, without the ticks."""
    return [one for one in followed(place, **keys) if one is not None]


def frames_of(happened):
    return [one.pixels for one in happened if isinstance(one, CameraFrame)]


def test_a_live_acquisition_arrives_whole(tmp_path):
    """Written by another process with the real core; through camera process, sockets and recorder; every pixel."""
    pytest.importorskip("mm_test_adapters")
    folder, truth, frames = tmp_path / "data", tmp_path / "truth.npy", 400
    settings = simulated(record="raw", camera={"pixel_nm": 100.0}, window=50, stride=50)
    settings["source"] = {"uri": f"ndtiff:{folder}"}
    with Daemon(tmp_path, settings) as daemon:
        daemon.started()

        def waits():
            status = daemon.status()
            return (status.state, status.detail) == ("waiting", f"for the folder {folder} to appear")

        wait_until(waits)
        subprocess.run([sys.executable, WRITER, folder, str(frames), truth], check=True, timeout=2 * DEADLINE_S)
        assert daemon.exit_code() == 0, daemon.err
        assert f"sent {frames} = received {frames} + missing 0\n" in daemon.out, daemon.out
        assert f"recorded {frames} frames, 0 missing" in daemon.out
    saved = np.load(truth)
    assert len({frame.tobytes() for frame in saved}) == frames
    with MovieFile(tmp_path / "raw") as movie:
        np.testing.assert_array_equal(movie.frames(), saved, strict=True)
        stamps = [movie.stamp(index) for index in range(frames)]
    assert [stamp.number for stamp in stamps] == list(range(frames))
    assert (np.diff([stamp.camera_ms for stamp in stamps]) > 0).all()


def test_a_finished_data_set_is_read_and_left_as_it_is(tmp_path):
    folder = Writer(tmp_path).put(FRAMES).finish()
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}
    waiting, info, *shots = to_its_end(folder)
    assert isinstance(waiting, Waiting)
    assert isinstance(info, StreamInfo)
    np.testing.assert_array_equal(frames_of(shots), FRAMES)
    assert [(shot.number, shot.camera_ms) for shot in shots] == [(n, 5.0 * n) for n in range(12)]
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()} == before


def test_several_files_are_one_data_set(tmp_path, monkeypatch):
    monkeypatch.setattr("ndstorage.ndtiff_file.MAX_FILE_SIZE", 5_002_500)  # 5 MB stay free in each
    folder = Writer(tmp_path).put(FRAMES).finish()
    assert len(list(folder.glob("*.tif"))) > 2
    np.testing.assert_array_equal(frames_of(to_its_end(folder)), FRAMES)
    with MovieFile(folder) as movie:
        np.testing.assert_array_equal(movie.frames(), FRAMES)


def test_a_file_that_goes_away_while_a_movie_is_read_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("ndstorage.ndtiff_file.MAX_FILE_SIZE", 5_002_500)
    folder = Writer(tmp_path).put(FRAMES).finish()
    last = max(folder.glob("*.tif"))
    with MovieFile(folder) as movie:
        last.unlink()
        for read in (movie.frame, movie.stamp):
            with pytest.raises(MovieError, match="acq_1: cannot be read"):
                read(movie.length - 1)


@pytest.mark.parametrize("index_first", [True, False])
def test_an_image_is_taken_once_it_is_whole_wherever_its_writer_stands(tmp_path, index_first):
    """Index and file are extended with zeros beforehand, as Micro-Manager's, and filled in pieces of any size."""
    done = Writer(tmp_path).put(FRAMES).finish()
    (tmp_path / "live").mkdir()
    index, data = tmp_path / "live" / "NDTiff.index", tmp_path / "live" / next(done.glob("*.tif")).name
    sources = {index: (done / index.name).read_bytes(), data: (done / data.name).read_bytes()}
    for path, content in sources.items():
        path.write_bytes(bytes(len(content) + 20_000))
    order = [index, data] if index_first else [data, index]
    seen = []
    with GrowingDataSet(index.parent, {}) as live:
        for part, path in enumerate(order):
            at = 0
            for size in np.random.default_rng(part).integers(1, 90, 10_000):
                with path.open("rb+") as file:
                    file.seek(at)
                    at += file.write(sources[path][at : at + int(size)])
                seen += [image.pixels for image in live.images()]
                assert all(np.array_equal(*pair) for pair in zip(seen, FRAMES, strict=False))
                if at == len(sources[path]):
                    break
            assert len(seen) == 12 * part
        assert not live.finished
        for path, content in sources.items():
            os.truncate(path, len(content))

        def finished():
            assert list(live.images()) == []
            return live.finished

        wait_until(finished)


def test_the_end_of_one_file_is_not_the_end(tmp_path):
    writer = Writer(tmp_path).put(FRAMES)
    with GrowingDataSet(writer.folder, {}) as live:
        assert len(list(live.images())) == 12
        assert not live.complete()  # its file is extended
        folder = writer.finish()
        assert live.complete()
        (folder / "acq_NDTiffStack_1.tif").touch()
        assert not live.complete()


def test_the_newest_data_set_is_followed_and_a_finished_one_is_not(tmp_path):
    Writer(tmp_path).put(FRAMES).finish()
    happening = followed(tmp_path)
    for _ in range(3):
        assert next(happening) == Waiting(f"for an acquisition to be saved in {tmp_path} (as NDTiff)")
    abandoned = Writer(tmp_path).put(FRAMES[:5])
    first = [one for one in takewhile(lambda one: not _waits_for_image(one), happening) if isinstance(one, CameraFrame)]
    np.testing.assert_array_equal(frames_of(first), FRAMES[:5])
    Writer(tmp_path).put(FRAMES[5:]).finish()
    rest = [one for one in happening if one is not None]
    assert isinstance(rest[0], StreamInfo)  # no picture mixes the two
    np.testing.assert_array_equal(frames_of(rest), FRAMES[5:])
    abandoned.finish()


@pytest.mark.parametrize("another_begun", [False, True])
def test_a_process_that_is_killed_is_followed_by_one_that_goes_on_where_it_was(tmp_path, another_begun):
    """Whatever was begun meanwhile: no image is left out, and none of another data set is taken for seen."""
    left, first = [], Writer(tmp_path).put(FRAMES[:6])
    resume = Resume(leave=lambda *one: left.append(one))
    killed = NDTiff(SourceSection(uri=f"ndtiff:{tmp_path}"), threading.Event(), resume).events()
    seen = list(islice((one for one in killed if isinstance(one, CameraFrame)), 6))
    np.testing.assert_array_equal(frames_of(seen), FRAMES[:6])
    killed.close()
    first.put(FRAMES[6:9])
    second = Writer(tmp_path).put(FRAMES[9:]) if another_begun else first
    second.finish()
    resume = Resume(number=4, sent=4, left=left[-1][0])  # the last two were lost with it
    rest = list(NDTiff(SourceSection(uri=f"ndtiff:{tmp_path}"), threading.Event(), resume).events())
    shots = [one for one in rest if isinstance(one, CameraFrame)]
    np.testing.assert_array_equal(frames_of(shots), FRAMES[4:] if another_begun else FRAMES[4:9])
    assert [shot.number for shot in shots] == [*range(4, 9), *(range(3) if another_begun else ())]
    assert len([one for one in rest if isinstance(one, StreamInfo)]) == 1 + another_begun
    if another_begun:
        first.finish()


def _waits_for_image(happening):
    return isinstance(happening, Waiting) and "next image" in happening.detail


def test_images_that_the_camera_lost_are_counted_and_a_camera_that_starts_again_is_not_a_loss(tmp_path):
    writer = Writer(tmp_path)
    for number in (0, 1, 4, 5, 0, 1):
        writer.put(FRAMES[:1], number=number)
    shots = [one for one in to_its_end(writer.finish()) if isinstance(one, CameraFrame | Lost)]
    assert [one.number if isinstance(one, CameraFrame) else one for one in shots] == [0, 1, Lost(2), 4, 5, 6, 7]


def test_places_on_the_time_axis_without_an_image_are_lost_frames(tmp_path):
    writer = Writer(tmp_path).put(FRAMES[:2]).put(FRAMES[2:3], time=4).put(FRAMES[3:4], time=5)
    shots = [one for one in to_its_end(writer.finish()) if isinstance(one, CameraFrame | Lost)]
    assert [one.number if isinstance(one, CameraFrame) else one for one in shots] == [0, 1, Lost(2), 4, 5]


def test_another_size_is_another_stream(tmp_path):
    folder = Writer(tmp_path).put(FRAMES[:3]).put(FRAMES[3:6, :5]).finish()
    _, first, *rest = to_its_end(folder)
    second = next(one for one in rest if isinstance(one, StreamInfo))
    assert ((first.height, second.height), first.stream != second.stream) == ((9, 5), True)
    with MovieFile(folder) as movie:
        assert (movie.length, movie.notes) == (3, ("images 3-5 left out: 5 x 13 uint16, not 9 x 13 uint16",))


def test_of_several_channels_one_must_be_chosen(tmp_path):
    writer = Writer(tmp_path)
    for frame in FRAMES[:4]:
        writer.put([frame], channel="DAPI").put([frame + 1], channel="GFP")
    folder = writer.finish()
    with pytest.raises(InputError, match=r"channel \(DAPI, GFP\).*select"):
        to_its_end(folder)
    with pytest.raises(InputError, match=r"its axes: (channel, time|time, channel)"):
        to_its_end(folder, select={"z": 0})
    shots = [one for one in to_its_end(folder, select={"channel": "GFP"}) if isinstance(one, CameraFrame)]
    np.testing.assert_array_equal(frames_of(shots), FRAMES[:4] + 1)
    assert [shot.number for shot in shots] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "size", "says"),
    [
        ("NDTiff.index", -9, "ends in the middle of entry 11"),
        ("acq_NDTiffStack.tif", -60, "image 11 is in the index and not in"),
        ("acq_NDTiffStack.tif", 0, "image 0 is in the index and not in"),
    ],
)
def test_what_a_drive_does_not_show_yet_is_named_and_waited_for(tmp_path, monkeypatch, name, size, says):
    folder = Writer(tmp_path).put(FRAMES).finish()
    file = folder / name
    whole = file.read_bytes()
    os.truncate(file, size if size >= 0 else len(whole) + size)
    monkeypatch.setattr(growing, "PATIENCE_S", 0.3)
    shots = []
    for one in followed(folder):
        if isinstance(one, CameraFrame):
            shots.append(one)
        elif isinstance(one, Waiting) and says in one.detail:
            file.write_bytes(whole)
    np.testing.assert_array_equal(frames_of(shots), FRAMES)


def test_a_folder_that_cannot_be_read_for_a_while_is_tried_again(tmp_path, monkeypatch):
    happening = followed(tmp_path)
    assert isinstance(next(happening), Waiting)
    monkeypatch.setattr(Path, "iterdir", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(CameraError, match="Input/output error"):
        next(happening)


def going_on_with(writer):
    """A source that follows a data set, in the folder of several, as one before it did."""
    left = {"data_set": str(writer.folder), "sent_before": 0}
    source = NDTiff(SourceSection(uri=f"ndtiff:{writer.folder.parent}"), threading.Event(), Resume(left=left))
    return [one for one in source.events() if one is not None and not isinstance(one, Waiting)]


def test_images_saved_while_a_newer_data_set_is_found_still_come(tmp_path, monkeypatch):
    first, newest = Writer(tmp_path).put(FRAMES[:3]), DataSets.newest
    second: list[Path] = []

    def newest_then(sets):
        if not second:
            first.put(FRAMES[3:5])
            second.append(Writer(tmp_path).put(FRAMES[5:]).finish())
        return newest(sets)

    monkeypatch.setattr(DataSets, "newest", newest_then)
    happened = going_on_with(first)
    np.testing.assert_array_equal(frames_of(happened), FRAMES)
    first.finish()


def test_an_image_that_is_never_whole_is_lost_with_the_newer_data_set(tmp_path):
    first, second = Writer(tmp_path).put(FRAMES[:5]), Writer(tmp_path).put(FRAMES[5:])
    file = first.finish() / "acq_NDTiffStack.tif"
    os.truncate(file, file.stat().st_size - 60)
    second.finish()
    happened = going_on_with(first)
    np.testing.assert_array_equal(frames_of(happened), np.delete(FRAMES, 4, axis=0))
    assert [happened.index(one) for one in happened if one == Lost(1)] == [5]


def test_a_mistake_is_one_line_of_the_daemon(tmp_path, capfd):
    writer = Writer(tmp_path)
    for frame in FRAMES[:3]:
        writer.put([frame], z=0).put([frame], z=1)
    folder = writer.finish()
    ports = dict(zip(("results", "control"), (f"tcp://127.0.0.1:{p}" for p in free_ports(2)), strict=True))
    config = write_config(tmp_path / "d.toml", simulated(server=ports))
    done = within([*DAEMON, "run", config, "--source", f"ndtiff:{folder}"], capfd)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert (done.returncode, len(lines)) == (2, 1), done.stderr
    assert "more than time" in lines[0]
    assert "z (0, 1)" in lines[0]
    assert "Traceback" not in done.stderr
