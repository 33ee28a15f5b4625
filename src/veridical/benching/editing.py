"""Edit the images of a bench with one of its systems, a change at a time, so that a stopped one goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from veridical.benching.edit_rows import COPY, REDRAW
from veridical.benching.others import settings_of_row
from veridical.benching.truth import Pairs
from veridical.conditions.delivery import write_arrays
from veridical.core.arrays import Images
from veridical.core.errors import InputError
from veridical.core.progress import Progress
from veridical.data.hints import OF_MASKS, hints_of_images, hints_of_masks
from veridical.data.window import IntensityWindow
from veridical.editing.edit import Given
from veridical.editing.folder import edited
from veridical.editing.hosted import made_by
from veridical.editing.table import EDITS
from veridical.hub.hosted import Hosted, is_hosted, settings_of, spent
from veridical.nets.dit import DiT
from veridical.nets.unet import UNet
from veridical.pretrained.folder import CLASSES, is_hub
from veridical.pretrained.hints import LABELS, colours_of, drawn_hints, painted
from veridical.pretrained.kinds import KINDS
from veridical.reporting.plan import source_of
from veridical.runs.draw import conditions_of, draw
from veridical.runs.run import Run, load

# Of pipelines, by name: to import the classes takes seconds, which a cell without edits does without.
NETWORKS = {*CLASSES["unet"], *(name for kind in KINDS.values() for name in kind.transformer)}


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

    networks: list[Any] = [m for m in model.modules() if isinstance(m, (UNet, DiT)) or type(m).__name__ in NETWORKS]
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
                path.parent.mkdir(parents=True, exist_ok=True)
                rows = pairs.of(change)
                if is_hosted(row["run"]):
                    write_arrays(path, made_away(row, pairs.rows(rows), rows.tolist(), seed, folder / "responses"))
                else:
                    run = run or _run(out, spec, dataset, row, seed)
                    write_arrays(path, made(run, row, pairs.rows(rows), seed))
            with np.load(path, allow_pickle=False) as file:
                parts.append({name: file[name] for name in file.files})
            progress.update((k + 1) / len(changes))
    back = np.argsort(order)

    def whole(name: str) -> Any:
        return np.concatenate([part[name] for part in parts])[back] if all(name in part for part in parts) else None

    seconds, calls = (sum(float(part[name]) for part in parts) / len(pairs) for name in ("seconds", "calls"))
    cost = {"seconds_per_image": seconds, "evaluations": calls, "device": str(parts[0]["device"])}
    if is_hosted(row["run"]):
        cost |= {"evaluations": None, "paid": spent(folder / "responses")}
    return Made(whole("images"), whole("mask"), whole("chroma"), cost)


def _run(out: Path, spec: Mapping[str, Any], dataset: str, row: Mapping[str, Any], seed: int) -> Run:
    """The run of a system, loaded to sample as the row says."""
    name = row["run"]
    known = (spec.get("recipes") or {}).get(name) or {}
    if is_hub(name) or is_hub(known.get("recipe", "")):
        folder = name if is_hub(name) else known["recipe"]
        how = settings_of_row(known.get("args") or {}) | row["sampling"]
        return load(folder, "auto", how | {"like": spec["datasets"][dataset]["data"]})
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


def made_away(row: Mapping[str, Any], pairs: Pairs, numbers: Sequence[int], seed: int, kept: Path) -> dict[str, Any]:
    """The same of a hosted generator, whose answers are kept: nothing is paid twice. Images travel with 8 bits."""
    began, hosted = time.perf_counter(), Hosted(row["run"], kept)
    given = settings_of(dict(row["settings"]))
    if "how" in hosted.about and row["how"] != "variation":
        given = {"how": row["how"]} | given
    texts = pairs.instructions if row["prompt"] == "instruction" else pairs.prompts
    region, window = _region(row, pairs), IntensityWindow(0.0, 1.0, "float32")
    images: list[Images] = []
    colour: list[float] = []
    for k, number in enumerate(numbers):
        prompt = "" if row["how"] == "variation" else _said(texts[k], row)
        where = None if region is None else region[k]
        image, result, _ = made_by(hosted, number, pairs.before[k], where, prompt, window, row["how"], seed, given)
        images.append(image.astype(np.float32))
        colour += [] if result.chroma is None else result.chroma.tolist()
    return {
        "images": np.stack(images),
        "calls": np.array(0),  # what the server evaluates, it does not say
        "seconds": np.array(time.perf_counter() - began),
        "device": np.array("a server"),
        **({"chroma": np.array(colour)} if colour else {}),
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


def shown(run: Run, images: Images, masks: NDArray[Any] | None) -> dict[str, Any]:
    """What the ControlNet of a pipeline is shown of images or of their label images: edges, unless its settings say else."""
    if run.pipeline is None or getattr(run.model, "control", None) is None:
        return {}
    kind = run.info.args["hint"] or "canny"
    if kind != LABELS:
        return {"source": drawn_hints(kind, images)}
    if masks is None:
        raise InputError("it is told label images (hint=labels), which these have not: give it hint = 'canny'.")
    return {"masks": painted(masks, colours_of(run.info.args["colours"]), "the label images")}


def redraw(run: Run, prompts: list[str], images: Images, masks: NDArray[Any] | None, seed: int) -> Images:
    """New images by words, and by the hints of `images` or of their label images where a run wants such."""
    asked = {"prompt": prompts, "extrapolate": True, **shown(run, images, masks)}
    cond = conditions_of(run, len(prompts), **asked).cond if run.hears else {}
    if "hint" in run.needs:
        kind, classes = run.info.config.hint, len(run.info.dataset.get("mask_values") or ())
        if kind in OF_MASKS and masks is None:
            raise InputError(f"it is told label images (hint={kind}), which these have not: train it with hint=canny.")
        if kind in OF_MASKS and masks is not None:
            cond["hint"] = hints_of_masks(kind, masks, classes)
        else:
            cond["hint"] = hints_of_images(kind, images)
    return draw(run, len(prompts), seed=seed, cond=cond)
