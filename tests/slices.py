"""Images whose values are coordinates, as files: what is cut out of them says where it comes from."""

import numpy as np
import pytest
import tifffile

from veridical.core.errors import InputError
from veridical.data.open import open_dataset
from veridical.data.window import IntensityWindow

CODES = IntensityWindow(0, 2**24 - 1, "int32")  # all counts of this window survive float32


def coded(n, height, width):
    """Each voxel holds its own number."""
    return np.arange(n * height * width, dtype=np.int32).reshape(n, height, width)


def save_stack(path, n, height, width):
    tifffile.imwrite(path, coded(n, height, width), photometric="minisblack")
    return path


def save_folder(folder, names, height, width):
    for name, image in zip(names, coded(len(names), height, width)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / f"{name}.tif", image)
    return folder


def decode(images, height, width):
    """Slice, row and column of every pixel of images (N, 1, H, W) made from coded slices."""
    return np.unravel_index(CODES.from_unit(images)[:, 0].astype(np.int64), (1000, height, width))


def seen(dataset, height, width):
    """Coordinates of all training pixels and of all test pixels, each (3, n)."""
    train = [dataset.batch(64, step, seed=1)["image"] for step in range(12)] + [dataset.tiles("train")[0]]
    test = dataset.tiles("test")[0]
    return (np.reshape(decode(x, height, width), (3, -1)) for x in (np.concatenate(train), test))


def refuse(words, *arguments, **options):
    """Opening a dataset fails with one line that holds all the words."""
    with pytest.raises(InputError) as caught:
        open_dataset(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message
