"""Image and label image drawn together, by one denoiser of both: a labelled set of any size, with no mask to begin with."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from veridical.core.arrays import NO_LABEL
from veridical.core.batch import Batch, Noise
from veridical.core.settings import check, setting
from veridical.diffusion.canvas import Canvas
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.settings import Embed, Law, Network, Sampling
from veridical.nets.warp import warp


@dataclass(frozen=True)
class Labels:
    """What is drawn with the image."""

    classes: int = setting(2, "Classes of the label images.", low=1)
    label_scale: float = setting(
        1.0,
        "Deviation of label planes in units of that of images: where it is large, labels are decided before the image is, where "
        "small after it.",
        above=0,
    )
    label_weight: float = setting(1.0, "Weight of the label planes in the loss.", above=0)

    def __post_init__(self) -> None:
        check(self)


class Labelled(nn.Module):
    """A `Denoiser` of images with the planes of their labels as further channels.

    Class k of K is corner k of a regular simplex in K - 1 planes, so that all classes are as far from each other (two classes
    are one plane, +1 and -1), as real numbers that a denoiser can draw (Chen et al. 2023, who write class numbers in bits);
    the nearest corner is the class that was drawn. Few images have labels, and many may have none: of these only the
    image is learned. A map beside tells the network which pixels have labels, and where there are none it sees only noise in the
    planes; in sampling all have.

    Warps of images (Karras et al. 2022, appendix F.2) move the labels, too, which snap back to their corners; the network is told
    of them.

    Parameters
    ----------
    shape : (int, int, int)
        Of the images.
    network, law
        The denoiser, see `Denoiser`.
    labels : Labels
    sampling : Sampling
    """

    corners: Tensor
    gain: Tensor

    def __init__(
        self, shape: tuple[int, int, int], network: Network, law: Law, labels: Labels, sampling: Sampling
    ) -> None:
        super().__init__()
        channels, height, width = shape
        self.register_buffer("corners", simplex(labels.classes), persistent=False)
        self.register_buffer("gain", torch.tensor(labels.label_scale))
        planes = self.corners.shape[1]
        self.channels, self.labels, self.sampling = channels, labels, sampling
        self.denoiser = Denoiser((channels + planes, height, width), network, law, Embed(given=1), sampling)
        self.parts = dict(self.denoiser.parts)

    def prepare_with(self, image: Tensor, cond: dict[str, Tensor]) -> None:
        """Measure mean and spectrum of images and planes, on tiles (N, C, S, S) that have labels everywhere, if there are any."""
        labels = cond["labelling"]
        whole = (labels != NO_LABEL).all((1, 2))
        image, labels = (image[whole], labels[whole]) if whole.any() else (image, labels)
        planes = self.planes(labels)
        deviation = [(x - x.mean((0, 2, 3), keepdim=True)).std(unbiased=False) for x in (image, planes)]
        self.gain.copy_(self.labels.label_scale * deviation[0] / deviation[1].clamp(min=0.05))
        # Axes of their own: what has no labels must not be judged by them.
        self.denoiser.spectrum.measure(torch.cat([image, self.gain * planes], 1), apart=self.channels)

    def planes(self, labels: Tensor) -> Tensor:
        """Class numbers (N, S, S) to corners (N, K - 1, S, S); 0 where there is no label."""
        known = labels != NO_LABEL
        found = self.corners[labels.long().where(known, 0)] * known.unsqueeze(-1)
        return found.permute(0, 3, 1, 2)

    def classes(self, planes: Tensor) -> Tensor:
        """Class numbers (N, S, S), uint8, of the corners that are nearest to planes (N, K - 1, S, S)."""
        return torch.einsum("kp,nphw->nkhw", self.corners, planes).argmax(1).to(torch.uint8)

    def on_canvas(self, canvas: Canvas) -> AbstractContextManager[None]:
        """See `Denoiser.on_canvas`."""
        return self.denoiser.on_canvas(canvas)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the denoiser's loss; that of the planes only where there are labels."""
        self.denoiser.remember(step)
        labels = batch.cond["labelling"]
        image, planes, known, said = batch.image, self.planes(labels), (labels != NO_LABEL).unsqueeze(1), None
        if self.denoiser.law.warp:
            maps, said = warp(torch.cat([image, planes, known], 1), batch, self.denoiser.law.warp)
            image, known = maps[:, : self.channels], maps[:, -1:] > 1 - 1e-3
            planes = self.planes(self.classes(maps[:, self.channels : -1]))
        z = self.denoiser.encode(torch.cat([image, self.gain * planes], 1))
        z = torch.cat([z[:, : self.channels], z[:, self.channels :] * known], 1)
        weight = torch.cat([torch.ones_like(image), self.labels.label_weight * known.expand_as(planes)], 1)
        told = dataclasses.replace(batch, cond={"map": known.to(z.dtype), "weight": weight})
        yield "denoiser", self.denoiser.loss(z, told, said)

    def sample(self, n: int, cond: dict[str, Any], noise: Noise, sampling: Sampling | None = None) -> Tensor:
        """Images in [-1, 1], shape (n, C, S, S)."""
        return self.sample_labelled(n, cond, noise, sampling)[0]

    def sample_labelled(
        self, n: int, cond: dict[str, Any], noise: Noise, sampling: Sampling | None = None
    ) -> tuple[Tensor, Tensor]:
        """Images in [-1, 1], shape (n, C, S, S), and their class numbers (n, S, S), uint8."""
        everywhere = self.corners.new_ones(n, 1, *self.denoiser.room)
        both = self.denoiser.sample(n, {"map": everywhere}, noise, sampling or self.sampling)
        return both[:, : self.channels], self.classes(both[:, self.channels :])


def simplex(corners: int) -> Tensor:
    """Corners (K, max(1, K - 1)) of a regular simplex about 0, each at the distance 1."""
    # Rows of Helmert's matrix are orthogonal to each other and to (1, ..., 1), so the unit vectors of K axes, less their mean,
    # have these coordinates.
    found = torch.ones(corners, max(1, corners - 1))
    for k in range(1, corners):
        row = torch.cat([torch.ones(k), torch.tensor([-float(k)]), torch.zeros(corners - k - 1)])
        found[:, k - 1] = row / math.sqrt(k * (k + 1)) * math.sqrt(corners / (corners - 1))
    return found
