"""Rows of tables find their images however the names are written."""

import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from veridical.core.errors import InputError
from veridical.data.names import same, side_of, sides_of, without_side
from veridical.data.rows import key_of, rows_of

SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PART = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=8).filter(
    lambda s: not side_of(s)
)
SPELLINGS = [
    str,
    str.upper,
    lambda s: unicodedata.normalize("NFD", s),
    lambda s: unicodedata.normalize("NFC", s),
    lambda s: f"./{s}",
    lambda s: s.replace("/", "\\"),
    lambda s: f"  {s} ",
    lambda s: f"/home/me/scans/{s}",
    lambda s: f"C:\\scans\\{s}",
    lambda s: f"https://host.org/files/{s}?download=1",
    lambda s: f"file:///data/{s}",
]


@SETTINGS
@given(
    images=st.lists(
        st.lists(PART, min_size=1, max_size=3).map("/".join), min_size=1, max_size=5, unique_by=lambda s: same(s)
    ),
    how=st.lists(st.sampled_from(SPELLINGS), min_size=5, max_size=5),
    suffix=st.sampled_from(["", ".png", ".TIF"]),
)
def test_any_spelling_finds_its_image(tmp_path, images, how, suffix):
    # upper case may not come back (a German sharp s): such names are another test's
    images = [image for image in images if image.upper().casefold() == image.casefold()]
    keys = [key_of(spell(image + suffix)) for spell, image in zip(how, images)]
    assert rows_of(str(tmp_path), images, keys) == [[key] for key in keys]


def test_paths_that_begin_above_the_folder(tmp_path):
    folder = tmp_path / "study" / "scans"
    folder.mkdir(parents=True)
    assert rows_of(str(folder), ["a"], ["study/scans/a", "study/other/a"]) == [["study/scans/a"]]
    assert rows_of(str(folder), ["a"], ["other/a"]) == [[]]
    with pytest.raises(InputError, match="may both be the row of a"):
        rows_of(str(folder), ["a"], ["/x/one/a", "/x/two/a"])


def test_names_that_differ_in_case_alone(tmp_path):
    assert rows_of(str(tmp_path), ["A", "a"], ["a", "A"]) == [["A"], ["a"]]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train/a", "test/a"], ["train", "test"]),
        (["Train/a", "VAL/a"], ["train", "test"]),
        (["training/a", "validation/b/c"], ["train", "test"]),
        (["imagesTr/a", "imagesTs/a"], ["train", "test"]),
        (["images/train/a", "images/val/a"], ["train", "test"]),
        (["train_images/a", "test-images/a"], ["train", "test"]),
        (["trainA/a", "testA/a"], ["train", "test"]),
        (["trainA/a", "testB/a"], None),
        (["train/a", "test/a", "b"], None),
        (["train/a", "train/b"], None),
        (["train/a", "test/a", "val/a"], None),
        (["constrain/a", "attest/a"], None),
        (["train_a", "test_a"], None),
    ],
)
def test_sides_by_folders(names, expected):
    assert sides_of(names) == expected


def test_without_the_folder_of_its_side():
    assert without_side("Train/carbon/x") == "carbon/x" and without_side("trainA/x") == "trainA/x"
    assert without_side("images/val/x") == "images/x" and without_side("x") == "x"
