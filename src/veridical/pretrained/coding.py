"""Images to the latents of a pipeline and back, and parts that take turns on a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def encoded(vae: Any, x: Tensor) -> Tensor:
    """Means of the latents of images (N, 3, H, W), one image after another, of about mean 0 and variance 1.

    To a VAE of grey images, channels are equal.
    """
    seen = x[:, : int(vae.config.in_channels)].to(vae.dtype)
    each = [vae.encode(row).latent_dist.mean for row in seen.split(1)]
    return (torch.cat(each) - _shift(vae)).to(x.dtype) * float(vae.config.scaling_factor)


def decoded(vae: Any, z: Tensor) -> Tensor:
    """Images (N, 3, H, W), likewise."""
    latents = (z / float(vae.config.scaling_factor) + _shift(vae)).to(vae.dtype)
    images = torch.cat([vae.decode(row).sample for row in latents.split(1)]).to(z.dtype)
    return images.expand(-1, 3, -1, -1)


def is_grey(vae: Any) -> bool:
    """Whether it knows images of one channel alone."""
    return int(vae.config.in_channels) == 1


def _shift(vae: Any) -> float:
    return float(vae.config.get("shift_factor") or 0.0)


def factor_of(config: Mapping[str, Any]) -> int:
    """Pixels a latent, along a side, by the config of a VAE."""
    return int(2 ** (len(config["block_out_channels"]) - 1))


class Turns:
    """Parts of a model, of which the one that works is on the device.

    Parameters
    ----------
    parts : dict of str to modules
    device : torch.device
    offload : bool
        Whether the others wait in main memory; else all are on the device.
    """

    def __init__(self, parts: Mapping[str, Sequence[nn.Module | None]], device: torch.device, offload: bool) -> None:
        self._parts = {name: [part for part in some if part is not None] for name, some in parts.items()}
        self._device, self._offload, self._working = device, offload, ""

    def use(self, name: str) -> None:
        """Bring the part that is about to work onto the device, the others from it."""
        if not self._offload or self._working == name:
            return
        for other, parts in self._parts.items():
            for part in parts:
                part.to("cpu" if other != name else self._device)
        self._working = name
