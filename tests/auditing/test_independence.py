"""What is independent: neighbouring slices of a place are one field of view."""

import numpy as np

from veridical.auditing.independence import same_place
from veridical.stats.groups import components


def test_slices_of_one_place_are_one_field():
    from scipy.ndimage import gaussian_filter, shift

    rng = np.random.default_rng(0)
    places = gaussian_filter(rng.standard_normal((12, 64, 64)), (0, 2, 2))
    places /= places.std()
    series = [shift(p, (k, -k), mode="nearest") + 0.3 * rng.standard_normal(p.shape) for p in places for k in range(3)]
    field = components(same_place(np.array(series)[:, None]))
    np.testing.assert_array_equal(field, np.repeat(np.arange(12), 3))
