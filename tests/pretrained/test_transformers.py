"""Pipelines with a transformer in place of a U-Net draw and edit as diffusers' own do, from the same noise."""

import json

import numpy as np
import pytest
import torch
from diffusers import (
    DiTPipeline,
    FluxImg2ImgPipeline,
    FluxPipeline,
    StableDiffusion3Img2ImgPipeline,
    StableDiffusion3Pipeline,
)

from pipelines import components_dit, components_flux, components_sd3, loaded, written
from veridical import InputError, draw, load, sample
from veridical.core import memory
from veridical.core.batch import ImageNoise
from veridical.diffusion.solvers import ddim
from veridical.editing.edit import Given
from veridical.editing.folder import edited
from veridical.editing.space import Space
from veridical.models.contract import Attending
from veridical.pretrained.folder import find
from veridical.pretrained.settings import Loading
from veridical.runs.adapted import can_adapt
from veridical.server.served import Served

PROMPTS = ["two cracks in the fibre", "a wave"]
STEPS, SIZE, SHAPE = 4, 32, (4, 16, 16)
SD3 = {"guidance_scale": 3.0, "sampling_steps": STEPS}
FLUX = {"sampling_steps": STEPS, "side": SIZE, "text_tokens": 16}
BOTH = pytest.mark.parametrize("kind", ["sd3", "flux"])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of each of them."""
    folder = tmp_path_factory.mktemp("transformers")
    written(folder / "sd3", components_sd3(), StableDiffusion3Pipeline)
    written(folder / "flux", components_flux(), FluxPipeline)
    written(folder / "dit", components_dit(), DiTPipeline)
    index = folder / "dit" / "model_index.json"
    names = {k: f"tench {k}, Tinca {k}" for k in range(1000)}
    index.write_text(json.dumps(json.loads(index.read_text()) | {"id2label": names}))
    return folder


def opened(place, kind, **settings):
    return load(
        f"hub:{place / kind}", "cpu", {"sd3": SD3, "flux": FLUX, "dit": {"sampling_steps": STEPS}}[kind] | settings
    )


def theirs(kind, place, *args, made=None, **keywords):
    pipeline = kind.from_pretrained(place, **(made or {}))
    pipeline.set_progress_bar_config(disable=True)
    given = {"num_inference_steps": STEPS, "output_type": "np"} | keywords
    return pipeline(*args, **given).images.transpose(0, 3, 1, 2)


def packed(latents):
    return FluxPipeline._pack_latents(latents, len(latents), *SHAPE)


def near(a, b):
    assert a.shape == b.shape and np.abs(a - b).max() < 1e-4 and a.std() > 0.01


def pictures(n=2, size=SIZE):
    return np.random.default_rng(0).random((n, 3, size, size)).astype(np.float32)


MORE = {"inpaint": {"resamplings": 1}, "outpaint": {"resamplings": 1, "left": 8}}
LATENTS = ImageNoise(3, range(2))(SHAPE)


def test_stable_diffusion_3(place):
    images = draw(opened(place, "sd3"), 2, seed=3, prompt=PROMPTS, negative_prompt="three kinds")
    given = {"latents": LATENTS, "guidance_scale": 3.0, "negative_prompt": ["three kinds"] * 2}
    near(images, theirs(StableDiffusion3Pipeline, place / "sd3", PROMPTS, **given))
    assert np.abs(images - draw(opened(place, "sd3"), 2, seed=3, prompt=PROMPTS)).max() > 1e-3
    short = draw(opened(place, "sd3", text_tokens=20), 2, seed=3, prompt=PROMPTS, negative_prompt="three kinds")
    near(short, theirs(StableDiffusion3Pipeline, place / "sd3", PROMPTS, max_sequence_length=20, **given))


@pytest.mark.parametrize("flow", [{"use_dynamic_shifting": True}, {"shift": 1.0, "use_beta_sigmas": True}])
def test_stable_diffusion_3_without_t5_and_with_other_times(tmp_path, flow):
    bare = {"text_encoder_3": None, "tokenizer_3": None}
    run = loaded(tmp_path / "p", components_sd3(**flow) | bare, StableDiffusion3Pipeline, **SD3)
    images, given = draw(run, 2, seed=3, prompt=PROMPTS), {"latents": LATENTS, "guidance_scale": 3.0}
    near(images, theirs(StableDiffusion3Pipeline, tmp_path / "p", PROMPTS, made=bare, **given))
    left_out = loaded(tmp_path / "whole", components_sd3(**flow), StableDiffusion3Pipeline, t5=False, **SD3)
    np.testing.assert_array_equal(draw(left_out, 2, seed=3, prompt=PROMPTS), images)


def test_flux_is_told_its_guidance(place):
    given = {"latents": packed(LATENTS), "height": SIZE, "width": SIZE, "max_sequence_length": 16}
    images = draw(opened(place, "flux", embedded_guidance=2.0), 2, seed=3, prompt=PROMPTS)
    near(images, theirs(FluxPipeline, place / "flux", PROMPTS, guidance_scale=2.0, **given))
    assert np.abs(images - draw(opened(place, "flux"), 2, seed=3, prompt=PROMPTS)).max() > 1e-4
    images = draw(opened(place, "flux", guidance_scale=2.0), 2, seed=3, prompt=PROMPTS, negative_prompt="a wave")
    negative = {"negative_prompt": ["a wave"] * 2, "true_cfg_scale": 2.0}
    near(images, theirs(FluxPipeline, place / "flux", PROMPTS, **negative, **given))


def test_flux_without_guidance(tmp_path):
    run = loaded(tmp_path / "p", components_flux(guided=False), FluxPipeline, **FLUX)
    given = {"latents": packed(LATENTS), "height": SIZE, "width": SIZE, "max_sequence_length": 16}
    near(draw(run, 2, seed=3, prompt=PROMPTS), theirs(FluxPipeline, tmp_path / "p", PROMPTS, **given))
    assert load(f"hub:{tmp_path / 'p'}", "cpu").info.size == 256  # 128 latents, as diffusers has it


@torch.no_grad()
@BOTH
def test_image_to_image(place, kind):
    run = opened(place, kind, sampling_steps=10)
    images, model = pictures(1), run.model
    pipeline = {"sd3": StableDiffusion3Img2ImgPipeline, "flux": FluxImg2ImgPipeline}[kind]
    more = {"guidance_scale": {"sd3": 3.0, "flux": 3.5}[kind]}
    more |= {} if kind == "sd3" else {"max_sequence_length": 16}
    expected = theirs(
        pipeline, place / kind, PROMPTS[:1], image=torch.from_numpy(images), strength=0.6, num_inference_steps=10, height=SIZE,
        width=SIZE, generator=torch.Generator().manual_seed(0), **more,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    _, noise = (torch.randn(1, *SHAPE, generator=generator) for _ in range(2))  # the first is of the VAE's draw
    space, grid = Space(model, images.shape, SIZE), model.grid()[4:]
    x = space.encode(images) + grid[0].item() * noise
    near(space.decode(ddim(space.guided(), x, grid, model.hear(run.pipeline.words.cond(PROMPTS[:1]), 1))), expected)


@torch.no_grad()
def test_dit_draws_classes(place):
    run = opened(place, "dit", guidance_scale=3.0)
    generator = torch.Generator().manual_seed(3)
    expected = theirs(DiTPipeline, place / "dit", [5, 999], guidance_scale=3.0, generator=generator)
    noise, model = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(3)), run.model
    x = model.start(lambda shape: noise, model.grid()[0].item())
    made = model.decode(model.solved(model.guided(), x, {"label": torch.tensor([5, 999])}, None))
    near(((made + 1) / 2).clamp(0, 1).numpy(), expected)
    images = draw(run, 2, seed=3, label="Tinca 5, 7")
    np.testing.assert_allclose(images[:1], draw(run, 1, seed=3, label=["5"]), atol=1e-5)
    assert np.abs(images - draw(run, 2, seed=3, label="6,7")).max() > 1e-3
    for asked, said in (
        ({}, "draws classes: give --label, a number from 0 to 999 or a name"),
        (
            {"label": "a wave"},
            "label=a wave is no class of this pipeline: give a number from 0 to 999, or a name such as tench",
        ),
        ({"label": "1000"}, "is no class"),
        ({"prompt": "a wave"}, "draws classes and takes no prompt: leave out --prompt"),
    ):
        with pytest.raises(InputError, match=said):
            draw(run, 1, **asked)
    with pytest.raises(InputError, match="draws images of 32 pixels alone: leave out side=64"):
        opened(place, "dit", side=64)
    with pytest.raises(InputError, match="hears no texts: leave out text_tokens"):
        opened(place, "dit", text_tokens=16)


def test_dit_as_the_first_folders_call_it(tmp_path):
    folder = written(tmp_path / "p", components_dit(), DiTPipeline)
    for path, change in (
        (folder / "model_index.json", {"transformer": ["diffusers", "Transformer2DModel"]}),
        (folder / "transformer" / "config.json", {"_class_name": "Transformer2DModel", "num_vector_embeds": None}),
    ):
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    sample(f"hub:{folder}", 1, tmp_path / "out", label="3", settings={"sampling_steps": 2}, quiet=True)
    record = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert record["images"][0]["condition"] == {"label": "3"} and record["recipe"] == "hub_dit"


@BOTH
@pytest.mark.parametrize("how", ["sdedit", "inpaint", "outpaint", "ddim_inversion", "diffedit"])
def test_edits(place, kind, how):
    run, images = opened(place, kind), pictures(1, 40)
    mask = np.zeros((1, 40, 40), bool)
    mask[:, 8:24, 8:24] = True
    words = {
        "prompt": [(PROMPTS[0],)],
        **({"source_prompt": ["a wave"]} if how in ("diffedit", "ddim_inversion") else {}),
    }
    given = Given(**words, **({"mask": mask} if how not in ("ddim_inversion", "outpaint") else {}))
    made = edited(run, images, how, given=given, settings={"steps": 3} | MORE.get(how, {})).images
    if how == "outpaint":
        beside, made = made[..., :8], made[..., 8:]
        assert beside.std() > 0.01 and (made == images).all()
        return
    assert made.shape == images.shape and np.isfinite(made).all() and np.abs(made - images).max() > 0.01
    if how == "inpaint":
        assert (made[:, :, ~mask[0]] == images[:, :, ~mask[0]]).all()


def test_an_image_comes_back_from_its_noise(place):
    """As far as the VAE has it: a network with random weights is no smooth flow."""
    run, images = opened(place, "sd3", guidance_scale=1.0), pictures(1)
    space = Space(run.model, images.shape, SIZE)
    made = edited(run, images, "ddim_inversion", settings={"steps": 30, "strength": 1.0, "corrections": 4}).images
    assert np.abs(made - space.decode(space.encode(images))).max() < 0.01


def test_dit_edits_without_words(place):
    run, images = opened(place, "dit"), pictures(1)
    assert np.abs(edited(run, images, "sdedit", settings={"steps": 2}).images - images).max() > 0.01
    mask = np.zeros((1, SIZE, SIZE), bool)
    mask[:, 8:24, 8:24] = True
    for how, given in (("inpaint", Given(mask)), ("outpaint", Given()), ("ddim_inversion", Given())):
        made = edited(run, images, how, given=given, settings={"steps": 2} | MORE.get(how, {})).images
        made = made[..., made.shape[-1] - SIZE :]
        assert np.isfinite(made).all() and (how == "ddim_inversion" or (made == images)[:, :, ~mask[0]].all())
        assert (how == "outpaint") == (made == images).all()
    with pytest.raises(InputError, match="hears no words: leave the prompts out"):
        edited(run, images, "sdedit", given=Given(prompt=[("a wave",)]))
    served = Served("dit", run)
    assert served.routes == ["generations", "edits"] and "ledits" not in served.hows and "sdedit" in served.hows


def test_what_goes_by_the_attention_to_words_is_refused(place):
    run = opened(place, "sd3")
    assert not can_adapt(run.model) and not isinstance(run.model, Attending) and "diffedit" in Served("sd3", run).hows
    refused = {"ledits": "to them and to places at once", "prompt_to_prompt": "attends to words by themselves"}
    for how, said in refused.items():
        with pytest.raises(InputError, match=said):
            given = Given(prompt=[("a wave",)], source_prompt=["two cracks"])
            edited(run, pictures(1), how, given=given, settings={"steps": 2})
    for how, said in (
        ("variation", "embedding of an image"),
        ("instruct_pix2pix", "not trained to follow instructions"),
    ):
        with pytest.raises(InputError, match=said):
            edited(run, pictures(1), how, given=Given(prompt=[("a wave",)] if how != "variation" else None))


@BOTH
def test_image_k_depends_on_its_number_alone_and_parts_take_turns(place, kind):
    plain = draw(opened(place, kind), 2, seed=1, prompt="a wave")
    np.testing.assert_allclose(
        draw(opened(place, kind, offload=True), 2, seed=1, prompt="a wave", batch=1), plain, atol=1e-5
    )
    short = opened(place, kind, dtype="bfloat16")
    assert short.model.transformer.dtype == torch.bfloat16 and short.model.vae.dtype == torch.float32
    assert np.abs(draw(short, 2, seed=1, prompt="a wave") - plain).mean() < 0.05


@pytest.fixture(scope="module")
def finer(place):
    """An image of twice as many steps."""
    return draw(opened(place, "sd3", sampling_steps=40, guidance_scale=1.0), 1, prompt="a wave")


@pytest.mark.parametrize("solver", ["euler", "heun", "midpoint", "dpm_solver_pp_2m", "unipc", "sde_dpm_solver_pp_2m"])
def test_solvers(place, finer, solver):
    """Each begins where it keeps digits of the image, and leads to about the same place; other images differ by 0.15."""
    how = {"sampling_steps": 20, "guidance_scale": 1.0, "solver": solver}
    drawn = draw(opened(place, "sd3", **how), 1, prompt="a wave")
    assert np.abs(drawn - finer).mean() < (0.04 if not solver.startswith("sde") else 0.3)


@pytest.mark.parametrize(
    ("kind", "parts"), [("sd3", components_sd3), ("flux", components_flux), ("dit", components_dit)]
)
def test_memory_is_that_of_all_parts(place, kind, parts, monkeypatch):
    found = find(f"hub:{place / kind}", Loading())
    modules = [part for part in parts().values() if isinstance(part, torch.nn.Module)]
    kept = [{t.data_ptr(): t for t in part.state_dict().values()} for part in modules]
    need = 4 * sum(t.numel() for part in kept for t in part.values())
    assert need == 4 * sum(part.numbers for part in found.parts.values())
    monkeypatch.setattr(memory, "free_memory", lambda device: need - 1)
    with pytest.raises(InputError, match="GiB of memory for its weights on cpu"):
        opened(place, kind)


def test_what_does_not_fit_is_refused(tmp_path):
    folder = written(tmp_path / "p", components_flux(), FluxPipeline)

    def refused(said, **settings):
        with pytest.raises(InputError, match=said) as caught:
            load(f"hub:{folder}", "cpu", settings)
        assert len(str(caught.value).splitlines()) == 1

    refused("side=33 cannot be: give a multiple of 4 pixels", side=33)
    refused("to which no ControlNet is added", controlnet=str(folder))
    refused("without T5 it draws nothing: leave out t5", t5=False)
    refused("has no ControlNet, which hint=canny is for", hint="canny")
    index = folder / "model_index.json"
    good = index.read_text()
    for change, said in (
        (
            {"transformer": ["diffusers", "PixArtTransformer2DModel"]},
            "give one with a FluxTransformer2DModel",
        ),
        ({"text_encoder_2": ["transformers", "CLIPTextModel"]}, "give one with a T5EncoderModel"),
        ({"tokenizer_2": [None, None]}, "has no part tokenizer_2"),
    ):
        index.write_text(json.dumps(json.loads(good) | change))
        refused(said)
    index.write_text(good)
    scheduler = folder / "scheduler" / "scheduler_config.json"
    kept = scheduler.read_text()
    scheduler.write_text(json.dumps(json.loads(kept) | {"stochastic_sampling": True}))
    refused("without stochastic_sampling and invert_sigmas")
    scheduler.write_text(kept)
    config = folder / "transformer" / "config.json"
    whole = config.read_text()
    config.write_text(json.dumps(json.loads(config.read_text()) | {"in_channels": 4}))
    refused("copy the whole pipeline|is damaged, or its config is that of other weights")
    config.write_text(whole)
    (folder / "tokenizer_2" / "tokenizer.json").unlink()
    refused("tokenizer_2 holds no words, none of tokenizer.json")
    (folder / "tokenizer_2" / "spiece.model").write_bytes(b"x")
    refused("tokenizer_2 cannot be loaded")
