"""The U-Net of the diffusive models: diffusers' own."""

from __future__ import annotations

from torch import Tensor, nn

from veridical.core.errors import InputError


class UNet(nn.Module):
    """diffusers' `UNet2DModel` with an output that starts at zero.

    Parameters
    ----------
    inside, out, size : int
        Channels of what it sees and of what it makes, and their side.
    widths : tuple of int
        Channels of each resolution, each half of the one before.
    layers : int
        Residual blocks at each resolution.
    attention : tuple of bool
        Which resolutions have self-attention.
    dropout : float
    conditional : bool
        It takes a vector of `dim` numbers, which is added to that of the time.
    """

    def __init__(
        self,
        inside: int,
        out: int,
        size: int,
        widths: tuple[int, ...],
        layers: int,
        attention: tuple[bool, ...],
        dropout: float,
        conditional: bool = False,
    ) -> None:
        from diffusers.models.unets.unet_2d import UNet2DModel

        super().__init__()
        if size % 2 ** (len(widths) - 1):
            raise InputError(
                f"a map of {size} x {size} cannot be halved {len(widths) - 1} times: choose another --size or fewer widths."
            )
        if len(attention) != len(widths):
            raise InputError(f"attention={attention} needs one entry for each of widths={widths}.")
        if any(width % 16 or width < 32 * a for width, a in zip(widths, attention, strict=True)):
            raise InputError(f"widths={widths} cannot be: give multiples of 16, from 32 on where there is attention.")
        self.net = UNet2DModel(
            sample_size=size,
            in_channels=inside,
            out_channels=out,
            block_out_channels=widths,
            layers_per_block=layers,
            down_block_types=tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in attention),
            up_block_types=tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
            attention_head_dim=32,
            norm_num_groups=16,
            dropout=dropout,
            add_attention=attention[-1],
            class_embed_type="identity" if conditional else None,
        )
        self.dim = 4 * widths[0]
        # The denoiser then begins as its skip connection, the best linear estimate.
        nn.init.zeros_(self.net.conv_out.weight)
        nn.init.zeros_(self.net.conv_out.bias)

    def forward(self, x: Tensor, time: Tensor, vector: Tensor | None = None) -> Tensor:
        """Return a map (N, out, H, W) of `x` (N, inside, H, W); `time` (N,) is on a scale of hundreds, `vector` (N, dim) a
        condition.
        """
        return self.net(x, time, vector).sample
