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
