"""The table of metrics: its rows keep their word, and a new one comes out of score, bench and report."""

import json
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

from bench_folder import make_bench, result_row, write
from toy import TOY, texture, write_tiles
from veridical.benching.cell import run_cell
from veridical.benching.run import _check, _prepare
from veridical.benching.spec import read_spec
from veridical.reporting.report import report
from veridical.scoring.measures import between_sets, mean_of_pairs
from veridical.scoring.metric import NEEDS, OF_KIND, Metric
from veridical.scoring.score import gather, measure, score
from veridical.scoring.sets import Words
from veridical.scoring.table import HEADLINE, METRICS, find

LEVELS = np.linspace(0, 1, 101)


def grey_level_distance(real, synth):
    return float(np.abs(np.quantile(real, LEVELS) - np.quantile(synth, LEVELS)).mean())


@pytest.fixture
def new(monkeypatch):
    row = Metric(
        "grey_level_distance", "set", between_sets(grey_level_distance, "101 quantiles"),
        "mean distance between quantiles of grey levels", "lower", "real", (0, 1), title="grey levels", ranked=True,
    )  # fmt: skip
    monkeypatch.setitem(METRICS, "grey", row)
    return row


def test_a_new_row_comes_out_of_score(new):
    real, synth, other = texture(20, 16, 0), 0.8 * texture(20, 16, 1), texture(20, 16, 2)
    row = score(real, synth, floor_real=other)[-1]
    assert row["metric"] == "grey_level_distance" and row["settings"]["definition"] == "101 quantiles"
    assert row["value"] == pytest.approx(grey_level_distance(real, synth))
    assert row["floor"] == pytest.approx(grey_level_distance(real, other))
    assert row["low"] < row["value"] < row["high"] and row["floor"] < 0.3 * row["value"]
    halved = measure(gather(real, synth), ["grey"], recipe="edm")
    assert len(halved) == 1 and halved[0]["n"] == 10 and halved[0]["recipe"] == "edm" and halved[0]["floor"] < 0.1


def test_a_new_row_comes_out_of_bench_and_report(new, tmp_path):
    write_tiles(tmp_path / "tiles", n=12, size=32)
    (tmp_path / "bench.toml").write_text(
        'size = 32\nsteps = 1\nsamples = 8\ntiles = 8\n[datasets]\nblobs = "tiles"\n'
        f"[recipes]\nrandom_phase = {{ tiles = {TOY['random_phase']['tiles']}, threads = 1 }}\n"
    )
    plan, out = read_spec(tmp_path / "bench.toml"), tmp_path / "out"
    out.mkdir()
    _prepare(plan, out, *_check(plan, out))
    run_cell(out, "blobs", "random_phase", 0)
    cell = out / "cells" / "blobs" / "random_phase-seed0"
    rows = json.loads((cell / "rows.json").read_text())
    assert [row["metric"] for row in rows] == [row.named("efficientnet_lite0") for row in METRICS.values()]
    assert {row["recipe"] for row in rows} == {"random_phase"}
    mine = rows[-1]
    assert mine["value"] > 0 and mine["floor"] is not None
    write(cell / "status.json", {"state": "done", "reason": None})
    page = report(out).read_text(encoding="utf-8")
    assert "<dt>grey levels <code>grey_level_distance</code>:</dt>" in page
    assert "mean distance between quantiles of grey levels. Lower is better." in page
    assert "grey_level_distance_floor" in (out / "tables" / "ranking.csv").read_text()


def test_the_report_of_another_version(tmp_path):
    """A metric that this version does not know, and ranked ones that nobody measured."""
    folder = make_bench(tmp_path / "b", {"brick": "brick"}, size=32)
    path = folder / "cells" / "brick" / "edm-seed0" / "rows.json"
    write(path, [*json.loads(path.read_text()), result_row("brick", "edm", 0, "clipscore_web", 0.31)])
    with mock.patch.dict(METRICS):  # gives back what was there in its order
        del METRICS["memorised"], METRICS["fd"]
        page = report(folder).read_text(encoding="utf-8")
    assert "clipscore_web" in page and "clipscore_web" in (folder / "tables" / "metrics.csv").read_text()
    assert find("clipscore_web") is None and "memorised</th>" not in page
    assert (folder / "tables" / "metrics.md").read_text().count("| memorised |") == 5


def test_rows_keep_the_rule_of_their_floor():
    real, synth, train = texture(40, 32, 0), texture(40, 32, 1), texture(40, 32, 2)
    near = np.linspace(0, 1, 40)
    words = Words(near, near / 2, near, np.arange(40))
    rows = score(real, synth, train=train, paired=True, words=words)
    for row in rows:
        metric = find(row["metric"])
        assert (row["value"] is None) == (row["reason"] is not None)
        if row["value"] is not None:
            assert metric.bounds[0] <= row["value"] <= metric.bounds[1]
            assert (row["floor"] is None) == (metric.floor == "none")
            assert row["floor"] == 0 if metric.floor == "zero" else True
    assert all(row["value"] is not None for row in rows) and len(rows) == len(METRICS)


@pytest.mark.parametrize("kind", ["paired", "text"])
def test_metrics_refuse_sets_of_another_kind(kind, monkeypatch):
    def never(real, synth):
        raise AssertionError

    monkeypatch.setitem(METRICS, "mine", Metric("mine", kind, mean_of_pairs(never, ""), "mine"))
    row = measure(gather(texture(3, 16), texture(3, 16, 1)), ["mine"])[0]
    assert (
        row["value"] is None
        and row["reason"] == {"paired": "needs pairs", "text": "needs prompts, and a CLIP of the domain (--clip)"}[kind]
    )


def test_names_state_the_extractor():
    assert METRICS["fd"].named("inception") == "fid" and METRICS["kid"].named("inception") == "kid"
    assert METRICS["fd"].named("tiny") == "fd_tiny" and METRICS["spacing"].named("tiny") == "spacing_tiny"
    for key, metric in METRICS.items():
        for extractor in ("inception", "efficientnet_lite0"):
            assert find(metric.named(extractor)) is metric, key


@pytest.mark.parametrize("key", METRICS)
def test_rows_are_whole(key):
    metric = METRICS[key]
    assert set(metric.needs) <= set(NEEDS) and metric.kind in OF_KIND
    assert metric.explanation and not metric.explanation.endswith(".")
    assert metric.better == "neither" or f" {metric.better.capitalize()} is better" in metric.explained()
    assert metric.explained()[-1] == "." and ".." not in metric.explained() and "?." not in metric.explained()
    assert METRICS[HEADLINE].ranked


def test_shared_work_is_not_carried_over():
    """What was computed belongs to the sets that it was computed from."""
    sets = gather(texture(4, 16), texture(4, 16, 1))
    assert len(sets.rows.synth) == 4 and len(replace(sets, synth=texture(3, 16, 1)).rows.synth) == 3
