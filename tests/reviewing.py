"""A review as `veridical.studio.making` writes it, without its pictures."""

import json

from veridical.scoring.reviewed import REVIEW


def write_review(folder, tiles):
    """``review.json`` of tiles of these sides, each from an image of its own: r0, s0, r1, ..."""
    folder.mkdir(parents=True)
    names = [f"{side[0]}{tiles[:k].count(side)}" for k, side in enumerate(tiles)]
    named = [{"file": name, "side": side, "group": name} for name, side in zip(names, tiles, strict=True)]
    about = {"schema": 1, "version": "0", "created": "", "real": "r", "synth": "s", "seed": 0, "window": {}}
    (folder / REVIEW).write_text(json.dumps(about | {"tiles": named}))
    return folder
