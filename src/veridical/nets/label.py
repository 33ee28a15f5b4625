"""A label as a vector: a class, or a measured property."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class LabelEmbedding(nn.Module):
    """Label (N,) to vector (N, dim), at first 0: nothing, until it has been learned what a label says.

    Parameters
    ----------
    classes : int
        Number of classes of a whole-number label; 0 for a real number, standardised over the training data.
    dim : int
    loud : bool
        Begin with a random vector of each class, as loud as standard normal noise beside it; with a random function of a
        number, louder where it is far from usual.
    """

    def __init__(self, classes: int, dim: int, loud: bool = False) -> None:
        super().__init__()
        self.net: nn.Module
        last: nn.Embedding | nn.Linear
        if classes:
            self.net = last = nn.Embedding(classes, dim)
        else:
            last = nn.Linear(64, dim)
            self.net = nn.Sequential(nn.Linear(1, 64), nn.SiLU(), last)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        if loud:  # SiLU leaves a mean square of about a quarter of a number
            nn.init.normal_(last.weight, 0, 1 if classes else 2 / math.sqrt(64))
        self.classes = classes

    def forward(self, label: Tensor) -> Tensor:
        return self.net(label.long() if self.classes else label.float()[:, None])


class LabelOrNone(nn.Module):
    """`LabelEmbedding`, or a learned vector of its own for no label (Ho and Salimans 2022, section 3.2).

    Parameters
    ----------
    classes, dim : int
        See `LabelEmbedding`.
    """

    def __init__(self, classes: int, dim: int) -> None:
        super().__init__()
        self.embedding = LabelEmbedding(classes, dim)
        self.none = nn.Parameter(torch.zeros(dim))

    def forward(self, label: Tensor | None, n: int, keep: Tensor | None = None) -> Tensor:
        """Vectors (n, dim) of labels (n,), those of ``keep == False`` as if there were none."""
        none = self.none.expand(n, -1)
        if label is None:
            return none
        vector = self.embedding(label)
        return vector if keep is None else torch.where(keep[:, None], vector, none)


class LevelOrNone(nn.Module):
    """Vector of the level (N,) of the noise on what the network is given, or a learned one for a level that is not told.

    Parameters
    ----------
    strongest : float
        Levels lie between 0 and this.
    dim : int
    """

    def __init__(self, strongest: float, dim: int) -> None:
        super().__init__()
        self.strongest = strongest
        self.net = LabelOrNone(0, dim)

    def forward(self, level: Tensor | None, n: int, keep: Tensor | None = None) -> Tensor:
        # About -1.7 to 1.7: a number of mean 0 and deviation 1.
        return self.net(None if level is None else 3.4 * level / self.strongest - 1.7, n, keep)
