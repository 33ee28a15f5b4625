"""Real and synthetic measurements side by side: distances, copies, scores. All that the verdict looks at."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from veridical.auditing.case import Nearness, alone, nearness, patches_alone
from veridical.auditing.independence import Units
from veridical.auditing.measure import Measured
from veridical.auditing.scored import Scored, score_images
from veridical.auditing.set_scores import Sets
from veridical.stats.groups import merged

FOLDS = 5  # of the real images, each of which is judged by the others


@dataclass(frozen=True)
class Comparison:
    """N real and M synthetic images, measured and compared.

    Attributes
    ----------
    real, synth : Measured
        Copy distances of real images are to the other parts of the training images, those of `synth` to all of them.
    fair : (M,) copy distances of synthetic images to as many training images as those of real ones, or None
    near, own : Nearness
        Of synthetic to real images, and of real ones to each other (to itself, infinite).
    across : (M, M) distances between deep features of synthetic images
    fields, slices : (N,) number of the field of view and of the slice of each real image
    groups : (M,) label of the slice of each synthetic image
    units : what counts as independent for tests of the set
    scored : scores of all images, real ones by other units
    """

    real: Measured
    synth: Measured
    fair: np.ndarray | None
    near: Nearness
    own: Nearness
    across: np.ndarray
    fields: np.ndarray
    slices: np.ndarray
    groups: np.ndarray
    units: Units
    scored: Scored

    @property
    def searched(self) -> bool:
        """Whether copies were searched for."""
        return self.fair is not None

    @property
    def seen_slices_only(self) -> bool:
        """Whether slices are too few to say what they vary by, so that a difference may be that of another slice."""
        return self.units.kind != "slices"

    @property
    def distance(self) -> np.ndarray:
        """Distances between deep features of all images, real ones first, (N + M, N + M)."""
        return np.block([[self.own.deep, self.near.deep.T], [self.near.deep, self.across]])

    @property
    def sets(self) -> Sets:
        """What tests of the set look at, with copy distances that are fair to the synthetic images."""
        return Sets(self.real, replace(self.synth, copy_distance=self.fair), self.distance)

    def scores_of(self, x: Measured, fold: int = 0) -> np.ndarray:
        """Scaled scores (K, D) of further images, judged by the real ones without a fold."""
        return self.scored.of(x, self.real, nearness(x, self.real), self.own, fold)

    def strangeness(self) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """Distance of the strangest place and of the whole, for synthetic and for real images."""
        first, second = (
            (patches_alone(each).max(1), np.sort(each.deep, 1)[:, :3].mean(1)) for each in (self.near, self.own)
        )
        return first, second


def compare(
    real: Measured,
    synth: Measured,
    fields: np.ndarray,
    slices: np.ndarray,
    groups: np.ndarray,
    units: Units,
    *,
    fair: np.ndarray | None = None,
    near: Nearness | None = None,
    own: Nearness | None = None,
) -> Comparison:
    """Compare measured sets; `near` and `own` are found if they are not given."""
    from veridical.metrics.distribution import distances

    near = nearness(synth, real) if near is None else near
    own = alone(nearness(real, real)) if own is None else own
    # A real image is judged by other slices, as one of a new slice will be; by other places where these were counted.
    fold = merged(independent(units, fields, slices), FOLDS)
    scored = score_images(synth, real, fold, near, own)
    across = distances(synth.deep, synth.deep)
    return Comparison(real, synth, fair, near, own, across, fields, slices, np.asarray(groups), units, scored)


def independent(units: Units, fields: np.ndarray, slices: np.ndarray) -> np.ndarray:
    """Slices or fields of view, whichever the units are."""
    return slices if units.kind == "slices" else fields
