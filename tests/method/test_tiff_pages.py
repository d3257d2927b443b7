"""Every page of a TIFF is read by its own tags or named, bit for bit, whatever structure the file has."""

import json
import re
import struct

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiff_files import FRAMES, named, read, write_pages

from selfstorm.errors import MovieError
from selfstorm.io.left_out_pages import ranges
from selfstorm.io.movies import MovieFile


def test_pages_compressed_in_turns_are_all_read(tmp_path):
    write_pages(tmp_path / "m.tif", [(f, {"compression": "lzw"} if i % 2 else {}) for i, f in enumerate(FRAMES)])
    frames, numbers, left_out, notes = read(tmp_path / "m.tif")
    np.testing.assert_array_equal(frames, FRAMES, strict=True)
    assert (numbers, left_out, notes) == (list(range(20)), set(), ())


@pytest.mark.parametrize("odd", [0, 9, 19])
@pytest.mark.parametrize(
    ("other", "why"),
    [
        (FRAMES[0].astype(np.float32), "float32 pixels, not uint16"),
        (FRAMES[0][:16, :16].copy(), "16 x 16 pixels, not 24 x 24"),
        (FRAMES[0].astype(np.uint8), "uint8 pixels, not uint16"),
        (np.repeat(FRAMES[0][..., None], 3, 2), "colour"),
    ],
    ids=["float", "roi", "8-bit", "colour"],
)
def test_a_page_of_another_kind_is_named_and_is_a_lost_frame(tmp_path, odd, other, why):
    pages = [(frame, {}) for frame in FRAMES]
    pages[odd] = (other, {"photometric": "rgb"} if other.ndim == 3 else {})
    write_pages(tmp_path / "m.tif", pages)
    frames, numbers, left_out, notes = read(tmp_path / "m.tif")
    kept = [index for index in range(20) if index != odd]
    assert (numbers, left_out) == (kept, {odd})
    assert why in notes[0]
    np.testing.assert_array_equal(frames, FRAMES[kept], strict=True)


def test_a_region_changed_on_the_way(tmp_path):
    pages = [(frame if index < 12 else frame[:16, :16].copy(), {}) for index, frame in enumerate(FRAMES)]
    write_pages(tmp_path / "m.tif", pages)
    frames, _, left_out, _ = read(tmp_path / "m.tif")
    assert (len(frames), left_out) == (12, set(range(12, 20)))


@pytest.mark.parametrize("block", [1, 5, 10])
def test_a_movie_saved_in_blocks_is_one_movie(tmp_path, block):
    with tifffile.TiffWriter(tmp_path / "m.tif") as writer:
        for start in range(0, 20, block):
            part = FRAMES[start : start + block]
            writer.write(part[0] if block == 1 else part, photometric="minisblack")
    np.testing.assert_array_equal(read(tmp_path / "m.tif")[0], FRAMES)


@pytest.mark.parametrize(("promised", "says"), [(15, "all are read"), (25, "stopped early, or cut")])
def test_a_description_that_promises_another_number_is_said(tmp_path, promised, says):
    text = f"ImageJ=1.54f\nimages={promised}\nframes={promised}\nunit=nm\n"
    write_pages(tmp_path / "m.tif", [(f, {"description": text} if not i else {}) for i, f in enumerate(FRAMES)])
    frames, _, _, notes = read(tmp_path / "m.tif")
    np.testing.assert_array_equal(frames, FRAMES)
    assert f"promises {promised} frames, 20 are there" in notes[0]
    assert says in notes[0]


def test_an_acquisition_stopped_before_its_next_page_is_read(tmp_path):
    write_pages(tmp_path / "m.tif", [(frame, {}) for frame in FRAMES])
    with tifffile.TiffFile(tmp_path / "m.tif") as file:
        directory = file.pages[19].offset
        tags = len(file.pages[19].tags)
    data = bytearray((tmp_path / "m.tif").read_bytes())
    struct.pack_into("<I", data, directory + 2 + 12 * tags, len(data))  # a page that would have come next
    (tmp_path / "m.tif").write_bytes(data)
    np.testing.assert_array_equal(read(tmp_path / "m.tif")[0], FRAMES)


def test_a_stack_of_two_channels_that_was_stopped_has_two_channels(tmp_path):
    """Micro-Manager writes its index at the end; the tags of each image say the same."""

    def tags(index):
        return {"FrameIndex": index // 2, "ChannelIndex": index % 2, "SliceIndex": 0, "PositionIndex": 0}

    pages = [
        (frame, {"extratags": [(51123, 2, 0, json.dumps(tags(index)), True)]})
        for index, frame in enumerate(FRAMES)
        if index != 8
    ]
    write_pages(tmp_path / "m.tif", pages)
    with pytest.raises(MovieError, match=r"time \(10\), channel \(2\)"):
        read(tmp_path / "m.tif")
    frames, numbers, _, _ = read(tmp_path / "m.tif", channel=0)
    there = [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert numbers == there
    np.testing.assert_array_equal(frames, FRAMES[[2 * t for t in there]])


def packed(path, bits):
    """A TIFF of packed pixels, one strip per page, as some cameras write it."""
    out, link = bytearray(b"II*\0\0\0\0\0"), 4
    for frame in FRAMES:
        if bits == 1:
            data = np.packbits(frame > 2000, axis=1).tobytes()
        else:
            pairs = frame.reshape(-1, 2).tolist()
            data = b"".join(bytes((a >> 4, ((a & 15) << 4) | (b >> 8), b & 255)) for a, b in pairs)
        at = len(out)
        out += data + b"\0" * (len(data) % 2)
        struct.pack_into("<I", out, link, len(out))
        tags = {256: 24, 257: 24, 258: bits, 259: 1, 262: 1, 273: at, 277: 1, 278: 24, 279: len(data)}
        out += struct.pack("<H", len(tags))
        out += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
        link = len(out)
        out += b"\0\0\0\0"
    path.write_bytes(out)


def test_packed_12_bit_pixels_are_read(tmp_path):
    packed(tmp_path / "m.tif", 12)
    np.testing.assert_array_equal(read(tmp_path / "m.tif")[0], FRAMES)


def test_1_bit_pixels_are_refused_as_what_they_are(tmp_path):
    packed(tmp_path / "m.tif", 1)
    with pytest.raises(MovieError, match="has 1-bit pixels"):
        read(tmp_path / "m.tif")


def test_the_hint_names_an_axis_that_is_there(tmp_path):
    tifffile.imwrite(tmp_path / "m.tif", FRAMES.reshape(5, 4, 24, 24), imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(MovieError, match="--select z=0"):
        read(tmp_path / "m.tif")
    np.testing.assert_array_equal(read(tmp_path / "m.tif", z=2)[0], FRAMES[2::4])


@pytest.mark.parametrize(
    ("unit", "per_unit"), [("microns", 10), ("Micron", 10), ("inch", 254_000), ("m", 1e7), ("Å", 1e-3), ("nm", 0.01)]
)
def test_every_unit_of_imagej(tmp_path, unit, per_unit):
    text = f"ImageJ=1.54f\nimages=20\nframes=20\nunit={unit}\n".encode("latin-1")
    resolution = {"resolution": (per_unit, per_unit)}
    write_pages(
        tmp_path / "m.tif", [(f, resolution | ({"description": text} if not i else {})) for i, f in enumerate(FRAMES)]
    )
    with MovieFile(tmp_path / "m.tif") as movie:
        assert movie.pixel_nm == pytest.approx(100.0, rel=1e-3)


def test_pixels_that_are_not_square_are_said(tmp_path):
    write_pages(tmp_path / "m.tif", [(f, {}) for f in FRAMES], resolution=(1e5, 5e4), resolutionunit="CENTIMETER")
    with MovieFile(tmp_path / "m.tif") as movie:
        assert movie.pixel_nm is None
        assert "100 nm along x and 200 nm along y" in movie.notes[0]


@pytest.mark.parametrize("names", ["new", "old"])
def test_separate_image_files(tmp_path, names):
    tags = {"Summary": {"PixelSize_um": 0.1}}
    for t in (n for n in range(20) if n != 7):
        name = f"img_channel000_position000_time{t:09d}_z000.tif" if names == "new" else f"img_{t:09d}_Default_000.tif"
        tifffile.imwrite(tmp_path / name, FRAMES[t], metadata=None)
        tags[f"Metadata-Default/{name}"] = {"ElapsedTime-ms": 10.0 * t}
    (tmp_path / "metadata.txt").write_text(json.dumps(tags)[:-1])  # of a run that was stopped
    with MovieFile(tmp_path) as movie:
        there = [t for t in range(20) if t != 7]
        assert [(movie.stamp(i).number, movie.stamp(i).camera_ms) for i in range(19)] == [(t, 10.0 * t) for t in there]
        np.testing.assert_array_equal(movie.frames(), FRAMES[there])
        assert (movie.pixel_nm, movie.notes) == (100.0, ("1 frame is missing along time",))


def test_endings_in_capitals(tmp_path):
    write_pages(tmp_path / "MOVIE.TIF", [(frame, {}) for frame in FRAMES])
    np.testing.assert_array_equal(read(tmp_path)[0], FRAMES)


def test_ranges():
    assert ranges([5, 3, 6, 7, 9]) == "3, 5-7, 9"


# ---- the property: pages read + pages named = pages there, bit for bit

DTYPES = ("uint8", "uint16", "int16", "uint32", "float32")
page_options = st.fixed_dictionaries(
    {
        "compression": st.sampled_from([None, "lzw", "zlib", "packbits", "zstd"]),
        "predictor": st.booleans(),
        "tiled": st.sampled_from([None, (16, 16)]),
        "rowsperstrip": st.sampled_from([None, 5]),
        "description": st.sampled_from(
            [None, "", "ImageJ=1.54f\nimages=3\nframes=3\n", '{"shape": [4, 24, 20]}', "a note", "<OME></OME>"]
        ),
        "reduced": st.booleans(),
    }
)
page = st.tuples(st.sampled_from(["usual"] * 4 + ["smaller", "dtype", "colour"]), page_options, st.integers(0, 2**31))


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    pages=st.lists(page, min_size=1, max_size=9),
    dtype=st.sampled_from(DTYPES),
    big=st.booleans(),
    order=st.sampled_from("<>"),
)
def test_every_page_is_read_bit_for_bit_or_named(tmp_path, pages, dtype, big, order):
    path, written = tmp_path / "m.tif", []
    with tifffile.TiffWriter(path, bigtiff=big, byteorder=order) as writer:
        for kind, options, seed in pages:
            pixels = np.random.default_rng(seed).integers(0, 120, (24, 20)).astype(dtype)
            more = {"photometric": "minisblack"}
            if kind == "smaller":
                pixels = np.ascontiguousarray(pixels[:16, :16])
            elif kind == "dtype":
                pixels = pixels.astype("float64" if dtype != "float64" else "uint8")
            elif kind == "colour":
                pixels, more = np.repeat(pixels[..., None], 3, 2), {"photometric": "rgb"}
            more["compression"] = options["compression"]
            if options["compression"] in ("lzw", "zlib", "zstd") and pixels.dtype.kind in "ui":
                more["predictor"] = options["predictor"]
            if options["tiled"]:
                more["tile"] = options["tiled"]
            elif options["rowsperstrip"]:
                more["rowsperstrip"] = options["rowsperstrip"]
            if options["reduced"] and kind == "smaller":
                more["subfiletype"] = 1
            writer.write(pixels, metadata=None, contiguous=False, description=options["description"], **more)
            written.append(pixels)
    try:
        with MovieFile(path) as movie:
            left_out, frames, count = named(movie.notes), list(movie.frames()), movie.length
    except MovieError as error:
        if re.search("one image|colour", str(error)):  # there is nothing to make a movie of
            return
        raise
    there = [pixels for index, pixels in enumerate(written) if index not in left_out]
    assert count + len(left_out) == len(written)
    for pixels, frame in zip(there, frames, strict=True):
        np.testing.assert_array_equal(frame, pixels.astype(frame.dtype))
        assert frame.dtype == (np.float32 if pixels.dtype == np.float64 else pixels.dtype)


@pytest.mark.parametrize("description", ["ImageJ=1.54f\nimages=9\nframes=9\n", '{"shape": [9, 24, 20]}'])
@pytest.mark.parametrize("tags_last", [False, True])
def test_frames_that_a_lone_page_promises_and_that_were_never_written_are_none(tmp_path, description, tags_last):
    """Neither missing bytes nor the tags behind the pixels are frames."""
    pixels = np.arange(480, dtype=np.uint8).reshape(24, 20)
    path = tmp_path / "m.tif"
    text = description.encode() + b"\0"
    entries = [(256, 3, 1, 20), (257, 3, 1, 24), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    ifd_size = 2 + 12 * 10 + 4
    data = 8 + (0 if tags_last else ifd_size + len(text))
    ifd = 8 + (480 if tags_last else 0)
    entries += [
        (270, 2, len(text), ifd + ifd_size),
        (273, 4, 1, data),
        (277, 3, 1, 1),
        (278, 3, 1, 24),
        (279, 4, 1, 480),
    ]
    tags = struct.pack("<H", 10) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4) + text
    parts = [pixels.tobytes(), tags + bytes(1000)] if tags_last else [tags, pixels.tobytes()]
    path.write_bytes(b"II*\0" + struct.pack("<I", ifd) + b"".join(parts))
    with pytest.raises(MovieError, match="one image"):
        MovieFile(path)
