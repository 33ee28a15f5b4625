"""Conformal p-values of single images: the rank of a score among those of real images, one vote a field of view.

Valid whatever the distribution of scores is, as long as fields of view are exchangeable.
"""

from __future__ import annotations

import numpy as np


def conformal_p(score: np.ndarray, real: np.ndarray, fields: np.ndarray, fold: np.ndarray | None = None) -> np.ndarray:
    """Probability that a real image from a new field of view scores as high.

    Parameters
    ----------
    score : (M,), or (F, M) with folds
        Of the images to judge; high is suspicious. Row f is measured against references without fold f.
    real : (N,)
        Of real images, each measured against references that do not contain its field of view.
    fields : (N,)
        Field of view of each.
    fold : (N,), optional
        Fold that each real image was left out with.

    Returns
    -------
    (M,) in [1 / (K + 1), 1] for K fields of view

    Notes
    -----
    p = (1 + sum_k share of field k with a score at least as high) / (K + 1): each field of view has one vote, however many
    images show it (hierarchical conformal prediction, Lee, Barber and Willett 2023, arXiv:2306.06342, section 3). With one
    image a field this is the rank p-value, and P(p <= a) <= a for an image from a new field. With folds the scores are
    cross-conformal (Vovk 2015, arXiv:1208.0806): at most 2 a in theory, a in practice.
    """
    score, real = np.asarray(score, np.float64), np.asarray(real, np.float64)
    score = score[None] if score.ndim == 1 else score
    fold = np.zeros(len(real), int) if fold is None else np.asarray(fold)
    names, numbers = np.unique(np.asarray(fields), return_inverse=True)
    weight = 1 / np.bincount(numbers)[numbers]
    votes = np.zeros(score.shape[1])
    for f in range(len(score)):
        mine = fold == f
        order = np.argsort(real[mine])
        above = np.concatenate([np.cumsum(weight[mine][order][::-1])[::-1], [0.0]])
        votes += above[np.searchsorted(real[mine][order], score[f], side="left")]
    return np.minimum((1 + votes) / (len(names) + 1), 1)


def fields_needed(alpha: float) -> int:
    """Fields of view with which `conformal_p` can be as small as alpha."""
    return int(np.ceil(1 / alpha - 1e-9)) - 1
