"""The U-Net of the diffusive models: diffusers' own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from veridical.core.errors import InputError

# What is added to what the levels of a U-Net hand on, from the finest, and to its middle.
Residuals = tuple[list[Tensor], Tensor]


class UNet(nn.Module):
    """diffusers' `UNet2DModel`, or its `UNet2DConditionModel` where there is a text, with an output that starts at zero.

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
    text : bool
        It takes a sequence of vectors, which the middle and the resolutions with attention attend to.
    text_width : int
        Of those vectors; 0: `dim`.
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
        text: bool = False,
        text_width: int = 0,
    ) -> None:
        from diffusers.models.unets.unet_2d import UNet2DModel
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

        super().__init__()
        self.net: UNet2DModel | UNet2DConditionModel
        if size % 2 ** (len(widths) - 1):
            raise InputError(
                f"a map of {size} x {size} cannot be halved {len(widths) - 1} times: choose another --size or fewer widths."
            )
        if len(attention) != len(widths):
            raise InputError(f"attention={attention} needs one entry for each of widths={widths}.")
        if any(width % 16 or width < 32 * a for width, a in zip(widths, attention, strict=True)):
            raise InputError(f"widths={widths} cannot be: give multiples of 16, from 32 on where there is attention.")
        self.dim = 4 * widths[0]
        same: dict[str, Any] = {
            "sample_size": size,
            "in_channels": inside,
            "out_channels": out,
            "block_out_channels": widths,
            "layers_per_block": layers,
            "norm_num_groups": 16,
            "dropout": dropout,
            "class_embed_type": "identity" if conditional else None,
        }
        if text:
            self.net = UNet2DConditionModel(
                **same,
                down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attention),
                up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
                cross_attention_dim=text_width or self.dim,
                # In that class the number of heads.
                attention_head_dim=tuple(width // 32 if width % 32 == 0 else 1 for width in widths),
            )
        else:
            self.net = UNet2DModel(
                **same,
                down_block_types=tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in attention),
                up_block_types=tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
                attention_head_dim=32,
                add_attention=attention[-1],
            )
        self.text = text
        self.beside: Callable[..., Residuals] | None = None
        # The denoiser then begins as its skip connection, the best linear estimate.
        for parameter in self.net.conv_out.parameters():
            nn.init.zeros_(parameter)

    def widen(self, more: int) -> None:
        """Let it see `more` channels behind those of before, with weights of zero: what it makes stays the same."""
        net: Any = self.net
        old = net.conv_in
        seen = old.in_channels + more
        wider = nn.Conv2d(seen, old.out_channels, old.kernel_size, padding=old.padding, device=old.weight.device)
        with torch.no_grad():
            wider.weight.zero_()[:, : old.in_channels] = old.weight
            wider.bias = old.bias
        net.conv_in = wider
        net.register_to_config(in_channels=seen)

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        vector: Tensor | None = None,
        tokens: Tensor | None = None,
        token_mask: Tensor | None = None,
    ) -> Tensor:
        """Return a map (N, out, H, W) of `x` (N, inside, H, W); `time` (N,) is on a scale of hundreds, `vector` (N, dim) a
        condition, `tokens` (N, L, text_width) a text, of which those count that are true in `token_mask` (N, L).
        """
        if not self.text:
            return self.net(x, time, vector).sample
        down, middle = (None, None) if self.beside is None else self.beside(x, time, vector, tokens, token_mask)
        return self.net(
            x, time, tokens, class_labels=vector, encoder_attention_mask=token_mask, down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample  # fmt: skip


@contextmanager
def steered(net: UNet, beside: Callable[..., Residuals] | None) -> Iterator[None]:
    """Within this, what `beside` makes of what a U-Net with a text sees is added inside of it; None: nothing is.

    One within another adds to it.
    """
    before = net.beside

    def both(*seen: Any) -> Residuals:
        assert before is not None and beside is not None
        (down, middle), (more, other) = before(*seen), beside(*seen)
        return [one + two for one, two in zip(down, more, strict=True)], middle + other

    try:
        net.beside = both if before is not None and beside is not None else beside or before
        yield
    finally:
        net.beside = before
