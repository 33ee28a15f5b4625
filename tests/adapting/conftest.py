"""Small bases to adapt, trained once."""

import pytest

from pipelines import written
from toy import TOY, write_tiles
from veridical.training.start import train

SMALL = {"size": 32, "steps": 2, "batch": 4, "quiet": True}


@pytest.fixture(scope="session")
def tiles(tmp_path_factory):
    """Images of 32 x 32 with captions, and others that look otherwise."""
    folder = tmp_path_factory.mktemp("tiles")
    return write_tiles(folder / "old", n=8, size=32, conditions=True), write_tiles(folder / "new", n=6, size=32, seed=3)


def _trained(recipe, data, out, **more):
    args = {
        name: value for name, value in TOY[recipe].items() if name not in ("vocabulary", "spelled_tokens", "tokens")
    }
    return train(recipe, data, out, **SMALL, **args, **more)


@pytest.fixture(scope="session")
def edm(tiles, tmp_path_factory):
    """A run without words, with an early copy."""
    return _trained("edm", tiles[0], tmp_path_factory.mktemp("runs") / "edm", early_steps=1, autoguidance=1.5)


@pytest.fixture(scope="session")
def clip(tiles, tmp_path_factory):
    """A clip of the captions."""
    return _trained("clip", tiles[0], tmp_path_factory.mktemp("runs") / "clip", text="auto")


@pytest.fixture(scope="session")
def told(tiles, clip, tmp_path_factory):
    """A run of pixels that hears words."""
    return _trained("text_to_image", tiles[0], tmp_path_factory.mktemp("runs") / "told", text="auto", first=clip)


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory):
    """A Stable Diffusion of RGB with random weights."""
    return f"hub:{written(tmp_path_factory.mktemp('pipelines') / 'stable')}"
