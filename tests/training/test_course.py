"""Which state of a training is kept by a noisy score, and what is said of its course."""

import numpy as np
import pytest

from veridical.training import course
from veridical.training.course import Point


def points(values, error=0.02):
    return [Point(10 * k + 10, 60.0 * k + 60, v, v - 0.1, v + 0.1, error, 64) for k, v in enumerate(values)]


def kept(values, error):
    """Number of the state that is kept at the end."""
    made = points(values, error)
    return max(k for k in range(len(made)) if course.is_best(made[: k + 1]))


def test_words_follow_the_curve():
    falling = 0.2 + 0.8 * np.exp(-np.arange(12) / 4)
    assert course.trend(points(falling[:2])) == ""
    assert course.told([]) == "" and course.told(points([0.314])) == "distance to real 0.31"
    assert course.told(points(falling)).endswith(", still falling")
    assert course.trend(points([0.9, 0.5, 0.3, *[0.2] * 9])) == "level"
    assert course.trend(points([0.9, 0.5, 0.3, 0.2, 0.2, 0.2, 0.6, 0.7, 0.8])) == "rising since step 60"


def test_a_state_that_has_just_become_worse_is_not_kept():
    fallen = [1.0, 0.5, 0.0]  # the mean of three still falls with the next
    assert course.is_best(points([*fallen, 0.3])) and not course.is_best(points([*fallen, 0.4]))


def test_waiting_counts_scores_since_the_lowest():
    assert course.since_lowest([]) == 0
    assert course.since_lowest(points([0.9, 0.8, 0.7])) == 0
    assert course.since_lowest(points([0.9, 0.3, 0.3, 0.3, 0.6, 0.6, 0.6])) == 3


CURVES = {
    "falls": lambda t: 0.1 + 0.9 * np.exp(-4 * t),
    "plateau": lambda t: 0.2 + 0.8 * np.exp(-20 * t),
    "worse again": lambda t: 0.2 + 0.8 * np.exp(-8 * t) + 0.6 * np.maximum(t - 0.5, 0),
    "collapse": lambda t: 0.2 + 0.6 * np.exp(-8 * t) + (t > 0.7),
}


@pytest.mark.parametrize("alike", [0.0, 0.7])
@pytest.mark.parametrize("curve", CURVES)
def test_choosing_by_a_noisy_score_does_no_harm(curve, alike):
    """What the kept state loses on the truly best one: on average less than a standard error, and less than the last state."""
    rng = np.random.default_rng(0)
    error, n = 0.05, 40
    true = CURVES[curve](np.linspace(1 / n, 1, n))
    lost = []
    for _ in range(40):
        noise = rng.standard_normal(n)
        for k in range(1, n):  # samples come from the same noise each time: errors are alike
            noise[k] = alike * noise[k - 1] + np.sqrt(1 - alike**2) * noise[k]
        lost.append(true[kept(true + error * noise, error)] - true.min())
    assert np.mean(lost) < min(error, max(0.01, true[-1] - true.min()))


def test_the_lowest_of_single_scores_would_be_chance():
    """Why scores are smoothed and the later of two like states is kept: on a falling curve the plain minimum is earlier."""
    rng = np.random.default_rng(0)
    true = CURVES["falls"](np.linspace(0.025, 1, 40))
    plain, ours = [], []
    for _ in range(40):
        noisy = true + 0.05 * rng.standard_normal(40)
        plain.append(true[int(np.argmin(noisy))] - true.min())
        ours.append(true[kept(noisy, 0.05)] - true.min())
    assert np.mean(ours) < np.mean(plain) / 2
