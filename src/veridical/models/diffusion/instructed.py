"""InstructPix2Pix (Brooks et al. 2022, arXiv:2211.09800): a denoiser that sees an image and is told what to change."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from veridical.core.batch import Batch, Noise
from veridical.core.settings import check, setting
from veridical.diffusion.guidance import instructed
from veridical.diffusion.solvers import SOLVERS, Denoise
from veridical.models.diffusion.around import Around
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.settings import Embed, Law, Network, Sampling, can_draw, options


@dataclass(frozen=True)
class Instructed:
    """How instructions are learned."""

    condition_dropout: float = setting(
        0.05,
        "Share of training pairs without the instruction alone, as many without the image before alone, and without both.",
        low=0,
        high=1 / 3,
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class InstructedSampling(Sampling):
    """`Sampling`, and how much of the image is kept; `guidance_scale` is that of the instruction."""

    image_guidance_scale: float = setting(
        1.5, "Guidance by the image that is changed: more keeps more of it, 1 is the condition alone.", low=0
    )


class InstructPix2Pix(Around):
    """A `Denoiser` of the image after a change, which sees the image before and hears the instruction.

    The image before comes as further channels of the first convolution, whose weights begin at zero (section 3.2). Training
    leaves out the instruction, the image and both of some pairs, so that two scales say how much each counts in sampling
    (section 3.2.1, `veridical.diffusion.guidance.instructed`). The words are read by the denoiser's own reader.

    Parameters
    ----------
    shape, network, law
        The denoiser, see `Denoiser`.
    vocabulary : int
        Size of the vocabulary of the instructions.
    how : Instructed
    sampling : InstructedSampling
    """

    sees = "image"

    def __init__(
        self,
        shape: tuple[int, int, int],
        vocabulary: int,
        network: Network | None = None,
        law: Law | None = None,
        how: Instructed | None = None,
        sampling: InstructedSampling | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.how, self.sampling = shape, how or Instructed(), sampling or InstructedSampling()
        embed = Embed(label_dropout=0.0, given=shape[0], vocabulary=vocabulary)
        self.denoiser = Denoiser(shape, network, law, embed, self.sampling)
        self.parts = dict(self.denoiser.parts)
        net: Any = self.denoiser.net
        with torch.no_grad():
            net.net.conv_in.weight[:, -shape[0] * self.denoiser.patch**2 :] = 0

    def prepare(self, image: Tensor) -> None:
        """See `Denoiser.prepare`."""
        self.denoiser.prepare(image)

    def denoise(self, x: Tensor, sigma: Tensor, cond: dict[str, Any] | None = None) -> Tensor:
        """See `Denoiser.denoise`; of the image before its array ``before`` (N, C, S, S), or ``map``, encoded."""
        return self.denoiser.denoise(x, sigma, self._shown(cond or {}))

    def hear(self, cond: dict[str, Any], n: int, noise: Noise | None = None) -> dict[str, Any]:
        """See `Denoiser.hear`."""
        return self.denoiser.hear(self._shown(cond), n)

    def _shown(self, cond: dict[str, Any]) -> dict[str, Any]:
        shown = {name: value for name, value in cond.items() if name != "before"}
        return shown | {"map": self.encode(cond["before"])} if "before" in cond else shown

    def instructed(self, denoise: Denoise, sampling: InstructedSampling | None = None) -> Denoise:
        """`denoise` with guidance by the instruction and by the image ``map``."""
        how = sampling or self.sampling
        low, high = how.guidance_interval
        return instructed(denoise, how.guidance_scale, how.image_guidance_scale, (low, high))

    def solved(
        self, denoise: Denoise, x: Tensor, cond: dict[str, Any], noise: Noise, sampling: Sampling | None = None
    ) -> Tensor:
        """Where the solver of the settings leads from x, at the first level of `grid`."""
        how = sampling or self.sampling
        return SOLVERS[how.solver](denoise, x, self.grid(how), cond, noise, **options(self.denoiser.law, how))

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the denoiser's loss, some pairs without instruction, image or both."""
        cond, chance, share = self._shown(batch.cond), batch.uniform(), self.how.condition_dropout
        told = chance >= 2 * share
        seen = (chance < share) | (chance >= 3 * share)
        cond["map"] = cond["map"] * seen.reshape(-1, 1, 1, 1)
        cond["text"] = torch.where(told[:, None], cond["text"], 0)  # an empty one
        yield from self.denoiser.losses(dataclasses.replace(batch, cond=cond), step)

    def sample(self, n: int, cond: dict[str, Any], noise: Noise, sampling: InstructedSampling | None = None) -> Tensor:
        """Images in [-1, 1], shape (n, C, S, S), of ``cond["before"]`` in [-1, 1] changed as ``cond["text"]`` says."""
        how = sampling or self.sampling
        can_draw(self.denoiser.law, how, self.denoiser.early is not None)
        plain = dataclasses.replace(how, guidance_scale=1.0)
        return self.denoiser.sample(n, self._shown(cond), noise, plain, lambda denoise: self.instructed(denoise, how))
