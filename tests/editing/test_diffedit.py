"""DiffEdit: diffusers' masks and results, masks that are given or empty."""

from dataclasses import replace
from itertools import cycle, pairwise

import numpy as np
import pytest
import torch
from diffusers import DDIMInverseScheduler, StableDiffusionDiffEditPipeline

from pipelines import BETAS, components, piped
from told import Words, images, model
from veridical import InputError
from veridical.diffusion.deterministic import invert
from veridical.diffusion.formulations import ddpm_levels
from veridical.diffusion.guidance import classifier_free
from veridical.diffusion.inversion import masked_euler
from veridical.diffusion.semantic import contrast, relative
from veridical.editing.diffedit import diffedit
from veridical.editing.edit import Given
from veridical.editing.settings import DiffEdit

SOURCE, TARGET = "two cracks", "a wave without fibre"
GIVEN = Given(prompt=[("no fibres",), ("two cracks",)], source_prompt=["two cracks", "two cracks"], words=Words())
QUICK = DiffEdit(steps=6, draws=2, smoothing=0, strength=0.8)


@torch.no_grad()
def test_mask_and_result_are_those_of_diffusers():
    net, words = piped()
    pipeline = StableDiffusionDiffEditPipeline(
        **components(),
        inverse_scheduler=DDIMInverseScheduler(**BETAS, clip_sample=False, set_alpha_to_one=True, steps_offset=1),
    )
    pipeline.set_progress_bar_config(disable=True)
    z = torch.randn(1, *net.shape, generator=torch.Generator().manual_seed(0))
    source, target = (net.hear(words.cond([text]), 1) for text in (SOURCE, TARGET))

    # Four channels are latents to the pipeline. Of ten steps at half strength the first is the sixth: step 401 of the thousand.
    pipeline.image_processor.preprocess = lambda image, **_: image
    theirs = pipeline.generate_mask(
        z, TARGET, source_prompt=SOURCE, num_inference_steps=10, guidance_scale=3.0,
        generator=torch.Generator().manual_seed(1), output_type="np",
    )  # fmt: skip
    noise = cycle(torch.randn(10, *net.shape, generator=torch.Generator().manual_seed(1))[:, None])
    levels = ddpm_levels("scaled_linear")
    found = contrast(net.denoise, z, levels[401], source, target, lambda: next(noise), 10)
    inside = relative(found, 3.0) > 0.5
    assert 2 < inside.sum() < 500 and (inside.numpy() == theirs).all()

    inside = (torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(2)) > 0.5).float()
    times = [1, 101, 201, 301, 401]
    grid = torch.cat([levels[times].flip(0), levels.new_zeros(1)])
    path = invert(net.denoise, z, grid, source)
    left = [(1 + level**2).rsqrt().float() * x for level, x in zip(grid, path, strict=True)]
    theirs = pipeline(
        TARGET, mask_image=inside, image_latents=torch.stack(left[:-1], 1), inpaint_strength=0.5,
        num_inference_steps=10, guidance_scale=3.0, output_type="latent",
    ).images  # fmt: skip
    # They put back outside what stood there a level before, and at the end not the image but the level before it.
    ends = pairwise((1 + grid**2).sqrt().tolist())
    late = [path[0], *(x / now * then for x, (now, then) in zip(path[:-1], ends, strict=True))]
    ours = masked_euler(classifier_free(net.denoise, 3.0, key="spelled"), late, grid, inside, target)
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=0)
    right = masked_euler(net.denoise, path, grid, inside, target)
    outside = inside.expand_as(z) == 0
    assert (right[outside] == z[outside]).all() and (right - z).abs().mean() > 0.01


@pytest.mark.parametrize("latent", [False, True])
def test_equal_prompts_find_no_mask(latent):
    before = images()
    given = replace(GIVEN, prompt=[("two cracks",)] * 2)
    made = diffedit(model(latent), before, given, QUICK, size=32)
    assert not made.mask.any() and (made.maps["difference"] == 0).all()
    np.testing.assert_allclose(made.images, before, atol=1e-5)


@pytest.mark.parametrize("latent", [False, True])
def test_an_image_changes_under_its_mask(latent):
    before = images()
    made = diffedit(model(latent), before, GIVEN, QUICK, size=32)
    assert made.mask[0].any() and not made.mask[1].any()
    changed = np.abs(made.images - before)[:, 0] > 1e-5
    assert changed[0].any() and not (changed & ~made.mask).any()
    assert made.maps["difference"].shape == (2, 32, 32) and made.maps["difference"].max() > 0.5


def test_a_given_mask_takes_the_place_of_the_found_one():
    before, mask = images(), np.zeros((2, 32, 32), bool)
    mask[:, 8:16, 4:20] = True
    made = diffedit(model(False), before, replace(GIVEN, mask=mask), QUICK, size=32)
    assert (made.mask == mask).all() and not made.maps
    changed = np.abs(made.images - before)[:, 0] > 1e-5
    assert changed[0][mask[0]].mean() > 0.9 and not changed[~mask].any()


def test_an_image_does_not_depend_on_the_others():
    before = images(size=40)
    given = replace(GIVEN, prompt=[("no fibres",), ("binder",)])
    both = diffedit(model(False), before, given, QUICK, size=32)
    one = replace(given, prompt=given.prompt[1:], source_prompt=given.source_prompt[1:])
    alone = diffedit(model(False), before[1:], one, QUICK, size=32, numbers=[1])
    assert (both.mask[1:] == alone.mask).all() and alone.mask.any()
    np.testing.assert_allclose(both.images[1:], alone.images, atol=1e-4)


def test_a_model_without_words_compares_none():
    with pytest.raises(InputError, match="diffedit compares two texts, and this model hears none"):
        diffedit(model(False, words=False), images(), Given(), QUICK, size=32)
