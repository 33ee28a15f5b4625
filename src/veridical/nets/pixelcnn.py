"""A prior of maps of codes: the gated PixelCNN (van den Oord et al. 2016, arXiv:1606.05328)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _gate(x: Tensor) -> Tensor:
    # Eq. 2 of the paper.
    a, b = x.chunk(2, 1)
    return a.tanh() * b.sigmoid()


class PixelCNN(nn.Module):
    """Distribution of each code given those before it, row by row.

    A vertical stack sees what is above a place, a horizontal one what is to the left and, through a link in each layer, what
    the vertical one sees (figure 2 of the paper): there is no blind spot.

    A code goes in, and is scored, as its vector of the codebook: codes that look alike are then alike to the prior too, and it
    can learn while the codebook still moves.

    Parameters
    ----------
    dim : int
        Length of a codebook vector.
    width, layers : int
        Channels and number of layers; a layer looks one row further up and one place further to each side.
    dropout : float
    """

    def __init__(self, dim: int, width: int, layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.into = nn.Linear(dim, width)
        self.vertical = nn.ModuleList(nn.Conv2d(width, 2 * width, (2, 3)) for _ in range(layers))
        self.link = nn.ModuleList(nn.Conv2d(2 * width, 2 * width, 1) for _ in range(layers))
        self.horizontal = nn.ModuleList(nn.Conv2d(width, 2 * width, (1, 2)) for _ in range(layers))
        self.back = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Sequential(nn.SiLU(), nn.Conv2d(width, 2 * width, 1), nn.SiLU(), nn.Conv2d(2 * width, width, 1))
        self.out = nn.Linear(dim, width)

    def _above(self, x: Tensor) -> list[Tensor]:
        """What each layer's vertical stack tells the horizontal one; `x` is the embedded map moved down by one row."""
        links = []
        for vertical, link in zip(self.vertical, self.link, strict=True):
            features = vertical(F.pad(x, (1, 1, 1, 0)))
            links.append(link(features))
            x = x + _gate(features)
        return links

    def _along(self, x: Tensor, links: list[Tensor]) -> Tensor:
        """Features (N, H, W, width) that decide; `x` is the embedded map moved right by one place."""
        for horizontal, back, link in zip(self.horizontal, self.back, links, strict=True):
            x = x + back(self.dropout(_gate(horizontal(F.pad(x, (1, 0))) + link)))
        return self.head(x).permute(0, 2, 3, 1)

    def forward(self, codes: Tensor, vectors: Tensor) -> Tensor:
        """Logits (N, H, W, K) of a map of codes (N, H, W), given the codebook (K, dim), of about unit variance."""
        x = self.into(vectors)[codes].permute(0, 3, 1, 2)
        features = self._along(F.pad(x, (1, 0))[..., :-1], self._above(F.pad(x, (0, 0, 1, 0))[:, :, :-1]))
        return features @ self.out(vectors).T

    def sample(self, normal: Tensor, vectors: Tensor) -> Tensor:
        """Draw maps of codes (N, H, W) from standard normal noise of that shape, which becomes uniform for the inverse of
        the cumulative distribution. The vertical stack runs once a row, the horizontal one along the row alone.
        """
        uniform = torch.special.ndtr(normal.double()).unsqueeze(-1)
        n, rows, columns = normal.shape
        into, out = self.into(vectors), self.out(vectors)
        codes = torch.zeros(normal.shape, dtype=torch.long, device=normal.device)
        x = normal.new_zeros(n, into.shape[1], rows + 1, columns + 1)  # embedded, moved down and right by one
        for row in range(rows):
            # A row of the map depends on `layers` rows above it, and on one more row of codes.
            above = x[:, :, max(0, row - len(self.vertical)) : row + 1, 1:]
            links = [link[:, :, -1:] for link in self._above(above)]
            for column in range(columns):
                left = x[:, :, row + 1 : row + 2, : column + 1]
                features = self._along(left, [link[..., : column + 1] for link in links])[:, 0, -1]
                steps = (features @ out.T).double().softmax(1).cumsum(1)
                codes[:, row, column] = (steps[:, :-1] < uniform[:, row, column]).sum(1)
                x[:, :, row + 1, column + 1] = into[codes[:, row, column]]
        return codes
