"""A model that holds another one, and is asked for the same as that."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor, nn

from veridical.core.batch import Noise
from veridical.core.errors import InputError
from veridical.diffusion.canvas import Canvas
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.settings import Sampling
from veridical.nets.attention import Control
from veridical.nets.unet import UNet


class Around(nn.Module):
    """What samplers and edits ask of a `Denoiser`, handed on to the one within; the sampling settings are its own.

    Attributes
    ----------
    sampling : Sampling
        Of the model around: it may be replaced.
    """

    sampling: Any

    @property
    def within(self) -> Any:
        """The model that is asked: the `denoiser`, unless there is more around it."""
        return self.denoiser

    def encode(self, x: Tensor) -> Tensor:
        """See `Denoiser.encode`."""
        found: Tensor = self.within.encode(x)
        return found

    def decode(self, z: Tensor) -> Tensor:
        """See `Denoiser.decode`."""
        found: Tensor = self.within.decode(z)
        return found

    def hear(self, cond: dict[str, Any], n: int, noise: Noise | None = None) -> dict[str, Any]:
        """See `Denoiser.hear`."""
        found: dict[str, Any] = self.within.hear(cond, n)
        return found

    def attention(self, control: Control) -> AbstractContextManager[None]:
        """See `Denoiser.attention`."""
        found: AbstractContextManager[None] = self.within.attention(control)
        return found

    def ends(self, sampling: Sampling | None = None) -> tuple[float, float]:
        """See `Denoiser.ends`."""
        found: tuple[float, float] = self.within.ends(sampling or self.sampling)
        return found

    def grid(self, sampling: Sampling | None = None) -> Tensor:
        """See `Denoiser.grid`."""
        found: Tensor = self.within.grid(sampling or self.sampling)
        return found

    def start(self, noise: Noise, sigma: float) -> Tensor:
        """See `Denoiser.start`."""
        found: Tensor = self.within.start(noise, sigma)
        return found

    def on_canvas(self, canvas: Canvas) -> AbstractContextManager[None]:
        """See `Denoiser.on_canvas`."""
        found: AbstractContextManager[None] = self.within.on_canvas(canvas)
        return found


class GoingOn(Around):
    """Around a trained run that hears texts, from which it goes on.

    Parameters
    ----------
    base : nn.Module
        A run of text_to_image, dalle3 or stable_diffusion.
    name : str
        Of the recipe.

    Raises
    ------
    InputError
        If the base is another system.
    """

    def __init__(self, base: nn.Module, name: str) -> None:
        super().__init__()
        self.base: Any = base
        inner = getattr(base, "denoiser", None)
        hears = isinstance(inner, Denoiser) and isinstance(inner.net, UNet) and inner.net.text
        if not hears or self.denoiser.embed.given:
            raise InputError(
                f"{name} goes on from a U-Net that hears texts: give --first base=RUN of stable_diffusion, text_to_image or "
                "dalle3."
            )

    @property
    def within(self) -> Any:
        """The base."""
        return self.base

    @property
    def denoiser(self) -> Denoiser:
        """That of the base."""
        found: Denoiser = self.base.denoiser
        return found
