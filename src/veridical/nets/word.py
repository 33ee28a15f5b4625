"""A new word for a frozen text encoder: one more row of its embedding (Gal et al. 2022, arXiv:2208.01618)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from veridical.core.errors import InputError


class WithNewWord(nn.Module):
    """An embedding of token ids whose table is frozen, and of one id more, which is trained.

    Parameters
    ----------
    table : nn.Embedding
    number : int
        The new id; those up to it which the table does not have belong to no word.
    like : sequence of int
        Ids whose mean the new word begins as; empty: of all.
    """

    def __init__(self, table: nn.Embedding, number: int, like: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.table, self.number = table.requires_grad_(False), number
        rows = table.weight.detach()
        if any(k >= len(rows) for k in like):
            raise InputError("like= is a word that this text encoder does not know: give another.")
        self.new = nn.Parameter(rows[list(like) or slice(None)].mean(0))

    @property
    def weight(self) -> Tensor:
        """The frozen table: libraries ask it for its type and place."""
        return self.table.weight

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors (\\*shape, dim) of ids."""
        mine = ids == self.number
        return torch.where(mine[..., None], self.new.to(self.table.weight.dtype), self.table(ids.masked_fill(mine, 0)))
