"""Surface, percolation and Euler characteristic of volumes of known answer."""

import numpy as np
import pytest

from veridical.metrics.physics_volume import euler_density, percolating_share, specific_surface
from veridical.phantoms import spheres
from veridical.phantoms.spheres import SpheresOptions, draw_spheres


def ball(side, radius):
    z, y, x = np.mgrid[:side, :side, :side] - (side - 1) / 2
    return z**2 + y**2 + x**2 <= radius**2


def test_overlapping_spheres_have_their_closed_forms():
    """Half solid; counted in voxels as they are the Euler characteristic is a third off."""
    options = SpheresOptions(solid_fraction=0.5, radius=6)
    masks = [draw_spheres(112, 2, k, options).mask > 0 for k in range(2)]
    known = spheres.euler_density(options)
    assert np.mean([euler_density(mask, periodic=True) for mask in masks]) == pytest.approx(known, rel=0.1)
    assert np.mean([euler_density(mask) for mask in masks]) == pytest.approx(known, rel=0.1)
    assert np.mean([euler_density(mask, periodic=True, smooth=0) for mask in masks]) < 1.2 * known
    surface = np.mean([specific_surface(mask) for mask in masks])
    assert surface == pytest.approx(spheres.specific_surface(options), rel=0.1)


def test_surface_of_shapes():
    assert specific_surface(ball(48, 16)) == pytest.approx(4 * np.pi * 16**2 / 48**3, rel=0.08)
    slab = np.zeros((40, 24, 24), bool)
    slab[10:20] = True
    for axis in range(3):
        assert specific_surface(np.moveaxis(slab, 0, axis)) == pytest.approx(2 / 40, rel=0.11)
    assert specific_surface(~slab) == specific_surface(slab)
    assert specific_surface(np.ones((4, 4, 4), bool)) == 0


def test_what_percolates_reaches_both_faces():
    mask = np.zeros((12, 10, 8), bool)
    assert [percolating_share(mask, axis) for axis in range(3)] == [0, 0, 0]
    mask[:, 2:4, 2:4] = True  # 48 voxels, through along axis 0
    mask[2:6, 7:9, 2:4] = True  # 16, nowhere through
    assert [percolating_share(mask, axis) for axis in range(3)] == [48 / 64, 0, 0]
    mask[2, 4:7, 2] = True  # both are one now
    assert [percolating_share(mask, axis) for axis in range(3)] == [1, 0, 0]
    mask[6, 2:4, 2:4] = False  # cut in two
    assert [percolating_share(mask, axis) for axis in range(3)] == [0, 0, 0]
    diagonal = np.eye(6, dtype=bool)[None].repeat(
        6, 0
    )  # through along its axis; voxels of neighbouring columns touch at edges
    assert [percolating_share(diagonal, axis) for axis in range(3)] == [1, 0, 0]
    assert percolating_share(np.ones((3, 3, 3), bool), -1) == 1


def test_euler_characteristic_of_shapes():
    """One part is 1, a tunnel takes 1 away, a closed pore adds 1; phase and rest have the same."""
    z, y, x = np.mgrid[:24, :24, :24] - 11.5
    ring = (np.hypot(np.hypot(y, x) - 7, z)) <= 3
    shell = ball(24, 9) & ~ball(24, 4)
    for smooth in (0, 1):
        for shape, known in ((ball(24, 8), 1), (ring, 0), (shell, 2), (np.ones((24, 24, 24), bool), 0)):
            assert euler_density(shape, periodic=True, smooth=smooth) * shape.size == pytest.approx(known)
            assert euler_density(~shape, periodic=True, smooth=smooth) * shape.size == pytest.approx(known)
    specks = np.random.default_rng(0).random((24, 24, 24)) < 0.01
    assert euler_density(specks, periodic=True) == 0 < euler_density(specks, periodic=True, smooth=0)
