"""Movies that are damaged in any way are read or refused in a sentence; none takes the memory that it promises."""

import json

import numpy as np
import pytest
import tifffile
from damage import survives

from client.timeline.saved_movie import open_movie
from daemon.protocol.messages import FrameHeader
from daemon.recording.recorder import Recording
from selfstorm.frames import StreamInfo
from selfstorm.io.movies import MovieFile
from selfstorm.io.ndtiff_index import NUMBERS
from selfstorm.io.ome_tiff import OmeTiffWriter

pytestmark = pytest.mark.timeout(60)
FRAMES = np.random.default_rng(0).integers(1, 4000, (10, 9, 13)).astype(np.uint16)
INFO = StreamInfo(stream="stream-1", source="test", height=9, width=13, dtype="uint16", pixel_nm=100.0)


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
