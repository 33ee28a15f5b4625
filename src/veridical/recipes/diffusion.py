"""Rows of diffusion models."""

from __future__ import annotations

from typing import Any

from torch import nn

from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.distillation import Consistency, ProgressiveDistillation
from veridical.models.diffusion.guided import Guided
from veridical.models.diffusion.latent import LatentDiffusion
from veridical.models.diffusion.upsampler import Upsampler
from veridical.recipes.recipe import Recipe


def latent_diffusion(
    first: nn.Module,
    widths: tuple[int, ...] = (64, 128),
    layers: int = 1,
    attention: tuple[bool, ...] = (False, True),
    dropout: float = 0.0,
    sampling_steps: int = 24,
    solver: str = "sde_dpm_solver_pp_2m",
) -> LatentDiffusion:
    """A `Denoiser` of the latents of `first`."""
    channels, size, _ = first.shape  # type: ignore[misc]
    denoiser = Denoiser(
        channels, size, patch=1, widths=widths, layers=layers, attention=attention, dropout=dropout,
        noise_mean=-1.2, sampling_steps=sampling_steps, solver=solver,
    )  # fmt: skip
    return LatentDiffusion(first, denoiser)


DIFFUSION: dict[str, Any] = {"optimiser": "muon", "lr": 1e-3, "batch": 8, "warmup": 20, "decay": 0.5}

# What a network of a few minutes gets wrong, noise makes it forget (docs/diffusion.md has the numbers).
STOCHASTIC: dict[str, Any] = {"solver": "sde_dpm_solver_pp_2m", "sampling_steps": 24}

# What is still wrong with them, early weights of the same training have more of.
AUTOGUIDED: dict[str, Any] = {"early_steps": 300, "autoguidance": 1.25}

# Arguments that act on sampling alone, and on what students learn.
STEPPING = ("sampling_steps", "solver")
SOLVING = (*STEPPING, "eta", "churn", "snr", "langevin_steps", "clamp", "autoguidance")
ENDS = ("sigma_min", "sigma_max")
GUIDING = ("guidance_scale", "guidance_interval")

ROWS: dict[str, Recipe] = {
    "ddpm": Recipe(
        Denoiser,
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
            "skip": "paper",
            "sigma_min": 0.01,
            "sigma_max": 50.0,
            "solver": "annealed_langevin",
            "sampling_steps": 100,
            "langevin_steps": 10,
            "clamp": True,
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
            "skip": "paper",
            "sigma_min": 0.01,
            "sigma_max": 50.0,
            "solver": "predictor_corrector",
            "sampling_steps": 100,
            "clamp": True,
        },
        train=DIFFUSION,
        sampling=SOLVING,
    ),
    "edm": Recipe(
        Denoiser,
        family="diffusion",
        task="unconditional",
        summary="diffusion in pixels preconditioned by the spectrum of the data; log-normal noise law, autoguidance",
        citation="Karras, Aittala, Aila and Laine 2022, arXiv:2206.00364; Karras et al. 2024, arXiv:2406.02507; "
        "Hang et al. 2023, arXiv:2303.09556",
        args={"sigma_max": 20.0, **STOCHASTIC, **AUTOGUIDED},
        train=DIFFUSION,
        sampling=(*SOLVING, *ENDS),
    ),
    "flow_matching": Recipe(
        Denoiser,
        family="diffusion",
        task="unconditional",
        summary="straight paths from noise to image, the midpoint rule",
        citation="Lipman et al. 2023, arXiv:2210.02747; Liu, Gong and Liu 2023, arXiv:2209.03003",
        args={"formulation": "flow", "skip": "paper", "solver": "midpoint"},
        train=DIFFUSION,
        sampling=SOLVING,
    ),
    "dit": Recipe(
        Denoiser,
        family="diffusion",
        task="unconditional",
        summary="a transformer as the network: adaLN-Zero, in-context or cross-attention conditioning",
        citation="Peebles and Xie 2023, arXiv:2212.09748",
        args={"network": "dit", "widths": (192,), "layers": 6, "sigma_max": 20.0, **STOCHASTIC},
        train=DIFFUSION | {"lr": 5e-4},
        sampling=(*SOLVING, *ENDS),
    ),
    "cfg": Recipe(
        Denoiser,
        family="diffusion",
        task="class or property",
        summary="a label, at times left out in training; classifier-free guidance within an interval of noise levels",
        citation="Ho and Salimans 2022, arXiv:2207.12598; Kynkäänniemi et al. 2024, arXiv:2404.07724",
        args={"guidance_scale": 1.5, **STOCHASTIC},
        train=DIFFUSION,
        needs=("label",),
        of_data=("classes",),
        sampling=(*SOLVING, *GUIDING, *ENDS),
    ),
    "guided": Recipe(
        Guided,
        family="diffusion",
        task="class or property",
        summary="a classifier of noisy images, trained beside, leads a denoiser to a label",
        citation="Dhariwal and Nichol 2021, arXiv:2105.05233",
        args={"conditional": True},
        train=DIFFUSION,
        needs=("label",),
        of_data=("classes",),
        sampling=(*STEPPING, *GUIDING, "autoguidance"),
    ),
    "upsampler": Recipe(
        Upsampler,
        family="diffusion",
        task="super-resolution",
        summary="last part of a cascade: an image of half the resolution made large, with noise-conditioning augmentation",
        citation="Ho et al. 2022, arXiv:2106.15282; Saharia et al. 2021, arXiv:2104.07636",
        args={"crop": 64},
        train=DIFFUSION,
        needs=("source",),
        sampling=(*STEPPING, "condition_noise"),
        own_source=True,
        enlarges="factor",
    ),
    "progressive_distillation": Recipe(
        ProgressiveDistillation,
        family="diffusion",
        task="unconditional",
        summary="a student halves the steps of its teacher, again and again, down to four or one",
        citation="Salimans and Ho 2022, arXiv:2202.00512",
        train=DIFFUSION | {"optimiser": "adamw", "lr": 3e-4, "ema": 0.99},
        first="edm",
        first_share=0.6,
    ),
    "consistency": Recipe(
        Consistency,
        family="diffusion",
        task="unconditional",
        summary="from noise to the end of its path in one, two or four steps: consistency distillation or training",
        citation="Song et al. 2023, arXiv:2303.01469; Song and Dhariwal 2024, arXiv:2310.14189",
        train=DIFFUSION | {"optimiser": "adamw", "lr": 3e-4},
        sampling=("sampling_steps",),
        first="edm",
        first_share=0.6,
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
