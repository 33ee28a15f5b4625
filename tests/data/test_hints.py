"""Hints of images and of label images."""

import numpy as np

from veridical.data.hints import hints_of_images, hints_of_masks


def disk(size=48, radius=14):
    y, x = np.mgrid[:size, :size] - size / 2 + 0.5
    return np.hypot(y, x) <= radius, np.hypot(y, x)


def test_edges_lie_on_the_edge_whatever_the_contrast():
    region, distance = disk()
    image = region.astype(np.float32)[None, None]
    edges = hints_of_images("canny", image)
    assert edges.shape == (1, 1, 48, 48) and edges.dtype == np.float32 and set(np.unique(edges)) == {0, 1}
    assert np.abs(distance[edges[0, 0] > 0] - 14).max() < 2 and (edges > 0).sum() > 60
    assert (hints_of_images("canny", 0.45 + 0.02 * image) == edges).mean() > 0.99
    coarse = hints_of_images("sketch", image)
    assert (coarse > 0).sum() > 1.5 * (edges > 0).sum() and np.abs(distance[coarse[0, 0] > 0] - 14).max() < 5


def test_masks_and_distances_say_which_class_is_where():
    region, distance = disk()
    maps = hints_of_masks("mask", region[None].astype(np.uint8), 3)
    assert maps.shape == (1, 3, 48, 48) and not maps[0, 2].any()
    assert (maps[0, 1] == region).all() and (maps[0, 0] == ~region).all()
    far = hints_of_masks("distance", region[None].astype(np.uint8), 3)
    assert ((far[0, 1] > 0.5) == region).all() and not far[0, 2].any() and far.min() >= 0 and far.max() <= 1
    np.testing.assert_allclose(far[0, 1], np.clip((14.5 - distance) / 16, -1, 1) / 2 + 0.5, atol=0.05)
