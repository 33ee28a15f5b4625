"""Super-resolution as the last part of a cascade (Ho et al. 2022, arXiv:2106.15282)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.core.errors import InputError
from veridical.core.settings import check, setting
from veridical.diffusion.canvas import Canvas
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.settings import Embed, Law, Network, Sampling


@dataclass(frozen=True)
class Coarse:
    """What is enlarged."""

    factor: int = setting(2, "How many times larger the image becomes.", low=1)
    augmentation: float = setting(
        0.3, "Strongest noise on the low-resolution image in training, for data of standard deviation 0.5.", low=0
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class CoarseSampling(Sampling):
    """`Sampling`, and what becomes of the coarse image."""

    condition_noise: float = setting(
        0.0, "Noise on it in sampling: 0 for images as they are, 0.05 or more for what another system has made.", low=0
    )


class Upsampler(nn.Module):
    """A `Denoiser` that sees its image at a lower resolution, with some noise on it.

    The network sees the low-resolution image beside what it denoises (Saharia et al. 2021, arXiv:2104.07636), and how strong
    the noise on it is: what another system has generated is then not too different from what it has learned from
    (noise-conditioning augmentation, section 4.2 of the paper).

    Parameters
    ----------
    shape, network, law
        The denoiser, see `Denoiser`; `shape` is that of the large image. The law's crop is rounded down to what the network can
        halve; `size` and more is all of the image. What an image lacks is told by what is near: it learns as much from a part,
        in less time.
    coarse : Coarse
    sampling : CoarseSampling
    """

    def __init__(
        self, shape: tuple[int, int, int], network: Network, law: Law, coarse: Coarse, sampling: CoarseSampling
    ) -> None:
        super().__init__()
        channels, size, _ = shape
        if size % coarse.factor:
            raise InputError(f"tiles of {size} pixels do not divide by factor={coarse.factor}: choose another --size.")
        self.size, self.coarse, self.sampling = size, coarse, sampling
        _within(coarse, sampling)
        unit = network.patch * 2 ** (len(network.widths) - 1)
        crop = law.crop - law.crop % unit if law.crop < size else 0
        embed = Embed(label_dropout=0.0, given=channels, level=max(coarse.augmentation, 1e-6))
        self.denoiser = Denoiser(shape, network, dataclasses.replace(law, crop=crop), embed, sampling)
        self.parts = dict(self.denoiser.parts)
        self.register_load_state_dict_pre_hook(_level_was_a_label)

    def prepare(self, image: Tensor) -> None:
        """See `Denoiser.prepare`."""
        self.denoiser.prepare(image)

    def reduce(self, image: Tensor) -> Tensor:
        """Low-resolution images: means over squares."""
        return F.avg_pool2d(image, self.coarse.factor)

    def _condition(self, low: Tensor, level: Tensor, noise: Tensor) -> dict[str, Tensor]:
        noisy = low + level.reshape(-1, 1, 1, 1) * noise / self.denoiser.spectrum.scale
        large = F.interpolate(noisy, scale_factor=self.coarse.factor, mode="bicubic")
        return {"level": level, "map": self.denoiser.encode(large)}

    def on_canvas(self, canvas: Canvas) -> AbstractContextManager[None]:
        """See `Denoiser.on_canvas`."""
        return self.denoiser.on_canvas(canvas)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the denoiser's loss, given the reduced batch; a source in the batch is for sampling."""
        low = self.reduce(batch.image)
        level, noise = self.coarse.augmentation * batch.uniform(), batch.normal(*low.shape[1:])
        cond = self._condition(low, level, noise)
        yield from self.denoiser.losses(dataclasses.replace(batch, cond=cond), step)

    def sample(self, n: int, cond: dict[str, Any], noise: Noise, sampling: CoarseSampling | None = None) -> Tensor:
        """Large images in [-1, 1], shape (n, C, size, size), of ``cond["source"]``.

        The source (n, C, H, W) is of low resolution, or of the size of what is drawn: then it is reduced first.
        """
        how = sampling or self.sampling
        _within(self.coarse, how)
        source = cond["source"]
        low = self.reduce(source) if tuple(source.shape[2:]) == self.denoiser.room else source
        level = torch.full((n,), how.condition_noise, dtype=low.dtype, device=low.device)
        given = self._condition(low, level, noise(tuple(low.shape[1:])))
        return self.denoiser.sample(n, given, noise, how)


def _within(coarse: Coarse, sampling: CoarseSampling) -> None:
    if sampling.condition_noise > coarse.augmentation:
        raise InputError(
            f"condition_noise={sampling.condition_noise} must lie between 0 and augmentation={coarse.augmentation}."
        )


def _level_was_a_label(model: nn.Module, state: dict[str, Any], *_: Any) -> None:
    """Runs of version 0.1 and before keep the embedding of the level as one of a label."""
    old, new = "denoiser.label.", "denoiser.level.net."
    for name in [name for name in state if name.startswith(old)]:
        state[new + name.removeprefix(old)] = state.pop(name)
