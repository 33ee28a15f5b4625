"""LoRA against full fine-tuning at equal steps: a run of phantoms, adapted to few real tiles.

``python benchmarks/adaptation.py BASE DATA --out DIR [--prompt TEXT] [--tiles 50] [--steps 300] [--n 128] [--lr 2e-4]``
adapts BASE three ways (``--lr`` is the rate of full fine-tuning) and prints `kid_over_random_phase` and `copied_share` against
held-out tiles, beside those of BASE itself.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from veridical import score
from veridical.adapting.adapt import adapt
from veridical.adapting.told import Told, captions_of
from veridical.conditions.condition import Request
from veridical.conditions.text import encoded, load_vocabulary
from veridical.core.parse import listed
from veridical.data.open import open_dataset
from veridical.runs.adapted import PART
from veridical.runs.draw import draw
from veridical.runs.folder import read_run
from veridical.runs.run import load
from veridical.runs.tensors import load_weights, read_tensors
from veridical.training.loop import fit

LORAS = {
    "LoRA, attention, rank 4": {"rank": 4},
    "LoRA, attention and convolutions, rank 3": {"rank": 3, "targets": ("attention", "convolutions")},
}


def fine_tuned(base: Path, data: str, out: Path, config: Any, prompt: str) -> Any:
    """The base with all weights of its network trained, everything else as `adapt` has it; loaded."""
    run: Any = load(base, config.device, {"upsample": False} if prompt else {"autoguidance": 1.0})
    if not (out / "model.safetensors").is_file():
        target = open_dataset(data, config.size, augment=config.augment, limit=config.limit)
        told = Told(target, [], lambda texts: {})
        if prompt:
            vocabulary = load_vocabulary(Request(run.info.to_json(), base, settings=None, n=1))
            told = Told(target, captions_of(data, target, prompt, ""), lambda texts: encoded(vocabulary, texts)[0])
        _trainable(run.model)
        out.mkdir(parents=True, exist_ok=True)
        fit(run.model, told, config, out, run.info.replace(config=config, finished=False), quiet=True)
        run = load(base, config.device, {"upsample": False} if prompt else {"autoguidance": 1.0})
    _trainable(run.model)
    load_weights(run.model, read_tensors(out / "model.safetensors")[0], out)
    return run


def _trainable(model: Any) -> None:
    inner = getattr(model, "denoiser", model)
    model.eval().requires_grad_(False)
    inner.net.requires_grad_(True)
    mine = {id(p) for p in inner.net.parameters()}
    model.adapters = frozenset(name for name, p in model.named_parameters() if id(p) in mine)
    model.parts = {PART: inner.net}


def main() -> None:
    """Train, draw, score and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path)
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prompt", default="")
    parser.add_argument("--tiles", type=int, default=50)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--n", type=int, default=128)
    parser.add_argument("--lr", type=float, default=2e-4)
    args = parser.parse_args()
    size = read_run(args.base).size
    target = open_dataset(args.data, size, limit=args.tiles)
    (real, groups), (train, _) = target.tiles("test"), target.tiles("train", oriented=False)
    runs: dict[str, tuple[Any, float, float]] = {"base": (load(args.base, "cpu"), 0.0, 0.0)}
    config = None
    for name, settings in LORAS.items():
        folder = args.out / name.replace(",", "").replace(" ", "_")
        given = {"steps": args.steps, "limit": args.tiles, "prompt": args.prompt, "device": "cpu"} | settings
        adapt(args.base, args.data, folder, settings=given, resume=folder.exists(), quiet=True)
        info = read_run(folder)
        config = info.config
        assert info.adapted is not None
        runs[name] = load(folder, "cpu"), info.adapted.share, info.cost.train_seconds
    whole = fine_tuned(args.base, args.data, args.out / "full", config.replace(lr=args.lr), args.prompt)
    cost = read_run(args.out / "full").cost
    runs["full fine-tuning"] = (
        whole,
        cost.parameters / sum(p.numel() for p in whole.model.parameters()),
        cost.train_seconds,
    )
    rows = []
    for name, (run, share, seconds) in runs.items():
        asked = {"prompt": args.prompt, "extrapolate": True} if args.prompt else {}
        drawn = draw(run, args.n, seed=1, **asked)
        np.save(args.out / f"{name.replace(',', '').replace(' ', '_')}.npy", drawn)
        found = {row["metric"]: row for row in score(real, drawn, real_groups=groups, floor_real=train, train=train)}
        print(name, f"{100 * share:.2f} %", f"{seconds:.0f} s", flush=True)
        for metric in ("kid_over_random_phase", "copied_share"):
            each = {k: listed(found[metric][k]) for k in ("value", "low", "high", "floor")}
            rows.append({"run": name, "share": share, "seconds": seconds, "metric": metric} | each)
            print("  ", metric, each, flush=True)
    (args.out / "adaptation.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
