"""Standardised images."""

import torch

from veridical.nets.standardise import Standardise


def test_measured_images_have_mean_0_and_deviation_1():
    image = torch.randn(8, 3, 16, 16) * 0.1 + 0.3
    model = Standardise()
    torch.testing.assert_close(model(image), image)
    model.measure(image)
    x = model(image)
    assert abs(x.mean()) < 1e-4 and abs(x.std() - 1) < 1e-4
    torch.testing.assert_close(model.inverse(x), image)
    model.measure(torch.zeros(2, 1, 4, 4))
    assert model(torch.zeros(2, 1, 4, 4)).isfinite().all()
