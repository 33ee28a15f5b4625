"""A folder with real and synthetic tiles."""

import numpy as np
import pytest
from PIL import Image

from toy import write_tiles


@pytest.fixture
def folder(tmp_path):
    """``real``, ``synth`` (blurred), 15 images of 24 x 24 each."""
    write_tiles(tmp_path / "real", n=12, size=24)
    (tmp_path / "synth").mkdir()
    for k, path in enumerate(sorted((tmp_path / "real").rglob("*.png"))):
        pixels = np.asarray(Image.open(path)).astype(float)
        Image.fromarray(((pixels + np.roll(pixels, 1, 1)) / 2).astype(np.uint8)).save(
            tmp_path / "synth" / f"made_{k}.png"
        )
    return tmp_path
