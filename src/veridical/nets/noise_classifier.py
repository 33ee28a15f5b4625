"""A classifier of noisy images: the descending half of a U-Net (Dhariwal and Nichol 2021, section 4.3) that is heard at every
level: what is counted or measured is often a sum of small parts, which the first level sees best."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.errors import InputError


class NoisyClassifier(nn.Module):
    """Map and noise level to numbers.

    Parameters
    ----------
    channels : int
        Of the map.
    widths : tuple of int
        Channels of each resolution, each half of the one before.
    outputs : int
    """

    def __init__(self, channels: int, widths: tuple[int, ...], outputs: int) -> None:
        from diffusers.models.downsampling import Downsample2D
        from diffusers.models.embeddings import TimestepEmbedding, Timesteps
        from diffusers.models.resnet import ResnetBlock2D

        super().__init__()
        if not widths or any(width < 4 or width % 4 for width in widths):
            raise InputError(f"classifier_widths={widths} cannot be: give multiples of 4, such as 64,128.")
        dim = 4 * widths[0]
        self.waves = Timesteps(widths[0], flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time = TimestepEmbedding(widths[0], dim)
        self.into = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for before, after in zip((widths[0], *widths[:-1]), widths, strict=True):
            if self.blocks:
                self.blocks.append(Downsample2D(before, use_conv=True))
            block = ResnetBlock2D(
                in_channels=before,
                out_channels=after,
                temb_channels=dim,
                groups=_groups(before),
                groups_out=_groups(after),
            )
            self.blocks.append(block)
        self.norms = nn.ModuleList([nn.GroupNorm(_groups(width), width) for width in widths])
        self.out = nn.Linear(2 * sum(widths), outputs)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Numbers (N, outputs) of maps (N, C, H, W); `time` (N,) is on a scale of hundreds."""
        moment = self.time(self.waves(time).to(x.dtype))
        x = self.into(x)
        found = []
        for k, block in enumerate(self.blocks):
            if k % 2:
                x = block(x)
                continue
            x = block(x, moment)
            seen = F.silu(self.norms[k // 2](x))
            # The mean says how much of something there is, the deviation how it varies.
            found += [seen.mean((2, 3)), (seen.var((2, 3), unbiased=False) + 1e-6).sqrt()]
        return self.out(torch.cat(found, 1))


def _groups(width: int) -> int:
    # Of four channels or more: one alone would lose its mean, and the classifier the brightness of the image.
    return math.gcd(16, width // 4)
