"""The smallest version of every recipe: seconds to train on one core."""

import json
from pathlib import Path

import numpy as np
import tifffile
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from veridical.recipes.table import RECIPES, build, settings

UNET = {"widths": (16, 32), "layers": 1, "attention": (False, True)}
PRIOR = {
    "prior_width": 32,
    "prior_layers": 1,
    "components": 8,
    "buckets": 16,
    "prior_steps": 4,
    "vocabulary": 300,
    "spelled_tokens": 32,
}
TOY: dict[str, dict] = {
    "random_phase": {"tiles": 16},
    "vae": {"width": 8, "latent": 8},
    "beta_vae": {"width": 8, "latent": 4},
    "vqvae": {"width": 16, "blocks": 1, "codes": 16, "dim": 8, "prior_width": 16, "prior_layers": 2},
    "gan": {"width": 8, "latent": 8},
    "cgan": {"width": 8, "latent": 8, "classes": 3},
    "dcgan": {"width": 8, "latent": 8},
    "wgan_gp": {"width": 8, "latent": 8, "critic_steps": 2},
    "sagan": {"width": 8, "latent": 8},
    "biggan": {"width": 8, "latent": 8, "classes": 3},
    "progan": {"latent": 8, "width": 4},
    "stylegan": {"latent": 8, "width": 4, "mapping": 2},
    "pix2pix": {"classes": 3, "width": 8},
    "slicegan": {"latent": 4, "width": 4, "critic": 8, "critic_steps": 2},
    "slicegan_directed": {"latent": 4, "width": 4, "critic": 8, "classes": 3},
    "cyclegan": {"width": 16, "blocks": 1, "pool": 4},
    "ddpm": {**UNET, "sampling_steps": 4, "variance": "learned"},
    "ncsn": {**UNET, "sampling_steps": 4, "langevin_steps": 2},
    "score_sde": {**UNET, "sampling_steps": 4},
    "edm": {**UNET, "sampling_steps": 4},
    "flow_matching": {**UNET, "sampling_steps": 4},
    "dit": {"widths": (32,), "layers": 2, "sampling_steps": 4},
    "cfg": {**UNET, "classes": 3, "sampling_steps": 4},
    "guided": {
        **UNET,
        "classes": 3,
        "classifier_widths": (16, 16),
        "sampling_steps": 4,
        "early_steps": 2,
        "autoguidance": 1.5,
    },
    "edm_3d": {"widths": (16, 16), "patch": 4, "sampling_steps": 4},
    "labelled": {**UNET, "classes": 3, "sampling_steps": 4},
    "upsampler": {**UNET, "sampling_steps": 4},
    "mask_diffusion": {**UNET, "classes": 3, "sampling_steps": 4, "mask_dropout": 0.5},
    "progressive_distillation": {"start_steps": 8, "final_steps": 2},
    "consistency": {"levels": 6},
    "autoencoder": {"widths": (16, 32)},
    "latent_diffusion": {**UNET, "sampling_steps": 4},
    "clip": {"widths": (16, 16), "dim": 32, "width": 32, "layers": 1, "vocabulary": 300, "spelled_tokens": 32},
    "stackgan": {"width": 8, "latent": 8, "code": 8, "told": 8, "blocks": 1},
    "gigagan": {"latent": 8, "width": 4, "mapping": 2, "bank": 2},
    "attngan": {"latent": 8, "width": 8, "code": 8, "told": 8, "common": 32},
    "text_to_image": {**UNET, "vocabulary": 300, "sampling_steps": 4},
    "stable_diffusion": {**UNET, "sampling_steps": 4},
    "unclip": {**UNET, **PRIOR, "words": True, "sampling_steps": 4},
    "stable_unclip": {**UNET, **PRIOR, "prior": "autoregressive", "sampling_steps": 4},
    "instruct_pix2pix": {**UNET, "vocabulary": 300, "sampling_steps": 4},
    "controlnet": {"hints": 1, "sampling_steps": 4},
    "inpainting": {"sampling_steps": 4},
    "dalle3": {**UNET, "vocabulary": 300, "sampling_steps": 4},
    "dalle": {"width": 32, "layers": 2, "best_of": 2, "vocabulary": 300, "tokens": 16, "spelled_tokens": 32},
}


def stage_toy(stage):
    """Arguments of the smallest version of a stage of a recipe."""
    return settings(stage.recipe, stage.args)[1] | TOY[stage.recipe]


def lively(module):
    """A module with random numbers where weights begin at zero: as if it had been trained."""
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        if not parameter.any():
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return module


def base_of(name: str, size: int = 32, **more: object) -> torch.nn.Module:
    """The smallest version of a recipe that others go on from, as if it had been trained."""
    stages = {held: build(stage.recipe, 1, size, stage_toy(stage)) for held, stage in RECIPES[name].first.items()}
    for stage in stages.values():
        if hasattr(stage, "prepare"):
            stage.prepare(torch.randn(4, 1, size, size, generator=torch.Generator().manual_seed(0)))
    base = build(name, 1, size, {**TOY[name], **more}, stages)
    base.prepare(torch.randn(8, 1, size, size, generator=torch.Generator().manual_seed(0)))
    return lively(base)


def write_tiles(
    folder: Path,
    n: int = 24,
    size: int = 96,
    channels: int = 1,
    seed: int = 0,
    dtype: str = "uint8",
    conditions: bool = False,
) -> Path:
    """Write `n` images of soft blobs: something to learn, in no time; with `conditions` also label images of three classes,
    a table with the column ``kind`` of as many, and captions.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    top = 255 if dtype == "uint8" else 40000
    kinds, captions = ["name,kind"], []
    for which, count in (("train", n), ("test", max(2, n // 4))):
        (folder / which).mkdir(parents=True)
        if conditions:
            (folder / which / "masks").mkdir()
        for k in range(count):
            phase = rng.uniform(0, 6, (channels, 1, 1))
            image = (
                0.5
                + 0.3 * np.sin(x / 5 + phase) * np.cos(y / 7 + phase)
                + 0.05 * rng.standard_normal((channels, size, size))
            )
            stored = np.rint(np.clip(image, 0, 1) * top).astype(dtype).transpose(1, 2, 0)
            Image.fromarray(stored[..., 0] if channels == 1 else stored).save(folder / which / f"{which}_{k:03d}.png")
            if conditions:
                mask = np.digitize(image[0], (0.4, 0.6)).astype(np.uint8)
                Image.fromarray(mask).save(folder / which / "masks" / f"{which}_{k:03d}.png")
                kinds.append(f"{which}_{k:03d},{'abc'[k % 3]}")
                text = f"waves of kind {'abc'[k % 3]}, phase {phase.mean():.2f}"
                captions.append(json.dumps({"file_name": f"{which}_{k:03d}.png", "text": text}))
    if conditions:
        (folder / "labels.csv").write_text("\n".join(kinds), encoding="utf-8")
        (folder / "captions.jsonl").write_text("\n".join(captions), encoding="utf-8")
    return folder


def write_changes(folder: Path, n: int = 12, size: int = 40, seed: int = 0) -> Path:
    """Write `n` pairs of images before and after an instruction, with masks of those after; each is larger than a tile."""
    rng = np.random.default_rng(seed)
    for name in ("before", "after", "after_masks"):
        (folder / name).mkdir(parents=True)
    rows = []
    for k, image in enumerate(texture(n, size, seed)[:, 0]):
        y, x = rng.integers(0, size - 8, 2)
        after, mask = image.copy(), np.zeros((size, size), np.uint8)
        after[y : y + 8, x : x + 8] = k % 2
        mask[y : y + 8, x : x + 8] = 1
        for which, shown in (("before", image), ("after", after)):
            Image.fromarray(np.rint(shown * 255).astype(np.uint8)).save(folder / which / f"{k:04d}.png")
        Image.fromarray(mask).save(folder / "after_masks" / f"{k:04d}.png")
        texts = (
            ("Add a bright square.", "Put in a bright one.") if k % 2 else ("Add a dark square.", "Put in a dark one.")
        )
        files = {which: f"{which}/{k:04d}.png" for which in ("before", "after")}
        rows.append(json.dumps({**files, "instruction": texts[k // 2 % 2], "instructions": texts}))
    (folder / "pairs.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def write_volume(folder: Path, shape: tuple[int, int, int] = (48, 40, 40), seed: int = 0) -> Path:
    """Write a volume of smooth blobs as a TIFF of many pages."""
    folder.mkdir(parents=True)
    field = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 3)
    counts = np.rint(128 + 80 * np.tanh(2 * field / field.std())).astype(np.uint8)
    tifffile.imwrite(folder / "volume.tif", counts, photometric="minisblack")
    return folder / "volume.tif"


def data_for(needs, folder: Path) -> Path:
    """A folder with all that a recipe with these needs learns from."""
    if "block" in needs:
        return write_volume(folder)
    return write_changes(folder) if "before" in needs else write_tiles(folder, conditions=True)


def texture(n, size=48, seed=0):
    """Smooth two-phase structure with noise: no two alike."""
    rng = np.random.default_rng(seed)
    coarse = gaussian_filter(rng.standard_normal((n, size, size)), (0, 2.5, 2.5))
    grey = 0.5 + 0.2 * np.tanh(4 * coarse / coarse.std()) + 0.03 * rng.standard_normal(coarse.shape)
    return np.clip(grey, 0, 1)[:, None].astype(np.float32)
