"""The sentences of a bench against the intervals beside them."""

import numpy as np
import pytest

from veridical.reporting import formats, tables
from veridical.reporting.findings import compare, finding, proven
from veridical.scoring.table import HEADLINE


def system(name, rank, value, low, high, floor=0.0, seeds=(0,)):
    stat = {
        "metric": HEADLINE, "value": value, "low": low, "high": high, "values": [value] * len(seeds), "seeds": list(seeds),
        "floor": floor, "n": 96, "n_real": 20, "reason": None, "no_interval": None,
    }  # fmt: skip
    return {"system": name, "rank": rank, "metrics": {HEADLINE: stat}, "problems": [], "cells": [], "minutes": 1.0}


def difference(one, other, value, low, high, seeds=(0, 0)):
    pair = {"system": one, "seed": seeds[0], "other": other, "other_seed": seeds[1]}
    return pair | {"value": value, "low": low, "high": high}


def drawn(rng):
    """Systems of random values and widths, best first, the line to beat among them; differences of some."""
    names = ["edm", "dcgan", "vae", tables.BASELINE][: rng.integers(2, 5)]
    values = np.sort(rng.uniform(0, 1.4, len(names)))
    widths = rng.uniform(0.02, 0.5, (len(names), 2))
    order = rng.permutation(len(names))
    systems = [
        system(names[k], rank + 1, v, v - w[0], v + w[1]) for rank, (k, v, w) in enumerate(zip(order, values, widths))
    ]
    best = next(s for s in systems if s["system"] != tables.BASELINE)
    rows = []
    for other in systems:
        if other is not best and rng.random() < 0.5:
            gap = other["metrics"][HEADLINE]["value"] - best["metrics"][HEADLINE]["value"]
            width = rng.uniform(0.01, 0.4)
            rows.append(difference(best["system"], other["system"], gap, gap - width, gap + width))
    return best, systems, rows


def parts(said, start):
    return " ".join(sentence for sentence in said if sentence.startswith(start))


@pytest.mark.parametrize("seed", range(200))
def test_no_sentence_contradicts_the_intervals(seed):
    best, systems, rows = drawn(np.random.default_rng(seed))
    said = finding(systems, rows)
    own = best["metrics"][HEADLINE]
    better, worse, alike = (
        parts(said, f"It is {word}") for word in ("better than", "worse than", "not distinguishable")
    )
    for other in systems:
        if other is best:
            continue
        name, stat = other["system"], other["metrics"][HEADLINE]
        row = next((row for row in rows if row["other"] == name), None)
        low, high = (row["low"], row["high"]) if row else (stat["low"] - own["high"], stat["high"] - own["low"])
        expected = "better" if low > 0 else "worse" if high < 0 else "alike"
        found = [word for word, text in (("better", better), ("worse", worse), ("alike", alike)) if f"{name} (" in text]
        assert found == [expected], said
        if name != tables.BASELINE and expected == "alike":
            assert "has the best value" in said[0]
    if tables.BASELINE not in [s["system"] for s in systems]:
        assert ("lies below 1" in " ".join(said)) == (own["high"] < 1)
        assert ("contains 1" in " ".join(said)) == (own["low"] <= 1 <= own["high"])
    assert ("still apart from the real data" in " ".join(said)) == (own["low"] > 0)


def test_intervals_that_overlap_are_never_called_apart():
    systems = [system("edm", 1, 0.92, 0.84, 1.01), system(tables.BASELINE, 2, 1.07, 0.96, 1.18)]
    said = " ".join(finding(systems))
    assert "not distinguishable from random_phase (1.07 (0.96–1.18): the intervals overlap)" in said
    assert "better than" not in said
    paired = " ".join(finding(systems, [difference("edm", tables.BASELINE, 0.15, 0.04, 0.26)]))
    assert "better than random_phase (difference 0.15 (0.04–0.26) on the same real tiles)" in paired


def test_a_pair_needs_the_differences_of_all_its_seeds():
    a, b = system("edm", 1, 0.4, 0.3, 0.5, seeds=(0, 1)), system("vae", 2, 0.6, 0.45, 0.75)
    rows = [difference("edm", "vae", 0.2, 0.1, 0.3)]
    assert not compare(a, b, rows).apart  # the intervals overlap
    rows.append(difference("edm", "vae", 0.2, 0.05, 0.35, (1, 0)))
    assert compare(a, b, rows).apart
    rows[1]["low"] = -0.01
    assert not compare(a, b, rows).apart
    rows[1]["low"] = None
    assert "overlap" in compare(a, b, rows).why


@pytest.mark.parametrize(("high", "start"), [(0.99, "Proven"), (1.01, "Not proven")])
def test_what_is_proven_is_what_the_interval_excludes(high, start):
    said = proven([system("edm", 1, 0.9, 0.8, high), system(tables.BASELINE, 2, 1.2, 1.1, 1.3)], "fail")
    assert said.startswith(f"{start}: ") and "the audit found defects" in said and "not yet like real" in said
    near = proven([system("edm", 1, 0.02, -0.1, 0.1)], "pass")
    assert "no longer tells them from real tiles" in near and "the audit found nothing" in near
    assert proven([system(tables.BASELINE, 1, 0.5, 0.4, 0.6)], "pass") is None


def test_nothing_is_proven_that_random_textures_of_the_bench_contradict():
    texture, edm = system(tables.BASELINE, 1, 0.5, 0.4, 0.6), system("edm", 2, 0.9, 0.8, 0.99)
    assert proven([texture, edm], "fail").startswith("Not proven")
    alike = [edm | {"rank": 1}, system(tables.BASELINE, 2, 0.95, 0.85, 1.05)]
    assert proven(alike, "fail").startswith("Not proven")
    assert proven(alike, "fail", [difference("edm", tables.BASELINE, 0.05, 0.01, 0.09)]).startswith("Proven")


def test_every_number_has_its_name_and_its_counts():
    said = finding([system("edm", 1, 0.53, 0.23, 0.83)])[0]
    value = formats.uncertain(0.53, 0.23, 0.83)
    assert said.endswith(f"distance to real (0 real, 1 random texture) {value}, n = 96, 20 real.")
