"""Volumes of exact denoisers of sections of a Gaussian field: all is known of what they should be."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from veridical.core.batch import mix
from veridical.diffusion.solvers import karras_grid
from veridical.diffusion.stochastic import expected_step
from veridical.diffusion.tiles import mosaic, shifted
from veridical.nets.spectrum import Spectrum
from veridical.volumes.body import Body
from veridical.volumes.isotropic import of_sections
from veridical.volumes.synthesis import synthesise

SIDE, RANGE, BOX = 32, 3.5, 64
LAGS = (1, 2, 3, 4, 6, 8)
PLACE = torch.arange(SIDE, dtype=torch.double)
VALUES, AXES = torch.linalg.eigh(torch.exp(-((PLACE[:, None] - PLACE) ** 2) / RANGE**2))
POWER, AXES = (0.25 * VALUES.clamp(min=0)[:, None] * VALUES.clamp(min=0)).float(), AXES.float()


def exact(x, sigma):
    """Posterior mean of sections (N, 1, SIDE, SIDE) of deviation 0.5 and correlation ``exp(-(lag / RANGE) ** 2)``."""
    return AXES @ (POWER / (POWER + sigma**2) * (AXES.T @ x @ AXES)) @ AXES.T


@pytest.fixture(scope="module")
def spectrum():
    """As a run measures it, of many sections."""
    found = Spectrum(1, SIDE)
    white = torch.randn(4000, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    found.measure(AXES @ (POWER.sqrt() * white) @ AXES.T)
    return found


def noise(seed):
    return lambda k: torch.randn((BOX,) * 3, generator=torch.Generator().manual_seed(mix(seed, k)))


def planewise(function):
    """Of tiles as one of planes of the box, whose sides continue each other."""
    rng = np.random.default_rng(0)

    def planes(x, level):
        places = tuple(shifted(BOX, SIDE, rng.random(), periodic=True) for _ in range(2))
        return mosaic(lambda tiles, *_: function(tiles, level), x[:, None], SIDE, batch=256, grid=places)[:, 0]

    return planes


def correlations(volume):
    """(3, LAGS), and the deviation over that of the field."""
    mean_square = volume.square().mean()
    found = [[(volume * volume.roll(lag, axis)).mean() / mean_square for lag in LAGS] for axis in range(3)]
    return np.array(found), math.sqrt(mean_square) / 0.5


def test_a_gaussian_field_has_its_deviation_and_its_correlation_on_all_axes(spectrum):
    def rest(tiles, level):
        return exact(tiles, level) - spectrum.wiener(tiles, torch.full((len(tiles), 1, 1, 1), level))[0]

    body = Body((BOX,) * 3, of_sections(spectrum.deviation[0, 0].double().numpy() ** 2))
    drawn = synthesise(planewise(rest), body, karras_grid(18, 0.01, 20.0), noise(1))
    found, deviation = correlations(drawn)
    assert deviation == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(found, np.broadcast_to(np.exp(-((np.array(LAGS) / RANGE) ** 2)), found.shape), atol=0.05)
    assert np.ptp(found, axis=0).max() < 0.05


def test_planes_in_turn_lose_half_of_the_contrast():
    """What the rule is for: the same denoisers, each told the noise of the volume."""
    grid, x, before = karras_grid(18, 0.01, 20.0).tolist(), 20.0 * noise(1)(0), None
    denoise = planewise(exact)
    for k, (now, then) in enumerate(pairwise(grid)):
        clean = denoise(x.movedim(k % 3, 0), now).movedim(0, k % 3)
        x, before = expected_step(x, clean, now, then, before), (clean, now)
        if then > 0:
            x = x + then * math.sqrt(-math.expm1(-2 * math.log(now / then))) * noise(1)(k + 1)
    assert correlations(x)[1] < 0.65
