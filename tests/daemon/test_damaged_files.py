"""Files that are damaged in any way: each is read or refused in a sentence; none hangs, none takes memory it promises.

Every file the product reads is mutated some hundred times: cut, bits turned, numbers made huge or of another type,
parts doubled or left out. The mutations are the same in every run.
"""

import json
import tracemalloc
import warnings

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from streams import learned

from client.timeline.saved_movie import open_movie
from daemon.config import Config, load
from daemon.processing.manifest import ManifestLine, ProcessingLevelLine, RunLine, WindowLine
from daemon.processing.replay import repeat_run
from daemon.protocol.messages import FrameHeader
from daemon.recording.recorder import Recording
from selfstorm.compute.device import prepare_device
from selfstorm.errors import InputError
from selfstorm.frames import StreamInfo
from selfstorm.io.movies import MovieFile
from selfstorm.io.ndtiff_index import NUMBERS
from selfstorm.io.ome_tiff import OmeTiffWriter
from selfstorm.io.thunderstorm import COLUMNS, read_thunderstorm
from selfstorm.io.truth import read_truth
from selfstorm.psf.models import Gaussian
from selfstorm.stream.checkpoint import load_checkpoint, save_checkpoint
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.settings import Settings

pytestmark = pytest.mark.timeout(60)
FRAMES = np.random.default_rng(0).integers(1, 4000, (10, 9, 13)).astype(np.uint16)
SETTINGS = Settings(100.0, Gaussian(110.0), 100.0, 4.0, scale=2, estimate="density", quality="fast", tuning_steps=0)
INFO = StreamInfo(stream="stream-1", source="test", height=9, width=13, dtype="uint16", pixel_nm=100.0)
MOST_BYTES = 32 * 2**20  # the files have a few thousand: nothing that is read of them needs more
CPU = prepare_device("cpu")

NUMBERS_IN_BYTES = [
    value.to_bytes(size, order)
    for size in (2, 4, 8)
    for value in (0, 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1, 2 ** (5 * size))
    for order in ("little", "big")
]
WORDS_IN_TEXT = [
    *("-1", "0", "1e400", "NaN", "1e9", "-0.0", "null", "true", '"x"', "[]", "{}", "[[]]", '{"a": 1}', "\\u0000"),
    *(str(2**40), str(2**63), "9" * 400, "[" * 3000, "\x00", "\xff", "é", ",", '"', "\n", "=", "inf", "../../x"),
]


def place(draw, size):
    """Where in a file of that size; most of what describes it stands at its ends."""
    edge = min(size, 600)
    return draw(st.one_of(st.integers(0, size), st.integers(0, edge), st.integers(size - edge, size)))


@st.composite
def damages(draw, whole, text):
    """The bytes of a file after one to three accidents. text: numbers and words are exchanged rather than bits."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        at = place(draw, len(data))
        kind = draw(st.sampled_from(["word", "word", "word", "cut", "bit", "drop", "double"] if text else KINDS))
        length = draw(st.integers(1, 40))
        if kind == "cut":
            del data[at:]
        elif kind == "bit" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "number":
            number = draw(st.sampled_from(NUMBERS_IN_BYTES))
            data[at : at + len(number)] = number
        elif kind == "word":
            starts, ends = _value_at(data, at)
            data[starts:ends] = draw(st.sampled_from(WORDS_IN_TEXT)).encode("latin-1")
        elif kind == "drop":
            del data[at : at + length]
        elif kind == "double":
            data[at:at] = data[at : at + length]
    return bytes(data)


KINDS = ["number", "number", "number", "bit", "bit", "cut", "drop", "double", "word"]


def _value_at(data, at):
    """The next word or number from there on, without what separates it from others."""
    apart = b' ,:=[]{}\n\t"'
    starts = at
    while starts < len(data) and data[starts] in apart:
        starts += 1
    ends = starts
    while ends < len(data) and data[ends] not in apart:
        ends += 1
    return starts, ends


def survives(path, whole, read, *, examples, text=False):
    """Mutates a file so often; `read` must come to an end with a result or an InputError that is one sentence."""
    outcomes = {"read": 0, "refused": 0}

    @settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(damages(whole, text))
    def run(data):
        path.write_bytes(data)
        refused = None
        tracemalloc.start(1)  # not for longer: it slows everything down
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                read()
        except InputError as error:
            refused = error
        finally:
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert most < MOST_BYTES
        outcomes["read" if refused is None else "refused"] += 1
        assert refused is None or (refused.what and len(str(refused)) < 2000)

    read()  # whole it can be read
    try:
        run()
    finally:
        path.write_bytes(whole)
    assert outcomes["refused"] > examples // 10


def movie_read(path):
    """All of a movie, as `reconstruct` and `replay:` read it."""

    def read():
        with MovieFile(path) as movie:
            assert movie.frames().shape == (movie.length, movie.height, movie.width)
            for index in range(movie.length):
                movie.stamp(index)

    return read


def plain(path):
    tifffile.imwrite(path, FRAMES, photometric="minisblack", metadata=None)


def compressed(path):
    tifffile.imwrite(path, FRAMES, photometric="minisblack", metadata=None, compression="zlib")


def ome(path):
    plane = {"DeltaT": [0.1 * index for index in range(10)], "DeltaTUnit": ["s"] * 10}
    tifffile.imwrite(path, FRAMES, metadata={"axes": "TYX", "Plane": plane, "PhysicalSizeX": 0.1})


def imagej(path):
    tifffile.imwrite(path, FRAMES, imagej=True, metadata={"axes": "TYX", "finterval": 0.1})


def big(path):
    with OmeTiffWriter(path, 100.0) as writer:
        for number, frame in enumerate(FRAMES):
            writer.add(frame, {"window": number})


@pytest.mark.parametrize("write", [plain, compressed, ome, imagej, big])
def test_tiff(tmp_path, write):
    path = tmp_path / "movie.ome.tif"
    write(path)
    survives(path, path.read_bytes(), movie_read(path), examples=150)


@pytest.mark.parametrize("suffix", [".tif", ".jsonl"])
def test_a_recording(tmp_path, suffix):
    recording = Recording(tmp_path, INFO, 0)
    for seq, frame in enumerate(FRAMES):
        header = FrameHeader(stream=INFO.stream, seq=seq, number=seq, shape=(9, 13), dtype="uint16", sent_unix_ns=seq)
        recording.add(header, frame)
    recording.close()
    path = recording.path.with_suffix(suffix)
    survives(path, path.read_bytes(), movie_read(recording.path), examples=150, text=suffix == ".jsonl")


def ndtiff(folder):
    """An NDTiff data set: what its reader looks at, which is the index and where it points to."""
    index, data = b"", b"II\x2a\x00" + bytes(60)
    for number, frame in enumerate(FRAMES):
        tags = json.dumps({"ImageNumber": str(number), "ElapsedTime-ms": 7.0 * number, "PixelSize_um": 0.1}).encode()
        at = len(data)
        data += frame.tobytes() + tags
        for text in (json.dumps({"time": number}).encode(), b"acq_NDTiffStack.tif"):
            index += len(text).to_bytes(4, "little") + text
        index += NUMBERS.pack(at, 13, 9, 1, 0, at + frame.nbytes, len(tags), 0)
    (folder / "NDTiff.index").write_bytes(index)
    (folder / "acq_NDTiffStack.tif").write_bytes(data)


@pytest.mark.parametrize("name", ["NDTiff.index", "acq_NDTiffStack.tif"])
def test_an_ndtiff_data_set(tmp_path, name):
    ndtiff(tmp_path)
    path = tmp_path / name
    survives(path, path.read_bytes(), movie_read(tmp_path), examples=120)


def zarr(folder, version):
    """An OME-Zarr image of that version of Zarr."""
    tensorstore = pytest.importorskip("tensorstore")
    driver = {"driver": {2: "zarr", 3: "zarr3"}[version], "kvstore": {"driver": "file", "path": f"{folder}/0/"}}
    layout = tensorstore.ChunkLayout({"chunk": {"shape": [1, 9, 13]}})
    store = tensorstore.open(driver, create=True, dtype="uint16", shape=FRAMES.shape, chunk_layout=layout).result()
    store[...].write(FRAMES).result()
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.02, 0.1, 0.1]}]}]
    axes = [{"name": "t", "unit": "second"}, {"name": "y"}, {"name": "x", "unit": "micrometer"}]
    image = {"multiscales": [{"axes": axes, "datasets": datasets}]}
    if version == 2:
        (folder / ".zgroup").write_text('{"zarr_format": 2}')
        (folder / ".zattrs").write_text(json.dumps(image))
    else:
        group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"version": "0.5", **image}}}
        (folder / "zarr.json").write_text(json.dumps(group))


@pytest.mark.parametrize(("version", "name"), [(2, ".zattrs"), (2, "0/.zarray"), (3, "zarr.json"), (3, "0/zarr.json")])
def test_ome_zarr(tmp_path, version, name):
    zarr(tmp_path, version)
    path = tmp_path / name
    survives(path, path.read_bytes(), movie_read(tmp_path), examples=80, text=True)


def test_a_saved_movie_in_the_viewer(tmp_path):
    path = tmp_path / "out.ome.tif"
    with OmeTiffWriter(path, 25.0) as writer:
        for number in range(4):
            writer.add(FRAMES[number].astype(np.float32), {"window": number, "first_seq": 0, "notes": ["x"]})
    survives(path, path.read_bytes(), lambda: open_movie(path), examples=150)


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
        **place, number_less_seq=0, effort=level, learned=True, model_hash="", picture_hash="", metrics={}
    )
    lines = [ManifestLine(run=run), ManifestLine(stream=INFO), ManifestLine(window=window)]
    whole = "".join(line.model_dump_json(exclude_none=True) + "\n" for line in lines).encode()
    path = tmp_path / "out.manifest.ndjson"
    path.write_bytes(whole)
    survives(path, whole, lambda: list(repeat_run(path)), examples=120, text=True)


@pytest.mark.parametrize("numbers", [{"last_seq": 2**62}, {"first_seq": -(2**62)}, {"stride": 2**62}, {"seqs": [-1]}])
def test_a_manifest_with_numbers_of_no_run_is_refused(numbers):
    level = {"name": "full", "estimate": "density", "quality": "fast", "optics": True, "quick": False}
    line = {"index": 0, "stream": "stream-1", "first_seq": 0, "last_seq": 9, "seqs": [], "before": [], "stride": 10}
    line |= {"number_less_seq": 0, "effort": level, "learned": True, "model_hash": "", "picture_hash": ""}
    assert ManifestLine.model_validate({"window": line})
    with pytest.raises(ValidationError):
        ManifestLine.model_validate({"window": line | numbers})
