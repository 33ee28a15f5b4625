"""A denoiser that is told a caption twice: by its words, and by the vector that a frozen CLIP makes of the whole of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.core.tokens import NEGATIVE
from veridical.diffusion.solvers import Denoise
from veridical.models.diffusion.around import Around
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.settings import Sampling
from veridical.models.text.clip import Clip, caption_vectors


class ToldDenoiser(Around):
    """A `Denoiser` of images beside a frozen `Clip`.

    Words with the values of numbers are read by the denoiser's own reader, which has few images a step to learn from. CLIP saw
    many captions a step, and what its vector says is heard beside the time (as pooled embeddings are in Podell et al. 2023,
    arXiv:2307.01952, section 2.2) and attended to.

    Parameters
    ----------
    clip : Clip
        Trained on captions of the same vocabulary; it is frozen.
    denoiser : Denoiser
        Made with ``Embed(vocabulary=..., embedding=clip.dim)``.
    """

    def __init__(self, clip: Clip, denoiser: Denoiser) -> None:
        super().__init__()
        self.clip = clip.eval().requires_grad_(False)
        self.denoiser, self.sampling, self.shape = denoiser, denoiser.sampling, denoiser.shape
        self.parts: dict[str, nn.Module] = dict(denoiser.parts)
        self.frozen: dict[str, nn.Module] = {"clip": self.clip}

    def train(self, mode: bool = True) -> ToldDenoiser:
        """Set the mode of the denoiser; CLIP stays as it is."""
        super().train(mode)
        self.clip.eval()
        return self

    def prepare(self, image: Tensor) -> None:
        """See `Denoiser.prepare`."""
        self.denoiser.prepare(image)

    def denoise(self, x: Tensor, sigma: Tensor, cond: dict[str, Any] | None = None) -> Tensor:
        """See `Denoiser.denoise`; of captions their arrays ``text``, ``value`` and ``spelled``."""
        return self.denoiser.denoise(x, sigma, self.told(cond or {}))

    def hear(self, cond: dict[str, Any], n: int, noise: Noise | None = None) -> dict[str, Any]:
        """See `Denoiser.hear`."""
        told = {name: value for name, value in self.told(cond).items() if not name.endswith("spelled")}
        return self.denoiser.hear(told, n)

    def told(self, cond: dict[str, Any]) -> dict[str, Any]:
        """Conditions with the vector of each caption, of variance 1 a number; for an empty caption 0: it says nothing."""
        found = dict(cond)
        for of in ("", NEGATIVE):
            if f"{of}spelled" in cond:
                vector = caption_vectors(self.clip, {"spelled": cond[f"{of}spelled"]})
                said = (cond[f"{of}text"] != 0).any(1, keepdim=True)
                found[f"{of}embedding"] = torch.where(said, vector, torch.zeros_like(vector))
        return found

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the denoiser's loss."""
        yield from self.denoiser.losses(dataclasses.replace(batch, cond=self.told(batch.cond)), step)

    def sample(
        self,
        n: int,
        cond: dict[str, Any],
        noise: Noise,
        sampling: Sampling | None = None,
        guide: Callable[[Denoise], Denoise] | None = None,
    ) -> Tensor:
        """See `Denoiser.sample`."""
        return self.denoiser.sample(n, self.told(cond), noise, sampling or self.sampling, guide)
