"""The examples of the guides run."""

import re
from pathlib import Path

import numpy as np
import torch

from toy import TOY, write_tiles
from veridical.recipes.table import RECIPES, build
from veridical.runs.draw import draw
from veridical.runs.run import load
from veridical.training.loop import train

DOCS = Path(__file__).resolve().parents[1] / "docs"


def example(page: str, name: str) -> dict:
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.search(rf"<!-- tested: {name} -->\n```python\n(.*?)```", text, re.DOTALL)
    names: dict = {}
    exec(compile(found.group(1), f"{page}:{name}", "exec"), names)
    return names


def test_the_example_model_trains_and_samples(tmp_path):
    try:
        example("design.md", "model")
        data = write_tiles(tmp_path / "data")
        train("pixel_gaussian", data, tmp_path / "run", steps=200, size=32, warmup=0, ema=0.9, quiet=True)
        made = draw(load(tmp_path / "run"), 64)
    finally:
        RECIPES.pop("pixel_gaussian", None)
    assert abs(made.mean() - 0.5) < 0.1
    assert 0.1 < made.std() < 0.3


def test_the_example_metric_knows_brightness():
    distance = example("design.md", "metric")["grey_level_distance"]
    tiles = np.random.default_rng(0).uniform(0, 0.8, (4, 1, 16, 16))
    assert distance(tiles, tiles) == 0
    np.testing.assert_allclose(distance(tiles, tiles + 0.1), 0.1)


def test_the_example_edit_runs_on_pixels_and_on_latents():
    sdedit = example("design.md", "edit")["sdedit"]
    image = torch.rand(2, 1, 32, 32) * 2 - 1
    for name in ("edm", "latent_diffusion"):
        stages = {held: build(s.recipe, 1, 32, TOY[s.recipe]) for held, s in RECIPES[name].first.items()}
        model = build(name, 1, 32, TOY[name], stages).eval()
        model.prepare(image)
        edited = sdedit(model, image, torch.randn_like(model.encode(image)), sigma=0.1)
        assert edited.shape == image.shape
        assert (edited - model.decode(model.encode(image))).abs().mean() < 0.3
