"""The cosine transform of images."""

import numpy as np
import torch
from scipy.fft import dctn

from veridical.nets.cosine import CosineTransform


def test_coefficients_are_scipys_and_invert():
    image = torch.rand(3, 2, 16, 16) * 2 - 1
    transform = CosineTransform(2, 16)
    z = transform(image)
    np.testing.assert_allclose(z[1, 1], dctn(image[1, 1].numpy(), norm="ortho"), atol=1e-5)
    torch.testing.assert_close(transform.inverse(z), image)


def test_axes_separate_grey_from_colour():
    grey, colour = torch.randn(8, 1, 16, 16), 0.1 * torch.randn(8, 3, 16, 16)
    image = grey + colour
    transform = CosineTransform(3, 16)
    transform.measure(image)
    z = transform(image)
    torch.testing.assert_close(
        torch.cov(z.transpose(0, 1).flatten(1)).triu(1).abs().max(), torch.tensor(0.0), atol=0.01, rtol=0
    )
    torch.testing.assert_close(transform.axes[-1], torch.full((3,), 3**-0.5), atol=0.05, rtol=0)
    torch.testing.assert_close(transform.inverse(z), image)


def test_one_channel_stays_as_it_is():
    transform = CosineTransform(1, 8)
    transform.measure(-torch.rand(4, 1, 8, 8))
    assert transform.axes.tolist() == [[1.0]]
