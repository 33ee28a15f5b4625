"""Rows of systems that hear words."""

from __future__ import annotations

from typing import Any

from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.settings import Embed, Law, Network, Sampling
from veridical.models.text.clip import Clip
from veridical.models.text.dalle import Dalle
from veridical.recipes.diffusion import DIFFUSION, STOCHASTIC, denoiser
from veridical.recipes.recipe import Recipe, Stage


def dalle3(
    channels: int, size: int, network: Network, law: Law, embed: Embed, sampling: Sampling, upsample: bool = True
) -> Denoiser:
    """A `Denoiser` that learns complete captions; with `upsample` short prompts are completed before it hears them."""
    return denoiser(channels, size, network, law, embed, sampling)


CONTRASTIVE: dict[str, Any] = {"optimiser": "adamw", "lr": 1e-3, "batch": 64, "warmup": 100, "weight_decay": 0.01}

ROWS: dict[str, Recipe] = {
    "clip": Recipe(
        Clip,
        family="text",
        task="similarity of image and words",
        summary="two towers: an image is near its own caption; no generator, but scores, finds and leads",
        citation="Radford et al. 2021, arXiv:2103.00020; Hessel et al. 2021, arXiv:2104.08718",
        train=CONTRASTIVE,
        needs=("text",),
        of_data=("vocabulary", "spelled_tokens"),
        draws=False,
    ),
    "text_to_image": Recipe(
        denoiser,
        family="text",
        task="text to image",
        summary="the denoiser in pixels hears the words of a caption by cross-attention; classifier-free guidance",
        citation="Saharia et al. 2022, arXiv:2205.11487; Nichol et al. 2022, arXiv:2112.10741",
        args={"guidance_scale": 1.5, **STOCHASTIC},
        train=DIFFUSION,
        needs=("text",),
        of_data=("vocabulary",),
    ),
    "dalle": Recipe(
        Dalle,
        family="text",
        task="text to image",
        summary="words and codes of a vqvae in one causal transformer; of several candidates clip keeps the nearest",
        citation="Ramesh et al. 2021, arXiv:2102.12092",
        train={"optimiser": "muon", "lr": 1e-3, "batch": 8, "warmup": 20, "decay": 0.5},
        needs=("text",),
        first={"vqvae": Stage("vqvae", 0.3), "clip": Stage("clip", 0.2)},
        of_data=("vocabulary", "tokens", "spelled_tokens"),
    ),
    "dalle3": Recipe(
        dalle3,
        family="text",
        task="text to image",
        summary="text_to_image that learns complete captions; a short prompt is completed from them before it is drawn",
        citation="Betker et al. 2023, https://cdn.openai.com/papers/dall-e-3.pdf; Saharia et al. 2022, arXiv:2205.11487",
        args={"guidance_scale": 1.5, **STOCHASTIC},
        train={**DIFFUSION, "complete": 0.95},
        needs=("text",),
        of_data=("vocabulary",),
        drawn=("upsample",),
    ),
}
