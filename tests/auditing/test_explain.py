"""The defect that is named first is the one that, planted in real images, comes nearest to what is seen."""

from types import SimpleNamespace

import numpy as np
import pytest

from toy import texture
from veridical.auditing import explain, judge
from veridical.auditing.compare import compare
from veridical.auditing.defects import scores
from veridical.auditing.independence import Units
from veridical.auditing.measure import fit_segmentation, measure
from veridical.auditing.scored import Scored


def test_misfit_is_the_distance_to_the_line():
    corners = [np.array([0.0, 0.0]), np.array([2.0, 0.0]), np.array([2.0, 2.0])]
    points = np.array([[1.0, 3.0], [1.0, -0.5], [3.0, 1.0], [-1.0, 0.0], [2.0, 5.0]])
    assert explain._to_line(points, corners) == pytest.approx([2.0, 0.25, 1.0, 1.0, 9.0])


def test_rows_to_plant_in_are_of_one_fold():
    fold = np.arange(60) % 5
    rows = explain.chosen_rows(fold)
    assert len(set(rows)) == explain.IMAGES and (fold[rows] == 0).all()
    assert len(explain.chosen_rows(fold[:8])) == 2


def test_a_defect_is_measured_once():
    planted = explain.Planted(texture(4, 32), np.arange(2), lambda images: images[:, 0] > 0.5)
    assert planted("blur", 1.0) is planted("blur", 1.0) and len(planted("blur", 1.0)) == 2
    assert "mode_collapse" not in planted.defects and "colour_in_grey" in planted.defects


def test_units_are_the_spread_within_kinds_whatever_lies_between_them():
    rng = np.random.default_rng(0)
    spread = np.array([0.5, 3.0, 20.0])
    kinds = [rng.standard_normal((400, 3)) * spread + shift for shift in (0, 1000, np.array([-50, 0, 300]))]
    white = [points @ explain._whitening(kinds) for points in kinds]
    assert np.std(white[1], 0) == pytest.approx(spread / np.sqrt(spread**2 + explain.FLOOR**2), rel=0.1)
    constant = [np.ones((20, 2)), np.zeros((20, 2))]
    assert explain._whitening(constant) == pytest.approx(np.eye(2) / explain.FLOOR)


def judged(monkeypatch, raised, misfit, own=None):
    """Names of the findings of an image with some scores above those of 40 real images; `own` are the least of planted ones."""
    monkeypatch.setattr(judge, "_quotable", lambda c: ({}, {}))
    columns = list(scores())
    synth = np.zeros((1, 1, len(columns)))
    for name, value in raised.items():
        synth[0, 0, columns.index(name)] = value
    real = np.random.default_rng(0).uniform(0, 1, (40, len(columns)))
    scored = Scored(synth, real, np.zeros(40, int), np.zeros(len(columns)), np.ones(len(columns)))
    explained = explain.Misfits({name: np.array([value]) for name, value in misfit.items()}, {}, 1.0, own or {})
    comparison = SimpleNamespace(scored=scored, fields=np.arange(40), seen_slices_only=False)
    image = judge.judge_images(comparison, 0.05, {}, ["a"], explained)[0]
    return [finding["defect"] for finding in image["findings"]]


def test_what_is_only_unlikely_is_called_by_what_explains_it_best(monkeypatch):
    misfit = {"blur": 40.0, "palette_shift": 9.0}
    some = {"unlikely": 5.0, "palette_shift": 0.2}
    assert judged(monkeypatch, some | {"blur": 0.5}, misfit) == ["palette_shift", "unlikely"]
    assert judged(monkeypatch, some | {"blur": 5.0}, misfit) == ["blur", "unlikely"]


def test_a_name_of_which_the_image_has_nothing_is_not_given(monkeypatch):
    misfit = {"saturated": 3.0, "palette_shift": 9.0}
    assert judged(monkeypatch, {"unlikely": 5.0, "palette_shift": 0.2}, misfit) == ["palette_shift", "unlikely"]
    assert judged(monkeypatch, {"unlikely": 5.0}, misfit) == ["unlikely"]


def test_a_copy_is_called_so_whatever_else_is_wrong_with_it(monkeypatch):
    misfit = {"noise_mismatch": 0.1, "copied": 30.0}
    assert judged(monkeypatch, {"copied": 5.0, "noise_mismatch": 20.0}, misfit) == ["copied", "noise_mismatch"]
    assert judged(monkeypatch, {"copied": 0.0, "noise_mismatch": 20.0}, misfit) == ["noise_mismatch"]


def test_a_name_that_always_shows_when_planted_must_show(monkeypatch):
    """Noise may look as a pattern of upsampling would in everything but its peak."""
    misfit, own = {"checkerboard": 3.0, "noise_mismatch": 9.0}, {"checkerboard": 1.0, "noise_mismatch": 0.3}
    some = {"unlikely": 5.0, "noise_mismatch": 0.8}
    assert judged(monkeypatch, some | {"checkerboard": 0.5}, misfit, own) == ["noise_mismatch", "unlikely"]
    assert judged(monkeypatch, some | {"checkerboard": 1.5}, misfit, own) == ["checkerboard", "unlikely"]
    assert judged(monkeypatch, {"unlikely": 5.0, "checkerboard": 0.5}, misfit, own) == ["unlikely"]


def test_what_planted_images_score_at_least_lies_between_the_usual_and_the_unusual():
    images = texture(30, 32)
    segmentation, rows = fit_segmentation(images), np.arange(30)
    units = Units(rows[:20], np.arange(10), "slices", True)
    x = measure(images, segmentation)
    c = compare(x[rows[:20]], x[rows[20:]], rows[:20], rows[:20], np.arange(10), units)
    planted = explain.Planted(images[:20], explain.chosen_rows(c.scored.fold), segmentation)
    planted.defects = {name: planted.defects[name] for name in ("checkerboard", "shading")}
    own = explain.patterns(c, planted).own
    assert own == {"checkerboard": 1.0}  # a set is shaded, not an image
