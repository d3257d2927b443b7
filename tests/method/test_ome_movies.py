"""Planes of an OME-TIFF are read in the order and from the files that its metadata names."""

import numpy as np
import pytest
import tifffile
from tiff_files import FRAMES, RNG, read, write_pages

from selfstorm.errors import MovieError
from selfstorm.io.movies import MovieFile


def ome(images, files=1):
    """OME-XML of images: (planes [(t, c, ifd, file)], T, C)."""
    space, uid = "http://www.openmicroscopy.org/Schemas/OME/2016-06", "urn:uuid:0000000{}-0000-0000-0000-000000000000"
    text = ""
    for at, (planes, times, channels) in enumerate(images):
        data = "".join(
            f'<TiffData FirstT="{t}" FirstC="{c}" FirstZ="0" IFD="{ifd}" PlaneCount="1">'
            f'<UUID FileName="part{file}.ome.tif">{uid.format(file)}</UUID></TiffData>'
            for t, c, ifd, file in planes
        )
        channel = "".join(f'<Channel ID="Channel:{at}:{c}" SamplesPerPixel="1"/>' for c in range(channels))
        text += (
            f'<Image ID="Image:{at}"><Pixels ID="Pixels:{at}" DimensionOrder="XYZCT" Type="uint16" SizeX="24" '
            f'SizeY="24" SizeZ="1" SizeC="{channels}" SizeT="{times}" PhysicalSizeX="0.1" PhysicalSizeY="0.1">'
            f"{channel}{data}</Pixels></Image>"
        )
    return lambda file: f'<?xml version="1.0"?><OME xmlns="{space}" UUID="{uid.format(file)}">{text}</OME>'


def write_ome(folder, images, per_file=20, frames=FRAMES):
    xml = ome(images)
    for file in range(-(-len(frames) // per_file)):
        part = frames[file * per_file : (file + 1) * per_file]
        write_pages(
            folder / f"part{file}.ome.tif",
            [(frame, {} if index else {"description": xml(file).encode()}) for index, frame in enumerate(part)],
        )
    return folder / "part0.ome.tif"


def test_planes_out_of_order_are_sorted_by_their_time(tmp_path):
    order = RNG.permutation(20)
    path = write_ome(tmp_path, [([(int(t), 0, ifd, 0) for ifd, t in enumerate(order)], 20, 1)])
    frames, numbers, _, _ = read(path)
    assert numbers == list(range(20))
    np.testing.assert_array_equal(frames[order], FRAMES)


def test_planes_that_are_not_there_are_lost_frames(tmp_path):
    there = [t for t in range(22) if t not in (7, 8)]
    path = write_ome(tmp_path, [([(t, 0, ifd, 0) for ifd, t in enumerate(there)], 22, 1)])
    frames, numbers, _, notes = read(path)
    assert numbers == there
    assert "2 of the planes in its metadata are not there" in notes[0]
    np.testing.assert_array_equal(frames, FRAMES)


def test_pages_behind_those_in_the_metadata_are_read(tmp_path):
    path = write_ome(tmp_path, [([(t, 0, t, 0) for t in range(15)], 15, 1)])
    frames, _, _, notes = read(path)
    np.testing.assert_array_equal(frames, FRAMES)
    assert "name 15 of 20 pages: all are read" in notes[0]


def test_two_positions_are_two_movies(tmp_path):
    both = [([(t, 0, 10 * position + t, 0) for t in range(10)], 10, 1) for position in (0, 1)]
    path = write_ome(tmp_path, both)
    with pytest.raises(MovieError, match=r"position \(2\), time \(10\).*--select position=0"):
        read(path)
    np.testing.assert_array_equal(read(path, position=1)[0], FRAMES[10:])


@pytest.mark.parametrize("master", [True, False])
def test_ome_in_several_files(tmp_path, master):
    images = [([(t, 0, t % 10, t // 10) for t in range(20)], 20, 1)]
    path = write_ome(tmp_path, images, per_file=10)
    if not master:
        (tmp_path / "m.companion.ome").write_text(ome(images)(9), encoding="utf-8")
        space = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
        only = f'<?xml version="1.0"?><OME {space}><BinaryOnly MetadataFile="m.companion.ome" UUID="urn:uuid:x"/></OME>'
        for file in range(2):
            part = FRAMES[file * 10 : file * 10 + 10]
            pages = [(frame, {} if i else {"description": only.encode()}) for i, frame in enumerate(part)]
            write_pages(tmp_path / f"part{file}.ome.tif", pages)
    with MovieFile(path) as movie:
        np.testing.assert_array_equal(movie.frames(), FRAMES)
        assert movie.pixel_nm == 100.0
        assert {other.name for other in movie.paths} == {"part0.ome.tif", "part1.ome.tif"}
    (tmp_path / "part1.ome.tif").unlink()
    with pytest.raises(MovieError, match=r"missing files: part1\.ome\.tif"):
        read(path)


@pytest.mark.parametrize(("interval", "unit"), [(30, "ms"), (0.03, "s"), (30_000, "µs")])
def test_the_time_increment_of_ome(tmp_path, interval, unit):
    stated = {"axes": "TYX", "TimeIncrement": interval, "TimeIncrementUnit": unit}
    tifffile.imwrite(tmp_path / "m.ome.tif", FRAMES, ome=True, metadata=stated, photometric="minisblack")
    with MovieFile(tmp_path / "m.ome.tif") as movie:
        assert movie.acquisition.rate_hz == pytest.approx(1000 / 30)
