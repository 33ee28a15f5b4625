"""What an explanation quotes is what was tested: outside the range of real sets, or images, whenever that is significant."""

import numpy as np
import pytest

from toy import texture
from veridical.auditing.compare import compare
from veridical.auditing.defects import DEFECTS, plant, plants
from veridical.auditing.evidence import WORDS, Evidence, in_units
from veridical.auditing.independence import Units
from veridical.auditing.judge import judge_images, judge_set, told
from veridical.auditing.measure import fit_segmentation, measure
from veridical.auditing.set_tests import Compared

ALPHA = 0.05


REAL, SYNTH = 40, 12
WAYS = {
    "exchanged": Units(np.arange(REAL), np.arange(SYNTH), "slices", True),
    "rotated": Units(np.arange(REAL) // 8, np.arange(SYNTH) // 6, "slices", True, "rotate"),
}


@pytest.fixture(scope="module")
def real():
    """How images are measured, and their measurements, with distances to training images."""
    images = texture(REAL, 32)
    segmentation = fit_segmentation(images)
    far = np.random.default_rng(0).uniform(0.7, 0.9, REAL)
    return segmentation, measure(images, segmentation).with_copies(far)


def judged(real, made, way, copies=0):
    """Findings of the set, and of its images, of which `copies` are training images."""
    segmentation, x = real
    far = np.random.default_rng(1).uniform(0.7, 0.9, len(made))
    far[:copies] = 0.05
    y = measure(made, segmentation).with_copies(far)
    units, fields = WAYS[way], np.arange(REAL)
    c = compare(x, y, fields, units.real, units.synth, units, fair=far)
    return judge_set(c, ALPHA, 400), judge_images(c, ALPHA, {}, [str(k) for k in range(len(made))])


def in_range(finding):
    low, high = finding["expected"]
    return (low is None or finding["statistic"] >= low) and (high is None or finding["statistic"] <= high)


def outside_where_significant(findings):
    """Checks all, and gives those that were; all that is quoted can be measured."""
    for finding in (f for f in findings if f["expected"] is not None):
        low, high = WORDS[finding["quoted"]].limits
        ends = [v for v in (finding["statistic"], *finding["expected"]) if v is not None]
        assert low <= min(ends) <= max(ends) <= high, finding
    significant = [f for f in findings if f["expected"] is not None and f["p_value"] and f["p_value"] <= ALPHA]
    for finding in significant:
        assert not in_range(finding), finding
        numbers = finding["explanation"].split(" is ")[-1]  # told apart as printed, too
        value, usual = numbers.split("; ")
        assert value not in usual.split(": ")[1].split(" to ") and value not in usual.split(" "), finding
    for finding in findings:
        if finding["p_value"] and finding["p_value"] > ALPHA and finding["expected"] is not None:
            assert not in_range(finding), finding
    return [f["defect"] for f in significant]


def few_kinds(images):
    """Brightest ones of many, so that most kinds are missing."""
    pool = texture(150, 32, seed=7)
    return pool[np.argsort(-pool.mean((1, 2, 3)))[: len(images)]]


PLANTED = {name: (lambda images, name=name: plant(name, images, plants()[name].severities[-1])) for name in plants()}
PLANTED |= {"memorised": lambda images: images, "low_coverage": few_kinds}
TESTED = [name for name, row in DEFECTS.items() if row.pair is None and row.named and name != "copied"]


def test_every_defect_that_is_tested_is_planted_here():
    assert set(TESTED) == set(PLANTED)


@pytest.mark.parametrize("defect", TESTED)
def test_what_is_quoted_lies_outside_the_range_of_real_sets(real, defect):
    made = PLANTED[defect](texture(SYNTH, 32, seed=1))
    for way in WAYS:
        findings, images = judged(real, made, way, copies=SYNTH // 2 if defect == "memorised" else 0)
        found = outside_where_significant(findings)
        assert way == "rotated" or defect in (*found, "low_coverage"), found
        for image in images:
            outside_where_significant(image["findings"])


def test_palette_shift_quotes_no_noise(real):
    found, _ = judged(real, plant("palette_shift", texture(SYNTH, 32, seed=1), 0.6), "exchanged")
    text = next(f["explanation"] for f in found if f["defect"] == "palette_shift")
    assert "on average" in text and "noise" not in text and "95 % of real sets" in text


def test_bounds_are_where_the_test_is_no_longer_significant():
    t = np.arange(100.0)[::-1, None] / 10  # the observed one is the highest of 100
    k, mine, low, high = Compared(t, np.array([2.0]), np.array([12.0])).bounds(ALPHA, 1)
    assert (k, mine, low) == (0, 12.0, None) and 2 < high < 12
    two = np.concatenate([-t, t / 2], 1)
    k, mine, low, high = Compared(two, np.array([2.0, 0.0]), np.array([-8.0, 1.0])).bounds(ALPHA, 2)
    assert (k, mine) == (0, -8.0) and -8 < low < 2 < high and high - 2 == pytest.approx(2 - low)
    tied = np.ones((100, 1))
    assert Compared(tied, np.zeros(1), np.ones(1)).bounds(ALPHA, 1)[3] == 1.0  # not significant, not outside


def test_as_many_digits_as_tell_a_value_from_the_range():
    assert "is 10.604; 90 % of real images: 10.605 to" in str(Evidence("mean", 10.604, 10.6049, 12.2))
    assert "is 10.6; 90 % of real images: 10.5 to" in str(Evidence("mean", 10.604, 10.5, 12.2))
    assert "at least" in str(Evidence("copy", 0.1, 0.2, None)) and "at most" in str(Evidence("score", 3.0, None, 0.2))


def test_a_name_that_is_as_usual_by_itself_quotes_no_number():
    inside = Evidence("mean", 0.5, 0.4, 0.6)
    assert told("blur", inside, False)["expected"] is None
    assert "explains best" in told("blur", inside, False)["explanation"]
    assert told("blur", Evidence("mean", 0.7, 0.4, 0.6), False)["statistic"] == 0.7


def test_ranges_keep_to_what_can_be_measured():
    assert in_units("saturated", -0.0003) == 0.0 and in_units("saturated", 0.0017) == 0.0017
    assert in_units("coherence", 1.2) == 1.0 and in_units("shading_x", -0.2) == -0.2 and in_units("slope", -3.0) == -3.0
    assert all(WORDS[name].limits[0] == 0 for name in WORDS if WORDS[name].log)


def test_a_copy_distance_is_quoted_as_it_was_measured(real):
    """Its test looks at scores."""
    _, x = real
    found, _ = judged(real, texture(SYNTH, 32, seed=1), "exchanged", copies=SYNTH)
    copies = next(f for f in found if f["defect"] == "memorised")
    assert copies["statistic"] == pytest.approx(0.05, abs=0.02)
    assert 0.3 < copies["expected"][0] < np.median(x.copy_distance)
