"""Small models of pixels and of latents that hear words, with random weights: what tests of edits work on."""

import torch
import torch.nn.functional as F
from torch import nn

from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.latent import LatentDiffusion
from veridical.models.diffusion.settings import Embed, Network, Sampling

SIZE = 32
VOCABULARY = ["<pad>", "<num>", "no", "two", "cracks", "fibres", "and", "binder"]


class Halves(nn.Module):
    """A first stage whose latents are images of half the size."""

    shape = (1, SIZE // 2, SIZE // 2)

    def encode(self, x):
        return F.avg_pool2d(x, 2)

    def decode(self, z):
        return F.interpolate(z, scale_factor=2)


class Words:
    """One token a word, behind the vector that is no word."""

    def cond(self, texts):
        ids = torch.zeros(len(texts), 8, dtype=torch.int64)
        for row, text in zip(ids, texts, strict=True):
            row[: len(text.split())] = torch.tensor([VOCABULARY.index(word) for word in text.split()])
        return {"text": ids}

    def places(self, text):
        return [(word, (k + 1,)) for k, word in enumerate(text.split())]


def model(latent: bool, words: bool = True):
    """A model of grey images of 32 x 32 pixels."""
    torch.manual_seed(0)
    side = SIZE // 2 if latent else SIZE
    network = Network(patch=2, widths=(32, 32), attention=(False, True))
    sampling = Sampling(sampling_steps=4, solver="euler", guidance_scale=2.0)
    made = Denoiser(
        (1, side, side), network, embed=Embed(vocabulary=len(VOCABULARY) if words else 0), sampling=sampling
    )
    with torch.no_grad():
        for parameter in made.net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    whole = LatentDiffusion(Halves(), made) if latent else made
    whole.prepare(torch.randn(8, 1, SIZE, SIZE))
    return whole.eval()


def images(n=2, size=SIZE, seed=0):
    """Smooth images in [0, 1]; of blocks of 2 x 2 pixels, which latents of half the size say all of."""
    coarse = torch.rand(n, 1, size // 8, size // 8, generator=torch.Generator().manual_seed(seed))
    fine = F.interpolate(coarse, scale_factor=4, mode="bilinear")
    return F.interpolate(0.1 + 0.8 * fine, scale_factor=2).numpy()
