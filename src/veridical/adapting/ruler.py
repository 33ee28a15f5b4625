"""A reward whose gradient is known: a property of images in torch, and its gradient through one evaluation of the network."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.auditing.measure import Segmentation
from veridical.core.batch import Batch
from veridical.core.errors import InputError
from veridical.data.colour import LUMINANCE
from veridical.nets.lora import without_lora
from veridical.pretrained.model import Pretrained
from veridical.runs.adapted import PART, inner_of
from veridical.training.loop import Losses

Ruler = Callable[[Tensor], Tensor]  # of images (N, C, H, W) in [0, 1], (N,)
SOFT = 0.02  # grey levels over which a soft threshold rises


def ruler_of(name: str, segmentation: Segmentation) -> Ruler:
    """A property that the audit measures, with a gradient.

    Parameters
    ----------
    name : {"mean", "phase_fraction"}
    segmentation : Segmentation
        Its threshold becomes a soft one, so that a fraction is near the audit's, and not equal to it.

    Raises
    ------
    InputError
        For another property.
    """
    if name == "mean":
        return lambda images: images.mean((1, 2, 3))
    if name != "phase_fraction":
        raise InputError(f"property={name} has no gradient: use mean or phase_fraction, or leave out through=gradient.")

    def fraction(images: Tensor) -> Tensor:
        reach = max(1, round(4 * segmentation.sigma))
        place = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
        row = torch.exp(-0.5 * (place / max(segmentation.sigma, 1e-6)) ** 2)
        kernel = (row[:, None] * row / row.sum() ** 2)[None, None]
        smooth = F.conv2d(F.pad(images[:, :1], (reach,) * 4, mode="reflect"), kernel)
        return torch.sigmoid((smooth - segmentation.threshold) / SOFT).mean((1, 2, 3))

    return fraction


def gradient_losses(model: nn.Module, ruler: Ruler, target: float, keep: float, grey: bool) -> Losses:
    """Losses in place of those of a model with low-rank changes: what it draws of noise, measured, shall be `target`.

    Of the way from noise to image one evaluation alone has a gradient (DRaFT-1, Clark et al. 2023, arXiv:2309.17400, section 4;
    AlignProp, Prabhudesai et al. 2023, arXiv:2310.03739). At the last step, where an image is nearly done, it moves next to
    nothing; so here it is one that is drawn at random from the second half of the steps, and what it expects of the image is
    measured, as in ReFL (Xu et al. 2023, arXiv:2304.05977, section 4).

    Parameters
    ----------
    model : nn.Module
    ruler : callable
    target : float
    keep : float
        Weight of the mean square of what has changed of that expectation.
    grey : bool
        Colour images are measured in grey.
    """
    whole: Any = model
    inner: Any = inner_of(model)
    net = inner.unet if isinstance(inner, Pretrained) else inner.net

    def losses(batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        n, grid = len(batch.image), whole.grid().tolist()[:-1]
        last = len(grid) // 2 + int(batch.uniform()[0].item() * (len(grid) - len(grid) // 2))
        cond, denoise = whole.hear(batch.cond, n), inner.guided()
        x = whole.start(batch.noise, grid[0]).to(batch.image.device)

        def expected(x: Tensor, level: float) -> Tensor:
            found: Tensor = denoise(x, x.new_full((n,), level), cond)
            return found

        with torch.no_grad():
            for level, lower in itertools.pairwise(grid[: last + 1]):
                clean = expected(x, level)
                x = clean + lower / level * (x - clean)
            with without_lora(net):
                before = expected(x, grid[last])
        clean = expected(x, grid[last])
        images = ((whole.decode(clean) + 1) / 2).clamp(0, 1)  # as they are written: what lies beyond pleases nobody
        if grey and images.shape[1] == 3:
            images = sum(share * images[:, k : k + 1] for k, share in enumerate(LUMINANCE))
        yield PART, (ruler(images) - target).square().mean() + keep * (clean - before).square().mean()

    return losses
