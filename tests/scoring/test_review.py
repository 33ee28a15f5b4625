"""Answers of people as rows: rates, intervals that hold, agreement with each other and with the audit."""

import json

import numpy as np
import pytest

from reviewing import write_review
from veridical.core.errors import InputError
from veridical.scoring.review import review, two_way
from veridical.scoring.reviewed import append_answers, read_answers, read_review

N = 10


def written(folder, n=N):
    """A review of n real and n synthetic tiles."""
    return write_review(folder, ["real", "synthetic"] * n)


def answered(folder, reviewer, wrong=(), upto=2 * N, reasons=()):
    """All tiles before `upto`, rightly but for some."""
    kinds = ["real", "synthetic"]
    append_answers(folder, [
        {"reviewer": reviewer, "tile": k, "answer": kinds[(k % 2) ^ (k in wrong)], "reasons": list(reasons) if k % 2 else [],
         "seconds": 1.0, "at": ""}
        for k in range(upto)
    ])  # fmt: skip


def by_metric(rows, **settings):
    return {row["metric"]: row for row in rows if settings.items() <= row["settings"].items()}


def test_the_rates_are_those_of_the_answers(tmp_path):
    folder = written(tmp_path / "a")
    answered(folder, "Ann", wrong=(1, 3, 0), reasons=("blur",))
    answered(folder, "Ben", wrong=(1,))
    rows = review(folder)
    assert by_metric(rows, reviewer="Ann")["human_error_rate"]["value"] == pytest.approx(3 / 20)
    every = by_metric(rows, reviewers=2)
    assert every["human_error_rate"]["value"] == pytest.approx(4 / 40)
    assert every["synthetic_called_real"]["value"] == pytest.approx(3 / 20)
    assert every["real_called_synthetic"]["value"] == pytest.approx(1 / 20)
    low, high = every["human_error_rate"]["settings"]["for_other_tiles"]
    assert every["human_error_rate"]["low"] <= low < 0.1 < high <= every["human_error_rate"]["high"]
    # 10 tiles called real by both, 8 synthetic by both, Ann calls tile 3 real, tile 0 synthetic
    expected = (18 / 20 - (11 * 11 + 9 * 9) / 400 + 0) / (1 - (11 * 11 + 9 * 9) / 400)
    assert every["reviewer_kappa"]["value"] == pytest.approx(expected)
    assert by_metric(rows, defect="blur")["gave_it_away"]["value"] == pytest.approx(8 / 17)


def test_the_last_answer_holds_and_one_that_was_cut_short_does_not(tmp_path):
    folder = written(tmp_path / "a")
    answered(folder, "Ann", wrong=(0,))
    answered(folder, "Ann", upto=1)
    assert by_metric(review(folder))["human_error_rate"]["value"] == 0
    with (folder / "answers.jsonl").open("a") as file:
        file.write('{"reviewer": "Ann", "ti')
    assert by_metric(review(folder))["human_error_rate"]["value"] == 0
    answered(folder, "Ben", upto=3)
    assert len(read_answers(folder, 2 * N)) == 2 * N + 1 + 3
    assert read_review(folder / "answers.jsonl").reviewers == ["Ann", "Ben"]


def test_no_mistake_at_all_is_not_a_rate_of_zero_for_sure(tmp_path):
    folder = written(tmp_path / "a")
    answered(folder, "Ann")
    row = by_metric(review(folder))["human_error_rate"]
    assert row["value"] == row["low"] == 0
    assert row["high"] == pytest.approx(1 - 0.025 ** (1 / 20))  # of 20 tiles


def test_agreement_with_the_audit_is_on_synthetic_tiles(tmp_path):
    folder = written(tmp_path / "a")
    answered(folder, "Ann", wrong=(1, 3, 5))
    images = [{"file": f"s{k}", "verdict": "pass" if k in (0, 1, 4) else "fail"} for k in range(N)]
    rows = by_metric(review(folder, {"images": images}))
    assert rows["agreement_with_audit"]["value"] == pytest.approx(0.8)  # Ann: 0, 1, 2 look real
    assert rows["audit_kappa"]["value"] == pytest.approx((0.8 - 0.58) / 0.42)
    (tmp_path / "audit.json").write_text(json.dumps({"images": [{"file": "other", "verdict": "fail"}]}))
    with pytest.raises(InputError, match="names none"):
        review(folder, tmp_path / "audit.json")
    for verdict, said in (("fail", "the audit failed all of these tiles"), ("pass", "the audit failed none of these")):
        row = by_metric(review(folder, {"images": [one | {"verdict": verdict} for one in images]}))["audit_kappa"]
        assert row["value"] is None and row["low"] is None and row["reason"].startswith(said)
    answered(folder, "Ann")
    row = by_metric(review(folder, {"images": images}))["audit_kappa"]
    assert row["reason"].startswith("most reviewers took for synthetic all of these tiles")


def test_a_reviewer_of_one_answer_agrees_with_nobody_beyond_chance(tmp_path):
    folder = written(tmp_path / "a")
    answered(folder, "Ann", wrong=(1, 3, 5))
    real = [k for k, synthetic in enumerate(read_review(folder).synthetic) if not synthetic]
    answered(folder, "Ben", wrong=real)  # all is synthetic
    row = by_metric(review(folder))["reviewer_kappa"]
    assert row["value"] is None and row["reason"].startswith("Ben gave one answer to all tiles")


def test_what_is_no_review_is_said(tmp_path):
    with pytest.raises(InputError, match="is no review"):
        review(tmp_path)
    folder = written(tmp_path / "a")
    with pytest.raises(InputError, match="no answers yet"):
        review(folder)
    (folder / "answers.jsonl").write_text('{"reviewer": 3}\n')
    with pytest.raises(InputError, match=r"answers.jsonl, line 1"):
        review(folder)


def test_the_interval_holds_the_rate_of_other_tiles_and_reviewers():
    rng, held = np.random.default_rng(0), []
    synthetic = np.arange(20) % 2 == 1
    for _ in range(100):
        chance = 1 / (1 + np.exp(-(rng.standard_normal((3, 1)) + rng.standard_normal(20))))  # 0.5 on average
        interval = two_way((rng.random((3, 20)) < chance).astype(float), synthetic, np.arange(20), reviewers=True)
        held.append(interval.low <= 0.5 <= interval.high)
    assert (
        np.mean(held) >= 0.88
    )  # 0.94 in the long run (docs/results/review.md); 0.78 would be if reviewers were left out
