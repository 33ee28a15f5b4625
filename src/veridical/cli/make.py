"""The commands train and sample."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from veridical.cli.shell import STOPPED, Download, Seed, app, pairs_of, say, show, signature_of
from veridical.conditions.table import options
from veridical.core.errors import InputError
from veridical.core.files import check_folder
from veridical.core.parse import parse_size
from veridical.core.settings import types_of
from veridical.recipes.config import TrainConfig


def train(
    recipe: str, data: str, out: Path, resume: bool, first: list[str], set_: list[str], quiet: bool, **flags: Any
) -> None:
    """Train a recipe in your own domain.

    Settings of the recipe's network are given as --set NAME=VALUE; `veridical recipes --json` lists them.
    """
    from veridical.cli.ending import ended, stopped
    from veridical.core.device import process_number
    from veridical.core.interrupt import Stopped
    from veridical.training.start import train as run

    check_folder(out)
    more = pairs_of(set_)
    own = [p.name for p in inspect.signature(run).parameters.values() if p.kind is not p.VAR_KEYWORD]
    for name in more:
        if name in own:
            raise InputError(f"--set {name} is no setting of {recipe}: {name} is said by the command itself.")
        if flags.get(name) is not None:
            raise InputError(f"--set {name} says again what --{name.replace('_', '-')} says: leave one out.")
    given: dict[str, Any] = {**flags, **more}
    speaks = process_number("RANK", 0) == 0
    try:
        run(recipe, data, out, resume=resume, first=_places(first), quiet=quiet, **given)
    except Stopped:
        if speaks:
            say(stopped(out))
        raise typer.Exit(STOPPED) from None
    if speaks:
        say(ended(out))


def _places(first: list[str]) -> str | dict[str, str] | None:
    """A run folder, or some by the names of stages."""
    name, equals, _ = first[0].partition("=") if first else ("", "", "")
    if len(first) == 1 and not (equals and name.isidentifier()):
        return first[0]
    return pairs_of(first, "--first", "RUN") or None


def _train_signature() -> inspect.Signature:
    """Arguments of `train`: its own, then a flag for each field of `TrainConfig` (default: the recipe's)."""
    own: list[tuple[str, Any, Any]] = [
        ("recipe", Annotated[str, typer.Argument(help="A name from `veridical recipes`.")], inspect.Parameter.empty),
        ("data", Annotated[str, typer.Argument(metavar="DATA", help="Images to learn from.")], inspect.Parameter.empty),
        ("out", Annotated[Path, typer.Option(help="Run folder to write.")], inspect.Parameter.empty),
        ("resume", Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")], False),
        (
            "first",
            Annotated[
                list[str],
                typer.Option(
                    metavar="[NAME=]RUN",
                    help="Run folder of a trained first stage; with its name where a system has several; repeatable.",
                ),
            ],
            [],
        ),
        (
            "set_",
            Annotated[
                list[str],
                typer.Option("--set", metavar="NAME=VALUE", help="Any setting or network argument; repeatable."),
            ],
            [],
        ),
        ("quiet", Annotated[bool, typer.Option("--quiet", help="No progress.")], False),
    ]
    kinds = types_of(TrainConfig)
    for f in dataclasses.fields(TrainConfig):
        default = "" if f.default is None or f.default == "" else f" Usually {f.default}."
        own.append((f.name, Annotated[kinds[f.name] | None, typer.Option(help=f.metadata["help"] + default)], None))
    return signature_of(own)


show(train, _train_signature())

app.command(
    epilog="Exit code 130: stopped by Ctrl-C or a signal; the run is saved, --resume goes on.\n\nExamples:\n\n\b\n"
    "veridical train edm scans/core.tif --out runs/edm --minutes 30\n"
    "veridical train cgan 'phantom:rocks?n=400&size=64' --label porosity --bins 4 --out runs/cgan\n"
    "veridical train pix2pix scans --out runs/pix2pix        (with scans/masks/)\n"
    "veridical train cyclegan scans --source 'phantom:rocks?n=400&size=64' --out runs/cyclegan"
)(train)


def sample(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Run folder, hub:FOLDER, a pipeline of diffusers, or hosted:MODEL@URL.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    n: Annotated[int, typer.Option("-n", help="Number of images.")] = 64,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Setting of sampling: truncation, sampling_steps, solver."),
    ] = None,
    extrapolate: Annotated[
        bool,
        typer.Option(
            "--extrapolate", help="Draw labels and numbers of prompts outside the range of the training images, too."
        ),
    ] = False,
    size: Annotated[
        str | None,
        typer.Option(metavar="WIDTHxHEIGHT", help="Pixels of images that are larger than the tiles of the run."),
    ] = None,
    periodic: Annotated[
        bool, typer.Option("--periodic", help="Images go on at the opposite side where they end.")
    ] = False,
    best: Annotated[
        bool,
        typer.Option(
            "--best",
            help="Draw from the state whose preview was best, not from the last; other commands: --set weights=best.",
        ),
    ] = False,
    download: Download = False,
    seed: Seed = 0,
    batch: Annotated[
        int,
        typer.Option(help="Images at a time, of larger ones their tiles; changes them by no more than rounding."),
    ] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads; 0: all that this process may use.", min=0, max=1024)] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    **asked: Any,
) -> None:
    """Draw images from a trained run, in the units and bit depth of its data, with their provenance.

    Images drawn from label images, or translated from images that have one, come with masks/.
    """
    from veridical.cli.ending import drawn
    from veridical.core.device import process_number
    from veridical.hub.hosted import is_hosted
    from veridical.hub.sampling import sample_hosted
    from veridical.runs.draw import sample as draw

    check_folder(out)
    settings = pairs_of(set_ or [])
    if download:
        settings["download"] = "true"
    if best:
        settings["weights"] = "best"
    if extrapolate:
        asked["extrapolate"] = True
    try:
        if is_hosted(run):
            if process_number("WORLD_SIZE", 1) > 1:
                raise InputError("one process asks a hosted generator: start it without torchrun.")
            words = {name: asked.pop(name) for name in ("prompt", "negative_prompt")}
            asked |= {"size": size, "periodic": periodic, "download": download, "threads": threads}
            if beside := [name for name, value in asked.items() if value]:
                raise InputError(f"--{beside[0]} cannot be said to a hosted generator: leave it out.")
            sample_hosted(run, n, out, settings=settings, seed=seed, quiet=quiet, **words)
        else:
            draw(
                Path(run), n, out, settings=settings, seed=seed, batch=batch, size=parse_size(size) if size else None,
                periodic=periodic, device=device, threads=threads, quiet=quiet, **asked,
            )  # fmt: skip
    except KeyboardInterrupt:
        say(f"{out} has the images that were drawn: give the same command again to go on", error=True)
        raise
    if process_number("RANK", 0) == 0:
        say(f"{n} image{'s' * (n != 1)}, provenance.json, grid.png: {out}")
        if after := drawn(run, out):
            say(after)


def _sample_signature() -> inspect.Signature:
    """Arguments of `sample`: its own, and a flag for what each condition can be asked to be."""
    own = list(inspect.signature(sample, eval_str=True).parameters.values())[:-1]
    asked = []
    for option in options().values():
        kind: Any = list[str] | None if option.several else str | None
        shown = typer.Option(option.flag, metavar=option.metavar, help=option.text)
        asked.append(own[-1].replace(name=option.name, default=None, annotation=Annotated[kind, shown]))
    return inspect.Signature([*own[:3], *asked, *own[3:]])


show(sample, _sample_signature())
app.command(
    epilog="Exit code 130: stopped; what was drawn is kept, the same command goes on.\n\nExamples:\n\n\b\n"
    "veridical sample runs/edm -n 64 --out samples\n"
    "veridical sample runs/stylegan -n 64 --set truncation=0.7 --out samples\n"
    "veridical sample runs/cgan --label 0.25,0.35,0.45 -n 30 --out samples\n"
    "veridical sample runs/edm -n 4 --size 1024x1024 --out large\n"
    "torchrun --nproc-per-node 2 -m veridical sample runs/edm -n 5000 --out many\n"
    "veridical sample runs/pix2pix --masks new/masks --out labelled\n"
    "veridical sample hosted:edm@http://127.0.0.1:8000/v1 -n 4 --out drawn\n"
    "veridical sample runs/upsampler --source coarse.tif -n 64 --out fine\n"
    "veridical sample hub:pipelines/sd15 --prompt 'a photo of gravel' --set like=scans -n 16 --out samples\n"
    "veridical sample runs/cyclegan --source 'phantom:rocks?n=50&size=64&seed=9' -n 50 --out labelled"
)(sample)
