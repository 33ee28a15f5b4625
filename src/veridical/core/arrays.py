"""Types of the arrays and labels that public functions take and return."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
"""(N, C, H, W) in [0, 1]; a single image is (C, H, W)."""

ImageSet = str | Path | NDArray[Any] | Sequence[NDArray[Any]]
"""What is scored or judged: a folder, stack or other spec, or an array of images, which is checked where it comes in."""

Groups = Sequence[str] | Sequence[int] | NDArray[Any]
"""A label an image, such as the slice that it was cut from."""
