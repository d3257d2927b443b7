"""The published autoencoder: equal to numbers of the authors' code, its oddities included; sound on other windows."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.filters import meijering

from selfstorm.baselines.self_storm_2024 import (
    PaperModel,
    PaperSettings,
    SmoothThreshold,
    normalise,
    optimiser_of,
    picture,
    train,
)
from selfstorm.errors import InputError
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.model_kinds import new_model
from selfstorm.stream.settings import Settings

REFERENCE = Path(__file__).parents[3] / "shared" / "data" / "selfstorm_reference_parity.npz"
needs_reference = pytest.mark.skipif(not REFERENCE.is_file(), reason="no ../shared/data beside the repository")
RELATIVE = 1e-4
WITHOUT_EFFECT = ("decoder.prox.", "decoder.conv_i.", "decoder.conv_i2.")


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCE) as numbers:
        return dict(numbers)


def weights_of(reference, prefix):
    return {k.removeprefix(prefix): torch.from_numpy(v) for k, v in reference.items() if k.startswith(prefix)}


def frames_of(reference, count):
    return torch.from_numpy(reference["normalized"][:count]).float()


def assert_near(found, expected):
    """Within 1e-4 of the largest value everywhere, and of the whole in the root mean square."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= RELATIVE * np.abs(expected).max()
    assert np.linalg.norm(found - expected) <= RELATIVE * np.linalg.norm(expected)


def assert_outputs(model, reference, key, iterations):
    with torch.no_grad():
        decoded, emitters = model(frames_of(reference, 4), iterations)
    assert_near(decoded, reference[f"{key}/reprojection"])
    assert_near(emitters, reference[f"{key}/latent"])


@needs_reference
def test_normalised_stack_is_the_published_one(reference):
    found = normalise(
        reference["raw"], float(reference["normalize/mask_threshold"]), float(reference["normalize/label_threshold"])
    )
    np.testing.assert_array_equal(found, reference["normalized"][:, 0].astype(np.float32))


@needs_reference
def test_a_new_model_has_the_published_weights(reference):
    expected, found = weights_of(reference, "init/"), PaperModel().state_dict()
    assert set(found) == set(expected)
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-6, atol=0)


@needs_reference
@pytest.mark.parametrize("iterations", [1, 2])
def test_outputs_before_training(reference, iterations):
    assert_outputs(PaperModel(), reference, f"init_out/iters{iterations}", iterations)


@needs_reference
def test_outputs_of_the_published_weights(reference):
    model = PaperModel()
    model.load_state_dict(weights_of(reference, "trained/"))
    assert_outputs(model, reference, "trained_out/iters2", 2)


@needs_reference
def test_training_goes_the_published_way(reference):
    model = PaperModel()
    losses = train(model, reference["normalized"][:16, 0].astype(np.float32), 20)
    np.testing.assert_allclose(losses, reference["train/l1_losses"], rtol=RELATIVE)
    for name, weight in weights_of(reference, "trained/").items():
        assert_near(model.state_dict()[name], weight)
    assert_outputs(model, reference, "trained_out/iters2", 2)


def spots(frames=12, shape=(16, 24), seed=0):
    """One spot a frame, each somewhere else, on a weak background."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    centres = rng.uniform(4, np.array(shape) - 4, (frames, 2))
    light = [500 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 2) for y, x in centres]
    return rng.poisson(np.array(light) + 20).astype(np.uint16)


def window(**chosen):
    return normalise(spots(**chosen), 0.93, 60)


@pytest.mark.parametrize("shape", [(16, 24), (17, 13)])
def test_offset_and_gain_of_a_frame_cancel(shape):
    raw = spots(shape=shape).astype(float)
    found = normalise(3.0 * raw + np.linspace(0, 50, len(raw))[:, None, None], 0.93, 60)
    assert found.shape == raw.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, normalise(raw, 0.93, 60), atol=1e-5)


def test_what_lights_up_reaches_into_the_next_frame():
    raw = np.zeros((3, 16, 16), np.uint16)
    raw[0, 6:9, 6:9] = 1000
    raw[1] = np.arange(256).reshape(16, 16) % 7
    alone, beside_it = normalise(raw[1:], 0.95, 40)[0], normalise(raw, 0.95, 40)[1]
    assert not alone.any()
    assert beside_it[6:9, 6:9].any()


@pytest.mark.parametrize("level", [0, 100])
def test_nothing_there_is_nothing_found(level):
    empty = normalise(np.full((4, 16, 16), level, np.uint16))
    assert not empty.any()
    model = PaperModel()
    assert train(model, empty, 2) == [0.0, 0.0]
    assert not picture(model, empty).any()
    assert all(weight.isfinite().all() for weight in model.parameters())


def test_the_smooth_threshold():
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 1, 20, 30))).float()
    low, high = np.quantile(x[:, 0].reshape(2, -1), [0.01, 0.99], axis=1)[..., None, None]
    theta = low + 0.95 * (high - low)
    x_np = x[:, 0].numpy()
    expected = np.maximum(x_np, 0) / (1 + np.exp(-8 * (np.abs(x_np) - theta) / theta))
    np.testing.assert_allclose(SmoothThreshold()(x)[:, 0].detach(), expected, rtol=1e-4, atol=1e-6)


def test_what_has_no_effect_is_never_taught():
    stack = window()
    model, meddled = PaperModel(), PaperModel()
    with torch.no_grad():
        for name, weight in meddled.named_parameters():
            if name.startswith(WITHOUT_EFFECT):
                weight.fill_(3.0)
    assert train(model, stack, 3) == train(meddled, stack, 3)
    taught = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert {name for name, _ in model.named_parameters()} - taught == {
        name for name, _ in model.named_parameters() if name.startswith(WITHOUT_EFFECT)
    }


def test_warm_start_goes_on_where_the_last_window_ended():
    stack = window()
    whole, parts = PaperModel(), PaperModel()
    losses, optimiser = train(whole, stack, 5), optimiser_of(parts)
    assert losses == train(parts, stack, 3, optimiser=optimiser) + train(parts, stack, 2, optimiser=optimiser)
    assert losses == sorted(losses, reverse=True)
    assert train(whole, window(seed=1), 1)[0] < train(PaperModel(), window(seed=1), 1)[0]


def test_shuffled_batches_are_repeatable_and_see_every_frame():
    stack, settings = window(), PaperSettings(batch=5)
    runs = [train(PaperModel(settings), stack, 3, generator=torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]
    still = PaperSettings(batch=5, learning_rate=0.0)
    losses = train(PaperModel(still), stack, 3, generator=torch.Generator().manual_seed(0))
    whole = train(PaperModel(), stack, 1)[0]
    assert np.average(losses, weights=[5, 5, 2]) == pytest.approx(whole, rel=1e-5)


def test_the_picture_is_the_spread_over_frames_and_its_ridges():
    stack, model = window(), PaperModel(PaperSettings(batch=5))
    with torch.no_grad():
        emitters = model(torch.from_numpy(stack)[:, None], 2)[1][:, 0].numpy()
    spread = emitters.std(0)
    np.testing.assert_allclose(picture(model, stack, ridges=False), spread, atol=1e-5 * spread.max())
    expected = meijering(meijering(spread, sigmas=[2], black_ridges=False), sigmas=[1], black_ridges=False)
    found = picture(model, stack)
    assert found.shape == (64, 96)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize(("y", "x"), [(5, 9), (10, 14)])
def test_a_spot_is_where_it_was_put(y, x):
    raw = np.full((6, 16, 24), 10.0)
    rows, columns = np.mgrid[:16, :24]
    raw[::2] += 500 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 2)
    light = picture(PaperModel(), normalise(raw, 0.93, 60), ridges=False)
    rows, columns = ((np.arange(n) + 0.5) / 4 for n in light.shape)
    assert light.sum(1) @ rows / light.sum() == pytest.approx(y + 0.5, abs=0.05)
    assert light.sum(0) @ columns / light.sum() == pytest.approx(x + 0.5, abs=0.05)


@pytest.mark.parametrize("wrong", [{"kernel": 14}, {"scale": 0}, {"batch": 0}, {"mask_threshold": 93}])
def test_settings_that_cannot_be_used_are_named(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        PaperSettings(**wrong)


def test_a_stack_is_three_dimensional():
    with pytest.raises(InputError, match=r"\(T, H, W\)"):
        normalise(np.zeros((16, 16)))


def test_a_stream_goes_on_with_the_weights_of_its_last_window():
    raw = spots().astype(np.uint16)
    settings = Settings(100.0, scale=2, model="paper")
    model = new_model(settings, raw, Compute(torch.device("cpu")))
    before = [weights.clone() for weights in model.network.parameters()]
    place = WindowSpan(np.arange(len(raw)), 0, len(raw))
    model.ingest(raw, place)
    results = [model.picture(place) for _ in range(2)]
    assert [result.state for result in results] == ["cold", "warm"]
    assert results[1].metrics["misfit"] < results[0].metrics["misfit"]
    assert any(not torch.equal(old, new) for old, new in zip(before, model.network.parameters(), strict=True))
    assert results[0].picture.shape == (raw.shape[1] * 2, raw.shape[2] * 2)
    assert results[0].localizations is None
    assert any("brightness" in note for note in results[0].notes)
