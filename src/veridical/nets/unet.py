"""The U-Net of the diffusive models: diffusers' own, on pixel-unshuffled images."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError


class UNet(nn.Module):
    """diffusers' `UNet2DModel` between a pixel unshuffle and a pixel shuffle.

    Folding `patch` x `patch` pixels into channels makes a step about ``patch**2`` times cheaper, which is what makes training
    on a CPU possible; texture finer than the patch is carried by the channels.

    Parameters
    ----------
    channels, size : int
    patch : int
        Side of the folded square; 1 folds nothing.
    widths : tuple of int
        Channels of each resolution, each half of the one before.
    layers : int
        Residual blocks at each resolution.
    attention : tuple of bool
        Which resolutions have self-attention.
    dropout : float
    """

    def __init__(
        self, channels: int, size: int, patch: int, widths: tuple[int, ...], layers: int, attention: tuple[bool, ...], dropout: float
    ) -> None:
        from diffusers.models.unets.unet_2d import UNet2DModel

        super().__init__()
        if size % (patch * 2 ** (len(widths) - 1)):
            raise InputError(f"tiles of {size} pixels do not divide by {patch * 2 ** (len(widths) - 1)}: choose another --size or "
                             "a smaller --set patch.")
        if len(attention) != len(widths):
            raise InputError(f"attention={attention} needs one entry for each of widths={widths}.")
        self.patch = patch
        self.net = UNet2DModel(
            sample_size=size // patch,
            in_channels=channels * patch**2,
            out_channels=channels * patch**2,
            block_out_channels=widths,
            layers_per_block=layers,
            down_block_types=tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in attention),
            up_block_types=tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
            attention_head_dim=32,
            norm_num_groups=16,
            dropout=dropout,
            add_attention=attention[-1],
        )
        # Zero output at the start: the denoiser then begins as its skip connection.
        nn.init.zeros_(self.net.conv_out.weight)
        nn.init.zeros_(self.net.conv_out.bias)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Return an image-shaped output for image-shaped `x` (N, C, H, W) and `time` (N,) on a scale of hundreds."""
        return F.pixel_shuffle(self.net(F.pixel_unshuffle(x, self.patch), time).sample, self.patch)
