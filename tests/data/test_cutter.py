"""Tiles that are exact cuts, inside the field of view, at any scale, with the masks that belong to them."""

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from slices import CODES, coded, decode, save_stack
from veridical.core.errors import InputError
from veridical.core.orientation import turn
from veridical.data.open import open_dataset
from veridical.data.window import IntensityWindow


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(24, 60),
    width=st.integers(24, 60),
    size=st.integers(1, 8),
    seed=st.integers(0, 2**31),
    step=st.integers(0, 2**31),
)
def test_every_tile_is_an_exact_cut(tmp_path_factory, height, width, size, seed, step):
    path = save_stack(tmp_path_factory.mktemp("cut") / "s.tif", 6, height, width)
    dataset = open_dataset(path, size, window=CODES)
    for images in (dataset.batch(8, step, seed)["image"], dataset.tiles("test", 5)[0]):
        z, y, x = decode(images, height, width)
        for k in range(len(images)):
            assert np.ptp(z[k]) == 0
            square = np.arange(size)
            rows, columns = y[k] - y[k].min(), x[k] - x[k].min()
            options = [(turn(square[:, None] + 0 * square, c), turn(square + 0 * square[:, None], c)) for c in range(8)]
            assert any((rows == a).all() and (columns == b).all() for a, b in options)


def test_colour(tmp_path):
    image = np.zeros((64, 32, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(32) * 8, np.arange(64)[:, None] * 4
    Image.fromarray(image).save(tmp_path / "a.png")
    dataset = open_dataset(tmp_path, 8, augment="none")
    images, _ = dataset.tiles("train")
    assert images.shape[1:] == (3, 8, 8) and dataset.channels == 3
    # one window for all channels: blue is absent everywhere
    assert (images[:, 2] == 0).all() and np.ptp(images[:, 0]) > 0.9
    assert "channels are equal" not in "".join(dataset.notes)
    Image.fromarray(np.repeat(image[..., :1], 3, -1)).save(tmp_path / "a.png")
    assert "channels are equal" in "".join(open_dataset(tmp_path, 8).notes)


def round_slices(n, side, outside, dtype):
    y, x = np.mgrid[:side, :side] - side / 2
    inside = y**2 + x**2 < (0.48 * side) ** 2
    images = np.random.default_rng(0).integers(60, 200, (n, side, side))
    return np.where(inside, images, outside).astype(dtype)


@pytest.mark.parametrize(("outside", "dtype"), [(0, np.uint8), (np.nan, np.float32), (5, np.uint16)])
@pytest.mark.parametrize("n", [10, 1])
def test_tiles_lie_in_the_field_of_view(tmp_path, outside, dtype, n):
    tifffile.imwrite(tmp_path / "s.tif", round_slices(n, 128, outside, dtype), photometric="minisblack")
    dataset = open_dataset(tmp_path / "s.tif", 16)
    # the padding does not drive the window, so a pixel from outside would be clipped to 0
    assert dataset.window.low >= 60 and "field of view" in dataset.notes[-1]
    wide = open_dataset(tmp_path / "s.tif", 16, window=IntensityWindow(0, 255, np.dtype(dtype).name))
    for images in (wide.batch(500, 0, 0)["image"], wide.tiles("train")[0], wide.tiles("test")[0]):
        assert images.min() >= 60 / 255 - 1e-6
    partly = open_dataset(tmp_path / "s.tif", 16, inside=0.5, window=wide.window).batch(500, 0, 0)["image"]
    shares = (partly >= 60 / 255 - 1e-6).mean((1, 2, 3))
    assert 0.5 <= shares.min() < 1


def test_black_corners_that_differ_are_no_field_of_view(tmp_path):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    for k in range(8):
        stone = rng.integers(60, 200, (64, 64))
        stone[np.hypot(y - 63 * (k // 2 % 2), x - 63 * (k % 2)) < 40] = 0
        Image.fromarray(stone.astype(np.uint8)).save(tmp_path / f"{k}_stone.png")
    dataset = open_dataset(tmp_path, 16)
    assert dataset.notes == [] and dataset.window.low == 0


def test_no_tile_fits_into_the_field(tmp_path):
    tifffile.imwrite(tmp_path / "s.tif", round_slices(10, 128, 0, np.uint8), photometric="minisblack")
    with pytest.raises(InputError, match=r"s\.tif.*field of view"):
        open_dataset(tmp_path / "s.tif", 100)


def test_rescaled_tiles_cover_more_and_are_antialiased(tmp_path):
    y, x = np.mgrid[:256, :128]
    image = (x * 100 + 10_000 * ((x + y) % 2)).astype(np.uint16)  # a ramp under a checkerboard that must average out
    tifffile.imwrite(tmp_path / "a.tif", image, resolution=(1e4, 1e4), resolutionunit="CENTIMETER")
    window = IntensityWindow(0, 65535, "uint16")
    halves = [
        open_dataset(tmp_path / "a.tif", 16, augment="none", window=window, **options)
        for options in ({"scale": 0.5}, {"pixel_size": 2.0})
    ]
    for dataset in halves:
        assert dataset.pixel_size == 2.0
        tile = window.from_unit(dataset.tiles("train")[0][1, 0]).astype(float)
        middle = tile[4:-4, 4:-4]
        np.testing.assert_allclose(np.diff(middle, axis=1), 200, atol=30)
        np.testing.assert_allclose(np.diff(middle, axis=0), 0, atol=30)
    assert halves[0].fingerprint == halves[1].fingerprint
    assert open_dataset(tmp_path / "a.tif", 16, scale=2).batch(4, 0, 0)["image"].shape == (4, 1, 16, 16)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_masks_are_cut_and_turned_with_the_images(tmp_path, scale):
    rng = np.random.default_rng(0)
    (tmp_path / "masks").mkdir()
    for k in range(6):
        labels = rng.integers(0, 2, (10, 10), np.uint8).repeat(8, 0).repeat(8, 1) * 200
        Image.fromarray(labels).save(tmp_path / f"i{k}x.png")
        if k != 3:
            Image.fromarray(labels // 200).save(tmp_path / "masks" / f"i{k}x.png")
    dataset = open_dataset(tmp_path, 16, masks=True, scale=scale, window=IntensityWindow(0, 200, "uint8"))
    assert dataset.notes == ["1 of 6 images have no label image and are left out"]
    batch = dataset.batch(64, 0, 0)
    pairs = [(batch["image"], batch["mask"]), (dataset.tiles("test")[0], dataset.tile_conditions("test")["mask"])]
    for images, masks in pairs:
        assert masks.dtype == np.uint8 and masks.shape == (len(images), 16, 16)
        clear = np.abs(images[:, 0] - 0.5) > 0.4  # not the blend of both labels that rescaling makes at their border
        assert clear.mean() > 0.6 and ((images[:, 0] > 0.5) == masks)[clear].all()
    assert "mask" not in open_dataset(tmp_path, 16).batch(1, 0, 0)


def test_mask_of_another_size(tmp_path):
    (tmp_path / "masks").mkdir()
    for k in range(5):
        Image.fromarray((coded(1, 16, 16)[0] + k).astype(np.uint8)).save(tmp_path / f"i{k}.png")
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "masks" / f"i{k}.png")
    with pytest.raises(InputError, match=r"i[0-4].*8 x 8"):
        open_dataset(tmp_path, 8, masks=True).batch(4, 0, 0)
