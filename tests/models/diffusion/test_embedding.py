"""A denoiser that is told an embedding of the image."""

import pytest
import torch

from veridical.core.batch import Batch, ImageNoise
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.settings import Embed, Law, Network, Sampling
from veridical.nets.embedding import TOKENS, EmbeddingOrNone

SAYS = torch.tensor([[1.0, 0, -1], [-1, 1, 0]])  # dark, bright


def model(**embed):
    torch.manual_seed(0)
    small = Network(patch=2, widths=(32,), attention=(True,))
    return Denoiser((1, 8, 8), small, Law(noise_mean=0.5), Embed(embedding=3, **embed), Sampling(sampling_steps=8))


def loss_of(denoiser, images, cond, step):
    return next(denoiser.losses(Batch.at(images, cond, seed=0, step=step, start=0, total=len(images)), step))[1]


def test_it_learns_what_embeddings_say_and_guidance_heeds_them():
    denoiser = model()
    which = torch.arange(32) % 2
    noise = 0.05 * torch.randn(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    images, cond = (which.reshape(-1, 1, 1, 1) * 1.2 - 0.6) + noise, {"embedding": SAYS[which]}
    denoiser.prepare(images)
    optimiser = torch.optim.Adam(denoiser.parts["denoiser"].parameters(), 3e-3)
    for step in range(40):
        optimiser.zero_grad()
        loss_of(denoiser, images, cond, step).backward()
        optimiser.step()
    denoiser.eval()
    with torch.no_grad():
        swapped = {"embedding": cond["embedding"].roll(1, 0)}
        right, wrong, none = (sum(loss_of(denoiser, images, c, k) for k in range(90, 94)) for c in (cond, swapped, {}))
        assert right < none < wrong and right < 0.7 * wrong
        asked = {"embedding": SAYS[[0, 1] * 8]}
        drawn = denoiser.sample(16, asked, ImageNoise(0, range(16)))
        strong = denoiser.sample(16, asked, ImageNoise(0, range(16)), Sampling(sampling_steps=8, guidance_scale=2.0))
    apart, further = ((x[1::2].mean() - x[::2].mean()).item() for x in (drawn, strong))
    assert 0.8 < apart < further


@pytest.mark.parametrize("way", ["vector", "tokens"])
def test_each_way_in_is_heard(way):
    """Beside the time, and by cross-attention: either alone changes what is expected."""
    denoiser = model().eval()
    torch.nn.init.normal_(denoiser.net.net.conv_out.weight, 0, 0.1)
    net, dim = denoiser.embedding.net, denoiser.net.dim
    with torch.no_grad():
        for values in (net.weight, net.bias):
            values[dim:] *= way == "tokens"
            values[:dim] *= way == "vector"
        x, sigma = torch.randn(2, 1, 8, 8), torch.ones(2)
        one, other = (denoiser.denoise(x, sigma, {"embedding": SAYS[[k, k]]}) for k in (0, 1))
    assert (one - other).abs().max() > 1e-4


def test_zeros_are_none_and_so_is_what_is_dropped():
    torch.manual_seed(0)
    told = EmbeddingOrNone(3, 8)
    torch.nn.init.normal_(told.none)
    rows = torch.cat([SAYS, torch.zeros(1, 3)])
    found = told(rows, 3, torch.tensor([True, False, True]))
    assert found.shape == (3, 1 + TOKENS, 8)
    torch.testing.assert_close(found[1:], told(None, 2))
    assert not torch.allclose(found[0], told.none)


def test_an_embedding_goes_with_a_text():
    denoiser = model(vocabulary=5).eval()
    torch.nn.init.normal_(denoiser.net.net.conv_out.weight, 0, 0.1)
    x, sigma, text = torch.randn(2, 1, 8, 8), torch.ones(2), torch.tensor([[1, 2, 0], [3, 0, 0]])
    with torch.no_grad():
        both = denoiser.denoise(x, sigma, {"text": text, "embedding": SAYS})
        assert (both - denoiser.denoise(x, sigma, {"text": text})).abs().max() > 1e-4
        assert (both - denoiser.denoise(x, sigma, {"embedding": SAYS})).abs().max() > 1e-4
