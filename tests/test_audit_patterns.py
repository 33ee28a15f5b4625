"""The defect that is named first is the one that, planted in real images, comes nearest to what is seen."""

import numpy as np
import pytest

from test_audit_verdict import texture
from veridical.audit import patterns


def test_misfit_is_the_distance_to_the_line():
    corners = [np.array([0.0, 0.0]), np.array([2.0, 0.0]), np.array([2.0, 2.0])]
    points = np.array([[1.0, 3.0], [1.0, -0.5], [3.0, 1.0], [-1.0, 0.0], [2.0, 5.0]])
    assert patterns._to_line(points, corners) == pytest.approx([2.0, 0.25, 1.0, 1.0, 9.0])


def test_rows_to_plant_in_are_of_one_fold():
    fold = np.arange(60) % 5
    rows = patterns.chosen_rows(fold)
    assert len(set(rows)) == patterns.IMAGES and (fold[rows] == 0).all()
    assert len(patterns.chosen_rows(fold[:8])) == 2


def test_a_defect_is_measured_once():
    planted = patterns.Planted(texture(4, 32), np.arange(2), lambda images: images[:, 0] > 0.5)
    assert planted("blur", 1.0) is planted("blur", 1.0) and len(planted("blur", 1.0)) == 2
    assert "mode_collapse" not in planted.defects and "colour_in_grey" in planted.defects


def test_units_are_the_spread_within_kinds_whatever_lies_between_them():
    rng = np.random.default_rng(0)
    spread = np.array([0.5, 3.0, 20.0])
    kinds = [rng.standard_normal((400, 3)) * spread + shift for shift in (0, 1000, np.array([-50, 0, 300]))]
    white = [points @ patterns._whitening(kinds) for points in kinds]
    assert np.std(white[1], 0) == pytest.approx(spread / np.sqrt(spread**2 + patterns.FLOOR**2), rel=0.1)
    constant = [np.ones((20, 2)), np.zeros((20, 2))]
    assert patterns._whitening(constant) == pytest.approx(np.eye(2) / patterns.FLOOR)
