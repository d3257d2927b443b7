"""One model that learns on: through pauses and camera restarts, and back to the last good one after any fault."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from daemon.processing.reconstructor import Reconstructor, stride_s
from daemon.stopwatch import Stopwatch
from selfstorm.compute.batching import BatchLimits
from selfstorm.compute.device import prepare_device
from selfstorm.frames import Frame, StreamInfo, Window
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene
from selfstorm.stream.model_kinds import MODEL_KINDS, ModelKind
from selfstorm.stream.processing_level import ProcessingLevel
from selfstorm.stream.settings import Settings
from selfstorm.stream.unrolled_stream import UnrolledStream

CPU = prepare_device("cpu")
LENGTH, STRIDE = 40, 20
DENSITY = ProcessingLevel("density", "density", "fast")
SETTINGS = Settings(100.0, Gaussian(110.0), 100.0, 4.0, scale=2, estimate="density", quality="fast", tuning_steps=0)


@pytest.fixture(scope="module")
def raw():
    scene = Scene(height=32, width=36, filaments=5, density=4.0, photons=1500.0, seed=6)
    return np.stack([pixels for pixels, _ in simulate(scene, frames=160)])


@pytest.fixture
def told():
    return []


def reconstructor(told, settings=SETTINGS, **chosen):
    return Reconstructor(lambda info: settings, CPU, steady=True, tell=lambda *event: told.append(event), **chosen)


def window(raw, first, index=0, stream="stream-1", rate_hz=None):
    """The window of a stream that starts with frame `first` of raw."""
    info = StreamInfo(
        stream=stream, source="test", height=32, width=36, dtype=str(raw.dtype), pixel_nm=100.0, rate_hz=rate_hz
    )
    frames = tuple(Frame(stream, seq, seq, raw[seq], None, 0, 10**9 * seq) for seq in range(first, first + LENGTH))
    return Window(index, info, first, first + LENGTH - 1, frames, stride=STRIDE)


def paced(*intervals_s):
    """A window of 100 frames, 25 new in each, that came after these intervals."""
    info = StreamInfo(stream="stream-1", source="test", height=2, width=2, dtype="uint16")
    came_ns = np.cumsum([0, *intervals_s]) * 1e9
    frames = tuple(Frame("stream-1", n, n, np.zeros((2, 2)), None, 0, int(ns)) for n, ns in enumerate(came_ns))
    return Window(0, info, 0, 99, frames, stride=25)


@pytest.mark.parametrize(
    ("intervals_s", "seconds"),
    [
        ([0.01] * 99, 0.25),
        ([0.01] * 90 + [0.4] + [0.01] * 8, 0.445),  # it stood still for a moment
        ([0.1] * 74 + [0.01] * 25, 0.25),  # faster now
        ([0.01] * 49 + [0.1] * 50, 2.5),  # slower, for two strides
    ],
)
def test_the_time_there_is_for_a_window_is_that_of_the_newest_frames_but_for_one_pause(intervals_s, seconds):
    assert stride_s(paced(*intervals_s)) == pytest.approx(seconds)


def made(ours, *windows):
    return [ours.reconstruct(one, Stopwatch()) for one in windows]


def test_windows_of_one_stream_are_warm_and_share_their_frames(raw, told):
    ours = reconstructor(told)
    results = [one.result for one in made(ours, *(window(raw, first) for first in (0, 20, 40)))]
    assert [result.state for result in results] == ["cold", "warm", "warm"]
    assert [result.frames for result in results] == [LENGTH] * 3
    assert ours.model.learned.state.history.frames == 80
    assert told == []


def test_a_camera_restart_keeps_the_model_and_no_frame_of_the_old_stream_is_shown(raw, told):
    ours = reconstructor(told)
    before, after = made(ours, window(raw, 0), window(raw[60:], 0, stream="stream-2"))
    assert after.result.state == "warm"
    np.testing.assert_array_equal(after.result.raw_mean, raw[60:100].mean(0, dtype=np.float64).astype(np.float32))
    assert ours.model.learned.state.history.frames == 2 * LENGTH
    assert before.model_hash != after.model_hash
    assert made(ours, window(raw[60:], 20, stream="stream-2"))[0].result.frames == LENGTH


def test_another_field_starts_another_model(raw, told):
    ours = reconstructor(told)
    other = window(raw, 0, stream="stream-2")
    moved = replace(other, info=other.info.model_copy(update={"roi_yx": (5, 5)}))
    assert [one.result.state for one in made(ours, window(raw, 0), moved)] == ["cold", "cold"]


def test_frames_of_skipped_windows_teach_the_model_too(raw, told):
    ours = reconstructor(told)
    late = window(raw, 80)
    before = tuple(frame for first in (20, 40) for frame in window(raw, first).frames[20:])
    made(ours, window(raw, 0), replace(late, before=before))
    assert ours.model.learned.state.history.frames == 120


def test_numbers_that_are_not_finite_end_in_the_last_good_model(raw, told, monkeypatch):
    ours = reconstructor(told)
    made(ours, window(raw, 0))
    good = ours.model.fingerprint()
    with monkeypatch.context() as broken:
        nothing = torch.full(ours.model.learned.grid.cells, torch.nan)
        broken.setattr("selfstorm.stream.reconstruct.density", lambda *_: nothing)
        with pytest.raises(FloatingPointError):
            made(ours, window(raw, 20))
    assert ours.model.fingerprint() == good
    (after,) = made(ours, window(raw, 40))
    assert (after.result.state, after.result.frames) == ("warm", 20)
    assert "20 frames left out: from a window that the model did not learn from" in after.result.notes
    assert np.isfinite(after.result.picture).all()


def test_frames_that_are_not_finite_are_left_out_and_told(raw, told):
    spoiled = raw.astype(np.float32)
    spoiled[45:48, 3, 3] = np.nan
    ours = reconstructor(told)
    _, second = made(ours, window(spoiled, 0), window(spoiled, 20))
    assert second.result.frames == LENGTH - 3
    assert "3 frames left out: not finite" in second.result.notes


class Device:
    """Has memory for maps of so many frames at a time."""

    def __init__(self, monkeypatch, frames):
        from selfstorm.stream import searched_frames

        self.frames, self.asked, real = frames, [], searched_frames.emitter_maps

        def emitter_maps(imaging, y, *arguments):
            self.asked.append(len(y))
            if len(y) > self.frames:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
            return real(imaging, y, *arguments)

        monkeypatch.setattr(searched_frames, "emitter_maps", emitter_maps)


EMITTERS = replace(SETTINGS, estimate="emitters")


def test_without_memory_smaller_batches_make_the_same_picture(raw, told, monkeypatch):
    (whole,) = made(reconstructor(told, EMITTERS), window(raw, 0))
    ours = reconstructor(told, EMITTERS)
    made(ours, window(raw, 0))
    device = Device(monkeypatch, frames=12)
    (second,) = made(ours, window(raw, 20))
    assert max(device.asked) > 12
    assert device.asked[-1] <= 12
    assert {code for _, code, _ in told} == {"out_of_memory"}
    assert "going on with batches of" in told[-1][2]
    assert (second.result.state, second.result.estimate) == ("warm", "emitters")
    asked = len(told)
    made(ours, window(raw, 40))
    assert len(told) == asked
    (small,) = made(reconstructor(told, EMITTERS), window(raw, 0))
    np.testing.assert_allclose(small.result.picture, whole.result.picture, rtol=1e-3, atol=1e-2)


def test_a_first_window_that_cannot_be_ingested_at_once_is_ingested_in_smaller_batches(raw, told, monkeypatch):
    ingested, real = [], UnrolledStream.ingest

    def ingest(self, raw, span):
        ingested.append(len(raw))
        if len(raw) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        real(self, raw, span)

    monkeypatch.setattr(UnrolledStream, "ingest", ingest)
    ours = reconstructor(told)
    ours.compute.limits = ours.compute.planned = BatchLimits(new_frames=32)
    (first,) = made(ours, window(raw, 0))
    assert (first.state, first.result.frames, ingested) == ("cold", LENGTH, [32, 16, 16, 8])
    assert [code for _, code, _ in told] == ["out_of_memory"]


def test_with_no_memory_at_all_the_density_is_made_from_then_on(raw, told, monkeypatch):
    ours = Reconstructor(lambda info: EMITTERS, CPU, steady=False, tell=lambda *event: told.append(event))
    made(ours, window(raw, 0))
    Device(monkeypatch, frames=0)
    results = [one.result for one in made(ours, window(raw, 20), window(raw, 40))]
    assert [result.estimate for result in results] == ["density", "density"]
    assert "the density alone" in told[-1][2]


def test_a_misfit_that_jumps_is_shown_with_a_warning_and_not_learned_from(raw, told, monkeypatch):
    ours = reconstructor(told)
    made(ours, *(window(raw, first) for first in (0, 20, 40)))
    good = ours.model.fingerprint()
    monkeypatch.setattr("selfstorm.metrics.picture_metrics.misfit", lambda *_: 0.9)
    (bad,) = made(ours, window(raw, 60))
    assert (bad.state, bad.learned) == ("rolled back", False)
    assert "do not trust this picture" in bad.result.notes[0]
    assert ours.model.fingerprint() == good
    assert [code for _, code, _ in told] == ["rolled_back"]


def test_what_never_fits_again_is_what_there_is_and_the_model_starts_anew(raw, told, monkeypatch):
    ours = reconstructor(told)
    made(ours, *(window(raw, first) for first in (0, 20, 40)))
    monkeypatch.setattr("selfstorm.metrics.picture_metrics.misfit", lambda *_: 0.9)
    results = made(ours, *(window(raw, first) for first in (60, 80, 100, 120)))
    assert [one.state for one in results] == ["rolled back"] * 3 + ["cold"]
    assert [code for _, code, _ in told] == ["rolled_back", "rolled_back", "model_reset"]


def test_a_checkpoint_of_this_field_makes_the_first_window_warm(raw, told, tmp_path):
    first = reconstructor(told)
    made(first, window(raw, 0), window(raw, 20))
    first.model.save(tmp_path / "model.safetensors", "a test")
    again = reconstructor(told, checkpoint=tmp_path / "model.safetensors")
    (warm,) = made(again, window(raw[60:], 0))
    assert warm.result.state == "warm"
    assert told[-1][1] == "checkpoint_used"


def test_a_checkpoint_of_another_field_is_told_and_left_alone(raw, told, tmp_path):
    first = reconstructor(told, replace(SETTINGS, scale=4))
    made(first, window(raw, 0))
    path = tmp_path / "model.safetensors"
    first.model.save(path, "a test")
    content = path.read_bytes()
    (cold,) = made(reconstructor(told, checkpoint=path), window(raw, 0))
    assert cold.result.state == "cold"
    assert told[-1][:2] == ("warning", "checkpoint_not_used")
    assert path.read_bytes() == content


REALLY_NO_MEMORY = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from selfstorm.compute.batching import BatchLimits
from test_reconstructor import EMITTERS, Scene, reconstructor, made, replace, simulate, window
raw = np.stack([p for p, _ in simulate(Scene(height=64, width=64, seed=6), frames=60)])
told = []
ours = reconstructor(told, replace(EMITTERS, scale=8))
made(ours, window(raw, 0))
ours.compute.limits = BatchLimits(map_bytes=2**30)
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + 40 * 2**20,) * 2)  # 24 are at the edge of the smallest batch
(again,) = made(ours, window(raw, 20))
print(again.result.state, again.result.estimate, sorted({code for _, code, _ in told}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process as Linux does")
def test_a_process_that_really_has_no_memory_left_goes_on():
    line = [sys.executable, "-c", REALLY_NO_MEMORY, str(Path(__file__).parent)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=100)
    assert done.stdout == "warm emitters ['out_of_memory']\n", done.stderr


@pytest.mark.parametrize(("frame_ns", "watched"), [(10**12, 20), (1, 0)])
def test_frames_before_a_window_are_watched_only_where_there_is_time(raw, told, frame_ns, watched):
    ours = Reconstructor(lambda info: EMITTERS, CPU, steady=False, tell=lambda *event: told.append(event))
    first = window(raw, 0)
    made(ours, first)
    skipped, newest = window(raw, 40), window(raw, 60)
    frames = tuple(replace(frame, received_unix_ns=frame_ns * frame.seq) for frame in newest.frames)
    late = replace(newest, frames=frames, before=skipped.frames[:20])
    assert ours.in_time(late).before == late.before[20 - watched :]
    assert ours.in_time(late).frames == late.frames


def test_a_third_kind_of_model_needs_nothing_but_the_protocol(raw, told, monkeypatch):
    monkeypatch.setitem(MODEL_KINDS, "mean", ModelKind("third_model:MeanStream"))
    monkeypatch.setattr("third_model.MeanStream.misfits", [0.01] * 3 + [0.9])
    ours = reconstructor(told, replace(SETTINGS, model="mean"))
    results = made(ours, *(window(raw, first) for first in (0, 20, 40, 60, 80)))
    assert [one.state for one in results] == ["cold", "warm", "warm", "rolled back", "warm"]
    assert [one.result.frames for one in results] == [40, 40, 40, 40, 20]
    mean = raw[40:80].mean(0, dtype=np.float64).astype(np.float32)
    np.testing.assert_array_equal(results[2].result.picture, np.kron(mean, np.ones((2, 2), np.float32)))
    (again,) = made(ours, window(raw[20:], 0, stream="stream-2"))
    assert (again.state, again.result.frames) == ("warm", 40)
    assert [code for _, code, _ in told] == ["rolled_back"]
