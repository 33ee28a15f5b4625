"""From verdicts of images to that of the set."""

from types import SimpleNamespace

import numpy as np
import pytest

from veridical.auditing import judge
from veridical.auditing.defects import DEFECTS, KINDS, scores
from veridical.auditing.judge import ordered, set_findings
from veridical.auditing.quoted import named_once
from veridical.auditing.verdict import lead


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


def test_what_explains_clearly_best_comes_first_and_of_equals_structure():
    found = ["noise_mismatch", "spectrum_shift", "low_coverage", "property_shift", "implausible_structure", "unlikely"]
    off = {"noise_mismatch": 30.0, "implausible_structure": 2.0, "property_shift": 5.0}
    alike = dict(zip(found, (10.0, 12.0, 13.0, 14.0, 15.0), strict=False))
    in_order = [
        "property_shift",
        "implausible_structure",
        "low_coverage",
        "spectrum_shift",
        "noise_mismatch",
        "unlikely",
    ]
    assert ordered(found, [], alike, off) == in_order
    assert ordered(found, [], alike | {"noise_mismatch": 5.0}, off)[0] == "noise_mismatch"
    assert ordered(found, ["low_coverage"], alike, off)[0] == "low_coverage"
    assert ordered(found, [], alike, off, ["property_shift"])[4] == "property_shift"  # is not significant
    assert ordered(found, [], {}, off)[0] == "property_shift"
    assert {row.kind for row in DEFECTS.values()} == set(KINDS)


def test_a_measurement_is_quoted_once_with_all_that_it_may_mean():
    names = ("implausible_structure", "spectrum_shift", "property_shift", "periodic")
    quoted = ("coherence", "band_5", "coherence", "score")
    findings = [
        {"defect": name, "title": name, "quoted": value, "distribution": {}, "explanation": f"{value} is 0.05"}
        for name, value in zip(names, quoted, strict=True)
    ]
    findings.append({"defect": "copied", "title": "copied", "explanation": "copies"})
    named_once(findings)
    assert [f["same_as"] for f in findings] == [None, None, "implausible_structure", None, None]
    assert findings[0]["explanation"] == "coherence is 0.05 (it may also mean: property_shift)"
    assert findings[2]["distribution"] is None and "the same measurement as of" in findings[2]["explanation"]
    assert sum("coherence is" in f["explanation"] for f in findings) == 1
    report = {"verdict": "fail", "alpha": 0.05, "images": [{"verdict": "pass"}], "findings": findings}
    assert lead(report).endswith("implausible_structure; spectrum_shift; periodic; and 1 more.")
