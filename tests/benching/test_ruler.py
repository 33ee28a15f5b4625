"""The ruler, and what captions ask for beside what it measures."""

import numpy as np
import pytest

from veridical.benching.adherence import adherence, adherence_rows, asked_of, balanced, determination, near
from veridical.benching.ruler import MATERIALS, diameters, make_ruler, phantoms, values
from veridical.core.errors import InputError


def test_shapes_of_known_answer():
    y, x = np.mgrid[:64, :64]
    mask = np.zeros((64, 64), np.uint8)
    for cy, cx in ((20, 20), (20, 44), (44, 32)):
        mask[(y - cy) ** 2 + (x - cx) ** 2 <= 64] = 1
    mask[:, 60:] = 2
    found = MATERIALS["cmc"].measure(mask)
    assert found["n_fibres"] == 3 and found["n_cracks"] == 0 and found["binder_fraction"] == 4 / 64
    assert found["mean_diameter_px"] == pytest.approx(16, abs=0.5) and len(diameters(mask == 1)) == 3
    root = np.zeros((64, 64), np.uint8)
    root[:, 30:33] = 1
    found = MATERIALS["roots"].measure(root)
    assert found["total_length_px"] == pytest.approx(63) and found["mean_width_px"] == pytest.approx(4, abs=0.5)
    assert found["n_main"] == 1 and found["n_laterals"] == 0


def test_true_masks_obey_their_captions_and_shuffled_ones_do_not():
    known, material = phantoms("cmc", 40, 5, given={"volume_fraction": "0.2,0.64"}), MATERIALS["cmc"]
    asked = [asked_of(facts[0]) for facts in known.facts]
    seen = [material.measure(mask) for mask in known.masks]
    rows = {row["metric"]: row for row in adherence_rows(material, asked, seen, adherence(material, asked, seen))}
    number = rows["R2 fibre_volume_fraction"]
    assert number["value"] > 0.98 and number["floor"] < 0 and number["low"] <= number["value"] <= number["high"] <= 1
    assert rows["presence binder_fraction"]["value"] > 0.95 > 0.8 > rows["presence binder_fraction"]["floor"]
    assert rows["near binder_place"]["value"] == 1 and rows["near binder_place"]["n"] < 40
    # n is of images that were asked for a number and of which it is measured.
    asked[0], seen[1] = {}, seen[1] | {"fibre_volume_fraction": np.nan}
    fewer = {row["metric"]: row for row in adherence_rows(material, asked, seen, {})}
    assert fewer["R2 fibre_volume_fraction"]["n"] == number["n"] - 2


def test_numbers_by_hand():
    assert determination(np.array([0.0, 1, 2]), np.array([0.0, 1, 2])) == 1
    assert determination(np.array([0.0, 1, 2]), np.array([1.0, 1, 1])) == 0
    assert np.isnan(determination(np.array([1.0, 1]), np.array([1.0, 2])))
    assert balanced(np.array([True, True, False]), np.array([True, False, False])) == 0.75
    assert near(["left", "right"], ["upper left", "left"]) == 0.5 and np.isnan(near([None], ["left"]))
    assert np.isnan(values([{"a": None}, {}], "a")).all()


def test_a_blind_ruler_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not see"):
        make_ruler("cmc", tmp_path / "blind.safetensors", images=24, steps=1)
