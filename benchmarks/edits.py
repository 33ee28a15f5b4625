"""Editing systems compared on pairs of phantoms, of which it is known what should change and into what.

    python benchmarks/edits.py SPEC.toml --run NAME=RUN ... [--material cmc] [--clip RUN] [--only "sdedit 0.6" ...] --out DIR

Each system of SPEC is given the images before, with the caption of before and after or the instruction. Of what comes back is
measured, by the segmentation network of benchmarks/words.py:

obeyed: the property that the instruction names is nearer to that of the true after-image than half the way from the source, and
within three errors of the ruler; all of them, of an instruction that names two. half: the first of these alone, as captions
round a share to a whole percent, which is most of three errors of the ruler. locality: mean change outside the true region of
change, in units of the noise of the phantoms, and the share of pixels there that changed at all. structure: mean Dice of the
masks of all classes outside it, before against after. truth: root mean square difference from the true after-image in the
region, over that of another draw of the same change (or noise, if that is more). mask: intersection over union of the region that
an edit finds itself with the true one. realism: share of images that the audit passes,
and kid_over_random_phase against true after-images. cost: evaluations of the network and seconds an image. Beside these the
scores that the review has: SSIM and LPIPS to the source, a Frechet distance, clipscore_domain with the caption of after; and how
well each ranks systems as the truth does (share of images that obey, keep their structure and pass the audit), Kendall's tau with
its interval over pairs.

Lines to beat are "copy" (the source itself) and "re-prompt"; "truth" is the after-image. DIR keeps the ruler, the edited images
(an interrupted run goes on), the tables and a picture for each material.
"""

import argparse
import time
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import kendalltau

from veridical import audit, load, score
from veridical.core.device import use_threads
from veridical.data.images import save_png, to_grid
from veridical.editing.edit import Given
from veridical.editing.folder import edited
from veridical.editing.table import EDITS
from veridical.metrics.distribution import frechet
from veridical.metrics.features import extract
from veridical.metrics.paired import lpips_efficientnet_lite0, ssim
from veridical.metrics.physics_spectrum import noise_level
from veridical.nets.segmentation import predict_masks
from veridical.phantoms import generate, parse_options
from veridical.phantoms.drawing import CHANGE, draw_structure, stream, views
from veridical.phantoms.pairing import CHANGES, pairs
from veridical.phantoms.telling import captions_of
from veridical.runs.words import embed_images, embed_texts, load_clip
from words import Ruler, make_ruler, values  # benchmarks/words.py

NAMED = {  # what an instruction changes, as the ruler measures it
    "add_crack": "n_cracks", "remove_cracks": "n_cracks", "more_fibres": "n_fibres", "fewer_fibres": "n_fibres",
    "larger_fibres": "fibre_volume_fraction", "smaller_fibres": "fibre_volume_fraction", "add_binder": "binder_fraction",
    "remove_binder": "binder_fraction", "more_pores": "porosity", "fewer_pores": "porosity", "larger_grains": "porosity",
    "remove_grain": "porosity", "add_mineral": "mineral_fraction", "remove_minerals": "mineral_fraction",
    "add_laterals": "n_laterals", "remove_laterals": "n_laterals", "thicker_roots": "mean_width_px",
    "thinner_roots": "mean_width_px", "longer_root": "total_length_px", "shorter_root": "total_length_px",
}  # fmt: skip
LINES = ("truth", "copy")


class Task(NamedTuple):
    """Pairs of one instruction."""

    name: str
    before: np.ndarray
    after: np.ndarray
    another: np.ndarray
    region: np.ndarray
    masks: np.ndarray
    asked: list[dict[str, float]]
    had: list[dict[str, float]]
    sources: list[str]
    targets: list[str]
    instructions: list[str]


def task_of(kind: str, name: str, n: int, seed: int, given: dict[str, str]) -> Task:
    """Held-out pairs, with complete captions, and another draw of each change."""
    options = parse_options(kind, given)
    found = pairs(kind, name, n, 64, seed, options=options)
    another = []
    for k in found.numbers:
        structure, rng = draw_structure(kind, 64, seed, options, k)
        other = structure
        for number, one in enumerate(name.split("+")):
            other = CHANGES[kind][one](stream(seed + 1, k, *CHANGE, number), other, options) or other
        another.append(views(kind, rng, [structure, other], options)[1].image)
    rng = np.random.default_rng(0)

    def told(masks: np.ndarray, properties: list[dict[str, float]]) -> list[str]:
        return [captions_of(kind, m, p, rng)[0][0] for m, p in zip(masks, properties, strict=True)]

    return Task(
        name, found.before, found.after, np.stack(another), found.changed, found.before_masks, found.after_properties,
        found.before_properties, told(found.before_masks, found.before_properties),
        told(found.after_masks, found.after_properties), found.instructions,
    )  # fmt: skip


class Counted:
    """Evaluations of a network, an image."""

    def __init__(self, model: Any) -> None:
        self.calls, self._denoise, self._model = 0, model.denoise, model

    def __enter__(self) -> "Counted":
        def denoise(x: torch.Tensor, *rest: Any) -> torch.Tensor:
            self.calls += len(x)
            return self._denoise(x, *rest)

        self._model.denoise = denoise
        return self

    def __exit__(self, *_: Any) -> None:
        del self._model.denoise


def apply(system: dict[str, Any], run: Any, task: Task, path: Path) -> dict[str, np.ndarray]:
    """What a system makes of a task, from `path` if it is there."""
    if path.exists():
        return dict(np.load(path))
    n = len(task.before)
    texts = task.instructions if system.get("prompt") == "instruction" else task.targets
    row = EDITS[system["how"]]
    takes = (*row.needs, *row.offers)
    given = Given(
        mask=task.region if system.get("mask") else None,
        prompt=[(text,) for text in texts] if "prompt" in takes else None,
        source_prompt=task.sources if "source_prompt" in takes else None,
    )
    began = time.perf_counter()
    with Counted(run.model) as counted:
        found = edited(run, task.before, system["how"], given=given, settings=system.get("settings"), seed=1)
    result = {
        "images": found.images,
        "calls": np.array(counted.calls / n),
        "seconds": np.array((time.perf_counter() - began) / n),
        **({} if found.mask is None or system.get("mask") else {"mask": found.mask}),
    }
    np.savez(path, **result)
    return result


def measured(ruler: Ruler, errors: dict[str, float], task: Task, images: np.ndarray) -> dict[str, np.ndarray]:
    """What was obeyed, kept and reached, an image each."""
    seen, obeyed, half = ruler.measure(images), np.ones(len(images), bool), np.ones(len(images), bool)
    for one in task.name.split("+"):
        name = NAMED[one]
        asked, had, got = (values(rows, name) for rows in (task.asked, task.had, seen))
        half &= np.abs(got - asked) < np.abs(asked - had) / 2
        obeyed &= half & (np.abs(got - asked) < 3 * errors[name])
    outside = ~task.region
    change = np.abs(images - task.before).mean(1)
    noise = float(np.median(noise_level(task.before)))
    masks = predict_masks(ruler.network, images), predict_masks(ruler.network, task.before)
    dice = [
        np.mean([
            2 * ((a == c) & (b == c) & o).sum() / max(1, ((a == c) & o).sum() + ((b == c) & o).sum())
            for c in range(ruler.material.classes) if ((b == c) & o).sum() > 20
        ])
        for a, b, o in zip(*masks, outside, strict=True)
    ]  # fmt: skip

    def away(other: np.ndarray) -> np.ndarray:
        square = np.square(other - task.after).mean(1)
        return np.sqrt([square[k][task.region[k]].mean() for k in range(len(square))])

    return {
        "obeyed": obeyed,
        "half": half,
        "locality": np.array([c[o].mean() for c, o in zip(change, outside, strict=True)]) / noise,
        "changed": np.array([(c[o] > 0.5 / 65535).mean() for c, o in zip(change, outside, strict=True)]),
        "structure": np.array(dice),
        "truth": away(images) / np.maximum(away(task.another), noise),
        "ssim": np.asarray(ssim(task.before, images)),
        "lpips": np.asarray(lpips_efficientnet_lite0(task.before, images)),
    }


def realism(
    images: np.ndarray, sources: np.ndarray, real: np.ndarray, after: np.ndarray
) -> tuple[np.ndarray, float, dict[str, int]]:
    """Which images the audit passes, kid_over_random_phase, and how often each defect was named."""
    found = audit(real, images, source=sources, power=False)
    passed = np.array([image["verdict"] == "pass" for image in found["images"]])
    named: dict[str, int] = {}
    for image in found["images"]:
        for finding in image["findings"][:1]:
            named[finding["defect"]] = named.get(finding["defect"], 0) + 1
    rows = score(after, images)
    kid = next(row["value"] for row in rows if row["metric"] == "kid_over_random_phase")
    return passed, np.nan if kid is None else kid, named


def taus(
    systems: list[str],
    each: dict[str, dict[str, np.ndarray]],
    features: dict[str, np.ndarray],
    real: np.ndarray,
    draws: int = 200,
) -> dict[str, tuple[float, float, float]]:
    """Kendall's tau of each score with the truth over systems, and its 95 % interval over resampled pairs."""
    n = len(each[systems[0]]["obeyed"])
    rng = np.random.default_rng(0)

    def ranks(rows: np.ndarray) -> dict[str, float]:
        good = [(each[s]["obeyed"] & each[s]["passed"] & (each[s]["structure"] > 0.8))[rows].mean() for s in systems]
        scores = {
            "ssim": [each[s]["ssim"][rows].mean() for s in systems],
            "lpips": [-each[s]["lpips"][rows].mean() for s in systems],
            "fd_efficientnet_lite0": [-frechet(real, features[s][rows]) for s in systems],
        }
        if "clipscore" in each[systems[0]]:
            scores["clipscore_domain"] = [each[s]["clipscore"][rows].mean() for s in systems]
        return {name: float(kendalltau(good, value).statistic) for name, value in scores.items()}

    whole = ranks(np.arange(n))
    drawn = [ranks(rng.integers(n, size=n)) for _ in range(draws)]
    return {name: (value, *np.nanpercentile([d[name] for d in drawn], (2.5, 97.5))) for name, value in whole.items()}


def main() -> None:
    """Edit, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("spec", type=Path)
    parser.add_argument("--run", action="append", default=[], metavar="NAME=RUN")
    parser.add_argument("--material", default="cmc")
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--only", action="append", default=[], help="a system; give several")
    parser.add_argument("--n", type=int, default=0, help="pairs of each instruction")
    parser.add_argument("--out", type=Path, default=Path("runs/edits"))
    parser.add_argument("--images", type=int, default=1200, help="phantoms that the ruler learns")
    parser.add_argument("--steps", type=int, default=1200, help="training steps of the ruler")
    options = parser.parse_args()
    use_threads()
    spec = tomllib.loads(options.spec.read_text())
    kind, about = options.material, spec["materials"][options.material]
    given = about.get("phantom", {})
    options.phantom = [f"{name}={value}" for name, value in given.items()]
    options.out.mkdir(parents=True, exist_ok=True)
    ruler = make_ruler(kind, options)
    held = generate(kind, 256, 64, seed=spec["seed"] + 100, options=parse_options(kind, given))
    seen = ruler.measure(held.images)
    names = sorted({NAMED[one] for task in about["tasks"] for one in task.split("+")})
    errors = {name: float(np.nanstd(values(seen, name) - values(held.properties, name))) for name in names}
    # No phantom is in two tasks: an edited image is compared with its own source and those of others.
    seeds = [spec["seed"] + 1000 * k for k in range(len(about["tasks"]))]
    tasks = [
        task_of(kind, name, options.n or spec["n"], seed, given)
        for name, seed in zip(about["tasks"], seeds, strict=True)
    ]
    folders = dict(pair.split("=", 1) for pair in options.run)
    systems = [s for s in spec["systems"] if s["run"] in folders and (not options.only or s["name"] in options.only)]
    before, after = (np.concatenate([getattr(task, name) for task in tasks]) for name in ("before", "after"))
    clip = None if options.clip is None else load_clip(options.clip)
    real, each, features, table = extract(after), {}, {}, []
    shown = [before[:: len(before) // 12][:12], after[:: len(before) // 12][:12]]
    for system in [*({"name": name} for name in LINES), *systems]:
        name, parts, results = system["name"], [], []
        run = load(folders[system["run"]], "auto", system.get("sampling")) if "run" in system else None
        for task in tasks:
            if name in LINES:
                result = {"images": task.after if name == "truth" else task.before}
            else:
                result = apply(system, run, task, options.out / f"{kind}-{name}-{task.name}.npz".replace(" ", "_"))
            results.append(result)
            parts.append(measured(ruler, errors, task, result["images"]))
            found_mask = result.get("mask")
            overlap = (
                np.nan
                if found_mask is None
                else (found_mask & task.region).sum((1, 2)) / (found_mask | task.region).sum((1, 2))
            )
            parts[-1]["mask"] = np.broadcast_to(overlap, len(task.before))
        images = np.concatenate([result["images"] for result in results])
        found = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        found["passed"], kid, named = realism(images, before, held.images, after)
        if clip is not None:
            found["clipscore"] = 2.5 * np.maximum(
                cosines(clip, images, [text for task in tasks for text in task.targets]), 0
            )
        each[name], features[name] = found, extract(images)
        shown.append(images[:: len(before) // 12][:12])
        row = {key: float(value.mean()) for key, value in found.items()}
        row |= {f"obeyed {task.name}": float(part["obeyed"].mean()) for task, part in zip(tasks, parts, strict=True)}
        row |= {"kid_over_random_phase": kid, "fd": frechet(real, features[name])}
        for cost in ("calls", "seconds"):
            row[cost] = float(np.mean([result.get(cost, 0) for result in results]))
        row["reasons"] = ", ".join(f"{what} {count}" for what, count in sorted(named.items(), key=lambda x: -x[1])[:3])
        table.append((name, row))
        show(options.out / f"{kind}.md", table)
        save_png(options.out / f"{kind}.png", to_grid(np.concatenate(shown), columns=12, scale=2))
    compared = [s for s in each if s != "truth"]
    lines = ["", "| score | tau | 2.5 % | 97.5 % |", "|---|---|---|---|"]
    for name, (value, low, high) in taus(compared, each, features, real).items():
        lines.append(f"| {name} | {value:.2f} | {low:.2f} | {high:.2f} |")
    print("\n".join(lines))
    with (options.out / f"{kind}.md").open("a") as file:
        file.write("\n".join(lines) + "\n")


def cosines(clip: Any, images: np.ndarray, texts: list[str]) -> np.ndarray:
    """Of images and their texts."""
    return (embed_images(clip, images) * embed_texts(clip, texts)).sum(1)


def show(path: Path, table: list[tuple[str, dict[str, Any]]]) -> None:
    """Print the last row, and write all of them."""
    names = list(table[0][1])
    if len(table) == 1:
        print(f"| | {' | '.join(names)} |")
    cells = [
        [name, *(value if isinstance(value := row.get(k, ""), str) else f"{value:.2f}" for k in names)]
        for name, row in table
    ]
    rows = [f"| {' | '.join(row)} |" for row in cells]
    print(rows[-1], flush=True)
    path.write_text("\n".join([f"| | {' | '.join(names)} |", "|---|" + "---|" * len(names), *rows]) + "\n")


if __name__ == "__main__":
    main()
