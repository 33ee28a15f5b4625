"""Warps are what they say they are."""

import pytest
import torch

from veridical.core.batch import Batch
from veridical.nets.warp import NUMBERS, warp, warped


def blob(x0=0.0, y0=0.0, covariance=((0.01, 0.0), (0.0, 0.01)), size=64):
    """A Gaussian blob at a place between -1 and 1 (y down)."""
    place = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(place, place, indexing="ij")
    d = torch.stack([x - x0, y - y0], -1)
    inverse = torch.linalg.inv(torch.tensor(covariance))
    return (-torch.einsum("yxi,ij,yxj->yx", d, inverse, d) / 2).exp()[None, None]


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ([5.0, 0, 0, 0, 0], blob(0.4, 0.2, ((0.04, 0), (0, 0.04)))),  # twice as large
        ([0, 2.5, 0, 0, 0], blob(0.2 * 2**0.5, 0.1 / 2**0.5, ((0.02, 0), (0, 0.005)))),  # wider and lower
        ([0, 0, 0, 1.0, 0], blob(0.2 + 0.25, 0.1)),  # an eighth to the right
        ([0, 0, 0, 0, -0.5], blob(0.2, 0.1 - 0.125)),
        ([0, 0, 0, 0, 0], blob(0.2, 0.1)),
    ],
)
def test_blobs_move_and_stretch_as_said(said, known):
    found = warped(blob(0.2, 0.1), torch.tensor([said]))
    torch.testing.assert_close(found, known, atol=0.02, rtol=0)


def test_a_stretch_along_the_diagonal_keeps_the_area():
    found = warped(blob(), torch.tensor([[0, 0, 2.5, 0, 0.0]]))
    torch.testing.assert_close(found, blob(0, 0, ((0.0125, 0.0075), (0.0075, 0.0125))), atol=0.02, rtol=0)
    torch.testing.assert_close(found.sum(), blob().sum(), rtol=1e-3, atol=0)


def test_each_kind_has_its_chance_and_what_is_not_said_is_not_done():
    image = torch.rand(1000, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found, said = warp(image, Batch.at(image, {}, seed=0, step=0, start=0, total=1000), 0.2)
    assert said.shape == (1000, NUMBERS)
    on = (said != 0).float()
    torch.testing.assert_close(on.mean(0), torch.full((NUMBERS,), 0.2), atol=0.05, rtol=0)
    assert torch.equal(on[:, 1], on[:, 2]) and torch.equal(on[:, 3], on[:, 4])
    same = (found == image).flatten(1).all(1)
    assert torch.equal(same, ~on.any(1)) and 0.4 < same.float().mean() < 0.6
