"""The command line: a thin shell over the public functions."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from .bench.spec import EXAMPLE
from .config import TrainConfig
from .errors import InputError
from .version import __version__

app = typer.Typer(
    name="veridical",
    help="Train, run and validate image generators on scientific images.\n\n"
    "DATA, REAL and SYNTH: a folder of images, a multi-page TIFF, file.h5:/path, a Zarr store, file.npy, "
    "phantom:rocks, skimage:gravel.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
out_console = Console()

Seed = Annotated[int, typer.Option(help="Same seed, same images.")]
Json = Annotated[Path | None, typer.Option("--json", help="Also write the result as JSON to this file.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _main(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and stop.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Train, run and validate image generators on scientific images."""


@app.command()
def recipes(as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False) -> None:
    """The table of systems: family, task, needs, citation."""
    from .recipes import RECIPES

    if as_json:
        rows = {
            n: {k: getattr(r, k) for k in ("family", "task", "summary", "citation", "needs", "first")}
            for n, r in RECIPES.items()
        }
        rows = {
            n: row | {"settings": {k: str(v) for k, v in RECIPES[n].arguments().items()}} for n, row in rows.items()
        }
        print(json.dumps(rows, indent=1))
        return
    for name, row in RECIPES.items():
        needs = ", ".join(row.needs) or (f"first stage {row.first}" if row.first else "images")
        out_console.print(f"[bold]{name}[/bold]  {row.family}, {row.task}, needs {needs}", highlight=False)
        out_console.print(f"    {row.summary}\n    {row.citation}", highlight=False, style="dim")


@app.command(epilog="Example: veridical data scans/core.tif --preview core.png")
def data(
    spec: Annotated[str, typer.Argument(metavar="DATA", help="Images to look at.")],
    size: Annotated[int, typer.Option(help="Side of the tiles in pixels.")] = 64,
    scale: Annotated[float, typer.Option(help="Resize images by this factor first.")] = 1.0,
    preview: Annotated[
        Path | None, typer.Option(help="Write a picture of training (left) and test tiles (right) here.")
    ] = None,
    json_file: Json = None,
) -> None:
    """What is in a dataset: slices, sizes, bit depth, intensity window, split; a preview."""
    import numpy as np

    from . import images
    from .dataset import open_dataset

    dataset = open_dataset(spec, size, scale=scale)
    summary = dataset.summary()
    table = Table(box=None, show_header=False, padding=(0, 1))
    for key, value in summary.items():
        table.add_row(key, "; ".join(value) if key == "notes" else str(value))
    out_console.print(table)
    if preview is not None:
        sides = [
            images.to_grid(dataset.tiles(which, n=64, oriented=False)[0], columns=8) for which in ("train", "test")
        ]
        height = max(side.shape[0] for side in sides)
        padded = [
            np.pad(s, [(0, height - s.shape[0]), (0, 8)] + [(0, 0)] * (s.ndim - 2), constant_values=255) for s in sides
        ]
        images.save_png(preview, np.concatenate(padded, axis=1))
        print(f"preview: {preview}")
    _write_json(json_file, summary)


@app.command(epilog="Example: veridical phantom rocks -n 200 --size 256 --out phantoms/rocks")
def phantom(
    kind: Annotated[str, typer.Argument(help="cmc, rocks or roots.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    n: Annotated[int, typer.Option("-n", help="Number of images.")] = 100,
    size: Annotated[int, typer.Option(help="Side in pixels.")] = 256,
    seed: Seed = 0,
) -> None:
    """Images with known answers: images/, masks/, properties.csv, captions.jsonl."""
    from .phantoms import generate, write_phantoms

    write_phantoms(out, generate(kind, n, size, seed, workers=os.cpu_count() or 1))
    print(f"{n} {kind} phantoms: {out}")


def train(
    recipe: str, data: str, out: Path, resume: bool, first: Path | None, set_: list[str], quiet: bool, **flags: Any
) -> None:
    """Train a recipe in your own domain.

    Settings of the recipe's network are given as --set NAME=VALUE; `veridical recipes --json` lists them.
    """
    from .train import train as run

    given: dict[str, Any] = {**flags, **_pairs(set_)}
    folder = run(recipe, data, out, resume=resume, first=first, quiet=quiet, **given)
    if int(os.environ.get("RANK", 0)) == 0:
        print(f"run: {folder}")


def _train_signature() -> inspect.Signature:
    """Arguments of `train`: its own, then a flag for each field of `TrainConfig` (default: the recipe's)."""
    own: list[tuple[str, Any, Any]] = [
        ("recipe", Annotated[str, typer.Argument(help="A name from `veridical recipes`.")], inspect.Parameter.empty),
        ("data", Annotated[str, typer.Argument(metavar="DATA", help="Images to learn from.")], inspect.Parameter.empty),
        ("out", Annotated[Path, typer.Option(help="Run folder to write.")], inspect.Parameter.empty),
        ("resume", Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")], False),
        (
            "first",
            Annotated[Path | None, typer.Option(help="Run folder of a trained first stage, for two-stage systems.")],
            None,
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
    kinds = {"int": int, "float": float, "str": str, "int | None": int, "float | None": float}
    for f in dataclasses.fields(TrainConfig):
        default = "" if f.default is None else f" Usually {f.default}."
        own.append(
            (f.name, Annotated[kinds[str(f.type)] | None, typer.Option(help=f.metadata["help"] + default)], None)
        )
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature([inspect.Parameter(n, keyword, default=d, annotation=a) for n, a, d in own])


train.__signature__ = _train_signature()  # type: ignore[attr-defined]
train.__annotations__ = {p.name: p.annotation for p in train.__signature__.parameters.values()}  # type: ignore[attr-defined]
app.command(
    epilog="Examples:\n\n\b\n"
    "veridical train edm scans/core.tif --out runs/edm --minutes 30\n"
    "veridical train cgan 'phantom:rocks?n=400&size=64' --label porosity --bins 4 --out runs/cgan\n"
    "veridical train pix2pix scans --out runs/pix2pix        (with scans/masks/)\n"
    "veridical train cyclegan scans --source 'phantom:rocks?n=400&size=64' --out runs/cyclegan"
)(train)


@app.command(
    epilog="Examples:\n\n\b\n"
    "veridical sample runs/edm -n 64 --out samples\n"
    "veridical sample runs/stylegan -n 64 --set truncation=0.7 --out samples\n"
    "veridical sample runs/cgan --label 0.25,0.35,0.45 -n 30 --out samples\n"
    "veridical sample runs/pix2pix --masks new/masks --out labelled\n"
    "veridical sample runs/cyclegan --source 'phantom:rocks?n=50&size=64&seed=9' -n 50 --out labelled"
)
def sample(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    n: Annotated[int, typer.Option("-n", help="Number of images.")] = 64,
    label: Annotated[
        list[str] | None,
        typer.Option(help="Classes or values to draw, in turn; repeatable or with commas. Default: all in turn."),
    ] = None,
    masks: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Label images to draw from. Default: held-out ones.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="DATA", help="Images to translate. Default: held-out ones of the source.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Setting of sampling: truncation, sampling_steps, solver."),
    ] = None,
    seed: Seed = 0,
    batch: Annotated[int, typer.Option(help="Images at a time; changes them by no more than rounding.")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Draw images from a trained run, in the units and bit depth of its data, with their provenance.

    Images drawn from label images, or translated from images that have one, come with masks/.
    """
    from .sample import sample as draw

    folder = draw(
        run, n, out, label=label or (), masks=masks, source=source, settings=_pairs(set_ or []), seed=seed, batch=batch,
        device=device, quiet=quiet,
    )  # fmt: skip
    print(f"{n} images, provenance.json, grid.png: {folder}")


@app.command(
    epilog="Examples:\n\n\b\n"
    "veridical restore runs/edm slice.tif --mask cracks.png --out filled.tif\n"
    "veridical restore runs/edm slice.tif --rings 512,498.5 --out clean.tif\n"
    "veridical restore runs/edm slice.tif --streaks rows --width 8 --out clean.tif\n"
    "veridical restore runs/edm xz.tif --wedge 60 --samples 8 --spread doubt.tif --out whole.tif"
)
def restore(
    run: Annotated[Path, typer.Argument(help="Run folder of a diffusion system in pixels, such as edm.")],
    image: Annotated[
        str, typer.Argument(metavar="IMAGE", help="One image, larger than the tiles of the run or as large.")
    ],
    out: Annotated[Path, typer.Option(help="Image file to write; a .json of its name says how it was made.")],
    mask: Annotated[
        Path | None, typer.Option(help="Image of the same size, not 0 where to fill; all other pixels are kept.")
    ] = None,
    rings: Annotated[
        str | None, typer.Option(metavar="CX,CY", help="Remove rings about column CX and row CY, in pixels.")
    ] = None,
    streaks: Annotated[str | None, typer.Option(metavar="rows|columns", help="Remove streaks along these.")] = None,
    wedge: Annotated[
        float | None, typer.Option(metavar="DEGREES", help="Fill a missing wedge of this opening about the columns.")
    ] = None,
    width: Annotated[int, typer.Option(help="Of rings or streaks, in pixels at most.")] = 16,
    deviation: Annotated[
        float, typer.Option(help="Noise of the measured parts, as a share of the intensity window.")
    ] = 0.0,
    samples: Annotated[int, typer.Option(help="Draws; the mean of several is closer to the truth but smoother.")] = 1,
    spread: Annotated[
        Path | None, typer.Option(help="Write the standard deviation of the draws, in counts, to this TIFF file.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="steps, resamplings, iterations or batch."),
    ] = None,
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Fill masked regions, remove rings or streaks, or fill a missing wedge; what was measured is kept."""
    from .restoration import Settings
    from .restoration.files import restore_file

    path = restore_file(
        run, image, out, mask=mask, ring_centre=_point(rings), streak_axis=streaks, wedge_degrees=wedge, width=width,
        deviation=deviation, samples=samples, spread=spread, settings=Settings.parse(_pairs(set_ or [])), seed=seed,
        device=device, quiet=quiet,
    )  # fmt: skip
    print(f"restored: {path}")


@app.command(epilog="Example: veridical score scans/test samples --train scans/train --json score.json")
def score(
    real: Annotated[str, typer.Argument(metavar="REAL")],
    synth: Annotated[str, typer.Argument(metavar="SYNTH")],
    paired: Annotated[
        bool, typer.Option("--paired", help="Images of one name belong together: SSIM, PSNR, LPIPS.")
    ] = False,
    train: Annotated[
        str | None, typer.Option(help="Other real images for the real-against-real floor; else REAL is halved.")
    ] = None,
    extractor: Annotated[str, typer.Option(help="efficientnet_lite0 or inception.")] = "efficientnet_lite0",
    inception: Annotated[Path | None, typer.Option(help="TorchScript file of the FID Inception network.")] = None,
    json_file: Json = None,
) -> None:
    """Compare synthetic with real images: values with 95 % intervals beside the real-against-real floor."""
    from .score import format_rows
    from .score import score as compare

    rows = compare(real, synth, floor_real=train, paired=paired, extractor=extractor, inception=inception)
    out_console.print(format_rows(rows))
    _write_json(json_file, rows)


@app.command(
    epilog="Examples:\n\n\b\n"
    "veridical audit scans/test samples --train scans/train --html audit.html\n"
    "veridical audit scans/core.tif samples --size 64 --json audit.json\n"
    "veridical audit tiles samples --field 'f[0-9]+'        (the part of a file name that says its slice)\n"
    "Exit code 0: pass. 3: fail. 4: too few images to say. 2: bad input."
)
def audit(
    real: Annotated[str, typer.Argument(metavar="REAL", help="Real images, best such as were not trained on.")],
    synth: Annotated[str, typer.Argument(metavar="SYNTH", help="Synthetic images.")],
    train: Annotated[str | None, typer.Option(metavar="DATA", help="Training images, to search for copies.")] = None,
    source: Annotated[
        str | None, typer.Option(metavar="DATA", help="What edited images were made of; files of one name are pairs.")
    ] = None,
    alpha: Annotated[float, typer.Option(min=0.001, max=0.5, help="Chance of a false alarm.")] = 0.05,
    size: Annotated[
        int | None, typer.Option(min=16, help="Cut images to this size. Default: what fits if sizes differ.")
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="Finds the slice in a file name. Default: the name without place."),
    ] = None,
    power: Annotated[bool, typer.Option(help="With a pass, find what would have been caught.")] = True,
    json_file: Json = None,
    html: Annotated[Path | None, typer.Option(help="Write a self-contained page here.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Can synthetic images be trusted, and if not, why? A verdict with reasons, calibrated on real images."""
    import tempfile

    from .audit.page import page, summary
    from .audit.verdict import audit as judge
    from .progress import Progress

    with tempfile.TemporaryDirectory() as scratch, Progress("audit", quiet) as bar:
        pictures = json_file.parent if json_file is not None else Path(scratch)
        report = judge(
            real, synth, train, source, alpha, field=field, size=size, power=power,
            pictures=pictures if json_file is not None or html is not None else None, progress=bar.update,
        )  # fmt: skip
        if html is not None:
            page(html, report, pictures, {"real": real, "synth": synth})
    print(summary(report))
    _write_json(json_file, report)
    raise typer.Exit({"pass": 0, "fail": 3, "insufficient": 4}[report["verdict"]])


@app.command(epilog="Example: veridical utility scans/labelled samples --size 64 --json utility.json")
def utility(
    real: Annotated[str, typer.Argument(metavar="REAL", help="Real images with masks/ beside them.")],
    synth: Annotated[str, typer.Argument(metavar="SYNTH", help="Synthetic images with masks/ beside them.")],
    size: Annotated[int, typer.Option(min=16, help="Side of the tiles in pixels.")] = 64,
    scale: Annotated[float | None, typer.Option(help="Resize images by this factor first.")] = None,
    split: Annotated[str | None, typer.Option(metavar="CSV", help="What is held out: columns name,split.")] = None,
    seeds: Annotated[int, typer.Option(min=2, help="Networks of each kind.")] = 3,
    steps: Annotated[int, typer.Option(min=1, help="Training steps of each network.")] = 600,
    json_file: Json = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Train a segmentation on synthetic images, on real ones and on both; test on held-out real ones: Dice."""
    from .progress import Progress
    from .score import format_rows
    from .utility import utility as measure

    with Progress("utility", quiet) as bar:
        rows = measure(real, synth, size=size, scale=scale, split=split, seeds=seeds, steps=steps, progress=bar.update)
    out_console.print(format_rows(rows))
    _write_json(json_file, rows)


@app.command(epilog="The specification is a TOML file; docs/benchmarks.md explains this example:\n\n\b\n" + EXAMPLE)
def bench(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.toml", help="Datasets, recipes, seeds and budget.")],
    out: Annotated[Path, typer.Option(help="Folder of the bench; give it again to go on.")],
) -> None:
    """Train, sample, score and report datasets x recipes x seeds; safe to stop and run again."""
    from .bench.run import bench as run

    print(f"report: {run(spec, out)}")


@app.command(epilog="Example: veridical report bench")
def report(folder: Annotated[Path, typer.Argument(help="Folder of a bench.")]) -> None:
    """Write report.html, tables (CSV, Markdown, LaTeX) and figures of a bench."""
    from .bench.report import report as write

    print(f"report: {write(folder)}")


def _point(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        raise InputError(
            f"--rings {text} is no point: write the column and the row of the centre, --rings 512,498.5."
        ) from None
    return x, y


def _pairs(items: list[str]) -> dict[str, str]:
    pairs = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals:
            raise InputError(f"--set {item} has no '=': write --set NAME=VALUE.")
        pairs[name] = value
    return pairs


def _write_json(path: Path | None, content: Any) -> None:
    if path is not None:
        from .checkpoint import write_json

        write_json(path, content)


def main() -> None:
    """Run the command; bad input or usage is one sentence and exit code 2."""
    # Threads that wait must sleep: two processes that spin on the same cores slow each other down tenfold.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except (InputError, OSError) as error:
        if "--debug" in sys.argv:
            raise
        text = str(error)
        if isinstance(error, OSError):
            where = error.filename or "a file"
            text = f"{where} cannot be read or written ({error.strerror or error}): free some space or choose another place."
        print(f"veridical: {text}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
