"""A run in pixels that was exported draws in plain diffusers what it draws here."""

import json

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline

from toy import write_tiles
from veridical import export, load, train
from veridical.core.errors import InputError
from veridical.hub.pixels import INSTEAD
from veridical.runs.tensors import own_tensors, write_tensors

SHAPE = {"widths": (32, 32), "attention": (False, True), "patch": 1}
GIVEN = {"size": 16, "batch": 4, "steps": 1, "threads": 1, "quiet": True, "sampling_steps": 12}


def shaken(run):
    """The same with all weights of its network random: at first they end with zeros."""
    model = load(run, device="cpu").model
    generator = torch.Generator().manual_seed(0)
    for name, tensor in own_tensors(model).items():
        if name.startswith("net."):
            tensor.add_(0.05 * torch.randn(tensor.shape, generator=generator))
    write_tensors(run / "model.safetensors", own_tensors(model), step="1")
    return run


@pytest.mark.parametrize(
    ("formulation", "variance", "clamp", "channels"),
    [("ddpm_cosine", "small", True, 1), ("v_linear", "large", False, 3), ("ddpm_linear", "learned", True, 1)],
)
def test_plain_diffusers_draws_the_same_image(tmp_path, formulation, variance, clamp, channels):
    data = write_tiles(tmp_path / "data", n=8, size=16, channels=channels)
    law = {"formulation": formulation, "variance": variance, "clamp": clamp, "standardise": False}
    run = shaken(train("ddpm", data, tmp_path / "run", **GIVEN, **SHAPE, **law))
    folder = export(run, tmp_path / "pipeline")
    pipeline = DDPMPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    model = load(run, "cpu").model
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        sampled = model.sample(2, {}, lambda shape: torch.randn(2, *shape, generator=generator))
    ours = ((sampled.clamp(-1, 1) + 1) / 2).numpy()
    drawn = pipeline(2, torch.Generator().manual_seed(0), num_inference_steps=12, output_type="np").images
    theirs = drawn.transpose(0, 3, 1, 2)
    assert ours.shape == theirs.shape == (2, channels, 16, 16) and np.abs(ours - theirs).max() < 1e-4
    assert ((ours > 0) & (ours < 1)).mean() > 0.2  # not all at the ends, which would be equal for nothing
    about, card = json.loads((folder / "veridical.json").read_text()), (folder / "README.md").read_text()
    assert about["recipe"] == "ddpm" and "guidance_scale" not in about and about["num_inference_steps"] == 12
    assert "pipeline_tag: unconditional-image-generation" in card and "DDPMPipeline.from_pretrained" in card


def test_what_no_pipeline_holds_is_said(tmp_path):
    data = write_tiles(tmp_path / "data", n=8, size=16)
    run = train(
        "edm", data, tmp_path / "run", **GIVEN, widths=(32,), attention=(False,), early_steps=0, autoguidance=1.0
    )
    with pytest.raises(InputError) as caught:
        export(run, tmp_path / "x")
    said = str(caught.value)
    for part in ("skip=wiener", "patch=4", "formulation=edm", "standardise=true", INSTEAD):
        assert part in said, part
    plain = train("ddpm", data, tmp_path / "ddpm", **GIVEN, **SHAPE)
    with pytest.raises(InputError, match=r"that no pipeline of diffusers holds: it works on images of another mean"):
        export(plain, tmp_path / "x")
    with pytest.raises(InputError, match="skip=wiener is of standardised images"):
        train("edm", data, tmp_path / "y", **GIVEN, standardise=False)
    assert not (tmp_path / "x").exists()
