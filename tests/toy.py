"""The smallest version of every recipe: seconds to train on one core."""

from pathlib import Path

import numpy as np
from PIL import Image

UNET = {"widths": (16, 32), "layers": 1, "attention": (False, True)}
TOY: dict[str, dict] = {
    "random_phase": {"tiles": 16},
    "vae": {"width": 8, "latent": 8},
    "gan": {"width": 8, "latent": 8},
    "cgan": {"width": 8, "latent": 8, "classes": 3},
    "dcgan": {"width": 8, "latent": 8},
    "wgan_gp": {"width": 8, "latent": 8, "critic_steps": 2},
    "sagan": {"width": 8, "latent": 8},
    "biggan": {"width": 8, "latent": 8, "classes": 3},
    "edm": {**UNET, "sampling_steps": 4},
    "autoencoder": {"widths": (16, 32)},
    "latent_diffusion": {**UNET, "sampling_steps": 4},
}


def write_tiles(
    folder: Path, n: int = 24, size: int = 96, channels: int = 1, seed: int = 0, dtype: str = "uint8"
) -> Path:
    """Write `n` images of soft blobs: something to learn, in no time."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    top = 255 if dtype == "uint8" else 40000
    for which, count in (("train", n), ("test", max(2, n // 4))):
        (folder / which).mkdir(parents=True)
        for k in range(count):
            phase = rng.uniform(0, 6, (channels, 1, 1))
            image = (
                0.5
                + 0.3 * np.sin(x / 5 + phase) * np.cos(y / 7 + phase)
                + 0.05 * rng.standard_normal((channels, size, size))
            )
            stored = np.rint(np.clip(image, 0, 1) * top).astype(dtype).transpose(1, 2, 0)
            Image.fromarray(stored[..., 0] if channels == 1 else stored).save(folder / which / f"{which}_{k:03d}.png")
    return folder
