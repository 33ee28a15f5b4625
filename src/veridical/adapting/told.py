"""Few images and what they are told, as training takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from veridical.conditions.condition import Arrays
from veridical.core.batch import mix
from veridical.core.errors import InputError
from veridical.data.captions import AUTO, read_captions
from veridical.data.dataset import Dataset
from veridical.wording import turned

Encode = Callable[[Sequence[str]], Arrays]


@dataclass(frozen=True)
class Told:
    """Tiles, with a caption each where the model hears texts.

    Attributes
    ----------
    target : Dataset
    captions : list of tuple of str
        Of each image of the set; empty where nothing is said.
    encode : callable
        From texts to arrays of conditions.
    kept : dict
        Files of the run folder: name to content.
    """

    target: Dataset
    captions: list[tuple[str, ...]]
    encode: Encode
    kept: dict[str, str] = field(default_factory=dict)

    def batch(self, n: int, step: int, seed: int, start: int = 0, stop: int | None = None) -> tuple[np.ndarray, Arrays]:
        """See `veridical.conditions.delivery.Feed`; of several captions of an image each has its chance."""
        places, turns = self.target.drawn(n, step, seed, start, stop)
        images = self.target.images(places, turns)
        if not self.captions:
            return images, {}
        chance = np.random.default_rng([mix(seed, 2), step]).random(n)[start:stop]
        said = [self.captions[index] or ("",) for index in places[:, 0].tolist()]
        texts = [
            turned(each[int(c * len(each))], code) for each, c, code in zip(said, chance, turns.tolist(), strict=True)
        ]
        return images, self.encode(texts)

    def files(self) -> dict[str, str]:
        """See `veridical.conditions.delivery.Feed`."""
        return self.kept


@dataclass(frozen=True)
class WithPrior:
    """The last rows of each batch are images that the base drew of its own (Ruiz et al. 2022, eq. 2).

    With a share s of a batch the weight of the prior is s / (1 - s).

    Attributes
    ----------
    new : Told
    drawn : ndarray of float32, shape (M, C, size, size), values in [0, 1]
    cond : dict of arrays
        What they were drawn of, one row.
    share : float
    """

    new: Told
    drawn: np.ndarray
    cond: Arrays
    share: float

    def batch(self, n: int, step: int, seed: int, start: int = 0, stop: int | None = None) -> tuple[np.ndarray, Arrays]:
        """See `veridical.conditions.delivery.Feed`."""
        images, cond = self.new.batch(n, step, seed, start, stop)
        rows = np.arange(n)[start:stop]
        old = rows >= n - min(n - 1, max(1, round(n * self.share)))
        which = np.random.default_rng([mix(seed, 4), step]).integers(len(self.drawn), size=n)[start:stop]
        images = np.where(old[:, None, None, None], self.drawn[which], images)
        told = {
            name: np.where(old.reshape(-1, *[1] * (values.ndim - 1)), self.cond[name], values)
            for name, values in cond.items()
        }
        return images, told

    def files(self) -> dict[str, str]:
        """See `veridical.conditions.delivery.Feed`."""
        return self.new.files()


def captions_of(spec: str, target: Dataset, prompt: str, where: str) -> list[tuple[str, ...]]:
    """What each image of a set is told: the prompt, or captions of its own.

    Raises
    ------
    InputError
        If there is neither.
    """
    if prompt:
        return [(prompt,)] * len(target.slices)
    try:
        captions, _ = read_captions(spec, target.slices, where or AUTO)
    except InputError as error:
        raise InputError(f"{str(error).rstrip('.')}; or give --prompt TEXT, which all images are then told.") from error
    if not any(captions[index] for index in target.images_of("train")):
        raise InputError(f"{spec}: no training image has a caption; write some, or give --prompt TEXT.")
    return captions
