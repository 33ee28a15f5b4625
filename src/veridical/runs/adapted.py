"""A few weights that are put into a trained model, and found again there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import nn

from veridical.core.errors import InputError
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.latent import LatentDiffusion
from veridical.models.diffusion.settings import can_draw
from veridical.models.text.told import ToldDenoiser
from veridical.nets.lora import add_lora
from veridical.nets.text import TextOrNone, Tower
from veridical.nets.word import WithNewWord
from veridical.pretrained.model import Pretrained

PART = "denoiser"  # what losses call what is trained


def put_into(
    model: nn.Module, how: str, settings: dict[str, Any], seed: int = 0, like: Callable[[str], list[int]] | None = None
) -> None:
    """Make a trained model one that is adapted, in place: its ``parts`` are the few weights that are put into it.

    At first it computes what it did, to the bit.

    Parameters
    ----------
    model : nn.Module
        A `Denoiser`, `LatentDiffusion`, `ToldDenoiser` or `Pretrained` that sees and hears nothing but images and text.
    how : str
        ``textual_inversion`` adds a word, all others low-rank changes.
    settings : dict
        ``rank`` and ``targets``, or ``number``, the id of the new word.
    seed : int
        Of the low-rank changes.
    like : callable, optional
        Ids, in the arrays of that name (``text`` or ``spelled``), of the word that a new one begins as.

    Raises
    ------
    InputError
        If this model cannot be adapted so.
    """
    inner = inner_of(model)
    model.eval().requires_grad_(False)
    if how == "textual_inversion":
        added = nn.ModuleList(_new_words(model, inner, settings["number"], like or (lambda array: [])))
    else:
        net: Any = inner.unet if isinstance(inner, Pretrained) else inner.net
        added = add_lora(net, settings["targets"], settings["rank"], seed)
    mine = {id(p) for p in added.parameters() if p.requires_grad}
    whole: Any = model
    whole.adapters = frozenset(name for name, p in model.named_parameters() if id(p) in mine)
    whole.parts = {PART: _Trained([p for p in added.parameters() if p.requires_grad])}
    if isinstance(inner, Denoiser):
        # The early weights are those of the base alone: guidance away from them would lead beyond the new images.
        can_draw(inner.law, inner.sampling, early=False)
        inner.early = None
        inner.law = dataclasses.replace(inner.law, early_steps=0)
        if how == "textual_inversion":
            inner.embed = dataclasses.replace(inner.embed, label_dropout=0.0)


class _Trained(nn.ParameterList):
    """The weights that are trained, in a module of their own, whose names are not saved."""


def can_adapt(model: nn.Module) -> bool:
    """Whether `put_into` takes a model."""
    if isinstance(model, Pretrained):
        return not model.sees and model.control is None and model.unet.config.class_embed_type is None
    return type(model) in (Denoiser, LatentDiffusion, ToldDenoiser)


def inner_of(model: nn.Module) -> Denoiser | Pretrained:
    """The part of a model that has the network."""
    if not can_adapt(model):
        raise InputError("this is no denoiser that sees and hears nothing but images and text: it cannot be adapted.")
    found: Any = model if isinstance(model, Denoiser | Pretrained) else model.denoiser
    return found  # type: ignore[no-any-return]


def _new_words(
    model: nn.Module, inner: Denoiser | Pretrained, number: int, like: Callable[[str], list[int]]
) -> Iterator[WithNewWord]:
    """Put a new row into each table of words that hears texts."""
    if isinstance(inner, Pretrained):
        if len(inner.towers) > 1:
            raise InputError("a pipeline with several text encoders learns no new word here: use lora or dreambooth.")
        yield _in_tower(inner.towers[0], number, like("spelled"))
        return
    if isinstance(inner.text, TextOrNone):
        inner.text.words = made = WithNewWord(inner.text.words, number, tuple(like("text")))  # type: ignore[assignment]
        yield made
    elif isinstance(inner.text, Tower):
        yield _in_tower(inner.text.tower, number, like("spelled"))
    else:
        raise InputError("this run hears no words: it learns no new one; use lora.")
    if isinstance(model, ToldDenoiser):
        yield _in_tower(model.clip.text, number, like("spelled"))


def _in_tower(tower: Any, number: int, like: Iterable[int]) -> WithNewWord:
    made = WithNewWord(tower.get_input_embeddings(), number, tuple(like))
    tower.set_input_embeddings(made)
    return made
