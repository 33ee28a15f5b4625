"""Where synthetic and real images lie in the images that were trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from veridical.core.errors import InputError
from veridical.metrics.novelty import nearest_crop


class Training(NamedTuple):
    """Images that were trained on: whole ones (C, height, width) in [0, 1], flips and quarter turns that training makes, and
    the share of the training data that these images are."""

    images: Sequence[NDArray[Any]]
    orientations: int = 8
    searched: float = 1.0


def crops_of(synth: NDArray[Any], train: Training) -> Any:
    """Nearest training crop of every synthetic image (`veridical.metrics.novelty.Crops`).

    Raises
    ------
    InputError
        If no training image is as large as these.
    """
    return _searched(lambda: nearest_crop(synth, train.images, orientations=train.orientations))


def own_crops_of(real: NDArray[Any], groups: NDArray[Any] | None, train: Training) -> Any:
    """Which real images are among the training images, see `veridical.metrics.same.own_crops`; errors as of `crops_of`."""
    from veridical.metrics.same import own_crops, simple

    images, orientations, _ = train
    labels = np.arange(len(real)) if groups is None else groups

    def search() -> Any:
        crops = nearest_crop(real, images, orientations=orientations)
        return own_crops(real, images, crops, labels, orientations=orientations, exactly=simple(real))

    return _searched(search)


def _searched(search: Callable[[], Any]) -> Any:
    import torch
    from scipy.fft import set_workers

    try:
        with set_workers(torch.get_num_threads()):
            return search()
    except ValueError as error:
        raise InputError(str(error)) from None
