"""The test of sections for a direction: it is seldom wrong, sees what is drawn out, and knows what goes together."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from veridical.volumes.direction import ALARM, direction_of

SIZE = 16


def tiles_of(fields):
    """Tiles side by side of images (N, H, W), and their places."""
    tops = range(0, fields.shape[1] - SIZE + 1, SIZE)
    places = np.array([(k, y, x) for k in range(len(fields)) for y in tops for x in tops])
    return np.stack([fields[k, y : y + SIZE, x : x + SIZE] for k, y, x in places]), places


def fields(n, blur, seed=0):
    rng = np.random.default_rng(seed)
    return np.tanh(gaussian_filter(rng.standard_normal((n, 64, 64)), (0, *blur), mode="wrap") * 4)


@pytest.mark.parametrize("turned", [False, True])
def test_what_is_drawn_out_is_found_of_a_dozen_tiles(turned):
    made = fields(1, (4, 1.3))
    if turned:  # a diagonal, which neither rows nor columns show
        y, x = np.mgrid[:64, :64]
        made = made[:, (x + y) % 64, (x - y) % 64]
    found = direction_of(*tiles_of(made))
    assert found.tiles == 16 and found.p < ALARM and found.ratio > 5


def test_false_alarms_are_rarer_than_stated():
    found = [direction_of(*tiles_of(fields(n, (2, 2), seed=k))) for n in (1, 3) for k in range(60)]
    assert sum(one.p < ALARM for one in found) <= 3
    assert np.median([one.independent for one in found]) > 10


def test_slices_of_a_volume_that_go_together_are_no_more_tiles():
    rng = np.random.default_rng(1)
    volume = gaussian_filter(rng.standard_normal((24, 32, 32)), 3.0, mode="wrap")
    found = direction_of(*tiles_of(volume))
    assert found.tiles == 96 and 4 <= found.independent < 30
    assert direction_of(*tiles_of(np.repeat(fields(1, (2, 2)), 8, 0))).independent == pytest.approx(16, rel=0.3)


def test_tiles_of_a_slice_that_share_a_direction_count_little():
    """Slices that are drawn out along rows, columns and diagonals in turn: no direction is that of all, and few say so."""
    y, x = np.mgrid[:64, :64]
    made = np.concatenate([fields(1, (4, 1.3) if k % 2 else (1.3, 4), seed=k) for k in range(8)])
    made[4:] = made[4:][:, (x + y) % 64, (x - y) % 64]
    found = direction_of(*tiles_of(made))
    assert found.tiles == 128 and found.independent < 20 and found.p > ALARM


def test_few_tiles_tell_nothing_and_say_so():
    found = direction_of(*tiles_of(fields(1, (4, 1.3))[:, :32, :32]))
    assert found.p == 1 and found.tellable == np.inf
    many = direction_of(*tiles_of(fields(12, (2, 2))))
    assert 2 < many.tellable < 3.5
