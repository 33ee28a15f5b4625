"""Cosine coefficients: orthonormal, invertible, measured."""

import numpy as np
import torch
from scipy.fft import dctn

from veridical.nets.cosine import BlockCosine


def test_coefficients_are_scipys_and_invert():
    image = torch.rand(3, 2, 16, 16) * 2 - 1
    model = BlockCosine(2, 4)
    z = model.encode(image)
    block = image[1, 1, 4:8, 8:12].numpy()
    np.testing.assert_allclose(z[1, 16:, 1, 2].reshape(4, 4), dctn(block, norm="ortho"), atol=1e-6)
    torch.testing.assert_close(model.decode(z), image)


def test_measured_coefficients_are_standardised():
    grey = torch.linspace(0, 0.6, 32).expand(6, 1, 32, 32) + 0.1 * torch.randn(6, 1, 32, 32)
    model = BlockCosine(1, 2)
    model.measure(grey)
    z = model.encode(grey)
    assert abs(z[:, 0].mean()) < 1e-4
    torch.testing.assert_close(z.square().mean().sqrt(), torch.tensor(0.5), rtol=1e-3, atol=0)
    torch.testing.assert_close((z / model.deviation).square().mean((0, 2, 3)), torch.ones(4), rtol=1e-3, atol=0)
    torch.testing.assert_close(model.decode(z), grey)
