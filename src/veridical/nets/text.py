"""A text, as token ids, in the form that networks attend to."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from veridical.nets.dit import Block


class TextOrNone(nn.Module):
    """Token ids (N, L) to a sequence (N, 1 + L, dim) of vectors, the first of which is always there: alone it is no text.

    Parameters
    ----------
    tokens : int
        Size of the vocabulary; id 0 is padding.
    dim : int
        A multiple of 32.
    """

    def __init__(self, tokens: int, dim: int) -> None:
        from diffusers.models.embeddings import Timesteps

        super().__init__()
        self.words = nn.Embedding(tokens, dim)
        self.value = nn.Linear(1, dim, bias=False)
        self.none = nn.Parameter(torch.zeros(dim))
        self.places = Timesteps(dim, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.block = Block(dim, "in_context", 0.0)
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
        x = self.block(x, x[:, 0], x, own=there)
        return self.norm(x), there
