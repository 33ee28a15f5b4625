"""Everything diffusive is one denoiser: a network between scalings, a law of training noise, a grid and a solver.

Longer than other files because all that is diffusive is this one model.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.diffusion.canvas import Canvas
from veridical.diffusion.formulations import FORMULATIONS, SIGMA_DATA, Span, min_snr_weight
from veridical.diffusion.guidance import autoguidance, classifier_free, clipped
from veridical.diffusion.solvers import SOLVERS, Denoise
from veridical.diffusion.variance import variational_bound
from veridical.models.diffusion.settings import Embed, Law, Network, Sampling, can_draw, fits, options
from veridical.nets import warp as warping
from veridical.nets.attention import Control, controlled
from veridical.nets.dit import DiT
from veridical.nets.embedding import EmbeddingOrNone, joined
from veridical.nets.label import LabelOrNone, LevelOrNone
from veridical.nets.shuffle import shuffle, unshuffle
from veridical.nets.spectrum import Spectrum
from veridical.nets.text import Reader, TextOrNone, hear, listen
from veridical.nets.unet import UNet
from veridical.nets.unet3d import UNet3D

# Modules that make of conditions what the network hears, in the order of the seeds.
BESIDE = ("label", "said", "level", "text", "embedding")


class Preconditioned(NamedTuple):
    """``denoise = skip + unit * net(seen, time)`` but for the pixel shuffle; the loss is in squares of `unit`."""

    seen: Tensor
    time: Tensor
    skip: Tensor
    unit: Tensor


class Denoiser(nn.Module):
    """A diffusion model; which one, the formulation says.

    EDM's skip connection is the best linear denoiser of white images. With ``skip="wiener"`` it is that of images with the
    spectrum of the data, measured once (`veridical.nets.spectrum.Spectrum`), in any formulation: the untrained model already
    draws a Gaussian texture with the right spectrum, and the network learns only what a spectrum does not say. For a flat
    spectrum the scalings are those of Karras et al. 2022, table 1. The network sees the noisy image and the Wiener estimate,
    with squares of `patch` x `patch` pixels as channels.

    Parameters
    ----------
    shape : (int, int, int) or (int, int, int, int)
        Channels, height and width of what is denoised (images, or latents of another model); or channels, depth, height and
        width of volumes, whose network has no attention and is told the time alone.
    network : Network
    law : Law
    embed : Embed
    sampling : Sampling
        How it samples unless it is told otherwise; it may be replaced.
    reader : Reader
        What reads texts for a U-Net, in place of a reader of its own, and says nothing beside the time (`Read.whole`); it is
        trained, too, unless it is frozen.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        network: Network | None = None,
        law: Law | None = None,
        embed: Embed | None = None,
        sampling: Sampling | None = None,
        reader: Reader | None = None,
    ) -> None:
        super().__init__()
        network, law, embed = network or Network(), law or Law(), embed or Embed()
        fits(shape, network, law)
        self.shape: Any = shape
        self.patch, self.law, self.embed = network.patch, law, embed
        channels, size, dims = shape[0], shape[-1], len(shape) - 1
        self.inside = (channels * (2 if law.skip == "wiener" else 1) + embed.given) * network.patch**dims
        out = channels * (2 if law.variance == "learned" else 1) * network.patch**dims
        own = reader is None and embed.vocabulary > 0
        told = own or embed.embedding > 0
        vector = told or embed.classes >= 0 or law.warp > 0 or embed.level > 0
        width = reader.width if reader is not None else 0 if told else None
        if dims == 3:
            self.net: Any = UNet3D(
                self.inside, out, size // network.patch, network.widths, network.layers, network.dropout
            )
        else:
            self.net = _network(network, self.inside, out, size // network.patch, vector, width)
        self.label = LabelOrNone(embed.classes, self.net.dim) if embed.classes >= 0 else None
        self.said = nn.Linear(warping.NUMBERS, self.net.dim, bias=False) if law.warp else None  # nothing said adds 0
        self.level = LevelOrNone(embed.level, self.net.dim) if embed.level else None
        self.text: Any = TextOrNone(embed.vocabulary, self.net.dim) if own else reader
        self.embedding = EmbeddingOrNone(embed.embedding, self.net.dim) if embed.embedding else None
        heard = [part for name in BESIDE if (part := getattr(self, name)) is not None]
        beside = [part for part in heard if any(p.requires_grad for p in part.parameters())]
        self.parts: dict[str, nn.Module] = {"denoiser": nn.ModuleList([self.net, *beside]) if beside else self.net}
        self.early: nn.ModuleDict | None = None
        if law.early_steps:
            mine = {name: getattr(self, name) for name in ("net", *BESIDE)}
            self.early = nn.ModuleDict({name: copy.deepcopy(part) for name, part in mine.items() if part is not None})
            self.early.requires_grad_(False)
        self.spectrum = Spectrum(channels, size, dims)
        self.canvas: Canvas | None = None
        self.sampling = sampling or Sampling()
        can_draw(law, self.sampling, self.early is not None)
        self.grid(self.sampling)  # so that what cannot be is said before it is trained

    def prepare(self, image: Tensor) -> None:
        """Measure mean and spectrum of the data: preconditioning assumes that they are known."""
        self.spectrum.measure(image, standardise=self.law.standardise)

    def encode(self, x: Tensor) -> Tensor:
        """Images to images of mean 0 and standard deviation 0.5."""
        return self.spectrum.encode(x)

    def decode(self, z: Tensor) -> Tensor:
        """Inverse of `encode`."""
        return self.spectrum.decode(z)

    def contrast(self) -> float:
        """Encoded values a unit of images: the factor of `encode`."""
        return self.spectrum.scale.item()

    def precondition(self, x: Tensor, sigma: Tensor, cond: dict[str, Any] | None = None) -> Preconditioned:
        """What the network sees of x (N, C, S, S) at noise levels (N,), and what becomes of its output."""
        level = self._level(sigma)
        scalings = FORMULATIONS[self.law.formulation].scalings(level)
        seen = [scalings.in_ * x]
        skip, unit = scalings.skip * x, scalings.out
        if self.law.skip == "wiener":
            skip, unit = self.spectrum.wiener(x, level)
            seen.append(skip / SIGMA_DATA)
        if self.embed.given:
            given = (cond or {}).get("map")
            seen.append(x.new_zeros(len(x), self.embed.given, *x.shape[2:]) if given is None else given)
        return Preconditioned(unshuffle(torch.cat(seen, 1), self.patch), scalings.time, skip, unit)

    def _level(self, sigma: Tensor) -> Tensor:
        """Noise levels (N,) as what multiplies x (N, \\*shape)."""
        return sigma.reshape(-1, *[1] * len(self.shape))

    def _expected(
        self,
        known: Preconditioned,
        cond: dict[str, Any] | None,
        keep: Tensor | None = None,
        said: Tensor | None = None,
        early: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Expected x0 and spread of the variance (only where it is learned), by the network or its early copy.

        Label, level, text and embedding are known where `keep`; `said` is how tiles were warped.
        """
        n, told = len(known.seen), cond or {}
        of: Any = self.early if early else self
        heard = []
        if self.label is not None:
            heard.append(of.label(told.get("label"), n, keep))
        if self.said is not None:
            heard.append(of.said(known.seen.new_zeros(n, warping.NUMBERS) if said is None else said))
        if self.level is not None:
            heard.append(of.level(told.get("level"), n, keep))
        text: Any = ()
        if self.text is not None:
            *text, whole = listen(of.text, told, n, keep, early)
            heard += [] if whole is None else [whole]
        if self.embedding is not None:
            vectors = of.embedding(told.get("embedding"), n, keep)
            heard.append(vectors[:, 0])
            text = joined(vectors[:, 1:], text)
        output = shuffle(of.net(known.seen, known.time, sum(heard) if heard else None, *text), self.patch)
        output, spread = output[:, : self.shape[0]], (output[:, self.shape[0] :] + 1) / 2
        return known.skip + known.unit * output, spread

    def denoise(self, x: Tensor, sigma: Tensor, cond: dict[str, Any] | None = None) -> Tensor:
        """Expected `x0` of ``x = x0 + sigma * noise``, where x0 is an encoded image; sigma (N,).

        What is not in `cond` is not known: ``label`` (N,), ``text`` (N, L) of token ids, where 0 is padding, with the numbers
        ``value`` (N, L) of some, ``embedding`` (N, E), ``level`` (N,); of a ``map`` (N, `given`, S, S) that
        is not there zeros are seen.
        """
        return self._expected(self.precondition(x, sigma, cond), cond)[0]

    def hear(self, cond: dict[str, Any], n: int, noise: Noise | None = None) -> dict[str, Any]:
        """Conditions of `n` images with their text read once, for many calls of `denoise`."""
        early: Any = self.early
        return cond if self.text is None else hear(cond, n, self.text, None if early is None else early["text"])

    def attention(self, control: Control) -> AbstractContextManager[None]:
        """A context in which the attention of all calls goes through `control`, see `veridical.nets.attention.controlled`."""
        return controlled(self.net, control)

    def guided(self, sampling: Sampling | None = None) -> Denoise:
        """`denoise` with the guidance of the settings: by embedding and text, where there are any, else by the label."""
        how = sampling or self.sampling
        denoise = autoguidance(self.denoise, self._denoise_early, how.autoguidance)
        low, high = how.guidance_interval
        words = () if self.text is None else (self.text.key,)
        by = words if self.embedding is None else ("embedding", *words)
        return classifier_free(denoise, how.guidance_scale, (low, high), by or "label")

    def _denoise_early(self, x: Tensor, sigma: Tensor, cond: dict[str, Any] | None = None) -> Tensor:
        return self._expected(self.precondition(x, sigma, cond), cond, early=True)[0]

    @contextmanager
    def on_canvas(self, canvas: Canvas) -> Iterator[None]:
        """Within this `sample` draws images of the size of the canvas, in tiles; conditions that are maps have its size, too."""
        before, self.canvas = self.canvas, None if canvas.plain else canvas
        try:
            yield
        finally:
            self.canvas = before

    @property
    def room(self) -> tuple[int, int]:
        """Height and width of what `sample` draws."""
        return self.shape[1:] if self.canvas is None else self.canvas.shape

    def whole(self, denoise: Denoise, solver: str = "") -> Denoise:
        """`denoise` of tiles as one of what `sample` draws, by a solver that may choose its steps."""
        return denoise if self.canvas is None else self.canvas.tiled(denoise, moving=solver != "dopri5")

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the squared error of the denoised image in units of the skip connection (Karras et al. 2022, eq. 8).

        With a learned variance the variational bound is added to it (Nichol and Dhariwal 2021, eq. 16; their weight is for the
        sum of a thousand steps).
        """
        self.remember(step)
        image, said = warping.warp(batch.image, batch, self.law.warp) if self.law.warp else (batch.image, None)
        yield "denoiser", self.loss(self.encode(image), batch, said)

    def remember(self, step: int) -> None:
        """Take the weights of an early step into an average of about the last tenth of the steps so far."""
        if self.early is not None and step < self.law.early_steps:
            with torch.no_grad():
                for name, part in self.early.items():
                    live = getattr(self, name)
                    torch._foreach_lerp_(list(part.parameters()), list(live.parameters()), 9 / (step + 9))

    def loss(self, z: Tensor, batch: Batch, said: Tensor | None = None) -> Tensor:
        """That of encoded images z (N, \\*shape), with the noise and conditions of `batch`; `said` is how tiles were warped.

        ``batch.cond["weight"]`` (N, \\*shape), if it is there, is that of each square, where images are not cropped.
        """
        sigma = FORMULATIONS[self.law.formulation].law(batch.normal(), self.law.span)
        x = z + self._level(sigma) * batch.normal(*self.shape)
        told = any(part is not None for part in (self.label, self.level, self.text, self.embedding))
        keep = batch.uniform() >= self.embed.label_dropout if told else None
        known = self.precondition(x, sigma, batch.cond)
        if self.law.crop:
            known, z = self._cropped(known, z, batch.uniform(2))
        clean, spread = self._expected(known, batch.cond, keep, said)
        loss = ((clean - z) / known.unit).square()
        if self.law.min_snr:
            loss = min_snr_weight(self._level(sigma), self.law.min_snr) * (clean - z).square()
        if self.law.variance == "learned":
            schedule = self.law.formulation.partition("_")[2]
            loss = loss + variational_bound(clean, spread, z, known.time.long(), schedule)
        return (loss * batch.cond["weight"] if "weight" in batch.cond else loss).mean()

    def _cropped(self, known: Preconditioned, z: Tensor, where: Tensor) -> tuple[Preconditioned, Tensor]:
        """The same of a square of each image, `where` (N, 2) in [0, 1) of the room there is."""
        corners = (where * ((self.shape[1] - self.law.crop) // self.patch + 1)).long().tolist()

        def cut(maps: Tensor, pixels: int) -> Tensor:
            side, scale = self.law.crop // pixels, self.patch // pixels
            return torch.stack(
                [m[:, y * scale :, x * scale :][:, :side, :side] for m, (y, x) in zip(maps, corners, strict=True)]
            )

        return known._replace(seen=cut(known.seen, self.patch), skip=cut(known.skip, 1)), cut(z, 1)

    def ends(self, sampling: Sampling | None = None) -> tuple[float, float]:
        """The lowest noise level, which counts as none, and the highest, which counts as nothing else."""
        return FORMULATIONS[self.law.formulation].ends(self._span(sampling))

    def _span(self, sampling: Sampling | None) -> Span:
        how = sampling or self.sampling
        return self.law.span._replace(low=how.sigma_min, high=how.sigma_max)

    def grid(self, sampling: Sampling | None = None) -> Tensor:
        """Noise levels along which it samples, falling to 0, float64; for a solver with steps of its own only the ends."""
        how = sampling or self.sampling
        if how.solver == "dopri5":
            return torch.tensor([*reversed(self.ends(how)), 0.0], dtype=torch.float64)
        return FORMULATIONS[self.law.formulation].grid(how.sampling_steps, self._span(how))

    def start(self, noise: Noise, sigma: float) -> Tensor:
        """Where sampling begins at the highest noise level: noise, with the spectrum of the data in it if that is known."""
        if self.law.skip != "wiener":
            return sigma * noise((self.shape[0], *self.room))
        if self.canvas is None:
            return self.spectrum.noisy(noise(self.shape), sigma)
        height, width = self.room
        beyond = 0 if self.canvas.periodic else self.shape[1]  # borders that do not know of each other: cut out of more
        white = noise((self.shape[0], height + beyond, width + beyond))
        return self.spectrum.noisy_at(white, sigma)[..., :height, :width]

    def sample(
        self,
        n: int,
        cond: dict[str, Any],
        noise: Noise,
        sampling: Sampling | None = None,
        guide: Callable[[Denoise], Denoise] | None = None,
    ) -> Tensor:
        """Integrate from noise; shape (n, C, H, W), in [-1, 1] for images.

        Parameters
        ----------
        n : int
        cond : dict
            See `denoise`.
        noise : callable
        sampling : Sampling, optional
            How; by default that of the model.
        guide : callable, optional
            Further guidance.
        """
        how = sampling or self.sampling
        can_draw(self.law, how, self.early is not None)
        grid = self.grid(how)
        denoise: Any = self.guided(how)
        if guide is not None:
            denoise = guide(denoise)
        if how.clamp:
            denoise = clipped(denoise, self.encode, self.decode)
        if self.law.variance == "learned" and how.solver == "ancestral":
            denoise = self._moments(how.clamp)
        denoise = self.whole(denoise, how.solver)
        x = self.start(noise, grid[0].item())
        cond = self.hear(cond, n)
        return self.decode(SOLVERS[how.solver](denoise, x, grid, cond, noise, **options(self.law, how)))

    def _moments(self, clamp: bool) -> Callable[[Tensor, Tensor, dict[str, Any] | None], tuple[Tensor, Tensor]]:
        def moments(x: Tensor, sigma: Tensor, cond: dict[str, Any] | None) -> tuple[Tensor, Tensor]:
            clean, spread = self._expected(self.precondition(x, sigma, cond), cond)
            return self.encode(self.decode(clean).clamp(-1, 1)) if clamp else clean, spread

        return moments


def _network(network: Network, inside: int, out: int, size: int, vector: bool, width: int | None) -> UNet | DiT:
    """`width` of the vectors of a text, 0: that of the network; None: no text."""
    text = width is not None
    if network.network == "dit":
        how = network.conditioning
        return DiT(inside, out, size, network.widths[0], network.layers, how, network.dropout, text)
    args = (network.widths, network.layers, network.attention, network.dropout, vector, text, width or 0)
    return UNet(inside, out, size, *args)
