"""A part of the training images that nothing learns from, apart from what is held out."""

import numpy as np
import pytest
from PIL import Image

from veridical.core.errors import InputError
from veridical.data.open import open_dataset


def write(folder, n, size=32, copies=(), name="image"):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(sum(map(ord, name)))
    for k in range(n):
        Image.fromarray(rng.integers(0, 255, (size, size), np.uint8)).save(folder / f"{name}{k:03d}.png")
    for first, second in copies:
        (folder / f"{name}{second:03d}.png").write_bytes((folder / f"{name}{first:03d}.png").read_bytes())
    return folder


def sides(dataset):
    return {which: set(dataset.images_of(which)) for which in ("train", "test", "validation")}


def test_nothing_is_set_apart_unless_it_is_asked_for(tmp_path):
    data = write(tmp_path / "data", 60, size=96)
    plain, off = open_dataset(data, 32), open_dataset(data, 32, validation=0.0)
    assert plain.fingerprint == off.fingerprint and plain.split == off.split and not plain.watched
    assert "n_validation_tiles" not in plain.summary()


def test_whole_images_are_set_apart_with_gaps_and_none_is_on_two_sides(tmp_path):
    dataset = open_dataset(write(tmp_path / "data", 80, size=96), 32, validation=None)  # one numbered series
    found = sides(dataset)
    assert dataset.watched and dataset.count("validation") >= 40
    assert not (found["train"] & found["validation"] or found["test"] & (found["train"] | found["validation"]))
    assert max(found["train"]) + dataset.split["validation_gap"] + 1 == min(found["validation"])
    assert max(found["validation"]) + dataset.split["gap"] + 1 == min(found["test"])
    assert found["test"] == set(open_dataset(tmp_path / "data", 32).images_of("test"))  # what is held out stays
    drawn = {index for step in range(40) for index in dataset.drawn(16, step, 0)[0][:, 0].tolist()}
    assert drawn <= found["train"]


def test_a_copy_of_a_validation_image_is_not_trained_on(tmp_path):
    write(tmp_path / "data" / "train", 60, size=96, copies=[(3, 58)])
    write(tmp_path / "data" / "test", 6, size=96, name="other")
    dataset = open_dataset(tmp_path / "data", 32, validation=None)
    names = dataset.slices.names
    by_side = {which: {names[k].split("/")[-1] for k in found} for which, found in sides(dataset).items()}
    assert "image058" in by_side["validation"] and "image003" not in by_side["train"]
    assert "image004" in by_side["train"]


@pytest.mark.parametrize(
    ("n", "size", "reason"),
    [
        (30, 32, "have 2 tiles, and a score needs 40; the ends"),
        (3, 128, "the ends of 3 training images"),
        (12, 96, "have 18 tiles, and a score needs 40 (--validation 0.2"),
    ],
)
def test_with_few_images_all_are_trained_on_and_the_reason_is_said(n, size, reason, tmp_path):
    data = write(tmp_path / "data", n, size=size)
    dataset = open_dataset(data, 32, validation=None)
    assert not dataset.watched and reason in dataset.summary()["unwatched"]
    assert dataset.fingerprint == open_dataset(data, 32).fingerprint


def test_what_is_said_to_do_where_tiles_are_too_few_does(tmp_path):
    data = write(tmp_path / "data", 80, size=64)
    assert "6 of 56 training images have 24 tiles, and a score needs 40 (--validation 0.2: fewer will do)" in (
        open_dataset(data, 32, validation=None).unwatched
    )
    assert open_dataset(data, 32, validation=0.2).watched
    few = write(tmp_path / "few", 8, size=128)
    assert "--validation" not in open_dataset(few, 32, validation=None).unwatched
    with pytest.raises(InputError, match=r"validation=0\.2 cannot be"):
        open_dataset(few, 32, validation=0.2)


def test_few_tiles_are_left_whole(tmp_path):
    data = write(tmp_path / "data", 60, size=96)
    assert "few tiles" in open_dataset(data, 32, validation=None, limit=40).unwatched


@pytest.mark.parametrize(("n", "size", "by"), [(7, 288, "slice"), (2, 512, "block")])
def test_of_few_large_images_the_end_of_each_is_set_apart(n, size, by, tmp_path):
    data = write(tmp_path / "data", n, size=size)
    dataset, plain = open_dataset(data, 32, validation=None), open_dataset(data, 32)
    assert dataset.split["by"] == by and dataset.split["validation_by"] == "block"
    assert dataset.count("validation") >= 40 and not dataset.unwatched
    assert dataset.count("train") > 0.6 * plain.count("train")
    assert (dataset.chosen("test", None)[0] == plain.chosen("test", None)[0]).all()  # what is held out stays
    watched, _, _ = dataset.chosen("validation", None)
    drawn = np.concatenate([dataset.drawn(16, step, 0)[0] for step in range(40)])
    for index in range(n):
        mine, theirs = (places[places[:, 0] == index, 1:] for places in (drawn, watched))
        apart = np.abs(mine[:, None] - theirs[None]).max(-1)
        assert not apart.size or apart.min() >= 64  # a whole tile lies between


def test_what_cannot_be_set_apart_is_an_error_where_it_is_asked_for(tmp_path):
    with pytest.raises(InputError, match=r"validation=0.2 cannot be: the ends of 3 training images"):
        open_dataset(write(tmp_path / "data", 3, size=128), 32, validation=0.2)


def test_no_more_is_set_apart_than_a_score_reads(tmp_path):
    dataset = open_dataset(write(tmp_path / "data", 60, size=288), 32, validation=None)
    assert len(sides(dataset)["validation"]) == 3  # of 81 tiles each
