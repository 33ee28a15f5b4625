"""What is known of a pipeline before it is loaded, by the configs of its parts: the size of its images, and its classes."""

from __future__ import annotations

from typing import Any

from veridical.core.files import read_json
from veridical.pretrained.classes import PipelineClasses
from veridical.pretrained.coding import factor_of
from veridical.pretrained.folder import Found
from veridical.pretrained.joined import FLUX_SIDE
from veridical.pretrained.kinds import FLUX
from veridical.pretrained.settings import Loading


def side_of(found: Found, loading: Loading) -> int | None:
    """Side of the images in pixels; None where its configs do not say it."""
    if loading.side:
        return loading.side
    network, vae = _config(found, "transformer" if found.kind.transformer else "unet"), _config(found, "vae")
    side = FLUX_SIDE if found.kind is FLUX else network.get("sample_size")
    if not isinstance(side, int) or not isinstance(vae.get("block_out_channels"), list):
        return None
    return side * factor_of(vae)


def known_classes(found: Found) -> PipelineClasses:
    """Classes of a pipeline that draws such."""
    count = _config(found, "transformer").get("num_embeds_ada_norm")
    return PipelineClasses(count if isinstance(count, int) else 0, found.index.get("id2label") or {})


def _config(found: Found, part: str) -> dict[str, Any]:
    content: dict[str, Any] = read_json(found.folder / part / "config.json", dict[str, Any])
    return content
