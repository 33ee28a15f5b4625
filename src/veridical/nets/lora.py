"""Low-rank changes of a frozen network (Hu et al. 2021, arXiv:2106.09685), as the library peft has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from veridical.core.errors import InputError

# Layers by the ends of their names: of diffusers' attention and of a `veridical.nets.dit.DiT`; of diffusers' residual blocks.
GROUPS = {
    "attention": ("to_q", "to_k", "to_v", "to_out.0", "query", "key", "value", "out"),
    "convolutions": ("conv1", "conv2"),
}


def add_lora(net: nn.Module, targets: Iterable[str], rank: int, seed: int) -> nn.ModuleList:
    """Put a product of two thin matrices beside layers of a network, in place; at first it adds exactly nothing.

    A layer W becomes ``W + B A`` with A (rank, in) random and B (out, rank) zero (Hu et al. 2021, section 4.1, with
    alpha = rank); of a convolution A is one of as large filters, and B one of 1 x 1.

    Parameters
    ----------
    net : nn.Module
    targets : iterable of str
        Names of `GROUPS`, or ends of names of layers, such as ``to_q``.
    rank : int
    seed : int
        Of the A.

    Returns
    -------
    nn.ModuleList
        The new layers; all others are frozen.

    Raises
    ------
    InputError
        If a target names no linear layer and no convolution of the network, or peft is not there.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise InputError("adaptation needs the library peft: pip install 'veridical[adapt]'.") from error
    if any(".lora_A." in name for name, _ in net.named_parameters()):
        raise InputError("it is adapted already: adapt its base.")
    layers = [name for name, module in net.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    chosen: list[str] = []
    for target in targets:
        ends = GROUPS.get(target, (target,))
        found = [name for name in layers if name.endswith(tuple(f".{end}" for end in ends)) or name in ends]
        if not found and target not in GROUPS:
            raise InputError(f"targets={target}: no linear layer or convolution of this network is called so.")
        chosen += found
    if not chosen:
        raise InputError("this network has none of the layers that are asked for: set targets=attention,convolutions.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=sorted(set(chosen))), net)
    net.requires_grad_(False)
    return nn.ModuleList(part for layer in _layers(net) for part in (layer.lora_A, layer.lora_B)).requires_grad_(True)


def _layers(net: nn.Module) -> Iterator[Any]:
    from peft.tuners.lora import LoraLayer

    return (module for module in net.modules() if isinstance(module, LoraLayer))


@contextmanager
def without_lora(net: nn.Module) -> Iterator[None]:
    """Within this the network is as it was before `add_lora`."""
    layers = list(_layers(net))
    before = [layer._disable_adapters for layer in layers]
    try:
        for layer in layers:
            layer._disable_adapters = True
        yield
    finally:
        for layer, off in zip(layers, before, strict=True):
            layer._disable_adapters = off


def merge_lora(net: nn.Module) -> None:
    """Add the products to the weights and make of the network one with its plain layers again, in place."""
    from peft.tuners.lora import LoraLayer

    for name, module in list(net.named_modules()):
        if isinstance(module, LoraLayer):
            whole: Any = module
            whole.merge(safe_merge=True)
            parent, _, last = name.rpartition(".")
            setattr(net.get_submodule(parent), last, whole.get_base_layer())
