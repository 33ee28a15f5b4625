"""A U-Net of volumes."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from veridical.core.errors import InputError

GROUPS = 8  # of channels that are normalised together


class Residual(nn.Module):
    """Two convolutions beside what they are added to; time scales and shifts what is between them, as in `UNet2DModel` of
    diffusers with ``resnet_time_scale_shift="scale_shift"``.
    """

    def __init__(self, inside: int, out: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(GROUPS, inside), nn.SiLU(), nn.Conv3d(inside, out, 3, padding=1))
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(dim, 2 * out))
        self.norm = nn.GroupNorm(GROUPS, out)
        self.second = nn.Sequential(nn.SiLU(), nn.Dropout(dropout), nn.Conv3d(out, out, 3, padding=1))
        self.beside = nn.Conv3d(inside, out, 1) if inside != out else nn.Identity()

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.time(told)[..., None, None, None].chunk(2, 1)
        made = self.norm(self.first(x)) * (1 + scale) + shift
        return cast(Tensor, self.beside(x) + self.second(made))


class UNet3D(nn.Module):
    """A U-Net without attention; its output starts at zero.

    diffusers' `UNet3DConditionModel` is one of images and their order in time, and sees texts: none of its convolutions is one
    of volumes.

    Parameters
    ----------
    inside, out, size : int
        Channels of what it sees and of what it makes, and their side.
    widths : tuple of int
        Channels of each resolution, each half of the one before.
    layers : int
        Residual blocks at each resolution.
    dropout : float
    """

    def __init__(
        self, inside: int, out: int, size: int, widths: tuple[int, ...], layers: int, dropout: float = 0.0
    ) -> None:
        from diffusers.models.embeddings import TimestepEmbedding, Timesteps

        super().__init__()
        if size % 2 ** (len(widths) - 1):
            raise InputError(
                f"a map of {size} x {size} x {size} cannot be halved {len(widths) - 1} times: choose another --size or fewer "
                "widths."
            )
        if any(width % GROUPS for width in widths):
            raise InputError(f"widths={widths} cannot be: give multiples of {GROUPS}.")
        self.dim = 4 * widths[0]
        self.waves = Timesteps(widths[0], flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time = TimestepEmbedding(widths[0], self.dim)
        self.begin = nn.Conv3d(inside, widths[0], 3, padding=1)
        finer = (widths[0], *widths[:-1])

        def blocks(first: int, width: int) -> nn.ModuleList:
            channels = [first, *[width] * layers]
            return nn.ModuleList(Residual(one, two, self.dim, dropout) for one, two in pairwise(channels))

        self.down = nn.ModuleList(blocks(first, width) for first, width in zip(finer, widths, strict=True))
        self.shrink = nn.ModuleList(nn.Conv3d(width, width, 3, stride=2, padding=1) for width in widths[:-1])
        self.middle = Residual(widths[-1], widths[-1], self.dim, dropout)
        self.up = nn.ModuleList(blocks(2 * width, width) for width in reversed(widths))
        self.enlarge = nn.ModuleList(
            nn.Conv3d(width, first, 3, padding=1) for first, width in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.end = nn.Sequential(nn.GroupNorm(GROUPS, widths[0]), nn.SiLU(), nn.Conv3d(widths[0], out, 3, padding=1))
        # The denoiser then begins as its skip connection, the best linear estimate.
        for parameter in self.end[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, time: Tensor, vector: Tensor | None = None) -> Tensor:
        """Return a map (N, out, D, H, W) of `x` (N, inside, D, H, W); `time` (N,) is on a scale of hundreds, `vector` (N, dim)
        a condition.
        """
        told = self.time(self.waves(time).to(x.dtype))
        if vector is not None:
            told = told + vector
        x = self.begin(x)
        kept = []
        for k, blocks in enumerate(self.down):
            for block in cast(nn.ModuleList, blocks):
                x = block(x, told)
            kept.append(x)
            if k < len(self.shrink):
                x = self.shrink[k](x)
        x = self.middle(x, told)
        for k, blocks in enumerate(self.up):
            x = torch.cat([x, kept.pop()], 1)
            for block in cast(nn.ModuleList, blocks):
                x = block(x, told)
            if k < len(self.enlarge):
                x = self.enlarge[k](nn.functional.interpolate(x, scale_factor=2.0))
        return cast(Tensor, self.end(x))
