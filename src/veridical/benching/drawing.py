"""Draw a cell of a bench: with what is trained for it, with a pipeline of other people, or with a generator behind an API."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from veridical.benching.away import drawn_away
from veridical.benching.editing import redraw, shown
from veridical.benching.others import check_side, row_classes, row_prompts, settings_of_row
from veridical.benching.rows import CAPTIONS
from veridical.conditions.condition import Arrays
from veridical.conditions.delivery import cycle, write_arrays
from veridical.conditions.table import arrays_of
from veridical.core.arrays import Images
from veridical.core.files import read_json, write_json
from veridical.data.dataset import Dataset
from veridical.data.focus import focus_of
from veridical.data.labels import Labels
from veridical.hub.hosted import Hosted, is_hosted, spent
from veridical.pretrained.classes import PipelineClasses
from veridical.pretrained.load import Opened
from veridical.reporting.contents import Summary
from veridical.runs.draw import conditions_of, draw
from veridical.runs.run import Run, load
from veridical.runs.samples import RESPONSES

Redraw = Callable[[list[str], Images, NDArray[Any] | None, int], Images]


class Drawn(NamedTuple):
    """Samples of a cell.

    Attributes
    ----------
    images : ndarray of float32, shape (N, C, H, W), values in [0, 1]
        In the window of the tiles.
    cost : dict
        What ``cost.json`` says.
    needs : tuple of str
        Conditions of held-out tiles that they have.
    distinct : int
        How many before masks repeat.
    alone : bool
        Whether they are drawn from noise alone.
    redraw : callable or None
        From prompts, the images and the masks that they are true of, and a seed to new images, of what hears words.
    chroma : ndarray, shape (N,), or None
        Colour that grey images had.
    remarks : tuple of str
    """

    images: Images
    cost: dict[str, Any]
    needs: tuple[str, ...]
    distinct: int
    alone: bool
    redraw: Redraw | None = None
    chroma: NDArray[np.float64] | None = None
    remarks: tuple[str, ...] = ()


def draw_run(run: Run, place: Path, folder: Path, n: int, seed: int) -> Drawn:
    """What a run that was trained for the cell in `folder` draws, of conditions of held-out tiles in `place`, at most `n`."""
    cond, n, distinct = conditions(place, run.needs, n)
    if cond:
        write_arrays(folder / "conditions.npz", cond)
    began = time.monotonic()
    focus = focus_of(run.info.dataset, folder / "run")
    images = drawn = draw(run, n if focus is None else focus.more(n), seed=seed, cond=cond, quiet=False)
    seconds, remarks = time.monotonic() - began, tuple[str, ...]()
    if focus is not None:
        images = drawn[focus.natural(drawn)[:n]]
        remarks = (f"{len(images)} of {len(drawn)} samples, as many of each kind as in tiles drawn alike (focus)",)
    cost = {**run.info.cost_of_all().to_json(), "seconds_per_image": seconds / len(drawn)}
    again = functools.partial(redraw, run) if "text" in run.needs else None
    return Drawn(images, cost, run.needs, distinct, not run.needs, again, remarks=remarks)


def draw_others(
    name: str, args: Mapping[str, Any], target: Dataset, place: Path, folder: Path, n: int, seed: int
) -> Drawn:  # fmt: skip
    """What others draw: of the prompts or classes of the row, or captions or labels of held-out tiles, in turn.

    What was told is kept in `folder`.
    """
    if is_hosted(name):
        given = {key: value for key, value in args.items() if key != "prompt"}
        prompts = _prompts(args, place, folder, n)
        return _draw_hosted(Hosted(name, folder / RESPONSES), given, target, folder, prompts, seed)
    run = load(name, settings=settings_of_row(args) | {"like": target.spec})
    check_side(name, run.info.size, target.size, cast(Opened, run.pipeline).found.kind.sized)
    if not run.hears:
        return _draw_pipeline(run, target, {"label": _classes(run, args, place, folder, n)}, n, seed)
    tiles = np.load(place / "test.npy", mmap_mode="r")
    told = {"prompt": _prompts(args, place, folder, n), **shown(run, tiles[np.arange(n) % len(tiles)], None)}
    return _draw_pipeline(run, target, told, n, seed)


def _prompts(args: Mapping[str, Any], place: Path, folder: Path, n: int) -> list[str]:
    texts = row_prompts(args) or read_json(place / CAPTIONS, list[str])
    prompts = [texts[k % len(texts)] for k in range(n)]
    write_json(folder / "prompts.json", prompts)
    return prompts


def _classes(run: Run, args: Mapping[str, Any], place: Path, folder: Path, n: int) -> list[str]:
    """Numbers of the classes of `n` images: those of the row, or of the labels of held-out tiles."""
    known, labels = cast(Opened, run.pipeline).words, read_json(place / "summary.json", Summary).get("labels")
    fitted = None if labels is None else Labels.from_json(labels)
    numbers, of_data = row_classes(str(run.folder), args.get("label"), cast(PipelineClasses, known), fitted)
    turns = conditions(place, ("label",), n)[0]["label"] if of_data else np.arange(n) % len(numbers)
    found = [str(numbers[int(turn)]) for turn in turns]
    write_json(folder / "classes.json", found)
    return found


def _draw_hosted(
    hosted: Hosted, given: Mapping[str, Any], target: Dataset, folder: Path, prompts: list[str], seed: int
) -> Drawn:
    tiles = target.window, target.channels, target.size
    sent = drawn_away(hosted, prompts, seed, given, *tiles)
    cost = {"seconds_per_image": sent.seconds / len(prompts), "device": "a server", "paid": spent(folder / RESPONSES)}

    def again(texts: list[str], images: Images, masks: NDArray[Any] | None, other: int) -> Images:
        return drawn_away(hosted, texts, other, given, *tiles).images

    return Drawn(sent.images, cost, (), len(prompts), False, again, sent.chroma, sent.remarks)


def _draw_pipeline(run: Run, target: Dataset, told: Mapping[str, Any], n: int, seed: int) -> Drawn:
    def as_tiles(images: Images) -> Images:  # in counts, and from there as the tiles that they are compared with
        return target.window.to_unit(run.window.from_unit(images))

    began = time.monotonic()
    coloured = replace(run, info=run.info.replace(channels=3))
    cond = conditions_of(run, n, **told).cond
    images = draw(coloured, n, seed=seed, cond=cond, quiet=False)
    cost = {**run.info.cost_of_all().to_json(), "seconds_per_image": (time.monotonic() - began) / n}
    images, chroma = run.in_grey(images)

    def again(texts: list[str], images: Images, masks: NDArray[Any] | None, other: int) -> Images:
        return as_tiles(redraw(run, texts, images, masks, other))

    colour = np.array(chroma) if chroma else None
    return Drawn(as_tiles(images), cost, (), n, False, again if run.hears else None, colour)


def conditions(place: Path, needs: tuple[str, ...], n: int) -> tuple[Arrays, int, int]:
    """Conditions of at most `n` samples, those of the held-out tiles in turn; how many; how many before masks repeat."""
    if not needs:
        return {}, n, n
    with np.load(place / "conditions.npz", allow_pickle=False) as file:
        held_out = {name: file[name] for name in arrays_of(needs)}
    if "source" in needs:  # translated twice, an image would count twice
        n = min(n, len(held_out["source"]))
    return cycle(held_out, n), n, min(n, len(held_out["mask"])) if "mask" in needs else n
