"""The space that edits work in: to it and back, masks and maps of it, for any size."""

import numpy as np
import pytest
import torch
from torch import nn

from veridical import InputError
from veridical.diffusion.formulations import SIGMA_DATA
from veridical.editing.space import Space
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.latent import LatentDiffusion
from veridical.models.diffusion.settings import Network, Sampling

TOY = Network(widths=(16, 32), layers=1, attention=(False, True), patch=1)


class Means(nn.Module):
    """A first stage: means of 4 x 4 pixels, and squares of them."""

    shape = (1, 4, 4)

    def encode(self, x):
        return nn.functional.avg_pool2d(x, 4)

    def decode(self, z):
        return z.repeat_interleave(4, 2).repeat_interleave(4, 3)


@pytest.fixture
def pixels():
    return Denoiser((1, 16, 16), TOY)


@pytest.fixture
def latents():
    return LatentDiffusion(Means(), Denoiser((1, 4, 4), Network(widths=(16,), layers=1, attention=(False,), patch=1)))


@pytest.mark.parametrize("shape", [(16, 16), (19, 33)])
def test_pixels_come_back(pixels, shape):
    images = np.random.default_rng(0).uniform(0, 1, (2, 1, *shape)).astype(np.float32)
    space = Space(pixels, images.shape, 16)
    assert not space.latent and space.factor == 1
    np.testing.assert_allclose(space.decode(space.encode(images)), images, atol=1e-5)


@pytest.mark.parametrize("shape", [(16, 16), (20, 36), (19, 33)])
def test_latents_come_back_of_any_size(latents, shape):
    """Images of squares are what the first stage keeps; a size that is no multiple of its factor is filled up and cut."""
    coarse = np.random.default_rng(0).uniform(0, 1, (2, 1, 5, 9)).astype(np.float32)
    images = np.kron(coarse, np.ones((4, 4), np.float32))[..., : shape[0], : shape[1]]
    space = Space(latents, images.shape, 16)
    assert space.latent and space.factor == 4
    z = space.encode(images)
    assert z.shape[2:] == (-(-shape[0] // 4), -(-shape[1] // 4))
    np.testing.assert_allclose(space.decode(z), images, atol=1e-5)


def test_places_hold_every_pixel_of_a_mask(latents):
    mask = np.zeros((1, 19, 33), bool)
    mask[0, 5, 6] = mask[0, 18, 32] = True
    space = Space(latents, (1, 1, 19, 33), 16)
    places = space.places(mask)
    assert places.shape == (1, 1, 5, 9) and places.sum() == 2 and places[0, 0, 1, 1] == places[0, 0, 4, 8] == 1
    back = space.pixels(places[:, 0])
    assert back.shape == mask.shape and (back[mask] > 0.5).all()
    np.testing.assert_allclose(space.pixels(torch.ones(1, 5, 9)), 1)


def test_strength_is_a_share_of_the_way_to_noise(pixels):
    space = Space(pixels, (1, 1, 16, 16), 16)
    whole = space.grid(20)
    assert len(whole) == 21 and whole[-1] == 0
    torch.testing.assert_close(space.back(1.0, 20), whole)
    half = space.back(0.5, 20)
    assert half[0].item() == pytest.approx(SIGMA_DATA) and half[-1] == 0 and (half.diff() < 0).all()
    levels = [space.back(strength, 20)[0].item() for strength in (0.1, 0.3, 0.7, 0.9)]
    assert levels == sorted(levels) and levels[0] > 0


def test_guidance_is_that_of_the_model(pixels):
    pixels.sampling = Sampling(guidance_scale=3.0, guidance_interval=(0.0, 1.0))
    space = Space(pixels, (1, 1, 16, 16), 16)

    def denoise(x, sigma, cond):
        return x * 0 + (1.0 if "text" in cond else 0.0)

    x, cond = torch.zeros(1, 1, 16, 16), {"text": torch.ones(1, 3)}
    for sigma, scale, said in ((0.5, None, 3), (2.0, None, 1), (0.5, 2.0, 2)):
        found = space.guided(scale, denoise)(x, torch.tensor([sigma]), cond)
        torch.testing.assert_close(found, torch.full_like(x, float(said)))


def test_what_cannot_be_edited(pixels):
    with pytest.raises(InputError, match="does not denoise images"):
        Space(nn.Linear(1, 1), (1, 1, 16, 16), 16)
    with pytest.raises(InputError, match="20 x 15 pixels but the model works on tiles of 16"):
        Space(pixels, (1, 1, 15, 20), 16)
