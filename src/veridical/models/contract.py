"""What a model is: members that training, sampling, edits and scores read. Capability is asked by these names alone.

A model is an ``nn.Module`` that is a `Model`; whatever else it can do, it says by having the members of one of the other
protocols, which the rest of the package asks for with ``isinstance(model, Denoising)``. Nothing is inherited from here.

Longer than other files because all that a model can have is in this one list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.diffusion.canvas import Canvas
from veridical.diffusion.deterministic import Denoise
from veridical.models.diffusion.settings import Sampling
from veridical.nets.attention import Control
from veridical.nets.spectrum import Spectrum


class Module(Protocol):
    """What of ``nn.Module`` is read."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Weights."""
        ...

    def buffers(self) -> Iterator[Tensor]:
        """What else is saved."""
        ...


class Model(Module, Protocol):
    """What every model has.

    Attributes
    ----------
    parts : dict of str to nn.Module
        What is trained, one optimiser each; empty for a model that `prepare` makes ready.
    """

    parts: dict[str, nn.Module]

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield names of parts and their losses, in any number and order; a part takes a step before the next is asked for."""
        ...


@runtime_checkable
class Generating(Protocol):
    """A model that draws images: all but those that only say how near images and words are."""

    def sample(self, n: int, cond: dict[str, Tensor], noise: Noise) -> Tensor:
        """Images in [-1, 1], shape (n, C, H, W); `noise` gives each image its own."""
        ...


@runtime_checkable
class Prepared(Protocol):
    """A model that measures something of the data before the first step."""

    def prepare(self, image: Tensor) -> None:
        """Take in training tiles (N, C, H, W) in [-1, 1]."""
        ...


@runtime_checkable
class PreparedWith(Protocol):
    """A model that measures something of the data and of their conditions before the first step."""

    def prepare_with(self, image: Tensor, cond: dict[str, Tensor]) -> None:
        """Take in training tiles (N, C, H, W) in [-1, 1] and their conditions."""
        ...


@runtime_checkable
class Labelling(Protocol):
    """A `Generating` model that draws a label image with each image."""

    def sample_labelled(self, n: int, cond: dict[str, Tensor], noise: Noise) -> tuple[Tensor, Tensor]:
        """Images as ``sample`` gives them for the same noise, and their class numbers (n, H, W), uint8."""
        ...


@runtime_checkable
class Staged(Protocol):
    """A model with frozen stages: trained runs that it holds and does not train.

    Attributes
    ----------
    frozen : dict of str to nn.Module
        Names of stages (as the recipe has them) to modules of the model, with the very weights of their runs. They are saved
        by reference (path and SHA-256), and averages share them. All else in a model is saved: parts, what the model
        measured, and copies of a stage that change in training.
    """

    frozen: dict[str, nn.Module]


@runtime_checkable
class Adapted(Protocol):
    """A trained model that was taken over but for a few weights that were put into it.

    Attributes
    ----------
    adapters : frozenset of str
        Names of those tensors. They alone are trained and saved; all others are those of the base, which is saved by reference
        (path and SHA-256) and shared with averages, and which measured its own data.
    """

    adapters: frozenset[str]


@runtime_checkable
class Sharing(Protocol):
    """A model that takes several steps on one batch.

    Attributes
    ----------
    critic_steps : int
        Equal shares of the rows of a batch, see `veridical.core.batch.Batch.share`.
    """

    critic_steps: int


@runtime_checkable
class Paced(Protocol):
    """A model whose parts learn at rates of their own.

    Attributes
    ----------
    rates : dict of str to float
        Factors of the learning rate; 1 for parts that are not named.
    """

    rates: dict[str, float]


@runtime_checkable
class Growing(Generating, Protocol):
    """A `Generating` model that draws images larger than its tiles."""

    def on_canvas(self, canvas: Canvas) -> AbstractContextManager[None]:
        """Within this ``sample`` draws images of the size of the canvas; conditions that are maps have its size, too."""
        ...


@runtime_checkable
class Solid(Generating, Protocol):
    """A `Generating` model of volumes, whose images are sections of them.

    Attributes
    ----------
    directed : bool
        Whether it knows the sections of each axis by themselves, so that those of one may differ from those of another.
    arrays : int
        In single precision, as large as a volume, that are in memory while it draws one.
    """

    directed: bool
    arrays: int

    def solid(self, sides: tuple[int, int, int], noise: Noise, periodic: bool, tell: Callable[[float], None]) -> Tensor:
        """The first volume (D, H, W) of `noise`, in [-1, 1]; `tell` hears the share that is done."""
        ...


class Encoding(Module, Protocol):
    """A model with a space of its own: latents, or images of known mean and deviation."""

    def encode(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] to their place in that space."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """Back to images."""
        ...


class Latent(Encoding, Protocol):
    """An `Encoding` model that says how large its space is: what a first stage has.

    Attributes
    ----------
    shape : tuple of int
        Of what `encode` makes of an image.
    """

    shape: tuple[int, int, int]


@runtime_checkable
class Denoising(Encoding, Protocol):
    """A model of noisy images (or latents) ``x = x0 + sigma * noise``, where x0 is encoded: what edits need."""

    def denoise(self, x: Tensor, sigma: Tensor, cond: dict[str, Tensor] | None = None) -> Tensor:
        """Expected x0 of x (N, \\*shape) at noise levels sigma (N,), without guidance."""
        ...


@runtime_checkable
class Hearing(Protocol):
    """A model that is told texts."""

    def hear(self, cond: dict[str, Any], n: int, noise: Noise | None = None) -> dict[str, Any]:
        """What ``denoise`` may be told in place of conditions of `n` images: the same, with all read that need be read once.

        `noise` is for a model that imagines what a text stands for.
        """
        ...


@runtime_checkable
class Attending(Protocol):
    """A `Denoising` model whose attention can be seen."""

    def attention(self, control: Control) -> AbstractContextManager[None]:
        """Within the context, the attention of ``denoise`` goes through `control`, see `veridical.nets.attention.controlled`."""
        ...


@runtime_checkable
class Diffusive(Denoising, Latent, Protocol):
    """A `Denoising` model that knows along which levels it samples.

    Attributes
    ----------
    sampling : Sampling
        How it samples unless another value is given at draw time.
    """

    sampling: Sampling

    def ends(self, sampling: Sampling | None = None) -> tuple[float, float]:
        """The lowest noise level, which counts as none, and the highest, which counts as nothing else."""
        ...

    def grid(self, sampling: Sampling | None = None) -> Tensor:
        """Noise levels along which it samples, falling to 0, float64."""
        ...

    def start(self, noise: Noise, sigma: float) -> Tensor:
        """Where sampling begins, at the noise level sigma."""
        ...


@runtime_checkable
class Coloured(Protocol):
    """A model of images in colour alone: grey ones come to it as equal channels, see `veridical.data.colour`."""

    colours: int  # channels of what it encodes and decodes


@runtime_checkable
class Large(Protocol):
    """A model of large images, in a space of its own scale."""

    rows: int  # how many are worked on at a time, at most
    deviation: float  # standard deviation of encoded images, about; that of other models is 0.5


@runtime_checkable
class Steering(Protocol):
    """A model that a ControlNet can steer.

    Attributes
    ----------
    control : nn.Module or None
        The ControlNet, if it has one.
    """

    control: nn.Module | None

    def steered(self, hint: Tensor) -> Any:
        """The same model, which is told the hints (N, 3, H, W) in [0, 1] of N images beside all else."""
        ...


@runtime_checkable
class Seeing(Diffusive, Protocol):
    """A `Diffusive` model whose network sees maps beside the noisy image: the condition ``map`` (N, C, h, w).

    Attributes
    ----------
    sees : str
        The "image" that an instruction changes, encoded; or the "hole": a map that is 1 where to draw, and the encoded image with
        grey there; or nothing ("").
    """

    sees: str

    def solved(self, denoise: Any, x: Tensor, cond: dict[str, Any], noise: Noise, sampling: Any = None) -> Tensor:
        """Where the solver of the settings leads from x, at the first level of `grid`."""
        ...


@runtime_checkable
class Instructable(Seeing, Protocol):
    """A `Seeing` model that follows instructions."""

    def instructed(self, denoise: Any, sampling: Any = None) -> Any:
        """`denoise` with guidance by an instruction and by the image."""
        ...


@runtime_checkable
class DenoisesImages(Diffusive, Protocol):
    """A `Diffusive` model whose space is that of images but for scale and shift: it has a likelihood of images."""

    def contrast(self) -> float:
        """Encoded values a unit of images: ``encode(x) = contrast * (x - mean)``."""
        ...


@runtime_checkable
class Spectral(DenoisesImages, Protocol):
    """A `DenoisesImages` model that measured the spectrum of its images: what volumes are drawn of.

    Attributes
    ----------
    spectrum : Spectrum
    """

    spectrum: Spectrum

    def guided(self, sampling: Sampling | None = None) -> Denoise:
        """``denoise`` with the guidance of the settings."""
        ...


@runtime_checkable
class Varying(Diffusive, Protocol):
    """A `Diffusive` model that draws images of the embedding of an image.

    Attributes
    ----------
    decoder : Diffusive
        What draws them; it is told what `heard` gives.
    """

    decoder: Any

    def embed(self, x: Tensor) -> Tensor:
        """Embeddings (N, dim), of length 1, of images in [-1, 1] of the size that it was trained on."""
        ...

    def heard(self, z: Tensor, noise: Noise, sampling: Any = None) -> dict[str, Any]:
        """Conditions of the decoder for embeddings, with noise on them where it is to believe them less."""
        ...
