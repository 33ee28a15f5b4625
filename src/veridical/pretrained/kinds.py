"""Which pipelines of diffusers can be loaded: one row each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from veridical.pretrained.settings import IDLE, LOADING, PipelineSampling
from veridical.recipes.info import PIPELINE
from veridical.recipes.recipe import Recipe

TEXT = ("text_encoder", "tokenizer")
BASE = ("unet", "vae", *TEXT, "scheduler")
XL = ("unet", "vae", *TEXT, "text_encoder_2", "tokenizer_2", "scheduler")
DIT_PARTS = ("transformer", "vae", "scheduler")
FLUX_PARTS = ("transformer", "vae", *TEXT, "text_encoder_2", "tokenizer_2", "scheduler")
T5_TOKENIZERS = ("T5TokenizerFast", "T5Tokenizer", "PreTrainedTokenizerFast", "TokenizersBackend")
T5 = ("text_encoder_3", "tokenizer_3")  # Stable Diffusion 3 draws without it, too
UNCLIP = (*BASE, "image_encoder", "image_normalizer", "image_noising_scheduler")


@dataclass(frozen=True)
class Kind:
    """One kind of pipeline.

    Attributes
    ----------
    name : str
        What its runs are called, after ``hub_``.
    summary, paper : str
    parts : tuple of str
        What its folder must hold.
    optional : tuple of str
        Which of those it may say that it lacks.
    transformer : tuple of str
        Classes of its network, if that is a transformer; the first is what it is loaded as.
    classes : dict
        Classes of other parts that differ from those of `veridical.pretrained.folder.CLASSES`.
    hears : bool
        Whether it is told texts.
    sees : str
        What the U-Net sees beside the noisy latents: "", the "image" that is changed, or the "hole" to fill.
    usual : dict
        Settings that differ from those of `PipelineSampling`.
    """

    name: str
    summary: str
    paper: str
    parts: tuple[str, ...] = BASE
    optional: tuple[str, ...] = ()
    transformer: tuple[str, ...] = ()
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    hears: bool = True
    sees: str = ""
    usual: dict[str, Any] = field(default_factory=dict)

    @property
    def draws(self) -> bool:
        """Whether it draws images from nothing but what it is told."""
        return not self.sees and "image_encoder" not in self.parts

    @property
    def sized(self) -> bool:
        """Whether its images may be of several sizes."""
        return bool(self.transformer) and self.hears

    @property
    def recipe(self) -> str:
        """What takes the place of a recipe."""
        return PIPELINE + self.name


STABLE = Kind(
    "stable_diffusion", "Stable Diffusion 1.x and 2.x: text to image.", "Rombach et al. 2022, arXiv:2112.10752"
)
STABLE_XL = Kind(
    "stable_diffusion_xl", "Stable Diffusion XL: text to image.", "Podell et al. 2023, arXiv:2307.01952", XL,
    usual={"guidance_scale": 5.0},
)  # fmt: skip
INPAINTING = Kind("inpainting", "Fills what is masked; its U-Net sees the mask.", STABLE.paper, sees="hole")
INSTRUCT = Kind(
    "instruct_pix2pix", "Changes an image as an instruction says.", "Brooks et al. 2022, arXiv:2211.09800", sees="image"
)
CONTROL = Kind(
    "controlnet", "Text to image, told by a picture where things lie.", "Zhang et al. 2023, arXiv:2302.05543",
    (*BASE, "controlnet"),
)  # fmt: skip
VARYING = Kind(
    "unclip", "Stable unCLIP: variations of an image.", "Ramesh et al. 2022, arXiv:2204.06125", UNCLIP,
    usual={"guidance_scale": 10.0},
)  # fmt: skip
DIT = Kind(
    "dit", "DiT: draws classes of images, with a transformer.", "Peebles and Xie 2023, arXiv:2212.09748", DIT_PARTS,
    transformer=("DiTTransformer2DModel", "Transformer2DModel"), hears=False, usual={"guidance_scale": 4.0},
)  # fmt: skip
# A flow begins where nothing of an image is left, at an infinite level, and guidance acts there, too.
FLOWING: dict[str, Any] = {"sampling_steps": 28, "guidance_interval": (0.0, 1e9)}
STABLE_3 = Kind(
    "stable_diffusion_3", "Stable Diffusion 3: text to image, with a transformer and flow matching.",
    "Esser et al. 2024, arXiv:2403.03206", (*XL[1:-1], *T5, "transformer", "scheduler"), T5, ("SD3Transformer2DModel",),
    {"text_encoder": ("CLIPTextModelWithProjection",)}, usual={"guidance_scale": 7.0, **FLOWING},
)  # fmt: skip
FLUX = Kind(
    "flux", "Flux: text to image, with a transformer and flow matching.", "Black Forest Labs 2024, FLUX.1", FLUX_PARTS,
    (), ("FluxTransformer2DModel",), {"text_encoder_2": ("T5EncoderModel",), "tokenizer_2": T5_TOKENIZERS},
    usual={"guidance_scale": 1.0, **FLOWING},
)  # fmt: skip

# By the class that model_index.json names. One of inpainting with a U-Net of 4 channels is a plain one.
KINDS: dict[str, Kind] = {
    "StableDiffusionPipeline": STABLE,
    "StableDiffusionImg2ImgPipeline": STABLE,
    "StableDiffusionInpaintPipeline": INPAINTING,
    "StableDiffusionInstructPix2PixPipeline": INSTRUCT,
    "StableDiffusionControlNetPipeline": CONTROL,
    "StableUnCLIPImg2ImgPipeline": VARYING,
    "StableDiffusionXLPipeline": STABLE_XL,
    "DiTPipeline": DIT,
    "StableDiffusion3Pipeline": STABLE_3,
    "StableDiffusion3Img2ImgPipeline": STABLE_3,
    "FluxPipeline": FLUX,
    "FluxImg2ImgPipeline": FLUX,
}


def _built(sampling: PipelineSampling) -> nn.Module:
    raise NotImplementedError  # pipelines are loaded, not built


# What other rooms ask of a recipe, of pipelines.
ROWS: dict[str, Recipe] = {
    kind.recipe: Recipe(
        _built, "pipelines", "any", kind.summary, kind.paper, args=kind.usual, drawn=LOADING,
        idle=IDLE,
    )
    for kind in {kind.name: kind for kind in KINDS.values()}.values()
}  # fmt: skip
