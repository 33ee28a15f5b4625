"""Splits without leaks, stateless batches, tiles that are exact cuts: shown on images whose values are coordinates."""

import json
import pickle

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.distance import cdist

import veridical.data.dataset as module
from veridical.core.errors import InputError
from veridical.core.orientation import turn
from veridical.data.dataset import open_dataset
from veridical.data.images import save_png
from veridical.data.masks import PartLabels
from veridical.data.window import IntensityWindow

CODES = IntensityWindow(0, 2**24 - 1, "int32")  # all counts of this window survive float32


def coded(n, height, width):
    """Each voxel holds its own number."""
    return np.arange(n * height * width, dtype=np.int32).reshape(n, height, width)


def save_stack(path, n, height, width):
    tifffile.imwrite(path, coded(n, height, width), photometric="minisblack")
    return path


def save_folder(folder, names, height, width):
    for name, image in zip(names, coded(len(names), height, width)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / f"{name}.tif", image)
    return folder


def decode(images, height, width):
    """Slice, row and column of every pixel of images (N, 1, H, W) made from coded slices."""
    return np.unravel_index(CODES.from_unit(images)[:, 0].astype(np.int64), (1000, height, width))


def seen(dataset, height, width):
    """Coordinates of all training pixels and of all test pixels, each (3, n)."""
    train = [dataset.batch(64, step, seed=1)["image"] for step in range(12)] + [dataset.tiles("train")[0]]
    test = dataset.tiles("test")[0]
    return (np.reshape(decode(x, height, width), (3, -1)) for x in (np.concatenate(train), test))


# ---------------------------------------------------------------------------------------------------------- splits


@pytest.mark.parametrize(("n", "gap"), [(40, 4), (200, 8), (5, 1)])
def test_stack_is_split_by_slices_with_a_gap(tmp_path, n, gap):
    dataset = open_dataset(save_stack(tmp_path / "s.tif", n, 24, 16), 8, window=CODES)
    train, test = seen(dataset, 24, 16)
    assert dataset.split == {"by": "slice", "gap": gap, "n_train": len(set(train[0])), "n_test": len(set(test[0]))}
    assert test[0].min() - train[0].max() == gap + 1
    assert len(set(test[0])) == round(0.2 * n) and test[0].max() == n - 1


def test_numbered_files_are_a_stack(tmp_path):
    names = [f"scan_{k:04d}" for k in range(30)]
    dataset = open_dataset(save_folder(tmp_path, names, 16, 16), 8, window=CODES)
    train, test = seen(dataset, 16, 16)
    assert dataset.split["by"] == "slice" and test[0].min() - train[0].max() == 4


def test_folder_is_split_by_image_and_tiles_of_one_image_stay_together(tmp_path):
    names = [f"{image}_r{row}c{column}" for image in "abcdefghij" for row in range(2) for column in range(2)]
    dataset = open_dataset(save_folder(tmp_path, names, 16, 16), 8, window=CODES)
    train, test = seen(dataset, 16, 16)
    assert dataset.split["by"] == "image"
    assert {names[k][0] for k in test[0]} == {"i", "j"} and {names[k][0] for k in train[0]} == set("abcdefgh")
    assert set(dataset.tiles("test")[1]) == {"i", "j"}


def test_neighbours_in_a_broken_series_are_kept_apart(tmp_path):
    names = [f"scan_{k:04d}" for k in range(40) if k != 7]  # a slice is missing
    dataset = open_dataset(save_folder(tmp_path, names, 16, 16), 8, window=CODES)
    train, test = seen(dataset, 16, 16)
    assert dataset.split["by"] == "image" and dataset.split["gap"] == 3
    assert test[0].min() - train[0].max() == 4


@pytest.mark.parametrize(
    ("names", "by", "gap"),
    [
        ([f"scan_{k:04d}" for k in range(12)], "slice", 1),
        (list("abcdefghijkl"), "image", 0),
        (list("abdg"), "image", 0),  # otherwise the end of each
    ],
)
def test_so_many_whole_images_are_held_out_as_are_asked_for(tmp_path, names, by, gap):
    folder = save_folder(tmp_path, names, 48, 16)
    plain, asked = (open_dataset(folder, 8, window=CODES, hold_out=n) for n in (0, 3))
    train, test = seen(asked, 48, 16)
    n = len(names)
    assert set(test[0]) == set(range(n - 3, n)) and set(train[0]) == set(range(n - 3 - gap))
    gap_said = {"gap": gap} if gap else {}
    assert asked.split == {"by": by, "n_train": n - 3 - gap, "n_test": 3, **gap_said} != plain.split
    assert asked.fingerprint != plain.fingerprint


@pytest.mark.parametrize("said", ["split.csv", "its folders"])
def test_no_number_is_held_out_where_the_data_say_what_is(tmp_path, said):
    names = ["train/x", "train/y", "test/z"] if said == "its folders" else ["x", "y", "z"]
    save_folder(tmp_path, names, 16, 16)
    if said == "split.csv":
        (tmp_path / said).write_text("name,split\nx,train\ny,train\nz,test")
    with pytest.raises(InputError, match=f"is said by {said}, so that hold_out=1 cannot be"):
        open_dataset(tmp_path, 8, hold_out=1)


@pytest.mark.parametrize(("height", "width"), [(100, 40), (40, 100), (24, 8)])
@pytest.mark.parametrize("n", [1, 3])
def test_few_images_are_split_into_blocks_with_a_gap_of_a_tile(tmp_path, height, width, n):
    names = ["a", "b", "d"][:n]
    dataset = open_dataset(save_folder(tmp_path, names, height, width), 8, window=CODES)
    train, test = seen(dataset, height, width)
    axis = 1 if height >= width else 2
    assert dataset.split == {"by": "block", "gap": 8, "n_train": n, "n_test": n}
    assert set(train[0]) == set(test[0]) == set(range(n))
    assert test[axis].min() - train[axis].max() > 8
    assert len(set(dataset.tiles("test")[1])) == n * len(
        {(y // 16, x // 16) for y, x in (test[1:] - test[1:].min(1, keepdims=True)).T}
    )


def test_train_and_test_folders_are_kept(tmp_path):
    names = ["train/x", "train/y", "test/z", "slices/w"]
    dataset = open_dataset(save_folder(tmp_path, names, 16, 16), 8, window=CODES)
    train, test = seen(dataset, 16, 16)
    assert dataset.split == {"by": "folder", "n_train": 2, "n_test": 1}
    assert set(train[0]) == {0, 1} and set(test[0]) == {2}
    assert set(dataset.tiles("test")[1]) == {"z"}


@pytest.mark.parametrize("place", ["inside", "given"])
def test_split_table(tmp_path, place):
    folder = save_folder(tmp_path / "images", [f"s{k}" for k in range(6)], 16, 16)
    table = folder / "split.csv" if place == "inside" else tmp_path / "table.csv"
    rows = ["s0,test", "s1.tif,train", "s2,train", "s3,spare", "s4,train", "s5.tif,test"]
    table.write_text("name,split\n" + "\n".join(rows))
    dataset = open_dataset(folder, 8, window=CODES, split=None if place == "inside" else table)
    train, test = seen(dataset, 16, 16)
    assert set(train[0]) == {1, 2, 4} and set(test[0]) == {0, 5}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,split\ns0,train", "no row for s1"),
        ("s0,train", "columns"),
        ("name,split\ns0,train\ns1,train", "no image into test"),
    ],
)
def test_wrong_split_table(tmp_path, text, words):
    save_folder(tmp_path, ["s0", "s1"], 16, 16)
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(InputError, match=rf"split\.csv.*{words}"):
        open_dataset(tmp_path, 8, window=CODES)


def test_window_is_fitted_on_training_tiles_only(tmp_path):
    for k, name in enumerate(["train/a", "train/b", "test/c"]):
        save_folder(tmp_path, [name], 16, 16)
        tifffile.imwrite(tmp_path / f"{name}.tif", coded(1, 16, 16)[0] + 10_000 * k)
    window = open_dataset(tmp_path, 8).window
    assert 0 <= window.low < 300 and 10_000 < window.high < 10_256


# ----------------------------------------------------------------------------------------------------------- tiles


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


@pytest.mark.parametrize(("augment", "expected"), [("dihedral", 8), ("flip", 2), ("none", 1)])
def test_orientations(tmp_path, augment, expected):
    dataset = open_dataset(save_stack(tmp_path / "s.tif", 9, 32, 32), 8, augment=augment, window=CODES)
    for images in (dataset.batch(256, 0, 0)["image"], dataset.tiles("train")[0]):
        _, y, x = (values.astype(int) for values in decode(images, 32, 32))
        found = {
            (y[k, 0, 1] - y[k, 0, 0], x[k, 0, 1] - x[k, 0, 0], y[k, 1, 0] - y[k, 0, 0], x[k, 1, 0] - x[k, 0, 0])
            for k in range(len(images))
        }
        assert len(found) == expected
        if augment == "flip":
            assert found == {(0, 1, 1, 0), (0, -1, 1, 0)}
    plain, _ = dataset.tiles("train", oriented=False)
    assert (np.diff(CODES.from_unit(plain)) == 1).all()


def test_batches_are_stateless(tmp_path):
    dataset = open_dataset(save_stack(tmp_path / "s.tif", 20, 40, 40), 8)
    whole = dataset.batch(12, step=5, seed=3)["image"]
    assert whole.dtype == np.float32 and whole.shape == (12, 1, 8, 8) and whole.flags.c_contiguous
    dataset.batch(7, step=9, seed=1)
    halves = [dataset.batch(12, 5, 3, start, stop)["image"] for start, stop in ((0, 6), (6, 12))]
    np.testing.assert_array_equal(np.concatenate(halves), whole)
    np.testing.assert_array_equal(dataset.batch(30, 5, 3)["image"][:12], whole)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(dataset)).batch(12, 5, 3)["image"], whole)
    assert dataset.batch(12, 5, 3, 4, 4)["image"].shape == (0, 1, 8, 8)
    for step, seed in ((6, 3), (5, 4)):
        assert (dataset.batch(12, step, seed)["image"] != whole).any()


def test_slices_are_drawn_by_their_area(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "test").mkdir()
    for name, side, value in (("train/small", 8, 50), ("train/large", 23, 200), ("test/t", 8, 0)):
        image = np.full((side, side), value, np.uint8)
        image[0, 0] = value + 1
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    dataset = open_dataset(tmp_path, 8, window=IntensityWindow(0, 255, "uint8"))
    small = (dataset.batch(5000, 0, 0)["image"].mean((1, 2, 3)) < 0.5).mean()
    assert small == pytest.approx(1 / 257, abs=0.004)


def test_grid_tiles_do_not_overlap_and_are_spread(tmp_path):
    dataset = open_dataset(save_stack(tmp_path / "s.tif", 40, 33, 26), 8, window=CODES)
    images, groups = dataset.tiles("test")
    codes = CODES.from_unit(images)
    assert images.shape == (8 * 4 * 3, 1, 8, 8) and len(np.unique(codes)) == codes.size
    assert groups == [f"z{k:04d}" for k in range(32, 40) for _ in range(12)]
    few, few_groups = dataset.tiles("test", 8)
    assert few_groups == [f"z{k:04d}" for k in range(32, 40)]
    assert set(CODES.from_unit(few).flat) <= set(codes.flat)
    np.testing.assert_array_equal(few, images[::12])
    np.testing.assert_array_equal(few, dataset.tiles("test", 8)[0])
    assert len(dataset.tiles("test", 10_000)[0]) == len(images)


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


# --------------------------------------------------------------------------------------------------- field of view


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


def test_empty_slices_are_left_out(tmp_path):
    volume = coded(20, 32, 32).astype(np.float32)
    volume[:3], volume[7], volume[-2:] = 0, np.nan, np.inf
    np.save(tmp_path / "v.npy", volume)
    dataset = open_dataset(tmp_path / "v.npy", 8)
    assert "6 slices" in dataset.notes[0]
    assert set(dataset.tiles("test")[1]) == {f"z{k:04d}" for k in (15, 16, 17)}


# -------------------------------------------------------------------------------------------------------- few tiles


@pytest.mark.parametrize("kind", ["stack", "folder", "blocks"])
def test_a_limited_training_set_is_its_grid_tiles_and_nothing_else(tmp_path, kind):
    if kind == "stack":
        path = save_stack(tmp_path / "s.tif", 30, 32, 32)
    else:
        names = [f"{c}x" for c in ("abcdefgh" if kind == "folder" else "ab")]
        path = save_folder(tmp_path / "i", names, 64, 32)
    whole = open_dataset(path, 8, window=CODES)
    few = open_dataset(path, 8, window=CODES, limit=6)
    tiles, groups = few.tiles("train", oriented=False)
    np.testing.assert_array_equal(tiles, whole.tiles("train", 6, oriented=False)[0])
    assert groups == whole.tiles("train", 6)[1] and len(tiles) == few.count("train") == 6
    np.testing.assert_array_equal(few.tiles("train")[0], whole.tiles("train", 6)[0])
    np.testing.assert_array_equal(few.tiles("test")[0], whole.tiles("test")[0])
    drawn = np.concatenate([few.batch(64, step, 1)["image"] for step in range(4)])
    corner = lambda images: {tuple(sorted(t.ravel())) for t in CODES.from_unit(images)}  # noqa: E731
    assert corner(drawn) == corner(tiles)
    assert len({t.tobytes() for t in drawn}) > 30  # in any orientation
    assert few.fingerprint != whole.fingerprint and few.summary()["n_train_tiles"] == 6
    assert len(few.tiles("train", 3)[0]) == 3


def test_a_limited_window_looks_at_nothing_else(tmp_path):
    path = save_stack(tmp_path / "s.tif", 30, 32, 32)
    dataset = open_dataset(path, 8, limit=2)
    used = CODES.from_unit(open_dataset(path, 8, window=CODES, limit=2).tiles("train")[0])
    assert used.min() <= dataset.window.low < dataset.window.high <= used.max()
    with pytest.raises(InputError, match=r"limit=9999, but only \d+ training tiles"):
        open_dataset(path, 8, limit=9999)


def test_no_split_puts_every_tile_on_both_sides(tmp_path):
    dataset = open_dataset(save_folder(tmp_path, ["a", "b", "c"], 16, 16), 8, split="none", window=CODES)
    np.testing.assert_array_equal(dataset.tiles("test", oriented=False)[0], dataset.tiles("train", oriented=False)[0])
    assert dataset.split == {"by": "none", "n_train": 3, "n_test": 3} and dataset.count() == 12


# ------------------------------------------------------------------------------------------------------- rescaling


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


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pixel_size": 2.0}, "state no pixel size"),
        ({"pixel_size": 2.0, "scale": 2.0}, "not both"),
        ({"scale": -1.0}, "positive"),
        ({"scale": 0.0}, "positive"),
        ({"scale": "big"}, "positive"),
        ({"scale": 0.1}, "less than a tile of 80 x 80"),
        ({"augment": "cutmix"}, "dihedral"),
        ({"size": 0}, "size"),
        ({"limit": -1}, "limit"),
        ({"test_fraction": 1.5}, "between 0 and 1"),
        ({"hold_out": -1}, "must not be negative"),
        ({"hold_out": 5}, "hold out at most 4"),  # six slices, one of which is a gap
        ({"hold_out": 2, "split": "none"}, "said by split none"),
        ({"masks": True}, "masks/"),
        ({"window": IntensityWindow(0, 1, "float32")}, "float32"),
    ],
)
def test_options_that_cannot_be(tmp_path, options, words):
    save_stack(tmp_path / "s.tif", 6, 40, 40)
    with pytest.raises(InputError, match=words):
        open_dataset(tmp_path / "s.tif", **{"size": 8, **options})


# ----------------------------------------------------------------------------------------------------------- masks


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_regions_hold_every_training_tile_and_no_other(tmp_path, scale):
    rng = np.random.default_rng(0)
    (tmp_path / "a").mkdir()
    for k in range(2):  # two images: split by blocks
        image = np.kron(rng.integers(0, 256, (20, 40)), np.ones((8, 8))).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / "a" / f"s{k}.png")
    data = open_dataset(tmp_path / "a", 16, scale=scale)
    assert data.split["by"] == "block"
    images, groups, share = data.regions()
    assert share == 1 and groups == ["s0", "s1"] and all(image.dtype == np.float32 for image in images)

    places = [np.lib.stride_tricks.sliding_window_view(image[0], (16, 16)).reshape(-1, 256) for image in images]
    views = np.concatenate(places)

    def distance(tile):
        turned = np.stack([turn(tile[0], code).ravel() for code in range(8)])
        return cdist(views, turned, "cityblock").min() / turned.shape[1]

    # a rescaled tile differs a little from the same place of the rescaled image
    limit = 1e-6 if scale == 1 else 0.1
    assert max(distance(tile) for tile in data.batch(8, 3, 0)["image"]) < limit
    assert min(distance(tile) for tile in data.tiles("test")[0][:8]) > limit
    _, names, share = data.regions(most=images[0][0].size)
    assert names == ["s0"] and share == pytest.approx(0.5, abs=0.01)
    part, _, share = data.regions(most=images[0][0].size // 4)
    assert share == pytest.approx(1 / 8, abs=0.02) and min(part[0].shape[1:]) >= 16


def test_regions_of_a_limited_training_set_are_its_tiles(tmp_path):
    save_folder(tmp_path, [f"image{k}" for k in range(6)], 40, 40)
    data = open_dataset(tmp_path, 16, limit=5)
    images, groups, share = data.regions()
    tiles, names = data.tiles("train", oriented=False)
    np.testing.assert_array_equal(np.stack(images), tiles)
    assert groups == names and share == 1
    assert len(data.regions("test")[0]) == 1 and data.regions("test")[0][0].shape == (1, 40, 40)


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


# ----------------------------------------------------------------------------------------- fingerprint and summary


def test_fingerprint_is_of_the_content_not_the_place(tmp_path):
    names = [f"{c}" for c in "abcdef"]
    first = open_dataset(save_folder(tmp_path / "one", names, 16, 16), 8)
    again = open_dataset(save_folder(tmp_path / "two", names, 16, 16), 8)
    assert first.fingerprint == again.fingerprint
    others = [
        open_dataset(tmp_path / "one", 4),
        open_dataset(tmp_path / "one", 8, test_fraction=0.5),
        open_dataset(tmp_path / "one", 8, augment="flip"),
    ]
    image = coded(6, 16, 16)[2]
    image[5, 5] += 1
    tifffile.imwrite(tmp_path / "two" / "c.tif", image)
    others.append(open_dataset(tmp_path / "two", 8, window=first.window))
    assert len({first.fingerprint, *(o.fingerprint for o in others)}) == 5


def test_summary_is_json(tmp_path):
    dataset = open_dataset(save_stack(tmp_path / "s.tif", 10, 24, 16), 8)
    summary = json.loads(json.dumps(dataset.summary()))
    assert summary["kind"] == "tiff" and summary["slices"] == 10 and summary["shapes"] == [[24, 16]]
    assert summary["n_train_tiles"] == len(dataset.tiles("train")[0]) and summary["n_test_tiles"] == 12
    assert summary["fingerprint"] == dataset.fingerprint and summary["dtype"] == "int32"


def pictures(dataset, side):
    return {dataset.slices[i].tobytes() for i in dataset.images_of(side)}


@pytest.mark.parametrize("names", [["train/a", "train/b", "test/c"], ["a", "b", "c", "d", "e", "f"]])
@pytest.mark.parametrize("suffix", [".tif", ".npy"])
@pytest.mark.parametrize("small", [False, True])
def test_a_picture_is_on_one_side_only(tmp_path, monkeypatch, names, suffix, small):
    """As a copy of the file, or of the pixels in another kind of file; in a set that is too large to decode, of the file."""
    save_folder(tmp_path, names, 16, 16)
    copy = tmp_path / ("train" if "/" in names[0] else ".") / f"0 Copy of c{suffix}"
    if suffix == ".npy":
        np.save(copy, tifffile.imread(tmp_path / f"{names[-1]}.tif"))
    else:
        copy.write_bytes((tmp_path / f"{names[-1]}.tif").read_bytes())
    if small:
        monkeypatch.setattr(module, "CACHE_BYTES", 2000)
    dataset = open_dataset(tmp_path, 8, window=CODES)
    if small and suffix == ".npy":
        assert any("byte by byte" in note for note in dataset.notes)
        return
    assert not pictures(dataset, "train") & pictures(dataset, "test")
    if "/" in names[0]:
        assert dataset.split == {"by": "folder", "n_train": 2, "n_test": 1}
        assert any("1 training images are the same pictures as held-out ones" in note for note in dataset.notes)
    else:
        assert dataset.split["n_train"] + dataset.split["n_test"] == 7


def test_equal_slices_of_a_stack_are_on_one_side_only(tmp_path, monkeypatch):
    stack = coded(20, 24, 24)
    stack[3] = stack[18]
    tifffile.imwrite(tmp_path / "s.tif", stack)
    for budget in (module.CACHE_BYTES, 2000):
        monkeypatch.setattr(module, "CACHE_BYTES", budget)
        dataset = open_dataset(tmp_path / "s.tif", 8, window=CODES)
        assert 3 not in dataset.images_of("train") and 18 in dataset.images_of("test")


def test_blank_images_tie_nothing_together(tmp_path):
    save_folder(tmp_path, [c + "_r0c0" for c in "abcdef"], 16, 16)
    for c in "abcdef":
        tifffile.imwrite(tmp_path / f"{c}_r0c1.tif", np.zeros((16, 16), np.int32))
    assert open_dataset(tmp_path, 8, window=CODES).split == {"by": "image", "n_train": 10, "n_test": 2}


def test_names_that_make_few_images_out_of_many_files_are_named(tmp_path):
    save_folder(tmp_path, [f"core_r{k}c0" for k in range(12)], 16, 16)
    refuse(["12 files count as 1 image", "core_r1c0", "is of core"], tmp_path, 8)
    save_folder(tmp_path / "two", [f"{c}_r{k}c0" for k in range(6) for c in "ab"], 16, 16)
    assert "12 files count as 2 images" in open_dataset(tmp_path / "two", 8, window=CODES).notes[0]


# ---------------------------------------------------------------------------------------------------------- memory


def test_small_memory_gives_the_same_tiles_and_reaches_every_slice(tmp_path, monkeypatch):
    names = [f"{k}_{chr(97 + k % 26)}" for k in range(40)]
    save_folder(tmp_path, names, 16, 16)
    monkeypatch.setattr(module, "CACHE_BYTES", 20 * 16 * 16 * 4)
    dataset = open_dataset(tmp_path, 8, window=CODES)
    steps = range(0, 400, 5)
    batches = {step: dataset.batch(16, step, 0)["image"] for step in steps}
    assert dataset._cache._size <= module.CACHE_BYTES
    again = open_dataset(tmp_path, 8, window=CODES)
    for step in reversed(steps):
        np.testing.assert_array_equal(again.batch(16, step, 0)["image"], batches[step])
    assert set(decode(np.concatenate(list(batches.values())), 16, 16)[0].flat) == set(range(32))


# ------------------------------------------------------------------------------------------------------- bad input


def refuse(words, *arguments, **options):
    with pytest.raises(InputError) as caught:
        open_dataset(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def test_image_smaller_than_the_tile(tmp_path):
    save_folder(tmp_path, ["a", "b", "c"], 64, 64)
    Image.fromarray(coded(1, 40, 70)[0]).save(tmp_path / "little.tif")
    refuse(["little", "70 x 40", "64 x 64"], tmp_path, 64)


def test_constant_and_nan_images(tmp_path):
    for k in range(5):
        Image.fromarray(np.full((16, 16), 7, np.uint8)).save(tmp_path / f"i{k}x.png")
    refuse([str(tmp_path), "constant"], tmp_path, 8)
    np.save(tmp_path / "nan.npy", np.full((6, 16, 16), np.nan, np.float32))
    refuse(["nan.npy", "NaN"], tmp_path / "nan.npy", 8)


def test_one_image_too_small_for_two_blocks(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", coded(1, 190, 100)[0])
    refuse(["a.tif", "100 x 190", "192", "at most 63"], tmp_path / "a.tif", 64)
    assert open_dataset(tmp_path / "a.tif", 63).split["by"] == "block"


def test_truncated_file_is_named_when_it_is_read(tmp_path):
    save_folder(tmp_path, ["train/a", "train/b", "test/c"], 32, 32)
    tifffile.imwrite(tmp_path / "train" / "b.tif", coded(1, 32, 32)[0], compression="zlib")
    data = (tmp_path / "train" / "b.tif").read_bytes()
    (tmp_path / "train" / "b.tif").write_bytes(data[:-200])
    refuse(["b.tif"], tmp_path, 8)


# ------------------------------------------------------------------------------------------------------ real images


@pytest.mark.parametrize(
    ("name", "channels", "by", "group"),
    [
        ("sandstone", 1, "folder", "versa0300"),
        ("roots_osr", 3, "folder", "A_osr_0049"),
        ("sandstone/slices", 1, "image", "versa0300"),
        ("cmc/slices", 1, "block", "fcn_fig02_left block 0,1"),
    ],
)
def test_real_images(shared_data, name, channels, by, group):
    dataset = open_dataset(shared_data / name, 64, masks=name == "roots_osr")
    images, groups = dataset.tiles("test", 50)
    assert images.shape[1:] == (channels, 64, 64) and dataset.split["by"] == by and group in groups
    batch = dataset.batch(8, 0, 0)
    assert 0 <= batch["image"].min() < batch["image"].max() <= 1
    if name == "sandstone/slices":
        assert (images == 0).mean((1, 2, 3)).max() < 0.8


def labelled_folder(place, n=10, unlabelled=()):
    (place / "masks").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for k in range(n):
        save_png(place / f"s{k}.png", rng.integers(0, 255, (32, 48), np.uint8))
        if k not in unlabelled:
            save_png(place / "masks" / f"s{k}.png", rng.integers(0, 3, (32, 48), np.uint8))
    return place


def test_few_labels_are_those_of_a_limit_and_nothing_else_is_told(tmp_path):
    place = labelled_folder(tmp_path / "a")
    whole = open_dataset(place, 16, masks=True, augment="none")
    part = open_dataset(place, 16, part=PartLabels(3), augment="none")
    limited = open_dataset(place, 16, masks=True, limit=3, augment="none")
    np.testing.assert_array_equal(part.few(3), limited.chosen("train", None)[0])
    assert part.count("train") == whole.count("train") and part.fingerprint != whole.fingerprint
    told, all_of = (d.tile_conditions("train")["mask"] for d in (part, whole))
    known = (told != 255).all((1, 2))
    assert known.sum() == 3 and (told[~known] == 255).all()
    np.testing.assert_array_equal(told[known], all_of[known])
    np.testing.assert_array_equal(*(d.tile_conditions("test")["mask"] for d in (part, whole)))
    # Tiles at any place know the labels of what they share with one of the few.
    masks, truth = (d.batch(200, 0, 0)["mask"] for d in (part, whole))
    shares = (masks != 255).mean((1, 2))
    assert ((shares > 0) & (shares < 1)).any() and (shares == 0).any()
    np.testing.assert_array_equal(masks[masks != 255], truth[masks != 255])


@pytest.mark.parametrize("part", [PartLabels(2, 0.5), PartLabels(0, 0.5)])
def test_a_share_of_a_batch_has_labels(tmp_path, part):
    place = labelled_folder(tmp_path / "a", 12, unlabelled=range(1, 6))
    data = open_dataset(place, 32, part=part)
    known = (data.batch(400, 0, 0)["mask"] != 255).all((1, 2)).mean()
    assert 0.4 < known < 0.8 and any("teach the images alone" in note for note in data.notes)
    both = [data.batch(8, 3, 1, *rows)["mask"] for rows in ((0, None), (0, 3), (3, 8))]
    np.testing.assert_array_equal(both[0], np.concatenate(both[1:]))


def test_unlabelled_pixels_of_masks_are_no_class(tmp_path):
    place = labelled_folder(tmp_path / "a")
    save_png(place / "masks" / "s0.png", np.full((32, 48), 255, np.uint8))
    part = open_dataset(place, 16, part=PartLabels())
    assert part.classes == 3 and part.mask_values == (0, 1, 2, 255)
    with pytest.raises(InputError, match="cannot be"):
        part.few(1000)
    (tmp_path / "bare").mkdir()
    save_png(tmp_path / "bare" / "a.png", np.zeros((32, 48), np.uint8))
    save_png(tmp_path / "bare" / "b.png", np.ones((32, 48), np.uint8))
    with pytest.raises(InputError, match="no training image has a label image"):
        open_dataset(tmp_path / "bare", 16, part=PartLabels())
    assert open_dataset(tmp_path / "bare", 16, part=PartLabels(optional=True)).mask_values is None
    some = open_dataset(place, 16, part=PartLabels(optional=True))
    assert some.mask_values == part.mask_values and not [note for note in some.notes if "no label image" in note]
