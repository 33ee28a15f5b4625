"""From verdicts of images to that of the set."""

from types import SimpleNamespace

import numpy as np
import pytest

from veridical.auditing import judge
from veridical.auditing.defects import scores
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


@pytest.mark.parametrize(
    ("last", "title"), [("noise unlike that of real images", "noise too strong"), ("noise too weak", "")]
)
def test_a_defect_of_one_known_sign_is_called_alike_everywhere(monkeypatch, last, title):
    noise = {"log_noise_0": np.array([1.0, 0.2, -0.5])}
    monkeypatch.setattr(judge, "_quotable", lambda c: (noise, {"log_noise_0": np.array([-1.0, 0.0, 1.0])}))
    generic = "noise unlike that of real images"

    def found(title):
        return {"defect": "noise_mismatch", "title": title}

    whole = [found(generic), {"defect": "blur", "title": "blurred"}]
    single = [{"findings": [found(name)]} for name in ("noise too strong", generic, last)]
    judge.with_signs(whole, single, SimpleNamespace(scored=SimpleNamespace(mean=np.ones((3, len(scores()))))))
    assert [f["title"] for f in whole] == [title or generic, "blurred"]
    assert [f["title"] for image in single for f in image["findings"]] == ["noise too strong", title or generic, last]
