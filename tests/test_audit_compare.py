"""What makes held-out real images exchangeable with others: copies searched for in as many images, blocks of one size."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from veridical.audit import scores, sets
from veridical.audit.blocks import Units
from veridical.audit.copies import fair_distances


def test_everybody_is_searched_for_in_as_many_parts():
    found = np.array([[0.0, 5.0, 1.0, 9.0], [4.0, 0.0, 2.0, 3.0], [6.0, 7.0, 3.0, 8.0]])
    own, nearest, fair = fair_distances(found, np.array([0, 1]), 2)
    assert own.tolist() == [4.0, 5.0]  # without its own part
    assert nearest.tolist() == [1.0, 3.0]  # in all parts
    assert fair.tolist() == [2.0, 8.0]  # one part left out in turn


def test_held_out_images_are_as_near_as_real_ones():
    rng = np.random.default_rng(0)
    points, part = rng.standard_normal((1600, 3)), np.arange(800) % 10
    distance = cdist(points, points)
    found = np.stack([distance[:800][part == f].min(0) for f in range(10)])
    own, nearest, fair = fair_distances(found, part, 800)
    assert abs(np.median(own) - np.median(fair)) < 0.15 * np.median(own)
    assert nearest.mean() < fair.mean()


def test_blocks_are_thinned_to_one_size():
    units = Units(np.repeat(np.arange(4), 10), np.repeat(np.arange(5), 3), "slices", True)
    block = np.concatenate([units.real, units.synth + 4])
    kept = sets.thinned(units, block)
    assert np.bincount(block[kept]).tolist() == [3] * 9


def measured(noise, bands=None):
    values = {f"log_noise_{k}": np.asarray(each, float) for k, each in enumerate(noise)}
    return SimpleNamespace(values=values, bands=bands)


def test_another_gain_is_told_from_other_noise_by_its_grain():
    rng = np.random.default_rng(0)
    levels = np.log([0.04, 0.03, 0.02])[:, None] + 0.1 * rng.standard_normal((3, 50))
    x = np.median(levels, 1)[:, None] + np.array([[np.log(0.5), 1.0], [np.log(0.5), 0.2], [np.log(0.5), 0.0]])
    case = scores.Case(measured(x), measured(levels), None, None)
    gain = scores.usual_grain(case)
    assert gain[0] == pytest.approx(1, abs=0.01) and gain[1] < 0.05
    noise = scores.noise_mismatch(case)
    assert noise[1] > 1.1 * abs(case.deviation("log_noise_0")[1]) and noise[0] < 0.3 * abs(
        case.deviation("log_noise_0")[0]
    )


def test_blur_takes_the_highest_frequencies_and_drawing_does_not():
    rng = np.random.default_rng(0)
    real = -np.arange(8.0) + 0.1 * rng.standard_normal((50, 8))
    blurred = -np.arange(8.0) - 0.2 * np.arange(8) ** 2
    case = scores.Case(measured([[0]], np.stack([blurred, -np.arange(8.0)])), measured([[0]], real), None, None)
    assert scores.tail(case)[0] < -10 and abs(scores.tail(case)[1]) < 2


def test_only_what_is_near_counts_as_a_copy():
    rng = np.random.default_rng(0)
    x, real = (SimpleNamespace(copy_distance=d) for d in (np.array([0.02, 0.6]), rng.uniform(0.7, 0.9, 50)))
    found = scores.copied(scores.Case(x, real, None, None))
    assert found[0] > 5 and found[1] == 0
