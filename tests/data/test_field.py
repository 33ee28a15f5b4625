"""Splits and the field of view, on shapes of known answer."""

import numpy as np
import pytest

from veridical.data.field import Region, corner_positions, field_of_view, grid_positions
from veridical.data.split import group_of


def disc(side, radius, centre=None):
    y, x = np.mgrid[:side, :side] - (side / 2 if centre is None else centre)
    return y**2 + x**2 < radius**2


@pytest.mark.parametrize("outside", [0, 77, np.nan])
@pytest.mark.parametrize("side", [96, 1500])
def test_round_field_is_found_and_never_too_large(outside, side):
    inside = disc(side, 0.45 * side)
    texture = np.random.default_rng(0).integers(50, 200, inside.shape)
    image = np.where(inside, texture, outside).astype(np.float32 if np.isnan(outside) else np.uint8)
    field = field_of_view(image)
    assert field.shape == image.shape
    assert not (field & ~inside).any()
    assert field.sum() > 0.97 * inside.sum()


def test_cut_field_with_dark_bays_and_a_label_outside():
    inside = disc(200, 130)  # only the corners are outside
    image = np.where(inside, 120, 0).astype(np.uint8)
    image += np.random.default_rng(0).integers(0, 9, image.shape, np.uint8) * inside.astype(np.uint8)
    image[90:110, :12] = 0  # a pore that opens to the rim
    image[3, 3:9] = 255  # a printed label
    field = field_of_view(image)
    assert field[100, 5] and not field[3, 5]
    assert abs(int(field.sum()) - int(inside.sum())) < 0.02 * inside.sum()


def test_rows_that_are_missing_take_no_corner_of_the_rest():
    image = np.random.default_rng(0).random((64, 64), np.float32)
    image[:10] = np.nan
    field = field_of_view(image)
    assert field is not None and field[10:].all() and not field[:10].any()
    for turned in (image[::-1], image.T):
        field = field_of_view(turned)
        assert field is not None and (field == ~np.isnan(turned)).all()


def test_pictures_without_a_field():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (100, 100), np.uint8)
    segmented = np.zeros((100, 100), np.uint8)  # fibres on a constant background
    for y in range(10, 100, 20):
        for x in range(10, 100, 20):
            segmented[y - 6 : y + 6, x - 6 : x + 6] = 255
    framed = np.where(disc(100, 40), 200, 0).astype(np.uint8)
    for image in (noise, segmented, np.zeros((50, 50)), framed > 0, np.dstack([framed] * 3), framed[:30, :30]):
        assert field_of_view(image) is None


@pytest.mark.parametrize("inside", [1.0, 0.6, 0.0])
def test_positions_agree_with_counting(inside):
    field = disc(40, 15)
    region, span = Region(0, 4, 2, 30, 36), 7
    flat = corner_positions(region, span, field, inside)
    expected = []
    for y in range(30 - span + 1):
        for x in range(36 - span + 1):
            share = field[4 + y : 4 + y + span, 2 + x : 2 + x + span].mean()
            if share >= inside and share > 0:
                expected.append(y * (36 - span + 1) + x)
    np.testing.assert_array_equal(flat, expected)
    for y, x in grid_positions(region, span, field, inside):
        assert (y - 4) * (36 - span + 1) + x - 2 in set(expected)


def test_positions_without_a_field():
    region = Region(0, 4, 2, 30, 36)
    assert corner_positions(region, 30, None, 1.0) == 7
    assert corner_positions(region, 31, None, 1.0) == 0
    places = grid_positions(region, 8, None, 1.0)
    assert len(places) == 3 * 4
    assert places.min(0).tolist() == [7, 4] and (places.max(0) + 8).tolist() == [31, 36]


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("versa0000_r1c2", "versa0000"),
        ("A_osr_0049_y0x128", "A_osr_0049"),
        ("a/b_r10c3", "a/b"),
        ("r1c2", "r1c2"),
        ("cmc_f07_realA_r0c3", "cmc_f07_realA"),
        ("plain_12", "plain_12"),
    ],
)
def test_group_of_a_tile(name, group):
    assert group_of(name) == group
