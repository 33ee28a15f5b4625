"""The commands recipes, data and phantom."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from veridical.cli.shell import Json, Seed, app, check_outputs, pairs_of, say, say_table, write_json
from veridical.core.errors import InputError
from veridical.core.text import shown


@app.command(epilog="Examples:\n\n\b\nveridical recipes\nveridical recipes edm\nveridical recipes edm --json")
def recipes(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[RECIPE]", help="One system, with all its settings."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """The table of systems: family, task, needs, citation; or one system with its settings."""
    from veridical.recipes.table import RECIPES, find

    chosen = RECIPES if name is None else {name: find(name)}
    if as_json:
        rows = {
            n: {k: getattr(r, k) for k in ("family", "task", "summary", "citation", "needs")}
            | {"first": {name: stage.recipe for name, stage in r.first.items()}}
            | {"settings": {k: str(v) for k, v in r.arguments().items()}}
            for n, r in chosen.items()
        }
        say(json.dumps(rows, indent=1))
        return
    for n, row in chosen.items():
        stages = ", ".join(stage.recipe for stage in row.first.values())
        needs = ", ".join((*row.needs, *row.learns)) or (f"first stage {stages}" if stages else "images")
        say(f"{n}  {row.family}, {row.task}, needs {needs}\n    {row.summary}\n    {row.citation}")
    if name is not None:
        for title, lines in _settings_of(name).items():
            table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
            for line in lines:
                table.add_row(*(shown(each) for each in line))
            say(f"\n{title}")
            say_table(table)


def _settings_of(name: str) -> dict[str, list[tuple[str, str, str]]]:
    """Name, usual value and help of the settings of a system, by what they act on."""
    from veridical.conditions.table import SIZES
    from veridical.recipes.config import TrainConfig
    from veridical.recipes.table import find

    row = find(name)

    def line(key: str, value: object, kind: type | None) -> tuple[str, str, str]:
        about = {} if kind is None else next(f.metadata for f in dataclasses.fields(kind) if f.name == key)
        choices = f" One of {', '.join(about['choices'])}." if about.get("choices") else ""
        said = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        return key, said or '""', about.get("help", "") + choices

    known = {key: line(key, value, row.kind_of(key)) for key, value in row.arguments().items() if key not in SIZES}
    groups = {
        "Of training (veridical train --set NAME=VALUE):": [v for k, v in known.items() if k not in row.sampling],
        "Of sampling, too (veridical sample --set NAME=VALUE):": [known[k] for k in row.sampling if k in known],
        "What veridical train usually has for it (flags, see veridical train --help):": [
            line(key, value, TrainConfig) for key, value in row.train.items()
        ],
    }
    return {title: lines for title, lines in groups.items() if lines}


@app.command(
    epilog="Examples:\n\n\b\nveridical data scans/core.tif --preview core.png\n"
    "veridical data scans/core.tif --size 64 --scale 0.5 --pace --preview core.png"
)
def data(
    spec: Annotated[str, typer.Argument(metavar="DATA", help="Images to look at.")],
    size: Annotated[int, typer.Option(help="Side of the tiles in pixels.")] = 64,
    scale: Annotated[float, typer.Option(help="Resize images by this factor first.")] = 1.0,
    hold_out: Annotated[int, typer.Option(min=0, help="Images to hold out; 0: a fifth, or what the data bring.")] = 0,
    preview: Annotated[
        Path | None, typer.Option(help="Write a picture of training (left) and test tiles (right) here.")
    ] = None,
    pace: Annotated[
        bool, typer.Option("--pace", help="Train a few steps of edm, too, to say how many minutes it takes here.")
    ] = False,
    json_file: Json = None,
) -> None:
    """What is in a dataset: slices, sizes, bit depth, intensity window, split; the tile and scale that fit; a preview."""
    import numpy as np

    from veridical.core.notes import heard
    from veridical.core.progress import bar_if_slow
    from veridical.data.advice import advise, is_other, lines, to_json
    from veridical.data.images import save_png, to_grid
    from veridical.data.open import open_dataset
    from veridical.runs.next import MINUTES

    check_outputs(preview, json_file, inputs=(spec,))
    with heard(), bar_if_slow():  # notes are in the summary
        dataset = open_dataset(spec, size, scale=scale, hold_out=hold_out)
    summary = dataset.summary()
    table = Table(box=None, show_header=False, padding=(0, 1))
    for key, value in summary.items():
        if value is not None and value != []:
            table.add_row(key, shown(_in_words(key, value)))
    advice = advise(dataset)
    if preview is not None:
        sides = [to_grid(dataset.tiles(which, n=64, oriented=False)[0], columns=8) for which in ("train", "test")]
        height = max(side.shape[0] for side in sides)
        padded = [
            np.pad(s, [(0, height - s.shape[0]), (0, 8)] + [(0, 0)] * (s.ndim - 2), constant_values=255) for s in sides
        ]
        save_png(preview, np.concatenate(padded, axis=1))
    say_table(table)
    told = lines(advice)
    say("\n".join(["", *told]))
    minutes, said = MINUTES, list[str]()
    if pace:
        from veridical.training.pace import forecast

        with heard():  # said above
            said = forecast(spec, advice.size, advice.scale)
        say("\n".join(said))
    if preview is not None:
        say(f"preview: {preview}")
    name = shlex.quote(f"runs/{Path(spec.partition('?')[0].replace(':', '-')).stem}")
    write_json(json_file, summary | {"hold_out": hold_out, "advice": to_json(advice) | {"said": told, "pace": said}})
    held = advice.hold_out or hold_out
    chosen = f"{shlex.quote(spec)} --size {advice.size} --scale {advice.scale:g}{f' --hold-out {held}' if held else ''}"
    looked = f"  veridical data {chosen} --preview tiles.png\n" if is_other(advice, dataset) or advice.hold_out else ""
    say(f"\nNext:\n{looked}  veridical train edm {chosen} --minutes {minutes} --out {name}")


def _in_words(key: str, value: Any) -> str:
    """An entry of the summary of a dataset as people read it."""
    if key == "notes":
        return "; ".join(value)
    if key == "shapes":
        return ", ".join(f"{height} x {width}" for height, width in value)
    if key == "window":
        return f"{value['low']:g} to {value['high']:g} become 0 to 1"
    if isinstance(value, dict):
        return ", ".join(f"{name} {shown(each)}" for name, each in value.items())
    return str(value)


@app.command(
    epilog="Examples:\n\n\b\n"
    "veridical phantom rocks -n 200 --size 256 --out phantoms/rocks\n"
    "veridical phantom rocks -n 200 --set porosity=0.1,0.4 --set tube=0 --out phantoms/tight\n\n"
    "veridical phantom cmc -n 400 --size 64 --set withhold=cracks+binder --out phantoms/withheld\n\n"
    "veridical phantom cmc --pairs add_crack -n 400 --out phantoms/cracked\n\n"
    "veridical phantom spheres -n 1 --size 128 --set solid_fraction=0.6 --set voxel_size=2.5 --out phantoms/spheres"
)
def phantom(
    kind: Annotated[str, typer.Argument(help="cmc, rocks or roots; spheres: volumes.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    n: Annotated[int | None, typer.Option("-n", help="Number of images, usually 100; of volumes, usually 1.")] = None,
    size: Annotated[
        int | None, typer.Option(help="Side in pixels, usually 256; of volumes in voxels, usually 128.")
    ] = None,
    bits: Annotated[int, typer.Option(help="Of grey images: 8 or 16, as your real images have.")] = 16,
    seed: Seed = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="What to draw, a number or LOW,HIGH: porosity=0.1,0.4."),
    ] = None,
    pairs: Annotated[
        str,
        typer.Option(
            metavar="CHANGE",
            help="Pairs before and after an instruction instead (before/, after/, changed/, pairs.jsonl): add_crack, or two "
            "joined by +; any other word lists what there is.",
        ),
    ] = "",
) -> None:
    """Images with known answers: images/, masks/, properties.csv, captions.jsonl.

    Volumes of overlapping spheres, of which more is known: spheres_0.tif, spheres_0_mask.tif, properties.csv.
    """
    from veridical import phantoms

    phantoms.check_output(out, bits)
    if kind == "spheres":
        if pairs:
            raise InputError("--pairs are of images: choose cmc, rocks or roots.")
        count, side = 1 if n is None else n, 128 if size is None else size
        phantoms.write_spheres(out, count, side, seed, phantoms.parse_volume_options(pairs_of(set_ or [])), bits)
        say(f"{count} spheres phantoms of {side} x {side} x {side} voxels: {out}")
        return
    n, size = 100 if n is None else n, 256 if size is None else size
    options = phantoms.parse_options(kind, pairs_of(set_ or []))
    workers = os.cpu_count() or 1
    if pairs:
        made = phantoms.pairs(kind, pairs, n, size, seed, options=options, workers=workers)
        phantoms.write_pairs(out, made, bits)
        say(f"{n} {kind} pairs of {pairs}: {out}")
        return
    phantoms.write_phantoms(out, phantoms.generate(kind, n, size, seed, options=options, workers=workers), bits)
    say(f"{n} {kind} phantoms: {out}")
