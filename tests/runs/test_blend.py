"""Images in place of words: variations by `draw` and `sample`, and images between two."""

import json

import numpy as np
import pytest

from toy import TOY, write_tiles
from veridical import blend, draw, load, sample, train
from veridical.conditions.table import SIZES
from veridical.core.errors import InputError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unclip")
    data = write_tiles(folder / "data", n=8, conditions=True)
    given = {"size": 32, "batch": 4, "quiet": True, "text": "auto", "steps": 2}
    own = {name: {k: v for k, v in TOY[name].items() if k not in SIZES} for name in ("clip", "unclip")}
    clip = train("clip", data, folder / "clip", **given, **own["clip"])
    return train("unclip", data, folder / "run", first={"clip": clip}, **given, **own["unclip"])


def test_samples_are_variations_of_a_source(run, tmp_path):
    source = run.parent / "data" / "test"
    found = draw(load(run), 3, source=source)
    assert found.shape == (3, 1, 32, 32)
    sample(run, 3, tmp_path / "out", source=source, quiet=True)
    said = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert said["condition"]["source"] == str(source)
    assert set(said["images"][0]["condition"]) == {"source"}
    sample(run, 2, tmp_path / "words", prompt="waves of kind a", quiet=True)
    assert set(json.loads((tmp_path / "words" / "provenance.json").read_text())["images"][0]["condition"]) == {"text"}
    with pytest.raises(InputError, match="unclip takes no mask"):
        draw(load(run), 3, masks=source)


def test_a_blend_begins_and_ends_at_variations(run):
    loaded = load(run)
    first, second = np.random.default_rng(0).random((2, 1, 32, 32), dtype=np.float32)
    found = blend(loaded, first, second, 4, batch=3)
    assert found.shape == (4, 1, 32, 32) and found.min() >= 0 and found.max() <= 1
    ends = [draw(loaded, 1, cond={"source": image[None]})[0] for image in (first, second)]
    assert np.abs(found[[0, -1]] - ends).max() < 1e-4
    with pytest.raises(InputError, match="cannot be blended"):
        blend(loaded, first[:, :16], second)
    with pytest.raises(InputError, match="draws nothing of embeddings"):
        blend(load(run.parent / "clip"), first, second)
