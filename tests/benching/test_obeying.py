"""When an edit counts as obeyed."""

import numpy as np
import pytest

from veridical.benching import obeying
from veridical.benching.truth import Pairs


class Ruler:
    """Measures what the test says."""

    def __init__(self, seen):
        self._seen = seen

    def measure(self, images):
        return [{"n_fibres": value} for value in self._seen]


# From 10 to 20 fibres, the ruler errs by 1: at least half of the way, and within three errors; moved by more than three errors.
@pytest.mark.parametrize(
    ("seen", "half", "obeyed", "moved"),
    [
        (20, 1, 1, 1),
        (18, 1, 1, 1),
        (16, 1, 0, 1),
        (22, 1, 1, 1),
        (24, 1, 0, 1),
        (14, 0, 0, 1),
        (12, 0, 0, 0),
        (6, 0, 0, 0),
    ],
)
def test_obeyed_is_half_of_the_way_and_within_three_errors(seen, half, obeyed, moved, monkeypatch):
    monkeypatch.setattr(obeying, "_dice", lambda *given: np.ones(1))
    images = np.random.default_rng(0).random((1, 1, 16, 16)).astype(np.float32)
    region = np.zeros((1, 16, 16), bool)
    region[:, :4] = True
    pairs = Pairs(
        images, ["more_fibres"], [""], [""], [""], ["0"], images, images, region,
        had=[{"n_fibres": 10}], asked=[{"n_fibres": 20}],
    )  # fmt: skip
    found = obeying.known_of(Ruler([seen]), {"n_fibres": 1.0}, pairs, images)
    assert [found[name][0] for name in ("half", "obeyed", "moved")] == [half, obeyed, moved]
    assert found["changed"][0] == 0


@pytest.mark.parametrize(
    ("seen", "moved"), [(9, 0), (8.4, 1), (11, 0)]
)  # asked for 8 of 10: half the way is less than three errors
def test_a_small_change_has_moved_when_it_came_half_the_way(seen, moved, monkeypatch):
    monkeypatch.setattr(obeying, "_dice", lambda *given: np.ones(1))
    images, region = np.random.default_rng(0).random((1, 1, 16, 16)).astype(np.float32), np.ones((1, 16, 16), bool)
    pairs = Pairs(
        images, ["fewer_fibres"], [""], [""], [""], ["0"], images, images, region,
        had=[{"n_fibres": 10}], asked=[{"n_fibres": 8}],
    )  # fmt: skip
    assert obeying.known_of(Ruler([seen]), {"n_fibres": 1.0}, pairs, images)["moved"][0] == moved
