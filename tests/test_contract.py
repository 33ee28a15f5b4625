"""Every row of the table keeps the contract of a model: losses, samples, saving, resuming, seeds; and trains as it did."""

import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from recorded import assert_recipe_as_recorded
from recording import STEPS, STOPPED, Trained, images_of, one_thread, recipe_facts, settings
from toy import TOY, lively, stage_toy
from veridical.conditions.table import arrays_of
from veridical.core.batch import Batch, ImageNoise
from veridical.core.errors import InputError
from veridical.core.interrupt import Stopped
from veridical.diffusion.canvas import Canvas
from veridical.models.contract import DenoisesImages, Denoising, Generating, Growing, Labelling, Prepared, Staged
from veridical.recipes.config import TrainConfig
from veridical.recipes.table import RECIPES, build
from veridical.runs.draw import draw
from veridical.runs.folder import read_run
from veridical.runs.run import load
from veridical.runs.tensors import read_tensors
from veridical.training import loop
from veridical.training.start import train

pytestmark = pytest.mark.filterwarnings("ignore")


def toy(name: str, channels: int = 1, size: int = 32) -> torch.nn.Module:
    torch.manual_seed(0)
    return _toy(name, channels, size, TOY[name])


def _toy(name: str, channels: int, size: int, args: dict[str, Any]) -> torch.nn.Module:
    stages: dict[str, Any] = {}
    for held, stage in RECIPES[name].first.items():
        stages[held] = _toy(stage.recipe, channels, size, stage_toy(stage))
        if isinstance(stages[held], Prepared):
            stages[held].prepare(batch(stage.recipe, channels, size).image)
    if name in ("controlnet", "inpainting"):  # nothing comes through the zeros that a base begins with
        lively(stages["base"])
    return build(name, channels, size, args, stages)


def conditions(name: str, n: int, channels: int, size: int) -> dict[str, torch.Tensor]:
    """What a recipe needs, for `n` images: classes 0 to 2 in turn, quarters as masks, noise to translate."""
    number = torch.arange(n)
    quarters = (torch.arange(size)[:, None] * 2 // size + torch.arange(size) * 2 // size).expand(n, -1, -1)
    cond = {
        "label": number % 3,
        "mask": ((quarters + number[:, None, None]) % 3).to(torch.uint8),
        "source": torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1,
    }
    cond["hint"] = (quarters[:, None] % 2).float()
    cond["before"] = cond["source"].clone()
    if "block" in RECIPES[name].learns:
        wave = torch.sin(torch.arange(size) / 3 + number[:, None])
        cond["block"] = torch.einsum("nz,ny,nx->nzyx", wave, wave, wave)[:, None].repeat(1, channels, 1, 1, 1)
    cond["labelling"] = cond["mask"].where(quarters < 2, torch.tensor(255, dtype=torch.uint8))
    cond["objects"] = cond["mask"]
    tokens = (torch.arange(n)[:, None] % 3 + 4).expand(-1, 6)  # words, and all of them the same
    cond |= {
        "text": tokens,
        "value": torch.zeros(n, 6),
        "spelled": F.pad(F.pad(F.pad(tokens, (1, 0), value=2), (0, 1), value=3), (0, 24)),
    }
    return {k: cond[k] for k in arrays_of((*RECIPES[name].needs, *RECIPES[name].learns))}


def batch(name: str, channels: int, size: int, n: int = 4, step: int = 0, reached: float = 0.5) -> Batch:
    rng = np.random.default_rng(step)
    y, x = np.mgrid[:size, :size]
    tiles = np.stack([np.sin(x / 3 + p) * np.cos(y / 4 + p) for p in rng.uniform(0, 6, (n * channels))])
    image = torch.from_numpy(tiles.reshape(n, channels, size, size).astype(np.float32))
    cond = conditions(name, n, channels, size)
    return Batch.at(image, cond, seed=0, step=step, start=0, total=n, reached=reached)


def test_every_recipe_has_a_toy_version():
    assert set(TOY) == set(RECIPES)


def test_no_network_argument_hides_a_training_setting():
    fields = set(TrainConfig.__dataclass_fields__)
    assert all(not fields & set(row.arguments()) for row in RECIPES.values())


def test_who_keeps_early_weights_can_be_sampled_without_them():
    keeping = {name: row for name, row in RECIPES.items() if "early_steps" in row.arguments()}
    assert {"edm", "cfg", "guided"} <= set(keeping) and all("autoguidance" in row.sampling for row in keeping.values())


@pytest.fixture(scope="module")
def models():
    """One of each; none is trained."""
    return {name: toy(name).eval() for name in RECIPES}


def test_capability_is_had_by_name(models):
    """A VAE has a spectrum and VQ-VAE a factor: neither is a denoiser of images nor an upsampler for that."""
    able = {kind: {n for n, m in models.items() if isinstance(m, kind)} for kind in (Denoising, DenoisesImages, Staged)}
    assert all(isinstance(models[name], Generating) == row.draws for name, row in RECIPES.items())
    pixels = {"ddpm", "ncsn", "score_sde", "edm", "flow_matching", "dit", "cfg", "guided"}
    words, games = {"text_to_image", "dalle3"}, {"stackgan", "attngan", "gigagan"}
    assert able == {
        Denoising: pixels
        | words
        | {
            "controlnet",
            "inpainting",
            "instruct_pix2pix",
            "mask_diffusion",
            "latent_diffusion",
            "stable_diffusion",
            "unclip",
            "stable_unclip",
        },
        DenoisesImages: pixels,
        Staged: {
            "controlnet",
            "latent_diffusion",
            "stable_diffusion",
            "consistency",
            "unclip",
            "stable_unclip",
            "dalle",
            *words,
            *games,
        },
    }
    for name in able[Denoising]:
        assert {"shape", "ends", "grid", "start"} <= set(dir(models[name]))
    for name in able[Staged]:
        frozen = {p for stage in models[name].frozen.values() for p in stage.parameters()}
        assert models[name].frozen.keys() <= RECIPES[name].first.keys()
        assert not any(p.requires_grad for p in frozen)
        assert not frozen & {p for part in models[name].parts.values() for p in part.parameters()}


def test_a_label_image_is_drawn_with_the_image_by_who_learns_it(models):
    for name, row in RECIPES.items():
        model = models[name]
        assert isinstance(model, Labelling) == ("labelling" in row.learns)
        if "labelling" in row.learns:
            with torch.no_grad():
                images, classes = model.sample_labelled(3, {}, ImageNoise(3, range(3)))
                alone = model.sample_labelled(1, {}, ImageNoise(3, [2]))[1]
                assert torch.equal(images, model.sample(3, {}, ImageNoise(3, range(3))))
            assert classes.shape == (3, 32, 32) and classes.dtype == torch.uint8 and classes.max() < 3
            assert (classes[2] != alone[0]).float().mean() < 0.01


def test_every_recipe_cites_its_paper():
    assert all("arXiv" in row.citation or "doi" in row.citation for row in RECIPES.values())


def shapes(model: torch.nn.Module) -> dict[tuple[str, str], torch.Size]:
    return {(part, k): p.shape for part, module in model.parts.items() for k, p in module.named_parameters()}


# Their networks are the same ones at all sizes: large images have no parameter more to reach, and take long.
OF_ANY_SIZE = (
    "random_phase", "vqvae", "autoencoder", "cyclegan", "ddpm", "ncsn", "score_sde", "edm", "flow_matching", "dit", "cfg",
    "guided", "labelled", "upsampler", "mask_diffusion", "progressive_distillation", "consistency", "edm_3d", "latent_diffusion",
    "clip", "text_to_image", "stable_diffusion", "unclip", "stable_unclip", "dalle3", "instruct_pix2pix", "controlnet",
)  # fmt: skip


@pytest.mark.parametrize("name", OF_ANY_SIZE)
def test_networks_of_any_size_are_the_same_ones_at_all_sizes(name):
    assert shapes(toy(name, 1, 64)) == shapes(toy(name, 1, 128))


@pytest.mark.parametrize(
    ("name", "channels", "size"),
    [
        pytest.param(name, *at, marks=[pytest.mark.long] * (at[1] == 128 and name in OF_ANY_SIZE))
        for name in RECIPES
        for at in ((1, 32), (3, 64), (1, 128))
    ],
)
def test_losses_are_finite_and_reach_every_parameter_of_their_part(name, channels, size):
    model = toy(name, channels, size)
    missing = {(part, k) for part, module in model.parts.items() for k, _ in module.named_parameters()}
    # A growing network fades in its layers one after another; a second stage begins later.
    steps = {"progan": 24, "stackgan": 12}.get(name, 1)
    for step in range(steps):
        for part, loss in model.losses(batch(name, channels, size, reached=step / steps), step):
            assert loss.dim() == 0 and torch.isfinite(loss)
            parameters = dict(model.parts[part].named_parameters())
            torch.autograd.backward(loss, inputs=list(parameters.values()))
            # A zero-initialised output hides the gradients of what is before it at first, but not their existence.
            missing -= {(part, k) for k, p in parameters.items() if p.grad is not None}
    assert not missing


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", [name for name, row in RECIPES.items() if row.draws])
def test_image_k_depends_on_the_seed_and_k_alone(name, channels):
    model = toy(name, channels).eval()
    if isinstance(model, Prepared):
        model.prepare(batch(name, channels, 32).image)
    with torch.no_grad():
        cond = conditions(name, 5, channels, 32)
        mine = {k: rows[3:4] for k, rows in cond.items()}
        together = model.sample(5, cond, ImageNoise(3, range(5)))
        alone = model.sample(1, mine, ImageNoise(3, [3]))
        other = model.sample(1, mine, ImageNoise(4, [3]))
    assert together.shape == (5, channels, 32, 32)
    # Untrained generators make nearly the same image of all noise: measure against how far images differ.
    spread = (together[0] - together[1]).abs().max()
    assert spread > 0
    assert (together[3] - alone[0]).abs().max() < 0.05 * spread
    if "source" not in RECIPES[name].needs:  # a translation follows its source, not the seed
        assert (other - alone).abs().max() > 0.2 * spread


# What diffuses draws larger images, and what is translated; written down, so that no network is built before tests begin.
GROWING = tuple(
    name
    for name, row in RECIPES.items()
    if (row.family == "diffusion" and row.draws and row.task != "volumes")
    or name in (
        "cyclegan", "text_to_image", "stable_diffusion", "unclip", "stable_unclip", "instruct_pix2pix", "controlnet",
        "dalle3", "inpainting",
    )
)  # fmt: skip


def test_what_diffuses_draws_larger_images(models):
    assert {name for name, model in models.items() if isinstance(model, Growing)} == set(GROWING)


@pytest.mark.parametrize("name", GROWING)
def test_larger_images_depend_on_the_seed_and_k_alone_and_tiles_are_as_ever(name):
    """Images of 1.5 tiles; one tile is to the bit what is drawn without a canvas."""
    model = toy(name).eval()
    if isinstance(model, Prepared):
        model.prepare(batch(name, 1, 32).image)
    with torch.no_grad():
        cond, small = conditions(name, 3, 1, 48), conditions(name, 2, 1, 32)
        mine = {k: rows[2:3] for k, rows in cond.items()}
        with model.on_canvas(Canvas(48, 48, 32, seed=5, batch=8)):
            together = model.sample(3, cond, ImageNoise(3, range(3)))
        with model.on_canvas(Canvas(48, 48, 32, seed=5, batch=3)):
            alone = model.sample(1, mine, ImageNoise(3, [2]))
        with model.on_canvas(Canvas(32, 32, 32, seed=5)):
            tile = model.sample(2, small, ImageNoise(3, range(2)))
        assert torch.equal(tile, model.sample(2, small, ImageNoise(3, range(2))))
    assert together.shape == (3, 1, 48, 48) and torch.isfinite(together).all()
    spread = (together[0] - together[1]).abs().max()
    assert spread > 0 and (together[2] - alone[0]).abs().max() < 0.05 * spread


@pytest.mark.parametrize("name", [n for n in RECIPES if n != "random_phase"])
def test_every_part_lowers_its_loss_while_the_others_stand_still(name):
    for part in toy(name).parts:
        model = toy(name)
        if isinstance(model, Prepared):
            model.prepare(batch(name, 1, 32).image)
        optimiser = torch.optim.Adam(model.parts[part].parameters(), 4e-3)
        history = []
        for _ in range(16):
            for which, loss in model.losses(batch(name, 1, 32), 1):
                if which == part:
                    optimiser.zero_grad()
                    torch.autograd.backward(loss, inputs=list(model.parts[part].parameters()))
                    optimiser.step()
                    history.append(loss.item())
        before, after = np.mean(history[:3]), np.mean(history[-3:])
        assert after < before - 0.05 * abs(before), part


def stopping(last: int) -> Callable[..., Batch]:
    """What makes the batches of training, and asks it to stop at step `last`."""

    def made(data, config, step, *rest):
        if step == last - 1:
            signal.raise_signal(signal.SIGTERM)
        return original(data, config, step, *rest)

    original = loop.batch_of
    return made


def losses_of(run: Path) -> list[list[str]]:
    """What the log of a run says but for the time."""
    return [line.split('"loss"')[1:] for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return Trained(tmp_path_factory.mktemp("shared"))


@pytest.mark.parametrize("name", RECIPES)
def test_what_was_recorded_is_trained_saved_loaded_and_resumed(name, shared, tmp_path, monkeypatch):
    """A run stopped after three steps and resumed ends with the weights, to the bit, and log of one that was not; weights and
    images of that are those of the recording.
    """
    with one_thread():
        data = shared.data(name)
        given = {"steps": STEPS, **settings(name, data), **shared.first(name)}
        train(name, data, tmp_path / "whole", **given)
        with monkeypatch.context() as patch, contextlib.suppress(Stopped):
            patch.setattr("veridical.training.loop.batch_of", stopping(STOPPED))
            train(name, data, tmp_path / "parts", **given)
        assert read_run(tmp_path / "parts").finished == (name == "random_phase")
        train(name, data, tmp_path / "parts", resume=True, **given)
        for file in ("model.safetensors", "resume.safetensors"):
            whole, parts = (read_tensors(tmp_path / run / file)[0] for run in ("whole", "parts"))
            assert whole.keys() == parts.keys()
            assert all(torch.equal(whole[k], parts[k]) for k in whole)
        assert losses_of(tmp_path / "whole") == losses_of(tmp_path / "parts")
        images = images_of(tmp_path / "whole")
        assert_recipe_as_recorded(name, recipe_facts(tmp_path / "whole", images))
        assert images.shape == (3, 1, 32, 32) and images.dtype == np.float32
        assert images.min() >= 0 and images.max() <= 1 and np.isfinite(images).all()
        if not RECIPES[name].draws:
            with pytest.raises(InputError, match=f"{name} draws no images"):
                draw(load(tmp_path / "whole"), 3)
