"""The commands score, audit, utility, bench and report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from veridical.benching.spec import EXAMPLE
from veridical.cli.shell import FAILED_CELLS, STOPPED, Json, app, check_outputs, say, say_table, write_json
from veridical.core.errors import InputError

REAL = "Real images, best such as were not trained on; or a run: its held-out tiles."


@app.command(
    epilog="Examples:\n\n\b\n"
    "veridical score scans/test samples --train scans/train --json score.json\n"
    "veridical score runs/edm samples        (the held-out tiles of the run)"
)
def score(
    real: Annotated[str, typer.Argument(metavar="REAL", help=REAL)],
    synth: Annotated[str, typer.Argument(metavar="SYNTH", help="Synthetic images.")],
    paired: Annotated[
        bool, typer.Option("--paired", help="Images of one name belong together: SSIM, PSNR, LPIPS.")
    ] = False,
    train: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Training images, to search for copies; if they are as large as those of REAL, also for the "
            "real-against-real floor. Else REAL is halved for that.",
        ),
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=16, help="Cut images to this size. Default: what fits if sizes differ.")
    ] = None,
    extractor: Annotated[str, typer.Option(help="efficientnet_lite0 or inception.")] = "efficientnet_lite0",
    inception: Annotated[Path | None, typer.Option(help="TorchScript file of the FID Inception network.")] = None,
    clip: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="A run of clip: how near samples are to their prompts (clipscore_domain)."),
    ] = None,
    json_file: Json = None,
) -> None:
    """Compare synthetic with real images: values with 95 % intervals beside the real-against-real floor."""
    from veridical.cli.ending import scored
    from veridical.core.progress import bar_if_slow
    from veridical.data.readers.runs import is_run
    from veridical.scoring.said import format_rows, headline, unmeasured
    from veridical.scoring.score import score as compare

    check_outputs(json_file, inputs=(real, synth, train, inception, clip))
    if is_run(Path(real)):
        from veridical.runs.real import score_run

        _no_flags(real, {"--paired": paired or None, "--train": train, "--clip": clip})
        with bar_if_slow():
            rows = score_run(real, synth, size=size, extractor=extractor, inception=inception)
    else:
        words = None
        if clip is not None:
            from veridical.runs.words import words_of

            words = words_of(real, synth, clip)
        with bar_if_slow():
            rows = compare(
                real, synth, train=train, paired=paired, size=size, extractor=extractor, inception=inception, words=words
            )  # fmt: skip
    write_json(json_file, rows)
    say_table(format_rows([row for row in rows if row["value"] is not None]))
    for line in unmeasured(rows):
        say(f"not measured: {line}")
    say(f"\n{headline(rows)}")
    if not paired:
        say(scored(real, synth, train))


@app.command(
    epilog="Examples:\n\n\b\n"
    "veridical audit scans/test samples --train scans/train --html audit.html\n"
    "veridical audit runs/edm samples --html audit.html        (the held-out tiles of the run; copies of its training tiles)\n"
    "veridical audit scans/core.tif samples --size 64 --json audit.json\n"
    "veridical audit tiles samples --field 'f[0-9]+'        (the part of a file name that says its slice)\n"
    "Exit code 0: pass. 3: fail. 4: too few images to say. 2: bad input."
)
def audit(
    real: Annotated[str, typer.Argument(metavar="REAL", help=REAL)],
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

    from veridical.auditing.verdict import audit as judge
    from veridical.cli.ending import audited
    from veridical.core.progress import Progress, hearing
    from veridical.data.readers.runs import is_run
    from veridical.reporting.audit_text import summary
    from veridical.runs.page import audit_page

    check_outputs(json_file, html, inputs=(real, synth, train, source))
    with (
        tempfile.TemporaryDirectory() as scratch,
        Progress("audit", quiet) as bar,
        hearing(lambda _, note: bar.update(0.0, note)),
    ):
        kept = json_file is not None and (json_file.is_file() or not json_file.exists())  # beside no pipe or device
        beside = f"{json_file.stem}-pictures" if json_file is not None else ""
        pictures = json_file.parent / beside if json_file is not None and kept else Path(scratch)
        about: dict[str, Any] = {"size": size, "power": power, "progress": bar.update}
        about["pictures"] = pictures if json_file is not None or html is not None else None
        if is_run(Path(real)):
            from veridical.runs.real import audit_run

            _no_flags(real, {"--train": train, "--field": field})
            report = audit_run(real, synth, source, alpha, **about)
        else:
            report = judge(real, synth, train, source, alpha, field=field, **about)
        if html is not None:
            audit_page(html, report, pictures, real=real, synth=synth)
    if json_file is not None and kept:
        report["evidence"]["file"] = f"{beside}/{report['evidence']['file']}"
    write_json(json_file, report)
    say(summary(report))
    if source is None:
        say(audited(real, synth, train, report["verdict"], html))
    raise typer.Exit({"pass": 0, "fail": 3, "insufficient": 4}[report["verdict"]])


def _no_flags(run: str, given: dict[str, Any]) -> None:
    """Refuse flags that say what a run knows, or that it has nothing for."""
    for flag, value in given.items():
        if value is not None:
            raise InputError(
                f"{flag} does not go with a run as REAL ({run}): leave it out, or give real images as REAL."
            )


@app.command(
    epilog="Examples:\n\n\b\n"
    "veridical utility scans/labelled samples --size 64 --json utility.json\n"
    "veridical utility scans/labelled 'drawn-{k}' --few 5,10,20,50 --figure few.png\n"
    "veridical utility scans/labelled --few 10=drawn-10,20 --json few.json"
)
def utility(
    real: Annotated[str, typer.Argument(metavar="REAL", help="Real images with masks/ beside them.")],
    synth: Annotated[
        str | None,
        typer.Argument(
            metavar="[SYNTH]", help="Synthetic images with masks/; with --few '{k}' is the number of labels."
        ),
    ] = None,
    few: Annotated[
        str | None,
        typer.Option(
            metavar="K,...",
            help="The few-label curve: with K labelled real tiles, those that --limit K trains on, alone and with synthetic ones "
            "made of these; K=SYNTH names the set of one K.",
        ),
    ] = None,
    size: Annotated[int, typer.Option(min=16, help="Side of the tiles in pixels.")] = 64,
    scale: Annotated[float | None, typer.Option(help="Resize images by this factor first.")] = None,
    split: Annotated[str | None, typer.Option(metavar="CSV", help="What is held out: columns name,split.")] = None,
    hold_out: Annotated[int, typer.Option(min=0, help="Images to hold out, as in training; 0: a fifth.")] = 0,
    seeds: Annotated[int | None, typer.Option(min=2, help="Networks of each kind. Default: 3, with --few 5.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Training steps of each network.")] = 600,
    figure: Annotated[Path | None, typer.Option(metavar="PNG", help="With --few: draw the curve here.")] = None,
    json_file: Json = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Train a segmentation on synthetic images, on real ones and on both; test on held-out real ones: Dice."""
    from veridical.core.progress import Progress

    check_outputs(json_file, figure, inputs=(real, synth, split))
    given: dict[str, Any] = {"size": size, "scale": scale, "split": split, "hold_out": hold_out, "steps": steps}
    if few is not None:
        from veridical.reporting.few import few_plot
        from veridical.scoring.few import few_labels, few_of, format_few

        sets = few_of(few, synth)
        with Progress("utility", quiet) as bar:
            rows = few_labels(real, sets, seeds=seeds or 5, progress=bar.update, **given)
        write_json(json_file, rows)
        if figure is not None:
            few_plot(figure, rows)
        say_table(format_few(rows))
        return
    from veridical.scoring.said import format_rows
    from veridical.scoring.utility import utility as measure

    if synth is None or figure is not None:
        raise InputError("utility needs SYNTH, synthetic images with masks/; --figure is for --few.")
    with Progress("utility", quiet) as bar:
        rows = measure(real, synth, seeds=seeds or 3, progress=bar.update, **given)
    write_json(json_file, rows)
    say_table(format_rows(rows))


@app.command(
    epilog="Exit code 0: all cells done. 5: some failed, the report says why. 130: stopped.\n\n"
    "The specification is a TOML file; docs/benchmarks.md explains this example:\n\n\b\n"
    + EXAMPLE.replace("\n\n", "\n\n\b\n")  # lines of each paragraph stay lines
)
def bench(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.toml", help="Datasets, recipes, seeds and budget.")],
    out: Annotated[Path, typer.Option(help="Folder of the bench; give it again to go on.")],
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|local", help="Let the workers of a Dask cluster, which share --out, take the cells."
        ),
    ] = None,
) -> None:
    """Train, sample, score and report datasets x recipes x seeds; safe to stop and run again."""
    from veridical.benching.run import bench as run
    from veridical.core.files import check_folder
    from veridical.reporting.results import Files, bench_spec, cells_of, read_cells, read_edits

    check_folder(out)
    say(f"report: {run(spec, out, dask=dask, say=say)}")
    plan = bench_spec(out)
    planned = cells_of(plan)
    states = {c.state for c in read_cells(Files(out), plan) if (c.dataset, c.recipe, c.seed) in planned}
    states |= {c.state for c in read_edits(Files(out), plan)}
    if states - {"done", "failed", "skipped"}:
        raise typer.Exit(STOPPED)
    if "failed" in states:
        raise typer.Exit(FAILED_CELLS)


@app.command(epilog="Example: veridical report bench")
def report(folder: Annotated[Path, typer.Argument(help="Folder of a bench.")]) -> None:
    """Write report.html, tables (CSV, Markdown, LaTeX) and figures of a bench."""
    from veridical.reporting.report import report as write

    say(f"report: {write(folder)}")
