"""A run of inpainting in latents fills holes in plain diffusers as it does here, and comes back as a pipeline."""

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline

from toy import TOY, write_tiles
from veridical import export, load, train
from veridical.conditions.delivery import as_tensors
from veridical.core.batch import ImageNoise
from veridical.core.errors import InputError
from veridical.editing.edit import Given
from veridical.editing.folder import edited
from veridical.pretrained.parts import quiet
from veridical.runs.draw import conditions_of
from veridical.runs.tensors import own_tensors, write_tensors

PROMPTS = ["waves of kind a, phase 3.00", "waves of kind c"]
CLIP = {k: v for k, v in TOY["clip"].items() if k not in ("vocabulary", "spelled_tokens")}
PLAIN = {"linear": False, "patch": 1, "latent": 4, "widths": (16, 32)}
GIVEN = {"size": 32, "batch": 4, "steps": 1, "threads": 1, "quiet": True}


@pytest.fixture(scope="module", params=[1, pytest.param(3, marks=pytest.mark.long)], ids=["grey", "RGB"])
def exported(request, tmp_path_factory):
    """A run whose weights are all random, and the folder that it was exported to."""
    folder = tmp_path_factory.mktemp("holes")
    data = write_tiles(folder / "data", n=8, size=32, channels=request.param, conditions=True)
    first = {
        "autoencoder": train("autoencoder", data, folder / "autoencoder", **GIVEN, **PLAIN),
        "clip": train("clip", data, folder / "clip", text="auto", **GIVEN, **CLIP),
    }
    network = {"widths": (32, 32), "attention": (True, True)}
    base = train("stable_diffusion", data, folder / "base", text="auto", first=first, **GIVEN, **network)
    run = train("inpainting", data, folder / "run", text="auto", first={"base": base}, **GIVEN)
    model = load(run, device="cpu").model
    generator = torch.Generator().manual_seed(0)
    for name, tensor in own_tensors(model).items():
        if "denoiser.net" in name:
            tensor.add_(0.1 * torch.randn(tensor.shape, generator=generator))
    write_tensors(run / "model.safetensors", own_tensors(model), step="1")
    return run, export(run, folder / "pipeline")


def pictures(channels):
    images = np.random.default_rng(0).random((2, channels, 32, 32)).astype(np.float32)
    mask = np.zeros((2, 32, 32), bool)
    mask[0, 8:20, 4:30], mask[1, :10, 12:] = True, True  # borders are those of latents
    return images, mask


@torch.no_grad()
def test_plain_diffusers_fills_the_same_hole(exported):
    run = load(exported[0], "cpu", {"solver": "ddim", "sampling_steps": 10, "guidance_scale": 2.5})
    images, mask = pictures(run.info.channels)
    model, hole = run.model, torch.from_numpy(mask)[:, None]
    noise = ImageNoise(3, range(2))
    told = as_tensors(conditions_of(run, 2, prompt=PROMPTS).cond, run.device)
    shown = model.seen(hole, 2 * torch.from_numpy(images) - 1)
    ours = ((model.sample(2, {**told, "map": shown}, noise).clamp(-1, 1) + 1) / 2).numpy()
    with quiet():
        pipeline = StableDiffusionInpaintPipeline.from_pretrained(exported[1])
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline.unet.config.in_channels == 9
    sigma = model.ends()[1]
    latents = ImageNoise(3, range(2))(model.shape) * sigma / (1 + sigma**2) ** 0.5

    def theirs(hole):
        return pipeline(
            PROMPTS, torch.from_numpy(images), hole.float(), height=32, width=32, guidance_scale=2.5, num_inference_steps=10,
            latents=latents, output_type="np",
        ).images.transpose(0, 3, 1, 2)  # fmt: skip

    found = theirs(hole)
    assert ours.shape == found.shape and np.abs(ours - found).max() < 1e-4 and ours.std() > 0.01
    assert np.abs(found - theirs(~hole)).max() > 1e-3  # the hole is seen


def test_the_folder_edits_as_the_run_does(exported):
    run, folder = exported
    how = {"solver": "ddim", "guidance_scale": 2.5}
    mine, theirs = load(run, "cpu", how), load(f"hub:{folder}", "cpu", how)
    assert theirs.info.channels == mine.info.channels and theirs.info.recipe == "hub_inpainting"
    images, mask = pictures(mine.info.channels)
    asked = {"given": Given(mask=mask, prompt=[(text,) for text in PROMPTS]), "settings": {"steps": 10}, "seed": 3}
    a, b = (edited(one, images, "inpaint", **asked).images for one in (mine, theirs))
    outside = np.broadcast_to(~mask[:, None], images.shape)
    assert (b[outside] == images[outside]).all() and np.abs(a - b).max() < 1e-3 and (b != images).any()
    if mine.info.channels == 1:
        with pytest.raises(InputError, match="give finite ones"):
            edited(theirs, np.repeat(images, 3, 1), "inpaint", **asked)


def test_what_is_said_of_it(exported):
    card = (exported[1] / "README.md").read_text()
    assert "pipeline_tag: image-to-image" in card and "StableDiffusionInpaintPipeline.from_pretrained" in card
    code = card.split("```python\n")[1].split("```")[0].replace('"pipeline"', repr(str(exported[1])))
    with quiet():
        exec(code.replace("num_inference_steps=", "num_inference_steps=2 or "), found := {})
    assert found["filled"].shape == (32, 32, load(exported[0]).info.channels)


@pytest.mark.parametrize("exported", [1], indirect=True)
def test_what_is_no_such_pipeline_is_refused(exported, tmp_path):
    data = exported[0].parent / "data"
    network = {k: v for k, v in TOY["text_to_image"].items() if k not in ("vocabulary", "spelled_tokens")}
    base = train("text_to_image", data, tmp_path / "base", text="auto", **GIVEN, **network)
    pixels = train("inpainting", data, tmp_path / "pixels", text="auto", first={"base": base}, **GIVEN)
    with pytest.raises(
        InputError, match="fills holes in pixels, and pipelines of diffusers that do so work in latents"
    ):
        export(pixels, tmp_path / "x")
    assert not (tmp_path / "x").exists()
