"""Edits in a bench: what is read, in which order it is done, and what is measured."""

import io
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from veridical.benching.changes import paired_data, phantom_of
from veridical.benching.editing import made_away
from veridical.benching.obeying import good, known_of, overlap
from veridical.benching.ruler import MATERIALS, Ruler
from veridical.benching.run import bench
from veridical.benching.schedule import work_through
from veridical.benching.spec import read_spec
from veridical.benching.truth import phantom_pairs, read_pairs, told_pairs, write_pairs
from veridical.benching.worth import cases, first_seeds, taus
from veridical.core.errors import InputError
from veridical.hub.hosted import Answer
from veridical.reporting.plan import Job, jobs_of, needs_of

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def planned(plan):
    rows = {
        part: {name: row.to_json(name) for name, row in getattr(plan, part).items()} for part in ("recipes", "stages")
    }
    edits = {name: row.to_json() for name, row in plan.edits.items()}
    shared = {"datasets": plan.datasets, "seeds": plan.seeds, "changes": plan.changes}
    return {**rows, "edits": edits, "truth": {"judge": plan.truth.judge}, **shared}


@pytest.mark.parametrize("name", ["review", "review_small"])
def test_jobs_come_after_what_they_need_and_seeds_in_turn(name):
    spec = planned(read_spec(BENCHMARKS / f"{name}.toml"))
    jobs = jobs_of(spec)
    assert len(jobs) == len(set(jobs))
    for k, job in enumerate(jobs):
        assert set(needs_of(spec, job)) <= set(jobs[:k])
    seconds = [k for k, job in enumerate(jobs) if job.kind == "cell" and job.seed == 1]
    assert min(seconds) > max(k for k, job in enumerate(jobs) if job.kind == "cell" and job.seed == 0)
    groups = {row["group"] for row in spec["edits"].values()}
    assert groups == {"line", "translation", "inpainting"}


def test_a_worker_takes_what_is_ready():
    a, b, c = (Job("cell", "d", name, 0) for name in "abc")
    order, gate = [], threading.Event()

    def run(job, lacking):
        order.append(job.name)
        if job is a:
            gate.wait(5)
        if job is c:
            gate.set()
        return "failed" if job is a else "lacks" if lacking else "done"

    states = work_through([a, b, c], {a: [], b: [a], c: []}, run, 2)
    assert order == ["a", "c", "b"] and states == {a: "failed", b: "lacks", c: "done"}


HEAD = "size = 64\nsteps = 1\n[datasets]\ncmc = { data = 'phantom:cmc?n=8&size=64', text = 'auto' }\nreal = 'x'\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[changes]\ncmc = ['add_mineral']", "no change of cmc phantoms"),
        ("[changes]\nreal = ['add_crack']", "say each as"),
        ("[changes]\nrocks = ['more_pores']", "names the dataset 'rocks'"),
        ("[changes]\ncmc = ['add_crack']\n[edits.diffedit]\nrun = 'dalle3'", "needs run = the name of one of"),
        ("[changes]\ncmc = ['add_crack']\n[edits.inpaint]\nrun = 'edm'", "add mask = true"),
        ("[changes]\ncmc = ['add_crack']\n[edits.a]\nhow = 'paint'", "goes by 'paint'"),
        ("[changes]\ncmc = ['add_crack']\n[edits.copy]\nrun = 'edm'", "leave out its run"),
        ("[edits.copy]", "has no dataset of which"),
        ("[changes]\ncmc = ['add_crack']\n[edits.copy]\ndatasets = [{ a = 1 }]", "of which .changes. says nothing"),
        (
            "[changes]\ncmc = ['add_crack']\n[edits.sdedit]\nrun = 'edm'\nseeds = [0, 5]",
            "seed 5, with which edm is not",
        ),
        ("[truth]\njudge = 'edm'", "no stage of the recipe clip"),
        ("[truth]\npairs = 0", "pairs = 0"),
        ("[stages]\nclip = { datasets = ['cmc'] }\ninstruct_pix2pix = {}", "learns from pairs"),
        ("[stages]\nedm = { first = { clip = 'clip' } }", "a stage and a recipe"),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path, text, message):
    spec = tmp_path / "bench.toml"
    spec.write_text(HEAD + "[recipes]\nedm = {}\n" + text)
    with pytest.raises(InputError, match=message):
        read_spec(spec)


def test_specs_of_phantoms():
    data = "phantom:cmc?n=8&size=64&volume_fraction=0.2,0.64"
    assert phantom_of(data) == ("cmc", 64, {"volume_fraction": "0.2,0.64"}) and phantom_of("skimage:gravel") is None
    with pytest.raises(InputError, match="size=abc is no number"):
        phantom_of("phantom:cmc?size=abc")
    paired = paired_data(data, ["add_crack", "add_crack+fewer_fibres"], 5)
    from veridical.data.readers.open import open_slices

    slices = open_slices(paired)
    assert len(slices) == 5 and slices.read_before is not None


class Seen:
    """A ruler that sees the truth: masks and properties that it is told."""

    def __init__(self, rows):
        self.rows = rows

    def measure(self, images):
        return self.rows


def test_the_true_after_images_obey_and_the_source_does_not(tmp_path, monkeypatch):
    pairs = phantom_pairs("cmc", "add_binder", 3, 64, 4, {"volume_fraction": "0.2,0.64"})
    write_pairs(tmp_path, pairs)
    again = read_pairs(tmp_path)
    np.testing.assert_array_equal(again.after, pairs.after)
    assert (
        again.prompts == pairs.prompts and again.asked == pairs.asked and len(again.rows(again.of("add_binder"))) == 3
    )
    monkeypatch.setattr("veridical.benching.obeying.predict_masks", lambda network, images: (images[:, 0] > 0.5) * 1)
    ruler = Ruler(MATERIALS["cmc"], None, {})
    seen = {"after": pairs.asked, "before": pairs.had}
    found = {}
    for name, rows in seen.items():
        monkeypatch.setattr(Ruler, "measure", lambda self, images, rows=rows: rows)
        found[name] = known_of(ruler, {"binder_fraction": 0.001}, pairs, getattr(pairs, name))
    assert found["after"]["obeyed"].all() and not found["before"]["half"].any()
    assert (found["after"]["truth"] == 0).all() and (found["before"]["truth"] > 0).all()
    for each in found.values():
        assert (each["locality"] == 0).all() and (each["changed"] == 0).all() and (each["structure"] == 1).all()
    assert not good(found["after"] | {"passed": np.array([True, False, True])})[1]
    assert overlap(pairs.region, pairs.region).tolist() == [1, 1, 1] and not overlap(pairs.region, ~pairs.region).any()


def test_real_tiles_are_told_in_turn():
    tiles = np.zeros((10, 1, 16, 16), np.float32)
    asked = [{"prompt": "a", "instruction": "do a"}, {"prompt": "b", "source_prompt": "s"}]
    found = told_pairs(tiles, [str(k) for k in range(10)], asked, 3)
    assert found.names == ["do a", "b"] * 3 and found.source_prompts[1] == "s" and found.after is None


def test_two_seeds_of_a_system_are_ranked_as_one():
    jobs = [Job("edit", "cmc", name, seed) for name, seed in (("a", 0), ("b", 0), ("a", 1))]
    assert first_seeds(jobs) == jobs[:2]


def test_what_scores_are_worth():
    rng = np.random.default_rng(0)
    real = rng.standard_normal((40, 4))
    each, features = {}, {}
    # The copy has the best SSIM, and nothing of it is as it should be.
    for k, name in enumerate(("copy", "some", "most")):
        right = np.arange(20) < 9 * k
        each[name] = {
            "good": right,
            "obeyed": right,
            "passed": right,
            "ssim": np.full(20, 1 - 0.3 * k),
            "lpips": 1.0 - right,
        }
        features[name] = rng.standard_normal((20, 4))
    found = {(row["score"], row["truth"]): row for row in taus(each, features, real, draws=20)}
    assert found["ssim", "good"]["value"] == -1 and found["ssim", "good"]["high"] == -1
    assert found["lpips_efficientnet_lite0", "obeyed"]["value"] == 1
    assert (
        found["clipscore_domain", "good"]["value"] is None
        and "not measured" in found["clipscore_domain", "good"]["reason"]
    )
    case = next(case for case in cases(each, features, real) if case["score"] == "ssim")
    assert (case["system"], case["better"], case["good"]) == ("copy", 2, 0)
    assert not [c for c in cases(each, features, real) if c["score"].startswith("lpips")]
    # The best of all by SSIM, and of those that are no line: worse than the others of these, though not than the line.
    each["line"] = each["copy"] | {"ssim": np.zeros(20)}
    each["copy"] = each["copy"] | {"good": np.arange(20) < 1}
    features["line"] = features["copy"]
    found = [c for c in cases(each, features, real, ["line"]) if c["score"] == "ssim"]
    assert [(c["system"], c["better"], c["systems"]) for c in found] == [("copy", 2, 3)]


def test_what_one_image_says_of_a_score_is_not_certain():
    each = {
        name: {"good": np.arange(8) < k, "ssim": np.full(8, k + 0.5), "lpips": np.full(8, 1.0)}
        for name, k in (("a", 0), ("b", 0), ("c", 1))
    }
    each = {name: found | dict.fromkeys(("obeyed", "passed"), found["good"]) for name, found in each.items()}
    rng = np.random.default_rng(0)
    features = {name: rng.standard_normal((8, 3)) for name in each}
    row = taus(each, features, rng.standard_normal((20, 3)), draws=50)[0]
    assert row["value"] > 0.5 and row["low"] == 0 and row["n"] == 3


class Inverting:
    """A server that turns an image into its negative, mask or not."""

    about = {}  # noqa: RUF012

    def __init__(self, spec, kept):
        self.asked = []

    def edit(self, file, holes, prompt, number, seed, given):
        assert prompt and holes is not None
        return Answer(255 - np.asarray(Image.open(io.BytesIO(file)).convert("RGB")), {}, 0.1, {}, True)


def test_a_hosted_edit_keeps_what_lies_outside_the_mask(tmp_path, monkeypatch):
    monkeypatch.setattr("veridical.benching.editing.Hosted", Inverting)
    pairs = phantom_pairs("cmc", "add_binder", 2, 64, 4, {"volume_fraction": "0.2,0.64"})
    row = {"how": "inpaint", "run": "hosted:m@http://x/v1", "mask": True, "prompt": "caption", "settings": {}}
    found = made_away(row, pairs, [0, 1], 0, tmp_path)
    inside = np.broadcast_to(pairs.region[:, None], pairs.before.shape)
    np.testing.assert_array_equal(found["images"][~inside], pairs.before[~inside])
    np.testing.assert_allclose(found["images"][inside], 1 - pairs.before[inside], atol=1 / 254)
    assert found["chroma"].tolist() == [0, 0]


@pytest.mark.long
def test_the_review_at_toy_sizes(tmp_path):
    said = []
    out = tmp_path / "out"
    page = bench(BENCHMARKS / "review_small.toml", out, say=said.append).read_text()
    state = {p.parent.name: json.loads(p.read_text()) for p in out.glob("*/*/*/status.json")}
    assert {name for name, s in state.items() if s["state"] == "skipped"} == {
        "web_trained-seed0",
        "hosted-seed0",
        "hosted_edit-seed0",
    }
    assert not [s for s in state.values() if s["state"] == "failed"]
    rows = json.loads((out / "edits/cmc/inpaint-seed0/rows.json").read_text())
    found = {row["metric"]: row for row in rows}
    assert found["change_outside"]["value"] == 0 and found["ssim"]["floor"] < 1 and found["obeyed"]["n"] == 8
    assert all((row["value"] is None) == bool(row["reason"]) for row in rows)
    copy = {row["metric"]: row for row in json.loads((out / "edits/gravel/copy-seed0/rows.json").read_text())}
    assert copy["obeyed"]["value"] is None and copy["ssim"]["value"] == 1
    assert json.loads((out / "cells/cmc/dalle3-seed0/control.json").read_text())[0]["metric"].startswith("R2")
    assert "Families and edits" in page and "nobody gave one" in page and (out / "tables/worth-cmc.csv").is_file()
    said.clear()
    bench(BENCHMARKS / "review_small.toml", out, say=said.append)
    assert sum("done before" in line for line in said) == len(state) - 2
