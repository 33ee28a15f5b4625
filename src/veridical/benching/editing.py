"""Edit the images of a bench with one of its systems, a change at a time, so that a stopped one goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from diffusers import UNet2DConditionModel
from numpy.typing import NDArray

from veridical.benching.edit_rows import COPY, REDRAW
from veridical.benching.truth import Pairs
from veridical.conditions.delivery import write_arrays
from veridical.core.arrays import Images
from veridical.core.errors import InputError
from veridical.core.progress import Progress
from veridical.data.hints import OF_MASKS, hints_of_images, hints_of_masks
from veridical.editing.edit import Given
from veridical.editing.folder import edited
from veridical.editing.table import EDITS
from veridical.nets.dit import DiT
from veridical.nets.unet import UNet
from veridical.pretrained.folder import is_hub
from veridical.reporting.plan import source_of
from veridical.runs.draw import conditions_of, draw
from veridical.runs.run import Run, load


class Made(NamedTuple):
    """Edited images, the mask that the edit found, colour that grey images came back with, and what it took.

    `cost` has ``seconds_per_image`` and ``evaluations`` of the network an image.
    """

    images: Images
    mask: NDArray[np.bool_] | None = None
    chroma: NDArray[np.float64] | None = None
    cost: dict[str, Any] = {}  # noqa: RUF012 - never changed


@contextmanager
def counted(model: Any) -> Iterator[list[int]]:
    """Evaluations of the networks of a model, images that they were shown, while the block runs: one number that grows."""
    found = [0]

    def count(_: Any, given: tuple[Any, ...], named: dict[str, Any], __: Any) -> None:
        shown = given[0] if given else next(iter(named.values()))
        found[0] += len(shown)

    networks = [m for m in model.modules() if isinstance(m, (UNet, DiT, UNet2DConditionModel))]
    inner = {id(part) for network in networks for part in network.modules() if part is not network}
    hooks = [m.register_forward_hook(count, with_kwargs=True) for m in networks if id(m) not in inner]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def make(
    out: Path, spec: Mapping[str, Any], dataset: str, row: Mapping[str, Any], seed: int, folder: Path, pairs: Pairs
) -> Made:  # fmt: skip
    """What a system makes of all pairs; each change is kept in ``parts/`` as soon as it is made."""
    if row["how"] == COPY:
        return Made(pairs.before, cost={"seconds_per_image": 0.0, "evaluations": 0.0, "device": "cpu"})
    run, parts, changes = None, [], list(dict.fromkeys(pairs.names))
    order = np.concatenate([pairs.of(change) for change in changes])
    with Progress("edit", quiet=False) as progress:
        for k, change in enumerate(changes):
            path = folder / "parts" / f"{k}.npz"
            if not path.is_file():
                run = run or _run(out, spec, dataset, row, seed)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_arrays(path, made(run, row, pairs.rows(pairs.of(change)), seed))
            with np.load(path, allow_pickle=False) as file:
                parts.append({name: file[name] for name in file.files})
            progress.update((k + 1) / len(changes))
    back = np.argsort(order)

    def whole(name: str) -> Any:
        return np.concatenate([part[name] for part in parts])[back] if all(name in part for part in parts) else None

    seconds, calls = (sum(float(part[name]) for part in parts) / len(pairs) for name in ("seconds", "calls"))
    cost = {"seconds_per_image": seconds, "evaluations": calls, "device": str(parts[0]["device"])}
    return Made(whole("images"), whole("mask"), whole("chroma"), cost)


def _run(out: Path, spec: Mapping[str, Any], dataset: str, row: Mapping[str, Any], seed: int) -> Run:
    """The run of a system, loaded to sample as the row says."""
    name = row["run"]
    known = (spec.get("recipes") or {}).get(name) or {}
    if is_hub(name) or is_hub(known.get("recipe", "")):
        folder = name if is_hub(name) else known["recipe"]
        return load(folder, "auto", row["sampling"] | {"like": spec["datasets"][dataset]["data"]})
    return load(source_of(spec, dataset, name, seed).folder(out) / "run", "auto", row["sampling"])


def made(run: Run, row: Mapping[str, Any], pairs: Pairs, seed: int) -> dict[str, Any]:
    """Arrays of what becomes of the pairs of one change."""
    began = time.perf_counter()
    texts = pairs.instructions if row["prompt"] == "instruction" else pairs.prompts
    found: dict[str, Any] = {}
    with counted(run.model) as calls:
        if row["how"] == REDRAW:
            found["images"] = redraw(run, texts, pairs.before, pairs.masks, seed + 1)
        else:
            edit = EDITS[row["how"]]
            takes = (*edit.needs, *edit.offers)
            given = Given(
                mask=_region(row, pairs),
                prompt=[(_said(text, row),) for text in texts] if "prompt" in takes and run.hears else None,
                source_prompt=pairs.source_prompts if "source_prompt" in takes and any(pairs.source_prompts) else None,
            )
            result = edited(run, pairs.before, row["how"], given=given, settings=row["settings"], seed=seed + 1)
            found["images"] = result.images
            if result.mask is not None and not row["mask"]:
                found["mask"] = result.mask
            if result.chroma is not None:
                found["chroma"] = result.chroma
    return found | {
        "calls": np.array(calls[0]),
        "seconds": np.array(time.perf_counter() - began),
        "device": np.array(str(run.device)),
    }


def _region(row: Mapping[str, Any], pairs: Pairs) -> NDArray[np.bool_] | None:
    if not row["mask"]:
        return None
    if pairs.region is None:
        raise InputError("it goes by the true mask, and nobody knows that of real images: leave out this dataset.")
    return pairs.region


def _said(text: str, row: Mapping[str, Any]) -> str:
    if not text:
        raise InputError(f"it is told the {row['prompt']} of each change, which [changes] does not say: add it.")
    return text


def redraw(run: Run, prompts: list[str], images: Images, masks: NDArray[Any] | None, seed: int) -> Images:
    """New images by words, and by the hints of `images` or of their label images where a run wants such."""
    cond = conditions_of(run, len(prompts), prompt=prompts, extrapolate=True).cond if run.hears else {}
    if "hint" in run.needs:
        kind, classes = run.info.config.hint, len(run.info.dataset.get("mask_values") or ())
        if kind in OF_MASKS and masks is None:
            raise InputError(f"it is told label images (hint={kind}), which these have not: train it with hint=canny.")
        if kind in OF_MASKS and masks is not None:
            cond["hint"] = hints_of_masks(kind, masks, classes)
        else:
            cond["hint"] = hints_of_images(kind, images)
    return draw(run, len(prompts), seed=seed, cond=cond)
