"""Windows of a movie on disk are read as they come; frames that were lost are in none; parts of a movie."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from selfstorm.cli import cli
from selfstorm.compute.host_memory import host_bytes
from selfstorm.errors import InputError, MovieError
from selfstorm.frames import Region
from selfstorm.io.movie_frames import MovieFrames
from selfstorm.io.movies import MovieFile
from selfstorm.io.ome_tiff import read_pictures
from selfstorm.io.part_of_movie import parse_frames, parse_region
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene
from selfstorm.stream import memory_plan

LINE = ("--pixel-nm", "100", "--device", "cpu", "--quality", "fast", "--estimate", "density", "--scale", "2")


@pytest.fixture(scope="module")
def frames():
    return np.stack([pixels for pixels, _ in simulate(Scene(height=24, width=24, seed=3), frames=60)])


def write(path, frames, odd=()):
    """Each frame a page; those of odd numbers as float32, which no reader takes for frames of the movie."""
    with tifffile.TiffWriter(path) as writer:
        for index, frame in enumerate(frames):
            writer.write(frame.astype(np.float32) if index in odd else frame, metadata=None, contiguous=False)
    return path


def run(*line):
    return CliRunner().invoke(cli, [str(part) for part in line])


def test_only_the_frames_of_a_window_are_read(tmp_path, frames, monkeypatch):
    movie, read, most = MovieFile(write(tmp_path / "m.tif", frames)), [], []
    monkeypatch.setattr(MovieFile, "frames", lambda *_: pytest.fail("the whole movie is loaded"))
    original = MovieFrames.read

    def watched(self, numbers):
        read.extend(numbers.tolist())
        most.append(len(numbers))
        return original(self, numbers)

    monkeypatch.setattr(MovieFrames, "read", watched)
    monkeypatch.setattr(memory_plan, "MIN_FRAMES_TOGETHER", 10)
    monkeypatch.setattr(memory_plan, "MAX_PIXELS_TOGETHER", 1)
    result = run("reconstruct", movie.path, "-o", tmp_path / "o.ome.tif", "--window", 20, *LINE)
    movie._reader.close()
    assert result.exit_code == 0, result.output
    assert read == [*range(20), *range(60)]  # the first window also to learn camera and optics from
    assert most == [20, *[10] * 6]
    assert "3 window(s) of 20 frames, read as they come" in result.output
    assert re.search(r"a window takes about 0\.\d GB of its memory", result.output)


def test_windows_larger_than_the_memory_are_refused_before_a_frame_is_read(tmp_path, frames, monkeypatch):
    path = write(tmp_path / "m.tif", frames)
    monkeypatch.setattr("selfstorm.stream.offline.host_bytes", lambda: 2**27)
    monkeypatch.setattr(MovieFrames, "read", lambda *_: pytest.fail("frames are read"))
    result = run("reconstruct", path, "-o", tmp_path / "o.ome.tif", *LINE)
    assert result.exit_code == 1
    assert re.search(
        r"windows of 60 frames of 24x24 take about 0\.\d GB of memory, this computer has 0\.1", str(result.exception)
    )
    assert "give a smaller --window or --scale" in str(result.exception)
    assert not (tmp_path / "o.ome.tif").exists()


def test_the_memory_of_this_computer_is_known_on_each_system(monkeypatch):
    assert host_bytes() > 2**28

    def answer(reference):
        reference._obj.total = 7 * 2**30
        return 1

    monkeypatch.delattr("os.sysconf")
    assert host_bytes() is None
    kernel = SimpleNamespace(kernel32=SimpleNamespace(GlobalMemoryStatusEx=answer))
    monkeypatch.setattr("ctypes.windll", kernel, raising=False)
    assert host_bytes() == 7 * 2**30


def test_lost_frames_are_in_no_window_and_are_counted(tmp_path, frames):
    path = write(tmp_path / "m.tif", frames, odd={25, 26})
    with MovieFile(path) as movie:
        source = MovieFrames(movie)
        assert (source.length, source.missing, len(source.numbers)) == (60, 2, 58)
        np.testing.assert_array_equal(source.read(np.array([24, 27])), frames[[24, 27]])
    result = run("reconstruct", path, "-o", tmp_path / "o.ome.tif", "--window", 20, *LINE)
    assert result.exit_code == 0, result.output
    assert "58 frames of 24x24, 2 lost" in result.output
    assert "pages 25-26 left out: float32 pixels, not uint16" in result.output
    records = read_pictures(tmp_path / "o.ome.tif").records
    assert [(record["frames"], record["grade"]) for record in records] == [(20, "full"), (18, "full"), (20, "full")]


def test_a_part_of_the_frames_and_of_the_field(tmp_path, frames):
    path = write(tmp_path / "m.tif", frames)
    with MovieFile(path, frames=slice(10, 50), region=Region(4, 2, 16, 20)) as movie:
        np.testing.assert_array_equal(movie.frames(), frames[10:50, 4:20, 2:22])
        assert movie.stamp(0).number == 10
        assert movie.acquisition.roi_yx == (4, 2)
    part = run("reconstruct", path, "-o", tmp_path / "a.ome.tif", "--frames", "10:50", "--region", "4,2,16,20", *LINE)
    assert part.exit_code == 0, part.output
    cut = write(tmp_path / "cut.tif", frames[10:50, 4:20, 2:22])
    assert run("reconstruct", cut, "-o", tmp_path / "b.ome.tif", *LINE).exit_code == 0
    pictures = [read_pictures(tmp_path / name).pictures for name in ("a.ome.tif", "b.ome.tif")]
    np.testing.assert_array_equal(*pictures)


@pytest.mark.parametrize("text", ["", "5", "5:5", "9:3", "a:b", "-3:4", "1:2:3"])
def test_ranges_that_are_none_are_refused(text):
    with pytest.raises(InputError, match="--frames"):
        parse_frames(text)


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,0,4", "a,b,c,d", "1,2,3,4,5"])
def test_regions_that_are_none_are_refused(text):
    with pytest.raises(InputError, match="--region"):
        parse_region(text)


def test_parts_that_are_not_there_are_refused(tmp_path, frames):
    path = write(tmp_path / "m.tif", frames)
    with pytest.raises(MovieError, match="has 60 frames"):
        MovieFile(path, frames=slice(60, 70))
    with pytest.raises(MovieError, match="24 x 24 pixels; choose a --region"):
        MovieFile(path, region=Region(0, 10, 24, 20))
