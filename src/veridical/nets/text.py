"""A text, as token ids, in the form that networks attend to."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from veridical.core.tokens import NEGATIVE
from veridical.nets.dit import Block


class TextOrNone(nn.Module):
    """Token ids (N, L) to a sequence (N, 1 + L, dim) of vectors, the first of which is always there: alone it is no text.

    Parameters
    ----------
    tokens : int
        Size of the vocabulary; id 0 is padding.
    dim : int
        A multiple of 32.
    depth : int
        Blocks of a transformer.
    """

    def __init__(self, tokens: int, dim: int, depth: int = 2) -> None:
        from diffusers.models.embeddings import Timesteps

        super().__init__()
        self.words = nn.Embedding(tokens, dim)
        self.value = nn.Linear(1, dim, bias=False)
        self.none = nn.Parameter(torch.zeros(dim))
        self.places = Timesteps(dim, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.blocks = nn.ModuleList(Block(dim, "in_context", 0.0) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(
        self, ids: Tensor | None, n: int, value: Tensor | None = None, keep: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the sequence and which of it counts (N, 1 + L).

        Parameters
        ----------
        ids : Tensor of int64, shape (N, L), or None
            None: no text.
        n : int
        value : Tensor of float32, shape (N, L), optional
            Standardised numbers, where a token stands for one; elsewhere 0.
        keep : Tensor of bool, shape (N,), optional
            The texts of the others are left out.
        """
        x, there = self.none.expand(n, 1, -1), torch.ones(n, 1, dtype=torch.bool, device=self.none.device)
        if ids is not None:
            place = self.places(torch.arange(ids.shape[1], device=ids.device)).to(x.dtype)
            words = self.words(ids) + place
            if value is not None:
                words = words + self.value(value.to(x.dtype)[..., None])
            known = ids != 0 if keep is None else (ids != 0) & keep[:, None]
            x, there = torch.cat([x, words], 1), torch.cat([there, known], 1)
        for block in self.blocks:
            x = block(x, x[:, 0], x, own=there)
        return self.norm(x), there


class Heard(NamedTuple):
    """A text that was read once, for many calls of a network: by its reader, and by that of its early copy."""

    now: tuple[Tensor, Tensor]
    early: tuple[Tensor, Tensor] | None


def hear(cond: dict[str, Any], now: TextOrNone, early: TextOrNone | None = None) -> dict[str, Any]:
    """Conditions whose text is `Heard`, and so is the negative one that guidance leads away from, if there are any."""
    heard = {}
    for of in ("", NEGATIVE):
        ids, value = cond.get(f"{of}text"), cond.get(f"{of}value")
        if isinstance(ids, Tensor):
            n = len(ids)
            heard[f"{of}text"] = Heard(now(ids, n, value), None if early is None else early(ids, n, value))
    return {**cond, **heard}


def listen(
    reader: TextOrNone, cond: dict[str, Any], n: int, keep: Tensor | None = None, early: bool = False
) -> tuple[Tensor, Tensor]:
    """What `reader` makes of the text of conditions, or made of it, see `hear`."""
    text = cond.get("text")
    if isinstance(text, Heard):
        return text.early if early and text.early else text.now
    return reader(text, n, cond.get("value"), keep)
