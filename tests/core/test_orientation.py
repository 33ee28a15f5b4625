"""Flips and quarter turns are a group."""

import numpy as np
import pytest

from veridical.core.orientation import ORIENTATIONS, turn, unturn

TALL = np.arange(6).reshape(3, 2)
SQUARE = np.arange(9).reshape(3, 3)


def number_of(turned: np.ndarray) -> int:
    (found,) = (code for code in range(8) if np.array_equal(turn(SQUARE, code), turned))
    return found


def test_eight_that_differ_closed_under_composition_with_their_inverses():
    table = np.array([[number_of(turn(turn(SQUARE, a), b)) for b in range(8)] for a in range(8)])
    for line in (*table, *table.T):
        assert sorted(line) == list(range(8))
    assert list(table[0]) == list(range(8))


def test_what_each_bit_does():
    np.testing.assert_array_equal(turn(TALL, 1), np.fliplr(TALL))
    np.testing.assert_array_equal(turn(TALL, 2), np.flipud(TALL))
    np.testing.assert_array_equal(turn(TALL, 4), TALL.T)
    np.testing.assert_array_equal(turn(TALL, 5), np.rot90(TALL))
    np.testing.assert_array_equal(turn(TALL, 6), np.rot90(TALL, -1))


@pytest.mark.parametrize("code", range(8))
def test_unturn_is_the_inverse_and_both_are_views_of_any_axes(code):
    images = np.arange(48).reshape(2, 3, 4, 2)
    turned = turn(images, code, (2, 3))
    np.testing.assert_array_equal(turned[1, 2], turn(images[1, 2], code))
    np.testing.assert_array_equal(unturn(turned, code, (2, 3)), images)
    assert np.shares_memory(turned, images) and np.shares_memory(unturn(turned, code, (2, 3)), images)


@pytest.mark.parametrize("count", ORIENTATIONS.values())
def test_what_training_draws_from_is_a_group(count):
    assert {number_of(turn(turn(SQUARE, a), b)) for a in range(count) for b in range(count)} == set(range(count))
