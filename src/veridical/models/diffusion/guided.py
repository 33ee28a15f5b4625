"""Classifier guidance (Dhariwal and Nichol 2021, arXiv:2105.05233): a classifier of noisy images leads a denoiser."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Batch
from veridical.diffusion.formulations import ve_law
from veridical.diffusion.guidance import classifier
from veridical.diffusion.solvers import Denoise, Noise
from veridical.models.diffusion.denoiser import Denoiser
from veridical.nets.noise_classifier import NoisyClassifier


class Guided(nn.Module):
    """A `Denoiser`, and a classifier of its noisy images that is trained beside it.

    Of a label that is a real number the classifier knows mean and deviation of a Gaussian.

    Parameters
    ----------
    channels, size, patch, widths, layers, attention, dropout, formulation, noise_mean, noise_std, sampling_steps, solver
        The denoiser, see `Denoiser`.
    early_steps, autoguidance
        Of the denoiser, too.
    classes : int
        Of the label; 0 for a real number, standardised.
    conditional : bool
        Whether the denoiser is told the label, too (table 4 of the paper has both); its gradient is then what is left to do.
    classifier_widths : tuple of int
        See `veridical.nets.noise_classifier.NoisyClassifier`.
    guidance_scale : float
        Gradient scale s.
    guidance_interval : (float, float)
        Noise levels where it acts; the mean of an image of standard deviation 0.5 can be seen through noise of level 20.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        classes: int = 0,
        conditional: bool = False,
        patch: int = 4,
        widths: tuple[int, ...] = (64, 128),
        layers: int = 1,
        attention: tuple[bool, ...] = (False, True),
        dropout: float = 0.0,
        formulation: str = "edm",
        noise_mean: float = -0.4,
        noise_std: float = 1.5,
        classifier_widths: tuple[int, ...] = (64, 128),
        guidance_scale: float = 4.0,
        guidance_interval: tuple[float, ...] = (0.0, 20.0),
        sampling_steps: int = 18,
        solver: str = "dpm_solver_pp_2m",
        early_steps: int = 0,
        autoguidance: float = 1.0,
    ) -> None:
        super().__init__()
        self.denoiser = Denoiser(
            channels, size, patch, widths, layers, attention, dropout, formulation=formulation,
            noise_mean=noise_mean, noise_std=noise_std, sampling_steps=sampling_steps, solver=solver,
            guidance_interval=guidance_interval, classes=classes if conditional else -1,
            early_steps=early_steps, autoguidance=autoguidance,
        )  # fmt: skip
        self.classes, self.scale = classes, guidance_scale
        self.classifier = NoisyClassifier(self.denoiser.inside, classifier_widths, classes or 2)
        self.shape = self.denoiser.shape
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

    def denoise(self, x: Tensor, sigma: Tensor, cond: dict | None = None) -> Tensor:
        """Expected `x0`, without guidance."""
        return self.denoiser.denoise(x, sigma, cond)

    def ends(self) -> tuple[float, float]:
        """See `Denoiser.ends`."""
        return self.denoiser.ends()

    def grid(self) -> Tensor:
        """See `Denoiser.grid`."""
        return self.denoiser.grid()

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

    def log_probability(self, x: Tensor, sigma: Tensor, cond: dict) -> Tensor:
        """Logarithm (N,) of the probability (density) of ``cond["label"]``, given noisy images."""
        found, label = self.predict(x, sigma), cond["label"]
        if self.classes:
            return -F.cross_entropy(found, label.long(), reduction="none")
        mean, log_std = found[:, 0], found[:, 1].clamp(-4, 4)
        return -((label - mean) * (-log_std).exp()).square() / 2 - log_std - math.log(2 * math.pi) / 2

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the denoiser's loss and the classifier's negative log-likelihood, at noise levels uniform in their logarithm."""
        yield from self.denoiser.losses(batch, step)
        with torch.no_grad():
            z = self.encode(batch.image)
            # At all levels alike: where it has not learned that it knows nothing, its gradient leads astray.
            sigma = ve_law(batch.normal(), self.denoiser.span)
            x = z + sigma.reshape(-1, 1, 1, 1) * batch.normal(*self.denoiser.shape)
        yield "classifier", -self.log_probability(x, sigma, batch.cond).mean()

    def sample(self, n: int, cond: dict, noise: Noise) -> Tensor:
        """Images in [-1, 1], shape (n, C, H, W), led to ``cond["label"]`` (n,)."""

        def guide(denoise: Denoise) -> Denoise:
            return classifier(denoise, self.log_probability, self.scale, self.denoiser.guidance_interval)

        return self.denoiser.sample(n, cond, noise, guide)
