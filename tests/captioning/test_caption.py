"""Captions of real images: what they say is what was measured, and what cannot be measured is said."""

import csv
import json

import numpy as np
import pytest
import tifffile
from PIL import Image

import veridical
from veridical.captioning.caption import _in_words
from veridical.captioning.measure import measure_classes, measure_texture
from veridical.data.captions import read_captions
from veridical.data.masks import paint
from veridical.data.readers.labelset import BLACK
from veridical.data.readers.open import open_slices
from veridical.wording import PLACES

NAMES = {0: "pores", 1: "", 2: "clay"}


def discs(size=64, places=((16, 16, 6), (16, 44, 6), (44, 40, 10)), value=0, around=1):
    y, x = np.mgrid[:size, :size]
    mask = np.full((size, size), around, np.uint8)
    for row, column, radius in places:
        mask[(y - row) ** 2 + (x - column) ** 2 <= radius**2] = value
    return mask


def write(folder, masks, dtype=np.uint8, side=""):
    """Images whose grey level is that of the class, with noise, and their label images."""
    (folder / side / "masks").mkdir(parents=True, exist_ok=True)
    for k, mask in enumerate(masks):
        noise = np.random.default_rng([k, len(side)]).integers(0, 20, mask.shape)
        image = (40 + 80 * np.minimum(mask, 2) + noise).astype(dtype)
        tifffile.imwrite(folder / side / f"core{k}.tif", image * (200 if dtype == np.uint16 else 1))
        Image.fromarray(mask).save(folder / side / "masks" / f"core{k}.png")
    return folder


def rows(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_discs_of_known_size_number_and_place():
    found = measure_classes(discs(), NAMES)
    areas = [(discs(places=[place]) == 0).sum() for place in ((16, 16, 6), (16, 44, 6), (44, 40, 10))]
    assert found["pores_area_fraction"] == sum(areas) / 64**2 and found["n_pores"] == 3
    assert found["mean_pore_diameter_px"] == pytest.approx(np.sqrt(4 / np.pi * np.array(areas)).mean())
    assert found["mean_pore_diameter_px"] == pytest.approx((12 + 12 + 20) / 3, rel=0.03)
    assert found["pores_place"] == "lower right" and found["pores_place"] in PLACES
    assert found["clay_area_fraction"] == found["n_clay_parts"] == 0 and "mean_clay_part_diameter_px" not in found


def test_what_is_no_part_that_anybody_counts_is_not_counted():
    thread = np.ones((64, 64), np.uint8)
    thread[:, 30:33] = 0
    found = measure_classes(thread, NAMES)
    assert found["n_pores"] == 1 and "mean_pore_diameter_px" not in found  # no thread of 3 pixels is 16 wide
    specks = np.ones((64, 64), np.uint8)
    specks[::8, ::8] = 0
    assert set(measure_classes(specks, NAMES)) == {"pores_area_fraction", "clay_area_fraction", "n_clay_parts"}
    assert "n_pores" not in measure_classes(1 - discs(), NAMES)  # pores all around
    half = discs()
    half[32:] = 255
    assert measure_classes(half, NAMES)["pores_area_fraction"] == pytest.approx((half == 0).sum() / (32 * 64))
    assert measure_classes(np.full((8, 8), 255), NAMES) == {}


def test_texture_of_waves():
    x = np.mgrid[:64, :64][1]
    waves = np.stack([0.5 + 0.25 * np.sin(2 * np.pi * x / 16)]).astype(np.float32)
    found = measure_texture(waves)
    assert found["mean_grey_level"] == pytest.approx(0.5, abs=1e-3) and found["contrast"] == pytest.approx(
        0.177, abs=0.01
    )
    assert found["alignment"] > 0.95
    assert (
        set(measure_texture(waves[:, :8, :8]))
        == set(measure_texture(np.ones((1, 64, 64))))
        == {"mean_grey_level", "contrast"}
    )


def test_every_sentence_can_be_checked_and_is_read_as_a_caption_of_its_image(tmp_path):
    data = write(tmp_path / "core", [discs(), discs(value=2), discs(places=[(30, 30, 20)])])
    names = {0: "Pores", 2: "clay"}
    out = veridical.caption(
        data, data / "captions.jsonl", names=names, subject="slice of a core", captions=6, quiet=True
    )
    assert out == data / "captions.jsonl"
    said = rows(out)
    assert 12 <= len(said) <= 18 and len({row["text"] for row in said}) == len(said)
    for row in said:
        assert row["text"].startswith("Slice of a core, ") and row["text"].count(" 0 ") == 0
        for fact in row["facts"]:
            assert fact["said"].lower() in row["text"].lower()
            value = row["measured"][fact["property"]]
            if fact["how"] in ("number", "count"):
                assert fact["value"] == pytest.approx(value, abs=0.06)
            if fact["how"] == "presence":
                assert fact["value"] is (value > 0)
    assert said[0]["text"].startswith("Slice of a core, pore-fraction 0.133, 3 pores, mean pore-diameter")
    assert "clay-fraction 0.000" in said[0]["text"]
    captions, notes = read_captions(str(data), open_slices(data))
    assert [len(of_image) for of_image in captions] == [
        sum(r["file_name"] == f"core{k}.tif" for r in said) for k in range(3)
    ]
    assert not notes


def test_captions_of_an_image_depend_on_seed_and_name_alone(tmp_path):
    both, one = write(tmp_path / "both", [discs(), discs(value=2)]), write(tmp_path / "one", [discs()])
    names = {0: "pores"}
    first = veridical.caption(both, tmp_path / "a", names=names, quiet=True).read_text().splitlines()
    assert first[:4] == veridical.caption(one, tmp_path / "b", names=names, quiet=True).read_text().splitlines()[:4]
    assert first != veridical.caption(both, tmp_path / "c", names=names, seed=1, quiet=True).read_text().splitlines()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiles_are_cut_to_the_count_and_their_captions_are_true_of_them(dtype, tmp_path):
    mask = discs(200, [(k * 40 + 20, k * 30 + 20, 4 + 2 * k) for k in range(5)])
    mask[:64, 150:] = 255
    data = write(write(tmp_path / "data", [mask, mask.T.copy()], dtype, "train"), [mask[::-1].copy()], dtype, "test")
    out = veridical.caption(data, tmp_path / "tiles", names={0: "pores"}, tiles=32, quiet=True)
    made = open_slices(out)
    assert made.dtype == dtype and set(made.shapes) == {(32, 32)} and all(made.masked)
    assert {name.split("_y")[0] for name in made.names} == {"train/core0", "train/core1", "test/core0"}
    source = {name: k for k, name in enumerate(open_slices(data).names)}
    whole = open_slices(data)
    for k, name in enumerate(made.names):
        image, _, place = name.rpartition("_y")
        top, left = map(int, place.split("x"))
        box = slice(top, top + 32), slice(left, left + 32)
        np.testing.assert_array_equal(made[k], whole[source[image]][box])
        np.testing.assert_array_equal(made.mask(k), whole.mask(source[image])[box])
        assert (made.mask(k) != 255).mean() >= 0.9
    shares = {row["file_name"]: row["measured"]["pores_area_fraction"] for row in rows(out / "captions.jsonl")}
    assert len(shares) == len(made) < 3 * 36
    for k, path in enumerate(made.paths):
        known = made.mask(k)[made.mask(k) != 255]
        assert shares[path.relative_to(out).as_posix()] == pytest.approx((known == 0).mean(), abs=1e-6)
    with (out / "properties.csv").open() as file:
        table = {row["file_name"]: float(row["pores_area_fraction"]) for row in csv.DictReader(file)}
    assert table == pytest.approx(shares, abs=1e-6)
    again = veridical.open_dataset(out, 32, masks=True)
    assert again.split["by"] == "folder" and again.split["n_train"] == sum("train/" in name for name in made.names)


def test_images_without_label_images_are_said_to_have_none(tmp_path, run_command):
    data = write(tmp_path / "data", [discs(), discs(value=2), discs()])
    (data / "masks" / "core1.png").unlink()
    code, _, error = run_command("caption", data, "--out", tmp_path / "c.jsonl", "--name", "0=pores", "--quiet")
    assert code == 0 and "1 of 3 images have no label image: their captions say grey levels" in error
    measured = {row["file_name"]: row["measured"] for row in rows(tmp_path / "c.jsonl")}
    assert "pores_area_fraction" in measured["core0.tif"] and "mean_grey_level" in measured["core1.tif"]


def test_columns_are_said_and_of_tiles_with_a_note(tmp_path, run_command):
    data = write(tmp_path / "data", [discs(), discs(value=2), discs()])
    (data / "labels.csv").write_text(
        "name,temperature,rock\ncore0,300,granite\ncore1,0.00125,chalk\ncore2,41.5,chalk\n"
    )
    flags = ("--column", "temperature", "--column", "rock", "--captions", 1, "--quiet", "--name", "2=clay")
    assert run_command("caption", data, "--out", tmp_path / "c.jsonl", *flags)[0] == 0
    texts = [row["text"] for row in rows(tmp_path / "c.jsonl")]
    ends = ("temperature 300, rock granite.", "temperature 0.00125, rock chalk.", "temperature 41.5, rock chalk.")
    assert all(text.endswith(end) for text, end in zip(texts, ends, strict=True))
    code, _, error = run_command("caption", data, "--tiles", 16, "--out", tmp_path / "tiles", *flags)
    assert code == 0 and "temperature, rock: tiles have the value of their image" in error


def test_painted_label_images_and_those_without_names(tmp_path):
    data = write(tmp_path / "data", [discs(), discs(places=[(30, 30, 8)])])
    out = veridical.caption(data, tmp_path / "plain", captions=1, quiet=True)
    assert rows(out)[0]["text"].startswith("Image, class-zero-fraction 0.133, 3 class-zero-parts, mean class-zero-part")
    assert rows(out)[0]["text"].endswith(", class-one-fraction 0.867.")
    colours = {0: 0xFF0000, 1: 0x0000FF}
    for k, mask in enumerate([discs(), discs(places=[(30, 30, 8)])]):
        painted = BLACK + np.vectorize(colours.get)(mask).astype(np.int32)
        Image.fromarray(paint(painted.astype(np.int32))).save(data / "masks" / f"core{k}.png")
    out = veridical.caption(data, tmp_path / "tiles", names={BLACK + 0xFF0000: "pores"}, tiles=16, quiet=True)
    made = open_slices(out)
    assert set(np.unique(made.mask(0))) <= {BLACK + 0xFF0000, BLACK + 0x0000FF}
    assert [_in_words(k) for k in (0, 12, 20, 63)] == ["zero", "twelve", "twenty", "sixty-three"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--name", "7=clay"), "class 7 (clay) is in no label image; they hold 0, 1."),
        (("--name", "0"), "--name 0 has no '=': write --name NAME=WORDS."),
        (("--name", "x=clay"), "--name x=... is no value of a label image"),
        (("--name", "0=phase 2"), "the name 'phase 2' of class 0 cannot be said: give words without numbers"),
        (("--name", "0=clay", "--name", "1=Clay"), "two classes are called clay"),
        (("--captions", "0"), "give 1 to 100 captions"),
        (("--tiles", "4"), "tiles=4: give a side of 8 to 4096 pixels"),
        (("--tiles", "65"), "core0 has 64 x 64 pixels, less than a tile of 65 x 65"),
        (("--split", "none"), "split is for tiles alone"),
        (("--hold-out", "1"), "hold_out is for tiles alone"),
        (("--subject", "core 7"), "subject='core 7': give some words without numbers"),
        (("--column", "heat"), "has no label 'heat', there is no labels.csv or properties.csv"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(flags, words, tmp_path, run_command):
    data = write(tmp_path / "data", [discs(), discs()])
    code, _, error = run_command("caption", data, "--out", tmp_path / "out", *flags)
    assert code == 2 and words in error and error.count("\n") == 1, error
    assert not (tmp_path / "out").exists() and sorted(p.name for p in tmp_path.iterdir()) == ["data"]


def test_places_that_cannot_be_written(tmp_path, run_command):
    data = write(tmp_path / "data", [discs()])
    (tmp_path / "there").write_text("mine")
    for out, more, words in (
        ("there", (), "there is there already: move it away"),
        ("data", (), "is a folder: name a file, such as"),
        ("none/file", (), "could not be written (No such file or directory)"),
        ("data", ("--tiles", "32"), "is not an empty folder: name a new one"),
        ("there", ("--tiles", "32"), "there is no folder): give the name of a folder that you may write to"),
    ):
        code, _, error = run_command("caption", data, "--out", tmp_path / out, *more)
        assert code == 2 and words in error, error
    code, _, error = run_command("caption", tmp_path / "none", "--out", tmp_path / "x")
    assert code == 2 and "there is no such file or folder" in error
    (data / "masks" / "core0.png").unlink()
    code, _, error = run_command("caption", data, "--out", tmp_path / "x", "--name", "0=pores")
    assert code == 2 and "no image has a label image, so there is no class to name" in error


def test_tiles_appear_when_they_are_complete_and_not_otherwise(tmp_path, monkeypatch):
    data = write(tmp_path / "data", [discs(), discs()])
    monkeypatch.setattr("veridical.captioning.caption.write_text", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        veridical.caption(data, tmp_path / "tiles", tiles=16, quiet=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data"]
