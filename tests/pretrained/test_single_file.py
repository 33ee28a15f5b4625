"""Weights in a single file, in the layout of the first Stable Diffusion, by the configs of a folder."""

import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipelines import components, loaded, written
from veridical import InputError, draw, load

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
ENDS = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0", "conv_out": "out.2",
}  # fmt: skip


def of_unet(key, layers=1):
    """The name of a weight of the U-Net in that layout."""
    for ours, theirs in ENDS.items():
        if key.startswith(ours + "."):
            return theirs + key.removeprefix(ours)
    if found := re.fullmatch(r"(down|up)_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.(.*)", key):
        way, block, kind, layer, rest = found.groups()
        place = int(block) * (layers + 1) + int(layer)
        front = f"input_blocks.{1 + place}" if way == "down" else f"output_blocks.{place}"
        return f"{front}.{int(kind == 'attentions')}.{inner(rest) if kind == 'resnets' else rest}"
    if found := re.fullmatch(r"down_blocks\.(\d+)\.downsamplers\.0\.conv\.(.*)", key):
        return f"input_blocks.{(int(found[1]) + 1) * (layers + 1)}.0.op.{found[2]}"
    if found := re.fullmatch(r"up_blocks\.(\d+)\.upsamplers\.0\.conv\.(.*)", key):
        return f"output_blocks.{int(found[1]) * (layers + 1) + layers}.2.conv.{found[2]}"
    if found := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d+)\.(.*)", key):
        kind, layer, rest = found.groups()
        return (
            f"middle_block.{1 if kind == 'attentions' else 2 * int(layer)}.{inner(rest) if kind == 'resnets' else rest}"
        )
    raise AssertionError(key)


def inner(rest):
    name, _, end = rest.partition(".")
    return f"{RESNET[name]}.{end}"


def of_vae(key, blocks=2):
    """Likewise of the VAE."""
    key = key.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", key)
    key = key.replace("mid_block.attentions.0.", "mid.attn_1.")
    for ours, theirs in (("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out")):
        key = key.replace(f"attn_1.{ours}.", f"attn_1.{theirs}.")
    key = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", key)
    key = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", key)
    key = re.sub(r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{blocks - 1 - int(m[1])}.block.{m[2]}", key)
    return re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{blocks - 1 - int(m[1])}.upsample", key)


def test_a_single_file_draws_what_its_folder_draws(tmp_path):
    parts = components()
    weights = {f"model.diffusion_model.{of_unet(key)}": value for key, value in parts["unet"].state_dict().items()}
    for key, value in parts["vae"].state_dict().items():
        name = of_vae(key)
        many = ".attn_1." in name and name.endswith("weight") and value.dim() == 2
        weights[f"first_stage_model.{name}"] = value[:, :, None, None] if many else value
    for key, value in parts["text_encoder"].state_dict().items():
        front = "" if key.startswith("text_model.") else "text_model."
        weights[f"cond_stage_model.transformer.{front}{key}"] = value
    file = tmp_path / "model.safetensors"
    save_file({key: value.contiguous().clone() for key, value in weights.items()}, file)
    whole = loaded(tmp_path / "whole", parts, sampling_steps=2)
    for path in written(tmp_path / "bare", components(seed=1)).rglob("*.safetensors"):
        path.unlink()
    run = load(f"hub:{file}", "cpu", {"config": str(tmp_path / "bare"), "sampling_steps": 2})
    assert run.model.unet.dtype == torch.float32
    np.testing.assert_allclose(draw(run, 1, prompt="two cracks"), draw(whole, 1, prompt="two cracks"), atol=1e-5)
    assert len(run.checkpoint()["sha256"]) == 64
    with pytest.raises(InputError, match="holds weights alone: add --set config=FOLDER"):
        load(f"hub:{file}", "cpu")
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="cannot be loaded"):
        load(f"hub:{tmp_path / 'other.safetensors'}", "cpu", {"config": str(tmp_path / "bare")})
