"""DDIM inversion: diffusers' steps, the way back, and null-text optimisation."""

import numpy as np
import pytest
import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler

from pipelines import BETAS, piped
from told import Words, images, model
from veridical import InputError
from veridical.diffusion.deterministic import euler, invert
from veridical.diffusion.formulations import ddpm_levels
from veridical.editing.edit import Given
from veridical.editing.inversion import ddim_inversion
from veridical.editing.settings import Inversion

SAME = Given(prompt=[("two cracks",), ("no fibres",)], source_prompt=["two cracks", "no fibres"], words=Words())


def psnr(a, b):
    return -10 * np.log10(np.square(a - b).mean())


@torch.no_grad()
def test_steps_are_those_of_diffusers():
    net, words = piped()
    cond = words.cond(["two cracks", "a wave"])
    text = net.read(cond, 2).sequence
    forth, back = (
        kind(**BETAS, clip_sample=False, set_alpha_to_one=True, steps_offset=1)
        for kind in (DDIMInverseScheduler, DDIMScheduler)
    )
    forth.set_timesteps(10)
    back.set_timesteps(10)
    times = forth.timesteps.tolist()
    levels = ddpm_levels("scaled_linear")[times].flip(0)
    grid = torch.cat([levels, levels.new_zeros(1)])
    z = torch.randn(2, *net.shape, generator=torch.Generator().manual_seed(0))

    theirs, heard = (
        z,
        [times[0], *times[:-1]],
    )  # the paper asks at the level where an image is, their pipeline at the next
    for now, then in zip(heard, times, strict=True):
        theirs = forth.step(net.unet(theirs, now, encoder_hidden_states=text).sample, then, theirs).prev_sample
    path = invert(net.denoise, z, grid, cond)
    # At level 0 the network sees the same image in both forms, but for what is left of it at the first level.
    torch.testing.assert_close(path[0] / (1 + grid[0].float() ** 2).sqrt(), theirs, atol=2e-3, rtol=0)

    x = theirs
    for now in back.timesteps:
        x = back.step(net.unet(x, now, encoder_hidden_states=text).sample, now, x).prev_sample
    ours = euler(net.denoise, theirs * (1 + grid[0].float() ** 2).sqrt(), grid, cond)
    torch.testing.assert_close(ours, x, atol=2e-4, rtol=0)


@pytest.mark.parametrize("latent", [False, True])
def test_equal_prompts_return_the_image(latent):
    told, before = model(latent), images()
    told.sampling = type(told.sampling)(guidance_scale=1.0)
    plain, corrected = (
        ddim_inversion(told, before, SAME, Inversion(steps=25, corrections=k), size=32).images for k in (0, 6)
    )
    assert psnr(plain, before) > 20
    assert psnr(corrected, before) > max(50, psnr(plain, before) + 10)


@pytest.mark.parametrize("latent", [False, True])
def test_null_text_undoes_guidance(latent):
    told, before = model(latent), images()
    settings = {"steps": 10, "corrections": 4}
    guided, learned = (
        ddim_inversion(told, before, SAME, Inversion(**settings, null_text=k), size=32).images for k in (0, 20)
    )
    assert psnr(learned, before) > psnr(guided, before) + 3


@pytest.mark.parametrize("null_text", [0, 2])
def test_an_image_does_not_depend_on_the_others(null_text):
    told, before = model(False), images(size=40)
    settings = Inversion(steps=4, null_text=null_text)
    given = Given(prompt=[("no fibres",), ("two cracks",)], source_prompt=["two cracks", "binder"], words=Words())
    both = ddim_inversion(told, before, given, settings, size=32).images
    one = Given(prompt=given.prompt[1:], source_prompt=given.source_prompt[1:], words=Words())
    alone = ddim_inversion(told, before[1:], one, settings, size=32, numbers=[1]).images
    np.testing.assert_allclose(both[1:], alone, atol=1e-4)
    assert np.abs(both - before).mean() > 1e-3


def test_a_model_without_words_has_none_to_learn():
    told, before = model(False, words=False), images()
    assert psnr(ddim_inversion(told, before, Given(), Inversion(steps=25, corrections=6), size=32).images, before) > 50
    with pytest.raises(InputError, match="null_text learns a text, and this model hears none"):
        ddim_inversion(told, before, Given(), Inversion(null_text=1), size=32)
