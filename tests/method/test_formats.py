"""Recordings of other programs: every frame, number and time comes back, and what is damaged or unclear is said."""

import json
import sys

import click
import numpy as np
import pytest
import tifffile
from micromanager_stack import write_stack
from ndstorage.ndtiff_dataset import NDTiffDataset

from selfstorm.commands.movie_options import parse_selection
from selfstorm.errors import MovieError
from selfstorm.io import micromanager_tags
from selfstorm.io.movie_frames import MovieFrames
from selfstorm.io.movies import MovieFile
from selfstorm.io.ndtiff_index import IndexFaultError, read_entry
from selfstorm.io.reader import AcquisitionInfo

FRAMES = np.random.default_rng(0).integers(1, 4000, (12, 9, 13)).astype(np.uint16)


def opened(path, **select):
    with MovieFile(path, select) as movie:
        return movie.frames(), [movie.stamp(index) for index in range(movie.length)], movie


def refusal(path, **select):
    with pytest.raises(MovieError) as caught:
        opened(path, **select)
    return str(caught.value)


@pytest.mark.parametrize("frames_per_file", [12, 5, 1])
def test_a_micromanager_stack_goes_on_over_files(tmp_path, frames_per_file):
    path = write_stack(tmp_path, FRAMES, frames_per_file, PixelSizeUm=0.11, ROI="64-32-13-9", Binning="2x2")
    for place in (path, tmp_path):
        frames, stamps, movie = opened(place)
        np.testing.assert_array_equal(frames, FRAMES, strict=True)
        assert [(stamp.number, stamp.camera_ms) for stamp in stamps] == [(n, 12.5 * n) for n in range(12)]
        assert (movie.pixel_nm, movie.acquisition.roi_yx, movie.acquisition.binning) == (110.0, (32, 64), 2)


def test_a_stack_without_its_last_file_is_read_and_says_what_was_planned(tmp_path):
    path = write_stack(tmp_path, FRAMES, 5)
    (tmp_path / "cell_MMStack_Pos0_2.ome.tif").unlink()
    frames, _, movie = opened(path)
    np.testing.assert_array_equal(frames, FRAMES[:10])
    assert "12 images were planned, 10 are here" in movie.notes[0]


def test_a_stack_with_a_file_missing_between_others_is_refused(tmp_path):
    path = write_stack(tmp_path, FRAMES, 5)
    (tmp_path / "cell_MMStack_Pos0_1.ome.tif").unlink()
    assert "missing files: cell_MMStack_Pos0_1.ome.tif is not there" in refusal(path)


def test_an_ome_tiff_says_when_its_planes_were_taken(tmp_path):
    plane = {"DeltaT": [0.1 * index for index in range(12)], "DeltaTUnit": ["s"] * 12}
    tifffile.imwrite(tmp_path / "m.ome.tif", FRAMES, metadata={"axes": "TYX", "Plane": plane})
    _, stamps, _ = opened(tmp_path / "m.ome.tif")
    assert [stamp.camera_ms for stamp in stamps] == pytest.approx([100.0 * index for index in range(12)])


def test_a_channel_of_an_ome_tiff_is_selected(tmp_path):
    both = np.stack([FRAMES, FRAMES + 1], 1)
    tifffile.imwrite(tmp_path / "m.ome.tif", both, metadata={"axes": "TCYX"})
    assert "time (12), channel (2)" in refusal(tmp_path / "m.ome.tif")
    assert "channel goes from 0 to 1" in refusal(tmp_path / "m.ome.tif", channel=2)
    assert "its axes: time, channel" in refusal(tmp_path / "m.ome.tif", colour=1)
    np.testing.assert_array_equal(opened(tmp_path / "m.ome.tif", channel=1)[0], FRAMES + 1)


def ndtiff(folder, frames=FRAMES, channels=("a",), **tags):
    """A data set as pycromanager's Python backend writes it."""
    data_set = NDTiffDataset(str(folder), name="acq", writable=True)
    data_set.initialize({"PixelSize_um": 0.1})
    for number, frame in enumerate(frames):
        for shift, channel in enumerate(channels):
            more = {"ImageNumber": str(3 + number), "ElapsedTime-ms": 7.0 * number + 1, "PixelSize_um": 0.1, **tags}
            data_set.put_image({"time": number, "channel": channel}, frame + shift, more)
    data_set.current_writer.reader.close()  # ndstorage forgets it
    data_set.finish()
    data_set.close()
    return folder / "acq_1"


def test_an_ndtiff_data_set(tmp_path):
    folder = ndtiff(tmp_path, Exposure=5.0)
    for place in (folder, folder / "NDTiff.index", next(folder.glob("*.tif"))):
        frames, stamps, movie = opened(place)
        np.testing.assert_array_equal(frames, FRAMES, strict=True)
        assert [(stamp.number, stamp.camera_ms) for stamp in stamps] == [(3 + n, 7.0 * n + 1) for n in range(12)]
        assert (movie.pixel_nm, movie.acquisition.exposure_ms) == (100.0, 5.0)


def test_a_channel_of_an_ndtiff_data_set_is_selected(tmp_path):
    folder = ndtiff(tmp_path, channels=("DAPI", "GFP"))
    said = refusal(folder)
    assert "channel (DAPI, GFP)" in said
    assert "'select = { channel = \"DAPI\" }' under [source], or --select channel=DAPI" in said  # one that is there
    frames, stamps, _ = opened(folder, channel="GFP")
    np.testing.assert_array_equal(frames, FRAMES + 1)
    assert [stamp.number for stamp in stamps] == list(range(12))  # every other one is no loss
    assert "select one of" in refusal(folder, channel="Cy5")


def test_an_ndtiff_index_cut_anywhere_is_refused_or_whole(tmp_path):
    folder = ndtiff(tmp_path)
    index = folder / "NDTiff.index"
    whole = index.read_bytes()
    ends = [0]
    while found := read_entry(whole, ends[-1]):
        ends.append(found[1])
    assert ends[-1] == len(whole)
    for size in range(len(whole)):
        index.write_bytes(whole[:size])
        if size in ends[1:]:
            np.testing.assert_array_equal(opened(folder)[0], FRAMES[: ends.index(size)])
        else:
            said = refusal(folder)
            assert "ends in the middle of entry" in said or "holds no image that was selected" in said, said


def test_an_ndtiff_index_extended_with_zeros_anywhere_gives_whole_entries_only(tmp_path):
    """Micro-Manager's index is full of zeros beforehand; an entry may be half written."""
    whole = (ndtiff(tmp_path) / "NDTiff.index").read_bytes()
    expected, at = [], 0
    while found := read_entry(whole, at):
        expected, at = [*expected, found], found[1]
    for size in range(len(whole)):
        data, at, seen = whole[:size] + bytes(4096), 0, 0
        while (found := _entry_or_fault(data, at)) is not None:
            # Only the last number may lack its last bytes where those are zeros anyway.
            assert found == expected[seen]
            at, seen = found[1], seen + 1
        assert seen <= sum(end <= size + 7 for _, end in expected)


def _entry_or_fault(data, at):
    try:
        return read_entry(data, at)
    except IndexFaultError:
        return None


@pytest.mark.parametrize(
    ("find", "put", "says"),
    [
        (b'"time": 5', b'"time": x', "entry 5 is damaged: the axes"),
        (b"\x1b\x00\x00\x00", b"\xff\xff\xff\x7f", "bytes of axes"),
        (b"acq_NDTiffStack", b"../../../passwd", "is not a file name"),
        (b"acq_NDTiffStack", b"bcq_NDTiffStack", "truncated"),
        (b"\x0d\x00\x00\x00\x09\x00\x00\x00", b"\xff\xff\x00\x00\x09\x00\x00\x00", "65535 x 9 pixels"),
        (b"\x09\x00\x00\x00\x01\x00\x00\x00", b"\x09\x00\x00\x00\x02\x00\x00\x00", "in colour"),
        (b"\x09\x00\x00\x00\x01\x00\x00\x00", b"\x09\x00\x00\x00\x63\x00\x00\x00", "pixel type 99 is unknown"),
    ],
    ids=["axes", "length", "path", "file", "size", "colour", "type"],
)
def test_nothing_in_an_ndtiff_index_is_believed(tmp_path, find, put, says):
    folder = ndtiff(tmp_path)
    index = folder / "NDTiff.index"
    assert find in index.read_bytes()
    index.write_bytes(index.read_bytes().replace(find, put, 1))
    assert says in refusal(folder)


def test_an_ndtiff_file_cut_anywhere_is_refused(tmp_path):
    folder = ndtiff(tmp_path)
    (file,) = folder.glob("*.tif")
    whole = file.read_bytes()
    for size in range(0, len(whole), 97):
        file.write_bytes(whole[:size])
        assert "truncated" in refusal(folder)


def zarr(folder, version, frames, axes, **unit):
    """OME-Zarr as its specification has it: 0.4 in Zarr 2, 0.5 in Zarr 3."""
    tensorstore = pytest.importorskip("tensorstore")
    driver = {"driver": f"zarr{version}".removesuffix("2"), "kvstore": {"driver": "file", "path": f"{folder}/0/"}}
    chunks = [1] * (frames.ndim - 2) + list(frames.shape[-2:])
    layout = {"chunk": {"shape": chunks}}
    store = tensorstore.open(
        driver, create=True, dtype=str(frames.dtype), shape=frames.shape, chunk_layout=tensorstore.ChunkLayout(layout)
    ).result()
    store[...].write(frames).result()
    named = [{"name": name, **({"unit": unit[name]} if name in unit else {})} for name in axes]
    scale = [0.02 if name == "t" else 0.108 for name in axes]
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}]
    image = {"multiscales": [{"axes": named, "datasets": datasets}]}
    if version == 3:
        group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"version": "0.5", **image}}}
        (folder / "zarr.json").write_text(json.dumps(group))
    else:
        (folder / ".zgroup").write_text('{"zarr_format": 2}')
        (folder / ".zattrs").write_text(json.dumps(image))
    return folder


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr(tmp_path, version):
    frames = FRAMES[:, None, None]
    folder = zarr(tmp_path / "m.ome.zarr", version, frames, "tczyx", t="second", x="micrometer")
    read, stamps, movie = opened(folder)
    np.testing.assert_array_equal(read, FRAMES, strict=True)
    assert (movie.pixel_nm, movie.acquisition.rate_hz, stamps[7].number) == (108.0, 50.0, 7)


def test_frames_without_chunks_are_missing_wherever_they_are(tmp_path):
    folder = zarr(tmp_path / "m.ome.zarr", 2, FRAMES, "tyx")
    for number in (0, 5, 10, 11):
        (folder / "0" / f"{number}.0.0").unlink()
    with MovieFile(folder) as movie:
        assert "missing, for they have no stored chunks: 4 frames" in movie.notes
        assert (MovieFrames(movie).missing, len(MovieFrames(movie).numbers)) == (4, 8)
    with MovieFile(folder, frames=slice(2, 6)) as part:
        assert MovieFrames(part).missing == 1


def test_a_channel_of_an_ome_zarr_is_selected(tmp_path):
    folder = zarr(tmp_path / "m.ome.zarr", 3, np.stack([FRAMES, FRAMES + 1], 1), "tcyx")
    assert "time (12), channel (2)" in refusal(folder)
    np.testing.assert_array_equal(opened(folder, channel=1)[0], FRAMES + 1)


def test_an_ome_zarr_that_is_damaged(tmp_path):
    folder = zarr(tmp_path / "m.ome.zarr", 2, FRAMES, "tyx")
    (folder / "0" / "4.0.0").write_bytes(b"none")
    assert "frame 4 is damaged" in refusal(folder)
    attributes = (folder / ".zattrs").read_text()
    (folder / ".zattrs").write_text(attributes.replace('"path": "0"', '"path": "../.."'))
    assert "outside of itself" in refusal(folder)
    (folder / ".zattrs").write_text("{")
    assert "is not JSON" in refusal(folder)


def test_an_ome_zarr_without_its_library_names_what_to_install(tmp_path, monkeypatch):
    folder = zarr(tmp_path / "m.ome.zarr", 3, FRAMES, "tyx")
    monkeypatch.setitem(sys.modules, "tensorstore", None)
    assert 'pip install "selfstorm[zarr]"' in refusal(folder)


def test_a_folder_that_is_no_movie_says_what_it_holds(tmp_path):
    assert "it holds nothing" in refusal(tmp_path)
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(tmp_path / name, FRAMES, photometric="minisblack")
    assert "2 movies; name what to read; it holds a.tif, b.tif" in refusal(tmp_path)


def test_places_are_selected_by_number_or_name():
    assert parse_selection(("channel=GFP", "z=3")) == {"channel": "GFP", "z": 3}
    for wrong in ("channel", "=3", "channel="):
        with pytest.raises(click.UsageError, match="AXIS=INDEX"):
            parse_selection((wrong,))


@pytest.mark.parametrize(
    ("tags", "number", "camera_ms"),
    [
        ({"ImageNumber": "7", "ElapsedTime-ms": "12.5"}, 7, 12.5),
        ({"map": {"ImageNumber": {"type": "INTEGER", "scalar": 7}, "ElapsedTimeMs": {"scalar": 12.5}}}, 7, 12.5),
        ({"UserData": {"ImageNumber": {"type": "STRING", "scalar": "7"}}}, 7, None),
        ({"ElapsedTime-ms": 0.0, "TimeReceivedByCore": "2026-11-21 08:51:49.710355"}, 3, 1355.0),
        ({"ImageNumber": "1e300", "ElapsedTime-ms": "nan"}, 3, None),
        ({"ImageNumber": [], "ElapsedTime-ms": {}, "TimeReceivedByCore": "yesterday"}, 3, None),
        ({}, 3, None),
    ],
)
def test_numbers_and_times_of_every_kind_of_metadata(tags, number, camera_ms):
    begin = micromanager_tags.received_unix_ms({"TimeReceivedByCore": "2026-11-21 08:51:48.355355"})
    stamp = micromanager_tags.stamp(tags, 3, begin)
    assert stamp.number == number
    assert stamp.camera_ms == (None if camera_ms is None else pytest.approx(camera_ms, abs=0.01))


def test_how_an_image_was_taken_is_read_or_left_open():
    tags = {"Exposure-ms": 20, "Camera": "Andor", "Binning": 4, "ROI": "5-6-7-8"}
    assert micromanager_tags.acquisition(tags) == AcquisitionInfo(20.0, camera="Andor", binning=4, roi_yx=(6, 5))
    for nonsense in ({"Exposure-ms": -1, "Binning": "x", "ROI": "5-6"}, {"ROI-X-start": 1e300, "ROI-Y-start": 1}, {}):
        assert micromanager_tags.acquisition(nonsense) == AcquisitionInfo()
