"""Reviews by people in the report of a bench."""

import json

from bench_folder import make_bench
from reviewing import write_review
from veridical.reporting.report import report


def left(folder, answers):
    """A review of four tiles in a bench folder."""
    write_review(folder, ["real", "synthetic"] * 2)
    (folder / "answers.jsonl").write_text("".join(json.dumps(one) + "\n" for one in answers))


def test_the_report_shows_what_reviewers_said(tmp_path):
    folder = make_bench(tmp_path, {"gravel": "gravel"}, size=32, recipes=("edm",))
    assert "Reviews by people" not in report(folder).read_text()
    one = {"answer": "real", "reasons": [], "seconds": 1.0, "at": ""}
    answers = [one | {"reviewer": name, "tile": k} for name in ("<Ann>", "Ben") for k in range(4)]
    left(folder / "reviews" / "first", answers)
    left(folder / "reviews" / "broken", [{"reviewer": 1}])
    page = report(folder).read_text()
    assert (
        "Reviews by people" in page
        and "50% of their answers are wrong" in page
        and "&lt;Ann&gt;" in page
        and "<Ann>" not in page
    )
    assert "answers.jsonl, line 1" in page
