"""Values, floors and intervals of sets whose real tiles come several a slice, with features of known distribution."""

import numpy as np
import pytest

from veridical.scoring import measures
from veridical.scoring.difference import headline_difference
from veridical.scoring.sets import Deep, Phase, Sets
from veridical.scoring.table import METRICS
from veridical.stats.jackknife import Interval

DIM = 6


def slices(count, tiles, correlation, rng):
    labels = np.repeat(np.arange(count), tiles)
    common, own = rng.normal(size=(count, DIM)), rng.normal(size=(count * tiles, DIM))
    return np.sqrt(correlation) * common[labels] + np.sqrt(1 - correlation) * own, labels


def perfect(rng, count=12, tiles=5, others=12, correlation=0.3, synth=40, phase_shift=1.5):
    """Sets of one source, the synthetic images independent, with features in the place of a network's."""
    (x, groups), (z, other_groups), (p, phase) = (slices(n, tiles, correlation, rng) for n in (count, others, others))
    y = rng.normal(size=(synth, DIM))
    sets = Sets(x[:, None, None], y[:, None, None], groups, None, z[:, None, None], other_groups)
    rows = sets.rows
    sets.__dict__["features"] = (x, y, z)
    sets.__dict__["deep"] = Deep(x[rows.real], y[rows.synth], x[rows.half], z[rows.others], {})
    sets.__dict__["random_phase"] = Phase(phase_shift + p, phase, False)
    return sets


def value_only(statistic, groups, **settings):
    value = float(statistic(*(np.arange(len(labels)) for labels in groups)))
    return Interval(value, 0.5, 1.0, None, "")


@pytest.mark.parametrize(("count", "tiles"), [(12, 5), pytest.param(6, 20, marks=pytest.mark.long)])
def test_a_perfect_generator_is_at_the_floor(count, tiles, monkeypatch):
    """Floors of tiles in slices would be worse than what independent perfect images reach: by 8 to 30 standard errors."""
    monkeypatch.setattr(measures, "jackknife", value_only)
    monkeypatch.setattr(measures, "FEWEST", 6)  # what is measured must be right before it is worth printing
    names = ("kid", "kid_over_random_phase", "fd", "precision_capped", "recall_capped", "coverage")
    values = {name: [] for name in names}
    for seed in range(60):
        sets = perfect(np.random.default_rng((seed, count)), count, tiles, 8)
        for name in names:
            row = METRICS[name].measure(sets, METRICS[name])
            values[name].append((row["value"], row["floor"]))
    for name, pairs in values.items():
        off = np.subtract(*np.transpose(pairs))
        assert abs(off.mean()) < 3 * off.std() / np.sqrt(len(off)), name
    for name in names[:2]:  # the true value is 0
        own = np.array(values[name])[:, 0]
        assert abs(own.mean()) < 3 * own.std() / np.sqrt(len(own))


def test_slices_that_are_in_both_real_sets_do_not_lower_the_floor():
    """Held-out tiles of other places in the slices that were trained on: pairs of one slice do not count."""
    floors, names = [], np.repeat([f"slice{k}" for k in range(6)], 5)
    for seed in range(80):
        rng = np.random.default_rng(seed)
        both, _ = slices(6, 10, 0.5, rng)
        x, z = both.reshape(6, 2, 5, DIM).swapaxes(0, 1).reshape(2, 30, DIM)
        sets = Sets(x[:, None, None], rng.normal(size=(20, DIM))[:, None, None], names, None, z[:, None, None], names)
        rows = sets.rows
        sets.__dict__["deep"] = Deep(x[rows.real], x[:0], x[rows.half], z[rows.others], {})
        floors.append(sets.kid_floor)
    assert abs(np.mean(floors)) < 3 * np.std(floors) / np.sqrt(80)


@pytest.mark.parametrize(("count", "tiles"), [(12, 5), pytest.param(4, 10, marks=pytest.mark.long), (3, 10)])
def test_the_interval_of_the_kernel_distance_holds_0(count, tiles):
    held, draws = 0, 80
    for seed in range(draws):
        row = METRICS["kid"].measure(perfect(np.random.default_rng((seed, count)), count, tiles), METRICS["kid"])
        held += row["low"] <= 0 <= row["high"]
    assert held >= 0.91 * draws


def test_the_difference_of_two_systems_is_told_where_their_intervals_overlap():
    """The real images and the texture are shared: what they vary by cancels."""
    told, overlap, held = 0, 0, 0
    for seed in range(20):
        one = perfect(np.random.default_rng(seed), 10, 4, 10, synth=60)
        y = 0.55 + np.random.default_rng((seed, 1)).normal(size=(60, DIM))
        other = perfect(np.random.default_rng(seed), 10, 4, 10, synth=60)  # of the same real images
        other.__dict__["deep"] = other.deep._replace(synth=y)
        rows = [
            METRICS["kid_over_random_phase"].measure(sets, METRICS["kid_over_random_phase"]) for sets in (one, other)
        ]
        found = headline_difference(one, other)
        assert found.value == pytest.approx(rows[1]["value"] - rows[0]["value"], abs=0.03)
        told += found.low > 0
        overlap += rows[0]["high"] > rows[1]["low"]
        held += headline_difference(one, perfect_again(one, seed)).low <= 0
    assert told > 20 - overlap + 3 and held >= 18, (told, overlap, held)


def perfect_again(one, seed):
    other = perfect(np.random.default_rng(seed), 10, 4, 10, synth=60)
    other.__dict__["deep"] = other.deep._replace(synth=np.random.default_rng((seed, 2)).normal(size=(60, DIM)))
    return other
