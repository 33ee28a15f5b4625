"""Elastic deformation moves labels with their images."""

import torch

from veridical.nets.deform import KNOTS, elastic, jitter


def test_labels_move_with_their_images():
    mask = (torch.arange(32).expand(3, 32, 32) // 8).contiguous()
    image = mask[:, None] / 4.0
    moved, labels = elastic(image, mask, torch.randn(3, 2, KNOTS, KNOTS, generator=torch.Generator().manual_seed(0)))
    assert (moved[:, 0] * 4 - labels).abs().mean() < 0.15 and labels.dtype == torch.int64
    assert (labels != mask).float().mean() > 0.02 and set(labels.unique().tolist()) <= set(range(4))


def test_no_displacement_changes_nothing():
    mask, image = torch.randint(3, (2, 16, 16)), torch.rand(2, 1, 16, 16)
    moved, labels = elastic(image, mask, torch.zeros(2, 2, KNOTS, KNOTS))
    torch.testing.assert_close(moved, image, atol=1e-5, rtol=0)
    assert torch.equal(labels, mask)


def test_jitter_stays_in_range():
    image = torch.rand(4, 1, 8, 8)
    torch.testing.assert_close(jitter(image, torch.full((4, 2), 0.5)), image)
    brighter = jitter(image, torch.tensor([[0.5, 1.0]]).expand(4, 2))
    torch.testing.assert_close(brighter, (image + 0.05).clamp(0, 1))
