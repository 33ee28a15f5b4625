"""Rows of diffusion models.

Longer than other files because it is one table.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from veridical.core.errors import InputError
from veridical.models.contract import Latent
from veridical.models.diffusion.blocks import Blocks
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.distillation import Consistency, ProgressiveDistillation
from veridical.models.diffusion.guided import Guide, Guided
from veridical.models.diffusion.labelled import Labelled, Labels
from veridical.models.diffusion.latent import LatentDiffusion
from veridical.models.diffusion.masked import MaskDiffusion, Masked
from veridical.models.diffusion.settings import Embed, Law, Network, Sampling
from veridical.models.diffusion.upsampler import Coarse, CoarseSampling, Upsampler
from veridical.recipes.recipe import Recipe, Stage


def denoiser(channels: int, size: int, network: Network, law: Law, embed: Embed, sampling: Sampling) -> Denoiser:
    """A `Denoiser` of square images, beside which no map is seen."""
    if embed.given or embed.level or embed.embedding:
        raise InputError("given, level and embedding are of what no data bring: leave them out.")
    return Denoiser((channels, size, size), network, law, embed, sampling)


def blocks(channels: int, size: int, network: Network, law: Law, sampling: Sampling, isotropic: bool = True) -> Blocks:
    """A `Blocks` of cubes."""
    return Blocks(channels, size, network, law, sampling, isotropic)


def guided(
    channels: int, size: int, network: Network, law: Law, embed: Embed, guide: Guide, sampling: Sampling
) -> Guided:
    """A `Denoiser` of square images that a classifier leads."""
    return Guided((channels, size, size), network, law, embed, guide, sampling)


def labelled(channels: int, size: int, network: Network, law: Law, labels: Labels, sampling: Sampling) -> Labelled:
    """A `Labelled` denoiser of square images."""
    return Labelled((channels, size, size), network, law, labels, sampling)


def upsampler(
    channels: int, size: int, network: Network, law: Law, coarse: Coarse, sampling: CoarseSampling
) -> Upsampler:
    """An `Upsampler`; its noise law is lower than that of images: the coarse half is known."""
    return Upsampler((channels, size, size), network, replace(law, noise_mean=-1.2), coarse, sampling)


def mask_diffusion(
    channels: int, size: int, network: Network, law: Law, masked: Masked, sampling: Sampling, classes: int = 2
) -> MaskDiffusion:
    """A `MaskDiffusion` of square images."""
    return MaskDiffusion((channels, size, size), classes, network, law, masked, sampling)


def latent_diffusion(first: Latent, network: Network, sampling: Sampling) -> LatentDiffusion:
    """A `Denoiser` of the latents of `first`."""
    return LatentDiffusion(
        first, Denoiser(first.shape, replace(network, patch=1), Law(noise_mean=-1.2), Embed(), sampling)
    )


DIFFUSION: dict[str, Any] = {"optimiser": "muon", "lr": 1e-3, "batch": 8, "warmup": 20, "decay": 0.5}

# What a network of a few minutes gets wrong, noise makes it forget (docs/diffusion.md has the numbers).
STOCHASTIC: dict[str, Any] = {"solver": "sde_dpm_solver_pp_2m", "sampling_steps": 24}

# What is still wrong with them, early weights of the same training have more of.
AUTOGUIDED: dict[str, Any] = {"early_steps": 300, "autoguidance": 1.25}

# What users may set of systems that decide the rest themselves.
LATENT = ("widths", "layers", "attention", "dropout", "sampling_steps", "solver")
ENLARGED = ("factor", "crop", "patch", "formulation", "augmentation", "condition_noise", *LATENT)
GUIDED = (
    "classes", "conditional", "patch", "formulation", "noise_mean", "noise_std", "classifier_widths", "guidance_scale",
    "guidance_interval", "early_steps", "autoguidance", *LATENT,
)  # fmt: skip
MASKED = (
    "patch", "formulation", "noise_mean", "noise_std", "mask_dropout", "guidance_scale", "guidance_interval", "early_steps",
    "autoguidance", *LATENT,
)  # fmt: skip

LABELLED = (
    "classes", "label_scale", "label_weight", "patch", "formulation", "noise_mean", "noise_std", "warp", "early_steps",
    "autoguidance", "sigma_min", "sigma_max", *LATENT,
)  # fmt: skip

SOLID = (
    "patch", "widths", "layers", "dropout", "noise_mean", "noise_std", "sigma_min", "sigma_max", "early_steps", "autoguidance",
    "sampling_steps", "solver", "clamp",
)  # fmt: skip

# Fields of `Sampling` that say nothing where no label is heard, and those that the formulation or its training has fixed.
UNHEARD = ("guidance_scale", "guidance_interval")
LEARNED = ("sigma_min", "sigma_max")

ROWS: dict[str, Recipe] = {
    "ddpm": Recipe(
        denoiser,
        family="diffusion",
        task="unconditional",
        summary="predicts the noise of one of a thousand steps; ancestral sampling, DDIM, variance fixed or learned",
        citation="Ho, Jain and Abbeel 2020, arXiv:2006.11239; Nichol and Dhariwal 2021, arXiv:2102.09672; "
        "Song, Meng and Ermon 2021, arXiv:2010.02502",
        args={
            "formulation": "ddpm_cosine",
            "skip": "paper",
            "solver": "ancestral",
            "sampling_steps": 250,
            "clamp": True,
        },
        train=DIFFUSION,
        idle=(*UNHEARD, *LEARNED),
    ),
    "ncsn": Recipe(
        denoiser,
        family="diffusion",
        task="unconditional",
        summary="denoising score matching at geometric noise levels, annealed Langevin dynamics",
        citation="Song and Ermon 2019, arXiv:1907.05600; 2020, arXiv:2006.09011",
        args={
            "formulation": "ncsn",
            "skip": "paper",
            "sigma_min": 0.01,
            "sigma_max": 50.0,
            "solver": "annealed_langevin",
            "sampling_steps": 100,
            "langevin_steps": 10,
            "clamp": True,
        },
        train=DIFFUSION,
        idle=(*UNHEARD, *LEARNED),
    ),
    "score_sde": Recipe(
        denoiser,
        family="diffusion",
        task="unconditional",
        summary="stochastic differential equation vp, sub_vp or ve; predictor-corrector or probability flow; likelihood",
        citation="Song et al. 2021, arXiv:2011.13456",
        args={
            "formulation": "vp",
            "skip": "paper",
            "sigma_min": 0.01,
            "sigma_max": 50.0,
            "solver": "predictor_corrector",
            "sampling_steps": 100,
            "clamp": True,
        },
        train=DIFFUSION,
        idle=(*UNHEARD, *LEARNED),
    ),
    "edm": Recipe(
        denoiser,
        family="diffusion",
        task="unconditional",
        summary="diffusion in pixels preconditioned by the spectrum of the data; log-normal noise law, autoguidance",
        citation="Karras, Aittala, Aila and Laine 2022, arXiv:2206.00364; Karras et al. 2024, arXiv:2406.02507; "
        "Hang et al. 2023, arXiv:2303.09556",
        args={"sigma_max": 20.0, **STOCHASTIC, **AUTOGUIDED},
        train=DIFFUSION,
        idle=UNHEARD,
    ),
    "flow_matching": Recipe(
        denoiser,
        family="diffusion",
        task="unconditional",
        summary="straight paths from noise to image, the midpoint rule",
        citation="Lipman et al. 2023, arXiv:2210.02747; Liu, Gong and Liu 2023, arXiv:2209.03003",
        args={"formulation": "flow", "skip": "paper", "solver": "midpoint"},
        train=DIFFUSION,
        idle=(*UNHEARD, *LEARNED),
    ),
    "dit": Recipe(
        denoiser,
        family="diffusion",
        task="unconditional",
        summary="a transformer as the network: adaLN-Zero, in-context or cross-attention conditioning",
        citation="Peebles and Xie 2023, arXiv:2212.09748",
        args={"network": "dit", "widths": (192,), "layers": 6, "sigma_max": 20.0, **STOCHASTIC},
        train=DIFFUSION | {"lr": 5e-4},
        idle=UNHEARD,
    ),
    "cfg": Recipe(
        denoiser,
        family="diffusion",
        task="class or property",
        summary="a label, at times left out in training; classifier-free guidance within an interval of noise levels",
        citation="Ho and Salimans 2022, arXiv:2207.12598; Kynkäänniemi et al. 2024, arXiv:2404.07724",
        args={"guidance_scale": 1.5, **STOCHASTIC},
        train=DIFFUSION,
        needs=("label",),
        of_data=("classes",),
    ),
    "guided": Recipe(
        guided,
        family="diffusion",
        task="class or property",
        summary="a classifier of noisy images, trained beside, leads a denoiser to a label",
        citation="Dhariwal and Nichol 2021, arXiv:2105.05233",
        args={
            "classes": 0,
            "conditional": True,
            "guidance_scale": 4.0,
            "guidance_interval": (0.0, 20.0),
            "solver": "dpm_solver_pp_2m",
        },
        offers=GUIDED,
        train=DIFFUSION,
        needs=("label",),
        of_data=("classes",),
    ),
    "labelled": Recipe(
        labelled,
        family="diffusion",
        task="image and mask",
        summary="image and label image drawn together, from a few labelled images and any number without labels",
        citation="Karras, Aittala, Aila and Laine 2022, arXiv:2206.00364; Chen, Zhang and Hinton 2023, arXiv:2208.04202; "
        "Park et al. 2023, arXiv:2303.15233",
        args={"sigma_max": 20.0, "warp": 0.5, "dropout": 0.1, **STOCHASTIC, **AUTOGUIDED},
        offers=LABELLED,
        train=DIFFUSION,
        learns=("labelling",),
        of_data=("classes",),
    ),
    "upsampler": Recipe(
        upsampler,
        family="diffusion",
        task="super-resolution",
        summary="last part of a cascade: an image of half the resolution made large, with noise-conditioning augmentation",
        citation="Ho et al. 2022, arXiv:2106.15282; Saharia et al. 2021, arXiv:2104.07636",
        args={"crop": 64, "attention": (False, False), "solver": "dpm_solver_pp_2m"},
        offers=ENLARGED,
        train=DIFFUSION,
        needs=("source",),
        own_source=True,
        enlarges="factor",
    ),
    "mask_diffusion": Recipe(
        mask_diffusion,
        family="diffusion",
        task="mask to image",
        summary="label mask to image by the denoiser itself, which sees the mask beside the noisy image; guidance by the mask",
        citation="Rombach et al. 2022, arXiv:2112.10752; Ho and Salimans 2022, arXiv:2207.12598",
        args={"guidance_scale": 1.5, **STOCHASTIC},
        offers=MASKED,
        train=DIFFUSION,
        needs=("mask",),
        of_data=("classes",),
    ),
    "progressive_distillation": Recipe(
        ProgressiveDistillation,
        family="diffusion",
        task="unconditional",
        summary="a student halves the steps of its teacher, again and again, down to four or one",
        citation="Salimans and Ho 2022, arXiv:2202.00512",
        train=DIFFUSION | {"optimiser": "adamw", "lr": 3e-4, "ema": 0.99},
        first={"first": Stage("edm", 0.6)},
    ),
    "consistency": Recipe(
        Consistency,
        family="diffusion",
        task="unconditional",
        summary="from noise to the end of its path in one, two or four steps: consistency distillation or training",
        citation="Song et al. 2023, arXiv:2303.01469; Song and Dhariwal 2024, arXiv:2310.14189",
        args={"sampling_steps": 4},
        train=DIFFUSION | {"optimiser": "adamw", "lr": 3e-4},
        offers=("path", "levels", "most_levels", "sampling_steps"),
        first={"first": Stage("edm", 0.6)},
    ),
    "edm_3d": Recipe(
        blocks,
        family="diffusion",
        task="volumes",
        summary="edm in three dimensions: learns from blocks of volumes, and draws volumes of any size",
        citation="Karras et al. 2022, arXiv:2206.00364; Bar-Tal et al. 2023, arXiv:2302.08113",
        # Fewer levels, or a higher one to begin with, make contrasts 4 to 7 % too strong: as of a Gaussian field can be computed.
        args={
            "patch": 2,
            "widths": (16, 32, 64),
            "noise_mean": 0.0,
            "early_steps": 300,
            **STOCHASTIC,
            "sampling_steps": 32,
            "sigma_max": 20.0,
        },
        train=DIFFUSION | {"size": 32, "batch": 4},
        offers=SOLID,
        learns=("block",),
    ),
    "latent_diffusion": Recipe(
        latent_diffusion,
        family="diffusion",
        task="unconditional",
        summary="diffusion in the latents of a frozen autoencoder",
        citation="Rombach et al. 2022, arXiv:2112.10752",
        args=STOCHASTIC,
        train=DIFFUSION,
        offers=LATENT,
        first={"first": Stage("autoencoder", 0.3)},
    ),
}
