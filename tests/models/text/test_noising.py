"""Embeddings between others, and with noise, as diffusers' Stable unCLIP has it."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from veridical.models.text.noising import Normaliser, between, noised, random_level


def test_noise_is_that_of_diffusers():
    pipelines = pytest.importorskip("diffusers.pipelines.stable_diffusion.pipeline_stable_unclip")
    from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    torch.manual_seed(0)
    z, noise = 0.1 + 0.05 * torch.randn(64, 16), torch.randn(64, 16)
    mine = Normaliser(16)
    mine.measure(z)
    theirs = StableUnCLIPImageNormalizer(16)
    theirs.mean.data, theirs.std.data = mine.mean[None], mine.deviation[None]
    pipeline = SimpleNamespace(
        image_normalizer=theirs, image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    )
    for level in (0, 250, 999):
        with torch.no_grad():
            expected = pipelines.StableUnCLIPPipeline.noise_image_embeddings(pipeline, z, level, noise)
        found = noised(mine(z), torch.full((64,), level), noise)
        torch.testing.assert_close(
            torch.cat([mine.inverse(found[:, :16]), found[:, 16:]], 1), expected, atol=2e-5, rtol=1e-4
        )


def test_every_level_is_drawn():
    levels = random_level(torch.rand(100_000, generator=torch.Generator().manual_seed(0)))
    assert levels.min() == 0 and levels.max() == 999
    assert random_level(torch.tensor([1 - 2**-24])).item() == 999


def test_the_way_between_is_an_arc_of_even_steps():
    torch.manual_seed(0)
    a, b = F.normalize(torch.randn(2, 8), dim=-1)
    way = between(a.expand(5, -1), b.expand(5, -1), torch.linspace(0, 1, 5))
    torch.testing.assert_close(way.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(way[[0, -1]], torch.stack([a, b]))
    steps = (way[1:] * way[:-1]).sum(1).acos()
    torch.testing.assert_close(steps, ((a * b).sum().acos() / 4).expand(4), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(between(a[None], a[None], torch.tensor([0.5]))[0], a)
