"""From verdicts of images to that of the set."""

import numpy as np
import pytest

from veridical.auditing.judge import set_findings


def images(p, count, total):
    """So many images of a total that are copies, with that p-value each."""
    finding = {"defect": "copied", "level": "image", "p_value": p}
    return [{"findings": [finding] if k < count else []} for k in range(total)]


@pytest.mark.parametrize(
    ("p", "count", "total", "fails"),
    [(0.01, 24, 24, True), (0.01, 20, 24, False), (0.05, 24, 24, False), (0.02, 24, 24, True), (0.01, 1, 24, False)],
)
def test_images_that_are_copies_one_by_one_fail_the_set(p, count, total, fails):
    found = set_findings([], images(p, count, total), {})
    assert [f["defect"] for f in found] == (["copied"] if fails else [])
    if fails:
        assert found[0]["p_value"] == pytest.approx(2 * p) and f"{count} of {total} images" in found[0]["explanation"]


def test_twice_the_mean_of_p_values_that_all_depend_on_one_is_within_the_level():
    draws = np.random.default_rng(0).random(20_000)
    together = [bool(set_findings([], images(p, 24, 24), {})) for p in draws[:2000]]
    assert np.mean(together) == pytest.approx(np.mean(draws[:2000] <= 0.025)) and np.mean(draws <= 0.025) < 0.05
