"""What is computed on a device never waits for the host: shown on torch's meta device, which nobody can look into.

A tensor of the meta device has a shape and no numbers. Asking one for its value, picking by a mask or mixing it with a
tensor of the CPU raises, as each of these would make a graphics card wait or fail.
"""

import threading

import numpy as np
import pytest
import torch
from streams import learned

from selfstorm.compute.device import prepare_thread
from selfstorm.physics.background import fit_background
from selfstorm.physics.operators import Grid, Imaging, LaggedCovariance
from selfstorm.psf.models import Airy, Gaussian
from selfstorm.stages.covariances import Sums, noise_floor, statistics_of, sums_of, trend, whitened
from selfstorm.stages.density import density, warmed
from selfstorm.stages.emitters import EMITTER_SETTINGS, emitter_maps
from selfstorm.stages.out_of_focus import OutOfFocusBackground, far_covariance
from selfstorm.stages.static_emitters import static_emitters
from selfstorm.stream import unrolled_stream
from selfstorm.stream.averaging_plan import predictive_correlation
from selfstorm.stream.brightness import frame_gains
from selfstorm.stream.settings import Settings

META = torch.device("meta")
FRAMES, FIELD = 60, (40, 130)


def test_asking_such_a_tensor_raises():
    z = torch.ones(3, device=META)
    for looks in (lambda: float(z.sum()), lambda: z[z > 0], lambda: z + torch.ones(3), lambda: z.nonzero()):
        with pytest.raises((RuntimeError, NotImplementedError)):
            looks()


@pytest.mark.parametrize("psf", [Gaussian(110.0), Airy(1.4, 680.0)], ids=lambda psf: type(psf).__name__)
def test_no_stage_looks_at_what_it_computes(psf):
    grid, like = Grid(*FIELD, 4, 100.0), torch.zeros((), device=META)
    imaging, covariance, haze = (
        Imaging(psf, grid, like),
        LaggedCovariance(psf, grid, like),
        OutOfFocusBackground(psf, grid, like),
    )
    y = torch.ones(FRAMES, *FIELD, device=META)
    with torch.inference_mode():
        gains = frame_gains(y[:30], y[30:])
        c = y / gains - trend(y / gains)
        sums = sums_of(c[30:], c[29:30], FRAMES)
        rough = density(covariance, statistics_of(sums, y.mean(0)), 3)
        brightness, background = fit_background(y.mean(0), imaging.forward(rough), FRAMES)
        smooth = haze.fit(y, gains, brightness * rough, background, far_covariance(c))
        statistics = statistics_of(sums + sums_of(c[:30], None, FRAMES), y.mean(0))
        m = density(covariance, statistics, 3, warmed(rough))
        emitters = brightness * m + static_emitters(imaging, y.mean(0), background, FRAMES, grid.scale)
        light = background + haze.evaluate(smooth)
        maps = emitter_maps(imaging, y, emitters, emitters.mean() * gains, light, EMITTER_SETTINGS["fast"])
        callbacks = predictive_correlation(sums, sums, noise_floor(whitened(sums)[1]))
    assert maps.shape == (FRAMES, *grid.cells)
    assert {maps.dtype, m.dtype, gains.dtype} == {torch.float32}
    assert (callbacks.shape, statistics.memory.shape) == ((), ())


def test_scalars_that_stay_on_the_device_are_those_of_python():
    """As float() of them was computed before: a scalar of the whole window, in double precision."""
    now, following, power = torch.rand(4, 9, 9) + 1, torch.rand(4, 9, 9), torch.rand(9, 9) + 5
    sums = Sums(50, 49.0, now, following, power)
    assert float(statistics_of(sums, power).memory) == pytest.approx(0.0, abs=1.0)
    dark = Sums(50, 49.0, 0 * now, 0 * following, 0 * power)
    assert float(statistics_of(dark, power).memory) == 0.0
    assert frame_gains(torch.zeros(30, 8, 8)).unique().tolist() == [1.0]  # no light, no change of it


def test_an_iteration_is_timed_in_inference_mode(monkeypatch):
    """As windows are computed: a kernel that is compiled outside is compiled again for the first of them."""
    modes = []
    model = learned(Settings(100.0, Gaussian(110.0), 100.0, 4.0), np.random.default_rng(1).poisson(99, (20, 12, 16)))
    real = unrolled_stream.iterate
    monkeypatch.setattr(
        unrolled_stream, "iterate", lambda *given: modes.append(torch.is_inference_mode_enabled()) or real(*given)
    )
    assert model.iteration_s() > 0
    assert set(modes) == {True}


def test_denormals_are_flushed_in_every_thread_that_computes():
    def tiny():
        return float(torch.tensor([1e-39]) * 1.0) > 0

    found = []

    def thread():
        torch.set_flush_denormal(False)  # as a new thread starts on Windows
        found.append(tiny())
        prepare_thread(torch.device("cpu"))
        found.append(tiny())

    one = threading.Thread(target=thread)
    one.start()
    one.join()
    assert found == [True, False]
