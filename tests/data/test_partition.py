"""Splits without leaks, shown on images whose values are coordinates."""

import numpy as np
import pytest
import tifffile

from slices import CODES, coded, refuse, save_folder, save_stack, seen
from veridical.core.errors import InputError
from veridical.data import stored
from veridical.data.open import open_dataset


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


def test_no_split_puts_every_tile_on_both_sides(tmp_path):
    dataset = open_dataset(save_folder(tmp_path, ["a", "b", "c"], 16, 16), 8, split="none", window=CODES)
    np.testing.assert_array_equal(dataset.tiles("test", oriented=False)[0], dataset.tiles("train", oriented=False)[0])
    assert dataset.split == {"by": "none", "n_train": 3, "n_test": 3} and dataset.count() == 12


def test_empty_slices_are_left_out(tmp_path):
    volume = coded(20, 32, 32).astype(np.float32)
    volume[:3], volume[7], volume[-2:] = 0, np.nan, np.inf
    np.save(tmp_path / "v.npy", volume)
    dataset = open_dataset(tmp_path / "v.npy", 8)
    assert "6 slices" in dataset.notes[0]
    assert set(dataset.tiles("test")[1]) == {f"z{k:04d}" for k in (15, 16, 17)}


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
        monkeypatch.setattr(stored, "CACHE_BYTES", 2000)
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
    for budget in (stored.CACHE_BYTES, 2000):
        monkeypatch.setattr(stored, "CACHE_BYTES", budget)
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


def test_one_image_too_small_for_two_blocks(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", coded(1, 190, 100)[0])
    refuse(["a.tif", "100 x 190", "192", "at most 63"], tmp_path / "a.tif", 64)
    assert open_dataset(tmp_path / "a.tif", 63).split["by"] == "block"
