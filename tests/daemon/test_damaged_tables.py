"""Checkpoints, tables, configurations and manifests that are damaged in any way are read or refused in a sentence."""

import numpy as np
import pytest
import torch
from damage import survives
from pydantic import ValidationError
from streams import learned
from test_damaged_files import FRAMES, INFO, plain

from daemon.config import Config, load
from daemon.processing.manifest import ManifestLine, ProcessingLevelLine, RunLine, WindowLine
from daemon.processing.replay import repeat_run
from selfstorm.compute.device import prepare_device
from selfstorm.io.thunderstorm import COLUMNS, read_thunderstorm
from selfstorm.io.truth import read_truth
from selfstorm.psf.models import Gaussian
from selfstorm.stream.checkpoint import load_checkpoint, save_checkpoint
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.settings import Settings

pytestmark = pytest.mark.timeout(60)
SETTINGS = Settings(100.0, Gaussian(110.0), 100.0, 4.0, scale=2, estimate="density", quality="fast", tuning_steps=0)
CPU = prepare_device("cpu")


@pytest.fixture(scope="module")
def taught():
    model = learned(SETTINGS, FRAMES).learned
    return model.with_state(density=torch.ones(model.grid.cells))


def test_a_checkpoint(tmp_path, taught):
    path = tmp_path / "model.safetensors"
    save_checkpoint(taught, path, "a test")

    def read():
        load_checkpoint(path, SETTINGS, (9, 13), Compute(CPU))

    survives(path, path.read_bytes(), read, examples=100)
    survives(path, path.read_bytes(), read, examples=100, text=True)


def test_tables_of_emitters(tmp_path):
    rng = np.random.default_rng(1)
    rows = "".join(",".join(f"{value:.2f}" for value in row) + "\n" for row in rng.uniform(1, 1000, (9, 9)))
    path = tmp_path / "found.csv"
    whole = ",".join(f'"{name}"' for name in COLUMNS) + "\n" + rows
    path.write_text(whole)
    survives(path, whole.encode(), lambda: read_thunderstorm(path), examples=100, text=True)
    path = tmp_path / "truth.csv"
    whole = "frame,y_nm,x_nm,photons\n" + "".join(f"{n},{100.5 * n},{7 * n},500\n" for n in range(12))
    path.write_text(whole)
    survives(path, whole.encode(), lambda: read_truth(path), examples=100, text=True)


CONFIG = """
record = "raw"
[source]
uri = "simulate:"
rate_hz = 50.0
[source.simulate]
height = 32
drift_nm_per_frame = [0.1, 0.2]
[camera]
pixel_nm = 100.0
offset_adu = 100
[optics]
na = 1.4
wavelength_nm = 660
[reconstruction]
window = 100
estimate = "fused"
[server]
results = "tcp://127.0.0.1:5711"
metrics_port = 9464
"""


def test_a_configuration(tmp_path):
    path = tmp_path / "daemon.toml"
    path.write_text(CONFIG)
    survives(path, CONFIG.encode(), lambda: load(path, {"source.rate_hz": 10.0}), examples=200, text=True)


def test_a_manifest(tmp_path):
    movie = tmp_path / "movie.tif"
    plain(movie)
    config = Config.model_validate(
        {
            "source": {"uri": f"replay:{movie}"},
            "camera": {"pixel_nm": 100.0},
            "reconstruction": {"window": 10, "scale": 2, "estimate": "density", "tuning_steps": 0},
        }
    )
    run = RunLine(run="r", started_unix_ns=1, config=config, versions={}, device="cpu", torch_threads=1)
    level = ProcessingLevelLine(name="full", estimate="density", quality="fast", optics=False, quick=True)
    place = {
        "index": 0,
        "stream": INFO.stream,
        "first_seq": 0,
        "last_seq": 9,
        "seqs": list(range(10)),
        "before": [],
        "stride": 5,
    }
    window = WindowLine(
        **place, numbers=list(range(10)), effort=level, learned=True, model_hash="", picture_hash="", metrics={}
    )
    lines = [ManifestLine(run=run), ManifestLine(stream=INFO), ManifestLine(window=window)]
    whole = "".join(line.model_dump_json(exclude_none=True) + "\n" for line in lines).encode()
    path = tmp_path / "out.manifest.ndjson"
    path.write_bytes(whole)
    survives(path, whole, lambda: list(repeat_run(path)), examples=120, text=True)


@pytest.mark.parametrize(
    "numbers",
    [
        {"last_seq": 2**62},
        {"first_seq": -(2**62)},
        {"stride": 2**62},
        {"seqs": [-1]},
        {"numbers": [2**63]},
        {"seqs": [1]},
    ],
)
def test_a_manifest_with_numbers_of_no_run_is_refused(numbers):
    level = {"name": "full", "estimate": "density", "quality": "fast", "optics": True, "quick": False}
    line = {"index": 0, "stream": "stream-1", "first_seq": 0, "last_seq": 9, "seqs": [], "before": [], "stride": 10}
    line |= {"numbers": [], "effort": level, "learned": True, "model_hash": "", "picture_hash": ""}
    assert ManifestLine.model_validate({"window": line})
    with pytest.raises(ValidationError):
        ManifestLine.model_validate({"window": line | numbers})
