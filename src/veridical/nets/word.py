"""A new word for a frozen text encoder: one more row of its embedding (Gal et al. 2022, arXiv:2208.01618)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from veridical.core.errors import InputError


class WithNewWord(nn.Module):
    """An embedding of token ids whose table is frozen, and of one id more, which is trained.

    Steps of Adam are as long as its rate, whatever the gradient, and tables differ: those of CLIP's towers have entries of about
    0.02, others of about 1. What is trained is therefore the new row in units of its table, so that one rate fits all, and
    the row stays among its neighbours.

    Parameters
    ----------
    table : nn.Embedding
    number : int
        The new id; those up to it which the table does not have belong to no word.
    like : sequence of int
        Ids whose mean the new word begins as; empty: of all.

    Attributes
    ----------
    learned : Parameter, shape (dim,)
        The new row in units.
    unit : float
        The power of two that is nearest to the root mean square of the table, by which nothing is rounded.
    """

    def __init__(self, table: nn.Embedding, number: int, like: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.table, self.number = table.requires_grad_(False), number
        rows = table.weight.detach()
        if any(k >= len(rows) for k in like):
            raise InputError("like= is a word that this text encoder does not know: give another.")
        size = rows.float().square().mean().sqrt().item()
        self.unit = 2.0 ** round(math.log2(size)) if size > 0 else 1.0
        self.learned = nn.Parameter(rows[list(like) or slice(None)].mean(0) / self.unit)

    @property
    def weight(self) -> Tensor:
        """The frozen table: libraries ask it for its type and place."""
        return self.table.weight

    @property
    def row(self) -> Tensor:
        """The new row, (dim,), as one of the table."""
        return self.learned * self.unit

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors (\\*shape, dim) of ids."""
        mine = ids == self.number
        return torch.where(mine[..., None], self.row.to(self.table.weight.dtype), self.table(ids.masked_fill(mine, 0)))
