"""ControlNet (Zhang et al. 2023, arXiv:2302.05543): a trained denoiser of texts is told where things lie."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.core.errors import InputError
from veridical.core.settings import check, setting
from veridical.diffusion.solvers import Denoise
from veridical.models.diffusion.around import GoingOn
from veridical.models.diffusion.settings import Sampling, can_draw
from veridical.nets.unet import Residuals, steered

WIDTHS = (16, 32, 96, 256)  # of the network that reads hints, halved in size between each two


@dataclass(frozen=True)
class Controlled:
    """How hints are learned."""

    text_dropout: float = setting(
        0.5, "Share of training images without their caption: what is there the hint has to say then.", low=0, high=1
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ControlSampling(Sampling):
    """`Sampling`, and how much the hint counts when."""

    strength: float = setting(1.0, "Factor of what the hint adds to the network; 0: the base alone.", low=0)
    control_from: float = setting(
        0.0, "Share of the sampling steps after which the hint begins to count.", low=0, high=1
    )
    control_to: float = setting(1.0, "Share of the sampling steps after which it does not any more.", low=0, high=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.control_from < self.control_to:
            raise InputError(
                f"control_from={self.control_from} and control_to={self.control_to} cannot be: give two rising shares."
            )


class ControlNet(GoingOn):
    """A frozen denoiser of texts, and a copy of half of its U-Net that sees a hint, too.

    The copy of the encoder and the middle, a small network that brings the hint to their size, and convolutions of zeros in
    front of and behind it (diffusers' `ControlNetModel`) add to what the frozen U-Net hands on between its levels (section 3.1).
    Before the first step that is nothing. Half of the captions are left out in training (section 3.3).

    Parameters
    ----------
    base : nn.Module
        A trained run of stable_diffusion, text_to_image or dalle3; it is frozen.
    size : int
        Side of the images, and of hints, in pixels.
    hints : int
        Maps of a hint.
    how : Controlled
    sampling : ControlSampling
        Its lowest and highest noise levels are those of the base.

    Raises
    ------
    InputError
        If the base is another system.
    """

    def __init__(
        self,
        base: nn.Module,
        size: int,
        hints: int,
        how: Controlled | None = None,
        sampling: ControlSampling | None = None,
    ) -> None:
        from diffusers.models.controlnets.controlnet import ControlNetModel

        super().__init__(base.eval().requires_grad_(False), "controlnet")
        inner = self.denoiser
        steps = (size // inner.shape[-1] * inner.patch).bit_length() - 1
        if size != inner.shape[-1] // inner.patch * 2**steps:
            raise InputError(
                f"the U-Net of the base sees images of {size} pixels as {inner.shape[-1] // inner.patch}: controlnet needs a "
                "base whose patch and autoencoder make images smaller by a power of two."
            )
        # This part of the base acts in training alone, which is that of the copy: crops and warps would leave hints behind.
        inner.law = dataclasses.replace(inner.law, crop=0, warp=0.0, early_steps=0)
        inner.embed = dataclasses.replace(inner.embed, label_dropout=(how or Controlled()).text_dropout)
        widths = (*WIDTHS, *WIDTHS[-1:] * steps)[: steps + 1]
        self.control = ControlNetModel.from_unet(
            inner.net.net, conditioning_channels=hints, conditioning_embedding_out_channels=widths
        )
        self.shape, self.parts = inner.shape, {"control": self.control}
        self.frozen: dict[str, nn.Module] = {"base": self.base}
        ends = {name: getattr(base.sampling, name) for name in ("sigma_min", "sigma_max")}
        self.sampling = dataclasses.replace(sampling or ControlSampling(), **ends)
        can_draw(inner.law, self.sampling, inner.early is not None)

    def train(self, mode: bool = True) -> ControlNet:
        """Set the mode of the copy; the base stays as it is."""
        super().train(mode)
        self.base.eval()
        return self

    def denoise(self, x: Tensor, sigma: Tensor, cond: dict[str, Any] | None = None) -> Tensor:
        """See `Denoiser.denoise`; of hints their array ``hint`` (N, hints, size, size): without one it is the base."""
        with self._steered(cond or {}, self.sampling.strength):
            return self.base.denoise(x, sigma, cond)

    def residuals(
        self,
        hint: Tensor,
        x: Tensor,
        time: Tensor,
        vector: Tensor | None,
        tokens: Tensor | None,
        token_mask: Tensor | None,
    ) -> Residuals:
        """What the copy adds to what the U-Net of the base hands on, of the hint and of what that U-Net sees.

        `ControlNetModel.forward` does not take a mask of tokens, which texts of several lengths need.
        """
        net: Any = self.control
        time = net.time_embedding(net.time_proj(time.expand(len(x))).to(x.dtype))
        if net.class_embedding is not None:
            time = time + net.class_embedding(vector)
        heard = {"encoder_hidden_states": tokens, "encoder_attention_mask": _bias(token_mask, x.dtype)}
        y = net.conv_in(x) + net.controlnet_cond_embedding(hint)
        handed = [y]
        for block in net.down_blocks:
            crosses = getattr(block, "has_cross_attention", False)
            y, more = block(y, time, **heard) if crosses else block(y, time)
            handed += more
        y = net.mid_block(y, time, **heard)
        added = [zero(each) for zero, each in zip(net.controlnet_down_blocks, handed, strict=True)]
        return added, net.controlnet_mid_block(y)

    def _steered(self, cond: dict[str, Any], strength: float) -> AbstractContextManager[None]:
        """Within this, the U-Net of the base is given what the copy makes of the hint."""

        def beside(*seen: Any) -> Residuals:
            down, middle = self.residuals(cond["hint"], *seen)
            return [strength * each for each in down], strength * middle

        return steered(self.base.denoiser.net, beside if strength and "hint" in cond else None)

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the base's loss, steered by the hint."""
        with self._steered(batch.cond, 1.0):
            found = [loss for _, loss in self.base.losses(batch, step)]
        for loss in found:
            yield "control", loss

    def sample(self, n: int, cond: dict[str, Any], noise: Noise, sampling: ControlSampling | None = None) -> Tensor:
        """Images in [-1, 1] of texts and hints; in guidance by the text the hint is always there."""
        how = sampling or self.sampling
        first, last = interval(self.grid(how), how.control_from, how.control_to)

        def led(denoise: Denoise) -> Denoise:
            def with_hint(x: Tensor, sigma: Tensor, told: Any) -> Tensor:
                counts = last <= float(sigma.flatten()[0]) <= first
                with self._steered(told, how.strength if counts else 0.0):
                    return denoise(x, sigma, told)

            return with_hint

        return self.base.sample(n, cond, noise, how, led)


def interval(grid: Tensor, begin: float, end: float) -> tuple[float, float]:
    """Highest and lowest noise level at which the steps of `grid`, falling to 0, from the share `begin` of them to `end` begin.

    Step i of n counts where ``i / n >= begin`` and ``(i + 1) / n <= end``, as in diffusers' pipelines.
    """
    n = len(grid) - 1
    steps = [i for i in range(n) if i / n >= begin - 1e-9 and (i + 1) / n <= end + 1e-9]
    if not steps:
        return 0.0, float("inf")
    slack = 1e-4  # networks are told levels in single precision
    low = 0.0 if steps[-1] == n - 1 else grid[steps[-1]].item() * (1 - slack)
    return float("inf") if steps[0] == 0 else grid[steps[0]].item() * (1 + slack), low


def _bias(there: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Of which tokens count (N, L) what is added to scores of attention (N, 1, L), as `UNet2DConditionModel` has it."""
    return None if there is None else ((1 - there.to(dtype)) * -10000.0).unsqueeze(1)
