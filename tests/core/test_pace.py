"""The pace of a training: what a busy machine makes of a budget of minutes."""

import pytest

from veridical.core.pace import first_pace, slowed


def test_the_first_pace_is_that_of_the_first_seconds():
    steady = [(k + 1, 5.0 + 0.5 * k) for k in range(100)]  # the first step takes five seconds
    assert first_pace(steady) == pytest.approx(2)
    slower = [(k + 1, 5.0 + (0.5 * k if k < 40 else 20 + 5 * (k - 40))) for k in range(100)]
    assert first_pace(slower) == pytest.approx(2)
    rare = [(k + 1, 30.0 * k) for k in range(10)]  # fewer than four steps in the first seconds
    assert first_pace(rare) == pytest.approx(1 / 30)
    assert first_pace(steady[:4]) is None and first_pace([]) is None


def test_a_pace_under_half_of_the_first_is_told():
    told = slowed({"steps": 70, "steps_per_second": 0.39, "first_steps_per_second": 1.9})
    assert "70 steps at 0.39 a second, after 1.9 in its first seconds" in told
    assert slowed({"steps": 70, "steps_per_second": 1.0, "first_steps_per_second": 1.9}) is None
    assert slowed({"steps": 70, "steps_per_second": 1.0}) is None and slowed({}) is None
