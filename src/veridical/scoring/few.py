"""The few-label curve: what synthetic images add where few real ones have labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from veridical.core.arrays import NO_LABEL
from veridical.core.errors import InputError
from veridical.core.files import read_json
from veridical.data.dataset import Dataset
from veridical.data.masks import PartLabels, labelled_only, rank, stored
from veridical.data.open import open_dataset
from veridical.data.pixel_size import pixel_size_remarks
from veridical.nets.segmentation import predict_masks, train_segmentation
from veridical.scoring.result_rows import Row, interval_row
from veridical.scoring.utility import FEWEST_SEEDS, dice_of, leaked, overlaps
from veridical.stats.jackknife import jackknife

if TYPE_CHECKING:
    from rich.table import Table

Counts = NDArray[Any]  # (seeds, 2, images, classes), see `overlaps`
Pairs = tuple[NDArray[Any], NDArray[Any]]


def few_of(said: str, synth: str | None) -> dict[int, str | None]:
    """Numbers of labelled tiles with the synthetic set of each, from ``5,10,20`` or ``5=SET5,10=SET10``.

    Parameters
    ----------
    said : str
    synth : str or None
        The set of those without one of their own; ``{k}`` in it stands for the number. None: real tiles alone.

    Raises
    ------
    InputError
        For what is no number, or is said twice.
    """
    sets: dict[int, str | None] = {}
    for entry in said.split(","):
        number, equals, own = (part.strip() for part in entry.partition("="))
        if not number.isdecimal() or not int(number) or (equals and not own) or int(number) in sets:
            raise InputError(
                f"--few {said}: give rising numbers of labelled tiles, such as 5,10,20 or 5=SET5,10=SET10."
            )
        sets[int(number)] = own or (None if synth is None else synth.replace("{k}", number))
    if all(spec is None for spec in sets.values()):
        raise InputError(f"--few {said}: no synthetic set is given; give SYNTH, or 5=SET5.")
    return dict(sorted(sets.items()))


def few_labels(
    real: str,
    few: Mapping[int, str | None],
    *,
    size: int = 64,
    scale: float | None = None,
    split: str | None = None,
    hold_out: int = 0,
    seeds: int = 5,
    steps: int = 600,
    progress: Callable[[float, str], None] | None = None,
) -> list[Row]:
    """Segmentation trained on k labelled real tiles alone, and on these and synthetic ones, for several k.

    Each network learns for as many steps, with the usual augmentation (turns, flips, elastic deformation, grey jitter); with a
    synthetic set half of each batch is from there.

    Parameters
    ----------
    real : images with ``masks/``; those without are not learned from here
    few : number of labelled tiles to the folder of synthetic images with ``masks/`` that were made of these tiles, or None.
        The tiles are those that ``--limit k``, and for the recipe labelled ``label_tiles=k``, choose.
    size, scale, split, hold_out : as the generators were trained with
    seeds, steps : networks of each kind, and steps of each
    progress : function called with (share done, what is going on)

    Returns
    -------
    list of dict
        Result rows `dice_real` and `dice_both`, and the differences `dice_both_minus_real` and, where 2k is asked for, too,
        `dice_both_minus_twice`: from what twice as many real labels give. ``settings`` has ``labels`` (k), ``class`` (the
        stored value, None for the mean over classes), the names of the ``tiles`` and the synthetic set. Intervals are by
        jackknife over seeds and over slices of the test; of one slice, over its tiles as they are stored.

    Raises
    ------
    InputError
        Masks missing, more tiles than there are, or synthetic masks with classes that the real ones do not have.
    """
    if seeds < FEWEST_SEEDS:
        raise InputError(f"{seeds} seed says nothing of chance; give at least {FEWEST_SEEDS}")
    say = progress or (lambda share, note: None)
    data = open_dataset(real, size, scale=scale, split=split, hold_out=hold_out, part=PartLabels(), augment="none")
    values = data.mask_values or ()
    test, truth, groups, remarks = held_out(data)
    places = {k: data.few(k) for k in few}
    opened = {k: synthetic(real, spec, data) for k, spec in few.items() if spec is not None}
    said: dict[int, list[str]] = {
        k: [*remarks, *_made_of(few[k], k, list(few.values())), *more, *leaked(test, pairs[0])]
        for k, (pairs, more) in opened.items()
    }
    classes, total = data.classes, (len(few) + len(opened)) * seeds
    counts: dict[str, dict[int, Counts]] = {
        "real": {k: np.empty((seeds, 2, len(test), classes)) for k in few},
        "both": {k: np.empty((seeds, 2, len(test), classes)) for k in opened},
    }
    jobs = [(seed, name, k) for seed in range(seeds) for name, of in counts.items() for k in of]
    for done, (seed, name, k) in enumerate(jobs):
        say(done / total, f"{k} labelled tiles, {name}, seed {seed}")
        more = opened[k][0] if name == "both" else None
        counts[name][k][seed] = one_network(data, k, (test, truth), more, steps, seed)
    say(1.0, "done")
    about = {
        k: {"labels": k, "synth": spec, "steps": steps, "seeds": seeds, "size": size, "tiles": _names(data, places[k])}
        for k, spec in few.items()
    }
    return [
        row | {"reason": "; ".join(filter(None, [*said.get(k, remarks), row["reason"]])) or None}
        for k in few
        for row in few_rows(counts, k, groups, about[k], values[:classes])
    ]


def one_network(data: Dataset, k: int, test: Pairs, more: Pairs | None, steps: int, seed: int) -> NDArray[Any]:
    """Overlaps (2, images, classes) on held-out pairs of one network that learned from `k` labelled tiles, and perhaps `more`."""
    places, turns = data.few(k), np.zeros(k, int)
    real = data.images(places, turns), data.masks_of(places, turns)
    network = train_segmentation(*real, classes=data.classes, steps=steps, seed=seed, more=more, bent=True)
    return overlaps(test[1], predict_masks(network, test[0]), data.classes)


def held_out(data: Dataset) -> tuple[NDArray[Any], NDArray[Any], list[str], list[str]]:
    """Held-out tiles with labels, these, what is resampled for intervals, and remarks."""
    places, groups, turns = data.chosen("test", None)
    masks, remarks = data.masks_of(places, turns), []
    known = (masks != NO_LABEL).any((1, 2))
    if not known.any():
        raise InputError(f"{data.spec}: no held-out image has a label image: say with --split which are held out.")
    if len({group for group, here in zip(groups, known, strict=True) if here}) == 1:
        groups = [data.slices.names[index] for index in places[:, 0]]
        remarks = ["all held-out tiles are of one slice: intervals are by its tiles, and say nothing of other slices"]
    kept = [group for group, here in zip(groups, known, strict=True) if here]
    return data.images(places[known], turns[known]), masks[known], kept, remarks


def synthetic(real: str, spec: str, data: Dataset) -> tuple[Pairs, list[str]]:
    """Synthetic pairs, in the classes of the real ones, and remarks."""
    made = open_dataset(spec, data.size, split="none", masks=True, augment="none", window=data.window)
    if made.channels != data.channels:
        raise InputError(
            f"{real} and {spec} differ in channels ({data.channels} and {made.channels}); convert one of them"
        )
    values = data.mask_values or ()
    masks = stored(made.tile_conditions("train")["mask"], made.mask_values or ())
    masks = labelled_only(rank(masks, values, [spec] * len(masks)), values)
    return (made.tiles("train")[0], masks), pixel_size_remarks({real: data.pixel_size, spec: made.pixel_size})


def _made_of(spec: str | None, k: int, all_of: list[str | None]) -> list[str]:
    """A remark where a synthetic set may know more labels than the k that it is put beside."""
    record = Path(str(spec)) / "provenance.json"
    about = read_json(record, dict[str, Any]).get("dataset", {}) if record.is_file() else None
    if about is not None:
        number = about.get("label_tiles") or about.get("limit") or "all"
        return [] if number == k else [f"{spec} is of a run that was trained on {number} labelled tiles, not on {k}"]
    if all_of.count(spec) > 1:
        return [f"{spec} serves for several numbers of labels: what was made of more than {k} knows more than these"]
    return []


def _names(data: Dataset, places: NDArray[Any]) -> list[str]:
    return [f"{data.slices.names[index]}_y{y}x{x}" for index, y, x in places.tolist()]


def few_rows(
    counts: dict[str, dict[int, Counts]], k: int, groups: list[str], about: dict[str, Any], values: tuple[int, ...]
) -> list[Row]:
    """Rows of k labelled tiles: the mean over classes first, then each class that is there."""
    one = counts["real"][k]
    there = [c for c in range(one.shape[-1]) if np.isfinite(dice_of(one)[:, c]).all()]
    rows = []
    for chosen in (there, *([c] for c in there)):
        settings = about | {"class": None if chosen is there else int(values[chosen[0]])}

        def mean(of: Counts, chosen: list[int] = chosen) -> Callable[..., float]:
            return lambda seeds, at: float(np.nanmean(dice_of(of[np.ix_(seeds, [0, 1], at, chosen)])))

        def less(of: Counts, other: Counts, mean: Any = mean) -> Callable[..., float]:
            first, second = mean(of), mean(other)
            return lambda seeds, at: first(seeds, at) - second(seeds, at)

        found = {"dice_real": mean(one)}
        if k in counts["both"]:
            both = counts["both"][k]
            found |= {"dice_both": mean(both), "dice_both_minus_real": less(both, one)}
            if 2 * k in counts["real"]:
                found["dice_both_minus_twice"] = less(both, counts["real"][2 * k])
        for name, statistic in found.items():
            bounds = (-1, 1) if "minus" in name else (0, 1)
            interval = jackknife(statistic, [range(len(one)), groups], bounds=bounds)
            rows.append(interval_row(name, interval, one.shape[2], None, settings))
    return rows


def format_few(rows: list[Row]) -> Table:
    """Rows as a `rich.table.Table`: a line for each number of labels, then for each of its classes."""
    from rich.table import Table

    heads = {
        "dice_real": "real alone", "dice_both": "with synthetic", "dice_both_minus_real": "gain",
        "dice_both_minus_twice": "less twice as many",
    }  # fmt: skip
    table = Table("labels", "class", *heads.values(), box=None, pad_edge=False)
    lines: dict[tuple[int, int | None], dict[str, str]] = {}
    for row in rows:
        place = row["settings"]["labels"], row["settings"]["class"]
        between = "" if row["low"] is None else f" ({row['low']:.3f} to {row['high']:.3f})"
        lines.setdefault(place, {})[row["metric"]] = f"{row['value']:.3f}{between}"
    for (k, value), cells in lines.items():
        table.add_row(str(k), "mean" if value is None else str(value), *(cells.get(name, "–") for name in heads))
    for remark in dict.fromkeys(row["reason"] for row in rows if row["reason"]):
        table.add_row("", "", f"note: {remark}")
    return table
