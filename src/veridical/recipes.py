"""The table of systems: one row each."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from .config import TrainConfig, listed, parse_value
from .errors import InputError
from .models.autoencoder import Autoencoder
from .models.biggan import biggan, sagan
from .models.denoiser import Denoiser
from .models.distillation import Consistency, ProgressiveDistillation
from .models.gan import cgan, dcgan, vanilla_gan, wgan_gp
from .models.guided import Guided
from .models.latent import LatentDiffusion
from .models.progan import ProGAN
from .models.random_phase import RandomPhase
from .models.stylegan import StyleGAN
from .models.translate import CycleGAN, Pix2Pix
from .models.upsampler import Upsampler
from .models.vae import VAE
from .models.vqvae import VQVAE


@dataclass(frozen=True)
class Recipe:
    """One system.

    Attributes
    ----------
    build : callable
        ``build(channels, size, **args)`` (``build(first, ...)`` for a second stage) makes the model.
    family, task, summary, citation : str
        For the table that users see.
    args : dict
        Arguments of `build` that differ from its defaults.
    train : dict
        Training settings that differ from those of `TrainConfig`.
    needs : tuple of str
        Conditions that the data must bring: label, text, mask, source.
    sampling : tuple of str
        Arguments of `build` that act on sampling alone: they can be changed on a trained model.
    first : str or None
        Recipe of the first stage, trained before and frozen.
    first_share : float
        Share of a time budget that goes to the first stage.
    own_source : bool
        Without ``--source`` the data are the source, too: training makes its own, sampling takes held-out tiles.
    """

    build: Callable[..., nn.Module]
    family: str
    task: str
    summary: str
    citation: str
    args: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    sampling: tuple[str, ...] = ()
    first: str | None = None
    first_share: float = 0.5
    own_source: bool = False

    def arguments(self) -> dict[str, Any]:
        """Names and default values of what can be set, the recipe's own values included."""
        parameters = inspect.signature(self.build).parameters.values()
        free = {p.name: p.default for p in parameters if p.name not in ("channels", "size", "first")}
        return {**free, **self.args}


def latent_diffusion(
    first: nn.Module,
    widths: tuple[int, ...] = (64, 128),
    layers: int = 1,
    attention: tuple[bool, ...] = (False, True),
    dropout: float = 0.0,
    sampling_steps: int = 18,
    solver: str = "heun",
) -> LatentDiffusion:
    """A `Denoiser` of the latents of `first`."""
    channels, size, _ = first.shape  # type: ignore[misc]
    denoiser = Denoiser(
        channels, size, patch=1, widths=widths, layers=layers, attention=attention, dropout=dropout,
        sampling_steps=sampling_steps, solver=solver,
    )  # fmt: skip
    return LatentDiffusion(first, denoiser)


# Radford et al. 2016, section 4.
ADAM_GAN: dict[str, Any] = {"lr": 2e-4, "beta1": 0.5, "beta2": 0.999, "batch": 16, "warmup": 0}

DIFFUSION: dict[str, Any] = {"lr": 1e-3, "batch": 16, "warmup": 20}
STEPPING = ("sampling_steps", "solver")
SOLVING = (*STEPPING, "eta", "churn", "snr", "langevin_steps", "clamp")
GUIDING = ("guidance_scale", "guidance_interval")

RECIPES: dict[str, Recipe] = {
    "random_phase": Recipe(
        RandomPhase,
        family="classical",
        task="unconditional",
        summary="a tile's spectrum with random phases and its exact histogram: learns nothing, the line to beat",
        citation="Galerne, Gousseau and Morel 2011, doi:10.1109/TIP.2010.2052822; "
        "Schreiber and Schmitz 1996, doi:10.1103/PhysRevLett.77.635",
    ),
    "vae": Recipe(
        VAE,
        family="VAE",
        task="unconditional",
        summary="convolutional variational auto-encoder: a vector of latents, noise of the level and spectrum that it leaves",
        citation="Kingma and Welling 2014, arXiv:1312.6114; Rybkin et al. 2021, arXiv:2006.13202",
        train={"lr": 1e-3, "batch": 16},
    ),
    "beta_vae": Recipe(
        VAE,
        family="VAE",
        task="unconditional",
        summary="VAE of few latents held at a rising capacity, so that each means something: for traversals, not samples",
        citation="Higgins et al. 2017, https://openreview.net/forum?id=Sy2fzU9gl; Burgess et al. 2018, arXiv:1804.03599",
        args={"latent": 10, "beta": 100.0, "capacity": 25.0},
        train={"lr": 1e-3, "batch": 16},
    ),
    "vqvae": Recipe(
        VQVAE,
        family="VAE",
        task="unconditional",
        summary="map of discrete codes with a PixelCNN as their prior and a patch discriminator; a tokenizer, too",
        citation="van den Oord et al. 2017, arXiv:1711.00937; Dhariwal et al. 2020, arXiv:2005.00341; "
        "van den Oord et al. 2016, arXiv:1606.05328; Esser et al. 2021, arXiv:2012.09841",
        train={"lr": 1e-3, "batch": 16},
    ),
    "gan": Recipe(
        vanilla_gan,
        family="GAN",
        task="unconditional",
        summary="the vanilla adversarial game, without normalisation",
        citation="Goodfellow et al. 2014, arXiv:1406.2661",
        train=ADAM_GAN,
    ),
    "cgan": Recipe(
        cgan,
        family="GAN",
        task="class or property",
        summary="DCGAN with a label in both networks",
        citation="Mirza and Osindero 2014, arXiv:1411.1784; Miyato and Koyama 2018, arXiv:1802.05637",
        train=ADAM_GAN,
        needs=("label",),
    ),
    "dcgan": Recipe(
        dcgan,
        family="GAN",
        task="unconditional",
        summary="deep convolutional generative adversarial network",
        citation="Radford, Metz and Chintala 2016, arXiv:1511.06434",
        train=ADAM_GAN,
    ),
    "wgan_gp": Recipe(
        wgan_gp,
        family="GAN",
        task="unconditional",
        summary="Wasserstein distance with gradient penalty, five critic steps",
        citation="Arjovsky et al. 2017, arXiv:1701.07875; Gulrajani et al. 2017, arXiv:1704.00028",
        train=ADAM_GAN | {"beta1": 0.0, "beta2": 0.9, "batch": 80},
    ),
    "sagan": Recipe(
        sagan,
        family="GAN",
        task="unconditional",
        summary="residual networks with self-attention, spectral norm and hinge loss",
        citation="Zhang et al. 2019, arXiv:1805.08318; Miyato et al. 2018, arXiv:1802.05957",
        train=ADAM_GAN | {"lr": 1e-4, "beta1": 0.0, "beta2": 0.9},
    ),
    "biggan": Recipe(
        biggan,
        family="GAN",
        task="class or property",
        summary="SAGAN with the label in every layer, orthogonal regularisation and truncation",
        citation="Brock, Donahue and Simonyan 2019, arXiv:1809.11096",
        train=ADAM_GAN | {"lr": 1e-4, "beta1": 0.0},
        needs=("label",),
        sampling=("truncation",),
    ),
    "progan": Recipe(
        ProGAN,
        family="GAN",
        task="unconditional",
        summary="both networks grow from 4 x 4, each resolution fading in; minibatch deviation, pixel norm",
        citation="Karras, Aila, Laine and Lehtinen 2018, arXiv:1710.10196",
        args={"loss": "nonsaturating", "phase_steps": 150},
        train={"lr": 2e-3, "beta1": 0.0, "beta2": 0.99, "batch": 16, "warmup": 0, "ema": 0.995},
    ),
    "stylegan": Recipe(
        StyleGAN,
        family="GAN",
        task="unconditional",
        summary="styles in every layer, noise, style mixing, lazy regularisers, adaptive augmentation",
        citation="Karras et al. 2019, arXiv:1812.04948; 2020, arXiv:1912.04958; 2020, arXiv:2006.06676",
        train={"lr": 2e-3, "beta1": 0.0, "beta2": 0.99, "batch": 16, "warmup": 0, "ema": 0.998},
        sampling=("truncation",),
    ),
    "pix2pix": Recipe(
        Pix2Pix,
        family="GAN",
        task="mask to image",
        summary="label mask to image: U-Net generator, patch discriminator, L1 with weight 100, dropout as noise",
        citation="Isola, Zhu, Zhou and Efros 2017, arXiv:1611.07004",
        args={"width": 16},
        train={"lr": 2e-4, "beta1": 0.5, "beta2": 0.999, "batch": 8, "warmup": 0, "decay": 0.3},
        needs=("mask",),
    ),
    "cyclegan": Recipe(
        CycleGAN,
        family="GAN",
        task="translation",
        summary="unpaired translation there and back: cycle and identity losses, image pool",
        citation="Zhu, Park, Isola and Efros 2017, arXiv:1703.10593",
        args={"width": 32, "blocks": 3, "cycle": 5.0, "identity": 1.0},
        train={"lr": 5e-4, "beta1": 0.5, "beta2": 0.999, "batch": 2, "warmup": 0, "decay": 0.3},
        needs=("source",),
    ),
    "ddpm": Recipe(
        Denoiser,
        family="diffusion",
        task="unconditional",
        summary="predicts the noise of one of a thousand steps; ancestral sampling, DDIM, variance fixed or learned",
        citation="Ho, Jain and Abbeel 2020, arXiv:2006.11239; Nichol and Dhariwal 2021, arXiv:2102.09672; "
        "Song, Meng and Ermon 2021, arXiv:2010.02502",
        args={"formulation": "ddpm_cosine", "solver": "ancestral", "sampling_steps": 250, "clamp": True},
        train=DIFFUSION,
        sampling=SOLVING,
    ),
    "ncsn": Recipe(
        Denoiser,
        family="diffusion",
        task="unconditional",
        summary="denoising score matching at geometric noise levels, annealed Langevin dynamics",
        citation="Song and Ermon 2019, arXiv:1907.05600; 2020, arXiv:2006.09011",
        args={
            "formulation": "ncsn",
            "sigma_min": 0.01,
            "sigma_max": 50.0,
            "solver": "annealed_langevin",
            "sampling_steps": 100,
            "langevin_steps": 5,
        },
        train=DIFFUSION,
        sampling=SOLVING,
    ),
    "score_sde": Recipe(
        Denoiser,
        family="diffusion",
        task="unconditional",
        summary="stochastic differential equation vp, sub_vp or ve; predictor-corrector or probability flow; likelihood",
        citation="Song et al. 2021, arXiv:2011.13456",
        args={
            "formulation": "vp",
            "sigma_min": 0.01,
            "sigma_max": 50.0,
            "solver": "predictor_corrector",
            "sampling_steps": 100,
        },
        train=DIFFUSION,
        sampling=SOLVING,
    ),
    "edm": Recipe(
        Denoiser,
        family="diffusion",
        task="unconditional",
        summary="pixel-space diffusion: preconditioned denoiser, log-normal noise law, Heun's method",
        citation="Karras, Aittala, Aila and Laine 2022, arXiv:2206.00364; Hang et al. 2023, arXiv:2303.09556",
        train=DIFFUSION,
        sampling=(*SOLVING, "sigma_min", "sigma_max"),
    ),
    "flow_matching": Recipe(
        Denoiser,
        family="diffusion",
        task="unconditional",
        summary="straight paths from noise to image, the midpoint rule",
        citation="Lipman et al. 2023, arXiv:2210.02747; Liu, Gong and Liu 2023, arXiv:2209.03003",
        args={"formulation": "flow", "solver": "midpoint"},
        train=DIFFUSION,
        sampling=SOLVING,
    ),
    "dit": Recipe(
        Denoiser,
        family="diffusion",
        task="unconditional",
        summary="a transformer as the network: adaLN-Zero, in-context or cross-attention conditioning",
        citation="Peebles and Xie 2023, arXiv:2212.09748",
        args={"network": "dit", "widths": (192,), "layers": 6},
        train=DIFFUSION | {"lr": 5e-4},
        sampling=(*SOLVING, "sigma_min", "sigma_max"),
    ),
    "cfg": Recipe(
        Denoiser,
        family="diffusion",
        task="class or property",
        summary="a label, at times left out in training; classifier-free guidance within an interval of noise levels",
        citation="Ho and Salimans 2022, arXiv:2207.12598; Kynkäänniemi et al. 2024, arXiv:2404.07724",
        args={"guidance_scale": 1.5},
        train=DIFFUSION,
        needs=("label",),
        sampling=(*SOLVING, *GUIDING, "sigma_min", "sigma_max"),
    ),
    "guided": Recipe(
        Guided,
        family="diffusion",
        task="class or property",
        summary="a classifier of noisy images, trained beside, leads a denoiser that knows no labels",
        citation="Dhariwal and Nichol 2021, arXiv:2105.05233",
        train=DIFFUSION,
        needs=("label",),
        sampling=(*STEPPING, *GUIDING),
    ),
    "upsampler": Recipe(
        Upsampler,
        family="diffusion",
        task="super-resolution",
        summary="last part of a cascade: an image of half the resolution made large, with noise-conditioning augmentation",
        citation="Ho et al. 2022, arXiv:2106.15282; Saharia et al. 2021, arXiv:2104.07636",
        train=DIFFUSION,
        needs=("source",),
        sampling=(*STEPPING, "condition_noise"),
        own_source=True,
    ),
    "progressive_distillation": Recipe(
        ProgressiveDistillation,
        family="diffusion",
        task="unconditional",
        summary="a student halves the steps of its teacher, again and again, down to four or one",
        citation="Salimans and Ho 2022, arXiv:2202.00512",
        train=DIFFUSION | {"lr": 3e-4, "ema": 0.99},
        first="edm",
        first_share=0.6,
    ),
    "consistency": Recipe(
        Consistency,
        family="diffusion",
        task="unconditional",
        summary="from noise to the end of its path in one, two or four steps: consistency distillation or training",
        citation="Song et al. 2023, arXiv:2303.01469; Song and Dhariwal 2024, arXiv:2310.14189",
        train=DIFFUSION | {"lr": 3e-4},
        sampling=("sampling_steps",),
        first="edm",
        first_share=0.6,
    ),
    "autoencoder": Recipe(
        Autoencoder,
        family="VAE",
        task="first stage",
        summary="map of latents with slight divergence and patch discriminator: first stage of latent systems",
        citation="Rombach et al. 2022, arXiv:2112.10752; Esser et al. 2021, arXiv:2012.09841",
        train={"lr": 5e-4, "batch": 16},
    ),
    "latent_diffusion": Recipe(
        latent_diffusion,
        family="diffusion",
        task="unconditional",
        summary="diffusion in the latents of a frozen autoencoder",
        citation="Rombach et al. 2022, arXiv:2112.10752",
        train=DIFFUSION,
        sampling=STEPPING,
        first="autoencoder",
        first_share=0.3,
    ),
}


def find(name: str) -> Recipe:
    """Return the row called `name`; an `InputError` suggests the nearest name."""
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1, cutoff=0.3)
        hint = f"did you mean {near[0]!r}?" if near else "see `veridical recipes`."
        raise InputError(f"there is no recipe {name!r}: {hint}")
    return RECIPES[name]


def sampling_arguments(recipe: str, given: dict[str, Any]) -> dict[str, Any]:
    """What the user wants changed of how a trained model samples, text converted to the type of the default.

    Raises
    ------
    InputError
        For what is no such argument.
    """
    row = find(recipe)
    for name in given:
        if name not in row.sampling:
            known = f"it has {', '.join(row.sampling)}" if row.sampling else "it has none"
            raise InputError(f"{recipe} has no sampling setting {name!r}: {known}; others are set when it is trained.")
    defaults = row.arguments()
    return {k: parse_value(v, defaults[k]) if isinstance(v, str) else v for k, v in given.items()}


def settings(recipe: str, given: dict[str, Any]) -> tuple[TrainConfig, dict[str, Any]]:
    """Sort what the user gave into training settings and model arguments.

    Parameters
    ----------
    recipe : str
    given : dict
        Names to values; text is converted to the type of the default. None means not given.

    Raises
    ------
    InputError
        For a name that neither knows, or text of the wrong type.
    """
    row = find(recipe)
    types = {name: f.type for name, f in TrainConfig.__dataclass_fields__.items()}
    hints = {"int": int, "float": float, "str": str, "int | None": int | None, "float | None": float | None}
    arguments = row.arguments()
    config, args = dict(row.train), dict(row.args)
    for name, value in given.items():
        if value is None:
            continue
        if name in types:
            config[name] = parse_value(value, hints[str(types[name])]) if isinstance(value, str) else value
        elif name in arguments:
            args[name] = parse_value(value, arguments[name]) if isinstance(value, str) else value
        else:
            raise InputError(f"{recipe} has no setting {name!r}: it has {', '.join(arguments)} and {', '.join(types)}.")
    if config.get("steps") is None and config.get("minutes") is None:
        config["minutes"] = 10.0
    return TrainConfig(**config), args


def build(
    recipe: str, channels: int, size: int, args: dict[str, Any] | None = None, first: nn.Module | None = None
) -> nn.Module:
    """Build an untrained model.

    Parameters
    ----------
    recipe : str
        A name in `RECIPES`.
    channels : int
        1 (grey) or 3 (RGB).
    size : int
        Side of the images in pixels.
    args : dict, optional
        Arguments that differ from the recipe's.
    first : nn.Module, optional
        The trained first stage, for recipes that have one.

    Raises
    ------
    InputError
        Unknown recipe or argument, or a size or arguments that the network cannot have.
    """
    row = find(recipe)
    args = {**row.args, **(args or {})}
    unknown = set(args) - set(row.arguments())
    if unknown:
        raise InputError(f"{recipe} has no argument {sorted(unknown)[0]!r}: it has {', '.join(row.arguments())}.")
    start: tuple[Any, ...] = (channels, size)
    if row.first is not None:
        start = (first if first is not None else build(row.first, channels, size),)
    own = row.arguments()
    changed = {k: v for k, v in args.items() if k != "classes" and listed(v) != listed(own[k])}
    try:
        return row.build(*start, **args)
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, ArithmeticError, RuntimeError) as error:
        if not changed:
            raise
        said = ", ".join(f"{k}={v!r}" for k, v in changed.items())
        why = str(error).partition("\n")[0]
        raise InputError(
            f"{recipe} cannot be built with {said} ({why}): leave it out, or give other values."
        ) from error
