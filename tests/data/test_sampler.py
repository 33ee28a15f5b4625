"""Which tiles are drawn: stateless batches, areas, few tiles, few labels."""

import pickle

import numpy as np
import pytest
from PIL import Image

from slices import CODES, decode, save_folder, save_stack
from veridical.core.errors import InputError
from veridical.data.images import save_png
from veridical.data.masks import PartLabels
from veridical.data.open import open_dataset
from veridical.data.window import IntensityWindow


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
    for k in range(1, 10):  # numbers of single objects, which are no classes
        save_png(place / "masks" / f"s{k}.png", np.arange(32 * 48, dtype=np.uint16).reshape(32, 48))
    single = open_dataset(place, 16, part=PartLabels(optional=True))
    assert single.mask_values is None and any("label images are not used" in note for note in single.notes)
