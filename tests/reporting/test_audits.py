"""Audits in the report: columns, table and pictures of what the cells left."""

import json

import pytest

from bench_folder import make_bench
from veridical.data.images import save_png
from veridical.reporting import audits
from veridical.reporting.report import report
from veridical.reporting.results import Cell


def image(verdict, *defects):
    return {"file": "k", "verdict": verdict, "findings": [{"defect": name} for name in defects]}


def leave(folder, content):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "audit.json").write_text(json.dumps(content))


@pytest.fixture
def failed():
    images = [image("fail", "blur", "noise_mismatch"), image("fail", "blur"), image("fail", "copied"), image("pass")]
    finding = {"defect": "blur", "title": "blurred", "explanation": "fine detail is <missing>"}
    return {
        "verdict": "fail",
        "images": images,
        "findings": [finding, {"defect": "spectrum_shift"}],
        "evidence": {"file": "evidence.png"},
    }


def cell(folder, seed=0):
    path = folder / "audit.json"
    audit = json.loads(path.read_text()) if path.exists() else None
    return Cell("core", "vae", seed, folder, "done", None, [], {}, audit)


def test_rows_count_the_first_reasons(tmp_path, failed):
    leave(tmp_path, failed)
    row = audits.audit_rows([cell(tmp_path)])[0]
    assert row["verdict"] == "fail" and row["findings"] == ["blur", "spectrum_shift"]
    assert row["failed"] == 3 and row["images"] == 4 and row["reasons"] == {"blur": 2, "copied": 1}
    shown = audits.audit_shown([cell(tmp_path)])[0]
    assert shown["first reasons"] == "2 blur; 1 copied" and shown["failed images"] == "3 of 4"
    assert shown["the set"] == "blurred; spectrum_shift"


def test_verdicts_over_seeds_and_what_was_not_audited(tmp_path, failed):
    leave(tmp_path / "0", failed)
    leave(tmp_path / "1", failed | {"verdict": "pass", "findings": []})
    leave(tmp_path / "2", {"verdict": None, "reason": "REAL holds 4 images"})
    cells = [cell(tmp_path / str(k), k) for k in range(4)]
    assert audits.verdict_of(cells[:1]) == "fail" and audits.verdict_of(cells[:2]) == "1 fail, 1 pass"
    assert audits.verdict_of(cells[3:]) == audits.DASH and len(audits.audit_rows(cells)) == 3
    assert audits.audit_shown(cells)[2]["the set"] == "REAL holds 4 images"


def test_the_report_shows_verdict_reason_and_picture(tmp_path, failed):
    import numpy as np

    folder = make_bench(tmp_path, {"gravel": "gravel"}, size=32, recipes=("vae",))
    place = folder / "cells" / "gravel" / "vae-seed0"
    leave(place, failed)
    (place / "audit").mkdir(parents=True)
    save_png(place / "audit" / "evidence.png", np.zeros((8, 8), np.uint8))
    page = report(folder).read_text(encoding="utf-8")
    assert "fine detail is &lt;missing&gt;" in page and "2 blur; 1 copied" in page
    assert 'data-label="audit"' in page
    assert "spectrum_shift" in (folder / "tables" / "audit.csv").read_text()
