"""The spectrum of images and its Wiener filter."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from veridical.nets.spectrum import Spectrum


def test_measured_images_are_standardised_and_come_back():
    image = torch.linspace(0, 0.6, 32).expand(6, 1, 32, 32) + 0.1 * torch.randn(6, 1, 32, 32)
    model = Spectrum(1, 32)
    model.measure(image)
    z = model.encode(image)
    assert abs(z.mean()) < 1e-5
    torch.testing.assert_close(z.std(unbiased=False), torch.tensor(0.5))
    torch.testing.assert_close(model.deviation.square().mean().sqrt(), torch.tensor(0.5))
    torch.testing.assert_close(model.decode(z), image)


def test_wiener_filter_is_the_posterior_mean_of_gaussian_images():
    """Of jointly Gaussian x0 and noise: E[x0 | x] = C (C + sigma^2)^-1 x, here with the whole covariance matrix."""
    model, sigma = Spectrum(1, 6).double(), 0.3
    model.deviation.copy_(torch.rand(1, 1, 6, 6, dtype=torch.double) + 0.05)
    x = torch.randn(4, 1, 6, 6, dtype=torch.double)
    estimate, error = model.wiener(x, torch.full((4, 1, 1, 1), sigma, dtype=torch.double))
    columns = model.transform.inverse(torch.eye(36, dtype=torch.double).reshape(36, 1, 6, 6)).reshape(36, 36)
    covariance = columns.T @ torch.diag(model.deviation.flatten() ** 2) @ columns
    gain = covariance @ torch.linalg.inv(covariance + sigma**2 * torch.eye(36, dtype=torch.double))
    torch.testing.assert_close(estimate.reshape(4, 36), x.reshape(4, 36) @ gain.T, rtol=0, atol=1e-5)
    left = torch.trace(covariance - gain @ covariance) / 36
    torch.testing.assert_close(error.flatten(), left.sqrt().expand(4), rtol=0, atol=1e-5)


def test_noise_to_start_from_has_the_covariance_of_noisy_images():
    """C + sigma^2 of Gaussian images and noise, here with the whole covariance matrix."""
    model, sigma = Spectrum(1, 6).double(), 0.3
    model.deviation.copy_(torch.rand(1, 1, 6, 6, dtype=torch.double) + 0.05)
    unit = torch.eye(36, dtype=torch.double).reshape(36, 1, 6, 6)
    columns = model.transform.inverse(unit).reshape(36, 36)
    covariance = columns.T @ torch.diag(model.deviation.flatten() ** 2) @ columns
    colour = model.noisy(unit, sigma).reshape(36, 36)
    expected = covariance + sigma**2 * torch.eye(36, dtype=torch.double)
    torch.testing.assert_close(colour.T @ colour, expected, rtol=0, atol=1e-5)


def test_noise_to_start_larger_images_from_has_the_spectrum_of_the_tiles():
    """The correlation of a stationary field, measured on tiles, is that of images of other sides, across their borders, too."""
    field = gaussian_filter(np.random.default_rng(0).standard_normal((64, 64, 64)), (0, 1.5, 1.5), mode="wrap")
    tiles = torch.from_numpy(field / field.std()).float().reshape(64, 1, 64, 64)
    model = Spectrum(1, 32)
    model.measure(tiles[:, :, :32, :32])
    noise = torch.randn(40, 1, 60, 100, generator=torch.Generator().manual_seed(1))
    made = model.noisy_at(noise, 0.1)
    assert made.shape == noise.shape and made.dtype == noise.dtype
    assert made.square().mean().item() == pytest.approx(0.25 + 0.01, rel=0.05)
    assert made[..., :3].square().mean().item() == pytest.approx(0.25 + 0.01, rel=0.1)
    for lag in (1, 2, 4):
        expected = 0.25 * math.exp(-(lag**2) / (4 * 1.5**2))
        assert (made[..., lag:] * made[..., :-lag]).mean().item() == pytest.approx(expected, abs=0.02)
    across = (made[..., 0] * made[..., -1]).mean().item()
    assert across == pytest.approx(0.25 * math.exp(-1 / 9), abs=0.03)
