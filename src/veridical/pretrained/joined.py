"""The model of a pipeline whose network is a transformer, of its parts."""

from __future__ import annotations

from typing import Any

import torch

from veridical.core.errors import InputError
from veridical.pretrained.classes import PipelineClasses
from veridical.pretrained.coding import factor_of
from veridical.pretrained.folder import Found
from veridical.pretrained.kinds import DIT, FLUX
from veridical.pretrained.levels import flow_schedule_of, schedule_of
from veridical.pretrained.settings import Loading, PipelineSampling
from veridical.pretrained.telling import FLUX as FLUX_MANNER
from veridical.pretrained.telling import SD3, ByLabel, ByTexts
from veridical.pretrained.transformer import PretrainedTransformer
from veridical.pretrained.words import PipelineWords

PATCH = 2  # latents that Flux takes together, along a side
FLUX_SIDE = 128  # latents along a side of what diffusers' pipeline draws: Flux itself does not say
TOWERS = ("text_encoder", "text_encoder_2", "text_encoder_3")
TOKENIZERS = ("tokenizer", "tokenizer_2", "tokenizer_3")


def transformer_of(
    found: Found, parts: dict[str, Any], sampling: PipelineSampling, device: torch.device, loading: Loading
) -> tuple[PretrainedTransformer, PipelineWords | PipelineClasses]:
    """The model, and what it is told.

    Raises
    ------
    InputError
        If the parts do not belong together, or the images cannot be of the size that is asked for.
    """
    net, vae, folder = parts["transformer"].config, parts["vae"].config, found.folder
    packed = PATCH**2 if found.kind is FLUX else 1
    if vae.in_channels != 3 or vae.get("latents_mean") is not None or net.in_channels != packed * vae.latent_channels:
        raise InputError(
            f"{folder}: its transformer does not fit its VAE, or that is none of RGB: copy the whole pipeline."
        )
    side = _side(found, net, factor_of(vae), loading.side)
    if found.kind is DIT:
        if loading.text_tokens:
            raise InputError(f"{folder} hears no texts: leave out text_tokens.")
        told: Any = ByLabel(int(net.num_embeds_ada_norm))
        classes = PipelineClasses(int(net.num_embeds_ada_norm), found.index.get("id2label") or {})
        schedule = schedule_of(folder, parts["scheduler"])
        return PretrainedTransformer(
            parts, told, schedule, sampling, side, device=device, offload=loading.offload
        ), classes
    even, usual, most = (True, 512, 1.15) if found.kind is FLUX else (False, 256, 1.16)
    patch = PATCH if found.kind is FLUX else int(net.patch_size)
    flow = flow_schedule_of(folder, parts["scheduler"], (side // patch) ** 2, most, even)
    towers = [parts[name] for name in TOWERS if name in parts]
    words, lengths = _words(found, parts, towers, loading.text_tokens or usual, device)
    manner = FLUX_MANNER if found.kind is FLUX else SD3
    told = ByTexts(manner, towers, lengths, words.ids([""]), int(net.joint_attention_dim))
    return PretrainedTransformer(parts, told, flow, sampling, side, device=device, offload=loading.offload), words


def _side(found: Found, net: Any, factor: int, wanted: int) -> int:
    """Latents along a side: those that the transformer is made for, or as many as are asked for."""
    usual = FLUX_SIDE if found.kind is FLUX else int(net.sample_size)
    if not wanted:
        return usual
    if found.kind is DIT:
        raise InputError(f"{found.spec} draws images of {usual * factor} pixels alone: leave out side={wanted}.")
    patch = PATCH if found.kind is FLUX else int(net.patch_size)
    most = wanted if found.kind is FLUX else int(net.pos_embed_max_size) * patch * factor
    if wanted % (patch * factor) or wanted > most:
        upto = "" if found.kind is FLUX else f", at most {most}"
        raise InputError(f"side={wanted} cannot be: give a multiple of {patch * factor} pixels{upto}.")
    return wanted // factor


def _words(
    found: Found, parts: dict[str, Any], towers: list[Any], far: int, device: torch.device
) -> tuple[PipelineWords, list[int]]:
    """Words of the tokenizers, CLIP's first, and how many ids of a text each gives; those of T5 are `far`.

    Of a Stable Diffusion 3 without T5 as many ids are zeros, as diffusers has it.
    """
    tokenizers = [parts[name] for name in TOKENIZERS if name in parts]
    clips, net = 1 if found.kind is FLUX else 2, parts["transformer"].config
    near = int(tokenizers[0].model_max_length)
    lost = len(tokenizers) != len(towers)
    for tokenizer, tower in zip(tokenizers, towers, strict=False):
        places = tower.config.to_dict().get("max_position_embeddings", near)
        lost = lost or len(tokenizer) > tower.config.vocab_size or near > places
    if lost:
        raise InputError(
            f"{found.folder}: its tokenizers have other words than its text encoders: copy the whole pipeline."
        )
    widths = [tower.config.hidden_size for tower in towers]
    if found.kind is FLUX:
        fits = widths == [net.pooled_projection_dim, net.joint_attention_dim]
    else:
        fits = sum(tower.config.projection_dim for tower in towers[:2]) == net.pooled_projection_dim
        fits = fits and sum(widths[:2]) <= net.joint_attention_dim and widths[2:] in ([], [net.joint_attention_dim])
    if not fits:
        raise InputError(f"{found.folder}: its transformer does not fit its text encoders: copy the whole pipeline.")
    lengths = [near] * clips + [far]
    return PipelineWords(tokenizers, device, lengths=lengths[: len(tokenizers)]), lengths
