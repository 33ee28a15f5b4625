"""The diffusion transformer (Peebles and Xie 2023, arXiv:2212.09748)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.errors import InputError

CONDITIONING = ("adaln_zero", "in_context", "cross_attention")
HEAD = 32


class Attention(nn.Module):
    """From places or tokens x (N, K, width) to a context (N, L, width); of it only what `keep` (N, L) has, if given."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.control: Any = None  # set by `veridical.nets.attention.controlled`

    def forward(self, x: Tensor, context: Tensor, keep: Tensor | None = None) -> Tensor:
        def split(v: Tensor) -> Tensor:
            return v.unflatten(-1, (-1, HEAD)).transpose(1, 2)

        mask = None if keep is None else keep[:, None, None]
        q, k, v = split(self.query(x)), split(self.key(context)), split(self.value(context))
        if self.control is None:
            y = F.scaled_dot_product_attention(q, k, v, mask)
        else:
            scores = q @ k.transpose(-1, -2) / HEAD**0.5
            found = (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(-1)
            y = self.control(found, x is not context) @ v
        return self.out(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention and perceptron, conditioned in one of the ways of section 3.2.

    With adaLN-Zero a text is attended to in between (Chen et al. 2023, arXiv:2310.00426, section 2.3).
    """

    def __init__(self, width: int, conditioning: str, dropout: float, text: bool = False) -> None:
        super().__init__()
        adaptive = conditioning == "adaln_zero"
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-6, elementwise_affine=not adaptive) for _ in range(2))
        self.attention = Attention(width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Dropout(dropout), nn.Linear(4 * width, width)
        )
        self.modulation = nn.Linear(width, 6 * width) if adaptive else None
        if self.modulation is not None:
            # Every block begins as the identity.
            nn.init.zeros_(self.modulation.weight)
            nn.init.zeros_(self.modulation.bias)
        crossed = conditioning == "cross_attention" or (adaptive and text)
        attention = Attention(width)
        if adaptive:
            nn.init.zeros_(attention.out.weight)
            nn.init.zeros_(attention.out.bias)
        self.cross = nn.ModuleList([nn.LayerNorm(width, eps=1e-6), attention] if crossed else [])

    def forward(
        self, x: Tensor, condition: Tensor, context: Tensor, keep: Tensor | None = None, own: Tensor | None = None
    ) -> Tensor:
        """Return tokens like `x` (N, K, width): `condition` (N, width) shifts and scales, `context` (N, L, width) is attended
        to where `keep` (N, L), and of x itself what `own` (N, K) has.
        """
        first, second = self.norms
        if self.modulation is not None:
            shift, scale, gate, shift2, scale2, gate2 = self.modulation(F.silu(condition))[:, None].chunk(6, -1)
            y = first(x) * (1 + scale) + shift
            x = x + gate * self.attention(y, y, own)
            if self.cross:
                norm, attention = self.cross
                x = x + attention(norm(x), context, keep)
            return x + gate2 * self.perceptron(second(x) * (1 + scale2) + shift2)
        y = first(x)
        x = x + self.attention(y, y, own)
        if self.cross:
            norm, attention = self.cross
            x = x + attention(norm(x), context, keep)
        return x + self.perceptron(second(x))


class DiT(nn.Module):
    """Transformer whose tokens are the places of a map (of squares of pixels: the patches of the paper).

    diffusers has the variant adaLN-Zero alone, for classes alone, and drops them with noise of its own.

    Parameters
    ----------
    inputs, outputs, size : int
        Channels in and out, and side of the map.
    width : int
        Length of a token, a multiple of 32; heads have 32 each.
    depth : int
        Number of blocks.
    conditioning : {"adaln_zero", "in_context", "cross_attention"}
        How time and condition get in: they shift, scale and gate every block; are tokens as the places are; or are tokens
        that every block attends to.
    dropout : float
        In the perceptrons.
    text : bool
        It takes a sequence of tokens of its own width: beside those of time and condition, and with adaLN-Zero by attention.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        width: int,
        depth: int,
        conditioning: str,
        dropout: float,
        text: bool = False,
    ) -> None:
        from diffusers.models.embeddings import TimestepEmbedding, Timesteps, get_2d_sincos_pos_embed

        super().__init__()
        if width % HEAD:
            raise InputError(f"widths={width} must be a multiple of {HEAD} for a transformer: choose another.")
        if conditioning not in CONDITIONING:
            raise InputError(f"there is no conditioning {conditioning!r}: use one of {', '.join(CONDITIONING)}.")
        self.dim, self.conditioning = width, conditioning
        self.into = nn.Conv2d(inputs, width, 1)
        self.position: Tensor
        position = get_2d_sincos_pos_embed(width, size, base_size=size, output_type="pt")
        self.register_buffer("position", position.float(), persistent=False)
        self.waves = Timesteps(256, flip_sin_to_cos=True, downscale_freq_shift=1)
        self.time = TimestepEmbedding(256, width)
        self.blocks = nn.ModuleList(Block(width, conditioning, dropout, text) for _ in range(depth))
        adaptive = conditioning == "adaln_zero"
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=not adaptive)
        self.modulation = nn.Linear(width, 2 * width) if adaptive else None
        self.out = nn.Linear(width, outputs)
        # The denoiser begins as its skip connection.
        for layer in (self.out, self.modulation):
            if layer is not None:
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        vector: Tensor | None = None,
        tokens: Tensor | None = None,
        token_mask: Tensor | None = None,
    ) -> Tensor:
        """Return a map (N, outputs, S, S) of a map (N, inputs, S, S); `time` (N,) is on a scale of hundreds, `vector`
        (N, width) a condition, `tokens` (N, L, width) a text, of which those count that are true in `token_mask` (N, L).
        """
        size = x.shape[-2:]
        places = self.into(x).flatten(2).transpose(1, 2) + self.position
        moment = self.time(self.waves(time).to(x.dtype))
        condition = moment if vector is None else moment + vector
        context = torch.stack([moment] if vector is None else [moment, vector], 1)
        keep = own = None
        if tokens is not None and token_mask is not None:
            told = context.shape[1]
            context, keep = torch.cat([context, tokens], 1), F.pad(token_mask, (told, 0), value=True)
            if self.conditioning == "adaln_zero":
                context, keep = tokens, token_mask
        added = context.shape[1] if self.conditioning == "in_context" else 0
        if added:
            places = torch.cat([context, places], 1)
            own = None if keep is None else F.pad(keep, (0, places.shape[1] - added), value=True)
        for block in self.blocks:
            places = block(places, condition, context, keep, own)
        places = self.norm(places[:, added:])
        if self.modulation is not None:
            shift, scale = self.modulation(F.silu(condition))[:, None].chunk(2, -1)
            places = places * (1 + scale) + shift
        return self.out(places).transpose(1, 2).unflatten(2, size)
