"""Everything diffusive is one denoiser: a network between scalings, a law of training noise, a grid and a solver."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Batch
from veridical.core.errors import InputError
from veridical.diffusion.formulations import FORMULATIONS, SIGMA_DATA, Span, min_snr_weight
from veridical.diffusion.guidance import autoguidance as away_from
from veridical.diffusion.guidance import classifier_free, clipped
from veridical.diffusion.solvers import SOLVERS, Denoise, Noise
from veridical.diffusion.variance import variational_bound
from veridical.nets import warp as warping
from veridical.nets.dit import CONDITIONING, DiT
from veridical.nets.label import LabelOrNone
from veridical.nets.spectrum import Spectrum
from veridical.nets.unet import UNet


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
    channels, size : int
        Shape of what is denoised (images, or latents of another model).
    patch : int
        Side of the squares.
    widths, layers, attention, dropout
        The network, see `veridical.nets.unet.UNet`. A transformer has one width, and `layers` is its depth.
    network : {"unet", "dit"}
        What it is (`veridical.nets.dit.DiT`).
    conditioning : {"adaln_zero", "in_context", "cross_attention"}
        How time and label get into a transformer.
    formulation : str
        A row of `veridical.diffusion.formulations.FORMULATIONS`.
    skip : {"wiener", "paper"}
        What the network's output is added to: the Wiener estimate, with the error that it leaves as unit, or what the paper
        of the formulation has.
    noise_mean, noise_std : float
        For edm: mean and standard deviation of the logarithm of training noise levels, for data of standard deviation 0.5.
    warp : float
        Share of training tiles that are enlarged or shrunk, stretched, and shifted (`veridical.nets.warp.warp`), each by itself.
        The network is told, and in sampling it is told that there was nothing of this: samples are as large as images are. Not
        for labels that change with it, such as a grain size.
    min_snr : float
        Weigh the loss by the signal-to-noise ratio, at most this; 0 leaves the formulation its own weight.
    variance : {"small", "large", "learned"}
        For ddpm: of a step of the solver `ancestral`; learning it takes a network of twice the outputs.
    sigma_min, sigma_max : float
        For edm the ends of the sampling grid, for ncsn and ve of the training levels, too; the others have their own. With
        ``skip=wiener`` sampling begins with the spectrum of the data, so that 20 is enough where there is no label (with one
        the spectrum is another).
    sampling_steps, solver
        Sampling grid and solver (`veridical.diffusion.solvers.SOLVERS`).
    eta, churn, snr, langevin_steps : float, float, float, int
        Of the solvers ddim; euler and heun; predictor_corrector; the last and annealed_langevin.
    clamp : bool
        Keep expected images in [-1, 1] while sampling.
    classes : int
        Of the label: see `veridical.nets.label.LabelEmbedding`; -1: it takes no label.
    label_dropout : float
        Share of training images whose label is left out.
    guidance_scale, guidance_interval
        Classifier-free guidance, see `veridical.diffusion.guidance.classifier_free`.
    early_steps : int
        Training step after which a copy of the averaged weights is kept, for autoguidance; 0: none. In a shorter training it is
        the average of about the last tenth of it, and the guidance does next to nothing.
    autoguidance : float
        Scale of the guidance away from what that copy expects, see `veridical.diffusion.guidance.autoguidance`; 1: none, and half
        the evaluations.
    given : int
        Channels of a map that the network sees beside x: ``cond["map"]``, of the same size.
    crop : int
        Side in pixels of the part of each training image that the network sees, anywhere in it; 0: all of it. For a network
        whose task is local, such as enlarging: a step costs as much as on an image of that size.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        patch: int = 4,
        widths: tuple[int, ...] = (64, 128),
        layers: int = 1,
        attention: tuple[bool, ...] = (False, True),
        dropout: float = 0.0,
        network: str = "unet",
        conditioning: str = "adaln_zero",
        formulation: str = "edm",
        skip: str = "wiener",
        noise_mean: float = -0.4,
        noise_std: float = 1.5,
        warp: float = 0.0,
        min_snr: float = 0.0,
        variance: str = "small",
        sigma_min: float = 0.01,
        sigma_max: float = 80.0,
        sampling_steps: int = 18,
        solver: str = "heun",
        eta: float = 0.0,
        churn: float = 0.0,
        snr: float = 0.16,
        langevin_steps: int = 1,
        clamp: bool = False,
        classes: int = -1,
        label_dropout: float = 0.1,
        guidance_scale: float = 1.0,
        guidance_interval: tuple[float, ...] = (0.0, 1e4),
        early_steps: int = 0,
        autoguidance: float = 1.0,
        given: int = 0,
        crop: int = 0,
    ) -> None:
        super().__init__()
        if size % patch:
            raise InputError(f"tiles of {size} pixels do not divide by patch={patch}: choose another --size.")
        _choose("solver", solver, SOLVERS)
        _choose("network", network, ("unet", "dit"))
        _choose("formulation", formulation, FORMULATIONS)
        _choose("skip", skip, ("wiener", "paper"))
        _choose("variance", variance, ("small", "large", "learned"))
        _choose("conditioning", conditioning, CONDITIONING)
        if network == "dit" and len(widths) != 1:
            raise InputError(f"widths={widths} cannot be: a transformer has one width, such as 192.")
        if not 0 <= crop <= size or crop % (patch * 2 ** (len(widths) - 1)):
            raise InputError(
                f"crop={crop} cannot be: give a multiple of {patch * 2 ** (len(widths) - 1)} up to {size} pixels, or 0."
            )
        if crop and network == "dit":
            raise InputError(
                f"crop={crop} cannot be: a transformer knows the places of whole images; use network=unet."
            )
        if early_steps < 0:
            raise InputError(f"early_steps={early_steps} cannot be: give a training step, such as 300, or 0.")
        if (variance, solver) == ("learned", "ancestral") and (guidance_scale, autoguidance) != (1, 1):
            raise InputError("variance=learned cannot be guided: use another solver, or train with variance=large.")
        if autoguidance != 1 and not early_steps:
            raise InputError(f"autoguidance={autoguidance} needs a run trained with early_steps, such as 300.")
        if not 0 < sigma_min < sigma_max:
            raise InputError(
                f"sigma_min={sigma_min} and sigma_max={sigma_max} cannot be: give two positive, rising numbers."
            )
        if not 0 <= eta <= 1:
            raise InputError(f"eta={eta} cannot be: give a share from 0 to 1.")
        for name, value, having in (("eta", eta, ("ddim",)), ("churn", churn, ("euler", "heun"))):
            if value and solver not in having:
                raise InputError(f"solver={solver} has no {name}: use solver={' or '.join(having)}, or {name}=0.")
        if variance == "learned" and not formulation.startswith(("ddpm", "v_")):
            raise InputError(f"formulation={formulation} has no variance to learn: use variance=small, or ddpm_cosine.")
        if len(guidance_interval) != 2 or not guidance_interval[0] < guidance_interval[1]:
            raise InputError(f"guidance_interval={guidance_interval} needs two rising noise levels, such as 0.2,5.")
        self.shape, self.patch, self.skip = (channels, size, size), patch, skip
        self.inside = (channels * (2 if skip == "wiener" else 1) + given) * patch**2
        out = channels * (2 if variance == "learned" else 1) * patch**2
        self.net: UNet | DiT
        if network == "dit":
            self.net = DiT(self.inside, out, size // patch, widths[0], layers, conditioning, dropout)
        else:
            self.net = UNet(
                self.inside, out, size // patch, widths, layers, attention, dropout, classes >= 0 or warp > 0
            )
        self.label = LabelOrNone(classes, self.net.dim) if classes >= 0 else None
        # Without a bias: nothing said is nothing added.
        self.said = nn.Linear(warping.NUMBERS, self.net.dim, bias=False) if warp else None
        beside = [module for module in (self.label, self.said) if module is not None]
        self.parts: dict[str, nn.Module] = {"denoiser": nn.ModuleList([self.net, *beside]) if beside else self.net}
        self.early_steps, self.autoguidance = early_steps, autoguidance
        self.early: nn.ModuleDict | None = None
        if early_steps:
            mine = {name: getattr(self, name) for name in ("net", "label", "said")}
            self.early = nn.ModuleDict({name: copy.deepcopy(part) for name, part in mine.items() if part is not None})
            self.early.requires_grad_(False)
        self.formulation = formulation
        self.span = Span(noise_mean, noise_std, sigma_min, sigma_max)
        self.min_snr, self.variance, self.label_dropout, self.given = min_snr, variance, label_dropout, given
        self.warp, self.crop = warp, crop
        self.sampling_steps, self.solver, self.clamp = sampling_steps, solver, clamp
        self.guidance_scale, self.guidance_interval = guidance_scale, (guidance_interval[0], guidance_interval[1])
        self.settings: dict[str, Any] = {
            "euler": {"churn": churn},
            "heun": {"churn": churn},
            "ddim": {"eta": eta},
            "ancestral": {"spread": {"small": 0.0, "large": 1.0, "learned": None}[variance]},
            "predictor_corrector": {"snr": snr, "corrections": langevin_steps},
            "annealed_langevin": {"corrections": langevin_steps},
        }
        self.spectrum = Spectrum(channels, size)
        self.grid()  # so that what cannot be is said before it is trained

    def prepare(self, image: Tensor) -> None:
        """Measure mean and spectrum of the data: preconditioning assumes that they are known."""
        self.spectrum.measure(image)

    def encode(self, x: Tensor) -> Tensor:
        """Images to images of mean 0 and standard deviation 0.5."""
        return self.spectrum.encode(x)

    def decode(self, z: Tensor) -> Tensor:
        """Inverse of `encode`."""
        return self.spectrum.decode(z)

    def contrast(self) -> float:
        """Encoded values a unit of images: the factor of `encode`."""
        return self.spectrum.scale.item()

    def precondition(self, x: Tensor, sigma: Tensor, cond: dict | None = None) -> Preconditioned:
        """What the network sees of x (N, C, S, S) at noise levels (N,), and what becomes of its output."""
        level = sigma.reshape(-1, 1, 1, 1)
        scalings = FORMULATIONS[self.formulation].scalings(level)
        seen = [scalings.in_ * x]
        skip, unit = scalings.skip * x, scalings.out
        if self.skip == "wiener":
            skip, unit = self.spectrum.wiener(x, level)
            seen.append(skip / SIGMA_DATA)
        if self.given:
            seen.append((cond or {})["map"])
        return Preconditioned(F.pixel_unshuffle(torch.cat(seen, 1), self.patch), scalings.time, skip, unit)

    def _expected(
        self,
        known: Preconditioned,
        cond: dict | None,
        keep: Tensor | None = None,
        said: Tensor | None = None,
        early: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Expected x0 and spread of the variance (only where it is learned), by the network or its early copy.

        Labels are known where `keep`; `said` is how tiles were warped.
        """
        n = len(known.seen)
        of: Any = self.early if early else self
        vector = None if self.label is None else of.label((cond or {}).get("label"), n, keep)
        if self.said is not None:
            told = of.said(known.seen.new_zeros(n, warping.NUMBERS) if said is None else said)
            vector = told if vector is None else vector + told
        output = F.pixel_shuffle(of.net(known.seen, known.time, vector), self.patch)
        output, spread = output[:, : self.shape[0]], (output[:, self.shape[0] :] + 1) / 2
        return known.skip + known.unit * output, spread

    def denoise(self, x: Tensor, sigma: Tensor, cond: dict | None = None) -> Tensor:
        """Expected `x0` of ``x = x0 + sigma * noise``, where x0 is an encoded image; sigma (N,).

        A label that is not in `cond` is not known.
        """
        return self._expected(self.precondition(x, sigma, cond), cond)[0]

    def guided(self) -> Denoise:
        """`denoise` with the guidance of the settings."""
        denoise = away_from(self.denoise, self._denoise_early, self.autoguidance)
        return classifier_free(denoise, self.guidance_scale, self.guidance_interval)

    def _denoise_early(self, x: Tensor, sigma: Tensor, cond: dict | None = None) -> Tensor:
        return self._expected(self.precondition(x, sigma, cond), cond, early=True)[0]

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the squared error of the denoised image in units of the skip connection (Karras et al. 2022, eq. 8).

        With a learned variance the variational bound is added to it (Nichol and Dhariwal 2021, eq. 16; their weight is for the
        sum of a thousand steps).
        """
        if self.early is not None and step < self.early_steps:
            # The weights of this step, into an average of about the last tenth of the steps so far.
            with torch.no_grad():
                for name, part in self.early.items():
                    live = getattr(self, name)
                    torch._foreach_lerp_(list(part.parameters()), list(live.parameters()), 9 / (step + 9))
        image, said = warping.warp(batch.image, batch, self.warp) if self.warp else (batch.image, None)
        z = self.encode(image)
        sigma = FORMULATIONS[self.formulation].law(batch.normal(), self.span)
        x = z + sigma.reshape(-1, 1, 1, 1) * batch.normal(*self.shape)
        keep = None if self.label is None else batch.uniform() >= self.label_dropout
        known = self.precondition(x, sigma, batch.cond)
        if self.crop:
            known, z = self._cropped(known, z, batch.uniform(2))
        clean, spread = self._expected(known, batch.cond, keep, said)
        loss = ((clean - z) / known.unit).square()
        if self.min_snr:
            loss = min_snr_weight(sigma.reshape(-1, 1, 1, 1), self.min_snr) * (clean - z).square()
        loss = loss.mean()
        if self.variance == "learned":
            schedule = self.formulation.partition("_")[2]
            loss = loss + variational_bound(clean, spread, z, known.time.long(), schedule).mean()
        yield "denoiser", loss

    def _cropped(self, known: Preconditioned, z: Tensor, where: Tensor) -> tuple[Preconditioned, Tensor]:
        """The same of a square of each image, `where` (N, 2) in [0, 1) of the room there is."""
        corners = (where * ((self.shape[1] - self.crop) // self.patch + 1)).long().tolist()

        def cut(maps: Tensor, pixels: int) -> Tensor:
            side = self.crop // pixels
            scale = self.patch // pixels
            return torch.stack(
                [m[:, y * scale :, x * scale :][:, :side, :side] for m, (y, x) in zip(maps, corners, strict=True)]
            )

        return known._replace(seen=cut(known.seen, self.patch), skip=cut(known.skip, 1)), cut(z, 1)

    def ends(self) -> tuple[float, float]:
        """The lowest noise level, which counts as none, and the highest, which counts as nothing else."""
        return FORMULATIONS[self.formulation].ends(self.span)

    def grid(self) -> Tensor:
        """Noise levels along which it samples, falling to 0, float64; for a solver with steps of its own only the ends."""
        if self.solver == "dopri5":
            return torch.tensor([*reversed(self.ends()), 0.0], dtype=torch.float64)
        return FORMULATIONS[self.formulation].grid(self.sampling_steps, self.span)

    def start(self, noise: Noise, sigma: float) -> Tensor:
        """Where sampling begins at the highest noise level: noise, with the spectrum of the data in it if that is known."""
        white = noise(self.shape)
        return self.spectrum.noisy(white, sigma) if self.skip == "wiener" else sigma * white

    def sample(self, n: int, cond: dict, noise: Noise, guide: Callable[[Denoise], Denoise] | None = None) -> Tensor:
        """Integrate from noise; shape (n, C, H, W), in [-1, 1] for images. `guide` is further guidance."""
        grid = self.grid()
        denoise: Any = self.guided()
        if guide is not None:
            denoise = guide(denoise)
        if self.clamp:
            denoise = clipped(denoise, self.encode, self.decode)
        if self.variance == "learned" and self.solver == "ancestral":
            denoise = self._moments
        x = self.start(noise, grid[0].item())
        return self.decode(SOLVERS[self.solver](denoise, x, grid, cond, noise, **self.settings.get(self.solver, {})))

    def _moments(self, x: Tensor, sigma: Tensor, cond: dict | None) -> tuple[Tensor, Tensor]:
        clean, spread = self._expected(self.precondition(x, sigma, cond), cond)
        return self.encode(self.decode(clean).clamp(-1, 1)) if self.clamp else clean, spread


def _choose(name: str, value: str, known: Any) -> None:
    if value not in known:
        raise InputError(f"there is no {name} {value!r}: use one of {', '.join(known)}.")
