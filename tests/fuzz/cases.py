"""Cases that the fuzzer tries: a command line, and what is damaged before it runs. Case i of a kind depends on the seed and i."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import typer

from fuzz import damage
from veridical.cli import app

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
# What may take long where it is valid; the fuzzer gives it no large values.
LASTING = {
    "--steps", "--minutes", "-n", "--seeds", "--samples", "steps", "minutes", "sampling_steps", "resamplings", "iterations",
    "--shape", "langevin_steps", "layers", "blocks", "tiles", "limit", "--limit", "critic_steps", "start_steps", "levels",
}  # fmt: skip
LARGE = ("9" * 400, "9" * 5000, "99999999", "1000000", "1e308", "4294967296")
ODD = (
    "", " ", ".", "..", "/", "-1", "0", "-0.0", "nan", "inf", "-inf", "1e-320", "none", "true", "x", "3.5", "1,2", ",", "=",
    "\x1b[31m", "a\nb", "a\udcff", "\u202ex", "%s", "{0}", "[/a]", "[bold]", "x" * 300, "../x", "~", "/dev/null", "/dev/full",
    "/nosuch/x", "/proc/self/mem", "(a+)+$", "(", "cuda:99", "meta", "phantom:rocks?n=4&size=32", "phantom:rocks?n=0",
    "phantom:x?y",
    "skimage:x", "a:b", "?", "a=b",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A command line, and what prepares the folder that it runs in."""

    kind: str
    number: int
    arguments: list[str]
    prepare: Callable[[Path, random.Random], None]
    words: str = ""


def templates(base: Path) -> dict[str, list[str]]:
    """A valid command line of each command that ends within seconds."""
    data, samples, run = str(base / "data"), str(base / "samples"), str(base / "runs" / "vae")
    return {
        "recipes": ["recipes"],
        "data": ["data", data, "--size", "16", "--preview", "look.png", "--json", "data.json"],
        "phantom": ["phantom", "rocks", "--out", "new", "-n", "2", "--size", "32", "--set", "porosity=0.2"],
        "train": ["train", "vae", data, "--out", "new", "--size", "16", "--steps", "1", "--batch", "2", "--set", "width=8"],
        "sample": ["sample", run, "--out", "new", "-n", "2", "--batch", "2"],
        "restore": ["restore", str(base / "runs" / "edm"), str(base / "image.png"), "--mask", str(base / "mask.png"),
                    "--out", "a.png", "--set", "steps=2", "--set", "resamplings=1"],
        "edit": ["edit", str(base / "runs" / "edm"), str(base / "image.png"), "--how", "sdedit", "--mask", str(base / "mask.png"),
                 "--out", "new", "--set", "steps=2"],
        "volume": ["volume", str(base / "runs" / "edm"), "--shape", "16", "--out", "volume.tif", "--set", "sampling_steps=2"],
        "score": ["score", data, samples, "--json", "score.json"],
        "audit": ["audit", data, samples, "--size", "16", "--no-power", "--json", "audit.json", "--html", "audit.html"],
        "utility": ["utility", data, data, "--size", "16", "--steps", "1", "--seeds", "2", "--json", "utility.json"],
        "bench": ["bench", str(base / "bench.toml"), "--out", "new"],
        "report": ["report", "bench"],
        "review": ["review", data, "--json", "review.json"],  # of a folder that is none
        "caption": ["caption", data, "--out", "captions.jsonl", "--name", "0=pores"],
        # Of a run that is none of theirs.
        "find": ["find", data, "three cracks", "--clip", run, "--top", "2", "--json", "found.json"],
        "export": ["export", run, "new"],
        "adapt": ["adapt", str(base / "runs" / "edm"), data, "--how", "lora", "--out", "new", "--steps", "1", "--batch", "2"],
    }  # fmt: skip


def value_for(name: str, rng: random.Random) -> str:
    """A value that `name` hardly expects."""
    return rng.choice(ODD if name in LASTING or rng.random() < 0.7 else LARGE)


def settings_of(rng: random.Random) -> str:
    """``NAME=VALUE`` of some recipe, edit, or of what is no setting."""
    from veridical.editing.table import EDITS
    from veridical.recipes.config import TrainConfig
    from veridical.recipes.table import RECIPES

    names = [*TrainConfig.__dataclass_fields__, *RECIPES["vae"].arguments(), *RECIPES["edm"].arguments()]
    names += [name for edit in EDITS.values() for name in edit.settings.__dataclass_fields__]
    names += ["out", "recipe", "data", "resume", "first", "quiet", "given", "self", "", "porosity", "tube"]
    name = rng.choice(names)
    return f"{name}={value_for(name, rng)}"


def command_line(base: Path, seed: int, number: int) -> Case:
    """A valid command line of which one to three parts are others."""
    rng = random.Random(f"{seed}-commands-{number}")
    names = [
        name for name in templates(base) for _ in range(1 if name in ("recipes", "bench", "report", "utility") else 4)
    ]
    command = rng.choice(names)
    arguments = list(templates(base)[command])
    options = [option for p in COMMANDS[command].params for option in p.opts if option.startswith("-")]
    for _ in range(rng.randint(1, 3)):
        way, place = rng.random(), rng.randrange(1, len(arguments)) if len(arguments) > 1 else 0
        if way < 0.5 and place:
            if not arguments[place].startswith("-") and arguments[place - 1] != "--set":
                arguments[place] = value_for(arguments[place - 1], rng)
        elif way < 0.8 and options:
            option = rng.choice(options)
            if option not in ("--help", "-h", "--jobs"):
                arguments += [option, settings_of(rng) if option == "--set" else value_for(option, rng)]
        elif way < 0.9 and options and "--set" in options:
            arguments += ["--set", settings_of(rng)]
        elif place and not LASTING & set(arguments[max(0, place - 1) : place + 1]):
            del arguments[place]
    return Case("commands", number, arguments, _with_bench(base) if command == "report" else _nothing)


def damaged_run(base: Path, seed: int, number: int) -> Case:
    """A run folder of which something was changed, cut or flipped, and what reads it."""
    rng = random.Random(f"{seed}-runs-{number}")
    name = rng.choice(["vae", "edm", "cgan"])
    image, out = str(base / "image.png"), "new"
    label = ["--label", rng.choice(["a", "x", "1e308", "a,b"])] if name == "cgan" and rng.random() < 0.5 else []
    commands = [
        ["sample", "run", "--out", out, "-n", "2", *label],
        ["train", name, str(base / "data"), "--out", "run", "--resume", "--steps", "2"],
        ["restore", "run", image, "--mask", str(base / "mask.png"), "--out", "a.png", "--set", "steps=2"],
    ]  # fmt: skip

    def prepare(folder: Path, rng: random.Random) -> None:
        shutil.copytree(base / "runs" / name, folder / "run")
        damage.damage_folder(folder / "run", rng)

    return Case("runs", number, rng.choice(commands), prepare)


def damaged_table(base: Path, seed: int, number: int) -> Case:
    """Tables beside images that hold something else than they should."""
    rng = random.Random(f"{seed}-tables-{number}")
    train = ["--out", "new", "--size", "16", "--steps", "1", "--batch", "2", "--set", "width=8", "--set", "latent=4"]
    table, command = rng.choice(
        [
            ("labels.csv", ["train", "cgan", "data", "--label", rng.choice(["kind", "number", "nosuch"]), *train]),
            ("properties.csv", ["train", "cgan", "data", "--label", "number", "--bins", "3", *train]),
            ("split.csv", ["data", "data", "--size", "16"]),
            ("split.csv", ["train", "vae", "data", "--split", "data/split.csv", *train[:8]]),
            ("captions.jsonl", ["data", "data", "--size", "16"]),
        ]
    )
    return Case(
        "tables", number, command, lambda folder, rng: damage.table(base / "data", folder / "data", table, rng), table
    )


def hostile_file(base: Path, seed: int, number: int) -> Case:
    """A folder or a file that is not what its name says."""
    rng = random.Random(f"{seed}-files-{number}")
    what = rng.choice(list(damage.HOSTILE))
    place = rng.choice(["d", "d", "alone"])
    commands = [
        ["data", place, "--size", "16", "--preview", "look.png"],
        ["train", "random_phase", place, "--out", "new", "--size", "16"],
        ["score", place, str(base / "samples")],
        ["audit", str(base / "data"), place, "--size", "16", "--no-power"],
        ["restore", str(base / "runs" / "edm"), place, "--streaks", "rows", "--out", "a.png", "--set", "steps=2"],
        ["restore", str(base / "runs" / "edm"), str(base / "image.png"), "--mask", place, "--out", "a.png", "--set", "steps=2"],
        ["restore", str(base / "runs" / "edm"), place, "--between", place, "--out", "a.png", "--set", "steps=2"],
    ]  # fmt: skip
    command = rng.choice(commands[:2] * 4 + commands)

    def prepare(folder: Path, rng: random.Random) -> None:
        shutil.copytree(base / "data" / "train", folder / "d", ignore=shutil.ignore_patterns("masks"))
        path = damage.HOSTILE[what](base, folder / "d", rng)
        if place == "alone" and path is not None:
            for k, argument in enumerate(command):
                if argument == "alone":
                    command[k] = str(path)

    return Case("files", number, command, prepare, what)


def damaged_bench(base: Path, seed: int, number: int) -> Case:
    """A bench folder or a specification that was changed."""
    rng = random.Random(f"{seed}-benches-{number}")
    if rng.random() < 0.7:

        def prepare(folder: Path, rng: random.Random) -> None:
            shutil.copytree(base / "bench", folder / "bench")
            damage.damage_folder(folder / "bench", rng)

        return Case("benches", number, ["report", "bench"], prepare)

    def write(folder: Path, rng: random.Random) -> None:
        text = (base / "bench.toml").read_text()
        (folder / "bench.toml").write_bytes(damage.text(text, rng))

    return Case("benches", number, ["bench", "bench.toml", "--out", "new"], write, "specification")


def _nothing(folder: Path, rng: random.Random) -> None:
    pass


def _with_bench(base: Path) -> Callable[[Path, random.Random], None]:
    return lambda folder, rng: shutil.copytree(base / "bench", folder / "bench") and None


# Kind: how its cases are made, its share of all.
KINDS: dict[str, tuple[Callable[[Path, int, int], Case], float]] = {
    "commands": (command_line, 0.45),
    "runs": (damaged_run, 0.15),
    "tables": (damaged_table, 0.1),
    "files": (hostile_file, 0.25),
    "benches": (damaged_bench, 0.05),
}
