"""Compiled kernels come to what the operations do one by one; frames that are fetched are those that were sent.

On a CPU the kernels are made by the C++ compiler. That takes a minute, so it is done where it is asked for alone:
pytest tests/gpu -m compiler.
"""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from benchmarks.tally import Tally
from streams import learned, movie_windows

from selfstorm.compute.compiled import CompiledOp
from selfstorm.compute.device import prepare_device
from selfstorm.compute.pinned_upload import Uploads
from selfstorm.physics.operators import Grid, Imaging, LaggedCovariance
from selfstorm.psf.models import Gaussian
from selfstorm.stages import density as stage_a
from selfstorm.stages import emitters as stage_b
from selfstorm.stages.covariances import window_statistics
from selfstorm.stream.settings import Settings
from selfstorm.stream.warm_up import run_stages

HALVES = ((stage_b, "_ratio"), (stage_b, "_updated"), (stage_a, "_ahead"), (stage_a, "_ratio"), (stage_a, "_updated"))
OFF = 1e-5  # of the largest value: on a CPU 7e-7 was seen, after 15 and 20 layers
FIELDS = (
    (24, 24, 3),
    (40, 30, 8),
    (112, 40, 1),
)  # height, width, frames: square; not; in several blocks, and one frame


@pytest.fixture(params=["cuda", pytest.param("cpu", marks=pytest.mark.compiler)])
def where(request):
    if request.param == "cuda":
        return request.getfixturevalue("cuda")
    if "compiler" not in request.config.option.markexpr:
        pytest.skip("the CPU's compiler takes a minute: -m compiler asks for it")
    if not any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl")):
        pytest.skip("this machine has no C++ compiler")
    return prepare_device("cpu")


@pytest.mark.timeout(600)
def test_compiled_networks_are_those_of_single_operations(where, monkeypatch, caplog):
    halves = [CompiledOp(getattr(stage, name)._function, devices=(where.type,)) for stage, name in HALVES]

    def use(kernels):
        for (stage, name), half in zip(HALVES, halves, strict=True):
            monkeypatch.setattr(stage, name, half if kernels else half._function)

    use(kernels=True)
    run_stages(where)
    made = [half._kernel for half in halves]
    for height, width, frames in FIELDS:
        grid, like = Grid(height, width, 4, 100.0), torch.zeros((), device=where)
        imaging, covariance = Imaging(Gaussian(110.0), grid, like), LaggedCovariance(Gaussian(110.0), grid, like)
        light = torch.rand(30, *grid.cells, generator=torch.Generator().manual_seed(1)).to(where)
        y = 5 + imaging.forward(light**8)
        prior, start, some = torch.ones(grid.cells, device=where), like.new_ones((frames, 1, 1)), y[:frames].clone()

        def networks(imaging=imaging, covariance=covariance, y=y, prior=prior, start=start, some=some):
            with torch.inference_mode():
                maps = stage_b.emitter_maps(imaging, some, prior, start, some, stage_b.EMITTER_SETTINGS["fast"])
                return maps, stage_a.density(covariance, window_statistics(y), 20)

        use(kernels=False)
        one_by_one = networks()
        with Tally() as apart:
            networks()
        use(kernels=True)
        for compiled, plain in zip(networks(), one_by_one, strict=True):
            assert float((compiled - plain).abs().max() / plain.abs().max()) < OFF
        with Tally() as together:
            networks()
        assert together.flops == apart.flops
        assert together.bytes < 0.65 * apart.bytes
    assert [half._kernel for half in halves] == made
    assert "going on without" not in caplog.text


def test_frames_that_are_fetched_are_those_that_were_sent(cuda):
    uploads = Uploads(cuda)
    sent = []
    for number in range(8):  # the device is kept busy, so that a room that is written too early would be seen
        room = uploads.room((16, 512, 512))
        room[:] = number
        there = uploads.send(room)
        busy = torch.ones(2048, 2048, device=cuda)
        sent.append((there, there * 2, busy @ busy))
    assert len(uploads._pieces) == 2
    for number, (there, doubled, _) in enumerate(sent):
        assert there.device.type == "cuda"
        assert (there.unique().tolist(), doubled.unique().tolist()) == ([number], [2 * number])


def test_pictures_are_those_of_frames_that_come_plainly(cuda, movie):
    settings = Settings(100.0, Gaussian(110.0), 100.0, 4.0, quality="fast", tuning_steps=0)
    pictures = []
    for uploads in (Uploads(cuda), Uploads(cuda, devices=())):
        model = learned(replace(settings, estimate="emitters"), movie[0][:50], cuda, uploads=uploads)
        pictures.append([result.picture for result in movie_windows(movie[0], model, 50, 25)])
        assert bool(uploads._pieces) == uploads._fetches
    for one, other in zip(*pictures, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * one.max())
