"""A run of 16-bit images and a slice to edit, shared by the tests of edits."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from toy import TOY
from veridical.training.start import train


@pytest.fixture(scope="session")
def scan(tmp_path_factory):
    """Folder with a run, two slices with values beyond the run's window, and the mask of a hole; the slices, the mask."""
    folder = tmp_path_factory.mktemp("scan")
    rng = np.random.default_rng(0)
    counts = rng.normal(30000, 2000, (12, 48, 56)).astype(np.uint16)
    tifffile.imwrite(folder / "stack.tif", counts)
    train("edm", folder / "stack.tif", folder / "run", steps=1, size=32, batch=2, quiet=True, **TOY["edm"])
    counts[:2, 5, 5] = 65000
    tifffile.imwrite(folder / "slice.tif", counts[0])
    tifffile.imwrite(folder / "next.tif", counts[1])
    hole = np.zeros((48, 56), np.uint8)
    hole[10:20, 30:44] = 255
    Image.fromarray(hole).save(folder / "hole.png")
    return folder, counts[:2], hole > 0
