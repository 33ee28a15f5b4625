"""Attention of a network seen, and replaced, from outside: what prompt-to-prompt and masks from words are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from veridical.nets.dit import Attention


class Place(NamedTuple):
    """Where in a network attention is.

    Attributes
    ----------
    name : str
        Of its module.
    cross : bool
        Whether places of the image attend to the tokens of a text; else to one another.
    """

    name: str
    cross: bool


# ``control(probabilities, place)`` of (N, heads, Q, K) returns what is to take their place, or the same.
Control = Callable[[Tensor, Place], Tensor]


@contextmanager
def controlled(net: nn.Module, control: Control) -> Iterator[None]:
    """Within this, all attention of `net` goes through `control`, and is not computed in one piece.

    Parameters
    ----------
    net : nn.Module
        Of diffusers, or a `veridical.nets.dit.DiT`.
    control : callable
        Sees the probabilities (N, heads, Q, K) of every evaluation, in the order of the network; rows of a map are its places.
    """
    from diffusers.models.attention_processor import Attention as Theirs

    theirs = {name: module for name, module in net.named_modules() if isinstance(module, Theirs)}
    ours = {name: module for name, module in net.named_modules() if isinstance(module, Attention)}
    before = {name: module.processor for name, module in theirs.items()}
    crosses = {name: module.is_cross_attention for name, module in theirs.items()}
    try:
        for name, module in theirs.items():
            watched: Any = Watched(control, Place(name, crosses[name]))
            module.set_processor(watched)
        for name, own in ours.items():
            own.control = partial(_shown, control, name)
        yield
    finally:
        for name, module in theirs.items():
            module.set_processor(before[name])
        for own in ours.values():
            own.control = None


def _shown(control: Control, name: str, found: Tensor, cross: bool) -> Tensor:
    return control(found, Place(name, cross))


class Watched:
    """A processor of diffusers' attention that shows its probabilities (their `AttnProcessor` computes the same)."""

    def __init__(self, control: Control, place: Place) -> None:
        self._control, self._place = control, place

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        """See diffusers."""
        kept, shape = hidden_states, hidden_states.shape
        x = hidden_states if attn.spatial_norm is None else attn.spatial_norm(hidden_states, temb)
        x = x.flatten(2).transpose(1, 2) if len(shape) == 4 else x
        context = x if encoder_hidden_states is None else encoder_hidden_states
        if encoder_hidden_states is not None and attn.norm_cross:
            context = attn.norm_encoder_hidden_states(context)
        n, keys, _ = context.shape
        mask = attn.prepare_attention_mask(attention_mask, keys, n)
        if attn.group_norm is not None:
            x = attn.group_norm(x.transpose(1, 2)).transpose(1, 2)
            context = x if encoder_hidden_states is None else context
        query, key, value = (
            attn.head_to_batch_dim(part) for part in (attn.to_q(x), attn.to_k(context), attn.to_v(context))
        )
        found = attn.get_attention_scores(query, key, mask).unflatten(0, (n, -1))
        found = self._control(found, self._place)
        y = attn.batch_to_head_dim(torch.bmm(found.flatten(0, 1), value))
        y = attn.to_out[1](attn.to_out[0](y))
        if len(shape) == 4:
            y = y.transpose(1, 2).reshape(shape)
        if attn.residual_connection:
            y = y + kept
        result: Tensor = y / attn.rescale_output_factor
        return result
