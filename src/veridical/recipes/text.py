"""Rows of systems that hear words.

Longer than other files because it is one table.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, cast

from torch import nn

from veridical.core.errors import InputError
from veridical.models.contract import Latent
from veridical.models.diffusion.controlnet import Controlled, ControlNet, ControlSampling
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.inpainting import Holes, Inpainting
from veridical.models.diffusion.instructed import Instructed, InstructedSampling, InstructPix2Pix
from veridical.models.diffusion.latent import LatentDiffusion
from veridical.models.diffusion.settings import Embed, Law, Network, Sampling, Stable
from veridical.models.gan.attngan import AttnGAN
from veridical.models.gan.gigagan import GigaGAN
from veridical.models.gan.stackgan import StackGAN
from veridical.models.text.clip import Clip
from veridical.models.text.dalle import Dalle
from veridical.models.text.prior import Imagining
from veridical.models.text.told import ToldDenoiser
from veridical.models.text.unclip import ImaginedSampling, NoisedSampling, UnClip, told
from veridical.models.vae.autoencoder import Autoencoder
from veridical.nets.text import Tower
from veridical.recipes.diffusion import DIFFUSION, LATENT, STOCHASTIC
from veridical.recipes.gan import ADAM_GAN, ADAM_STYLE
from veridical.recipes.recipe import Recipe, Stage


def stable_diffusion(
    autoencoder: Autoencoder, clip: Clip, network: Network, embed: Embed, stable: Stable, sampling: Sampling
) -> LatentDiffusion:
    """A `Denoiser` of the latents of a plain autoencoder that reads texts by the tower of `clip`."""
    if autoencoder.linear or autoencoder.patch != 1:
        raise InputError(
            "stable_diffusion needs an autoencoder that pipelines of other people can load: train it with "
            "--set linear=false --set patch=1, or leave out --first autoencoder=RUN."
        )
    frozen: dict[str, nn.Module] = {"autoencoder": autoencoder}
    if stable.text_tower == "frozen":
        frozen["clip"] = clip.eval().requires_grad_(False)
        tower = clip.text
    else:
        tower = copy.deepcopy(clip.text).requires_grad_(True)
    process = {"noise": "ddpm", "velocity": "v"}[stable.prediction]
    law = Law(formulation=f"{process}_scaled_linear", skip="paper")
    of = Denoiser(autoencoder.shape, replace(network, patch=1), law, embed, sampling, Tower(tower))
    return LatentDiffusion(autoencoder, of, frozen)


# The library's own class in all, see `Autoencoder`.
PLAIN: dict[str, Any] = {
    "linear": False,
    "patch": 1,
    "latent": 4,
    "widths": (16, 32, 64),
    "optimiser": "muon",
    "lr": 1e-3,
}

HEARD = ("label_dropout", "guidance_scale", "guidance_interval", "eta", "text_tower", "prediction")


def unclip(
    channels: int,
    size: int,
    clip: Clip,
    network: Network,
    law: Law,
    how: Imagining,
    sampling: ImaginedSampling,
    vocabulary: int = 0,
    spelled_tokens: int = 0,
    words: bool = False,
) -> UnClip:
    """An `UnClip` whose decoder makes pixels."""
    embed = told(clip, vocabulary, words, noisy=False)
    decoder = Denoiser((channels, size, size), network, law, embed, sampling)
    return UnClip(clip, decoder, spelled_tokens, vocabulary, how, sampling, words)


def stable_unclip(
    clip: Clip,
    autoencoder: Latent,
    network: Network,
    how: Imagining,
    sampling: NoisedSampling,
    vocabulary: int = 0,
    spelled_tokens: int = 0,
    words: bool = False,
) -> UnClip:
    """An `UnClip` whose decoder makes latents of `autoencoder`, of embeddings with noise."""
    embed = told(clip, vocabulary, words, noisy=True)
    decoder = Denoiser(autoencoder.shape, replace(network, patch=1), Law(noise_mean=-1.2), embed, sampling)
    latents = LatentDiffusion(autoencoder, decoder, {"autoencoder": cast(nn.Module, autoencoder)})
    return UnClip(clip, latents, spelled_tokens, vocabulary, how, sampling, words)


def text_to_image(
    channels: int, size: int, clip: Clip, network: Network, law: Law, embed: Embed, sampling: Sampling
) -> ToldDenoiser:
    """A `Denoiser` of pixels that is told words and the vector of the whole text."""
    told = replace(embed, embedding=clip.dim)
    return ToldDenoiser(clip, Denoiser((channels, size, size), network, law, told, sampling))


def dalle3(
    channels: int,
    size: int,
    clip: Clip,
    network: Network,
    law: Law,
    embed: Embed,
    sampling: Sampling,
    upsample: bool = True,
) -> ToldDenoiser:
    """`text_to_image` that learns complete captions; with `upsample` short prompts are completed before it hears them."""
    return text_to_image(channels, size, clip, network, law, embed, sampling)


def instruct_pix2pix(
    channels: int,
    size: int,
    network: Network,
    law: Law,
    how: Instructed,
    sampling: InstructedSampling,
    vocabulary: int = 0,
) -> InstructPix2Pix:
    """An `InstructPix2Pix` of pixels."""
    return InstructPix2Pix((channels, size, size), vocabulary, network, law, how, sampling)


def controlnet(base: nn.Module, size: int, how: Controlled, sampling: ControlSampling, hints: int = 1) -> ControlNet:
    """A `ControlNet` on a run that hears texts."""
    return ControlNet(base, size, hints, how, sampling)


def inpainting(base: nn.Module, channels: int, size: int, how: Holes, sampling: Sampling) -> Inpainting:
    """An `Inpainting` that goes on from a run that hears texts."""
    return Inpainting(base, channels, size, how, sampling)


CONTRASTIVE: dict[str, Any] = {"optimiser": "adamw", "lr": 1e-3, "batch": 64, "warmup": 100, "weight_decay": 0.01}

# The decoder learns from half of a batch.
UNCLIP: dict[str, Any] = DIFFUSION | {"batch": 16}
IMAGINED = ("prior", "prior_width", "prior_layers", "components", "buckets", "prior_steps", "prior_guidance", "draws")

CONTROLLED = (
    "text_dropout", "strength", "control_from", "control_to", "guidance_scale", "guidance_interval", "eta", "sampling_steps",
    "solver",
)  # fmt: skip
INPAINTED = ("all_hidden", "objects", "boxes", "guidance_scale", "guidance_interval", "eta", "sampling_steps", "solver")
INSTRUCTED = (
    "patch", "formulation", "noise_mean", "noise_std", "condition_dropout", "guidance_scale", "image_guidance_scale",
    "guidance_interval", "early_steps", "autoguidance", "sigma_max", *LATENT,
)  # fmt: skip

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
        text_to_image,
        family="text",
        task="text to image",
        summary="the denoiser in pixels hears words by cross-attention, and what a frozen clip makes of the whole text",
        citation="Saharia et al. 2022, arXiv:2205.11487; Nichol et al. 2022, arXiv:2112.10741",
        args={"guidance_scale": 1.5, **STOCHASTIC},
        train=DIFFUSION,
        needs=("text",),
        of_data=("vocabulary",),
        first={"clip": Stage("clip", 0.3)},
    ),
    "stable_diffusion": Recipe(
        stable_diffusion,
        family="text",
        task="text to image",
        summary="in latents of a frozen autoencoder, the text read by the tower of clip; exports as a pipeline of diffusers",
        citation="Rombach et al. 2022, arXiv:2112.10752; Salimans and Ho 2022, arXiv:2202.00512",
        args={"guidance_scale": 3.0, "sampling_steps": 25, "solver": "dpm_solver_pp_2m"},
        train=DIFFUSION,
        offers=(*LATENT, *HEARD),
        needs=("text",),
        first={"autoencoder": Stage("autoencoder", 0.25, PLAIN), "clip": Stage("clip", 0.2)},
    ),
    "unclip": Recipe(
        unclip,
        family="text",
        task="text to image, variations",
        summary="a prior imagines CLIP's embedding of an image, a decoder in pixels draws it; variations, interpolation",
        citation="Ramesh et al. 2022, arXiv:2204.06125",
        args={"guidance_scale": 1.5, **STOCHASTIC},
        train=UNCLIP,
        needs=("text",),
        instead=("source",),
        of_data=("vocabulary", "spelled_tokens"),
        first={"clip": Stage("clip", 0.3)},
    ),
    "stable_unclip": Recipe(
        stable_unclip,
        family="text",
        task="text to image, variations",
        summary="unclip in the latents of a frozen autoencoder; its decoder is told how much noise there is on the embedding",
        citation="Ramesh et al. 2022, arXiv:2204.06125; Rombach et al. 2022, arXiv:2112.10752",
        args={"guidance_scale": 1.5, **STOCHASTIC},
        offers=(*LATENT, *IMAGINED, "noise_level", "guidance_scale", "guidance_interval"),
        train=UNCLIP,
        needs=("text",),
        instead=("source",),
        of_data=("vocabulary", "spelled_tokens"),
        first={"clip": Stage("clip", 0.25), "autoencoder": Stage("autoencoder", 0.2, PLAIN)},
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
        first={"clip": Stage("clip", 0.3)},
    ),
    "instruct_pix2pix": Recipe(
        instruct_pix2pix,
        family="text",
        task="instruction to edit",
        summary="sees the image before and hears what to change; trained on pairs of phantoms; guidance by text and by image",
        citation="Brooks et al. 2022, arXiv:2211.09800",
        args={"guidance_scale": 3.0, "image_guidance_scale": 1.5, **STOCHASTIC},
        offers=INSTRUCTED,
        train={**DIFFUSION, "text": "auto"},
        needs=("text", "before"),
        of_data=("vocabulary",),
    ),
    "controlnet": Recipe(
        controlnet,
        family="text",
        task="text and hint to image",
        summary="a copy of half of a frozen U-Net tells it where things lie: edges, a sketch, masks, distances",
        citation="Zhang, Rao and Agrawala 2023, arXiv:2302.05543",
        args={"guidance_scale": 1.5, "sampling_steps": 24, "solver": "sde_dpm_solver_pp_2m"},
        offers=CONTROLLED,
        train=DIFFUSION | {"optimiser": "adamw", "lr": 3e-4, "ema": 0.995},
        needs=("text", "hint"),
        of_data=("hints",),
        first={"base": Stage("stable_diffusion", 0.6)},
    ),
    "inpainting": Recipe(
        inpainting,
        family="text",
        task="text and hole to image",
        summary="a denoiser of texts learns on with holes: it sees where to draw and all around it, as Stable Diffusion's",
        citation="Nichol et al. 2022, arXiv:2112.10741; Rombach et al. 2022, arXiv:2112.10752",
        args={"guidance_scale": 1.5, **STOCHASTIC},
        offers=INPAINTED,
        train=DIFFUSION,
        needs=("text",),
        learns=("objects",),
        first={"base": Stage("text_to_image", 0.5)},
    ),
    "stackgan": Recipe(
        StackGAN,
        family="text",
        task="text to image",
        summary="two GANs one behind the other: a small image of a caption, then a large one of both; mismatched pairs",
        citation="Zhang et al. 2017, arXiv:1612.03242; Reed et al. 2016, arXiv:1605.05396",
        train=ADAM_GAN,
        needs=("text",),
        first={"clip": Stage("clip", 0.2)},
    ),
    "gigagan": Recipe(
        GigaGAN,
        family="text",
        task="text to image",
        summary="style generator with kernels mixed for each image, attention to words, CLIP's loss; no upsampler",
        citation="Kang et al. 2023, arXiv:2303.05511",
        train=ADAM_STYLE,
        needs=("text",),
        first={"clip": Stage("clip", 0.2)},
    ),
    "attngan": Recipe(
        AttnGAN,
        family="text",
        task="text to image",
        summary="three resolutions, at each of which places ask the words what to draw; regions are matched with words",
        citation="Xu et al. 2018, arXiv:1711.10485",
        train=ADAM_GAN,
        needs=("text",),
        first={"clip": Stage("clip", 0.2)},
    ),
}
