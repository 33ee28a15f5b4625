"""Search by words: a stub that compares the grey level of an image with the level that a text says."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import veridical
from veridical.core.errors import InputError
from veridical.recipes.recipe import Recipe
from veridical.recipes.table import RECIPES


class Levels(nn.Module):
    """Embeds the mean of an image, and the number that a text says, on a half circle."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(torch.zeros(1))
        self.parts = {"levels": self}

    def losses(self, batch, step):
        yield "levels", self.weight.square().sum()

    def sample(self, n, cond, noise):
        return torch.zeros(n, 1, self.size, self.size)

    def embed_image(self, x):
        assert x.shape[1:] == (1, self.size, self.size) and x.min() >= -1 and x.max() <= 1
        angle = np.pi / 2 * x.mean((1, 2, 3))
        return torch.stack([angle.cos(), angle.sin()], 1)

    def embed_text(self, cond):
        angle = 1.15 * cond["value"].sum(1)
        return torch.stack([angle.cos(), angle.sin()], 1)


LEVELS = (10, 80, 160, 240)


@pytest.fixture
def clip(tmp_path, monkeypatch):
    row = Recipe(Levels, "text", "compare", "levels", "nobody", needs=("text",))
    monkeypatch.setitem(RECIPES, "levels_toy", row)
    folder = tmp_path / "data"
    rows = []
    for k in range(12):
        path = folder / f"a{k:02d}.png"
        write(path, np.full((16, 16), LEVELS[k % 4]), k)
        rows.append(json.dumps({"file_name": path.name, "text": f"level {k % 4}"}))
    (folder / "captions.jsonl").write_text("\n".join(rows))
    return veridical.train("levels_toy", folder, tmp_path / "clip", size=16, steps=1, batch=4, text="auto", quiet=True)


def write(path, level, seed=0, dtype=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 10, level.shape)
    Image.fromarray((level + noise).astype(dtype)).save(path)


def test_images_that_fit_best_come_first_and_of_large_ones_the_best_tile(clip, tmp_path, run_command):
    data = tmp_path / "search"
    for k, level in enumerate(LEVELS):
        write(data / f"tile{k}.png", np.full((16, 16), level), k)
    large = np.full((40, 60), 80)
    large[16:32, 44:60] = 225
    write(data / "large.png", large)
    write(data / "small.png", np.full((8, 16), 240))
    out, grid = tmp_path / "found.json", tmp_path / "found.png"
    command = ("find", data, "level 3", "--clip", clip, "--top", 3, "--json", out, "--picture", grid, "--quiet")
    code, shown, error = run_command(*command)
    assert code == 0, error
    assert f"{data}: 1 images are smaller than a tile of 16 x 16 pixels and are left out" in error
    found = json.loads(out.read_text())["found"]
    assert [row["name"] for row in found] == ["tile3", "large", "tile2"]
    assert (found[0]["top"], found[0]["left"]) == (0, 0) and (found[1]["top"], found[1]["left"]) == (16, 44)
    assert 2.5 >= found[0]["clipscore_domain"] >= found[1]["clipscore_domain"] > found[2]["clipscore_domain"] >= 0
    assert [line.split()[0] for line in shown.splitlines()[1:4]] == ["tile3", "large", "tile2"]
    assert np.asarray(Image.open(grid)).shape == (2 * 32 + 2, 2 * 32 + 2)
    found = veridical.find(data, "level 0", clip, top=9, batch=2, quiet=True)
    assert found[0].name == "tile0" and len(found) == 5 and found[0].tile.shape == (1, 16, 16)
    assert found[-1].name == "tile3" and found[-1].score < found[0].score


def test_bad_input_is_one_sentence(clip, tmp_path, run_command):
    data = tmp_path / "search"
    write(data / "a.png", np.full((16, 16), 80))
    small, wide = tmp_path / "small", tmp_path / "wide"
    write(small / "a.png", np.full((8, 8), 80))
    write(wide / "a.png", np.full((16, 16), 80), dtype=np.uint16)
    plain = veridical.train("random_phase", tmp_path / "data", tmp_path / "plain", size=16, steps=1, quiet=True)
    for arguments, words in (
        ((data, " ", "--clip", clip), "the text to search for is empty"),
        ((data, "level 1", "--clip", plain), "is a run of random_phase, which compares no words with images"),
        ((data, "level 1", "--clip", tmp_path / "none"), "none"),
        ((tmp_path / "none", "level 1", "--clip", clip), "there is no such file or folder"),
        ((small, "level 1", "--clip", clip), "no image has the 16 x 16 pixels of a tile"),
        ((wide, "level 1", "--clip", clip), "holds grey images of uint16, but"),
        ((data, "level 1", "--clip", clip, "--top", 0), "give 1 to 4096 images"),
        ((data, "level 1", "--clip", clip, "--picture", data / "x.png"), "choose another place"),
        ((data, "level 1", "--clip", clip, "--json", tmp_path), "could not be written"),
    ):
        code, _, error = run_command("find", *arguments, "--quiet")
        assert code == 2 and words in error and error.count("\n") == 1, (arguments, error)
    code, _, error = run_command("find", data, "level 9", "--clip", clip, "--quiet")
    assert code == 0 and "'level' 9 lies outside the training captions, 0 to 3" in error
    code, _, error = run_command("find", data, "levl 1", "--clip", clip, "--quiet")
    assert code == 0 and "the training captions never say 'levl' (nearest: 'level')" in error
    with pytest.raises(InputError, match="holds no prompt"):
        (tmp_path / "empty.txt").write_text("\n")
        veridical.find(data, f"@{tmp_path / 'empty.txt'}", clip, quiet=True)
