"""A pipeline whose network is a transformer as a model of ours: DiT, Stable Diffusion 3, Flux."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.core.errors import InputError
from veridical.diffusion.guidance import classifier_free
from veridical.diffusion.solvers import Denoise
from veridical.pretrained.coding import Turns, decoded, encoded, factor_of
from veridical.pretrained.levels import FlowSchedule, Schedule
from veridical.pretrained.model import AT_ONCE
from veridical.pretrained.scheduled import Scheduled
from veridical.pretrained.settings import PipelineSampling
from veridical.pretrained.telling import ByLabel, ByTexts


class PretrainedTransformer(Scheduled):
    """The transformer, VAE and text encoders of a pipeline, frozen, in the variance-exploding form.

    What the transformer sees of ``x = x0 + sigma * noise`` is x times what its schedule leaves of x0: of flow matching
    ``(1 - t) * x0 + t * noise`` with ``sigma = t / (1 - t)``. Attention of its texts and images is one, so that no map says
    which word a place looks at: it has no ``attention``.

    Parameters
    ----------
    parts : dict
        ``transformer`` and ``vae``.
    told : ByLabel or ByTexts
        How it is told what to draw.
    schedule : Schedule or FlowSchedule
    sampling : PipelineSampling
    side : int
        Of its latents.
    device : torch.device
    offload : bool
        Keep on the device only the part that works.
    """

    colours = 3
    deviation = 1.0  # of scaled latents

    def __init__(
        self,
        parts: dict[str, Any],
        told: ByLabel | ByTexts,
        schedule: Schedule | FlowSchedule,
        sampling: PipelineSampling,
        side: int,
        *,
        device: torch.device | None = None,
        offload: bool = False,
    ) -> None:
        super().__init__()
        where = device or torch.device("cpu")
        self.where = nn.Parameter(torch.zeros(0, device=where), requires_grad=False)
        self.vae, self.transformer, self.told = parts["vae"], parts["transformer"], told
        self.schedule, self.sampling = schedule, sampling
        self.shape = (int(self.vae.config.latent_channels), side, side)
        self.size = side * factor_of(self.vae.config)
        self.rows = max(1, AT_ONCE // self.size**2)
        self.parts: dict[str, nn.Module] = {}
        self._turns = Turns({"vae": [self.vae], "told": [told], "transformer": [self.transformer]}, where, offload)
        if not offload:
            self.to(where)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """It is not trained here."""
        raise InputError(
            "transformers of pipelines are used as they are: adapt a Stable Diffusion with a U-Net instead."
        )

    def encode(self, x: Tensor) -> Tensor:
        """Means of the latents of images (N, 3, H, W), one image after another."""
        self._turns.use("vae")
        return encoded(self.vae, x)

    def decode(self, z: Tensor) -> Tensor:
        """Images in colour, likewise."""
        self._turns.use("vae")
        return decoded(self.vae, z)

    def denoise(self, x: Tensor, sigma: Tensor, cond: dict[str, Any] | None = None) -> Tensor:
        """Expected latents `x0` of ``x = x0 + sigma * noise``; sigma (N,).

        What is not in `cond` is not known: ``label`` (N,) or ``spelled`` (N, L).
        """
        level, kind, given = sigma.reshape(-1, 1, 1, 1), self.transformer.dtype, cond or {}
        if self.told.reads(given):
            self._turns.use("told")
        heard = self.told.listen(given, len(x))
        self._turns.use("transformer")
        seen = (self.schedule.left(level) * x).to(kind)
        out = self.told.ask(self.transformer, seen, self.schedule.time(sigma), heard, self.sampling.embedded_guidance)
        return self.schedule.clean(x, level, out.to(x.dtype))

    def hear(self, cond: dict[str, Any], n: int, noise: Noise | None = None) -> dict[str, Any]:
        """Conditions of `n` images with their text read once, for many calls of `denoise`."""
        self._turns.use("told")
        return self.told.hear(cond, n)

    def guided(self, sampling: PipelineSampling | None = None) -> Denoise:
        """`denoise` with the guidance of the settings."""
        how = sampling or self.sampling
        low, high = how.guidance_interval
        return classifier_free(self.denoise, how.guidance_scale, (low, high), self.told.key)

    def sample(self, n: int, cond: dict[str, Any], noise: Noise, sampling: PipelineSampling | None = None) -> Tensor:
        """Images (n, 3, size, size) in [-1, 1] of what ``label`` or ``spelled`` says."""
        how = sampling or self.sampling
        heard = self.hear(cond, n)
        x = self.start(noise, self.grid(how)[0].item())
        return self.decode(self.solved(self.guided(how), x, heard, noise, how)).clamp(-1, 1)
