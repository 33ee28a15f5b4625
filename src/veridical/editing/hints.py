"""What steers an edit by a pipeline that has a ControlNet."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from veridical.core.arrays import Images
from veridical.data.slices import Slices
from veridical.pretrained.hints import hints_of
from veridical.runs.run import Run


def steering(run: Run, slices: Slices, numbers: list[int], counts: NDArray[Any]) -> Images | None:
    """Hints (N, 3, H, W) of counts (N, C, H, W), the images of these numbers as they came, or of their label images.

    None for a run, and for a pipeline whose settings ask for none.
    """
    kind, args = run.info.args.get("hint"), run.info.args
    if run.pipeline is None or not kind:
        return None
    unit = np.nan_to_num(run.window.to_unit(counts))
    return hints_of(str(kind), str(args["colours"]), unit, slices, numbers)
