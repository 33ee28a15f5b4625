"""What is in a folder: images, label images, sides of a split, links, and what is left aside."""

import itertools
import os
import unicodedata

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from veridical.core.errors import InputError
from veridical.data.open import open_dataset
from veridical.data.readers.open import open_slices

NUMBERS = itertools.count()
SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def save(folder, *names, labels=()):
    """Images of many values and label images of two, each another one."""
    for name in (*names, *labels):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = np.random.default_rng(next(NUMBERS)).permutation(256).astype(np.uint8).reshape(16, 16)
        Image.fromarray(image // 128 if name in labels else image).save(path)
    return folder


@pytest.mark.parametrize(
    "place",
    [
        "labels/{}.png", "mask/{}.png", "Masks/{}.PNG", "gt/{}.bmp", "annotations/{}.tiff", "ground_truth/{}.TIF",
        "segmentation/{}.png", "GroundTruth/{}_gt.png", "thresholded/{}.png", "images/{}_mask.png", "images/{}-label.tif",
        "images/GT_{}.png", "images/{}.bmp", "deep/labels/images/{}.png",
    ],
)  # fmt: skip
def test_label_images_by_any_name_are_no_images(tmp_path, place):
    names = [f"core{c}" for c in "abcdef"]
    folder = save(tmp_path, *(f"images/{name}.png" for name in names), labels=[place.format(name) for name in names])
    slices = open_slices(folder)
    assert slices.names == [f"images/{name}" for name in names]
    if place.startswith("deep"):  # of no image here
        assert not any(slices.masked) and "6 files, such as deep/labels/images/corea.png, look like" in slices.notes[0]
        return
    assert all(slices.masked) and (len(slices.notes) == 1) == (not place.startswith("Masks"))
    with Image.open(folder / place.format("corec")) as file:
        assert (slices.mask(2) == np.asarray(file)).all()
    assert open_dataset(folder, 16, masks=True).classes == 2


def test_what_looks_like_an_image_is_one(tmp_path):
    both = [f"{kind}/{c}.png" for kind in ("carbon", "glass") for c in "ab"]
    assert len(open_slices(save(tmp_path / "classes", *both))) == 4
    assert len(open_slices(save(tmp_path / "binary", labels=both))) == 4
    named = save(tmp_path / "named", *(f"label_{k}/{c}.png" for k in "01" for c in "ab"))
    assert len(open_slices(named)) == 4 and "are taken for images" in open_slices(named).notes[0]
    grey = save(tmp_path / "grey", "a.png", "b.png", "gt/x.png")
    assert len(open_slices(grey)) == 3
    with pytest.raises(InputError, match="holds no images"):
        open_slices(save(tmp_path / "only", labels=["masks/a.png"]))


def test_label_images_that_may_be_those_of_two(tmp_path):
    two = save(tmp_path / "two", "images/a.png", "images/b.png", labels=["gt/a.png", "labels/a.png"])
    assert len(open_slices(two)) == 2
    with pytest.raises(InputError, match=r"gt/a.png .* both be the label image of .*images/a.png|labels/a.png and"):
        open_slices(two).mask(0)
    shared = save(tmp_path / "shared", "train/a.png", "test/a.png", labels=["masks/a.png"])
    with pytest.raises(InputError, match=r"masks/a.png may be the label image of"):
        open_slices(shared).mask(0)
    sides = save(tmp_path / "sides", "train/a.png", "test/a.png", labels=["masks/train/a.png", "masks/test/a.png"])
    assert (
        open_slices(sides).masked == [True, True] and (open_slices(sides).mask(0) != open_slices(sides).mask(1)).any()
    )
    case = save(tmp_path / "case", "A.png", "a.png", labels=["masks/a.png"])
    assert open_slices(case).masked == [False, True]


@SETTINGS
@given(
    stem=st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=6),
    forms=st.tuples(*[st.sampled_from(["NFC", "NFD"])] * 2),
    suffixes=st.tuples(st.sampled_from([".png", ".PNG", ".tif"]), st.sampled_from([".png", ".TIFF", ".Bmp", ".npy"])),
    single=st.booleans(),
)
def test_a_mask_has_the_name_of_its_image_in_any_form(tmp_path, stem, forms, suffixes, single):
    folder = tmp_path / str(next(NUMBERS))
    image, mask = (unicodedata.normalize(form, stem) + suffix for form, suffix in zip(forms, suffixes, strict=True))
    save(folder, f"x{image}")
    (folder / "masks").mkdir()
    values = np.eye(16, dtype=np.uint8)
    if mask.endswith(".npy"):
        np.save(folder / "masks" / f"X{mask}", values)
    else:
        Image.fromarray(values).save(folder / "masks" / f"X{mask}")
    slices = open_slices(folder / f"x{image}" if single else folder)
    assert slices.masked == [True] and (slices.mask(0) == values).all()


# -------------------------------------------------------------------------------------------------------------- sides


@pytest.mark.parametrize("train", ["train", "Train", "training", "train_images", "imagesTr", "images/train"])
@pytest.mark.parametrize("test", ["test", "TEST", "val", "validation", "test_images", "imagesTs", "images/val"])
def test_folders_for_training_and_testing(tmp_path, train, test):
    if ("/" in train) != ("/" in test):
        return
    save(tmp_path, *(f"{side}/{c}{k}.png" for side in (train, test) for k, c in enumerate("abc")))
    dataset = open_dataset(tmp_path, 16)
    assert dataset.split == {"by": "folder", "n_train": 3, "n_test": 3}
    assert {dataset.slices.names[i].rpartition("/")[0] for i in dataset.images_of("test")} == {test}
    assert dataset.tiles("test")[1] == [f"{'images/' if '/' in test else ''}{c}{k}" for k, c in enumerate("abc")]


@pytest.mark.parametrize(
    "folders",
    [("trainA", "testB"), ("trainA", "trainB", "testA", "testB"), ("train", "test_old"), ("s/train", "s/test", "t")],
)
def test_folders_that_leave_a_doubt_are_asked_about(tmp_path, folders):
    save(tmp_path, *(f"{folder}/{c}.png" for folder in folders for c in "ab"))
    with pytest.raises(InputError, match=r"not clear which are two sides|lies neither in a folder for training"):
        open_slices(tmp_path)


def test_folders_beside_the_sides_are_named(tmp_path):
    save(tmp_path, *(f"{folder}/a.png" for folder in ("train", "val", "test", "slices")), "loose.png")
    slices = open_slices(tmp_path)
    assert slices.names == ["train/a", "test/a"]
    assert slices.notes == ["only train/ and test/ are used, not slices/, val/, 1 images beside them"]


# -------------------------------------------------------------------------------------------------------- links, rest


@SETTINGS
@given(
    links=st.lists(
        st.tuples(st.sampled_from(["", "a", "a/b", "c"]), st.sampled_from(["", "a", "a/b", "c", "a/0.png"])), max_size=6
    )
)
def test_every_image_is_found_once_whatever_links_there_are(tmp_path, links):
    folder = save(tmp_path / str(next(NUMBERS)), "0.png", "a/0.png", "a/b/0.png", "c/0.png")
    for k, (where, to) in enumerate(links):
        # a file needs a name that is read
        (folder / where / f"link{k}{'.png' if to.endswith('.png') else ''}").symlink_to((folder / to).absolute())
    slices = open_slices(folder)
    assert slices.names == ["0", "a/0", "a/b/0", "c/0"]
    assert bool(slices.notes) == bool(links)


def test_a_maze_of_links_is_left(tmp_path):
    for k in range(30):
        (tmp_path / f"d{k}").mkdir()
        for name in "ab":
            (tmp_path / f"d{k}" / name).symlink_to(tmp_path / f"d{(k + 1) % 30}")
    save(tmp_path, "d0/x.png", "d7/y.png")
    (tmp_path / "up").symlink_to(tmp_path.parent)
    assert open_slices(tmp_path).names == ["d0/x", "d7/y"]


def test_links_to_what_lies_elsewhere_are_followed_when_asked(tmp_path):
    save(tmp_path / "store", "a.png", "b.png")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "store")
    (tmp_path / "set" / "one.png").symlink_to(tmp_path / "store" / "a.png")
    asked = f"{tmp_path / 'set'}?outside=yes"
    assert open_slices(asked).names == ["linked/a", "linked/b"]
    with pytest.raises(InputError, match=r"holds no images.*2 link out of the folder \(\?outside=yes follows it\)"):
        open_slices(tmp_path / "set")
    save(tmp_path / "set", "here.png")
    assert open_slices(tmp_path / "set").names == ["here"]
    assert open_slices(tmp_path / "set").notes == ["left aside: 2 link out of the folder (?outside=yes follows it)"]
    with pytest.raises(InputError, match="use outside"):
        open_slices(f"{tmp_path / 'set'}?channel=1")


def test_what_is_left_aside_is_counted(tmp_path):
    save(tmp_path, "a.png", "b.png", "known_bad/x.png", ".hidden/y.png", "._a.png")
    for name in ("a.txt", "notes.txt", "scan.xml", "scan.xtekct", "labels.csv", "captions.jsonl"):
        (tmp_path / name).write_text("x")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "null.png").symlink_to("/dev/null")
    assert open_slices(tmp_path).names == ["a", "b"]
    assert open_slices(tmp_path).notes == [
        "left aside: 1 .txt, 1 .xml, 1 .xtekct, 1 broken link, 2 hidden, known_bad/, 2 what is no regular file"
    ]
