"""The pictures of one dataset for the page: strips of tiles, nearest training crops, loss curves. Files on the way."""

from pathlib import Path
from typing import Any

import numpy as np

from veridical.data.images import to_grid
from veridical.reporting import figures, formats
from veridical.reporting.results import Cell, Files, read_images, read_log, read_nearest
from veridical.reporting.tables import best_learned

PAGE = 1060  # width of a strip of tiles in CSS pixels
TILE = 128  # a tile is drawn about this large
LARGE = 3  # how much the first picture of the page enlarges
ROWS = 2
PAIRS = 4


def strips(
    files: Files, out: Path, dataset: str, systems: list[dict[str, Any]], test: np.ndarray | None, size: int, scale: int
) -> list[dict[str, Any]]:
    """Strips of tiles at one scale: real ones first, then each system's first samples."""
    sets = []
    if test is not None:
        sets.append(("real", "held-out tiles", test))
    for system in systems:
        if drawn := _first_samples(files, system, size):
            cell, samples = drawn
            remark = f"seed {cell.seed}" + (f", {cell.trouble}" if cell.trouble else "")
            sets.append((system["system"], remark, samples))
    views, sheet = [], []
    for name, remark, images in sets:
        columns = max(2, PAGE // (images.shape[-1] * scale + 2))
        k = min(columns * ROWS, len(images))
        # held-out tiles lie in the order of their slices: every so many-th shows all slices
        tiles = np.asarray(images[np.linspace(0, len(images) - 1, k).astype(int)] if name == "real" else images[:k])
        sheet.append((name, tiles))
        strip = to_grid(tiles, columns=min(columns, k), scale=scale)
        png = figures.save(out / f"{dataset}-{name}-tiles.png", strip)
        views.append({"name": name, "remark": remark, "k": k, "n": len(images), "uri": figures.data_uri(png),
                       "width": strip.shape[1], "height": strip.shape[0]})  # fmt: skip
    if sheet:
        figures.save(out / f"{dataset}-samples.png", figures.sample_sheet(sheet, columns, scale))
    return views


def first_look(
    files: Files, out: Path, dataset: str, systems: list[dict[str, Any]], test: np.ndarray | None, size: int
) -> dict[str, Any] | None:
    """Real tiles over samples of the best learned system, not selected, at three times their size or a fitting one."""
    best = best_learned(systems)
    drawn = None if best is None else _first_samples(files, best, size)
    if test is None or best is None or drawn is None:
        return None
    cell, samples = drawn
    scale = max(1, min(LARGE, PAGE // (2 * size)))
    k = min(max(1, (PAGE + 2) // (size * scale + 2)), len(test), len(samples))
    rows = {
        "real": np.asarray(test[np.linspace(0, len(test) - 1, k).astype(int)]),
        best["system"]: np.asarray(samples[:k]),
    }
    look: dict[str, Any] = {"system": best["system"], "seed": cell.seed, "scale": scale, "rows": []}
    for name, tiles in rows.items():
        strip = to_grid(tiles, columns=k, scale=scale)
        png = figures.save(out / f"{dataset}-first-{name}.png", strip)
        view = {"name": name, "uri": figures.data_uri(png), "width": strip.shape[1], "height": strip.shape[0], "k": k}
        look["rows"].append(view)
    return look


def _first_samples(files: Files, system: dict[str, Any], size: int) -> tuple[Cell, np.ndarray] | None:
    """Samples of the first seed that has any: a rule set beforehand, so that nobody picks."""
    for cell in system["cells"]:
        samples = read_images(files, cell.folder / "samples.npy", size)
        if samples is not None:
            return cell, samples
    return None


def pairs(files: Files, out: Path, dataset: str, system: dict[str, Any], size: int, scale: int) -> dict[str, Any]:
    """The samples closest to a training crop, each beside that crop turned as it fits best."""
    name = system["system"]
    view: dict[str, Any] = {"name": name, "pairs": [], "said": ""}
    drawn = _first_samples(files, system, size)
    if drawn is None:
        return view
    cell, samples = drawn
    found, crops = read_nearest(files, cell, len(samples)), read_images(files, cell.folder / "nearest.npy", size)
    if found is None or crops is None or crops.shape != samples.shape:
        return view
    distance = np.asarray(found["distance"], float)
    grids: list[np.ndarray] = []
    for k in np.argsort(distance, kind="stable")[:PAIRS]:
        i = found["sample"][k]
        pair = np.stack([samples[i], crops[k]])
        grids.append(to_grid(pair, columns=2, scale=scale))
        where = f"{found['name'][k]} at {found['left'][k]}, {found['top'][k]}"
        caption = f"{formats.number(distance[k], 2)} · sample {i}, {where}"
        png = figures.save(out / f"{dataset}-{name}-nearest-{len(grids)}.png", grids[-1])
        view["pairs"].append({"caption": caption, "uri": figures.data_uri(png),
                              "width": grids[-1].shape[1], "height": grids[-1].shape[0]})  # fmt: skip
    closest, median = formats.number(float(distance.min()), 2), formats.number(float(np.median(distance)), 2)
    said = f"seed {cell.seed}: closest {closest}, median {median}"
    if held_out := found["test_distance"]:
        closest, median = formats.number(min(held_out), 2), formats.number(float(np.median(held_out)), 2)
        said += f"; unseen real tiles: closest {closest}, median {median}"
    return view | {"said": said}


def losses(files: Files, out: Path, dataset: str, system: dict[str, Any]) -> list[dict[str, Any]]:
    """Loss curves of a system, and of the stages that were trained for it."""
    views = []
    folders = {
        log.parent.relative_to(cell.folder).as_posix()
        for cell in system["cells"]
        for log in cell.folder.glob("run/first/**/log.jsonl")
    }
    for where in (*sorted(folders), "run"):
        stage = where.removeprefix("run").strip("/").replace("/", "-")
        said = "first stage" if stage == "first" else f"stage {stage.removeprefix('first-')}"
        title = f"{system['system']}: {said}" if stage else system["system"]
        logs = {cell.seed: read_log(files, cell.folder / where / "log.jsonl") for cell in system["cells"]}
        curves = {seed: log for seed, log in logs.items() if log and log["parts"]}
        if not curves:
            continue
        file = "-".join([dataset, system["system"], *([stage] if stage else []), "loss.png"])
        png = figures.save(out / file, figures.loss_plot(curves, title))
        ends = [
            f"{part} from {formats.number(float(line[0]))} to {formats.number(float(line[-1]))} (seed {seed})"
            for seed, curve in curves.items() for part, values in curve["parts"].items()
            for line in [figures.smooth(values[np.isfinite(values)])]
        ]  # fmt: skip
        alt = f"Training loss of {title} on {dataset}: {'; '.join(ends)}."
        views.append({"uri": figures.data_uri(png), "alt": alt})
    return views
