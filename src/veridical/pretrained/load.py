"""A pipeline of other people as a run: what a run folder says of itself, said of a folder of diffusers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from veridical.core.device import pick_device
from veridical.core.errors import InputError
from veridical.core.version import __version__
from veridical.data.readers.open import open_slices
from veridical.data.slices import Slices
from veridical.data.window import EIGHT_BITS, window_of
from veridical.pretrained.classes import PipelineClasses
from veridical.pretrained.coding import is_grey
from veridical.pretrained.folder import Found, check_fits, find
from veridical.pretrained.joined import transformer_of
from veridical.pretrained.levels import schedule_of
from veridical.pretrained.model import Pretrained
from veridical.pretrained.parts import load_parts
from veridical.pretrained.settings import LOADING, SAMPLING, Loading, PipelineSampling, parsed
from veridical.pretrained.transformer import PretrainedTransformer
from veridical.pretrained.varying import PretrainedVarying
from veridical.pretrained.words import PipelineWords
from veridical.recipes.config import TrainConfig
from veridical.recipes.info import NOTHING, RunInfo

UNKNOWN = "not known: weights of other people"  # what it was trained on


class Opened(NamedTuple):
    """A pipeline that is loaded, and what a run says of itself."""

    found: Found
    info: RunInfo
    model: Pretrained | PretrainedVarying | PretrainedTransformer
    words: PipelineWords | PipelineClasses
    device: torch.device

    @property
    def grey(self) -> bool:
        """Whether it knows grey images alone."""
        return isinstance(self.model, Pretrained) and self.model.grey

    def alike(self, info: RunInfo, slices: Slices, spec: object) -> RunInfo:
        """What a run of it says of itself once its images are to be such as these, see `alike`.

        Raises
        ------
        InputError
            For images in colour, where it knows grey ones alone.
        """
        if self.grey and slices.channels == 3:
            raise InputError(
                f"{spec} holds RGB images, and {self.found.spec} knows grey ones alone: save yours as grey."
            )
        return alike(info, slices, spec)


def open_pipeline(spec: str, device: str = "auto", settings: Mapping[str, Any] | None = None) -> Opened:
    """Load ``hub:FOLDER``; no code of the folder is executed, and no network is used without ``download``.

    Parameters
    ----------
    spec : str
        See `veridical.pretrained.folder.find`.
    device : str
    settings : mapping, optional
        Fields of `Loading` and of `PipelineSampling`; text is converted.

    Raises
    ------
    InputError
        If it cannot be used, or is too large for the memory that is free; which is known before anything is loaded.
    """
    given = dict(settings or {})
    loading, _ = parsed(spec, given, {})  # what is none is said before files are looked at
    found = find(spec, loading)
    loading, sampling = parsed(spec, given, found.kind.usual)
    where = pick_device(device)
    dtype = _dtype(loading, where)
    check_fits(found, where, dtype, loading.offload)
    if loading.hint and "controlnet" not in found.parts:
        raise InputError(
            f"{found.spec} has no ControlNet, which hint={loading.hint} is for: add --set controlnet=FOLDER."
        )
    if not found.kind.transformer and (loading.side or loading.text_tokens):
        raise InputError(f"side and text_tokens are for transformers, and {found.spec} has a U-Net: leave them out.")
    parts, build = load_parts(found, dtype), transformer_of if found.kind.transformer else _model
    model, words = build(found, parts, sampling, where, loading)
    args = {name: getattr(loading, name) for name in LOADING} | {name: getattr(sampling, name) for name in SAMPLING}
    args |= {"dtype": str(dtype).removeprefix("torch.")}
    numbers, channels = sum(p.numel() for p in model.parameters()), 1 if is_grey(parts["vae"]) else 3
    info = RunInfo(
        version=__version__, torch=torch.__version__, recipe=found.kind.recipe, args=args, config=TrainConfig(size=model.size),
        channels=channels, size=model.size, window=EIGHT_BITS, dataset={"spec": UNKNOWN, "fingerprint": None}, finished=True,
        cost=replace(NOTHING, parameters=numbers),
    )  # fmt: skip
    opened = Opened(found, info, model.eval(), words, where)
    if loading.like:
        opened = opened._replace(info=opened.alike(info, open_slices(loading.like), loading.like))
    return opened


def alike(info: RunInfo, slices: Slices, spec: object) -> RunInfo:
    """What a pipeline says of itself once its images are to be such as these: their channels, counts and pixel size."""
    try:
        window = window_of(slices)
    except InputError as error:
        raise InputError(f"{spec}: {error}.") from None
    size: Any = slices.pixel_size
    return info.replace(channels=slices.channels, window=window, dataset=info.dataset | {"pixel_size": size})


def _dtype(loading: Loading, device: torch.device) -> torch.dtype:
    if loading.dtype == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    if loading.dtype == "float16" and device.type == "cpu":
        raise InputError("dtype=float16 is for GPUs: leave it out, or use bfloat16.")
    found: torch.dtype = getattr(torch, loading.dtype)
    return found


def _model(
    found: Found, parts: dict[str, Any], sampling: PipelineSampling, device: torch.device, loading: Loading
) -> tuple[Pretrained | PretrainedVarying, PipelineWords]:
    tokenizers = [parts[name] for name in ("tokenizer", "tokenizer_2") if name in parts]
    towers = [parts[name] for name in ("text_encoder", "text_encoder_2") if name in parts]
    _check_parts(found, parts, tokenizers, towers)
    heeds = all(getattr(tower.config, "use_attention_mask", False) for tower in towers)
    words = PipelineWords(tokenizers, device, 0)
    model = Pretrained(
        parts, words.ids([""]), schedule_of(found.folder, parts["scheduler"]), sampling, sees=found.kind.sees,
        padding=tuple(each.pad_token_id for each in tokenizers) if heeds else (),
        zeros=len(towers) > 1 and bool(found.index.get("force_zeros_for_empty_prompt", True)), device=device,
        offload=loading.offload,
    )  # fmt: skip
    if "controlnet" in parts:
        words = PipelineWords(tokenizers, device, model.size, loading.hint, loading.colours)
    if "image_encoder" not in parts:
        return model, words
    left = getattr(parts["image_noising_scheduler"], "alphas_cumprod", None)
    if left is None:
        raise InputError(f"{found.folder} has an image_noising_scheduler of another kind: give a Stable unCLIP.")
    return PretrainedVarying(model, parts["image_encoder"], parts["image_normalizer"], left), words


def _check_parts(found: Found, parts: dict[str, Any], tokenizers: list[Any], towers: list[Any]) -> None:
    """Refuse parts that do not belong together, or of which more would have to be known."""
    unet, vae = parts["unet"].config, parts["vae"].config
    for tokenizer, tower in zip(tokenizers, towers, strict=True):
        if (
            len(tokenizer) > tower.config.vocab_size
            or tokenizer.model_max_length > tower.config.max_position_embeddings
        ):
            raise InputError(
                f"{found.folder}: its tokenizer has other words than its text encoder: copy the whole pipeline."
            )
    width = sum(tower.config.hidden_size for tower in towers)
    if unet.cross_attention_dim != width or unet.out_channels != vae.latent_channels:
        raise InputError(
            f"{found.folder}: its U-Net does not fit its text encoders or its VAE: copy the whole pipeline."
        )
    if vae.in_channels not in (1, 3) or vae.get("latents_mean") is not None or vae.get("shift_factor"):
        raise InputError(
            f"{found.folder} has a VAE of another kind: give one of RGB or grey images whose latents are scaled alone."
        )
    if "controlnet" in parts:
        control = parts["controlnet"].config
        if control.cross_attention_dim != unet.cross_attention_dim or control.conditioning_channels != 3:
            raise InputError(f"{found.folder}: this ControlNet is for another pipeline: give one for it.")
