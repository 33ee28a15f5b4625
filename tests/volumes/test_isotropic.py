"""The spectrum of a body from that of its sections."""

import numpy as np
import pytest
import torch

from veridical.nets.spectrum import Spectrum
from veridical.volumes.body import Body
from veridical.volumes.isotropic import Isotropic, of_sections

SIDE, RANGE = 32, 3.5


def exact_power(covariance):
    """Variances of the cosine coefficients of sections of a covariance ``f(dy, dx)``."""
    transform = Spectrum(1, SIDE).transform.line.double().numpy()
    place = np.arange(SIDE)
    apart = place[:, None] - place
    power = np.empty((SIDE, SIDE))
    whole = covariance(apart[:, None, :, None], apart[None, :, None, :])  # (y, x, y', x')
    for i, wave in enumerate(transform):
        power[i] = np.einsum("x,ju,jx,xu->j", np.ones(SIDE), transform, transform, np.tensordot(
            np.tensordot(wave, whole, (0, 0)), wave, (1, 0)))  # fmt: skip
    return power


def gaussian():
    return exact_power(lambda y, x: 0.25 * np.exp(-(y**2 + x**2) / RANGE**2))


def test_a_gaussian_covariance_has_the_density_of_its_body():
    law = of_sections(gaussian())
    frequency = law.frequency[1:14]
    true = 0.25 * (np.pi * RANGE**2) ** 1.5 * np.exp(-((frequency * RANGE) ** 2) / 4)
    np.testing.assert_allclose(law.density[1:14], true, rtol=0.1)
    assert law.misfit < 0.02
    body = Body((40, 48, 54), law)
    assert body.noisy(torch.randn(body.shape), 0.0).square().mean() == pytest.approx(0.25, rel=0.1)


def test_what_differs_from_place_to_place_alone_is_not_in_the_body():
    power = gaussian()
    law = of_sections(power)
    power[0, 0] += 0.1 * SIDE**2  # the means of tiles
    np.testing.assert_allclose(of_sections(power).density[1:14], law.density[1:14], rtol=0.05)


def test_the_pattern_of_fibres_is_of_no_isotropic_body():
    """Sections whose power lies in a ring, as that of packed discs does."""
    place = np.arange(SIDE)
    radius = np.hypot(place[:, None], place) * np.pi / SIDE
    assert of_sections(1e-3 + np.exp(-(((radius - 1) / 0.15) ** 2))).misfit > 0.15


def test_a_volume_says_of_its_sections_what_it_says_of_all():
    """Given y and its noise, the best estimate of a section is that of the whole volume (`Body.observed`)."""
    law = Isotropic(np.linspace(0, 6, 50), np.exp(-np.linspace(0, 6, 50)), 0.0)
    body = Body((16, 16, 16), law)
    x = body.noisy(torch.randn(16, 16, 16, generator=torch.Generator().manual_seed(0)), 0.6)
    coefficients = body.coefficients(x)
    best = body.volume(body.kept(0.6) * coefficients)
    for axis in range(3):
        observed = body.observed(0.6, axis)
        assert 0.05 < observed.level < 0.6
        seen = body.volume(observed.filter * coefficients).movedim(axis, 0)
        power = torch.fft.fftn(body.volume(body.power + 0j)).real.mean(axis)
        estimate = torch.fft.ifft2(power / (power + observed.level**2) * torch.fft.fft2(seen)).real
        assert (estimate - best.movedim(axis, 0)).std() < 0.1 * best.std()
