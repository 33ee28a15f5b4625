"""A bench from specification to report: cells that fail, are stopped, are done."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from toy import TOY, write_tiles
from veridical.bench.run import bench
from veridical.bench.spec import EXAMPLE, read_spec
from veridical.errors import InputError


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


def test_a_failed_cell_stops_no_other_and_done_cells_are_kept(tmp_path):
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
    assert {r["metric"] for r in rows} >= {
        "fd_efficientnet_lite0",
        "precision",
        "recall",
        "density",
        "coverage",
        "memorised",
        "ssim",
    }
    assert all(r["value"] is not None or r["reason"] for r in rows)
    said.clear()
    bench(spec, tmp_path / "out", say=said.append)
    assert sum("done before" in line for line in said) == 2
    # What its cells share may not change under a bench.
    spec.write_text(spec.read_text().replace("samples = 24", "samples = 25"))
    with pytest.raises(InputError, match="another samples"):
        bench(spec, tmp_path / "out")


def test_a_stopped_bench_goes_on_where_it_was(tmp_path):
    spec = write_spec(tmp_path, [table("vae", save_every=0.2)], steps=300)
    command = [sys.executable, "-m", "veridical", "bench", str(spec), "--out", str(tmp_path / "out")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    log = tmp_path / "out" / "cells" / "blobs" / "vae-seed0" / "run" / "log.jsonl"
    while not log.is_file() or len(log.read_text().splitlines()) < 30:
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate()
    assert "run the same command again" in output
    assert state(tmp_path / "out", "vae-seed0")["state"] == "running"
    steps = len(log.read_text().splitlines())
    assert 30 <= steps < 300
    before = log.read_text()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert state(tmp_path / "out", "vae-seed0")["state"] == "done"
    assert log.read_text().startswith(before) and len(log.read_text().splitlines()) == 300


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size = ", "not TOML"),
        ("sizes = 3", "unknown entry 'sizes'"),
        ("[datasets]\na = 'x'", "no recipes"),
        ("[recipes]\nvae = {}", "no datasets"),
        ("[datasets]\na = 'x'\n[recipes]\nvea = {}", "did you mean 'vae'"),
        ("[datasets]\na = 'x'\n[recipes]\nvae = { width2 = 3 }", "no setting 'width2'"),
        ("[datasets]\na = { path = 'x' }\n[recipes]\nvae = {}", "needs data"),
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


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    spec = write_spec(tmp_path, [table("random_phase")])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not a bench"):
        bench(spec, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]
