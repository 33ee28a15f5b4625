"""Rows of systems that hear words."""

from __future__ import annotations

from typing import Any

from veridical.models.gan.attngan import AttnGAN
from veridical.models.gan.gigagan import GigaGAN
from veridical.models.gan.stackgan import StackGAN
from veridical.models.text.clip import Clip
from veridical.recipes.diffusion import DIFFUSION, STOCHASTIC, denoiser
from veridical.recipes.gan import ADAM_GAN, ADAM_STYLE
from veridical.recipes.recipe import Recipe, Stage

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
