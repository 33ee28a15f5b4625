"""Label mask to image by a denoiser: what each pixel is stands beside the noisy image."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from veridical.core.batch import Batch, Noise
from veridical.core.settings import check, setting
from veridical.diffusion.guidance import classifier_free
from veridical.diffusion.solvers import Denoise
from veridical.models.diffusion.around import Around
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.settings import Embed, Law, Network, Sampling, can_draw
from veridical.models.gan.pix2pix import one_hot


@dataclass(frozen=True)
class Masked:
    """How masks are learned."""

    mask_dropout: float = setting(
        0.1, "Share of training images whose mask is left out; guidance by the mask needs some.", low=0, high=1
    )

    def __post_init__(self) -> None:
        check(self)


class MaskDiffusion(Around):
    """A `Denoiser` that sees a label mask beside what it denoises.

    The mask comes as a map a class (as low-resolution images do in Saharia et al. 2021, arXiv:2104.07636, and masks in Rombach
    et al. 2022, arXiv:2112.10752, section 4.3.2). No mask is a map of zeros, which no mask gives: training leaves some out, and
    sampling goes on from what is expected without the mask to what is expected with it (Ho and Salimans 2022,
    arXiv:2207.12598). Without one it is a denoiser of images of the material.

    Parameters
    ----------
    shape, network, law
        The denoiser, see `Denoiser`.
    classes : int
        Classes of the masks, numbered from 0; a pixel of another number is unknown.
    masked : Masked
    sampling : Sampling
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        network: Network | None = None,
        law: Law | None = None,
        masked: Masked | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.classes = shape, classes
        self.masked, self.sampling = masked or Masked(), sampling or Sampling()
        self.denoiser = Denoiser(shape, network, law, Embed(label_dropout=0.0, given=classes), self.sampling)
        self.parts = dict(self.denoiser.parts)

    def prepare(self, image: Tensor) -> None:
        """See `Denoiser.prepare`."""
        self.denoiser.prepare(image)

    def denoise(self, x: Tensor, sigma: Tensor, cond: dict[str, Any] | None = None) -> Tensor:
        """See `Denoiser.denoise`; of masks their array ``mask`` (N, S, S)."""
        return self.denoiser.denoise(x, sigma, self._shown(cond or {}))

    def _shown(self, cond: dict[str, Any]) -> dict[str, Any]:
        return {**cond, "map": one_hot(cond["mask"], self.classes)} if "mask" in cond else dict(cond)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the denoiser's loss, some images without their mask."""
        shown = self._shown(batch.cond)
        keep = batch.uniform() >= self.masked.mask_dropout
        shown["map"] = shown["map"] * keep.reshape(-1, 1, 1, 1)
        yield from self.denoiser.losses(dataclasses.replace(batch, cond=shown), step)

    def sample(self, n: int, cond: dict[str, Any], noise: Noise, sampling: Sampling | None = None) -> Tensor:
        """Images in [-1, 1], shape (n, C, S, S), of the masks ``cond["mask"]`` (n, S, S)."""
        how = sampling or self.sampling
        can_draw(self.denoiser.law, how, self.denoiser.early is not None)
        low, high = how.guidance_interval

        def by_mask(denoise: Denoise) -> Denoise:
            return classifier_free(denoise, how.guidance_scale, (low, high), "map")

        plain = dataclasses.replace(how, guidance_scale=1.0)
        return self.denoiser.sample(n, self._shown(cond), noise, plain, by_mask)
