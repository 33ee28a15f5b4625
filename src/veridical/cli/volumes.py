"""The command volume."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from veridical.cli.shell import Seed, app, pairs_of, say
from veridical.core.parse import parse_shape


@app.command(
    epilog="Exit code 130: stopped; the same command goes on.\n\nExamples:\n\n\b\n"
    "veridical volume runs/edm --shape 128x128x128 --out volume.tif\n"
    "veridical volume runs/edm --shape 128 --periodic --seed 1 --out periodic.tif\n"
    "veridical volume runs/slicegan --shape 128x128x256 --out long.tif"
)
def volume(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="Run folder of edm_3d, slicegan, or of diffusion in pixels (edm, ddpm, dit, ...); grey images.",
        ),
    ],
    shape: Annotated[
        str, typer.Option(metavar="SLICESxHEIGHTxWIDTH", help="Voxels of the volume; one number: a cube.")
    ],
    out: Annotated[Path, typer.Option(help="TIFF file to write; OUT.json beside it says what made it.")],
    periodic: Annotated[
        bool, typer.Option("--periodic", help="The volume goes on at the opposite face where it ends; takes less time.")
    ] = False,
    isotropic: Annotated[
        bool,
        typer.Option(
            "--isotropic",
            help="The material is known to have no direction: do not read the training images again to test that.",
        ),
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Setting of sampling: sampling_steps, autoguidance."),
    ] = None,
    seed: Seed = 0,
    batch: Annotated[int, typer.Option(help="Tiles at a time; changes the volume by no more than rounding.")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Draw a volume of a material from a run that was trained on its sections, or on a volume.

    Sections along all three axes look like the images of the run. Not for fibres, roots and layers, whose sections are no
    sections of an isotropic body: those need a volume, and edm_3d, or a set of sections an axis, and slicegan_directed.
    """
    from veridical.volumes.draw import volume as draw

    sides = parse_shape(shape)
    try:
        draw(
            run, sides, out, settings=pairs_of(set_ or []), seed=seed, batch=batch, periodic=periodic,
            isotropic=isotropic, device=device, quiet=quiet,
        )  # fmt: skip
    except KeyboardInterrupt:
        if (part := out.with_suffix(".part.npz")).exists():
            say(f"{part} has what was done: give the same command again to go on", error=True)
        raise
    say(f"{' x '.join(map(str, sides))} voxels: {out}, {out.with_suffix('.json').name}")
