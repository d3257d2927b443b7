"""Checkpoints: going on is as if one had never stopped, and nothing but a whole checkpoint is taken for one."""

import json
import struct

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from streams import learned, reconstruct

from selfstorm.cli import cli
from selfstorm.compute.device import prepare_device
from selfstorm.errors import InputError
from selfstorm.simulation.movie import Scene, simulate
from selfstorm.stream.checkpoint import load_checkpoint, save_checkpoint
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.settings import Settings
from selfstorm.stream.unrolled_stream import UnrolledStream

COMPUTE = Compute(prepare_device("cpu"))
SETTINGS = Settings(100.0, quality="fast")


@pytest.fixture(scope="module")
def raw():
    return np.stack([pixels for pixels, _ in simulate(Scene(height=25, width=32, filaments=4, seed=5), frames=60)])


@pytest.fixture
def taught(raw):
    model = learned(SETTINGS, raw[:30])
    reconstruct(model, raw[:30], WindowSpan(np.arange(30), 0, 30))
    return model


def test_going_on_from_a_checkpoint_is_going_on(tmp_path, raw, taught):
    save_checkpoint(taught.learned, tmp_path / "model.safetensors", "a test")
    again = load_checkpoint(tmp_path / "model.safetensors", SETTINGS, (25, 32), COMPUTE)
    assert again.calibration.psf == taught.learned.calibration.psf
    assert again.calibration.camera.offset_adu == taught.learned.calibration.camera.offset_adu
    assert again.state.psf_learning.frames == 30
    again = UnrolledStream(again)
    straight, resumed = (
        reconstruct(model, raw[30:], WindowSpan(np.arange(30, 60), 30, 30)) for model in (taught, again)
    )
    assert resumed.state == "warm"
    np.testing.assert_array_equal(straight.picture, resumed.picture)
    assert again.frames_learned == taught.frames_learned == 60
    assert again.fingerprint() == taught.fingerprint()
    assert torch.equal(again.learned.state.density, taught.learned.state.density)


def test_a_checkpoint_says_where_it_comes_from_and_leaves_nothing_half_written(tmp_path, taught):
    path = tmp_path / "model.safetensors"
    save_checkpoint(taught.learned, path, "cell 3, dish 2")
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    facts = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["facts"])
    assert facts["source"] == "cell 3, dish 2"
    assert facts["written_by"].startswith("selfstorm ")
    assert facts["psf"]["origin"] == taught.learned.calibration.psf.origin
    assert b"pickle" not in content


@pytest.mark.parametrize("field", [(25, 31), (32, 25)])
def test_another_field_is_refused(tmp_path, taught, field):
    save_checkpoint(taught.learned, tmp_path / "model.safetensors", "a test")
    with pytest.raises(InputError, match=r"model\.safetensors.*field of \(25, 32\)"):
        load_checkpoint(tmp_path / "model.safetensors", SETTINGS, field, COMPUTE)
    with pytest.raises(InputError, match="pixel size"):
        load_checkpoint(tmp_path / "model.safetensors", Settings(90.0), (25, 32), COMPUTE)


def _rewritten(content, change):
    """The checkpoint with other facts in its header."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    facts = json.loads(header["__metadata__"]["facts"])
    change(facts)
    header["__metadata__"]["facts"] = json.dumps(facts)
    new = json.dumps(header).encode()
    return struct.pack("<Q", len(new)) + new + content[8 + length :]


def _with_density(content, value):
    """The checkpoint with another first number in its density."""
    (length,) = struct.unpack("<Q", content[:8])
    start = 8 + length + json.loads(content[8 : 8 + length])["density"]["data_offsets"][0]
    return content[:start] + struct.pack("<f", value) + content[start + 4 :]


WRONG = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "a text": lambda content: b"not a checkpoint" * 9,
    "huge header": lambda content: struct.pack("<Q", 2**60) + content[8:],
    "not finite": lambda content: _with_density(content, float("nan")),
    "negative": lambda content: _with_density(content, -1.0),
    "other version": lambda content: _rewritten(content, lambda facts: facts.update(format_version=1)),
    "no psf": lambda content: _rewritten(content, lambda facts: facts.update(psf={"kind": "Laser"})),
    "psf of words": lambda content: _rewritten(
        content, lambda facts: facts["psf"].update(origin=3, **{"sigma_nm": "x"})
    ),
    "no gain": lambda content: _rewritten(content, lambda facts: facts.update(gain_adu_per_electron=0.0)),
    "a fact too many": lambda content: _rewritten(content, lambda facts: facts.update(run="me")),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_checkpoint_is_refused(tmp_path, taught, wrong):
    path = tmp_path / "model.safetensors"
    save_checkpoint(taught.learned, path, "a test")
    path.write_bytes(WRONG[wrong](path.read_bytes()))
    with pytest.raises(InputError, match=r"model\.safetensors"):
        load_checkpoint(path, SETTINGS, (25, 32), COMPUTE)


def test_the_command_keeps_and_takes_up_what_was_learned(tmp_path, raw):
    import tifffile

    tifffile.imwrite(tmp_path / "movie.tif", raw, photometric="minisblack", metadata=None)
    line = ["reconstruct", str(tmp_path / "movie.tif"), "--pixel-nm", "100", "--device", "cpu", "--quality", "fast"]
    path = str(tmp_path / "model.safetensors")
    first = CliRunner().invoke(cli, [*line, "--save-model", path, "--estimate", "density"])
    assert first.exit_code == 0, first.output
    second = CliRunner().invoke(cli, [*line, "--start-from", path, "--estimate", "density", "--scale", "4"])
    assert isinstance(second.exception, InputError)
    third = CliRunner().invoke(cli, [*line, "--start-from", path, "--estimate", "density", "--overwrite"])
    assert third.exit_code == 0, third.output
    assert CliRunner().invoke(cli, [*line, "--start-from", path, "--model", "paper"]).exit_code == 2
