"""Super-resolution as the last part of a cascade (Ho et al. 2022, arXiv:2106.15282)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Batch
from veridical.core.errors import InputError
from veridical.diffusion.solvers import Noise
from veridical.models.diffusion.denoiser import Denoiser


class Upsampler(nn.Module):
    """A `Denoiser` that sees its image at a lower resolution, with some noise on it.

    The network sees the low-resolution image beside what it denoises (Saharia et al. 2021, arXiv:2104.07636), and how strong
    the noise on it is: what another system has generated is then not too different from what it has learned from
    (noise-conditioning augmentation, section 4.2 of the paper).

    Parameters
    ----------
    channels, size, patch, widths, layers, attention, dropout, formulation, sampling_steps, solver
        The denoiser, see `Denoiser`; `size` is that of the large image.
    factor : int
        How many times larger it is.
    crop : int
        Side in pixels of the part of each training image that the network sees, rounded down to what it can halve; 0, or `size`
        and more: all of it. What an image lacks is told by what is near: it learns as much from a part, in less time.
    augmentation : float
        Strongest noise on the low-resolution image in training, for data of standard deviation 0.5.
    condition_noise : float
        That in sampling: 0 for coarse images as they are, 0.05 or more for what another system has made.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        factor: int = 2,
        crop: int = 0,
        patch: int = 4,
        widths: tuple[int, ...] = (64, 128),
        layers: int = 1,
        attention: tuple[bool, ...] = (False, False),
        dropout: float = 0.0,
        formulation: str = "edm",
        augmentation: float = 0.3,
        condition_noise: float = 0.0,
        sampling_steps: int = 18,
        solver: str = "dpm_solver_pp_2m",
    ) -> None:
        super().__init__()
        if size % factor:
            raise InputError(f"tiles of {size} pixels do not divide by factor={factor}: choose another --size.")
        if not 0 <= condition_noise <= augmentation:
            raise InputError(f"condition_noise={condition_noise} must lie between 0 and augmentation={augmentation}.")
        # A lower noise law than that of images: the coarse half is known.
        self.denoiser = Denoiser(
            channels, size, patch, widths, layers, attention, dropout, formulation=formulation,
            noise_mean=-1.2, sampling_steps=sampling_steps, solver=solver, classes=0, label_dropout=0.0, given=channels,
            crop=crop - crop % (patch * 2 ** (len(widths) - 1)) if crop < size else 0,
        )  # fmt: skip
        self.parts = dict(self.denoiser.parts)
        self.size, self.factor = size, factor
        self.augmentation, self.condition_noise = augmentation, condition_noise

    def prepare(self, image: Tensor) -> None:
        """See `Denoiser.prepare`."""
        self.denoiser.prepare(image)

    def reduce(self, image: Tensor) -> Tensor:
        """Low-resolution images: means over squares."""
        return F.avg_pool2d(image, self.factor)

    def _condition(self, low: Tensor, level: Tensor, noise: Tensor) -> dict[str, Tensor]:
        noisy = low + level.reshape(-1, 1, 1, 1) * noise / self.denoiser.spectrum.scale
        large = F.interpolate(noisy, scale_factor=self.factor, mode="bicubic")
        # As a label: about -1.7 to 1.7, as if it were standardised.
        label = 3.4 * level / max(self.augmentation, 1e-6) - 1.7
        return {"label": label, "map": self.denoiser.encode(large)}

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the denoiser's loss, given the reduced batch; a source in the batch is for sampling."""
        low = self.reduce(batch.image)
        level, noise = self.augmentation * batch.uniform(), batch.normal(*low.shape[1:])
        cond = self._condition(low, level, noise)
        yield from self.denoiser.losses(dataclasses.replace(batch, cond=cond), step)

    def sample(self, n: int, cond: dict, noise: Noise) -> Tensor:
        """Large images in [-1, 1], shape (n, C, size, size), of ``cond["source"]``.

        The source (n, C, H, W) is of low resolution, or of `size` pixels: then it is reduced first.
        """
        source = cond["source"]
        low = self.reduce(source) if source.shape[-1] == self.size else source
        level = torch.full((n,), self.condition_noise, dtype=low.dtype, device=low.device)
        given = self._condition(low, level, noise(tuple(low.shape[1:])))
        return self.denoiser.sample(n, given, noise)
