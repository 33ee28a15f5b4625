"""What makes held-out real images exchangeable with others: copies searched for in as many images, blocks of one size."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from veridical.auditing import case as cases
from veridical.auditing import image_scores, set_tests
from veridical.auditing.compare import compare, independent
from veridical.auditing.copies import fair_distances
from veridical.auditing.explain import Misfits
from veridical.auditing.independence import Units, choose_units
from veridical.auditing.judge import decides, judge_set
from veridical.auditing.measure import Measured, measure
from veridical.auditing.set_scores import collapse
from veridical.stats.rotation import contrasts, moderated_t, smallest_contrast


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
    kept = set_tests.thinned(units, block)
    assert np.bincount(block[kept]).tolist() == [3] * 9


def measured(noise, bands=None):
    values = {f"log_noise_{k}": np.asarray(each, float) for k, each in enumerate(noise)}
    return SimpleNamespace(values=values, bands=bands)


def near(mine, real):
    """Distances between points (N, D) and (R, D), and between those of the real ones."""
    own = cdist(real, real)
    np.fill_diagonal(own, np.inf)
    return tuple(cases.Nearness(deep, np.zeros((len(deep), 1, len(real)))) for deep in (cdist(mine, real), own))


def beside_all(monkeypatch, n):
    """Distances of `n` images to 50 real ones, all of which are alike."""
    monkeypatch.setattr(cases, "ALIKE", 50)
    return near(np.zeros((n, 1)), np.zeros((50, 1)))


def two_kinds(rng):
    """Values and deep features of 30 images of each of two kinds, and of two to judge: usual, and as between the kinds."""
    kind = np.repeat([0.0, 1.0], 30)
    values = 10 * kind + rng.normal(0, 0.5, 60)
    features = 100 * kind[:, None] + rng.standard_normal((60, 3))
    return values, features, np.array([0.2, 5.0]), rng.standard_normal((2, 3))


def test_what_lies_between_two_kinds_is_no_image_of_either():
    values, features, mine, mine_deep = two_kinds(np.random.default_rng(0))
    case = cases.Case(None, None, *near(mine_deep, features))
    beside = np.abs(case.deviations(mine, values))
    everywhere = np.abs(cases.deviations(mine[:, None], values[:, None])[:, 0])
    assert beside[0] < 2 and beside[1] > 5 and everywhere[1] < 0.5


def test_images_are_alike_to_others_and_what_is_not_known_does_not_count():
    values, features, mine, mine_deep = two_kinds(np.random.default_rng(1))
    values[:5] = np.nan
    case = cases.Case(None, None, *near(mine_deep, features))
    rows, real_rows = case.alike
    assert (rows < 30).all() and (real_rows[:30] < 30).all() and (real_rows != np.arange(60)[:, None]).all()
    apart, usual = case.apart(mine[:, None], values[:, None])
    assert np.isfinite(apart).all() and np.isnan(usual[:5]).all() and np.isfinite(usual[5:]).all()
    assert apart[0, 0] == pytest.approx(mine[0] - np.nanmean(values[rows[0]]))


def test_usual_values_that_do_not_go_together_are_unlikely():
    rng = np.random.default_rng(0)
    common = rng.standard_normal(80)
    real = {"colour": np.zeros(80), "a": common, "b": common + 0.05 * rng.standard_normal(80)}
    x = {"colour": np.zeros(2), "a": np.array([1.0, 1.0]), "b": np.array([1.0, -1.0])}
    tables = [Measured(v, np.zeros((len(v["a"]), 8)), None, None) for v in (x, real)]
    deep = rng.standard_normal((82, 3))
    found = image_scores.unlikely(cases.Case(*tables, *near(deep[:2], deep[2:])))
    assert found[1] > 1.5 * found[0]


def stand_in(rng, n):
    """Random measurements of n images."""
    return measure(rng.random((n, 1, 32, 32), np.float32), lambda images: images[:, 0] > 0.5)


def test_real_images_are_judged_by_other_units():
    rng = np.random.default_rng(0)
    slices, fields = np.repeat([0, 1], 20), np.arange(40)
    for kind, labels in (("slices", slices), ("fields of view", fields)):
        units = Units(labels, np.arange(8), kind, True)
        assert (independent(units, fields, slices) == labels).all()
    x = stand_in(rng, 48)
    c = compare(x[np.arange(40)], x[np.arange(40, 48)], fields, slices, np.arange(8), units)
    assert len(np.unique(c.scored.fold[:20])) == 5  # not one fold a slice


@pytest.mark.parametrize(("p", "named"), [(0.3, True), (0.9, False)])
def test_what_is_as_usual_as_not_is_no_name_for_what_differs(monkeypatch, p, named):
    x = stand_in(np.random.default_rng(0), 24)
    rows = np.arange(24)
    units = Units(rows[:16], np.arange(8), "slices", True)
    c = compare(x[rows[:16]], x[rows[16:]], rows[:16], rows[:16], np.arange(8), units)
    tests = set_tests.names(c.searched)
    adjusted = np.full(len(tests), 0.8)
    adjusted[[tests.index("unlikely"), tests.index("spectrum_shift")]] = 0.01, p
    plain = set_tests.test_set
    monkeypatch.setattr(set_tests, "test_set", lambda *a, **k: plain(*a, **k)._replace(p=adjusted))
    explained = Misfits({}, {name: float(name != "spectrum_shift") for name in tests}, 0.5, {})
    found = [f["defect"] for f in judge_set(c, 0.05, explained=explained)]
    assert found == (["spectrum_shift", "unlikely"] if named else ["unlikely"])


@pytest.fixture(scope="module")
def noise():
    return stand_in(np.random.default_rng(0), 56)


def with_effects(x, effect):
    """Measurements with `effect` (N, 8) on the power spectrum and on grey levels, in standard deviations between images."""
    values = {name: each + effect[:, 0] * np.nanstd(each) for name, each in x.values.items()}
    return replace(x, values=values, bands=x.bands + effect * x.bands.std(0))


@pytest.mark.parametrize("slices", [2, 7])
def test_a_slice_that_differs_as_slices_do_does_not_fail_and_one_that_differs_more_does(noise, slices):
    rng = np.random.default_rng(slices)
    size = len(noise) // (slices + 1)
    label = np.repeat(np.arange(slices + 1), size)
    rows, n = np.arange(len(label)), slices * size
    units = choose_units(label[:n], rows[:n], label[n:], 16, 0.05)
    near, own = (
        cases.nearness(noise[rows[n:]], noise[rows[:n]]),
        cases.alone(cases.nearness(noise[rows[:n]], noise[rows[:n]])),
    )
    alarms = found = 0
    for _ in range(3 if slices == 2 else 6):
        effect = 2 * rng.standard_normal((slices + 1, 8))
        for far in (0, 40):
            effect[slices] += far
            x = with_effects(noise[rows], effect[label])
            c = compare(x[rows[:n]], x[rows[n:]], rows[:n], label[:n], label[n:], units, near=near, own=own)
            findings = judge_set(c, 0.05, 400)
            fails = bool(findings) and (decides(findings) or not c.seen_slices_only)
            alarms, found = alarms + (not far and fails), found + (far and fails)
    assert alarms <= 2
    assert found == 6 if slices > 2 else not found


def test_another_gain_is_told_from_other_noise_by_its_grain(monkeypatch):
    rng = np.random.default_rng(0)
    levels = np.log([0.04, 0.03, 0.02])[:, None] + 0.1 * rng.standard_normal((3, 50))
    x = np.median(levels, 1)[:, None] + np.array([[np.log(0.5), 1.0], [np.log(0.5), 0.2], [np.log(0.5), 0.0]])
    case = cases.Case(measured(x), measured(levels), *beside_all(monkeypatch, 2))
    gain = image_scores.usual_grain(case)
    assert gain[0] == pytest.approx(1, abs=0.01) and gain[1] < 0.05
    noise = image_scores.noise_mismatch(case)
    assert noise[1] > 1.1 * abs(case.deviation("log_noise_0")[1]) and noise[0] < 0.3 * abs(
        case.deviation("log_noise_0")[0]
    )


def test_blur_takes_the_highest_frequencies_and_drawing_does_not(monkeypatch):
    rng = np.random.default_rng(0)
    real = -np.arange(8.0) + 0.1 * rng.standard_normal((50, 8))
    blurred = -np.arange(8.0) - 0.2 * np.arange(8) ** 2
    both = np.stack([blurred, -np.arange(8.0)])
    case = cases.Case(measured([[0]], both), measured([[0]], real), *beside_all(monkeypatch, 2))
    assert image_scores.tail(case)[0] < -10 and abs(image_scores.tail(case)[1]) < 2


def test_only_what_is_near_counts_as_a_copy():
    rng = np.random.default_rng(0)
    x, real = (SimpleNamespace(copy_distance=d) for d in (np.array([0.02, 0.6]), rng.uniform(0.7, 0.9, 50)))
    found = image_scores.copied(cases.Case(x, real, None, None))
    assert found[0] > 5 and found[1] == 0


def test_a_slice_that_says_nothing_of_a_property_does_not_count():
    """One image has no fellow: its slice is left out of how slices vary, and contrasts of the others stay contrasts."""
    column = np.array([0.0, 0.1, -0.1, np.nan, 0.05, 1.0])
    contrast = contrasts(5, 1, 500)
    t = set_tests._of_known(column, contrast, 5).t
    alone = moderated_t(column[np.isfinite(column), None], contrasts(4, 1, 500), smallest_contrast(4, 1))
    assert t[0, 0] == pytest.approx(alone[0, 0]) and (t[1:, 0] < t[0, 0]).mean() > 0.97
    outlier = moderated_t(np.where(np.isnan(column), -7, column)[:, None], contrast, smallest_contrast(5, 1))
    assert t[0, 0] > 3 * outlier[0, 0]
    assert not set_tests._of_known(np.where(np.arange(6) == 5, np.nan, column), contrast, 5).t.any()
    assert np.isnan(collapse(np.full((3, 3), np.inf), np.array([True, False, False])))
