"""A device's memory: what was planned is what is taken, and where it ends the work goes on with less."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from streams import learned, movie_windows

from selfstorm.compute.batching import BatchLimits, frames_together, retry_on_oom
from selfstorm.psf.models import Gaussian
from selfstorm.stages.covariances import STATISTICS, window_statistics
from selfstorm.stages.density import DENSITY, density
from selfstorm.stages.emitters import EMITTER_SETTINGS, EMITTERS, emitter_maps
from selfstorm.stages.out_of_focus import OUT_OF_FOCUS
from selfstorm.stages.stage import Batch
from selfstorm.stream import memory_plan as planner
from selfstorm.stream.settings import Settings

SETTINGS = Settings(100.0, Gaussian(110.0), 100.0, 4.0, scale=4, estimate="emitters", quality="fast", tuning_steps=0)


def peak(device, work):
    """Bytes that work takes beside what is there already."""
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    with torch.inference_mode():
        work()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def wide(movie, copies):
    return np.tile(movie[0], (1, copies, copies))


def model_of(raw, device):
    return learned(SETTINGS, raw, device)


def picture(model, raw):
    (result,) = movie_windows(raw, model, len(raw), len(raw))
    return result.picture


def batch(model, frames):
    operators = model.learned.operators
    return Batch(operators.imaging, operators.covariance, frames, 0, frames, model.compute.limits.map_bytes)


def test_what_was_planned_is_what_is_taken(cuda, movie):
    raw = wide(movie, 4)[:60]
    model = model_of(raw, cuda)
    y = torch.as_tensor(model.learned.calibration.photons(raw)).to(cuda)
    statistics = window_statistics(y)
    prior, some = torch.ones(model.learned.grid.cells, device=cuda), y[:16].clamp(min=1.0)
    start = some.new_ones((16, 1, 1))
    maps = peak(
        cuda, lambda: emitter_maps(model.learned.operators.imaging, some, prior, start, some, EMITTER_SETTINGS["fast"])
    )
    layers = peak(cuda, lambda: density(model.learned.operators.covariance, statistics, 5))
    for counted, taken in (
        (EMITTERS.bytes(batch(model, 16)), maps),
        (DENSITY.bytes(batch(model, 16)), layers),
    ):
        assert taken / 1.2 < counted < planner.COUNTED_WITHIN * 1.2 * taken


@pytest.fixture
def little_memory(cuda):
    """Afterwards all of it is there again."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(cuda).total_memory
    yield lambda more_bytes: torch.cuda.set_per_process_memory_fraction(
        (torch.cuda.memory_reserved(cuda) + more_bytes) / total, cuda
    )
    torch.cuda.set_per_process_memory_fraction(1.0, cuda)
    torch.cuda.empty_cache()


def test_where_memory_ends_the_same_picture_is_made_in_smaller_batches(cuda, movie, little_memory):
    raw = wide(movie, 4)[:60]
    whole = picture(model_of(raw, cuda), raw)
    model = model_of(raw, cuda)
    torch.cuda.empty_cache()
    needed = batch(model, len(raw))
    little_memory(round(1.3 * max(STATISTICS.bytes(needed), OUT_OF_FOCUS.bytes(needed))))
    short = picture(model, raw)
    np.testing.assert_allclose(short, whole, rtol=0, atol=1e-4 * whole.max())
    assert model.compute.limits.map_bytes <= BatchLimits.on(cuda).map_bytes


def test_out_of_memory_halves_the_batches(cuda, movie, little_memory):
    """The plan does not know of the limit: it is met, and less is done at once from then on."""
    raw = wide(movie, 4)[:100]
    model = model_of(raw, cuda)
    y = torch.as_tensor(model.learned.calibration.photons(raw)).to(cuda)
    prior = torch.ones(model.learned.grid.cells, device=cuda)
    torch.cuda.empty_cache()
    little_memory(EMITTERS.bytes(batch(model, 30)))
    sizes = []

    def maps():
        part = y[: frames_together(prior.numel(), model.compute.limits.map_bytes)].clamp(min=1.0)
        sizes.append(len(part))
        with torch.inference_mode():
            start = part.new_ones((len(part), 1, 1))
            return emitter_maps(
                model.learned.operators.imaging, part, prior, start, part, EMITTER_SETTINGS["fast"]
            ).sum(0)

    model.compute.limits = replace(model.compute.limits, map_bytes=2**31)
    total = retry_on_oom(maps, lambda error: model.compute.halve_limits())
    assert sizes[0] > sizes[-1] <= 30
    assert bool(torch.isfinite(total).all())


SECOND = """
import sys
import numpy as np
from selfstorm.compute.device import prepare_device
sys.path.insert(0, sys.argv[1])
from test_memory import model_of, picture
raw = np.load(sys.argv[2])
print(float(picture(model_of(raw, prepare_device("cuda")), raw).sum()))
"""


def test_two_processes_share_a_device(cuda, movie, tmp_path):
    raw = wide(movie, 4)[:60]
    np.save(tmp_path / "raw.npy", raw)
    here = str(Path(__file__).parent)
    line = [sys.executable, "-c", SECOND, here, str(tmp_path / "raw.npy")]
    both = [subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    alone = float(picture(model_of(raw, cuda), raw).sum())
    for process in both:
        out, errors = process.communicate(timeout=110)
        assert process.returncode == 0, errors
        assert float(out) == pytest.approx(alone, rel=1e-4)
