"""A dataset of a bench whose training tiles are drawn by contrast."""

import json

import numpy as np
import pytest
import tifffile

from veridical.benching.run import bench
from veridical.data.focus import EMPTY, Focus, contrast


@pytest.mark.long
def test_a_cell_undoes_the_focus_of_its_dataset(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "sparse").mkdir()
    for k in range(20):
        image = rng.normal(30000, 300, (96, 96))
        image[:48, :24] += 15000 * (np.arange(24) // 4 % 2)
        tifffile.imwrite(tmp_path / "sparse" / f"s{k}.tif", image.astype(np.uint16))
    (tmp_path / "bench.toml").write_text(
        'size = 16\nsteps = 1\nsamples = 40\n[datasets]\nsparse = { data = "sparse", focus = 10 }\n'
        "[recipes]\nrandom_phase = {}\n"
    )
    bench(tmp_path / "bench.toml", tmp_path / "out")
    cell = tmp_path / "out" / "cells" / "sparse" / "random_phase-seed0"
    focus = json.loads((cell / "run" / "run.json").read_text())["dataset"]["focus"]
    images = np.load(cell / "samples.npy")
    assert 30 < len(images) <= 40
    test = np.load(tmp_path / "out" / "datasets" / "sparse" / "test.npy")
    empty, wanted = ((contrast(x) < EMPTY * focus["full"]).mean() for x in (images, test))
    assert abs(empty - wanted) < 0.2
    drawn = Focus(*(focus[key] for key in ("factor", "full", "kept", "size", "counts"))).more(40)
    rows = json.loads((cell / "rows.json").read_text())
    (said,) = (row["remark"] for row in rows if row["metric"].startswith("kid_") and row["value"] is not None)
    assert f"{len(images)} of {drawn} samples" in said
