"""The page of an audit: what it says first, what it draws, how it reads on a phone and in print."""

import re

import numpy as np
import pytest

from veridical.auditing.curves import curves, distribution
from veridical.auditing.measure import Segmentation
from veridical.auditing.verdict import lead
from veridical.data.images import save_png
from veridical.reporting.audit_page import audit_page
from veridical.reporting.audit_text import nearest_said, singles, summary

UNITS = {"synth": 64, "real": 100, "unit": "slices"}
WHAT = [("blurred", "image", "fine detail is missing")]


def finding(name, title, **more):
    base = {
        "defect": name,
        "title": title,
        "level": "set",
        "p_value": 0.004,
        "statistic": 0.03,
        "expected": [0.01, 0.02],
    }
    return base | {"explanation": f"{title}: on average 3", "curve": "", "distribution": None} | more


def made(verdict, findings, failed=0, n=64):
    images = [
        {"file": f"edm_{k:05d}", "verdict": "fail" if k < failed else "pass", "p_value": 0.01 * (k + 1),
         "findings": [{"defect": "blur", "title": "blurred", "explanation": "x"}] if k < failed else []}
        for k in range(n)
    ]  # fmt: skip
    report = {"verdict": verdict, "alpha": 0.05, "n_real": 100, "n_synth": n, "independent": UNITS, "findings": findings,
              "images": images, "power": None, "notes": []}  # fmt: skip
    return report | {"lead": lead(report)}


@pytest.fixture
def report(tmp_path):
    rng = np.random.default_rng(0)
    real, synth = rng.random((12, 1, 32, 32), np.float32), rng.random((8, 1, 32, 32), np.float32) * 0.7
    drawn = distribution("log_noise_0", rng.normal(-3, 0.1, 8), rng.normal(-4, 0.1, 12))
    findings = [
        finding("noise_mismatch", "noise too strong", curve="spectrum", distribution=drawn),
        finding("spectrum_shift", "power spectrum shifted", curve="spectrum"),
        finding("<b>", "<i>"),
    ]
    save_png(tmp_path / "evidence.png", np.zeros((40, 300), np.uint8))
    found = made("fail", findings, failed=5)
    shown = [{"file": "edm_00003", "shows": "noise too strong"}]
    return found | {
        "evidence": {"file": "evidence.png", "width": 300, "images": shown},
        "curves": curves(real, synth, Segmentation(1.0, 0.5)),
    }


def test_a_pass_says_what_it_does_not_rule_out(report, tmp_path):
    power = [
        {
            "defect": "mode_collapse",
            "title": "images too much alike",
            "level": "set",
            "severity": None,
            "unit": "of the images",
        },
        {"defect": "blur", "title": "blurred", "level": "image", "severity": 1.0, "unit": "px of Gaussian blur"},
    ]
    passed = report | made("pass", []) | {"power": power}
    words = "Not ruled out, since they would not have been caught at any severity tried: images too much alike."
    for text in (summary(passed), written(passed, tmp_path)):
        assert text.count("images too much alike") == 1 and words in text
        assert "blurred (image), from 1 px of Gaussian blur" in text and "mode_collapse" not in text
    assert "Not ruled out" not in summary(passed | {"power": power[1:]})


def written(report, tmp_path):
    audit_page(tmp_path / "audit.html", report, tmp_path, {"real": "scans", "synth": "new"}, WHAT)
    return (tmp_path / "audit.html").read_text(encoding="utf-8")


def test_the_first_sentence_says_how_images_and_set_go_together():
    one, two = finding("noise_mismatch", "noise too strong"), finding("shading", "shading across the images")
    assert made("fail", [one, two])["lead"] == (
        "Each image passes on its own, but as a set they differ from real ones: noise too strong; shading across the images."
    )
    assert made("fail", [one], failed=41)["lead"].startswith(
        "41 of 64 images fail on their own, and as a set they differ"
    )
    assert "and 2 more" in made("fail", [finding(str(k), f"t{k}") for k in range(5)])["lead"]
    assert made("pass", [])["lead"] == "No defect was found in the set; each image passes on its own."
    assert "2 of 64 images fail on their own, where of real ones up to 5% do" in made("pass", [], failed=2)["lead"]
    assert made("insufficient", [one])["lead"].startswith("There are too few independent images to say")
    few = made("insufficient", [one]) | {"independent": UNITS | {"unit": "fields of view"}}
    assert lead(few).startswith("Real slices are too few to say whether these pass for real; what differs")
    assert "images: 41 fail, 23 pass (first reasons: 41 blurred)" in summary(made("fail", [one], failed=41))
    text = summary(made("fail", [one]))
    assert "noise too strong (noise_mismatch, p = 0.004)" in text and "Each image passes on its own, but" in text


def test_single_images_are_counted_as_the_terminal_counts_them():
    few = made("fail", [finding("shading", "shading")], failed=5)
    assert singles(few) == "5 of 64 fail, by what was found of them."
    for image in few["images"][:5]:
        image["verdict"] = "insufficient"
    assert singles(few) == "None of 64 fail; 5 differ from the real ones, which another slice may do, too."
    unknown = few | {"independent": UNITS | {"fields_of_view": 3, "fields_of_view_needed": 40}}
    assert "too few real ones to judge single images" in singles(unknown)


def test_the_page_shows_each_finding_in_words_each_curve_and_the_evidence_once(report, tmp_path):
    text = written(report, tmp_path)
    assert "<h3>Noise too strong" in text and "noise_mismatch" not in text
    assert text.count("Synthetic images above, below each") == 1 and text.count("The median") == 0
    assert text.count("Power spectrum: the median of synthetic images") == 1 and "Grey levels: the median" not in text
    assert text.count("See below: power spectrum") == 1
    assert (
        "<dt>blurred (5)</dt>" in text and "edm_00004" in text and "edm_00009" not in text
    )  # of single images those that fail
    assert "&lt;i&gt;" in text and "<i>" not in text
    assert "Grey levels: the median" in written(report | {"findings": []}, tmp_path)


def test_the_page_is_in_the_style_of_the_report_for_phones_and_print(report, tmp_path):
    text = written(report, tmp_path)
    assert '<meta name="viewport" content="width=device-width' in text
    assert "@media print" in text and "max-width: 43.99rem" in text and "@page" in text
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)  # needs no other file
    assert all("alt=" in tag for tag in re.findall("<img[^>]*>", text))


def test_curves_have_the_band_of_real_images():
    rng = np.random.default_rng(0)
    real = rng.random((40, 1, 32, 32), np.float32)
    found = curves(real, real[:20] * 0.5, Segmentation(1.0, 0.5))
    assert set(found) == {"spectrum", "grey_levels", "two_point"}
    for curve in found.values():
        assert len(curve["x"]) == len(curve["synth"]) == len(curve["low"])
        assert all(a <= b <= c for a, b, c in zip(curve["low"], curve["middle"], curve["high"], strict=True))
    levels = found["grey_levels"]
    assert levels["synth"][-1] == 0 and levels["low"][-1] > 0 and sum(levels["middle"]) == pytest.approx(1, abs=0.05)
    power = np.array(found["spectrum"]["synth"]) / np.array(found["spectrum"]["middle"])
    assert np.median(power) == pytest.approx(0.25, rel=0.2)
    drawn = distribution("mean", np.full(5, 2.0), np.arange(10.0))
    assert sum(drawn["real"]) == pytest.approx(1) and max(drawn["synth"]) == 1
    assert (
        distribution("mean", np.ones(5), np.ones(5)) is None
        and distribution("mean", np.full(2, np.nan), np.ones(3)) is None
    )


def test_the_page_says_how_many_real_images_are_nearest_and_which_p_is_the_least_there_can_be(report, tmp_path):
    report["evidence"]["images"] *= 3
    few = report | {"evidence": report["evidence"] | {"different": 2}}
    few["findings"][0]["p_is_least"] = True
    text = written(few, tmp_path)
    assert "They are 2 different real images" in text and "does not make them copies" in text
    assert "p\u00a0&lt;=\u00a00.004" in text and "p <= 0.004" in summary(few) and "p = 0.004" in summary(few)
    assert nearest_said(report["evidence"] | {"different": 3}) == nearest_said(report["evidence"]) == ""
    assert nearest_said(report["evidence"] | {"different": 1}).startswith("They are one and the same real image")
