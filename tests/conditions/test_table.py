"""The rows agree with each other, with the settings and with the systems; one more condition is one more row."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from toy import write_tiles
from veridical.benching.spec import OF_DATASET
from veridical.conditions.condition import Answer, Condition, Option, Supply
from veridical.conditions.table import CONDITIONS, DATA_SETTINGS, SIZES, arrays_of, options
from veridical.recipes.config import TrainConfig
from veridical.recipes.recipe import Recipe
from veridical.recipes.table import RECIPES, settings
from veridical.runs.draw import sample
from veridical.runs.folder import share_budget
from veridical.training.start import train


def test_rows_are_called_by_their_names_and_share_nothing():
    assert all(name == row.name for name, row in CONDITIONS.items())
    own = [option.name for name, row in CONDITIONS.items() if name != "hint" for option in row.options]
    assert list(options()) == own and {*CONDITIONS["hint"].options} <= {*options().values()}  # those of mask and source
    arrays = arrays_of(CONDITIONS)
    assert len(set(own)) == len(own) and len(set(arrays)) == len(arrays) and "image" not in arrays
    assert {row.setting for row in CONDITIONS.values()} <= {"", *DATA_SETTINGS}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_all_that_its_data_decide(name):
    row = RECIPES[name]
    known = (*row.needs, *row.learns)
    assert set(known) <= set(CONDITIONS)
    decided = {size for need in known for size in CONDITIONS[need].sizes}
    assert set(row.of_data) == decided & set(row.arguments())
    assert not row.enlarges or (row.enlarges in row.arguments() and "source" in row.needs)
    assert not set(row.arguments()) & set(TrainConfig.__dataclass_fields__)  # one of both could not be set


def test_all_who_ask_for_data_read_the_same_settings():
    assert set(DATA_SETTINGS) <= set(TrainConfig.__dataclass_fields__) and not set(SIZES) & set(DATA_SETTINGS)
    assert set(OF_DATASET) == set(DATA_SETTINGS) - {"size"}
    given = {"augment": "flip", "scale": 0.5, "split": "a.csv", "limit": 7, "label": "kind", "bins": 3, "text": "auto"}
    given |= {"size": 16, "source": "b", "source_scale": 2.0, "complete": 0.5, "hint": "mask"}
    given |= {"label_tiles": 4, "label_share": 0.25, "validation": 0.2, "focus": 3.0, "tokenizer": "r", "hold_out": 3}
    assert set(given) == set(DATA_SETTINGS)
    config, _ = settings("dcgan", given)
    shared, rest = share_budget(config, {"first": 0.5})
    assert given.items() <= shared["first"].items() and given.items() <= rest.to_json().items()


class Lamp(nn.Module):
    """As bright as it is told."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, size, size))
        self.parts = {"lamp": self}

    def losses(self, batch, step):
        assert (batch.cond["mean"] - batch.image.mean((1, 2, 3))).abs().max() < 1e-5
        yield "lamp", self.weight.square().mean()

    def sample(self, n, cond, noise):
        return cond["mean"].reshape(-1, 1, 1, 1) + 0 * noise(self.weight.shape)


def supply(spec, target, settings):
    def of(places, turns):
        return {"mean": target.images(places, turns).mean((1, 2, 3))}

    def tiles(which, n):
        places, _, turns = target.chosen(which, n)
        return of(places, turns)

    return Supply(
        lambda drawn: of(drawn.places, drawn.turns), tiles, about={"mean": {"spec": spec, "fingerprint": "x"}}
    )


MEAN = Condition(
    name="mean",
    setting="",
    options=(Option("brightness", "How bright.", several=True),),
    keywords=lambda recipe, settings: {},
    supply=supply,
    ask=lambda request, given: Answer({"mean": np.array(given, np.float32)}, "mean", given, notes=("dim",)),
    present=lambda arrays: {"mean": arrays["mean"] * 2 - 1},
)


def test_a_fifth_condition_is_a_row(tmp_path, monkeypatch):
    monkeypatch.setitem(CONDITIONS, "mean", MEAN)
    monkeypatch.setitem(RECIPES, "lamp", Recipe(Lamp, "none", "echo", "shines", "nobody", needs=("mean",)))
    data = write_tiles(tmp_path / "data", n=6, size=32)
    run = train("lamp", data, tmp_path / "run", size=32, batch=4, steps=2, threads=1, quiet=True)
    assert json.loads((run / "run.json").read_text())["mean"]["fingerprint"] == "x"
    out = sample(run, 3, tmp_path / "out", brightness=[0.2, 0.8], quiet=True)
    said = json.loads((out / "provenance.json").read_text())
    assert [row["condition"] for row in said["images"]] == [{"mean": 0.2}, {"mean": 0.8}, {"mean": 0.2}]
    assert said["notes"] == ["dim"] and said["condition"] == {
        "needs": ["mean"],
        "masks": None,
        "source": None,
        "before": None,
    }
