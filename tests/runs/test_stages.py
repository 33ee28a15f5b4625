"""Frozen stages: several of them, trained or given, found again, never copied; runs of before, which held theirs."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from toy import TOY, write_tiles
from veridical.core.errors import InputError
from veridical.core.files import write_json
from veridical.recipes import table
from veridical.recipes.recipe import Recipe, Stage
from veridical.runs.draw import draw
from veridical.runs.folder import read_run
from veridical.runs.run import load
from veridical.runs.tensors import read_tensors, write_tensors
from veridical.training.start import train

SMALL = {"size": 32, "batch": 4, "threads": 1, "device": "cpu", "quiet": True}


class Bridge(nn.Module):
    """The latents of one autoencoder made of those of another."""

    def __init__(self, left: nn.Module, right: nn.Module, gain: float = 0.1) -> None:
        super().__init__()
        self.stages = nn.ModuleDict({"left": left, "right": right}).eval().requires_grad_(False)
        self.bridge = nn.Conv2d(left.shape[0], right.shape[0], 1)
        nn.init.normal_(self.bridge.weight, std=gain)
        self.parts = {"bridge": self.bridge}
        self.frozen = {"left": left, "right": right}

    def losses(self, batch, step):
        with torch.no_grad():
            given, wanted = (stage.encode(batch.image) for stage in self.stages.values())
        yield "bridge", (self.bridge(given) - wanted).square().mean()

    def sample(self, n, cond, noise):
        return self.stages["right"].decode(self.bridge(noise(self.stages["left"].shape)))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_tiles(tmp_path_factory.mktemp("data") / "tiles")


@pytest.fixture(autouse=True)
def bridge(monkeypatch):
    """A recipe of two stages and one of three floors, whose stage has a stage itself."""
    toy = dataclasses.replace(table.RECIPES["autoencoder"], args=TOY["autoencoder"])
    monkeypatch.setitem(table.RECIPES, "autoencoder", toy)
    stages = {"left": Stage("autoencoder", 0.25), "right": Stage("autoencoder", 0.25)}
    words = ("made up", "made up", "made up", "arXiv")
    monkeypatch.setitem(table.RECIPES, "bridge", Recipe(Bridge, *words, first=stages))
    upper = {"left": Stage("autoencoder", 0.25), "right": Stage("latent_diffusion", 0.5)}
    monkeypatch.setitem(table.RECIPES, "upper", Recipe(Bridge, *words, first=upper))


def steps(run):
    return len((run / "log.jsonl").read_text().splitlines())


def weights(run, name="model"):
    return read_tensors(run / f"{name}.safetensors")[0]


def test_several_stages_are_trained_kept_by_reference_and_resumed(data, tmp_path):
    run = train("bridge", data, tmp_path / "run", steps=8, **SMALL)
    assert [steps(run / where) for where in ("first/left", "first/right", ".")] == [2, 2, 4]
    assert {name.split(".")[0] for name in weights(run)} == {"bridge"}
    assert {name.split(".")[1] for name in weights(run, "resume") if not name.startswith("adam")} == {"bridge"}
    model = load(run, "cpu").model
    for name in ("left", "right"):
        held = model.frozen[name].state_dict()
        assert all(torch.equal(held[k], v) for k, v in weights(run / "first" / name).items())
    stages = [(run / "first" / name / "model.safetensors").read_bytes() for name in ("left", "right")]
    train("bridge", data, run, steps=12, resume=True, quiet=True)
    assert steps(run) == 6
    assert stages == [(run / "first" / name / "model.safetensors").read_bytes() for name in ("left", "right")]


def test_some_stages_are_given_and_the_others_trained(data, tmp_path):
    left = train("autoencoder", data, tmp_path / "left", steps=1, **SMALL)
    run = train("bridge", data, tmp_path / "run", steps=8, first={"left": left}, **SMALL)
    assert [p.name for p in (run / "first").iterdir()] == ["right"]
    assert (steps(run / "first" / "right"), steps(run)) == (2, 6)  # one that is given costs nothing
    train("bridge", data, run, steps=12, resume=True, quiet=True)
    assert steps(run) == 9
    stages = read_run(run).stages
    assert [stages[name].given for name in ("left", "right")] == [True, False]


def test_stages_are_found_where_the_run_was_moved(data, tmp_path):
    (tmp_path / "old").mkdir()
    left = train("autoencoder", data, tmp_path / "old" / "ae" / "left", steps=1, **SMALL)
    run = train("bridge", data, tmp_path / "old" / "run", steps=4, first={"left": left}, **SMALL)
    before = draw(load(run, "cpu"), 2)
    new = tmp_path / "old2"
    (tmp_path / "old").rename(new)  # both, as they lay to each other
    assert np.array_equal(draw(load(new / "run", "cpu"), 2), before)
    (tmp_path / "elsewhere").mkdir()
    run = (new / "run").rename(tmp_path / "elsewhere" / "run")
    with pytest.raises(
        InputError, match=r"run needs its stage 'left', a run of autoencoder, .* any more: put .*first.left"
    ):
        load(run)
    sibling = shutil.copytree(new / "ae" / "left", tmp_path / "elsewhere" / "left")
    assert np.array_equal(draw(load(run, "cpu"), 2), before)
    sibling.rename(run / "first" / "left")
    assert np.array_equal(draw(load(run, "cpu"), 2), before)
    train("bridge", data, run, steps=6, resume=True, quiet=True)


def test_a_stage_with_other_weights_is_refused(data, tmp_path):
    first = train("autoencoder", data, tmp_path / "first", steps=1, **SMALL)
    kept = shutil.copytree(first, tmp_path / "kept")
    run = train("latent_diffusion", data, tmp_path / "run", first=first, steps=1, **SMALL, **TOY["latent_diffusion"])
    train("autoencoder", data, first, steps=2, resume=True, quiet=True)
    for again in (lambda: load(run), lambda: train("latent_diffusion", data, run, steps=2, resume=True)):
        with pytest.raises(InputError, match=r"first is not the stage 'first' that .*run was trained with"):
            again()
    shutil.copytree(kept, run / "first")
    load(run, "cpu")


def test_a_first_stage_that_is_no_run_is_said_to_be_none_when_resuming(data, tmp_path):
    first = train("autoencoder", data, tmp_path / "first", steps=1, **SMALL)
    run = train("latent_diffusion", data, tmp_path / "run", first=first, steps=1, **SMALL, **TOY["latent_diffusion"])
    bare = shutil.copytree(first, tmp_path / "bare")
    (bare / "model.safetensors").unlink()
    for place, message in ((tmp_path / "nowhere", "nowhere is not a run"), (bare, "another first stage than .*bare")):
        with pytest.raises(InputError, match=message):
            train("latent_diffusion", data, run, first=place, steps=2, resume=True, quiet=True)


def test_a_stage_may_have_stages_itself(data, tmp_path):
    given = {"steps": 4, **SMALL}
    right = train("latent_diffusion", data, tmp_path / "right", **given, **TOY["latent_diffusion"])
    monkeyed = train("upper", data, tmp_path / "run", first={"right": right}, **given)
    before = draw(load(monkeyed, "cpu"), 2)
    tmp_path.joinpath("right").rename(monkeyed / "first" / "right")
    assert np.array_equal(draw(load(monkeyed, "cpu"), 2), before)


@pytest.mark.parametrize(
    ("recipe", "first", "message"),
    [
        ("bridge", "runs/ae", "has the stages left, right: say which, as --first NAME=RUN"),
        ("bridge", {"middle": "runs/ae"}, "has no stage 'middle': it has left, right"),
        ("vae", "runs/ae", "vae has no first stage: leave out --first"),
    ],
)
def test_stages_that_cannot_be_given_are_one_sentence(recipe, first, message, data, tmp_path):
    with pytest.raises(InputError, match=message):
        train(recipe, data, tmp_path / "run", first=first, steps=1, **SMALL)
    assert not (tmp_path / "run").exists()


def as_before(run):
    """Rewrite a run of latent diffusion as versions wrote it that copied the first stage into it."""
    about = json.loads((run / "run.json").read_text())
    about.pop("sha256")
    stage = about.pop("stages")["first"]
    kept = {f"first.{k}": v for k, v in weights(stage["path"] and run.parent / "first").items()}
    for name in ("path", "beside", "given", "sha256", "stages"):
        stage.pop(name)
    write_json(run / "run.json", about | {"given_first": str(run.parent / "first"), "first": stage})
    write_tensors(run / "model.safetensors", weights(run) | kept, step="1")
    tensors, notes = read_tensors(run / "resume.safetensors")
    copies = {f"{which}.{k}": v for which in ("model", "average") for k, v in kept.items()}
    write_tensors(run / "resume.safetensors", tensors | copies, **notes)


def test_a_run_that_holds_its_first_stage_loads_and_goes_on(data, tmp_path):
    first = train("autoencoder", data, tmp_path / "first", steps=1, **SMALL)
    given = {**SMALL, **TOY["latent_diffusion"]}
    whole = train("latent_diffusion", data, tmp_path / "whole", first=first, steps=1, **given)
    run = shutil.copytree(whole, tmp_path / "run")
    before = draw(load(run, "cpu"), 2)
    as_before(run)
    assert any(name.startswith("first.") for name in weights(run))
    assert np.array_equal(draw(load(run, "cpu"), 2), before)
    away = first.rename(tmp_path / "away")
    assert np.array_equal(draw(load(run, "cpu"), 2), before)  # it needs no file but its own
    with pytest.raises(InputError, match="needs its stage 'first'"):
        train("latent_diffusion", data, run, steps=2, resume=True, quiet=True)
    other = train("autoencoder", data, tmp_path / "other", steps=2, **SMALL)
    with pytest.raises(InputError, match="trained with another first stage"):
        train("latent_diffusion", data, run, first=other, steps=2, resume=True, quiet=True)
    away.rename(first)
    for folder in (whole, run):
        train("latent_diffusion", data, folder, steps=2, resume=True, quiet=True)
    assert weights(run).keys() == weights(whole).keys()
    assert all(torch.equal(v, weights(whole)[k]) for k, v in weights(run).items())


def test_loading_leaves_the_threads_alone(data, tmp_path):
    run = train("vae", data, tmp_path / "run", steps=1, **SMALL, **TOY["vae"])
    torch.set_num_threads(3)
    load(run, "cpu")
    assert torch.get_num_threads() == 3
    torch.set_num_threads(1)


def test_a_student_that_is_finished_needs_no_teacher(data, tmp_path):
    """The teacher of progressive distillation changes in training, so the run holds it."""
    given = {"steps": 1, **SMALL}
    first = train("edm", data, tmp_path / "first", **given, **TOY["edm"])
    run = train("progressive_distillation", data, tmp_path / "run", first=first, **given, start_steps=4, final_steps=2)
    before = draw(load(run, "cpu"), 2)
    shutil.rmtree(first)
    assert np.array_equal(draw(load(run, "cpu"), 2), before)
