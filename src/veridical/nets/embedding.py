"""An embedding of an image, such as CLIP's, in the form that networks hear."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

TOKENS = 4  # Ramesh et al. 2022, section 2.1


class EmbeddingOrNone(nn.Module):
    """An embedding (N, length) as a vector beside that of the time, and as four tokens to attend to; or learned ones for none.

    Parameters
    ----------
    length, dim : int
    """

    def __init__(self, length: int, dim: int) -> None:
        super().__init__()
        self.net = nn.Linear(length, (1 + TOKENS) * dim)
        self.none = nn.Parameter(torch.zeros(1 + TOKENS, dim))

    def forward(self, embedding: Tensor | None, n: int, keep: Tensor | None = None) -> Tensor:
        """Vectors (n, 1 + 4, dim), the first of which is that beside the time.

        An embedding of zeros is none, as token 0 is no word, and so are those of ``keep == False``.
        """
        none = self.none.expand(n, -1, -1)
        if embedding is None:
            return none
        known = (embedding != 0).any(1) if keep is None else (embedding != 0).any(1) & keep
        return torch.where(known[:, None, None], self.net(embedding).unflatten(1, none.shape[1:]), none)


def joined(tokens: Tensor, text: Any = ()) -> tuple[Tensor, Tensor]:
    """Tokens (N, K, dim) behind those of a text, if there is one: a sequence, and which of it counts."""
    there = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
    return (torch.cat([text[0], tokens], 1), torch.cat([text[1], there], 1)) if text else (tokens, there)
