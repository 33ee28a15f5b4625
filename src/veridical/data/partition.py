"""Which tiles are for training, for validation and held out: what is worth using, a split without leaks, and where tiles lie."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veridical.core.errors import InputError
from veridical.data import survey
from veridical.data.split import split_regions
from veridical.data.stored import Stored
from veridical.data.tiles import Layout
from veridical.data.twins import find_twins
from veridical.data.validation import Apart, set_apart, set_ends_apart


@dataclass(frozen=True)
class Partition:
    """Where tiles of each side lie, the rule by which sides were chosen, and why nothing was set apart for validation."""

    layout: Layout
    rule: dict[str, Any]
    unwatched: str


def partition(
    spec: str,
    stored: Stored,
    span: int,
    *,
    inside: float,
    masked: bool,
    test_fraction: float,
    hold_out: int,
    table: str | Path | None,
    limit: int,
    validation: float | None,
    few_labels: bool,
    notes: list[str],
) -> Partition:
    """Part slices into sides; `veridical.data.open.open_dataset` states the rules.

    Parameters
    ----------
    spec : str
        Names the data in errors.
    stored : Stored
    span : int
        Side of a tile in stored pixels.
    inside, test_fraction, hold_out, table, limit, validation
        See `veridical.data.open.open_dataset`.
    masked : bool
        Leave out images that have no label image.
    few_labels : bool
        Only a few tiles have labels: nothing is set apart unasked.
    notes : list of str
        What a user should know is added to it.

    Raises
    ------
    InputError
        If slices are too small, too few, or nothing is in them.
    """
    slices, read = stored.slices, stored.image
    survey.check_sizes(spec, slices, span)
    use = survey.worth_using(spec, slices, read, masked, stored.cache.budget, notes)
    fields = survey.find_fields(slices, use, read, notes)
    twins = {} if table == "none" else find_twins(slices, use, read, stored.affordable(use), notes)
    rule, regions = split_regions(spec, slices, use, span, fields, test_fraction, hold_out, table, twins, notes)
    layout = Layout(spec, slices, span, fields, inside, rule, regions, limit)
    apart, unwatched = _apart(spec, stored, layout, rule["by"], validation, few_labels, twins)
    if apart is None:
        return Partition(layout, rule, unwatched)
    regions = {**regions, "train": apart.train, "validation": apart.validation}
    rule = {
        **rule,
        "n_train": len(apart.train),
        "n_validation": len(apart.validation),
        "validation_gap": apart.gap,
        **({"validation_by": "block"} if apart.by_block else {}),
    }
    return Partition(Layout(spec, slices, span, fields, inside, rule, regions, limit), rule, "")


def _apart(
    spec: str,
    stored: Stored,
    layout: Layout,
    by: str,
    share: float | None,
    few_labels: bool,
    twins: Mapping[int, int],
) -> tuple[Apart | None, str]:
    """What of the training images is not trained on; None where nothing is asked for, or too little is there, and why."""
    if share == 0:
        return None, ""
    if share is None and (layout.limit or few_labels):
        why = "few tiles, or few with labels, are asked for"
    elif by == "none":
        why = "no image is held out (split none)"
    else:
        parts, train, span = layout.side_by_side("train"), layout.regions["train"], layout.span
        whole = None if by == "block" else set_apart(stored.slices, train, parts, span, share, twins)
        if whole is not None and not whole.reason:
            return whole, ""
        ends = set_ends_apart(stored.slices, train, layout.fitting, span, share)
        if not ends.reason:
            return ends, ""
        why = "; ".join(found.reason for found in (whole, ends) if found is not None)
    if share is not None:
        raise InputError(f"{spec}: validation={share:g} cannot be: {why}; leave it out, or give more images")
    return None, why
