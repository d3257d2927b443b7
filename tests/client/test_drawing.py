"""The pure parts of drawing: contrast, lengths, fields, colours."""

import numpy as np
import pytest
from client_stream import header, pixels

from client.picture.colour_maps import LEVELS, NAMES, lookup_table
from client.picture.contrast import Contrast, auto_levels
from client.picture.field import field_of, length_text, round_length
from client.picture.pictures import Picture, PicturePair
from client.picture.rasterise import Crop, coloured, crop_for, reduced


def test_automatic_contrast_ignores_a_few_hot_pixels_and_what_is_not_finite():
    picture = np.tile(np.linspace(100, 200, 100, dtype=np.float32), (100, 1))
    picture[3, 3], picture[4, 4] = 1e9, np.nan
    low, high = auto_levels(picture)
    assert 100 <= low < 105
    assert 195 < high <= 200


def test_a_lone_emitter_is_seen():
    picture = np.zeros((100, 100), np.float32)
    picture[50, 50] = 7
    assert auto_levels(picture) == (0.0, 7.0)


@pytest.mark.parametrize("fill", [0.0, 5.0, np.nan, np.inf])
def test_a_flat_picture_still_has_levels(fill):
    low, high = Contrast().levels(np.full((4, 4), fill, np.float32))
    assert np.isfinite((low, high)).all()
    assert low < high


def test_locked_contrast_is_the_same_for_every_picture():
    locked = Contrast(auto=False, low=2.0, high=9.0)
    assert locked.levels(pixels((8, 8))) == locked.levels(pixels((8, 8), 50)) == (2.0, 9.0)


def test_levels_the_wrong_way_round_are_still_drawable():
    low, high = Contrast(auto=False, low=9.0, high=2.0).levels(pixels((8, 8)))
    assert low == 9.0 < high


def test_a_large_picture_gets_the_levels_of_the_whole():
    large = np.random.default_rng(0).normal(100, 10, (2048, 2048)).astype(np.float32)
    assert auto_levels(large) == pytest.approx(np.percentile(large, (0.5, 99.7)), rel=0.01)


@pytest.mark.parametrize(
    ("longest", "length"),
    [(1.0, 1.0), (0.99, 0.5), (4.9, 2.0), (5.0, 5.0), (70, 50), (0.03, 0.02), (1e-7, 1e-7)],
)
def test_scale_bars_are_1_2_or_5(longest, length):
    assert round_length(longest) == pytest.approx(length)


def test_lengths_are_written_with_their_unit():
    assert [length_text(2.0, "µm"), length_text(0.5, "µm"), length_text(10, "px")] == [
        "2 µm",
        "500 nm",
        "10 px",
    ]


def pair_of(pixel_nm):
    headers = (header(kind, side=8, pixel_nm=pixel_nm) for kind in ("sr.refined", "raw.mean"))
    return PicturePair(*(Picture(one, pixels(one.shape), 0.0) for one in headers))


def test_both_pictures_cover_one_field_in_micrometres():
    field = field_of(pair_of(100.0))
    assert (field.width, field.height, field.unit) == (pytest.approx(0.8), pytest.approx(0.8), "µm")


def test_an_unknown_pixel_size_means_camera_pixels():
    field = field_of(pair_of(None))
    assert (field.width, field.height, field.unit) == (8, 8, "px")


def channels(table):
    """(N, 3) red, green, blue of a lookup table."""
    return np.stack([table >> shift & 255 for shift in (16, 8, 0)], axis=1)


@pytest.mark.parametrize("name", NAMES)
def test_colour_maps_go_from_dark_to_bright(name):
    table = channels(lookup_table(name))
    assert table.shape == (LEVELS, 3)
    assert table[0].sum() < table[-1].sum()
    assert len(np.unique(table, axis=0)) > 200
    assert np.array_equal(channels(lookup_table(name, invert=True)), table[::-1])


def test_fire_is_imagejs():
    fire, grey = channels(lookup_table("fire")), channels(lookup_table("grey"))
    assert [tuple(fire[i]) for i in (0, -1)] == [(0, 0, 0), (255, 255, 255)]
    assert tuple(grey[LEVELS // 2]) == (128, 128, 128)


def test_gamma_below_one_brightens_what_is_dim():
    assert channels(lookup_table("grey", 0.5))[LEVELS // 4, 0] == pytest.approx(128, abs=1)


def test_only_what_is_seen_is_drawn_in_blocks_of_the_screens_size():
    assert crop_for((100, 200), (-5, 300), (-5, 300), 1.0) == Crop(0, 100, 0, 200, 1)
    assert crop_for((100, 200), (10.5, 20.5), (30.2, 40.9), 8.0) == Crop(10, 21, 30, 41, 1)
    assert crop_for((100, 200), (10, 95), (7, 120), 0.26) == Crop(9, 96, 6, 120, 3)
    assert crop_for((100, 200), (120, 140), (0, 10), 1.0) is None


@pytest.mark.parametrize("shape", [(12, 18), (13, 20), (2, 3)])
def test_blocks_are_means_of_what_is_there(shape):
    picture = np.random.default_rng(1).random(shape, np.float32)
    blocks = reduced(picture, Crop(0, shape[0], 0, shape[1], 4))
    for row, column in np.ndindex(blocks.shape):
        block = picture[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        assert blocks[row, column] == pytest.approx(block.mean(), rel=1e-5)


def test_a_picture_of_ones_part_is_itself():
    picture = pixels((8, 8))
    assert np.array_equal(reduced(picture, Crop(2, 6, 1, 7, 1)), picture[2:6, 1:7])


def test_values_become_colours_between_the_levels():
    table = np.arange(1024, dtype=np.uint32)
    values = np.array([[-1.0, 0.0, 5.0], [10.0, 99.0, np.nan]], np.float32)
    assert coloured(values, (0.0, 10.0), table).tolist() == [[0, 0, 511], [1023, 1023, 0]]


def test_camera_frames_of_whole_numbers_are_drawn_too():
    table = np.arange(1024, dtype=np.uint32)
    assert coloured(np.array([[0, 1000]], np.uint16), (0.0, 1000.0), table).tolist() == [[0, 1023]]
