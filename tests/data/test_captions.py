"""Captions are found beside images in the formats that people have; what is wrong with a file is said with its line."""

import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from veridical.core.errors import InputError
from veridical.data.captions import doubts, read_captions
from veridical.data.readers.open import open_slices


def images(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(folder / name)
    return folder


def lines(path, *rows):
    path.write_text("".join(json.dumps({"file_name": name, "text": text}) + "\n" for name, text in rows), "utf-8")


def read(folder, where="auto"):
    slices = open_slices(folder)
    captions, notes = read_captions(str(folder), slices, where)
    return dict(zip(slices.names, captions)), notes


def test_lines_name_images_and_may_name_one_several_times(tmp_path):
    images(tmp_path, "a.png", "b.png", "c.png")
    lines(tmp_path / "captions.jsonl", ("a.png", " two\n cracks "), ("b", "none"), ("a.png", "cracks"), ("c.png", ""))
    assert read(tmp_path) == ({"a": ("two cracks", "cracks"), "b": ("none",), "c": ()}, [])
    lines(tmp_path / "metadata.jsonl", ("a.png", "not read"))
    assert read(tmp_path)[0]["a"] == ("two cracks", "cracks")
    assert read(tmp_path, str(tmp_path / "metadata.jsonl"))[0] == {"a": ("not read",), "b": (), "c": ()}


def test_metadata_of_each_side_and_captions_of_the_parent(tmp_path):
    images(tmp_path, "train/0.png", "test/0.png")
    for side in ("train", "test"):
        lines(tmp_path / side / "metadata.jsonl", ("0.png", side))
    assert read(tmp_path)[0] == {"train/0": ("train",), "test/0": ("test",)}
    images(tmp_path / "set", "images/0.png", "images/1.png")
    lines(tmp_path / "set" / "captions.jsonl", ("0.png", "zero"), ("1.png", "one"))
    assert read(tmp_path / "set")[0] == {"images/0": ("zero",), "images/1": ("one",)}
    assert read(tmp_path / "set" / "images")[0] == {"0": ("zero",), "1": ("one",)}


def test_a_text_file_beside_an_image_holds_a_caption_a_line(tmp_path):
    images(tmp_path, "a.png", "deep/b.bmp", "c.png")
    (tmp_path / "a.txt").write_text("one\n\nanother\n", "utf-8")
    (tmp_path / "deep" / "b.txt").write_text("fäden", "utf-8")
    assert read(tmp_path)[0] == {"a": ("one", "another"), "deep/b": ("fäden",), "c": ()}


def test_phantoms_bring_their_own():
    slices = open_slices("phantom:rocks?n=2&size=32")
    captions, _ = read_captions("phantom:rocks", slices)
    assert all(len(of_slice) == 4 and "porosity" in of_slice[0] for of_slice in captions)


def test_any_spelling_of_a_name_will_do_and_commas_in_numbers_are_said(tmp_path):
    images(tmp_path, "train/a.png", "train/b.png", "test/c.png")
    rows = [
        ("./train/A.png", "porosity 0,31"),
        ("train\\b.PNG", "x"),
        ("https://h.org/s/test/c.png", "of 2, 3 or 4,5,6"),
    ]
    lines(tmp_path / "captions.jsonl", *rows)
    captions, notes = read(tmp_path)
    assert captions == {"train/a": ("porosity 0,31",), "train/b": ("x",), "test/c": ("of 2, 3 or 4,5,6",)}
    assert notes == [
        "1 captions hold a number with a comma, such as 0,31: its digits are words, not a value; write a decimal point"
    ]


def test_captions_of_images_that_are_not_there_are_noted_with_their_line(tmp_path):
    images(tmp_path, "a.png")
    lines(tmp_path / "captions.jsonl", ("a.png", "a"), ("gone.png", "b"), ("lost.png", "c"))
    captions, notes = read(tmp_path)
    assert captions == {"a": ("a",)}
    assert notes == [f"{tmp_path / 'captions.jsonl'} line 2: gone is no image here; 2 such are left out"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "captions.jsonl is empty: write a line"),
        (b" \n", "captions.jsonl is empty: write a line"),
        (b'{"file_name": "a.png", "text": "x"}\n{"file_name"\n', "captions.jsonl line 2 is no JSON"),
        (b"[" * 100_000, "captions.jsonl line 1 is no JSON"),
        (b'\n["a.png"]\n', "captions.jsonl line 2 lacks the texts file_name and text"),
        (b'{"file_name": "a.png", "text": 3}\n', "line 1 lacks"),
        ('{"file_name": "a.png",\n "text": "fäden"}'.encode("latin-1"), "captions.jsonl line 2 is not UTF-8"),
        ('{"file_name": "a.png", "text": "x"}'.encode("utf-16"), "captions.jsonl line 1 is not UTF-8"),
        (
            b'{"file_name": "b.png", "text": "x"}\n',
            "no line of .*captions.jsonl has the caption of an image that is here",
        ),
        (b'{"file_name": "a.png", "text": " "}\n', "has the caption of an image"),
        (b'{"file_name": "0.png", "text": "x"}\n', "a row of 0 may mean one/0 or another image of that name"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(content, words, tmp_path):
    images(tmp_path, "a.png", "one/0.png", "two/0.png")
    (tmp_path / "captions.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=words):
        read(tmp_path)


def test_without_any_the_formats_are_named(tmp_path):
    images(tmp_path, "a.png")
    with pytest.raises(InputError, match=r"needs captions, but no image has one; write captions.jsonl with a line"):
        read(tmp_path)
    with pytest.raises(InputError, match=r"none.jsonl cannot be read \(No such file"):
        read(tmp_path, str(tmp_path / "none.jsonl"))


def test_a_hundred_thousand_lines_are_read_in_time_that_grows_with_their_number(tmp_path):
    """Ten times the lines take about ten times as long, not a hundred."""
    slices, taken = open_slices(images(tmp_path, "image00000.png")), []
    for number in (10_000, 100_000):
        slices.names = [f"image{k:05d}" for k in range(number)]
        lines(tmp_path / "captions.jsonl", *((f"{name}.png", f"caption {name}") for name in slices.names))
        began = time.process_time()
        captions, _ = read_captions(str(tmp_path), slices)
        taken.append(time.process_time() - began)
        assert len(captions) == number and captions[-1] == (f"caption {slices.names[-1]}",)
    assert taken[1] < 40 * taken[0]


def test_a_caption_that_stands_there_twice_counts_once_and_is_said(tmp_path):
    images(tmp_path, "a.png", "b.png")
    lines(tmp_path / "captions.jsonl", ("a.png", "one"), ("a.png", "two"), ("a.png", "one "), ("b.png", "one"))
    captions, notes = read(tmp_path)
    assert captions == {"a": ("one", "two"), "b": ("one",)}
    assert notes == ["1 captions repeat another of the same image word by word, and count once"]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_byte_order_marks_line_ends_and_other_entries_do_not_matter(mark, end, tmp_path):
    images(tmp_path, "a.png", "b.png")
    odd = ["null", "3", '"x"', "{}", '[[1], {"property": 3}]', "NaN"]
    rows = [f'{{"file_name": "a.png", "text": "x{k}", "facts": {facts}}}'.encode() for k, facts in enumerate(odd)]
    (tmp_path / "captions.jsonl").write_bytes(mark + end.join(rows) + end)
    assert read(tmp_path) == ({"a": ("x0", "x1", "x2", "x3", "x4", "x5"), "b": ()}, [])


@given(st.lists(st.text(max_size=12), min_size=1, max_size=5), st.sampled_from(["utf-8", "utf-8-sig"]))
def test_any_text_comes_back_with_its_white_space_as_one(texts, encoding):
    with tempfile.TemporaryDirectory() as folder:
        images(Path(folder), "a.png")
        rows = [
            json.dumps({"file_name": "a.png", "text": text}, ensure_ascii=k % 2 == 0) for k, text in enumerate(texts)
        ]
        content = "\n".join(rows).encode(encoding, "backslashreplace")
        (Path(folder) / "captions.jsonl").write_bytes(content)
        expected = tuple(dict.fromkeys(filter(None, (" ".join(text.split()) for text in texts))))
        if not expected:
            with pytest.raises(InputError, match="has the caption of an image that is here"):
                read(Path(folder))
        else:
            assert read(Path(folder))[0] == {"a": expected}


def test_captions_that_are_not_true_of_tiles_are_said():
    texts = ["pores, binder in the upper left.", "a vertical crack", "grains left and right"]
    assert doubts(texts, 0, "none") == doubts(texts[:1], 0, "dihedral") == []
    assert doubts(texts, 0, "flip") == [
        "1 captions say 'vertical', which may not be true of tiles that are turned: give --augment none, or say places as "
        "'in the upper left', 'at the top', which turn with the tiles"
    ]
    assert "3 images are larger than a tile" in doubts([], 3, "dihedral")[0]
