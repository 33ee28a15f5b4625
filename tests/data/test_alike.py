"""Sets of images of different sizes are cut to one."""

import numpy as np
import pytest

from veridical.core.errors import InputError
from veridical.data.alike import MOST, common_size, cut_images


def test_large_images_are_cut_into_a_bounded_number_of_tiles():
    large = np.arange(2 * 640 * 640, dtype=np.float32).reshape(2, 1, 640, 640) / (2 * 640 * 640)
    tiles, names = cut_images(large, ["a", "b"], 16, "REAL")
    assert len(tiles) == len(names) == len(set(names)) == MOST
    assert {name[0] for name in names} == {"a", "b"}
    for tile, name in zip(tiles[::50], names[::50], strict=True):
        y, x = map(int, name[3:].split("x"))
        assert np.array_equal(tile, large["ab".index(name[0]), :, y : y + 16, x : x + 16])


def test_the_common_size_is_what_fits_both():
    assert common_size({"real": (64, 64), "synth": (64, 64), "train": (9, 9)}) is None
    assert common_size({"real": (64, 80), "synth": (62, 70)}) == 62
    with pytest.raises(InputError, match="--size 64"):
        common_size({"real": (64, 64), "synth": (128, 128)})
