"""Editing systems compared on pairs of phantoms, of which it is known what should change and into what.

    python benchmarks/edits.py SPEC.toml --run NAME=RUN ... [--material cmc] [--clip RUN] [--only "sdedit 0.6" ...] --out DIR

Each system of SPEC is given the images before, with the caption of before and after or the instruction. Of what comes back is
measured, by the segmentation network of `veridical.benching.ruler`:

obeyed: the property that the instruction names is nearer to that of the true after-image than half the way from the source, and
within three errors of the ruler; all of them, of an instruction that names two. half: the first of these alone, as captions
round a share to a whole percent, which is most of three errors of the ruler. moved: it went the way
that the change says, by more than three errors, or half the way if that is less. locality: mean change outside the true region of
change, in units of the noise of the phantoms, and the share of pixels there that changed at all. structure: mean Dice of the
masks of all classes outside it, before against after. truth: root mean square difference from the true after-image in the
region, over that of another draw of the same change (or noise, if that is more). mask: intersection over union of the region that
an edit finds itself with the true one. realism: share of images that the audit passes,
and kid_over_random_phase against true after-images. cost: evaluations of the network and seconds an image. Beside these the
scores that the review has: SSIM and LPIPS to the source, a Frechet distance, clipscore_domain with the caption of after; and how
well each ranks systems as the truth does (share of images that obey, keep their structure and pass the audit), Kendall's tau with
its interval over pairs.

`veridical bench` measures the same of systems that it trains; this script takes runs that are there. Lines to beat are
"copy" (the source itself) and "re-prompt"; "truth" is the after-image. DIR keeps the ruler, the edited images (an interrupted
run goes on), the tables and a picture for each material.
"""

import argparse
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from veridical import audit, load, score
from veridical.benching.changes import NAMED
from veridical.benching.editing import made
from veridical.benching.obeying import cosines, good, known_of, overlap, scored
from veridical.benching.ruler import Ruler, errors_of
from veridical.benching.truth import APART, Pairs, phantom_pairs
from veridical.benching.worth import taus
from veridical.core.device import use_threads
from veridical.data.images import save_png, to_grid
from veridical.metrics.distribution import frechet
from veridical.metrics.features import extract
from veridical.phantoms import generate, parse_options
from veridical.runs.words import load_clip
from words import make_ruler  # benchmarks/words.py

LINES = ("truth", "copy")


def apply(system: dict[str, Any], run: Any, task: Pairs, path: Path) -> dict[str, np.ndarray]:
    """What a system makes of the pairs of a change, from `path` if it is there."""
    if not path.exists():
        row = {"settings": {}, "mask": False, "prompt": "caption"} | system
        np.savez(path, **made(run, row, task, seed=0))
    found = dict(np.load(path))
    n = len(task)
    return found | {"calls": found["calls"] / n, "seconds": found["seconds"] / n}


def measured(ruler: Ruler, errors: dict[str, float], task: Pairs, images: np.ndarray) -> dict[str, np.ndarray]:
    """What was obeyed, kept and reached, an image each, and SSIM and LPIPS."""
    return known_of(ruler, errors, task, images) | scored(task, images, None)


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
    names = sorted({NAMED[one] for task in about["tasks"] for one in task.split("+")})
    errors = errors_of(ruler, held, names)
    n = options.n or spec["n"]
    tasks = [phantom_pairs(kind, name, n, 64, spec["seed"] + APART * k, given) for k, name in enumerate(about["tasks"])]
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
                result = apply(system, run, task, options.out / f"{kind}-{name}-{task.names[0]}.npz".replace(" ", "_"))
            results.append(result)
            parts.append(measured(ruler, errors, task, result["images"]))
            found_mask = result.get("mask")
            none = np.full(len(task), np.nan)
            parts[-1]["mask"] = none if found_mask is None else overlap(found_mask, task.region)
        images = np.concatenate([result["images"] for result in results])
        found = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        found["passed"], kid, named = realism(images, before, held.images, after)
        if clip is not None:
            found["clipscore"] = 2.5 * np.maximum(
                cosines(clip, images, [text for task in tasks for text in task.prompts]), 0
            )
        each[name], features[name] = found | {"good": good(found)}, extract(images)
        shown.append(images[:: len(before) // 12][:12])
        row = {key: float(value.mean()) for key, value in found.items()}
        row |= {
            f"obeyed {task.names[0]}": float(part["obeyed"].mean()) for task, part in zip(tasks, parts, strict=True)
        }
        row |= {"kid_over_random_phase": kid, "fd": frechet(real, features[name])}
        for cost in ("calls", "seconds"):
            row[cost] = float(np.mean([result.get(cost, 0) for result in results]))
        row["reasons"] = ", ".join(f"{what} {count}" for what, count in sorted(named.items(), key=lambda x: -x[1])[:3])
        table.append((name, row))
        show(options.out / f"{kind}.md", table)
        save_png(options.out / f"{kind}.png", to_grid(np.concatenate(shown), columns=12, scale=2))
    compared = {s: found for s, found in each.items() if s != "truth"}
    lines = ["", "| score | tau | 2.5 % | 97.5 % |", "|---|---|---|---|"]
    for row in (row for row in taus(compared, features, real) if row["truth"] == "good"):
        numbers = ("–" if row[key] is None else f"{row[key]:.2f}" for key in ("value", "low", "high"))
        lines.append(f"| {row['score']} | {' | '.join(numbers)} |")
    print("\n".join(lines))
    with (options.out / f"{kind}.md").open("a") as file:
        file.write("\n".join(lines) + "\n")


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
