"""What do words cost? Sampling with a text beside sampling without, and reading captions.

    python benchmarks/words_speed.py [--threads 1] [--n 16] [--rounds 3]

Two untrained denoisers of 64 x 64 pixels, `edm` without autoguidance and `text_to_image`, of equal widths, draw alternately with
the same solver and steps, without guidance and with it. Then 1,000 captions of phantoms are made into tokens, and into vectors by
an untrained `clip`. Printed are the fastest rounds and their ratio.
"""

import argparse
import time
from collections.abc import Callable

import torch

from veridical.conditions.text import encoded
from veridical.conditions.vocabulary import fit_vocabulary
from veridical.core.batch import ImageNoise
from veridical.core.tokens import PAD
from veridical.phantoms import generate
from veridical.recipes.table import build


def fastest(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of the fastest of some alternating rounds of each."""
    found = dict.fromkeys(functions, float("inf"))
    for _ in range(rounds):
        for name, function in functions.items():
            began = time.perf_counter()
            function()
            found[name] = min(found[name], time.perf_counter() - began)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    known = generate("cmc", 250, 64, 0)
    captions = [text for of_image in known.captions for text in of_image][:1000]
    vocabulary = fit_vocabulary(captions)
    cond = {name: torch.from_numpy(rows) for name, rows in encoded(vocabulary, captions[: options.n])[0].items()}
    arguments = {"sampling_steps": 12, "solver": "sde_dpm_solver_pp_2m"}
    sizes = {"vocabulary": vocabulary.size}
    clip = build("clip", 1, 64, sizes | {"spelled_tokens": vocabulary.spelled}).eval()

    def told(scale: float) -> torch.nn.Module:
        return build("text_to_image", 1, 64, arguments | sizes | {"guidance_scale": scale}, {"clip": clip})

    systems = {
        "edm, without words": (build("edm", 1, 64, arguments | {"early_steps": 0, "autoguidance": 1.0}), {}),
        "text_to_image, guidance scale 1": (told(1.0), cond),
        "text_to_image, guidance scale 2": (told(2.0), cond),
    }
    for model, _ in systems.values():
        model.prepare(2 * torch.from_numpy(known.images[:64]) - 1)
        model.eval()
    with torch.no_grad():
        found = fastest(
            {
                name: lambda model=model, cond=cond: model.sample(options.n, cond, ImageNoise(0, range(options.n)))
                for name, (model, cond) in systems.items()
            },
            options.rounds,
        )
    usual = next(iter(found.values()))
    print("| drawing | ms an image | times as long |", "|---|---|---|", sep="\n")
    for name, seconds in found.items():
        print(f"| {name} | {1000 * seconds / options.n:.0f} | {seconds / usual:.2f} |")
    spelled = torch.from_numpy(vocabulary.spell(captions))
    order = (spelled != PAD).sum(1).argsort()  # as `veridical.runs.words.embed_texts` does

    def read() -> None:
        with torch.no_grad():
            for rows in order.split(128):
                clip.embed_text({"spelled": spelled[rows]})

    found = fastest(
        {"captions to tokens": lambda: encoded(vocabulary, captions), "tokens to vectors": read}, options.rounds
    )
    print("", "| 1,000 captions | seconds |", "|---|---|", sep="\n")
    for name, seconds in found.items():
        print(f"| {name} | {seconds:.2f} |")


if __name__ == "__main__":
    main()
