"""Overlapping spheres: drawn volumes meet their closed forms."""

import numpy as np
import pytest
import tifffile

from veridical.core.errors import InputError
from veridical.data.readers.open import open_slices
from veridical.metrics.physics_volume import lineal_path, mean_chord, two_point
from veridical.phantoms import spheres
from veridical.phantoms.spheres import SpheresOptions, draw_spheres, write_spheres

OPTIONS = SpheresOptions(solid_fraction=0.5, radius=6)


@pytest.fixture(scope="module")
def masks():
    return [draw_spheres(96, 1, k, OPTIONS).mask.astype(bool) for k in range(3)]


def test_two_point_function_on_three_axes(masks):
    pores = np.stack([~mask for mask in masks])
    expected = spheres.two_point_function(np.arange(17), OPTIONS)
    for axis in (1, 2, 3):
        np.testing.assert_allclose(two_point(pores, axis, 16), expected, atol=0.015)


def test_chords_and_lineal_path(masks):
    """Chords of the pores are exponential: between spheres a line is a Poisson process (Torquato 2002, eq. 5.47)."""
    pores = np.stack([~mask for mask in masks])
    both = spheres.two_point_function(np.array([0, 1]), OPTIONS)
    chord = both[0] / (both[0] - both[1])  # of voxels, which do not see the shortest
    continuous = 4 * both[0] / spheres.specific_surface(OPTIONS)
    assert continuous == pytest.approx(chord, rel=0.06)
    path = both[0] * np.exp(-np.arange(12) / continuous)
    for axis in (1, 2, 3):
        assert mean_chord(pores, axis) == pytest.approx(chord, rel=0.04)
        np.testing.assert_allclose(lineal_path(pores, axis, 12), path, atol=0.03)


def test_volumes_are_stacks_that_other_commands_open(tmp_path):
    options = SpheresOptions(radius=5, voxel_size=2.5)
    (path,) = write_spheres(tmp_path / "new", 1, 32, 3, options)
    slices = open_slices(path)
    assert len(slices) == 32 and slices.pixel_size == pytest.approx(2.5) and slices.dtype == np.uint16
    made = draw_spheres(32, 3, 0, options)
    assert np.array_equal(tifffile.imread(tmp_path / "new" / "spheres_0_mask.tif"), made.mask)
    assert np.corrcoef(tifffile.imread(path).ravel(), made.mask.ravel())[0, 1] > 0.85
    assert "expected_euler_density" in (tmp_path / "new" / "properties.csv").read_text()
    for wrong in ({"radius": 0.0}, {"solid_fraction": 1.5}):
        with pytest.raises(InputError, match="out of range"):
            SpheresOptions(**wrong)
    with pytest.raises(InputError, match="needs size"):
        draw_spheres(16, 0, 0, options)
