"""Class numbers of label images."""

import numpy as np
import pytest
from PIL import Image

from veridical.core.errors import InputError
from veridical.data.masks import rank, stored
from veridical.data.open import open_dataset


def save(folder, values, n=6):
    rng = np.random.default_rng(0)
    (folder / "masks").mkdir(parents=True)
    for k in range(n):
        Image.fromarray(rng.integers(0, 255, (32, 32), np.uint8)).save(folder / f"i{k}x.png")
        Image.fromarray(rng.choice(np.array(values, np.uint8), (32, 32))).save(folder / "masks" / f"i{k}x.png")
    return folder


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 255], (0, 255)),
        ([0, 1, 2], (0, 1, 2)),
        ([0, 2], (0, 1, 2)),
        ([0, 1, 2, 255], (0, 1, 2, 255)),
        ([0, 127, 200], (0, 127, 200)),
    ],
)
def test_stored_values_and_classes(tmp_path, values, expected):
    dataset = open_dataset(save(tmp_path, values), 16, masks=True)
    assert dataset.mask_values == expected and dataset.classes == len(expected)
    classes = dataset.tile_conditions("test", oriented=False)["mask"]
    assert set(np.unique(classes)) == {expected.index(v) for v in values}
    with Image.open(tmp_path / "masks" / "i5x.png") as file:
        np.testing.assert_array_equal(stored(classes[0], expected), np.asarray(file)[:16, :16])


def test_what_is_no_class(tmp_path):
    with pytest.raises(InputError, match="number the classes 0, 1, 2"):
        open_dataset(save(tmp_path / "grey", range(0, 255, 3)), 16, masks=True)
    with pytest.raises(InputError, match="value 0 only"):
        open_dataset(save(tmp_path / "blank", [0]), 16, masks=True)
    with pytest.raises(InputError, match="scan7: its label image holds the value 9, but the classes are 0, 255"):
        rank(np.array([[[0, 0]], [[0, 9]]], np.uint8), (0, 255), ["scan6", "scan7"])
