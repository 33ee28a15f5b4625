"""Settings of pipelines of other people: how they are loaded, and how they sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from veridical.core.errors import InputError
from veridical.core.parse import value_of
from veridical.core.settings import check, setting, types_of
from veridical.diffusion.solvers import SOLVERS
from veridical.models.diffusion.settings import Sampling
from veridical.pretrained.hints import KINDS, LABELS, colours_of


@dataclass(frozen=True)
class Loading:
    """What of a pipeline is loaded, in which numbers, and where it lies."""

    dtype: str = setting(
        "auto",
        "Numbers of the U-Net and the text encoders; auto: float32 on a CPU, bfloat16 on a GPU. The VAE keeps float32.",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    offload: bool = setting(False, "Keep on the GPU only the part that works; the others wait in main memory.")
    controlnet: str = setting("", "Folder of a ControlNet, which then steers the pipeline; its hints are --source.")
    hint: str = setting(
        "",
        "What a ControlNet is shown of --source: the pictures as they are (by default), their edges (canny, sketch), or label "
        "images (--masks) in colours. With it, edits are steered too, by the image itself or its label image.",
        choices=KINDS,
    )
    colours: str = setting("", "For hint=labels: VALUE=#RRGGBB,..., the colours of labels that the ControlNet knows.")
    like: str = setting("", "Images whose channels, bit depth and intensity window samples have; else 8 bits, RGB.")
    config: str = setting("", "Folder of the pipeline without its weights, for weights in a single .safetensors file.")
    side: int = setting(
        0,
        "For Stable Diffusion 3 and Flux: side of the images in pixels; 0: what they are made for, usually 1024.",
        low=0,
    )
    text_tokens: int = setting(
        0, "For these: tokens of a text that T5 reads; 0: 256 for Stable Diffusion 3, 512 for Flux.", low=0, high=512
    )
    t5: bool = setting(
        True, "For Stable Diffusion 3: without its third and largest text encoder it needs less memory, and hears less."
    )
    download: bool = setting(
        False, "Fetch from the Hugging Face hub what is not in the cache; else no network is used."
    )

    def __post_init__(self) -> None:
        check(self)
        if bool(colours_of(self.colours)) != (self.hint == LABELS):
            raise InputError("hint=labels and colours=VALUE=#RRGGBB go together: give both, or none.")


@dataclass(frozen=True)
class PipelineSampling(Sampling):
    """`Sampling`, with the usual values of pipelines, and what some of them are told besides."""

    sampling_steps: int = setting(50, "Steps of the sampling grid.", low=1, high=1000)
    solver: str = setting("ddim", "How a step is made.", choices=SOLVERS)
    guidance_scale: float = setting(7.5, "Guidance by the prompt: 1 is the prompt alone.", low=0)
    embedded_guidance: float = setting(
        3.5, "For Flux-dev: guidance that its transformer is told, in place of guidance by evaluating it twice.", low=0
    )
    image_guidance_scale: float = setting(1.5, "For InstructPix2Pix: guidance by the image that is changed.", low=0)
    strength: float = setting(1.0, "For a ControlNet: factor of what it adds to the U-Net.", low=0)
    noise_level: int = setting(
        0, "For Stable unCLIP: noise on the embedding; the more, the more various images are.", low=0
    )


# What sampling of ours has and no pipeline: ends of the grid are those of its scheduler.
IDLE = ("sigma_min", "sigma_max", "autoguidance", "clamp")
SAMPLING = tuple(f.name for f in dataclasses.fields(PipelineSampling) if f.name not in IDLE)
LOADING = tuple(f.name for f in dataclasses.fields(Loading))


def parsed(name: str, given: Mapping[str, Any], usual: Mapping[str, Any]) -> tuple[Loading, PipelineSampling]:
    """Settings that a user gave, texts among them, over the usual ones of a kind of pipeline.

    Raises
    ------
    InputError
        For what is no setting, or no value of one.
    """
    types = types_of(Loading) | {k: v for k, v in types_of(PipelineSampling).items() if k in SAMPLING}
    values = dict(usual)
    for key, value in given.items():
        if key not in types:
            raise InputError(f"{name} has no setting {key!r}: it has {', '.join(types)}.")
        values[key] = value_of(key, value, types[key])
    loading = {k: v for k, v in values.items() if k in LOADING}
    return Loading(**loading), PipelineSampling(**{k: v for k, v in values.items() if k not in LOADING})
