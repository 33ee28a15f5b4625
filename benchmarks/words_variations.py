"""What unCLIP's two halves do: does the prior find the image of a caption, and does a variation keep what kind it is?

    python benchmarks/words_variations.py KIND RUN [--n 64] [--set KEY=VALUE] [--out DIR] [--phantom KEY=VALUE]

RUN is an `unclip` or `stable_unclip` of phantoms. Printed are the cosine of the embedding that the prior imagines for a held-out
caption with that of its image, with those of other images (mean and standard deviation), and of variations of held-out images:
SSIM with their source, how far the first number of `benchmarks/words.py` lies from that of the source (absolute mean, as the
ruler measures both), the same with sources shuffled, and how far two variations of one source differ (mean of absolute
differences), by level of noise for `stable_unclip`. DIR has a grid: sources, and two variations of each.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from veridical import draw, load
from veridical.benching.ruler import HELD_OUT, MATERIALS, values
from veridical.core.batch import ImageNoise
from veridical.core.device import use_threads
from veridical.data.images import save_png, to_grid
from veridical.metrics.paired import ssim
from veridical.runs.draw import conditions_of
from words import make_ruler, phantoms  # benchmarks/words.py


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=MATERIALS)
    parser.add_argument("run")
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--levels", default="", help="noise levels of stable_unclip, joined by commas")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, default=Path("runs/words"))
    parser.add_argument("--images", type=int, default=1200)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--phantom", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    use_threads()
    options.out.mkdir(parents=True, exist_ok=True)
    ruler, held = make_ruler(options.kind, options), phantoms(options.kind, options.n, HELD_OUT, options)
    run, n = load(options.run), options.n
    print("| | |", "|---|---|", *imagined(run, held), sep="\n", flush=True)
    name = ruler.material.numbers[0]
    of_source = values(ruler.measure(held.images), name)
    for level in options.levels.split(","):
        given = dict(pair.split("=", 1) for pair in options.set) | ({"noise_level": level} if level else {})
        run = load(options.run, settings=given)
        made = [draw(run, n, seed=seed, cond={"source": held.images}) for seed in (1, 2)]
        label, found = (f", level {level}" if level else ""), values(ruler.measure(made[0]), name)
        other = np.roll(of_source, 1)
        print(f"| SSIM of a variation with its source{label} | {np.mean(ssim(held.images, made[0])):.3f} |")
        print(f"| {name}: mean distance from the source{label} | {np.nanmean(np.abs(found - of_source)):.3f} |")
        print(f"| the same, sources shuffled{label} | {np.nanmean(np.abs(found - other)):.3f} |")
        print(
            f"| difference of two variations of a source{label} | {np.abs(made[0] - made[1]).mean():.3f} |", flush=True
        )
        grid = np.concatenate([part[:8] for part in (held.images, *made)])
        save_png(
            options.out / f"variations-{options.kind}{level and f'-{level}'}.png", to_grid(grid, columns=8, scale=2)
        )


def imagined(run: Any, held: Any) -> list[str]:
    """The prior against CLIP's embeddings of the images themselves."""
    n, prompts = len(held.images), [captions[0] for captions in held.captions]
    cond = conditions_of(run, n, prompt=prompts, extrapolate=True).cond
    told = {key: torch.as_tensor(part) for key, part in cond.items()}
    with torch.no_grad():
        z = run.model.imagine(told, ImageNoise(1, range(n)))
        true = run.model.embed(2 * torch.from_numpy(held.images) - 1)
    cosines = (z @ true.T).numpy()
    others = cosines[~np.eye(n, dtype=bool)]
    return [
        f"| cosine of what the prior imagines with the image's embedding | {cosines.diagonal().mean():.3f} |",
        f"| with those of other images, mean and standard deviation | {others.mean():.3f}, {others.std():.3f} |",
    ]


if __name__ == "__main__":
    main()
