"""Classifier guidance (Dhariwal and Nichol 2021, arXiv:2105.05233): a classifier of noisy images leads a denoiser."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.core.settings import check, setting
from veridical.diffusion.canvas import Canvas
from veridical.diffusion.formulations import ve_law
from veridical.diffusion.guidance import classifier
from veridical.diffusion.solvers import Denoise
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.settings import Embed, Law, Network, Sampling
from veridical.nets.noise_classifier import NoisyClassifier


@dataclass(frozen=True)
class Guide:
    """What leads a denoiser."""

    conditional: bool = setting(
        False,
        "Whether the denoiser is told the label, too (table 4 of the paper has both); the gradient is then what is left to do.",
    )
    classifier_widths: tuple[int, ...] = setting((64, 128), "Channels of each resolution of the classifier.", low=1)

    def __post_init__(self) -> None:
        check(self)


class Guided(nn.Module):
    """A `Denoiser`, and a classifier of its noisy images that is trained beside it.

    Of a label that is a real number the classifier knows mean and deviation of a Gaussian.

    Parameters
    ----------
    shape, network, law, embed
        The denoiser, see `Denoiser`. ``embed.classes`` is that of the label; 0 for a real number, standardised.
    guide : Guide
        The classifier, see `veridical.nets.noise_classifier.NoisyClassifier`.
    sampling : Sampling
        Its guidance is that of the classifier: gradient scale s, and the noise levels where it acts; the mean of an image of
        standard deviation 0.5 can be seen through noise of level 20.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        network: Network,
        law: Law,
        embed: Embed,
        guide: Guide,
        sampling: Sampling,
    ) -> None:
        super().__init__()
        told = embed if guide.conditional else replace(embed, classes=-1)
        self.denoiser = Denoiser(shape, network, law, told, _unguided(sampling))
        self.classes, self.sampling, self.shape = embed.classes, sampling, shape
        self.classifier = NoisyClassifier(self.denoiser.inside, guide.classifier_widths, embed.classes or 2)
        self.parts = {**self.denoiser.parts, "classifier": self.classifier}

    def prepare(self, image: Tensor) -> None:
        """See `Denoiser.prepare`."""
        self.denoiser.prepare(image)

    def encode(self, x: Tensor) -> Tensor:
        """See `Denoiser.encode`."""
        return self.denoiser.encode(x)

    def decode(self, z: Tensor) -> Tensor:
        """See `Denoiser.decode`."""
        return self.denoiser.decode(z)

    def denoise(self, x: Tensor, sigma: Tensor, cond: dict[str, Any] | None = None) -> Tensor:
        """Expected `x0`, without guidance."""
        return self.denoiser.denoise(x, sigma, cond)

    def ends(self, sampling: Sampling | None = None) -> tuple[float, float]:
        """See `Denoiser.ends`."""
        return self.denoiser.ends(sampling or self.sampling)

    def grid(self, sampling: Sampling | None = None) -> Tensor:
        """See `Denoiser.grid`."""
        return self.denoiser.grid(sampling or self.sampling)

    def start(self, noise: Noise, sigma: float) -> Tensor:
        """See `Denoiser.start`."""
        return self.denoiser.start(noise, sigma)

    def contrast(self) -> float:
        """See `Denoiser.contrast`."""
        return self.denoiser.contrast()

    def predict(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Logits (N, classes) of noisy images; for a real number its mean and the logarithm of its deviation (N, 2)."""
        known = self.denoiser.precondition(x, sigma)
        return self.classifier(known.seen, known.time)

    def log_probability(self, x: Tensor, sigma: Tensor, cond: dict[str, Any]) -> Tensor:
        """Logarithm (N,) of the probability (density) of ``cond["label"]``, given noisy images."""
        found, label = self.predict(x, sigma), cond["label"]
        if self.classes:
            return -F.cross_entropy(found, label.long(), reduction="none")
        mean, log_std = found[:, 0], found[:, 1].clamp(-4, 4)
        return -((label - mean) * (-log_std).exp()).square() / 2 - log_std - math.log(2 * math.pi) / 2

    def on_canvas(self, canvas: Canvas) -> AbstractContextManager[None]:
        """See `Denoiser.on_canvas`."""
        return self.denoiser.on_canvas(canvas)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the denoiser's loss and the classifier's negative log-likelihood, at noise levels uniform in their logarithm."""
        yield from self.denoiser.losses(batch, step)
        with torch.no_grad():
            z = self.encode(batch.image)
            # At all levels alike: where it has not learned that it knows nothing, its gradient leads astray.
            sigma = ve_law(batch.normal(), self.denoiser.law.span)
            x = z + sigma.reshape(-1, 1, 1, 1) * batch.normal(*self.denoiser.shape)
        yield "classifier", -self.log_probability(x, sigma, batch.cond).mean()

    def sample(self, n: int, cond: dict[str, Any], noise: Noise, sampling: Sampling | None = None) -> Tensor:
        """Images in [-1, 1], shape (n, C, H, W), led to ``cond["label"]`` (n,)."""
        how = sampling or self.sampling
        low, high = how.guidance_interval

        def guide(denoise: Denoise) -> Denoise:
            return classifier(denoise, self.log_probability, how.guidance_scale, (low, high))

        return self.denoiser.sample(n, cond, noise, _unguided(how), guide)


def _unguided(sampling: Sampling) -> Sampling:
    """The scale is the classifier's, not that of guidance without one."""
    return replace(sampling, guidance_scale=1.0)
