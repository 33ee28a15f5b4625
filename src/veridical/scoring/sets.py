"""What metrics are given: the sets of images, and the work that several of them share, done when one first asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from veridical.core.arrays import digests
from veridical.core.errors import InputError
from veridical.scoring.kernels import Tiles, kernels_of, kid_between
from veridical.scoring.nearest import Training, crops_of, own_crops_of
from veridical.scoring.selection import NEIGHBOURS, Equal, Rows, canonical, equal_of, remarks_of, rows_of
from veridical.stats.groups import spread_evenly

COPIES = "the synthetic images are the real images"
# Of real images and of others that shares of neighbours need: with fewer, their intervals are wider than what sets real
# images apart from ones with noise that everybody sees (docs/results/precision.md).
FEWEST = 40

# Of the precision of other real images that samples need, for a recall: with less, sets of all kinds of images have less recall
# than sets of few kinds (docs/results/precision.md).
PRECISE = 0.5


class Words(NamedTuple):
    """Cosines of images and words in a CLIP of the domain: of synthetic images and their own prompts (N,), and the prompts of
    others (N,); and of real images and their own captions (M,), with the label of each."""

    synth: NDArray[Any]
    others: NDArray[Any]
    real: NDArray[Any]
    synth_groups: NDArray[Any]


class Deep(NamedTuple):
    """Features of the four of `Rows`, and how they were computed."""

    real: NDArray[Any]
    synth: NDArray[Any]
    half: NDArray[Any]
    others: NDArray[Any]
    settings: dict[str, Any]


class Phase(NamedTuple):
    """Features of random-phase images, the labels of the tiles that they were made of, and whether these are of `real`."""

    features: NDArray[Any]
    groups: NDArray[Any]
    of_real: bool


class Known(NamedTuple):
    """What other sets of the same real images have been found to have: their features, and random-phase images."""

    real: NDArray[Any]
    random_phase: Phase


class Pairs(NamedTuple):
    """Pairs that are not identical, a label each, and how many identical ones were left out."""

    real: NDArray[Any]
    synth: NDArray[Any]
    groups: NDArray[Any]
    identical: int


@dataclass(frozen=True, eq=False)
class Sets:
    """Sets of images that `veridical.scoring.score.gather` has checked.

    Parameters
    ----------
    real, synth : (N, C, H, W) and (M, C, H, W) arrays in [0, 1]
    real_groups, synth_groups : a label an image, or None: every image by itself
    floor_real, floor_groups : other real images, or None: `real` is halved for the floor
    phase : phase-randomised real images, or None: made here
    pairs : of both sets the first so many images belong together
    distinct : the first so many synthetic images were made from conditions of their own; None: all
    train : what was trained on, or None
    test_distance : distances of `real` to the nearest training crop that is not itself, if they are known
    words : how near images and words are, or None
    known : what does not depend on the synthetic images, if it was computed before (`Sets.to_keep`)
    remarks, floor_remarks : what has to be said of every number, and of those with a real-against-real floor
    extractor, inception, cache, progress : see `veridical.metrics.features.extract`
    """

    real: NDArray[Any]
    synth: NDArray[Any]
    real_groups: NDArray[Any] | None = None
    synth_groups: NDArray[Any] | None = None
    floor_real: NDArray[Any] | None = None
    floor_groups: NDArray[Any] | None = None
    phase: NDArray[Any] | None = None
    pairs: int = 0
    distinct: int | None = None
    train: Training | None = None
    test_distance: NDArray[Any] | None = None
    words: Words | None = None
    known: Known | None = None
    remarks: tuple[str, ...] = ()
    floor_remarks: tuple[str, ...] = ()
    extractor: str = "efficientnet_lite0"
    inception: str | Path | None = None
    cache: str | Path | None = None
    progress: Callable[[int, int], None] | None = None

    @cached_property
    def copied(self) -> str | None:
        """What there is to say where the synthetic images are the real ones."""
        return COPIES if sorted(digests(self.real)) == sorted(digests(self.synth)) else None

    @cached_property
    def without_features(self) -> str | None:
        """Why images have no features."""
        from veridical.metrics.features import check_available

        try:
            check_available(self.extractor, self.inception)
        except InputError as error:
            return str(error)
        return None

    @cached_property
    def paired(self) -> Pairs:
        """The first `pairs` images of both sets."""
        from veridical.metrics.paired import identical

        real, synth = self.real[: self.pairs], self.synth[: self.pairs]
        same = identical(real, synth)
        groups = (np.arange(len(self.real)) if self.real_groups is None else self.real_groups)[: self.pairs]
        return Pairs(real[~same], synth[~same], groups[~same], int(same.sum()))

    @property
    def other_real(self) -> NDArray[Any]:
        """The images that `Rows.others` are rows of."""
        return self.real if self.floor_real is None else self.floor_real

    @cached_property
    def rows(self) -> Rows:
        """Which images are compared, see `rows_of`."""
        others = None if self.floor_real is None else (self.floor_real, self.floor_groups)
        return rows_of((self.real, self.real_groups), (self.synth, self.synth_groups), others)

    @cached_property
    def equal(self) -> Equal:
        """Equally many independent images, see `equal_of`."""
        return equal_of(self.rows)

    @cached_property
    def every(self) -> Equal:
        """All synthetic and all other real images beside the real ones of `equal`, for means over single images."""
        equal, m, others = self.equal, len(self.rows.synth), len(self.rows.others)
        return Equal(m, equal.real, [np.arange(m)], [np.arange(others)], equal.groups, None)

    def _embed(self, images: NDArray[Any]) -> NDArray[Any]:
        from veridical.metrics.features import extract

        return extract(images, self.extractor, path=self.inception, cache=self.cache, progress=self.progress)

    @cached_property
    def features(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Features of the real images, the synthetic and the other real ones of `rows`."""
        rows = self.rows
        real = self._embed(self.real[rows.real]) if self.known is None else self.known.real
        if self.floor_real is None:
            return real, self._embed(self.synth[rows.synth]), real[self._place[rows.others]]
        return real, self._embed(self.synth[rows.synth]), self._embed(self.floor_real[rows.others])

    @cached_property
    def _place(self) -> NDArray[Any]:
        """Where in `rows.real` an image of `real` stands."""
        place = np.full(len(self.real), -1)
        place[self.rows.real] = np.arange(len(self.rows.real))
        return place

    @cached_property
    def deep(self) -> Deep:
        """Features of `rows`, and of random-phase images."""
        from veridical.metrics.features import settings

        (real, synth, others), half = self.features, self._place[self.rows.half]
        return Deep(real, synth, real[half], others, settings(self.extractor, *self.real.shape[2:]))

    @cached_property
    def random_phase(self) -> Phase:
        """Random-phase images: those given, or surrogates of other real tiles or of `real`."""
        from veridical.metrics.features import check_images

        if self.known is not None:
            return self.known.random_phase
        rows, n, phase, groups = self.rows, len(self.synth), self.phase, None
        if phase is None:
            images, order, labels = self.real, rows.real, rows.real_groups
            if self.floor_real is not None:
                images, order, labels = self.floor_real, rows.others, rows.other_groups
            phase, groups = _random_phase(images[order], labels, n)
        phase = check_images(phase, "phase")
        order, labels = canonical(phase, groups)
        return Phase(self._embed(phase[order]), labels, groups is not None and self.floor_real is None)

    @cached_property
    def feature_remarks(self) -> tuple[str, ...]:
        """What has to be said of numbers that come from features."""
        return remarks_of(max(len(self.real), len(self.synth), len(self.other_real)))

    def to_keep(self) -> Known:
        """For sets of the same real images and others: `known`."""
        return Known(self.features[0], self.random_phase)

    @cached_property
    def kernels(self) -> tuple[NDArray[Any], ...]:
        """Kernel matrices of the KID, see `kernels_of`."""
        (x, y), rows, (p, phase, of_real) = self.deep[:2], self.rows, self.random_phase
        return kernels_of(Tiles(x, rows.real_groups), Tiles(y, rows.synth_groups), Tiles(p, phase), of_real)

    @cached_property
    def kid_floor(self) -> float | None:
        """KID between real and other real images, see `kid_between`."""
        deep, rows = self.deep, self.rows
        named = self.real_groups is not None and (self.floor_real is None or self.floor_groups is not None)
        return kid_between(Tiles(deep.half, rows.half_groups), Tiles(deep.others, rows.other_groups), named)

    @cached_property
    def distances(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Distances between features of real images x, those of `equal`, and all synthetic ones y: xx, yy, xy."""
        from veridical.metrics.distribution import distances

        x, y = self.deep.half[self.equal.real], self.deep.synth
        return distances(x, x), distances(y, y), distances(x, y)

    @cached_property
    def neighbour_floors(self) -> dict[str, float]:
        """Capped precision and recall, and coverage, of other real images."""
        from veridical.metrics.distribution import neighbour_shares

        x, z = self.deep.half[self.equal.real], self.deep.others
        drawn = [neighbour_shares(x, z[rows], NEIGHBOURS) for rows in self.equal.others]
        found = {name: float(np.mean([each[name] for each in drawn])) for name in drawn[0]}
        return found | {"precision_capped": neighbour_shares(x, z, NEIGHBOURS)["precision_capped"]}

    @cached_property
    def beside(self) -> str | None:
        """Why a recall says nothing of variety: samples that lie beside the real images have none, however various they are."""
        from veridical.metrics.distribution import neighbour_shares_from_distances

        precision = neighbour_shares_from_distances(*self.distances, NEIGHBOURS)["precision_capped"]
        if precision >= PRECISE * self.neighbour_floors["precision_capped"]:
            return None
        return (
            f"says nothing of variety: precision_capped is below {PRECISE:g} of its real-against-real value, so that the samples "
            "lie beside the real tiles, whatever their variety"
        )

    @cached_property
    def crops(self) -> tuple[Any, NDArray[Any]]:
        """Nearest training crop of every synthetic image (`veridical.metrics.novelty.Crops`), and distances of real images, those
        that were trained on to others than themselves.

        Raises
        ------
        InputError
            If no training image is as large as these.
        """
        assert self.train is not None
        crops = crops_of(self.synth, self.train)
        return crops, np.asarray(self.own.distance if self.test_distance is None else self.test_distance)

    @cached_property
    def own(self) -> Any:
        """Which real images are among the training images, see `veridical.metrics.same.own_crops`; errors as of `crops`."""
        assert self.train is not None
        return own_crops_of(self.real, self.real_groups, self.train)

    @property
    def training_remarks(self) -> tuple[str, ...]:
        """What has to be said of a comparison of real with training images."""
        if self.train is None or self.test_distance is not None or not (shared := int(self.own.shared.sum())):
            return ()
        return (
            f"{shared} of the {len(self.real)} real images are among the training images; they were compared with the others",
        )


def _random_phase(tiles: NDArray[Any], groups: NDArray[Any], n: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Surrogates of as many real tiles as there are synthetic images, or of all, and the labels of these tiles."""
    from veridical.metrics.surrogates import surrogates

    rows = spread_evenly(groups, min(len(tiles), n))
    return np.clip(surrogates(tiles[rows], np.random.default_rng(0)), 0, 1), groups[rows]
