"""Which tiles are drawn and how they are turned: nothing but (seed, step, k) decides on tile k of a batch."""

from collections.abc import Callable

import numpy as np

from veridical.core.errors import InputError
from veridical.data.focus import TRIES, Focus
from veridical.data.masks import PartLabels
from veridical.data.slices import Slices
from veridical.data.tiles import Layout, spread

Show = Callable[[np.ndarray, np.ndarray], np.ndarray]  # tiles at places, turned


class Sampler:
    """Places (slice, top, left) and orientations of tiles.

    Parameters
    ----------
    spec : str
        Names the data in errors.
    slices : Slices
    layout : Layout
    orientations : int
        Of which each tile has one.
    seed : int
        Of the orientations of tiles of the grid.
    budget : int
        Bytes of decoded slices that are kept in memory, see `Layout.active`.
    part : PartLabels, optional
        Of which tiles the labels are told.

    Attributes
    ----------
    labelled : array (N, 3) or None
        Places of the only tiles that have labels; None: all of their images.
    focus : (Focus, callable) or None
        How training tiles are drawn by what is in them, and what shows that; None: all alike.
    """

    def __init__(
        self,
        spec: str,
        slices: Slices,
        layout: Layout,
        orientations: int,
        seed: int,
        budget: int,
        part: PartLabels | None,
    ):
        self._spec, self._layout, self._masked, self._part = spec, layout, slices.masked, part
        self._orientations, self._seed, self._budget = orientations, seed, budget
        self.labelled = self.few(part.tiles) if part is not None and part.tiles else None
        self.focus: tuple[Focus, Show] | None = None

    def batch(self, n: int, step: int, seed: int, start: int, stop: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Places (N, 3) and orientations (N,) of rows `start` to `stop` of the `n` training tiles of a step."""
        draws = np.random.default_rng([seed, step]).random((n, 3))[start:stop]
        active = self._layout.active(step, seed, self._budget)
        places = self._layout.random(draws[:, :2], active)
        if self.focus is not None:
            places = self._focused(places, active, (n, step, seed, start, stop))
        if self._part is not None and self._part.share:
            more = np.random.default_rng([seed, step, 1]).random((n, 3))[start:stop]
            places = np.where(more[:, :1] < self._part.share, self._labelled_places(more[:, 1:]), places)
        return places, (draws[:, 2] * self._orientations).astype(int)

    def _focused(
        self, places: np.ndarray, active: np.ndarray, rows: tuple[int, int, int, int, int | None]
    ) -> np.ndarray:
        """Places of which each is kept with a chance by its weight, else drawn again: rejection sampling."""
        assert self.focus is not None
        (focus, show), (n, step, seed, start, stop) = self.focus, rows
        open_ = np.arange(len(places))
        for turn in range(round(TRIES * focus.factor)):
            more = np.random.default_rng([seed, step, 2, turn]).random((n, 3))[start:stop][open_]
            weights = focus.weights(show(places[open_], np.zeros(len(open_), int)))
            again = more[:, 0] * focus.factor >= weights
            open_ = open_[again]
            if not len(open_):
                break
            places[open_] = self._layout.random(more[again, 1:], active)
        return places

    def few(self, n: int) -> np.ndarray:
        """Places (n, 3) of `n` training tiles that have labels, spread evenly: where all have some, those of ``limit=n``.

        Raises
        ------
        InputError
            If there are not so many.
        """
        places = self._layout.grid("train", None)[0]
        places = places[[self._masked[index] for index in places[:, 0]]]
        if not 0 < n <= len(places):
            raise InputError(
                f"{self._spec}: {n} labelled tiles cannot be: {len(places)} of the training tiles that lie side by side have "
                "labels"
            )
        chosen: np.ndarray = spread(places, n)
        return chosen

    def _labelled_places(self, draws: np.ndarray) -> np.ndarray:
        """Places (N, 3) that uniform numbers (N, 2) pick where there are labels."""
        if self.labelled is None:
            return self._layout.random(draws, self._layout.regions_of(self._masked))
        chosen: np.ndarray = self.labelled[(draws[:, 0] * len(self.labelled)).astype(int)]
        return chosen

    def grid(self, which: str, n: int | None, oriented: bool) -> tuple[np.ndarray, list[str], np.ndarray]:
        """Places, groups and orientations of tiles without overlap, at most `n`, see `veridical.data.dataset.Dataset.tiles`."""
        places, groups, numbers = self._layout.grid(which, n)
        if not oriented:
            return places, groups, np.zeros(len(places), int)
        rng = np.random.default_rng([self._seed, which == "test"])
        return places, groups, rng.integers(self._orientations, size=self._layout.total(which))[numbers]
