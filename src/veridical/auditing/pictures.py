"""Pictures that show what was found: suspicious images beside real ones, and the place in a frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from veridical.auditing.case import Nearness, patches_alone
from veridical.auditing.defects import DEFECTS, title_of
from veridical.data.images import save_png, to_grid

FILE = "evidence.png"
SHOWN = 8  # images
EDGE = 96  # images are drawn at least so large


def write_evidence(folder: Path, report: dict[str, Any], real: np.ndarray, synth: np.ndarray, near: Nearness) -> None:
    """Write one picture, ``evidence.png`` in `folder`, and say in the report which images it shows, and what of.

    Above, the synthetic images that show the findings most, those of each finding in turn; below, the real image that is nearest
    to each, of which there may be fewer (``different``).
    """
    chosen = _chosen(report)
    rows = np.array(list(chosen))
    channels = max(real.shape[1], synth.shape[1])
    top = _channels(synth[rows], channels)
    for k, name in enumerate(chosen.values()):
        if "strangest_place" in (DEFECTS[name].values if name else ()):
            top[k] = framed(top[k], int(patches_alone(near)[rows[k]].argmax()), near)
    nearest = near.deep[rows].argmin(1)
    below = _channels(real[nearest], channels)
    folder.mkdir(parents=True, exist_ok=True)
    grid = to_grid(np.concatenate([top, below]), columns=len(rows), scale=max(1, EDGE // synth.shape[3]))
    save_png(folder / FILE, grid)
    shown = [{"file": report["images"][k]["file"], "shows": name and title_of(name)} for k, name in chosen.items()]
    report["evidence"] = {"file": FILE, "width": grid.shape[1], "images": shown, "different": len(np.unique(nearest))}


def _chosen(report: dict[str, Any]) -> dict[int, str]:
    """Numbers of images to show, and the defect that each shows: of findings of the set, others that fail, any."""
    strengths = {}
    for name in dict.fromkeys(f["defect"] for f in report["findings"]):
        scored = [
            (max(found), k)
            for k, image in enumerate(report["images"])
            if (found := [f.get("score") or 0.0 for f in image["findings"] if f["defect"] == name])
        ]
        strengths[name] = [k for _, k in sorted(scored, key=lambda each: (-each[0], each[1]))]
    chosen: dict[int, str] = {}
    for turn in range(SHOWN):
        for name, rows in strengths.items():
            if turn < len(rows) and len(chosen) < SHOWN:
                chosen.setdefault(rows[turn], name)
    failed = [k for k, image in enumerate(report["images"]) if image["verdict"] == "fail" and image["findings"]]
    for k in sorted(failed, key=lambda k: report["images"][k]["p_value"]):
        if len(chosen) < SHOWN:
            chosen.setdefault(k, report["images"][k]["findings"][0]["defect"])
    n = len(report["images"])
    for k in np.linspace(0, n - 1, min(SHOWN, n)).astype(int).tolist():
        if len(chosen) < SHOWN:
            chosen.setdefault(k, "")
    return chosen


def framed(image: np.ndarray, place: int, near: Nearness) -> np.ndarray:
    """The image (C, H, W) with a white frame around one of the places of a square grid."""
    side = round(near.patch.shape[1] ** 0.5)
    image = image.copy()
    height, width = image.shape[1:]
    y, x = divmod(int(place), side)
    top, bottom = (round(height * k / side) for k in (y, y + 1))
    left, right = (round(width * k / side) for k in (x, x + 1))
    image[:, [top, bottom - 1], left:right] = 1
    image[:, top:bottom, [left, right - 1]] = 1
    return image


def _channels(images: np.ndarray, channels: int) -> np.ndarray:
    return images.copy() if images.shape[1] == channels else images.repeat(channels, axis=1)
