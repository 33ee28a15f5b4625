"""Stable unCLIP as a model of ours: a pipeline that is told the embedding of an image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.core.errors import InputError
from veridical.nets.attention import Control
from veridical.pretrained.model import Pretrained
from veridical.pretrained.settings import PipelineSampling

# Of CLIP's training images, red, green and blue.
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class PretrainedVarying(nn.Module):
    """The decoder of Stable unCLIP (Ramesh et al. 2022, arXiv:2204.06125), CLIP's image encoder, and the noise in between.

    Parameters
    ----------
    decoder : Pretrained
    encoder : nn.Module
        transformers' `CLIPVisionModelWithProjection`.
    normaliser : nn.Module
        diffusers' `StableUnCLIPImageNormalizer`.
    left : Tensor, shape (T,)
        How much of the square of an embedding each noise level leaves (``alphas_cumprod``).
    """

    def __init__(self, decoder: Pretrained, encoder: Any, normaliser: Any, left: Tensor) -> None:
        super().__init__()
        self.decoder = decoder
        where = decoder.where.device
        self.encoder, self.normaliser = encoder.to(where), normaliser
        normaliser.to(where)
        self.left = left.double()
        self.shape, self.size, self.rows, self.sampling = decoder.shape, decoder.size, decoder.rows, decoder.sampling
        self.parts: dict[str, nn.Module] = {}
        self.colours, self.deviation = decoder.colours, decoder.deviation

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """See `Pretrained.losses`."""
        return self.decoder.losses(batch, step)

    def encode(self, x: Tensor) -> Tensor:
        """See `Pretrained.encode`."""
        return self.decoder.encode(x)

    def decode(self, z: Tensor) -> Tensor:
        """See `Pretrained.decode`."""
        return self.decoder.decode(z)

    def denoise(self, x: Tensor, sigma: Tensor, cond: dict[str, Any] | None = None) -> Tensor:
        """See `Pretrained.denoise`; without an ``embedding``, which `heard` gives, that of nothing."""
        return self.decoder.denoise(x, sigma, cond)

    def hear(self, cond: dict[str, Any], n: int, noise: Noise | None = None) -> dict[str, Any]:
        """See `Pretrained.hear`."""
        return self.decoder.hear(cond, n)

    def attention(self, control: Control) -> AbstractContextManager[None]:
        """See `Pretrained.attention`."""
        return self.decoder.attention(control)

    def ends(self, sampling: Any = None) -> tuple[float, float]:
        """See `Pretrained.ends`."""
        return self.decoder.ends(sampling)

    def grid(self, sampling: Any = None) -> Tensor:
        """See `Pretrained.grid`."""
        return self.decoder.grid(sampling)

    def start(self, noise: Noise, sigma: float) -> Tensor:
        """See `Pretrained.start`."""
        return self.decoder.start(noise, sigma)

    def embed(self, x: Tensor) -> Tensor:
        """CLIP's embeddings (N, dim), as long as they are, of images (N, 3, H, W) in [-1, 1], scaled to the size it knows."""
        side = self.encoder.config.image_size
        if x.shape[2:] != (side, side):
            x = F.interpolate(x, (side, side), mode="bicubic", antialias=True).clamp(-1, 1)
        mean, deviation = (x.new_tensor(values).reshape(1, 3, 1, 1) for values in (MEAN, DEVIATION))
        found: Tensor = self.encoder(((x + 1) / 2 - mean) / deviation).image_embeds
        return found

    def heard(self, z: Tensor, noise: Noise, sampling: PipelineSampling | None = None) -> dict[str, Any]:
        """What the decoder is told of embeddings (N, dim): with noise on them, and of which level."""
        from diffusers.models.embeddings import get_timestep_embedding

        level = (sampling or self.sampling).noise_level
        if level >= len(self.left):
            raise InputError(f"noise_level={level} cannot be: give a number below {len(self.left)}.")
        left = self.left[level].item()
        standard = self.normaliser.scale(z)
        noisy = self.normaliser.unscale(left**0.5 * standard + (1 - left) ** 0.5 * noise(tuple(z.shape[1:])).to(z))
        levels = torch.full((len(z),), level, device=z.device)
        waves = get_timestep_embedding(levels, z.shape[1], flip_sin_to_cos=True, downscale_freq_shift=0)
        return {"embedding": torch.cat([noisy, waves.to(z)], 1)}

    def sample(self, n: int, cond: dict[str, Any], noise: Noise, sampling: PipelineSampling | None = None) -> Tensor:
        """It draws of images alone."""
        raise InputError("Stable unCLIP draws variations of images: use veridical edit --how variation.")
