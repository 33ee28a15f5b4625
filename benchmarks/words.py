"""Is a prompt obeyed? Numbers, presence, counts and places that captions ask for, measured in what is drawn.

    python benchmarks/words.py KIND [--run NAME=RUN ...] [--scales 1,2,4] [--clip RUN] [--swap] [--judge NAME=CLIP ...]
                               [--quality] [--having TRAITS] [--out DIR] [--phantom KEY=VALUE]

KIND is cmc, rocks or roots. The ruler is a segmentation network, trained on other phantoms and their masks. What it measures is
read by the straight line on which its measurements of training phantoms lie, and its own error on held-out phantoms stands
beside every number. 128 complete captions of phantoms that no run has seen are asked for. Printed are, for each property, R2 of
asked numbers (1 minus squared error over variance), balanced accuracy of presence, exact counts, places within 45 degrees, and
the same with captions shuffled. With --swap one phrase of a prompt is changed under the same noise: how often what it names moves
as asked, and how often what it does not name stays within three errors of the ruler. With --clip the `clip` run is asked: which
of 64 captions is the image's own (R@1, R@5), numbers and presence without training (zero-shot), true against false captions. With
--judge the score of a `clip` run (of this or other material) is put beside what was measured: Spearman's correlation over the
images of all runs between the score and how well a prompt was obeyed, and between the means of the runs. With --quality the
images are put beside 256 other phantoms: `kid_over_random_phase`, and the share that the audit passes. With
--having cracks+binder only captions of phantoms that have both are asked for: what runs make of a combination that their
training had (or, with the option `withhold` of phantoms, had not). DIR keeps the ruler, and gets the tables (KIND.md) and a grid
of each run.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from veridical import audit, draw, load
from veridical.benching.adherence import adherence, asked_of, balanced, determination, strayed
from veridical.benching.ruler import HELD_OUT, MATERIALS, OTHERS, Material, Ruler, values
from veridical.benching.ruler import make_ruler as ruler_of
from veridical.benching.ruler import phantoms as phantoms_of
from veridical.conditions.text import encoded
from veridical.conditions.vocabulary import Vocabulary
from veridical.core.device import use_threads
from veridical.data.images import save_png, to_grid
from veridical.phantoms import Phantoms
from veridical.phantoms.drawing import KINDS as DRAWN
from veridical.phantoms.telling import KINDS
from veridical.runs.draw import conditions_of
from veridical.runs.words import embed_images, embed_texts, load_clip
from veridical.scoring.measures import kid_over_random_phase
from veridical.scoring.score import gather
from veridical.scoring.table import HEADLINE, METRICS
from veridical.wording import state


def make_ruler(kind: str, options: argparse.Namespace) -> Ruler:
    """Train what measures, or take it from DIR."""
    path = options.out / f"ruler-{kind}.safetensors"
    return ruler_of(kind, path, images=options.images, steps=options.steps, given=options_of(options))


def options_of(options: argparse.Namespace) -> dict[str, str]:
    """Options of the phantoms."""
    return dict(pair.split("=", 1) for pair in options.phantom)


def phantoms(kind: str, n: int, seed: int, options: argparse.Namespace) -> Phantoms:
    """Phantoms of 64 x 64 pixels."""
    return phantoms_of(kind, n, seed, given=options_of(options))


def having(kind: str, known: Phantoms, traits: str, n: int) -> Phantoms:
    """The first `n` of phantoms that have all of a combination, as `withhold` of phantoms names it."""
    held = DRAWN[kind][0].TRAITS
    rows = [k for k, p in enumerate(known.properties) if all(held[name](p) for name in traits.split("+") if name)][:n]
    if len(rows) < n:
        raise SystemExit(f"only {len(rows)} of {len(known.images)} phantoms have {traits}: give a smaller --n.")
    parts = ([part[k] for k in rows] for part in (known.properties, known.captions, known.facts))
    return Phantoms(known.images[rows], known.masks[rows], *parts)


def judged(clip: Path, drawn: dict[str, tuple[np.ndarray, np.ndarray]], prompts: list[str]) -> dict[str, float]:
    """What the score of a `clip` says of images of runs, beside how far these strayed: rank correlations, and 95 % by prompt."""
    run = load_clip(clip)
    texts = embed_texts(run, prompts)
    scores = np.stack([(embed_images(run, images) * texts).sum(1) for images, _ in drawn.values()])
    near = -np.stack([errors for _, errors in drawn.values()])
    random = np.random.default_rng(0)
    again = []
    for _ in range(500):
        rows = random.integers(len(prompts), size=len(prompts))
        again.append(spearmanr(scores[:, rows].ravel(), near[:, rows].ravel(), nan_policy="omit").statistic)
    low, high = np.quantile(again, [0.025, 0.975])
    within = [spearmanr(s, n, nan_policy="omit").statistic for s, n in zip(scores, near, strict=True)]
    return {
        "rank correlation, all images": spearmanr(scores.ravel(), near.ravel(), nan_policy="omit").statistic,
        "low": low, "high": high,
        "mean within a run": float(np.mean(within)),
        "of the runs' means": spearmanr(scores.mean(1), np.nanmean(near, 1)).statistic if len(drawn) > 2 else np.nan,
    }  # fmt: skip


def quality(kind: str, images: np.ndarray, options: argparse.Namespace) -> dict[str, float]:
    """How real images look, whatever was asked: the distance to other phantoms, and the share that the audit passes."""
    others = phantoms(kind, 256, OTHERS, options).images
    distance = kid_over_random_phase(gather(others, images, cache=options.out / "cache"), METRICS[HEADLINE])
    found = audit(others, images, power=False)
    passed = sum(image["verdict"] == "pass" for image in found["images"])
    return {
        "distance": distance["value"],
        "low": distance["low"],
        "high": distance["high"],
        "passed": passed / len(images),
    }


def swapped(kind: str, run: Any, ruler: Ruler, errors: Mapping[str, float], n: int) -> dict[str, float]:
    """Share of pairs in which what a phrase names moves as asked, and of others that stay, for each phrase."""
    subject, found = KINDS[kind][0][0], {}
    swaps = ruler.material.swaps
    usual = {name: low if low == 0 else (low + high) / 2 for name, (low, high) in swaps.items()}
    for name, ends in swaps.items():
        texts = [state(subject, usual | {name: end})[0] for end in ends]
        pair = [
            ruler.measure(draw(run, n, seed=3, cond=conditions_of(run, n, prompt=text, extrapolate=True).cond))
            for text in texts
        ]
        before, after = ({other: values(rows, other) for other in swaps} for rows in pair)
        found[f"moves {name}"] = float((after[name] > before[name]).mean())
        stays = [np.abs(after[o] - before[o]) <= 3 * np.hypot(errors[o], errors[o]) for o in swaps if o != name]
        found[f"others stay, {name}"] = float(np.mean(stays))
    return found


def clip_answers(kind: str, folder: Path, known: Phantoms, material: Material) -> dict[str, float]:
    """What a clip run knows of held-out phantoms."""
    run = load(folder)
    model: Any = run.model
    vocabulary = Vocabulary.from_json((folder / "tokenizer.json").read_bytes())

    def text(captions: list[str]) -> torch.Tensor:
        spelled = torch.from_numpy(encoded(vocabulary, captions)[0]["spelled"])
        return torch.cat([model.embed_text({"spelled": part}) for part in spelled.split(256)])

    with torch.no_grad():
        images = torch.cat([model.embed_image(2 * part - 1) for part in torch.from_numpy(known.images).split(64)])
        own = text([captions[0] for captions in known.captions])
        rest = text([captions[1] for captions in known.captions])
        ranks = []
        for part in range(0, len(images) - 63, 64):
            near = images[part : part + 64] @ own[part : part + 64].T
            ranks.append((near >= near.diag()[:, None]).sum(1))
        rank = torch.cat(ranks)
        true, false = (images * own).sum(1), (images * own.roll(1, 0)).sum(1)
        found = {
            "R@1 of 64": float((rank == 1).float().mean()), "R@5 of 64": float((rank <= 5).float().mean()),
            "AUC true against others' captions": auc(true, false),
            "AUC, captions that say less": auc((images * rest).sum(1), (images * rest.roll(1, 0)).sum(1)),
            "clipscore_domain": float(2.5 * true.clamp(min=0).mean()),
            "clipscore_domain, shuffled": float(2.5 * false.clamp(min=0).mean()),
        }  # fmt: skip
        subjects = KINDS[kind][0]
        scale = float(model.scale())
        for name in material.numbers[:1]:
            truth = values(known.properties, name)
            grid = np.linspace(truth.min(), truth.max(), 41)
            score = sum(images @ text([state(subject, {name: v})[0] for v in grid]).T for subject in subjects) / len(
                subjects
            )
            weights = (scale * score).softmax(1).numpy()
            found[f"zero-shot R2 {name}"] = determination(truth, weights @ grid)
        for name, least in material.present.items():
            truth = values(known.properties, name) >= least
            said = [text([f"{subject}, {phrase}." for subject in subjects]).mean(0) for phrase in PRESENCE[name]]
            score = images @ (said[0] - said[1])
            # Where both are as likely: the middle between the two means is not known without answers; zero is.
            found[f"zero-shot presence {name}"] = balanced(truth, (score > 0).numpy())
    return found


PRESENCE = {
    "binder_fraction": ("a binder region", "no binder"),
    "n_cracks": ("cracked", "no cracks"),
    "mineral_fraction": ("bright minerals", "no bright minerals"),
    "outside_fraction": ("the tube wall in view", "no tube wall"),
    "n_laterals": ("lateral roots in view", "no laterals"),
}


def auc(high: torch.Tensor, low: torch.Tensor) -> float:
    """Share of pairs in which the first is higher."""
    return float((high[:, None] > low[None]).float().mean())


def main() -> None:
    """Train the ruler, ask, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=MATERIALS)
    parser.add_argument("--run", action="append", default=[], metavar="NAME=RUN")
    parser.add_argument("--scales", default="", help="guidance scales; empty: as each run has it")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="sampling settings of the runs")
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--swap", action="store_true")
    parser.add_argument("--quality", action="store_true")
    parser.add_argument("--judge", action="append", default=[], metavar="NAME=CLIP")
    parser.add_argument("--n", type=int, default=128)
    parser.add_argument("--having", default="", metavar="TRAITS", help="ask only for what has these, joined by +")
    parser.add_argument("--out", type=Path, default=Path("runs/words"))
    parser.add_argument("--images", type=int, default=1200, help="phantoms that the ruler learns")
    parser.add_argument("--steps", type=int, default=1200, help="training steps of the ruler")
    parser.add_argument("--phantom", action="append", default=[], metavar="KEY=VALUE", help="what is drawn")
    options = parser.parse_args()
    use_threads()
    options.out.mkdir(parents=True, exist_ok=True)
    n = 512 if options.clip else options.n
    held = having(
        options.kind, phantoms(options.kind, 8 * n if options.having else n, HELD_OUT, options), options.having, n
    )
    if options.clip:
        for what, value in clip_answers(options.kind, options.clip, held, MATERIALS[options.kind]).items():
            print(f"| {what} | {value:.3f} |", flush=True)
        return
    ruler = make_ruler(options.kind, options)
    asked = [asked_of(facts[0]) for facts in held.facts]
    seen = ruler.measure(held.images)
    mixed = [seen[k] for k in np.random.default_rng(0).permutation(len(seen))]
    table = {"held-out phantoms (the ruler's error)": adherence(ruler.material, asked, seen)}
    table["held-out phantoms, captions shuffled"] = adherence(ruler.material, asked, mixed)
    errors = {
        name: float(np.nanstd(values(seen, name) - values(held.properties, name))) for name in ruler.material.swaps
    }
    show(options, table)
    swaps: dict[str, dict[str, float]] = {}
    looks: dict[str, dict[str, float]] = {}
    drawn: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    prompts = [captions[0] for captions in held.captions]
    for named in options.run:
        name, _, folder = named.partition("=")
        for scale in options.scales.split(",") if options.scales else [""]:
            given = dict(pair.split("=", 1) for pair in options.set) | ({"guidance_scale": scale} if scale else {})
            run = load(folder, settings=given)
            label = f"{name}, guidance scale {scale}" if scale else name
            images = draw(
                run, len(prompts), seed=1, cond=conditions_of(run, len(prompts), prompt=prompts, extrapolate=True).cond
            )
            found = ruler.measure(images)
            table[label] = adherence(ruler.material, asked, found)
            drawn[label] = images, strayed(ruler.material, asked, found)
            grid = np.concatenate([held.images[:16], images[:16]])
            save_png(
                options.out / f"{options.kind}-{name}{scale and f'-{scale}'}.png", to_grid(grid, columns=8, scale=2)
            )
            show(options, table)
            if options.quality:
                looks[label] = quality(options.kind, images, options)
                show(options, table, swaps, looks)
            if options.swap:
                swaps[label] = swapped(options.kind, run, ruler, errors, 32)
                show(options, table, looks, swaps)
    judges = {
        name: judged(Path(folder), drawn, prompts) for name, _, folder in (j.partition("=") for j in options.judge)
    }
    if judges:
        show(options, table, looks, swaps, judges)


def show(options: argparse.Namespace, *tables: dict[str, dict[str, float]]) -> None:
    """Print the last row, and write all of them."""
    parts = []
    for rows in tables:
        if rows:
            names = list(next(iter(rows.values())))
            head = [f"| | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
            parts.append(
                [*head, *(f"| {name} | {' | '.join(f'{v:.2f}' for v in row.values())} |" for name, row in rows.items())]
            )
    print(parts[-1][0], parts[-1][-1], sep="\n", flush=True)
    (options.out / f"{options.kind}.md").write_text("\n\n".join("\n".join(part) for part in parts) + "\n")


if __name__ == "__main__":
    main()
