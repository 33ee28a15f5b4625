"""Kappas against published examples."""

import numpy as np

from veridical.stats.agreement import cohen_kappa, fleiss_kappa

# Fleiss 1971, as often worked: 14 raters, 10 things, 5 classes; kappa 0.210
COUNTS = np.array(
    [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]
)  # fmt: skip


def test_cohen():
    first = np.repeat([1, 1, 0, 0], [20, 5, 10, 15])
    second = np.repeat([1, 0, 1, 0], [20, 5, 10, 15])
    np.testing.assert_allclose(cohen_kappa(first, second), 0.4)
    assert cohen_kappa(first, first) == 1
    assert np.isnan(cohen_kappa(np.ones(4, int), np.ones(4, int)))


def test_fleiss():
    ratings = np.stack([np.repeat(np.arange(5), row) for row in COUNTS], 1)
    np.testing.assert_allclose(fleiss_kappa(ratings), 0.210, atol=5e-4)
    assert np.isnan(fleiss_kappa(np.zeros((3, 5), int)))
