"""Movies on disk: what is read, where the pixel size is from, what is refused; pictures written and read back."""

import json
import tracemalloc

import numpy as np
import pytest
import tifffile

from selfstorm.errors import InputError, MovieError
from selfstorm.io.find_movies import find_movies
from selfstorm.io.movies import MovieFile
from selfstorm.io.ome_tiff import OmeTiffWriter, read_pictures, read_records

FRAMES = np.random.default_rng(0).integers(0, 4000, (12, 9, 13)).astype(np.uint16)


def opened(path):
    with MovieFile(path) as movie:
        return movie.frames(), movie.pixel_nm


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
def test_every_pixel_type_comes_back(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "m.tif", (FRAMES // 20).astype(dtype), photometric="minisblack")
    frames, pixel_nm = opened(tmp_path / "m.tif")
    assert np.array_equal(frames, FRAMES // 20)
    assert str(frames.dtype) == ("float32" if dtype == "float64" else dtype)
    assert pixel_nm is None


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"ome": True, "metadata": {"axes": "TYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1}}, 100.0),
        (
            {
                "ome": True,
                "metadata": {
                    "axes": "TYX",
                    "PhysicalSizeX": 65.0,
                    "PhysicalSizeXUnit": "nm",
                    "PhysicalSizeY": 65.0,
                    "PhysicalSizeYUnit": "nm",
                },
            },
            65.0,
        ),
        ({"imagej": True, "resolution": (10.0, 10.0), "metadata": {"unit": "um", "axes": "TYX"}}, 100.0),
        ({"resolution": (1e7 / 108, 1e7 / 108), "resolutionunit": "CENTIMETER"}, 108.0),
        ({"resolution": (72.0, 72.0), "resolutionunit": "INCH"}, None),  # a printer's, not a microscope's
        ({"resolution": (28.3, 28.3), "resolutionunit": "CENTIMETER"}, None),
    ],
    ids=["ome-um", "ome-nm", "imagej", "tags", "printer", "printer-cm"],
)
def test_pixel_size_from_metadata(tmp_path, how, expected):
    tifffile.imwrite(tmp_path / "m.tif", FRAMES, photometric="minisblack", **how)
    frames, pixel_nm = opened(tmp_path / "m.tif")
    assert np.array_equal(frames, FRAMES)
    assert pixel_nm == (None if expected is None else pytest.approx(expected, rel=1e-4))


def test_micromanager_stack(tmp_path):
    tag = (51123, 2, 0, json.dumps({"PixelSizeUm": 0.16, "Camera": "x"}), True)
    with tifffile.TiffWriter(tmp_path / "mm.tif") as writer:
        for frame in FRAMES:
            writer.write(frame, photometric="minisblack", metadata=None, extratags=[tag])
    frames, pixel_nm = opened(tmp_path / "mm.tif")
    assert np.array_equal(frames, FRAMES)
    assert pixel_nm == 160.0


def test_imagej_stack_with_one_page(tmp_path):
    """ImageJ writes stacks beyond 4 GiB as one page with raw frames behind it."""
    tifffile.imwrite(tmp_path / "ij.tif", FRAMES, imagej=True, contiguous=True, metadata={"axes": "TYX"})
    frames, _ = opened(tmp_path / "ij.tif")
    assert np.array_equal(frames, FRAMES)


def cut(path):
    tifffile.imwrite(path, FRAMES, photometric="minisblack")
    path.write_bytes(path.read_bytes()[: FRAMES.nbytes // 2])


def cut_between_pages(path):
    with tifffile.TiffWriter(path) as writer:
        for frame in FRAMES:
            writer.write(frame, photometric="minisblack", metadata=None)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_imagej(path):
    tifffile.imwrite(path, FRAMES, imagej=True)
    path.write_bytes(path.read_bytes()[: FRAMES.nbytes // 2])


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda p: None, "no such file"),
        (lambda p: p.write_text("not a TIFF"), "not a readable TIFF"),
        (cut, "truncated"),
        (cut_between_pages, "truncated"),
        (cut_imagej, "truncated"),
        (lambda p: tifffile.imwrite(p, np.zeros((4, 8, 8, 3), np.uint8), photometric="rgb"), "colour"),
        (lambda p: tifffile.imwrite(p, FRAMES[0]), "one image"),
        (lambda p: tifffile.imwrite(p, np.full((4, 8, 8), np.nan, np.float32), photometric="minisblack"), "NaN"),
        (lambda p: tifffile.imwrite(p, FRAMES[:12].reshape(3, 4, 9, 13), imagej=True), "more than time"),
        (lambda p: tifffile.imwrite(p, FRAMES.astype(complex), photometric="minisblack"), "complex"),
    ],
    ids=["missing", "text", "truncated", "cut-between-pages", "cut-imagej", "rgb", "single", "nan", "4d", "complex"],
)
def test_what_cannot_be_read_says_why(tmp_path, write, says):
    path = tmp_path / "bad.tif"
    write(path)
    with pytest.raises(MovieError, match=says), MovieFile(path) as movie:
        movie.frame(0)


def test_pictures_come_back_with_their_account(tmp_path):
    path = tmp_path / "sr.ome.tif"
    pictures = np.random.default_rng(1).random((3, 20, 24)).astype(np.float32)
    with OmeTiffWriter(path, 25.0) as writer:
        for index, picture in enumerate(pictures):
            writer.add(picture, {"first_frame": 10 * index, "notes": ["x < y & z"]})
            growing = tifffile.imread(writer.part)
            assert np.array_equal(np.squeeze(growing), np.squeeze(pictures[: index + 1]))
            assert not path.exists()
    back = read_pictures(path)
    assert np.array_equal(back.pictures, pictures)
    assert back.pixel_nm == 25.0
    assert back.records[2] == {"first_frame": 20, "notes": ["x < y & z"]}
    assert tifffile.imread(path).shape == (3, 20, 24)
    assert not writer.part.exists()


@pytest.mark.parametrize("finished", [True, False])
def test_the_memory_of_a_writer_does_not_grow_with_its_pictures(tmp_path, finished):
    """A daemon saves for days, and a header has thousands of characters."""
    path, picture = tmp_path / "sr.ome.tif", np.ones((8, 8), np.float32)
    records = [{"window": number, "notes": [f"{number} " + 9000 * "x"]} for number in range(60)]
    writer = OmeTiffWriter(path, 25.0)
    tracemalloc.start()
    try:
        for record in records[:10]:
            writer.add(picture, dict(record))
        before = tracemalloc.get_traced_memory()[0]
        for number in range(10, 60):
            writer.add(picture, {"window": number, "notes": [f"{number} " + 9000 * "x"]})
        assert tracemalloc.get_traced_memory()[0] - before < 10 * 9000
    finally:
        tracemalloc.stop()
        writer.close() if finished else writer._file.close()
    assert read_pictures(path if finished else writer.part).records == records
    assert path.stat().st_size < 1e6 if finished else not path.exists()


def test_records_of_an_earlier_version_are_read(tmp_path):
    """All of them were in the OME-XML, and those of the pages beside them."""
    records = [{"first_frame": number} for number in range(3)]
    with OmeTiffWriter(tmp_path / "old.ome.tif", 25.0) as writer:
        for record in records:
            writer.add(np.ones((8, 8), np.float32), record)
        writer._first_record = json.dumps(records)[1:-1]
    assert read_records(tmp_path / "old.ome.tif") == records


def test_one_picture_is_two_dimensional(tmp_path):
    with OmeTiffWriter(tmp_path / "one.ome.tif", 25.0) as writer:
        writer.add(np.ones((8, 8), np.float32))
    with tifffile.TiffFile(tmp_path / "one.ome.tif") as file:
        assert file.is_ome
        assert file.series[0].shape == (8, 8)


def test_nothing_half_written_is_left(tmp_path):
    def interrupted():
        with OmeTiffWriter(tmp_path / "sr.ome.tif", 25.0) as writer:
            writer.add(np.ones((8, 8), np.float32))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with OmeTiffWriter(tmp_path / "sr.ome.tif", 25.0):
        pass
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="no such folder"):
        OmeTiffWriter(tmp_path / "nowhere" / "sr.ome.tif", 25.0)


def test_a_data_set_in_several_ome_files_is_one_movie(tmp_path):
    """Named by its folder, its companion file or any of its files; a batch takes it once."""
    frames = np.random.default_rng(3).integers(0, 900, (6, 8, 9), dtype=np.uint16)
    planes = ""
    for index in range(2):
        text = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><BinaryOnly MetadataFile="m.companion.ome"'
        )
        text += f' UUID="urn:uuid:0000000{index}-0000-0000-0000-000000000000"/></OME>'
        with tifffile.TiffWriter(tmp_path / f"part{index}.ome.tif") as writer:
            for at, frame in enumerate(frames[3 * index : 3 * index + 3]):
                description = text if at == 0 else None
                writer.write(frame, metadata=None, contiguous=False, description=description)
                uuid = (
                    f'<UUID FileName="part{index}.ome.tif">urn:uuid:0000000{index}-0000-0000-0000-000000000000</UUID>'
                )
                planes += f'<TiffData IFD="{at}" FirstT="{3 * index + at}" PlaneCount="1">{uuid}</TiffData>'
    (tmp_path / "m.companion.ome").write_text(
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0"'
        ' DimensionOrder="XYZCT" Type="uint16" SizeX="9" SizeY="8" SizeZ="1" SizeC="1" SizeT="6">'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}</Pixels></Image></OME>'
    )
    for path in (tmp_path, *sorted(tmp_path.iterdir())):
        with MovieFile(path) as movie:
            np.testing.assert_array_equal(movie.frames(), frames)
    assert list(find_movies(tmp_path)) == [tmp_path / "part0.ome.tif"]
