"""Labels, masks and sources on their way to a model in training, and to samples and their folder."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from toy import write_tiles
from veridical.conditions.delivery import as_tensors, cycle, open_data
from veridical.core.errors import InputError
from veridical.data.open import open_dataset
from veridical.recipes.config import TrainConfig
from veridical.recipes.recipe import Recipe
from veridical.recipes.table import RECIPES
from veridical.runs.draw import draw, sample
from veridical.runs.folder import read_run, write_run
from veridical.runs.run import load
from veridical.runs.tensors import read_tensors
from veridical.training.start import train

ROCKS = "phantom:rocks?n=20&size=32"
OTHER = "phantom:rocks?n=10&size=32&seed=5"
SMALL = {"size": 32, "batch": 4, "steps": 2, "threads": 1, "quiet": True}


class Echo(nn.Module):
    """Shows its conditions: the label as grey level, the mask as bright pixels, the source as it is."""

    def __init__(self, channels: int, size: int, classes: int = 7) -> None:
        super().__init__()
        self.classes = classes
        self.level = nn.Parameter(torch.zeros(channels, size, size))
        self.parts = {"echo": self}

    def losses(self, batch, step):
        shown = self.show(batch.cond, len(batch.image))
        yield "echo", (shown - batch.image + self.level + 0 * batch.normal(*self.level.shape)).square().mean()

    def show(self, cond, n):
        image = torch.zeros(n, *self.level.shape)
        if "label" in cond:
            image = image + cond["label"].reshape(-1, 1, 1, 1) / max(self.classes, 4)
        if "mask" in cond:
            image = image + cond["mask"][:, None] / self.classes - 0.5
        return image + cond.get("source", 0)

    def sample(self, n, cond, noise):
        return self.show(cond, n) + 0 * noise(self.level.shape)


@pytest.fixture(autouse=True)
def recipes(monkeypatch):
    for needs in (("label",), ("mask",), ("source",), ("label", "mask", "source")):
        told = () if needs == ("source",) else ("classes",)
        row = Recipe(Echo, "none", "echo", "shows its conditions", "nobody", needs=needs, of_data=told)
        monkeypatch.setitem(RECIPES, "echo_" + "_".join(needs), row)


def say(run):
    return json.loads((run / "run.json").read_text())


def test_all_conditions_reach_the_model_and_the_run(tmp_path):
    given = {**SMALL, "label": "porosity", "bins": 3, "source": OTHER}
    run = train("echo_label_mask_source", ROCKS, tmp_path / "run", **given)
    said = say(run)
    assert said["args"] == {"classes": 4} and len(said["dataset"]["labels"]["classes"]) == 3
    assert said["dataset"]["mask_values"] == [0, 1, 2, 3] and said["source"]["spec"] == OTHER
    train("echo_label_mask_source", ROCKS, run, resume=True, steps=4, quiet=True)
    train("echo_label_mask_source", ROCKS, tmp_path / "whole", **{**given, "steps": 4})
    one, two = (read_tensors(r / "model.safetensors")[0] for r in (run, tmp_path / "whole"))
    assert torch.equal(one["level"], two["level"])
    with pytest.raises(InputError, match="seed=6 is not the data"):
        held = read_run(run)
        write_run(run, held.replace(config=held.config.replace(source=OTHER.replace("seed=5", "seed=6"))))
        train("echo_label_mask_source", ROCKS, run, resume=True, steps=9, quiet=True)


@pytest.mark.parametrize(
    ("needs", "given", "words"),
    [
        ("label", {}, "needs a label: give --label COLUMN"),
        ("source", {}, "needs images to translate from: give --source DATA"),
        ("source", {"source": "phantom:roots?n=6&size=32"}, "is RGB but .* is grey"),
        ("mask", {}, "no image has a label image"),
    ],
)
def test_a_condition_that_is_missing(needs, given, words, tmp_path):
    data = write_tiles(tmp_path / "tiles") if needs == "mask" else ROCKS
    with pytest.raises(InputError, match=words):
        train(f"echo_{needs}", data, tmp_path / "run", **SMALL, **given)
    assert not (tmp_path / "run").exists()


def test_a_recipe_that_needs_none_does_without(tmp_path):
    run = train("random_phase", ROCKS, tmp_path / "run", label="porosity", size=32, quiet=True)
    assert say(run)["dataset"]["labels"] is None
    with pytest.raises(InputError, match="random_phase takes no label: leave out --label"):
        sample(run, 2, tmp_path / "out", label="0.3", quiet=True)


def test_labels_asked_in_user_units(tmp_path):
    run = train("echo_label", ROCKS, tmp_path / "run", **SMALL, label="porosity", bins=4)
    labels = open_dataset(ROCKS, 32, label="porosity", bins=4).labels
    loaded = load(run)
    shown = lambda images: np.rint((images[:, 0, 0, 0] * 2 - 1) * 4).astype(int).tolist()  # noqa: E731
    assert shown(draw(loaded, 6, batch=4)) == [0, 1, 2, 3, 0, 1]
    out = sample(run, 5, tmp_path / "out", label=["0.0,1.0", labels.classes[1]], quiet=True)
    rows = json.loads((out / "provenance.json").read_text())["images"]
    asked = [labels.classes[k] for k in (0, 3, 1, 0, 3)]
    assert [row["condition"] for row in rows] == [{"porosity": name} for name in asked]
    with pytest.raises(InputError, match="'carbon' is not a number"):
        sample(run, 5, tmp_path / "no", label="carbon", quiet=True)
    assert not (tmp_path / "no").exists()
    with pytest.raises(ValueError, match="needs 3 rows"):
        draw(loaded, 3, cond={"label": np.zeros(2, np.int64)})


def test_a_continuous_label(tmp_path):
    run = train("echo_label", ROCKS, tmp_path / "run", **SMALL, label="porosity")
    said = say(run)
    assert said["args"] == {"classes": 0}
    low, high = (said["dataset"]["labels"][k] for k in ("low", "high"))
    rows = json.loads((sample(run, 3, tmp_path / "out", quiet=True) / "provenance.json").read_text())["images"]
    np.testing.assert_allclose([r["condition"]["porosity"] for r in rows], [low, (low + high) / 2, high], rtol=1e-5)
    rounded = [f"{value:.3g}" for value in (low, high)]
    assert sample(run, 2, tmp_path / "ends", label=rounded, quiet=True)
    for value in ("5", str(high + (high - low) / 20), "-1e20"):
        with pytest.raises(InputError, match=r"outside the training images.*--extrapolate"):
            sample(run, 2, tmp_path / "no", label=value, quiet=True)
    far = json.loads(
        (sample(run, 1, tmp_path / "far", label="5", extrapolate=True, quiet=True) / "provenance.json").read_text()
    )
    assert far["images"][0]["condition"]["porosity"] == pytest.approx(5) and "outside" in far["notes"][0]
    for value, words in (("1e308", "too large"), ("9" * 5000, r"99\.\.\.' is too large"), ("nan", "not a number")):
        with pytest.raises(InputError, match=words) as caught:
            sample(run, 2, tmp_path / "no", label=value, extrapolate=True, quiet=True)
        assert len(str(caught.value)) < 200
    assert not (tmp_path / "no").exists()


def test_samples_of_masks_are_a_labelled_set(tmp_path):
    run = train("echo_mask", ROCKS, tmp_path / "run", **SMALL)
    out = sample(run, 6, tmp_path / "out", quiet=True)
    made = open_dataset(out, 32, masks=True, split="none", window=load(run).window)
    images, masks = made.tiles(oriented=False)[0], made.tile_conditions(oriented=False)["mask"]
    np.testing.assert_allclose(images[:, 0] * 2 - 1, masks / 4 - 0.5, atol=1e-5)
    held = open_dataset(ROCKS, 32, masks=True)
    np.testing.assert_array_equal(masks, cycle(held.tile_conditions("test"), 6)["mask"])
    # From label images of the user's own, larger than a tile.
    (tmp_path / "labels").mkdir()
    drawn = np.random.default_rng(0).integers(0, 4, (32, 70), np.uint8)
    Image.fromarray(drawn).save(tmp_path / "labels" / "mine.png")
    own = sample(run, 2, tmp_path / "own", masks=tmp_path / "labels", quiet=True)
    for k, x in enumerate((0, 32)):
        with Image.open(own / "masks" / f"echo_mask_{k:05d}.png") as file:
            np.testing.assert_array_equal(np.asarray(file), drawn[:, x : x + 32])
    rows = json.loads((own / "provenance.json").read_text())
    assert [r["condition"]["mask"] for r in rows["images"]] == ["mine_y0x0", "mine_y0x32"]
    Image.fromarray(drawn * 60).save(tmp_path / "labels" / "mine.png")
    with pytest.raises(InputError, match="mine: its label image holds"):
        sample(run, 2, tmp_path / "no", masks=tmp_path / "labels", quiet=True)


def test_translated_images_keep_the_masks_of_their_sources(tmp_path):
    run = train("echo_source", ROCKS, tmp_path / "run", **SMALL, source=OTHER)
    source = open_dataset(OTHER, 32, masks=True)
    np.testing.assert_allclose(draw(load(run), 2), source.tiles("test", 2)[0], atol=1e-6)
    new = OTHER.replace("seed=5", "seed=8")
    out = sample(run, 10, tmp_path / "out", source=new, quiet=True)
    read = open_dataset(out, 32, masks=True, split="none", window=load(run).window)
    asked = open_dataset(new, 32, masks=True, split="none", window=source.window)
    np.testing.assert_array_equal(
        read.tile_conditions(oriented=False)["mask"], asked.tile_conditions(oriented=False)["mask"]
    )
    np.testing.assert_allclose(read.tiles(oriented=False)[0], asked.tiles(oriented=False)[0], atol=1e-6)


def test_data_that_are_gone_are_asked_for(tmp_path):
    tiles = write_tiles(tmp_path / "tiles", size=48)
    run = train("echo_source", ROCKS, tmp_path / "run", **SMALL, source=str(tiles))
    tiles.rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="not there any more: give --source DATA"):
        draw(load(run), 2)
    sample(run, 2, tmp_path / "out", source=tmp_path / "elsewhere", quiet=True)
    assert not (tmp_path / "out" / "masks").exists()


def test_label_images_of_what_training_hides_come_where_there_are_some(tmp_path):
    needs, settings = RECIPES["inpainting"].learns, TrainConfig(size=32, validation=0.0, steps=1)
    data = open_data("inpainting", needs, ROCKS, settings)
    places, turns = data.target.drawn(6, 3, 1)
    masks = data.batch(6, 3, 1)[1]["objects"]
    assert np.array_equal(masks, data.target.masks_of(places, turns)) and len(np.unique(masks)) > 1
    assert np.array_equal(data.batch(6, 3, 1, 2, 5)[1]["objects"], masks[2:5])
    assert data.conditions("test")["objects"].shape == (data.target.count("test"), 32, 32)
    bare = open_data("inpainting", needs, write_tiles(tmp_path / "bare", n=8, size=32), settings)
    assert bare.batch(4, 0, 0)[1] == {} == bare.conditions("test")


def test_tensors_of_conditions():
    cond = {"label": np.arange(3), "mask": np.zeros((3, 4, 4), np.uint8), "source": np.full((2, 1, 4, 4), 0.75, "f4")}
    tensors = as_tensors(cycle(cond, 5), "cpu")
    assert tensors["label"].tolist() == [0, 1, 2, 0, 1] and tensors["mask"].dtype == torch.uint8
    assert tensors["source"].shape == (5, 1, 4, 4) and (tensors["source"] == 0.5).all()
