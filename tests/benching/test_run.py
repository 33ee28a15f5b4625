"""A bench from specification to report: cells that fail, are stopped, are done."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from toy import TOY, write_tiles
from veridical.benching.cell import run_cell
from veridical.benching.processes import Course, Processes
from veridical.benching.run import _check, _prepare, bench
from veridical.benching.spec import EXAMPLE, read_spec
from veridical.core.errors import InputError
from veridical.core.lock import alone
from veridical.data.open import open_dataset
from veridical.recipes.recipe import Recipe
from veridical.recipes.table import RECIPES


def toml(value):
    return json.dumps(list(value)) if isinstance(value, tuple) else json.dumps(value)


def table(recipe, **more):
    settings = {**TOY[recipe], "batch": 4, "threads": 1, **more}
    return f"{recipe} = {{ {', '.join(f'{k} = {toml(v)}' for k, v in settings.items())} }}\n"


def write_spec(folder, recipes, steps=3, samples=24):
    write_tiles(folder / "tiles", n=30, size=48)
    spec = folder / "bench.toml"
    head = f'size = 32\nsteps = {steps}\nsamples = {samples}\nseeds = [0]\n\n[datasets]\nblobs = "tiles"\n\n[recipes]\n'
    spec.write_text(head + "".join(recipes))
    return spec


def state(out, cell):
    return json.loads((out / "cells" / "blobs" / cell / "status.json").read_text())


@pytest.fixture
def unaudited(monkeypatch):
    """Cells are not audited, which takes most of their time: what an audit says of one is tested where a cell fails."""

    def refuse(*_, **__):
        raise InputError("nobody asked")

    monkeypatch.setattr("veridical.benching.cell.audit", refuse)


def test_a_failed_cell_stops_no_other_and_done_cells_are_kept(tmp_path, monkeypatch, request):
    process = Processes.run
    request.getfixturevalue("unaudited")
    request.getfixturevalue("cells_here")
    here = Processes.run
    monkeypatch.setattr(  # processes of their own are the one that fails and the one that is audited
        Processes, "run", lambda self, cell, *rest: (here if cell[3] == "random_phase" else process)(self, cell, *rest)
    )
    spec = write_spec(tmp_path, [table("random_phase"), table("dcgan", lr=1e38), table("vae")], steps=6)
    said = []
    page = bench(spec, tmp_path / "out", say=said.append)
    assert state(tmp_path / "out", "random_phase-seed0")["state"] == "done"
    assert state(tmp_path / "out", "vae-seed0")["state"] == "done"
    failed = state(tmp_path / "out", "dcgan-seed0")
    assert failed["state"] == "failed" and "diverged at step" in failed["reason"]
    assert "diverged at step" in page.read_text()
    rows = json.loads((tmp_path / "out" / "cells" / "blobs" / "vae-seed0" / "rows.json").read_text())
    headline = next(r for r in rows if r["metric"] == "kid_over_random_phase")
    assert headline["value"] is not None and headline["low"] <= headline["value"] <= headline["high"]
    differences = json.loads((tmp_path / "out" / "datasets" / "blobs" / "differences.json").read_text())
    assert [(row["system"], row["other"]) for row in differences] == [("vae", "random_phase")]  # which is nearer
    assert differences[0]["value"] < 0 and "random_phase (difference" in page.read_text()
    assert {r["metric"] for r in rows} >= {
        "fd_efficientnet_lite0",
        "precision_capped",
        "recall_capped",
        "coverage",
        "memorised",
        "ssim",
    }
    assert all((r["value"] is None) == bool(r["reason"]) for r in rows if r["metric"] != "copied_share")
    audited = json.loads((tmp_path / "out" / "cells" / "blobs" / "vae-seed0" / "audit.json").read_text())
    assert audited["verdict"] == "fail" or "needs at least 8" in audited["reason"]
    assert "Verdict of veridical audit" in page.read_text()
    # Copies are searched for in the whole training images.
    cell = tmp_path / "out" / "cells" / "blobs" / "vae-seed0"
    found = json.loads((cell / "nearest.json").read_text())
    crops, samples = np.load(cell / "nearest.npy"), np.load(cell / "samples.npy")
    assert crops.shape == samples.shape and len(found["distance"]) == len(found["name"]) == 24
    kept = list((tmp_path / "out" / "datasets" / "blobs").glob("test_distance-*.npy"))
    assert len(kept) == 1 and np.load(kept[0]).tolist() == found["test_distance"]
    assert "sample " in page.read_text() and f"{found['name'][0]} at " in page.read_text()
    said.clear()
    again = []
    monkeypatch.setattr("veridical.reporting.report.report", lambda folder: folder)
    monkeypatch.setattr(Processes, "run", lambda self, cell, output, look: again.append(cell[3]) or 2)
    bench(spec, tmp_path / "out", say=said.append)
    assert sum("done before" in line for line in said) == 2 and again == ["dcgan"]
    # What its cells share may not change under a bench.
    spec.write_text(spec.read_text().replace("samples = 24", "samples = 25"))
    with pytest.raises(InputError, match="another samples"):
        bench(spec, tmp_path / "out")


def test_the_progress_of_a_cell_is_said_once(tmp_path):
    output, said = tmp_path / "output.txt", []
    output.write_text("note: data: grey\ntrain edm: 33 % after 30 s, 60 s left  step 671  loss 0.9\n")
    course = Course(output, said.append)
    course.look()
    course.look()
    with output.open("a") as file:
        file.write("sample: 50 % after 31 s, 31 s left  \nsome warning\n")
    course.look()
    assert said == ["train edm: 33 % after 30 s, 60 s left", "sample: 50 % after 31 s, 31 s left"]


def test_a_stopped_bench_goes_on_where_it_was(tmp_path, cells_here, unaudited):
    spec = write_spec(tmp_path, [table("vae", save_every=0.2)], steps=100)
    command = [sys.executable, "-m", "veridical", "bench", str(spec), "--out", str(tmp_path / "out")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    log = tmp_path / "out" / "cells" / "blobs" / "vae-seed0" / "run" / "log.jsonl"
    while not log.is_file() or len(log.read_text().splitlines()) < 20:
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate()
    assert "run the same command again" in output
    assert state(tmp_path / "out", "vae-seed0")["state"] == "running"
    steps = len(log.read_text().splitlines())
    assert 20 <= steps < 100
    before = log.read_text()
    bench(spec, tmp_path / "out")
    assert state(tmp_path / "out", "vae-seed0")["state"] == "done"
    assert log.read_text().startswith(before) and len(log.read_text().splitlines()) == 100


CONDITIONS = """size = 32
steps = 2
samples = 40
tiles = 24
seeds = [0]

[datasets]
rocks = {{ data = "phantom:rocks?n=60&size=32", label = "porosity", bins = 2{more} }}
plain = {{ data = "phantom:rocks?n=60&size=32", limit = 7 }}

[recipes]
short_vae = {{ recipe = "vae", {vae}, steps = 1, datasets = ["plain"], seeds = [3, 4] }}
cgan = {{ {cgan}, datasets = ["rocks"] }}
"""


def settings(recipe):
    toy = {k: v for k, v in TOY[recipe].items() if k != "classes"} | {"batch": 4, "threads": 1}
    return ", ".join(f"{k} = {toml(v)}" for k, v in toy.items())


def test_conditions_names_and_limits(tmp_path, monkeypatch, cells_here, unaudited):
    spec, out = tmp_path / "bench.toml", tmp_path / "out"
    text = CONDITIONS.format(vae=settings("vae"), cgan=settings("cgan"), more="")
    spec.write_text(text)
    page = bench(spec, out, say=lambda line: None).read_text()
    cells = sorted(str(p.relative_to(out / "cells")) for p in out.glob("cells/*/*"))
    assert cells == ["plain/short_vae-seed3", "plain/short_vae-seed4", "rocks/cgan-seed0"]
    assert all(json.loads((out / "cells" / c / "status.json").read_text())["state"] == "done" for c in cells)
    run = lambda cell: json.loads((out / "cells" / cell / "run" / "run.json").read_text())  # noqa: E731
    # A row's own budget takes the place of the bench's, and is shown.
    assert run("plain/short_vae-seed3")["cost"]["steps"] == 1 and run("rocks/cgan-seed0")["cost"]["steps"] == 2
    assert "recipe = vae" in page and "steps = 1" in page
    # Samples have the labels of held-out tiles, in turn.
    labels = np.load(out / "cells" / "rocks" / "cgan-seed0" / "conditions.npz")["label"]
    truth = open_dataset("phantom:rocks?n=60&size=32", 32, label="porosity", bins=2).tile_conditions("test", 24)[
        "label"
    ]
    assert labels.tolist() == [*truth, *truth, *truth, *truth][:40] and run("rocks/cgan-seed0")["args"]["classes"] == 2
    # Memorising is measured against the tiles that were trained on.
    assert len(np.load(out / "datasets" / "plain" / "train.npy")) == 7
    few = open_dataset("phantom:rocks?n=60&size=32", 32, limit=7)
    np.testing.assert_array_equal(np.load(out / "datasets" / "plain" / "train.npy"), few.tiles("train")[0])
    assert run("plain/short_vae-seed3")["dataset"]["fingerprint"] == few.fingerprint
    assert "Stability over seeds" in page and "short_vae" in (out / "tables" / "stability.md").read_text()
    # Where a row runs may change; what it is may not.
    said = []
    spec.write_text(text.replace("seeds = [3, 4]", "seeds = [3]"))
    monkeypatch.setattr("veridical.reporting.report.report", lambda folder: folder)
    bench(spec, out, say=said.append)
    assert sum("done before" in line for line in said) == 2
    spec.write_text(text.replace("steps = 1, ", "steps = 3, "))
    with pytest.raises(InputError, match=r"another recipes\.short_vae"):
        bench(spec, out)
    spec.write_text(text.replace('recipe = "vae"', 'recipe = "dcgan"'))
    with pytest.raises(InputError, match=r"another recipes\.short_vae"):
        bench(spec, out)
    spec.write_text(CONDITIONS.format(vae=settings("vae"), cgan=settings("cgan"), more=", augment = 'none'"))
    with pytest.raises(InputError, match=r"another datasets\.rocks"):
        bench(spec, out)


class Show(nn.Module):
    """Shows the mask, or the source."""

    def __init__(self, channels, size, classes=0):
        super().__init__()
        self.classes, self.weight = classes, nn.Parameter(torch.ones(1))
        self.parts = {"show": self}

    def losses(self, batch, step):
        yield "show", self.weight.square().sum() + 0 * batch.image.sum()

    def sample(self, n, cond, noise):
        if "source" in cond:
            return cond["source"]
        return cond["mask"][:, None] / self.classes - 0.5 + 0.01 * noise((1, 32, 32))


def test_pairs_are_scored_as_pairs_and_sources_are_held_out(tmp_path, monkeypatch, unaudited):
    for need in ("mask", "source"):
        monkeypatch.setitem(
            RECIPES,
            f"show_{need}",
            Recipe(Show, "none", "echo", "shows", "nobody", needs=(need,), of_data=("classes",) * (need == "mask")),
        )
    spec, out = tmp_path / "bench.toml", tmp_path / "out"
    spec.write_text(
        "size = 32\nsteps = 1\nsamples = 30\ntiles = 24\n[datasets]\n"
        "rocks = { data = 'phantom:rocks?n=60&size=32', source = 'phantom:cmc?n=100&size=32' }\n"
        "[recipes]\nshow_mask = { threads = 1 }\nshow_source = { threads = 1 }\n"
    )
    plan = read_spec(spec)
    out.mkdir()
    _prepare(plan, out, *_check(plan, out))
    rows = {}
    for need in ("mask", "source"):
        run_cell(out, "rocks", f"show_{need}", 0)
        found = json.loads((out / "cells" / "rocks" / f"show_{need}-seed0" / "rows.json").read_text())
        rows[need] = {row["metric"]: row for row in found}
    held = open_dataset("phantom:rocks?n=60&size=32", 32, masks=True)
    real, masks = held.tiles("test", 24)[0], held.tile_conditions("test", 24)["mask"]
    samples = np.load(out / "cells" / "rocks" / "show_mask-seed0" / "samples.npy")
    assert len(real) == 12 and np.corrcoef(samples[:12, 0].ravel(), masks.ravel())[0, 1] > 0.99
    ssim = rows["mask"]["ssim"]
    assert ssim["n"] == 12 and ssim["value"] is not None and ssim["recipe"] == "show_mask"
    assert rows["source"]["ssim"]["value"] is None and rows["source"]["ssim"]["reason"] == "needs pairs"
    assert rows["source"]["spacing_efficientnet_lite0"]["value"] > 0
    assert rows["source"]["kid_efficientnet_lite0"]["n"] == 20  # none is translated twice
    source, _ = open_dataset("phantom:cmc?n=100&size=32", 32).tiles("test", 30)
    shown = np.load(out / "cells" / "rocks" / "show_source-seed0" / "samples.npy")
    np.testing.assert_allclose(shown, source, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[datasets]\na = 'x'\n[recipes]\nmine = { recipe = 'vea' }", "did you mean 'vae'"),
        (
            "[datasets]\na = 'x'\n[recipes]\nvae = { limit = 3 }",
            "vae sets limit, which is of the bench or of a dataset",
        ),
        ("[datasets]\na = 'x'\n[recipes]\nvae = { datasets = ['b'] }", "names the dataset 'b'; there are a"),
        ("[datasets]\na = 'x'\n[recipes]\ncgan = {}", "cgan needs a label, which dataset 'a' does not give"),
        ("[datasets]\na = 'x'\n[recipes]\n'vae-seed1' = { recipe = 'vae' }", "cannot be that of a folder"),
        ("size = ", "not TOML"),
        ("sizes = 3", "unknown entry 'sizes'"),
        ("[datasets]\na = 'x'", "no recipes"),
        ("[recipes]\nvae = {}", "no datasets"),
        ("[datasets]\na = 'x'\n[recipes]\nvea = {}", "did you mean 'vae'"),
        ("[datasets]\na = 'x'\n[recipes]\nvae = { width2 = 3 }", "no setting 'width2'"),
        ("[datasets]\na = { path = 'x' }\n[recipes]\nvae = {}", "needs data"),
        ("seeds = 3\n[datasets]\na = 'x'\n[recipes]\nvae = {}", "seeds = 3 cannot be"),
        ("size = '64'\n[datasets]\na = 'x'\n[recipes]\nvae = {}", "size = '64' cannot be"),
        ("jobs = 0\n[datasets]\na = 'x'\n[recipes]\nvae = {}", "jobs = 0 cannot be"),
        ("minutes = nan\n[datasets]\na = 'x'\n[recipes]\nvae = {}", "minutes = nan cannot be"),
        ("samples = 2.5\n[datasets]\na = 'x'\n[recipes]\nvae = {}", "samples = 2.5 cannot be"),
        ("[datasets]\n'../a' = 'x'\n[recipes]\nvae = {}", "datasets = .* cannot be"),
        ("[datasets]\na = 'x'\n[recipes]\nvae = 3", "recipes = .* cannot be"),
        ("[datasets]\na = 'x'\n[recipes]\nvae = { seeds = 3 }", "seeds = 3 of vae cannot be"),
        ("[datasets]\na = { data = 'x', limit = 'few' }\n[recipes]\nvae = {}", "dataset 'a': limit='few' cannot be"),
    ],
)
def test_a_bad_specification_is_one_sentence(text, message, tmp_path):
    spec = tmp_path / "bench.toml"
    spec.write_text(text)
    with pytest.raises(InputError, match=message):
        read_spec(spec)


def test_the_example_is_a_specification(tmp_path):
    (tmp_path / "bench.toml").write_text(EXAMPLE)
    spec = read_spec(tmp_path / "bench.toml")
    assert spec.datasets["core"]["data"] == str((tmp_path / "scans" / "core.tif").resolve())


def test_held_out_tiles_that_are_training_tiles_are_noted(tmp_path):
    spec, out = write_spec(tmp_path, [table("random_phase")]), tmp_path / "out"
    with Image.open(tmp_path / "tiles" / "train" / "train_000.png") as image:
        image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "tiles" / "test" / "test_000.png")
    plan = read_spec(spec)
    out.mkdir()
    _prepare(plan, out, *_check(plan, out))
    notes = json.loads((out / "datasets" / "blobs" / "summary.json").read_text())["notes"]
    assert any("held-out tiles are training tiles, too" in note for note in notes)


def test_two_benches_do_not_share_a_folder(tmp_path):
    spec = write_spec(tmp_path, [table("random_phase")])
    with alone(tmp_path / "out", "bench"), pytest.raises(InputError, match="another bench is at work"):
        bench(spec, tmp_path / "out")
    assert not (tmp_path / "out" / "spec.json").exists()


def test_a_file_that_is_not_of_a_bench(tmp_path):
    spec = write_spec(tmp_path, [table("random_phase")])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "spec.json").write_text("[]")
    with pytest.raises(
        InputError, match=r"spec\.json: its content cannot be read \(Input should be a valid dictionary\)"
    ):
        bench(spec, tmp_path / "out")


def test_a_cell_ends_with_its_bench(tmp_path):
    """Even where the bench is killed and can tell nobody: its end of the pipe closes."""
    spec = write_spec(tmp_path, [table("vae")], steps=10**6)
    plan, out = read_spec(spec), tmp_path / "out"
    out.mkdir()
    _prepare(plan, out, *_check(plan, out))
    command = [sys.executable, "-m", "veridical.benching.cell", "cell", str(out), "blobs", "vae", "0"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    run = out / "cells" / "blobs" / "vae-seed0" / "run" / "run.json"
    while not run.is_file():
        time.sleep(0.05)
        assert process.poll() is None
    process.stdin.close()
    assert process.wait(60) is not None


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    spec = write_spec(tmp_path, [table("random_phase")])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not a bench"):
        bench(spec, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]
