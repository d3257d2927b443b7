"""Frames on their way to a device without one: a stand-in for its streams and events tells who waited for whom."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from streams import learned, movie_windows

from selfstorm.compute import pinned_upload as upload
from selfstorm.compute.pinned_upload import Uploads
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene
from selfstorm.stream.settings import Settings

CPU = torch.device("cpu")


class Runtime:
    """Streams and events that note what is asked of them. now: the stream that work is given to."""

    def __init__(self, monkeypatch):
        self.noted, self.now, self.events = [], Stream("main", self), 0
        kept = lambda tensor, stream: self.noted.append(f"kept for {stream.name}")  # noqa: E731
        monkeypatch.setattr(torch.Tensor, "record_stream", kept)

    def Stream(self, device):
        return Stream("aside", self)

    def current_stream(self, device):
        return self.now

    @contextmanager
    def stream(self, stream):
        before, self.now = self.now, stream
        yield
        self.now = before

    def Event(self):
        self.events += 1
        return Event(self.events, self)


class Stream:
    def __init__(self, name, runtime):
        self.name, self._runtime = name, runtime

    def wait_stream(self, other):
        self._runtime.noted.append(f"{self.name} waits for {other.name}")


class Event:
    def __init__(self, number, runtime):
        self._number, self._runtime = number, runtime

    def record(self):
        self._runtime.noted.append(f"fetched {self._number} {self._runtime.now.name}")

    def synchronize(self):
        self._runtime.noted.append(f"until fetched {self._number}")


def staged(runtime):
    return Uploads(CPU, runtime, lambda numbers: torch.empty(numbers), ("cpu",))


def sent(uploads, value, frames=2):
    room = uploads.room((frames, 3, 4))
    room[:] = value
    return room, uploads.send(room)


def test_memory_is_written_again_only_after_it_was_fetched(monkeypatch):
    uploads = staged(runtime := Runtime(monkeypatch))
    (first, one), (second, two) = sent(uploads, 1), sent(uploads, 2)
    assert not np.shares_memory(first, second)
    runtime.noted.clear()
    third, three = sent(uploads, 3)
    assert np.shares_memory(first, third)
    assert runtime.noted == ["until fetched 1", "fetched 1 aside", "main waits for aside", "kept for main"]
    assert [z.unique().tolist() for z in (one, two, three)] == [[1.0], [2.0], [3.0]]
    fourth, _ = sent(uploads, 4, frames=5)  # more than there was room for
    assert fourth.shape == (5, 3, 4)
    assert runtime.noted[4] == "until fetched 2"


def test_other_arrays_and_other_devices_come_as_they_are(monkeypatch):
    uploads = staged(runtime := Runtime(monkeypatch))
    sent(uploads, 1)
    runtime.noted.clear()
    mine = np.ones((2, 3, 4), np.float32)
    assert torch.equal(uploads.send(mine), torch.as_tensor(mine))
    plain = Uploads(CPU, runtime)
    room, there = sent(plain, 7)
    assert there.data_ptr() == room.ctypes.data  # where it lies
    assert not np.shares_memory(room, plain.room(room.shape))
    assert runtime.noted == []


def test_what_cannot_be_pinned_or_is_too_large_is_not(monkeypatch, caplog):
    def full(numbers):
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(upload, "MAX_PINNED_BYTES", 4 * 2 * 12)
    for uploads in (Uploads(CPU, runtime := Runtime(monkeypatch), full, ("cpu",)), staged(runtime)):
        for frames in (2, 3, 2):
            assert sent(uploads, frames, frames)[1].unique().tolist() == [frames]
    assert caplog.text.count("no pinned memory, going on without: CUDA error") == 1
    assert runtime.noted.count("main waits for aside") == 2


@pytest.mark.parametrize("damaged", [False, True])
def test_pictures_are_those_of_frames_that_come_plainly(monkeypatch, damaged):
    scene = Scene(height=16, width=20, filaments=4, density=4.0, photons=1500.0, seed=6)
    raw = np.stack([pixels for pixels, _ in simulate(scene, frames=70)]).astype(np.float32)
    raw[65, 3, 4] = np.nan if damaged else 200.0
    settings = Settings(
        100.0, Gaussian(110.0), 100.0, 4.0, scale=2, estimate="emitters", quality="fast", tuning_steps=0
    )
    pictures, runtime = [], Runtime(monkeypatch)
    for make in (Uploads, lambda device: staged(runtime)):
        model = learned(settings, raw[:30], uploads=make(CPU))
        pictures.append(np.stack([result.picture for result in movie_windows(raw, model, 30, 10)]))
        assert len(model.learned.state.rejected) == damaged
    assert runtime.noted.count("main waits for aside") == 5
    np.testing.assert_array_equal(*pictures)
