"""What a column means, where it is found, and the way from user units to conditions and back."""

import json

import numpy as np
import pytest
from PIL import Image

from veridical.core.errors import InputError
from veridical.data.labels import Labels, fit_labels
from veridical.data.open import open_dataset
from veridical.data.window import IntensityWindow

EIGHT_BIT = IntensityWindow(0, 255, "uint8")
NAMES = [f"i{k}x" for k in range(10)]


def fit(values, bins=0, train=range(8)):
    return fit_labels("data", "what", bins, values, NAMES, train)


def test_text_becomes_classes():
    labels, found = fit(["b", "a"] * 5)
    assert labels.classes == ("a", "b") and found.tolist() == [1, 0] * 5 and found.dtype == np.int64
    assert labels.encode(["b", "a"]).tolist() == [1, 0] and labels.decode([1, 0]) == ["b", "a"]
    assert labels.spread(5).tolist() == [0, 1, 0, 1, 0]
    with pytest.raises(InputError, match="no class 'c'; use one of a, b"):
        labels.encode(["c"])


def test_numbers_are_standardised_with_the_training_images_alone():
    values = [*range(8), 100, 200]
    labels, found = fit([str(v) for v in values])
    assert labels.classes is None and found.dtype == np.float32
    np.testing.assert_allclose(found, (np.array(values) - 3.5) / np.std(range(8)), rtol=1e-6)
    np.testing.assert_allclose(labels.decode(labels.encode(["0.35", 7])), [0.35, 7], rtol=1e-6)
    np.testing.assert_allclose(labels.decode(labels.spread(3)), [0, 3.5, 7], atol=1e-6)
    with pytest.raises(InputError, match="'much' is not a number"):
        labels.encode(["much"])


def test_bins_are_quantiles_of_the_training_images_alone():
    labels, found = fit([*range(8), 100, -100], bins=4)
    assert found.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 3, 0]
    assert labels.edges == (1.75, 3.5, 5.25)
    assert labels.classes == ("below 1.75", "1.75 to 3.5", "3.5 to 5.25", "from 5.25")
    assert labels.encode(["3", "from 5.25", 1.75]).tolist() == [1, 3, 1]


@pytest.mark.parametrize("values", [["b", "a"] * 5, list(range(10))])
@pytest.mark.parametrize("bins", [0, 2])
def test_json_brings_them_back(values, bins):
    if bins == 2 and "a" in values:
        return
    labels, _ = fit(values, bins)
    assert Labels.from_json(json.loads(json.dumps(labels.to_json()))) == labels


@pytest.mark.parametrize(
    ("values", "bins", "words"),
    [
        ([*"ababababab"], 3, "i0x is 'a', no number to bin"),
        ([*"aaaaaaaabb"], 0, "i8x is 'b', which no training image has"),
        ([*"aaaaaaaaaa"], 0, "must tell them apart"),
        ([1.0] * 10, 0, "must tell them apart"),
        ([0, 0, 0, 0, 0, 0, 0, 1, 1, 1], 3, "too few different values for 3 bins"),
        (list(range(10)), 1, "at least 2 classes"),
        ([*"123451234", "NA"], 0, "what of i9x is 'NA', no number, but that of the others is one"),
        ([*"12345123", "x", "y"], 0, "what of i8x, i9x is 'x', no number"),
        ([*"123456", *"xyxy"], 0, "what of i6x, i7x, i8x and 1 more is 'x', no number"),
        (["3", *["n/a"] * 9], 0, "is 'n/a', no number"),
        (["1,200", *["2,000"] * 9], 0, "what: '1,200' may be 1.200 or 1200"),
        (["1e308", *"123456789"], 0, "what: '1e308' is too large"),
    ],
)
def test_columns_that_cannot_be_labels(values, bins, words):
    with pytest.raises(InputError, match=words):
        fit(values, bins)


# ---------------------------------------------------------------------------------------------- where values come from


def save(folder, names, first=0):
    """Image k is k everywhere but for one pixel."""
    for k, name in enumerate(names):
        image = np.full((16, 16), 10 * (first + k), np.uint8)
        image[0, 0] += 5
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{name}.png")


def agree(dataset):
    """Whether the label of every tile is the number of its image."""
    for images, cond in [
        (dataset.tiles("test", oriented=False)[0], dataset.tile_conditions("test", oriented=False)),
        (b := dataset.batch(16, 0, 0), b),
    ]:
        images = images["image"] if isinstance(images, dict) else images
        stored = dataset.window.from_unit(images)[:, 0, 8, 8]
        np.testing.assert_allclose(dataset.labels.decode(cond["label"]), stored // 10, atol=1e-5)


@pytest.mark.parametrize("column", ["file_name", "name"])
@pytest.mark.parametrize("table", ["labels.csv", "properties.csv"])
@pytest.mark.parametrize("place", [".", ".."])
def test_a_table_in_the_folder_or_its_parent(tmp_path, column, table, place):
    folder = tmp_path / "images"
    save(folder, NAMES)
    suffix = ".png" if column == "file_name" else ""
    rows = [f"{name}{suffix},{k},x" for k, name in enumerate(NAMES)]
    (folder / place / table).write_text("\n".join([f"{column},porosity,note", *rows]))
    agree(open_dataset(folder, 16, label="porosity", window=EIGHT_BIT))


def test_tables_of_train_and_test_with_the_same_file_names(tmp_path):
    for side, first in (("train", 0), ("test", 10)):
        names = [f"{k:04d}" for k in range(4)]
        save(tmp_path / side / "images", names, first)
        rows = [f"{name}.png,{first + k}" for k, name in enumerate(names)]
        (tmp_path / side / "properties.csv").write_text("\n".join(["file_name,porosity", *rows]))
    agree(open_dataset(tmp_path, 16, label="porosity", window=EIGHT_BIT))


def test_a_named_table_and_tiles_of_one_image(tmp_path):
    save(tmp_path / "tiles", [f"{c}_r{r}c0" for c in "abcdef" for r in range(2)])
    (tmp_path / "elsewhere.csv").write_text("name,material\n" + "\n".join(f"{c},{c > 'c'}" for c in "abcdef"))
    dataset = open_dataset(tmp_path / "tiles", 16, label=f"{tmp_path / 'elsewhere.csv'}:material", test_fraction=0.4)
    assert dataset.labels.column == "material" and dataset.labels.classes == ("False", "True") and dataset.classes == 2


def test_folders_are_classes(tmp_path):
    save(tmp_path, [f"{side}/{c}/i{k}x" for side in ("train", "test") for c in ("carbon", "glass") for k in range(2)])
    dataset = open_dataset(tmp_path, 16, label="folder")
    assert dataset.labels.classes == ("carbon", "glass")
    assert dataset.tile_conditions("train")["label"].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("bins", [0, 3])
def test_properties_of_phantoms_are_exact(bins):
    from veridical.phantoms import generate

    dataset = open_dataset("phantom:rocks?n=20&size=64&seed=3", 64, label="porosity", bins=bins)
    truth = [row["porosity"] for row in generate("rocks", 20, 64, 3).properties[16:]]
    found = dataset.tile_conditions("test")["label"]
    np.testing.assert_allclose(found, dataset.labels.encode(truth), rtol=1e-6)
    assert dataset.classes == bins
    images, _ = dataset.tiles("test")
    other, _ = open_dataset("phantom:rocks?n=20&size=64&seed=3", 64).tiles("test")
    np.testing.assert_array_equal(images, other)


@pytest.mark.parametrize(
    ("table", "label", "words"),
    [
        (None, "porosity", "no labels.csv or properties.csv"),
        ("name,size\ni0x,1", "porosity", "its tables have size; write one"),
        ("name,porosity\ni0x,1", "porosity", "i1x has no value of porosity"),
        ("name,porosity\ni0x,1\ni1x,", "porosity", "i1x has no value of porosity"),
        ("photo,porosity\ni0x,1", "porosity", "needs the columns name or file_name"),
        (None, "folder", "i0x lies in no subfolder"),
        (None, "nowhere.csv:porosity", "nowhere.csv: cannot be read"),
    ],
)
def test_labels_that_are_not_there(tmp_path, table, label, words):
    folder = tmp_path / "images"
    save(folder, NAMES)
    if table:
        (folder / "labels.csv").write_text(table)
    with pytest.raises(InputError, match=words):
        open_dataset(folder, 16, label=label)


def test_words_of_which_some_are_numbers_are_classes():
    labels, _ = fit([*"ABCABCAB", "1", "1"], train=range(10))
    assert labels.classes == ("1", "A", "B", "C")


def test_rows_that_contradict_each_other(tmp_path):
    save(tmp_path, NAMES)
    rows = [f"{name},{k}" for k, name in enumerate(NAMES)]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["name,depth", *rows, "I3X.PNG,3.0"]))  # says the same
    assert open_dataset(tmp_path, 16, label="depth").labels.high == 6
    table.write_text("\n".join(["name,depth", *rows, "./i3x.png,4"]))
    with pytest.raises(InputError, match=r"depth of i3x is '3' and '4' in .*labels.csv; leave the row that is right"):
        open_dataset(tmp_path, 16, label="depth")
    table.write_text("\n".join(["name,depth", *rows]))
    (tmp_path / "properties.csv").write_text("file_name,depth\ni5x.png,9\n")
    with pytest.raises(InputError, match=r"depth of i5x is '5' and '9' in .*labels.csv and .*properties.csv"):
        open_dataset(tmp_path, 16, label="depth")


def test_a_row_that_may_mean_two_images(tmp_path):
    save(tmp_path, ["train/a", "train/b", "test/a"])
    (tmp_path / "labels.csv").write_text("name,depth\na,1\nb,2")
    with pytest.raises(InputError, match="write the folder too"):
        open_dataset(tmp_path, 16, label="depth")
    (tmp_path / "labels.csv").write_text("name,depth\ntrain/a,1\nb,2\ntest/a,3")
    assert open_dataset(tmp_path, 16, label="depth").labels.high == 2


def test_a_phantom_without_the_property():
    with pytest.raises(InputError, match="no property 'depth'; it has porosity"):
        open_dataset("phantom:rocks?n=6&size=32", 32, label="depth")


def test_labels_are_part_of_the_fingerprint():
    spec = "phantom:rocks?n=8&size=32"
    found = {
        open_dataset(spec, 32, **options).fingerprint
        for options in ({}, {"label": "porosity"}, {"label": "porosity", "bins": 2}, {"label": "n_grains"})
    }
    assert len(found) == 4
