"""Pictures that show what was found: suspicious images beside real ones, and the place in a frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from veridical.auditing.case import Nearness, patches_alone
from veridical.auditing.defects import DEFECTS
from veridical.data.images import save_png, to_grid

SHOWN = 8
EDGE = 96  # images are drawn at least so large


def write_evidence(folder: Path, report: dict[str, Any], real: np.ndarray, synth: np.ndarray, near: Nearness) -> None:
    """Write a picture for each finding of the set and name it in the finding, as ``findings/NAME.png`` below `folder`.

    Above, the synthetic images that show the defect most; below, the real image that is nearest to each.
    """
    (folder / "findings").mkdir(parents=True, exist_ok=True)
    channels = max(real.shape[1], synth.shape[1])
    for finding in report["findings"]:
        name = finding["defect"]
        strength = [
            max((f.get("score", 0.0) for f in image["findings"] if f["defect"] == name), default=-1.0)
            for image in report["images"]
        ]
        rows = np.argsort(-np.array(strength), kind="stable")[:SHOWN]
        if max(strength) < 0:  # a defect of the set: an even choice
            rows = np.linspace(0, len(synth) - 1, min(SHOWN, len(synth))).astype(int)
        top = _channels(synth[rows], channels)
        if "strangest_place" in DEFECTS[name].values:
            top = np.stack([framed(image, patches_alone(near)[k].argmax(), near) for image, k in zip(top, rows)])
        below = _channels(real[near.deep[rows].argmin(1)], channels)
        scale = max(1, EDGE // synth.shape[3])
        path = f"findings/{name}.png"
        save_png(folder / path, to_grid(np.concatenate([top, below]), columns=len(rows), scale=scale))
        finding["evidence"] = path


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
    return images if images.shape[1] == channels else images.repeat(channels, axis=1)
