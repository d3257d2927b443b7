"""A recording replayed: its own frames, numbers, times and gaps, at its own pace or another one."""

import json
import re
import threading
from contextlib import ExitStack, suppress
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from daemon_process import DAEMON, Daemon, command, free_ports, simulated, wait_until, write_config

from daemon.config import Config
from daemon.health import Health
from daemon.processing import replay as repetition
from daemon.processing.manifest import Manifest
from daemon.sources.camera import CameraFrame, Lost, Resume
from daemon.sources.replay import Replay, Timeline, recorded_frames
from daemon.sources.section import SourceSection
from selfstorm.errors import InputError, MovieError
from selfstorm.frames import Frame, StreamInfo, Window
from selfstorm.io.movie_frames import MovieFrames
from selfstorm.io.movies import MovieFile
from selfstorm.stream.processing_level import ProcessingLevel

FRAMES = np.random.default_rng(7).poisson(100, (12, 9, 13)).astype(np.uint16)
SEQS = (0, 1, 2, 5, 6, 7, 8, 9, 10, 14, 15, 16)  # two and three frames are missing
INTERVAL_MS = 20.0


def recording(folder, *, name="a", stream="stream-1", frames=FRAMES, seqs=SEQS, first_number=100, timed=True):
    """NAME.tif and NAME.jsonl as the recorder writes them; the TIFF's path."""
    height, width = frames.shape[1:]
    info = StreamInfo(
        stream=stream,
        source="mmcore:",
        height=height,
        width=width,
        dtype=str(frames.dtype),
        pixel_nm=108.0,
        exposure_ms=19.0,
        offset_adu=100.0,
        gain_adu_per_electron=4.0,
        camera="Andor",
        roi_yx=(8, 16),
    )
    with tifffile.TiffWriter(folder / f"{name}.tif", bigtiff=True) as writer:
        for index, frame in enumerate(frames):
            description = info.model_dump_json() if index == 0 else None
            writer.write(frame, photometric="minisblack", metadata=None, description=description)
    with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as index:
        for seq in seqs:
            camera_ms = 5000.0 + INTERVAL_MS * seq if timed else None
            line = {"stream": stream, "seq": seq, "number": first_number + seq, "shape": [height, width]}
            line |= {"dtype": str(frames.dtype), "camera_ms": camera_ms, "sent_unix_ns": 10**18 + 30_000_000 * seq}
            index.write(json.dumps(line) + "\n")
    return folder / f"{name}.tif"


def replayed(place, most=200, resume_at=0, **keys):
    """(StreamInfo, what happened, frames) of a replay, without waiting for the time of any frame."""
    section = SourceSection(uri=f"replay:{place}", **keys)
    begun, *happened = islice(Replay(section, threading.Event(), Resume(resume_at)).events(), most)
    happened = [one for one in happened if one is not None]
    return begun, happened, [one for one in happened if isinstance(one, CameraFrame)]


@pytest.mark.parametrize("what", ["folder", "TIFF", "index"])
def test_a_recording_comes_back_with_its_numbers_times_and_gaps(tmp_path, what):
    path = recording(tmp_path)
    place = {"folder": tmp_path, "TIFF": path, "index": path.with_suffix(".jsonl")}[what]
    info, happened, shots = replayed(place)
    np.testing.assert_array_equal([shot.pixels for shot in shots], FRAMES)
    assert [(shot.number, shot.camera_ms) for shot in shots] == [(100 + s, 5000 + INTERVAL_MS * s) for s in SEQS]
    assert [happened.index(Lost(2)), happened.index(Lost(3))] == [3, 10]
    assert sum(isinstance(one, Lost) for one in happened) == 2
    assert (info.pixel_nm, info.exposure_ms, info.offset_adu, info.roi_yx) == (108.0, 19.0, 100.0, (8, 16))


def test_a_recording_in_several_files_is_one(tmp_path):
    """The recorder was restarted: the frames in between are missing."""
    recording(tmp_path, name="z", frames=FRAMES[:3], seqs=SEQS[:3])
    recording(tmp_path, name="a", frames=FRAMES[3:], seqs=SEQS[3:])
    _, happened, shots = replayed(tmp_path)
    np.testing.assert_array_equal([shot.pixels for shot in shots], FRAMES)
    assert [one for one in happened if isinstance(one, Lost)] == [Lost(2), Lost(3)]


def test_of_several_recordings_in_a_folder_one_must_be_named(tmp_path):
    for name in ("one", "two"):
        recording(tmp_path, name=name, stream=f"stream-{name}")
    frames = len(SEQS)
    listed = rf"2 recordings; name one of them: one\.tif \({frames} frames\), two\.tif \({frames} frames\)"
    with pytest.raises(MovieError, match=listed):
        MovieFile(tmp_path)
    with MovieFile(tmp_path / "two.tif") as movie:
        assert movie.length == frames


def test_a_camera_that_does_not_count_leaves_the_streams_own_numbers(tmp_path):
    path = recording(tmp_path)
    index = path.with_suffix(".jsonl")
    index.write_text(re.sub(r'"number": \d+', '"number": 0', index.read_text()))
    assert [shot.number for shot in replayed(tmp_path)[2]] == list(SEQS)


def test_a_loop_goes_on_counting(tmp_path):
    recording(tmp_path)
    _, happened, shots = replayed(tmp_path, loop=True)
    assert [shot.number for shot in shots[:24]] == [100 + s for s in SEQS] + [117 + s for s in SEQS]
    assert happened.count(Lost(2)) > 2
    np.testing.assert_array_equal(shots[13].pixels, FRAMES[1])


def test_it_resumes_at_a_number(tmp_path):
    recording(tmp_path)
    assert [shot.number for shot in replayed(tmp_path, resume_at=104)[2]] == [100 + s for s in SEQS[3:]]
    assert replayed(tmp_path, resume_at=119, loop=True)[2][0].number == 119


def test_what_a_kill_left_is_read_as_far_as_it_goes(tmp_path):
    path = recording(tmp_path)
    index = path.with_suffix(".jsonl")
    tiff, lines = path.read_bytes(), index.read_bytes()

    def readable():
        with suppress(MovieError), MovieFile(tmp_path) as movie:
            assert np.array_equal(movie.frames(), FRAMES[: movie.length])
            assert [movie.stamp(i).number for i in range(movie.length)] == [100 + s for s in SEQS[: movie.length]]
            return movie.length
        return 0

    lengths = []
    for size in [*range(0, len(tiff), 23), len(tiff)]:
        path.write_bytes(tiff[:size])
        lengths.append(readable())
    assert lengths == sorted(lengths)
    assert set(lengths) == set(range(13))
    path.write_bytes(tiff)
    for size in range(0, len(lines) + 1, 7):
        index.write_bytes(lines[:size])
        assert readable() == lines[:size].count(b"\n")


def test_a_damaged_line_of_an_index_costs_its_frame_alone(tmp_path):
    index = recording(tmp_path).with_suffix(".jsonl")
    lines = index.read_text().splitlines(keepends=True)
    damaged = ("{\n", "[]\n", lines[0].replace("uint16", "uint8"), lines[0].replace('"seq": 0', '"seq": "0"'))
    for wrong in damaged:
        index.write_text("".join([*lines[:4], wrong, *lines[5:]]))
        with MovieFile(tmp_path) as movie:
            assert movie.length == len(lines) - 1
            numbers = [movie.stamp(place).number for place in range(movie.length)]
            assert numbers == [json.loads(line)["number"] for line in (*lines[:4], *lines[5:])]
    index.write_text("".join([*lines[:4], lines[2], *lines[5:]]))
    with pytest.raises(MovieError, match="twice or out of order"):
        MovieFile(tmp_path)


def test_a_frame_that_cannot_be_used_is_lost_at_the_source(tmp_path):
    movie = FRAMES.astype(np.float32)
    movie[4, 2, 2] = np.nan
    tifffile.imwrite(tmp_path / "m.tif", movie, photometric="minisblack")
    _, happened, shots = replayed(tmp_path / "m.tif")
    assert [shot.number for shot in shots] == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    assert "frame 4" in happened[4].text
    assert happened[5] == Lost(1)
    tifffile.imwrite(tmp_path / "m.tif", np.full_like(movie, np.nan), photometric="minisblack")
    assert replayed(tmp_path / "m.tif", loop=True)[2] == []


def test_a_gap_before_a_frame_that_cannot_be_used_is_counted_too(tmp_path):
    movie = FRAMES.astype(np.float32)
    movie[3, 2, 2] = np.nan  # the first frame after two that are missing
    recording(tmp_path, frames=movie)
    _, happened, shots = replayed(tmp_path)
    assert [shot.number for shot in shots] == [100 + seq for seq in SEQS if seq != 5]
    assert [one for one in happened if isinstance(one, Lost)] == [Lost(3), Lost(3)]


@pytest.mark.parametrize("unread", [(0, 1), (2,), (3,), (5, 6), (9,), (11,)])
def test_a_frame_whose_number_cannot_be_read_is_counted_once(tmp_path, monkeypatch, unread):
    recording(tmp_path)
    unreadable(unread, monkeypatch)
    for loop in (False, True):
        sent = lost = last = 0
        for one in replayed(tmp_path, loop=loop)[1]:
            lost += one.count if isinstance(one, Lost) else 0
            if isinstance(one, CameraFrame):
                sent, last = sent + 1, one.number
                assert sent + lost == one.number - 99
        assert loop or (sent + lost, last) == (17, 115 if 11 in unread else 116)


def test_a_movie_of_which_no_number_can_be_read_is_lost_whole(tmp_path, monkeypatch):
    recording(tmp_path)
    unreadable(range(12), monkeypatch)
    _, happened, shots = replayed(tmp_path, loop=True)
    assert (sum(one.count for one in happened if isinstance(one, Lost)), shots) == (12, [])


def unreadable(indices, monkeypatch):
    """Some frames' numbers cannot be read, as where their metadata is damaged."""
    read = MovieFile.stamp

    def stamp(movie, index):
        if index in indices:
            raise MovieError(f"the metadata of image {index} is damaged")
        return read(movie, index)

    monkeypatch.setattr(MovieFile, "stamp", stamp)


def test_frames_that_a_file_lacks_are_lost_and_counted_and_the_others_keep_their_numbers(tmp_path):
    with tifffile.TiffWriter(tmp_path / "m.tif") as writer:
        for index, frame in enumerate(FRAMES):
            odd = frame.astype(np.float32) if index in (4, 5) else frame
            writer.write(odd, photometric="minisblack", metadata=None, contiguous=False)
    _, happened, shots = replayed(tmp_path / "m.tif", most=30, loop=True)
    assert [shot.number for shot in shots[:12]] == [0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13]
    assert "m.tif: pages 4-5 left out" in happened[0].text
    assert happened[5] == Lost(2)
    with ExitStack() as opened:
        frame_of = recorded_frames(SourceSection(uri=f"replay:{tmp_path / 'm.tif'}"), 0, opened)
        for shot in shots:
            np.testing.assert_array_equal(frame_of(shot.number), shot.pixels)


def test_a_run_of_a_movie_with_gaps_is_repeated_from_the_same_frames(tmp_path, monkeypatch):
    recording(tmp_path)
    info, _, shots = replayed(tmp_path)
    frames = [Frame(info.stream, seq, shot.number, shot.pixels, None, 0, 0) for seq, shot in enumerate(shots)]
    window = Window(0, info, 2, 11, tuple(frames[2:]), (), tuple(frames[:2]), 10, None)
    config = Config.model_validate({"source": {"uri": f"replay:{tmp_path}"}, "save": tmp_path / "out.ome.tif"})
    manifest = Manifest(config, Health(run="run"), "cpu")
    level = ProcessingLevel("full", "density", "fast", optics=False, quick=True)
    made = SimpleNamespace(level=level, learned=True, model_hash="", result=SimpleNamespace(picture=FRAMES[0], scale=4))
    manifest.result(SimpleNamespace(window=window, made=made, header=SimpleNamespace(metrics={})))
    manifest.close()
    again = []

    def reconstruct(window, *_, **__):
        again.append(window)
        return made

    reconstructor = SimpleNamespace(reconstruct=reconstruct, settings=SimpleNamespace(pixel_nm=100.0))
    monkeypatch.setattr(repetition, "Reconstructor", lambda *_, **__: reconstructor)
    [repeated] = repetition.repeat_run(tmp_path / "out.manifest.ndjson")
    assert (repeated.equal, repeated.pixel_nm) == (True, 25.0)
    for ours, theirs in ((again[0].frames, window.frames), (again[0].before, window.before)):
        assert [(frame.seq, frame.number) for frame in ours] == [(frame.seq, frame.number) for frame in theirs]
        np.testing.assert_array_equal([frame.pixels for frame in ours], [frame.pixels for frame in theirs])


def test_a_frame_that_a_movie_lacks_is_no_other_frame(tmp_path):
    with MovieFile(recording(tmp_path)) as movie, pytest.raises(MovieError, match="lacks frame 3"):
        MovieFrames(movie).read(np.array([2, 3]))
    with MovieFile(tmp_path) as movie, pytest.raises(MovieError, match="lacks frame 17"):
        MovieFrames(movie).read(np.array([17]))


def due_s(place, steps=24, **keys):
    """When the first frames are due, in seconds."""
    with MovieFile(place) as movie:
        timeline = Timeline(movie, SourceSection(uri="replay:x", timing="recorded", **keys))
        laps = [divmod(step, movie.length) for step in range(steps)]
        return [timeline.at_s(lap, index, movie.stamp(index)) for lap, index in laps], timeline.rate_hz


def test_frames_are_due_at_recorded_times_gaps_included(tmp_path):
    recording(tmp_path)
    one_lap = [0.020 * seq for seq in SEQS]
    times, rate_hz = due_s(tmp_path)
    assert times == pytest.approx(one_lap + [0.340 + at for at in one_lap])
    assert rate_hz == pytest.approx(50)
    times, rate_hz = due_s(tmp_path, speed=4.0)
    assert times[:12] == pytest.approx([at / 4 for at in one_lap])
    assert rate_hz == pytest.approx(200)


def test_without_the_cameras_clock_frames_are_due_as_they_were_sent(tmp_path):
    recording(tmp_path, timed=False)
    assert due_s(tmp_path, steps=12)[0] == pytest.approx([0.030 * seq for seq in SEQS])


def test_a_movie_without_times_is_played_at_the_rate_that_is_given(tmp_path):
    tifffile.imwrite(tmp_path / "m.tif", FRAMES, photometric="minisblack")
    assert due_s(tmp_path / "m.tif", rate_hz=10, steps=13)[0] == pytest.approx([0.1 * step for step in range(13)])
    with pytest.raises(InputError, match="give rate_hz"):
        due_s(tmp_path / "m.tif")


def test_what_a_killed_daemon_has_recorded_is_replayed_with_its_account(tmp_path):
    """Recorded live, killed like nothing else is, some lines lost; then as fast as the reconstruction follows."""
    with Daemon(tmp_path, simulated(rate_hz=100, record="raw")) as daemon:
        daemon.started()

        def hundred_recorded():
            return daemon.status().recorded_frames >= 100

        wait_until(hundred_recorded)
    folder = tmp_path / "raw"
    with MovieFile(folder) as movie:
        recorded = movie.length
        assert recorded >= 100
        assert [movie.stamp(index).number for index in range(recorded)] == list(range(recorded))
    (index,) = folder.glob("*.jsonl")
    lines = index.read_text().splitlines(keepends=True)
    later = [re.sub(r'"number":(\d+)', lambda found: f'"number":{int(found[1]) + 7}', line) for line in lines[60:]]
    index.write_text("".join([*lines[:60], *later]))
    ports = dict(zip(("results", "control"), (f"tcp://127.0.0.1:{p}" for p in free_ports(2)), strict=True))
    settings = simulated(server=ports)
    settings["source"] = {"uri": "simulate:", "timing": "recorded", "speed": 50.0, "rate_hz": 1}
    config = write_config(tmp_path / "replay.toml", settings)
    done = command([*DAEMON, "run", config, "--source", f"replay:{folder}", "--lossless"])
    assert done.returncode == 0, done.stderr
    assert f"sent {recorded} = received {recorded} + missing 0" in done.stdout
    assert "at the source 7, in transit 0" in done.stdout
    assert "replay of raw, simulated" in done.stderr
