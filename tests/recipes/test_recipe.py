"""Arguments come from what a builder takes: defaults of its own, or fields of dataclasses."""

import dataclasses

import pytest

from toy import TOY, stage_toy
from veridical.core.batch import ImageNoise
from veridical.core.errors import InputError
from veridical.models.diffusion.settings import Embed, Law, Network, Sampling
from veridical.recipes.recipe import Recipe
from veridical.recipes.table import RECIPES, build, sampling_arguments, settings


def recipe(builder, **more):
    return Recipe(builder, family="", task="", summary="", citation="", **more)


def made(channels, size, network: Network, sampling: Sampling, depth: int = 2):
    return channels, size, network, sampling, depth


def test_fields_of_dataclasses_are_arguments_beside_those_with_defaults():
    row = recipe(
        made, args={"solver": "euler"}, offers=("widths", "solver", "clamp"), drawn=("depth",), idle=("clamp",)
    )
    assert row.arguments() == {"depth": 2, "widths": (64, 128), "solver": "euler", "clamp": False}
    assert row.complete({}) == row.arguments() | {"solver": "heun"}
    assert row.sampling == ("solver", "depth")
    model = row.make(1, 8, {}, {"widths": [16, 16], "depth": 3, "solver": "euler"})
    assert model == (1, 8, Network(widths=(16, 16)), Sampling(solver="euler"), 3)


def test_one_name_in_two_dataclasses_is_one_argument():
    both = {f.name for f in dataclasses.fields(Law)} & {f.name for f in dataclasses.fields(Sampling)}
    assert both == {"sigma_min", "sigma_max"}
    model = build("edm", 1, 16, {**TOY["edm"], "sigma_max": 7.0})
    assert model.law.sigma_max == model.sampling.sigma_max == 7.0
    for name in both:
        law, sampling = (next(f for f in dataclasses.fields(k) if f.name == name) for k in (Law, Sampling))
        assert (law.default, law.metadata) == (sampling.default, sampling.metadata)


def test_no_other_names_are_in_two_dataclasses():
    for row in RECIPES.values():
        names = [f.name for kind in row.kinds.values() for f in dataclasses.fields(kind)]
        assert {n for n in names if names.count(n) > 1} <= {"sigma_min", "sigma_max"}


def test_what_a_recipe_names_of_dataclasses_exists():
    for name, row in RECIPES.items():
        fields = {f.name for kind in row.kinds.values() for f in dataclasses.fields(kind)}
        assert set(row.offers) | set(row.idle) <= fields, name
        assert set(row.args) | set(row.sampling) <= set(row.arguments()), name


@pytest.mark.parametrize(
    ("name", "settable"),
    [
        ("ddpm", "sampling_steps solver eta churn snr langevin_steps clamp autoguidance"),
        ("edm", "sampling_steps solver eta churn snr langevin_steps clamp autoguidance sigma_min sigma_max"),
        (
            "cfg",
            "sampling_steps solver eta churn snr langevin_steps clamp autoguidance sigma_min sigma_max guidance_scale "
            "guidance_interval",
        ),
        ("guided", "sampling_steps solver guidance_scale guidance_interval autoguidance"),
        ("upsampler", "sampling_steps solver condition_noise"),
        ("latent_diffusion", "sampling_steps solver"),
        ("consistency", "sampling_steps"),
        ("progressive_distillation", ""),
        ("stylegan", "truncation"),
        ("vae", ""),
    ],
)
def test_what_can_be_changed_on_a_trained_model(name, settable):
    assert set(RECIPES[name].sampling) == set(settable.split())


@pytest.mark.parametrize("name", [n for n in RECIPES if "sampling" in RECIPES[n].kinds])
def test_other_settings_replace_the_sampling_of_a_model_and_nothing_else(name):
    row = RECIPES[name]
    stages = {held: build(stage.recipe, 1, 16, stage_toy(stage)) for held, stage in row.first.items()}
    usual = build(name, 1, 16, TOY[name], stages)
    changed = {"sampling_steps": 7} if "sampling_steps" in row.sampling else {"best_of": 7}
    given = {k: str(v) for k, v in changed.items()}
    other = build(name, 1, 16, {**TOY[name], **sampling_arguments(name, given)}, stages)
    assert other.sampling == dataclasses.replace(usual.sampling, **changed) != usual.sampling
    assert usual.state_dict().keys() == other.state_dict().keys()


def test_text_is_converted_and_limits_are_those_of_the_dataclass():
    _, args = settings("edm", {"widths": "32,64", "attention": "false,true", "clamp": "yes", "noise_mean": "-1"})
    assert args["widths"] == (32, 64) and args["attention"] == (False, True)
    assert args["clamp"] is True and args["noise_mean"] == -1.0
    for name, value in (("dropout", "1"), ("label_dropout", "1.1"), ("layers", "0"), ("solver", "hein")):
        with pytest.raises(InputError, match=rf"^{name}=\S* (cannot be|is not known)"):
            settings("edm", {name: value})
    for name in ("classes", "vocabulary"):
        with pytest.raises(InputError, match=f"^{name} are those of the"):
            settings("cfg", {name: "3"})


@pytest.mark.parametrize(
    ("recipe", "given"), [("consistency", {"levels": 80}), ("progressive_distillation", {"final_steps": "3"})]
)
def test_values_that_do_not_fit_together_are_refused_before_anything_is_trained(recipe, given):
    with pytest.raises(InputError, match=r"levels=80 and most_levels|final_steps=3 is no half"):
        settings(recipe, given)


def test_the_model_that_is_drawn_from_uses_what_is_given_at_draw_time(monkeypatch):
    model = build("edm", 1, 16, TOY["edm"])
    usual = model.sampling
    given = Sampling(sampling_steps=9, solver="euler", sigma_max=5.0)
    seen = []
    monkeypatch.setattr(
        "veridical.models.diffusion.denoiser.SOLVERS",
        {"euler": lambda denoise, x, grid, *_, **options: seen.append((grid, options)) or x},
    )
    model.sample(1, {}, ImageNoise(0, range(1)), given)
    grid, options = seen[0]
    assert len(grid) == 10 and grid[0] == pytest.approx(5.0) and options == {"churn": 0.0}
    assert Embed() == model.embed and usual == model.sampling
