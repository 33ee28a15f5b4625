"""Continuing an error into a hole."""

import numpy as np
import torch

from veridical.editing.seam import continued, pulled


def hole():
    seen = np.ones((1, 1, 40, 50), bool)
    seen[..., 10:31, 15:38] = False
    return seen


def test_what_is_linear_goes_on():
    """A constant exactly, a ramp of 0.65 nearly; nothing is added where an image is known."""
    y, x = np.mgrid[:40, :50]
    for error, worst in ((np.full((40, 50), 0.3), 1e-5), (0.1 + 0.01 * x - 0.02 * y, 0.1)):
        found = continued(error[None, None].astype(np.float32), hole(), 8)
        assert np.abs(found - error)[~hole()].max() < worst and (found[hole()] == 0).all()


def test_it_stays_within_what_hangs_at_the_border_and_noise_stays_there():
    noise = np.random.default_rng(0).normal(0, 1, (1, 1, 40, 50)).astype(np.float32)
    found = continued(noise, hole(), 8)
    assert np.abs(found).max() <= np.abs(noise).max()
    assert found[..., 15:26, 20:33].std() < 0.15 < 0.3 < found[..., 10, 15:38].std()


def test_what_lies_far_from_a_hole_does_not_matter():
    error = np.zeros((1, 1, 40, 50), np.float32)
    error[..., :2, :] = 5
    assert (continued(error, hole(), 4) == 0).all()


def test_known_places_keep_their_values():
    known = (torch.arange(35).reshape(1, 1, 5, 7) % 3 == 0).float()
    values = torch.randn(1, 1, 5, 7, generator=torch.Generator().manual_seed(0))
    found = pulled(values * known, known)
    assert torch.equal(found[known > 0], values[known > 0])
    torch.testing.assert_close(pulled(2 * known, known), torch.full((1, 1, 5, 7), 2.0))
