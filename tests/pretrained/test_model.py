"""Pipelines that are read from disk draw and edit as diffusers' own do, from the same noise."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import (
    ControlNetModel,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    StableUnCLIPImg2ImgPipeline,
)
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
from PIL import Image
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from pipelines import BETAS, SIZE, WIDTH, components, components_xl, loaded, scheduler
from veridical import InputError, draw
from veridical.core.batch import ImageNoise
from veridical.diffusion.solvers import euler
from veridical.editing.edit import Given
from veridical.editing.folder import edited
from veridical.editing.inpaint import _seen
from veridical.editing.settings import Settings
from veridical.editing.space import Space
from veridical.pretrained.hints import drawn_hints

PROMPTS = ["two cracks in the fibre", "a wave"]
STEPS = 4


def ours_and_theirs(folder, parts, kind=StableDiffusionPipeline, **settings):
    how = {"guidance_scale": 3.0, "sampling_steps": STEPS} | settings
    pipeline = kind(**parts)
    pipeline.set_progress_bar_config(disable=True)
    return loaded(folder, parts, kind, **how), pipeline


def latents(n=2, seed=3, shape=(4, SIZE // 2, SIZE // 2)):
    return ImageNoise(seed, range(n))(shape)


def drawn(pipeline, *args, **keywords):
    given = {"guidance_scale": 3.0, "num_inference_steps": STEPS, "output_type": "np"} | keywords
    return pipeline(*args, **given).images.transpose(0, 3, 1, 2)


def near(a, b):
    assert a.shape == b.shape and np.abs(a - b).max() < 1e-4 and a.std() > 0.01


def pictures(n=2, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 3, SIZE, SIZE)).astype(np.float32) / 255


@pytest.mark.parametrize(
    ("prediction", "spacing"), [("epsilon", "leading"), ("v_prediction", "trailing"), ("sample", "leading")]
)
def test_text_to_image(tmp_path, prediction, spacing):
    kind = scheduler(prediction_type=prediction, timestep_spacing=spacing)
    run, pipeline = ours_and_theirs(tmp_path / "p", components() | {"scheduler": kind})
    images = draw(run, 2, seed=3, prompt=PROMPTS, negative_prompt="three kinds")
    near(images, drawn(pipeline, PROMPTS, negative_prompt=["three kinds"] * 2, latents=latents()))
    assert np.abs(images - draw(run, 2, seed=3, prompt=PROMPTS[::-1])).max() > 1e-3  # words are heard


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_dpm_solver(tmp_path, spacing):
    kind = DPMSolverMultistepScheduler(**BETAS, timestep_spacing=spacing, steps_offset=1)
    parts = components() | {"scheduler": kind}
    run, pipeline = ours_and_theirs(tmp_path / "p", parts, solver="dpm_solver_pp_2m", sampling_steps=6)
    theirs = drawn(pipeline, PROMPTS, latents=latents(), num_inference_steps=6)
    near(draw(run, 2, seed=3, prompt=PROMPTS), theirs)


def test_stable_diffusion_xl(tmp_path):
    run, pipeline = ours_and_theirs(tmp_path / "p", components_xl(), StableDiffusionXLPipeline)
    near(draw(run, 2, seed=3, prompt=PROMPTS), drawn(pipeline, PROMPTS, latents=latents()))


@torch.no_grad()
def test_image_to_image(tmp_path):
    run, pipeline = ours_and_theirs(tmp_path / "p", components(), StableDiffusionImg2ImgPipeline, sampling_steps=10)
    images, model = pictures(1), run.model
    theirs = drawn(
        pipeline, PROMPTS[:1], image=torch.from_numpy(images), strength=0.6, num_inference_steps=10,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    space, grid = Space(model, images.shape, SIZE), model.grid()[4:]
    generator = torch.Generator().manual_seed(0)
    _, noise = (torch.randn(1, *model.shape, generator=generator) for _ in range(2))  # the first is of the VAE's draw
    cond = model.hear(run.pipeline.words.cond(PROMPTS[:1]), 1)
    x = space.encode(images) + grid[0].item() * noise
    near(space.decode(euler(space.guided(), x, grid, cond)), theirs)


@torch.no_grad()
def test_inpainting_with_a_network_that_sees_the_hole(tmp_path):
    run, pipeline = ours_and_theirs(tmp_path / "p", components(beside=5), StableDiffusionInpaintPipeline)
    images, model = pictures(2), run.model
    hole = np.zeros((2, SIZE, SIZE), bool)
    hole[:, 16:48, 8:40] = True
    level = model.grid()[0].item()
    theirs = drawn(
        pipeline, PROMPTS, image=torch.from_numpy(images), mask_image=torch.from_numpy(hole[:, None]).float(),
        latents=latents(seed=5) * level / (1 + level**2) ** 0.5, height=SIZE, width=SIZE,
    )  # fmt: skip
    space = Space(model, images.shape, SIZE)
    cond = model.hear(run.pipeline.words.cond(PROMPTS), 2)
    made = _seen(model, space, images, hole, cond, Settings(steps=STEPS), ImageNoise(5, range(2)), True)
    near(made, theirs)
    given = Given(mask=hole, prompt=[(text,) for text in PROMPTS])
    kept = edited(run, images, "inpaint", given=given, settings={"steps": 2}).images
    outside = np.broadcast_to(~hole[:, None], images.shape)
    assert (kept[outside] == images[outside]).all() and (kept != images).any()
    with pytest.raises(InputError, match="draws none of its own: use veridical edit --how inpaint"):
        draw(run, 1, prompt="a wave")


@torch.no_grad()
def test_instruct_pix2pix(tmp_path):
    run, pipeline = ours_and_theirs(tmp_path / "p", components(beside=4), StableDiffusionInstructPix2PixPipeline)
    images, level = pictures(2), run.model.grid()[0].item()
    theirs = drawn(
        pipeline, PROMPTS, image=torch.from_numpy(images), image_guidance_scale=1.5,
        latents=latents() * level / (1 + level**2) ** 0.5,
    )  # fmt: skip
    given = Given(prompt=[(text,) for text in PROMPTS])
    near(edited(run, images, "instruct_pix2pix", given=given, settings={"steps": STEPS}, seed=3).images, theirs)


@pytest.mark.long
def test_controlnet_in_the_folder_and_beside_it(tmp_path):
    parts = components()
    torch.manual_seed(1)
    control = ControlNetModel.from_unet(parts["unet"], conditioning_embedding_out_channels=(16, 32)).eval()
    for parameter in control.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    run, pipeline = ours_and_theirs(tmp_path / "p", parts | {"controlnet": control}, StableDiffusionControlNetPipeline)
    hints = pictures(2, seed=1)
    folder = tmp_path / "hints"
    folder.mkdir()
    for k, hint in enumerate(hints):
        Image.fromarray(np.rint(255 * hint.transpose(1, 2, 0)).astype(np.uint8)).save(folder / f"{k}.png")
    images = draw(run, 2, seed=3, prompt=PROMPTS, source=str(folder))
    theirs = drawn(pipeline, PROMPTS, image=torch.from_numpy(hints), latents=latents())
    near(images, theirs)
    control.save_pretrained(tmp_path / "control")
    beside = loaded(
        tmp_path / "base", parts, guidance_scale=3.0, sampling_steps=STEPS, controlnet=str(tmp_path / "control")
    )
    near(draw(beside, 2, seed=3, prompt=PROMPTS, source=str(folder)), theirs)
    with pytest.raises(InputError, match="told by pictures where things lie: give them with --source"):
        draw(beside, 1, prompt="a wave")
    edges = drawn_hints("canny", pictures(2))
    given = Given(prompt=[(text,) for text in PROMPTS], hint=edges)
    how = {"settings": {"steps": STEPS, "strength": 1.0}, "seed": 3}
    steered = edited(beside, pictures(2), "ddim_inversion", given=given, **how).images
    plain = edited(beside, pictures(2), "ddim_inversion", given=replace(given, hint=None), **how).images
    assert np.abs(steered - plain).max() > 1e-3 and beside.model._hint is None
    with pytest.raises(InputError, match="inpaint is not steered by hints here: leave out --set hint, or use sdedit"):
        edited(beside, pictures(2), "inpaint", given=replace(given, mask=np.ones((2, SIZE, SIZE), bool)))
    beside.model.sampling = replace(beside.model.sampling, strength=0.0)
    assert np.abs(draw(beside, 2, seed=3, prompt=PROMPTS, source=str(folder)) - images).max() > 1e-3
    unsteered = edited(beside, pictures(2), "ddim_inversion", given=given, **how).images
    np.testing.assert_array_equal(unsteered, plain)


@torch.no_grad()
def test_stable_unclip(tmp_path):
    parts = components(class_embed_type="projection", projection_class_embeddings_input_dim=2 * WIDTH)
    config = CLIPVisionConfig(
        hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=SIZE, patch_size=16,
        projection_dim=WIDTH,
    )  # fmt: skip
    normaliser = StableUnCLIPImageNormalizer(embedding_dim=WIDTH)
    normaliser.mean.data.normal_()
    parts = {k: v for k, v in parts.items() if k not in ("safety_checker", "requires_safety_checker")} | {
        "image_encoder": CLIPVisionModelWithProjection(config).eval(), "image_normalizer": normaliser,
        "image_noising_scheduler": DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        "feature_extractor": CLIPImageProcessor(size={"shortest_edge": SIZE}, crop_size=SIZE),
    }  # fmt: skip
    run, pipeline = ours_and_theirs(tmp_path / "p", parts, StableUnCLIPImg2ImgPipeline, noise_level=200)
    images, model = pictures(1), run.model
    shown = Image.fromarray(np.rint(255 * images[0].transpose(1, 2, 0)).astype(np.uint8))
    theirs = drawn(
        pipeline,
        shown,
        prompt="a wave",
        noise_level=200,
        latents=latents(1),
        generator=torch.Generator().manual_seed(0),
    )
    fresh = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(0))
    z = model.embed(2 * torch.from_numpy(images) - 1)
    cond = model.hear(run.pipeline.words.cond(["a wave"]), 1) | model.heard(z, lambda shape: fresh)
    level = model.grid()[0].item()
    decoder = model.decoder
    x = decoder.solved(decoder.guided(), (1 + level**2) ** 0.5 * latents(1), cond, None)
    near(((decoder.decode(x) + 1) / 2).clamp(0, 1).numpy(), theirs)
    varied = edited(run, images, "variation", settings={"steps": 2}).images
    assert varied.shape == images.shape and np.abs(varied - images).mean() > 0.01
    with pytest.raises(InputError, match="draws variations of images: use veridical edit --how variation"):
        draw(run, 1, prompt="a wave")


def test_image_k_depends_on_its_number_alone(tmp_path):
    run = loaded(tmp_path / "p", sampling_steps=2)
    both = draw(run, 3, prompt="a wave", seed=1)
    np.testing.assert_allclose(draw(run, 3, prompt="a wave", seed=1, batch=1), both, atol=1e-5)


def test_parts_take_turns_on_the_device(tmp_path):
    """On a CPU nothing moves, but the same calls are made and the images are the same."""
    plain, turning = (loaded(tmp_path / str(k), sampling_steps=2, offload=k) for k in (False, True))
    np.testing.assert_array_equal(draw(plain, 1, prompt="a wave"), draw(turning, 1, prompt="a wave"))
    short = loaded(tmp_path / "short", sampling_steps=2, dtype="bfloat16")
    assert short.model.unet.dtype == torch.bfloat16 and short.model.vae.dtype == torch.float32
    assert np.abs(draw(short, 1, prompt="a wave") - draw(plain, 1, prompt="a wave")).mean() < 0.05
