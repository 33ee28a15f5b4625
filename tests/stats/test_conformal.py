"""Conformal p-values of single images: exact on small cases, never too small on exchangeable data."""

import numpy as np
import pytest

from veridical.stats.conformal import conformal_p, fields_needed


def test_p_is_the_rank_where_every_image_is_a_field():
    p = conformal_p([0.0, 2.5, 9.0], [1.0, 2.0, 3.0, 4.0], np.arange(4))
    np.testing.assert_allclose(p, [1.0, 3 / 5, 1 / 5])


def test_a_field_has_one_vote_however_many_images_show_it():
    p = conformal_p([5.0], [9.0, 9.0, 9.0, 9.0, 1.0, 2.0], [0, 0, 0, 0, 1, 2])
    assert p[0] == pytest.approx(2 / 4)


def test_folds_compare_with_scores_of_their_own_reference():
    p = conformal_p([[5.0], [0.0]], [4.0, 4.0, 1.0, -1.0], np.arange(4), [0, 0, 1, 1])
    assert p[0] == pytest.approx((1 + 0 + 1) / 5)


def test_real_images_of_new_fields_fail_in_at_most_alpha_of_the_cases():
    rng = np.random.default_rng(0)
    failed, trials = 0, 4000
    for _ in range(trials):
        place = rng.standard_normal(31)
        sizes = rng.integers(1, 6, 30)
        fields = np.repeat(np.arange(30), sizes)
        real = place[fields] + 0.2 * rng.standard_normal(len(fields))
        new = place[30] + 0.2 * rng.standard_normal(1)
        failed += conformal_p(new, real, fields)[0] <= 0.05
    assert failed / trials <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials)  # three standard errors
    assert failed / trials > 0.02  # and it is no idle promise


def test_neighbours_taken_as_independent_would_break_the_promise():
    """Fields of very different sizes: what the count of votes is for."""
    rng = np.random.default_rng(1)
    failed = 0
    for _ in range(1000):
        place = rng.standard_normal(21)
        fields = np.repeat(np.arange(20), [200, *[1] * 19])
        failed += conformal_p(place[20:], place[fields], np.arange(len(fields)))[0] <= 0.05
    assert failed / 1000 > 0.1


def test_fields_needed():
    assert fields_needed(0.05) == 19 and fields_needed(0.01) == 99
    assert conformal_p([9.0], np.zeros(19), np.arange(19))[0] <= 0.05
