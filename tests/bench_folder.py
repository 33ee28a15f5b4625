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


def result_row(dataset, recipe, seed, metric, value, width=0.1, floor=0.0, reason=None, remark=None):
    low, high = (None, None) if value is None else (value - width / 2, value + width / 2)
    settings = {"extractor": "efficientnet_lite0", "layers": "last feature map (1280)", "interval": "jackknife"}
    if metric.startswith("kid"):
        settings["kernel"] = "(x.y / d + 1)^3"
    return {
        "recipe": recipe, "dataset": dataset, "seed": seed, "metric": metric, "value": value, "low": low, "high": high,
        "n": 48, "floor": floor, "reason": reason, "remark": remark, "settings": settings,
    }  # fmt: skip


def make_bench(
    folder: Path, images: dict[str, str], size=64, seeds=(0,), failed=(), running=(), missing=(), recipes=tuple(RECIPES)
) -> Path:
    """A bench folder; `images` names one of scikit-image's pictures a dataset, the rest are (dataset, recipe, seed)."""
    rng = np.random.default_rng(0)
    spec = {
        "title": "Textures <& others>", "size": size, "samples": 48, "seeds": list(seeds), "budget": {"minutes": 6},
        "datasets": {name: {"data": f"skimage:{image}"} for name, image in images.items()},
        "recipes": {k: {"family": f, "summary": s, "citation": c, "args": {"lr": 4e-4} if k == "edm" else {}}
                    for k, (f, s, c) in RECIPES.items() if k in recipes},
        "version": "0.1.0", "created": "2026-03-01T09:30:00+00:00",
    }  # fmt: skip
    write(folder / "spec.json", spec)
    for dataset, image in images.items():
        place = folder / "datasets" / dataset
        place.mkdir(parents=True)
        real = {which: tiles(image, size, n, rng) for which, n in (("test", 30), ("train", 60))}
        for which, stack in real.items():
            np.save(place / f"{which}.npy", stack)
            write(place / f"{which}_groups.json", [f"slice{k % 6}" for k in range(len(stack))])
        summary = {
            "spec": f"skimage:{image}", "kind": "image", "slices": 1, "shapes": [[512, 512]], "dtype": "uint8",
            "channels": real["test"].shape[1], "size": size, "augment": "dihedral", "pixel_size": 1.75, "scale": 1.0,
            "window": {"low": 3.0, "high": 250.0, "dtype": "uint8"}, "split": "blocks with a gap of 16 pixels",
            "n_train_tiles": 60, "n_test_tiles": 30, "notes": ["palette image converted"], "fingerprint": "ab12cd34",
        }  # fmt: skip
        write(place / "summary.json", summary)
        for recipe in recipes:
            for seed in seeds:
                key = (dataset, recipe, seed)
                if key not in missing:
                    state = "failed" if key in failed else "running" if key in running else "done"
                    make_cell(folder, *key, state, real["train"], rng)
    return folder


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
    few = "means little with 30 images a set; give 40" if recipe == "vae" else None
    rows = [
        result_row(dataset, recipe, seed, "ssim", None, reason="needs pairs"),
        result_row(dataset, recipe, seed, "kid_efficientnet_lite0", value * 0.031, 0.004, 0.0007),
        result_row(dataset, recipe, seed, "kid_over_random_phase", value, 0.24, 0.021),
        result_row(dataset, recipe, seed, "fd_efficientnet_lite0", 180 + 170 * value, 41.0, 201.3),
        result_row(dataset, recipe, seed, "precision_capped", 0.9 - 0.4 * value, 0.11, 0.91),
        result_row(dataset, recipe, seed, "recall_capped", None if few else 0.8 - 0.5 * value, 0.13, 0.88, few),
        result_row(dataset, recipe, seed, "coverage", 1 - 0.6 * value, 0.12, 0.95),
        result_row(dataset, recipe, seed, "memorised", 0.04, 0.06, 0.048),
    ]
    write(cell / "rows.json", rows)
    cost = {
        "parameters": 0 if recipe == "random_phase" else 7_012_345, "train_seconds": 361.2, "steps": 1834, "batch": 32,
        "seconds_per_image": 0.0472, "peak_memory_mb": 1480.4, "device": "cpu", "threads": 2,
        "steps_per_second": 5.08, "first_steps_per_second": 12.0 if recipe == "dcgan" else 5.4,
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
