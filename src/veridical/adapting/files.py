"""What was learned, in the files that diffusers loads."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from veridical.nets.word import WithNewWord
from veridical.recipes.info import RunInfo
from veridical.runs.tensors import read_tensors, write_tensors

LORA_FILE, WORD_FILE = "pytorch_lora_weights.safetensors", "learned_embeds.safetensors"
# How names of the U-Net's tensors begin in runs that are pipelines of diffusers: those of other people, and what export writes.
UNET = {"hub_": "unet.", "stable_diffusion": "denoiser.net.net."}


def write_for_diffusers(folder: Path, info: RunInfo, model: nn.Module) -> Path | None:
    """Write the weights of an adapted run for ``load_lora_weights`` or ``load_textual_inversion``.

    Parameters
    ----------
    folder : Path
    info : RunInfo
    model : nn.Module
        What was adapted: it knows the unit of a new word.

    Returns
    -------
    Path or None
        The file; none where diffusers has no pipeline of this kind.
    """
    adapted = info.adapted
    prefix = next((place for name, place in UNET.items() if info.recipe.startswith(name)), None)
    if adapted is None or prefix is None:
        return None
    tensors, _ = read_tensors(folder / "model.safetensors")
    if adapted.how == "textual_inversion":
        if not adapted.pipeline:
            return None  # its tokenizer takes numbers apart as that of a pipeline does not
        (learned,) = tensors.values()
        (unit,) = (part.unit for part in model.modules() if isinstance(part, WithNewWord))
        path, named = folder / WORD_FILE, {adapted.settings["word"]: learned[None] * unit}
    else:
        path = folder / LORA_FILE
        named = {f"unet.{k.removeprefix(prefix).replace('.default.', '.')}": v for k, v in tensors.items()}
    write_tensors(path, named)
    return path
