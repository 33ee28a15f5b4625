"""Values that nobody measured do not stretch the intensity window; what was measured does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veridical.data.window import describe_extremes, fit_window, isolated_extremes


@given(
    value=st.sampled_from(
        [-9999.0, -32768.0, -99999.0, float(np.float32(3.4e38)), float(np.float32(-3.4e38)), 1e20, 65535.0]
    ),
    spread=st.floats(0.01, 500),
    middle=st.floats(-100, 100),
    share=st.floats(0.002, 0.5),
    seed=st.integers(0, 99),
)
def test_a_repeated_extreme_far_from_all_others_is_left_out(value, spread, middle, share, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(middle, spread, 5000).astype(np.float32)
    usual = fit_window([values], values.dtype)
    values[: int(share * 5000)] = value
    window = fit_window([rng.permutation(values)], values.dtype)
    assert abs(window.low - usual.low) < 3 * spread and abs(window.high - usual.high) < 3 * spread
    assert f"{np.float32(value):g}" in describe_extremes([values], values.dtype)[0]


@given(seed=st.integers(0, 99), top=st.sampled_from([255, 4095, 65535]), gain=st.floats(0.5, 4))
def test_saturated_images_keep_their_white(seed, top, gain):
    rng = np.random.default_rng(seed)
    values = (rng.gamma(2, gain * top / 4, 5000)).clip(0, top).astype(np.uint16 if top > 255 else np.uint8)
    assert isolated_extremes(values)[0] == []


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_phases_and_a_black_background_stay(dtype):
    rng = np.random.default_rng(0)
    two = np.where(rng.random(5000) < 0.3, 0, 200).astype(dtype)
    labels = np.where(rng.random(5000) < 0.1, 250, rng.integers(0, 5, 5000)).astype(dtype)
    noisy = (two + rng.normal(20, 5, 5000)).astype(dtype)
    grey = (20_000, 100) if dtype == "uint16" else (200, 1)
    background = np.where(two == 0, 0, rng.normal(*grey, 5000)).astype(dtype)
    for values in (two, labels, noisy, background):
        assert isolated_extremes(values)[0] == []
    assert isolated_extremes(background)[1] == ([0.0] if dtype != "uint8" else [])
    assert fit_window([background], dtype).low == 0


def test_two_such_values_and_one_that_the_file_names():
    values = np.random.default_rng(0).normal(0, 1, 5000)
    low, high = values.min(), values.max()
    values[:100], values[100:300], values[300:400] = -9999, 1e30, 7
    window = fit_window([values], values.dtype, missing=[7])
    assert low <= window.low and window.high <= high
    assert len(describe_extremes([values], values.dtype)) == 2
