"""What is independent: neighbouring slices of a place are one field of view."""

import numpy as np
import pytest

from toy import texture
from veridical.auditing.independence import continues, joined, same_place
from veridical.stats.groups import components


def test_slices_of_one_place_are_one_field():
    from scipy.ndimage import gaussian_filter, shift

    rng = np.random.default_rng(0)
    places = gaussian_filter(rng.standard_normal((12, 64, 64)), (0, 2, 2))
    places /= places.std()
    series = [shift(p, (k, -k), mode="nearest") + 0.3 * rng.standard_normal(p.shape) for p in places for k in range(3)]
    field = components(same_place(np.array(series)[:, None]))
    np.testing.assert_array_equal(field, np.repeat(np.arange(12), 3))


def test_slices_that_names_tell_are_one_where_they_show_one_place():
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    places = gaussian_filter(rng.standard_normal((8, 64, 64)), (0, 2, 2))
    series = np.array([p / places.std() + 0.3 * rng.standard_normal(p.shape) for p in places for _ in range(2)])[
        :, None
    ]
    names = np.array([f"place{k // 2}_depth{k % 2}" for k in range(16)])
    tiles = np.concatenate([series, series[:, :, ::-1] + 0.3 * rng.standard_normal(series.shape)])  # two tiles a name
    found = joined(tiles, np.concatenate([names, names]))
    assert len(np.unique(found)) == 8 and np.array_equal(found[:16:2], found[1:16:2])
    numbered = np.array([f"{k:06d}" for k in range(16)])  # a generator's samples, of which some are alike
    assert np.array_equal(joined(series, numbered), numbered)


@pytest.mark.parametrize("channels", [1, 3])
def test_tiles_of_one_image_are_found_by_their_borders(channels):
    whole = texture(4, size=256, seed=2).repeat(channels, 1)
    tiles = whole.reshape(4, channels, 4, 64, 4, 64).swapaxes(3, 4).reshape(4, channels, 16, 64, 64).swapaxes(1, 2)
    image, order = np.repeat(np.arange(4), 16), np.random.default_rng(0).permutation(64)
    found = continues(tiles.reshape(64, channels, 64, 64)[order])
    wrong = found[image[order][:, None] != image[order]].sum()
    assert wrong <= 0.05 * found.sum() and found.sum() / 2 > 0.6 * 4 * 24  # neighbours


@pytest.mark.parametrize(
    "images", [texture(60, size=40), np.zeros((20, 1, 16, 16)), np.random.default_rng(0).random((60, 1, 32, 32))]
)
def test_images_of_their_own_have_no_neighbours(images):
    assert not continues(images).any()
