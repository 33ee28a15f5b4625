"""The segmentation network that measures what labelled images are worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from veridical.core.arrays import NO_LABEL
from veridical.core.batch import mix
from veridical.core.errors import InputError
from veridical.nets.deform import KNOTS, elastic, jitter

HALVINGS = 2


class SegmentationUNet(nn.Module):
    """Image (N, C, H, W) in [0, 1] to class scores (N, classes, H, W): a U-Net of three levels.

    After Ronneberger, Fischer and Brox 2015, arXiv:1505.04597. Height and width must be multiples of 4.
    """

    def __init__(self, channels: int, classes: int, width: int = 16) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(HALVINGS + 1)]
        self.down = nn.ModuleList(_double(i, o) for i, o in zip([channels, *widths[:-1]], widths, strict=True))
        self.up = nn.ModuleList(_double(width + 2 * width, width) for width in reversed(widths[:-1]))
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.down[0](2 * x - 1)]
        for block in self.down[1:]:
            maps.append(block(F.max_pool2d(maps[-1], 2)))
        x = maps.pop()
        for block in self.up:
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0), maps.pop()], 1))
        return self.head(x)


def _double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, 1, 1), nn.GroupNorm(8, outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, 1, 1), nn.GroupNorm(8, outputs), nn.ReLU(),
    )  # fmt: skip


def train_segmentation(
    images: NDArray[Any],
    masks: NDArray[Any],
    *,
    classes: int,
    steps: int = 600,
    batch: int = 16,
    lr: float = 2e-3,
    seed: int = 0,
    more: tuple[NDArray[Any], NDArray[Any]] | None = None,
    bent: bool = False,
) -> SegmentationUNet:
    """Train the network on pairs, always in the same way, so that two sets of pairs can be compared.

    Random pairs, mirrored and turned, with `bent` also deformed and of other contrast (`veridical.nets.deform`); cross-entropy
    plus Dice loss; Adam with a learning rate that falls to zero along a cosine.

    Parameters
    ----------
    images : array (N, C, H, W), float in [0, 1]
    masks : array (N, H, W), uint8
        Class numbers from 0 to ``classes - 1``; 255 is not learned from.
    classes : int
    steps, batch, lr, seed
        Of the training; equal numbers give equal networks on the same machine.
    more : (images, masks), optional
        Further pairs: half of each batch is of these, however many there are.
    bent : bool

    Returns
    -------
    SegmentationUNet

    Raises
    ------
    InputError
        If images and masks are no pairs of squares, or a mask holds a number that is no class.
    """
    for pairs in ((images, masks), more or (images, masks)):
        _check(*pairs, classes)
    first = len(images)
    if more is not None:
        images, masks = (np.concatenate(both) for both in zip((images, masks), more, strict=True))
    x, y = torch.from_numpy(np.ascontiguousarray(images, np.float32)), torch.from_numpy(masks.astype(np.int64))
    generator = torch.Generator().manual_seed(mix(seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(seed))
        network = SegmentationUNet(x.shape[1], classes)
    adam = torch.optim.Adam(network.parameters(), lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        rows = torch.randint(first, (batch,), generator=generator)
        if more is not None:
            rows[batch // 2 :] = torch.randint(first, len(x), (batch - batch // 2,), generator=generator)
        turn, mirror = torch.randint(4, (2,), generator=generator).tolist()
        image, mask = x[rows].rot90(turn, (-2, -1)), y[rows].rot90(turn, (-2, -1))
        if mirror % 2:
            image, mask = image.flip(-1), mask.flip(-1)
        if bent:
            image, mask = elastic(image, mask, torch.randn(batch, 2, KNOTS, KNOTS, generator=generator))
            image = jitter(image, torch.rand(batch, 2, generator=generator))
        scores = network(image)
        loss = F.cross_entropy(scores, mask, ignore_index=NO_LABEL) + _dice_loss(scores, mask)
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
    return network.eval()


def _dice_loss(scores: Tensor, mask: Tensor) -> Tensor:
    """One minus the Dice coefficient of probabilities, mean over the classes that occur in the batch (Milletari et al. 2016,
    arXiv:1606.04797, eq. 3, there with squares): cross-entropy alone may leave a rare class out for good.
    """
    known = (mask != NO_LABEL).unsqueeze(1)
    true = F.one_hot(mask.where(mask != NO_LABEL, 0), scores.shape[1]).permute(0, 3, 1, 2) * known
    found = scores.softmax(1) * known
    common, total = 2 * (true * found).sum((0, 2, 3)), (true + found).sum((0, 2, 3))
    here = true.sum((0, 2, 3)) > 0
    return (1 - common / total.clamp(min=1))[here].mean() if here.any() else scores.sum() * 0


def predict_masks(network: nn.Module, images: NDArray[Any], *, batch: int = 32) -> NDArray[Any]:
    """Most likely class of every pixel: images (N, C, H, W) in [0, 1] to masks (N, H, W), uint8."""
    x = torch.from_numpy(np.ascontiguousarray(images, np.float32))
    with torch.inference_mode():
        return torch.cat([network(part).argmax(1).to(torch.uint8) for part in x.split(batch)]).numpy()


def _check(images: NDArray[Any], masks: NDArray[Any], classes: int) -> None:
    n, _, height, width = images.shape
    if masks.shape != (n, height, width) or height != width or height % 2**HALVINGS:
        raise InputError(
            f"images {images.shape} and masks {masks.shape} are no pairs of squares whose side is a multiple of 4."
        )
    wrong = masks[(masks >= classes) & (masks != NO_LABEL)]
    if wrong.size:
        raise InputError(f"the masks hold the number {wrong[0]}, but there are {classes} classes, counted from 0.")
