"""A bench folder as `veridical bench` leaves it, with made-up results."""

import json
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

RECIPES = {
    "random_phase": ("classical", "a tile's spectrum with random phases: learns nothing", "Galerne et al. 2011"),
    "vae": ("VAE", "convolutional variational auto-encoder", "Kingma and Welling 2014, arXiv:1312.6114"),
    "dcgan": ("GAN", "deep convolutional GAN", "Radford et al. 2016, arXiv:1511.06434"),
    "edm": ("diffusion", "pixel-space diffusion", "Karras et al. 2022, arXiv:2206.00364"),
    "latent_diffusion": ("diffusion", "diffusion in latents", "Rombach et al. 2022, arXiv:2112.10752"),
}


QUALITY = {"random_phase": 1.0, "vae": 1.35, "dcgan": 0.71, "edm": 0.34, "latent_diffusion": 0.45}


def tiles(name: str, size: int, n: int, rng) -> np.ndarray:
    """Random crops of an image that scikit-image ships, (N, C, size, size) in [0, 1]."""
    from skimage import data

    image = np.atleast_3d(getattr(data, name)()).astype(np.float32)[..., :3] / 255
    places = rng.integers(0, np.array(image.shape[:2]) - size + 1, (n, 2))
    return np.stack([image[y : y + size, x : x + size].transpose(2, 0, 1) for y, x in places])


def result_row(dataset, recipe, seed, metric, value, width=0.1, floor=0.0, reason=None):
    low, high = (None, None) if value is None else (value - width / 2, value + width / 2)
    settings = {"extractor": "efficientnet_lite0", "layers": "last feature map (1280)", "interval": "jackknife"}
    if metric.startswith("kid"):
        settings["kernel"] = "(x.y / d + 1)^3"
    return {
        "recipe": recipe, "dataset": dataset, "seed": seed, "metric": metric, "value": value, "low": low, "high": high,
        "n": 48, "floor": floor, "reason": reason, "settings": settings,
    }  # fmt: skip


def make_cell(folder, dataset, recipe, seed, state, train, rng):
    cell = folder / "cells" / dataset / f"{recipe}-seed{seed}"
    cell.mkdir(parents=True)
    reason = f"loss of part generator_{recipe} is NaN at step 120 & 50% <b>" if state == "failed" else None
    write(cell / "status.json", {"state": state, "reason": reason})
    make_log(cell / "run", {"generator": 2.0, "discriminator": 1.4} if recipe == "dcgan" else {recipe: 0.9}, rng)
    if recipe == "latent_diffusion":
        make_log(cell / "run" / "first", {"autoencoder": 30.0}, rng)
    if state != "done":
        return
    samples = train[rng.integers(0, len(train), 48)]
    blur = {"random_phase": 0, "vae": 3, "dcgan": 0.5, "edm": 0.7, "latent_diffusion": 1.2}[recipe]
    samples = gaussian_filter(samples, (0, 0, blur, blur)) + rng.normal(0, 0.02, samples.shape)
    if recipe == "random_phase":
        phase = np.angle(np.fft.fft2(rng.random(samples.shape[-2:])))
        samples = np.fft.ifft2(np.abs(np.fft.fft2(samples)) * np.exp(1j * phase)).real
    np.save(cell / "samples.npy", np.clip(samples, 0, 1).astype(np.float32))
    value = QUALITY[recipe] * rng.uniform(0.95, 1.05)
    few = "needs more than 5 images a set (k = 5 neighbours)" if recipe == "vae" else None
    rows = [
        result_row(dataset, recipe, seed, "ssim", None, reason="needs pairs"),
        result_row(dataset, recipe, seed, "kid_efficientnet_lite0", value * 0.031, 0.004, 0.0007),
        result_row(dataset, recipe, seed, "kid_over_random_phase", value, 0.24, 0.021),
        result_row(dataset, recipe, seed, "fd_efficientnet_lite0", 180 + 170 * value, 41.0, 201.3),
        result_row(dataset, recipe, seed, "precision", 0.9 - 0.4 * value, 0.11, 0.91),
        result_row(dataset, recipe, seed, "recall", None if few else 0.8 - 0.5 * value, 0.13, 0.88, few),
        result_row(dataset, recipe, seed, "density", 0.9, 0.2, 1.0),
        result_row(dataset, recipe, seed, "coverage", 1 - 0.6 * value, 0.12, 0.95),
        result_row(dataset, recipe, seed, "memorised", 0.04, 0.06, 0.048),
    ]
    write(cell / "rows.json", rows)
    cost = {
        "parameters": 0 if recipe == "random_phase" else 7_012_345, "train_seconds": 361.2, "steps": 1834, "batch": 32,
        "seconds_per_image": 0.0472, "peak_memory_mb": 1480.4, "device": "cpu", "threads": 2,
    }  # fmt: skip
    write(cell / "cost.json", cost)
    crops = rng.integers(0, len(train), 48)
    found = {key: list(range(48)) for key in ("sample", "train", "top", "left", "orientation")}
    found["name"] = [f"slice{k % 6}" for k in crops]
    np.save(cell / "nearest.npy", train[crops])
    found |= {"distance": rng.uniform(0.2, 0.9, 48).tolist(), "test_distance": rng.uniform(0.3, 0.9, 30).tolist()}
    write(cell / "nearest.json", found)


def make_log(run: Path, parts: dict[str, float], rng):
    run.mkdir(parents=True)
    lines = []
    for k in range(300):
        loss = {part: start * (0.15 + np.exp(-k / 60)) * rng.lognormal(0, 0.25) for part, start in parts.items()}
        lines.append(json.dumps({"step": 6 * k, "seconds": 1.2 * k, "loss": loss}))
    (run / "log.jsonl").write_text("\n".join(lines) + '\n{"step": 18', encoding="utf-8")


def write(path: Path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
