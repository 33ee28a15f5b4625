"""A label as a vector: a class, or a measured property."""

from __future__ import annotations

from torch import Tensor, nn


class LabelEmbedding(nn.Module):
    """Label (N,) to vector (N, dim).

    Parameters
    ----------
    classes : int
        Number of classes of a whole-number label; 0 for a real number, standardised over the training data.
    dim : int
    """

    def __init__(self, classes: int, dim: int) -> None:
        super().__init__()
        self.net: nn.Module
        if classes:
            self.net = nn.Embedding(classes, dim)
        else:
            self.net = nn.Sequential(nn.Linear(1, 64), nn.SiLU(), nn.Linear(64, dim))
        self.classes = classes

    def forward(self, label: Tensor) -> Tensor:
        return self.net(label.long() if self.classes else label.float()[:, None])
