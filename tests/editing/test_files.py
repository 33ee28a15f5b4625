"""`veridical restore`: counts, bit depth, records and one-sentence errors."""

import json
import sys

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from veridical import cli
from veridical.editing.restore import rings

QUICK = ("--set", "steps=3", "--set", "resamplings=1", "--quiet")


@pytest.fixture
def run(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["veridical", "restore", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        return code, capsys.readouterr().err

    return call


def test_a_hole_is_filled_and_every_other_count_kept(run, scan, tmp_path):
    folder, (counts, _), hole = scan
    start = (folder / "run", folder / "slice.tif", "--mask", folder / "hole.png", *QUICK)
    code, error = run(*start, "--out", tmp_path / "a.tif", "--samples", 2, "--spread", tmp_path / "doubt.tif")
    assert code == 0, error
    made, doubt = tifffile.imread(tmp_path / "a.tif"), tifffile.imread(tmp_path / "doubt.tif")
    assert (
        made.dtype == np.uint16 and (made[~hole] == counts[~hole]).all() and (made[hole] != counts[hole]).mean() > 0.9
    )
    assert (doubt[~hole] == 0).all() and 100 < doubt[hole].mean() < 20000
    record = json.loads((tmp_path / "a.json").read_text())
    assert (
        record["samples"] == 2
        and record["mask"] == str(folder / "hole.png")
        and len(record["checkpoint"]["sha256"]) == 64
    )
    for name, seed in (("b", 0), ("c", 1)):
        assert run(*start, "--out", tmp_path / f"{name}.tif", "--samples", 2, "--seed", seed)[0] == 0
    again, other = tifffile.imread(tmp_path / "b.tif"), tifffile.imread(tmp_path / "c.tif")
    assert (again == made).all() and (other != made).any()


def test_rings_change_by_rings_alone(run, scan, tmp_path):
    folder, (counts, _), _ = scan
    code, error = run(folder / "run", folder / "slice.tif", "--rings", "20,70.5", "--out", tmp_path / "a.tif", *QUICK)
    assert code == 0, error
    change = tifffile.imread(tmp_path / "a.tif").astype(np.float32) - counts
    assert change.std() > 10
    left = rings(counts.shape, (20, 70.5)).forward(torch.from_numpy(change[None, None]))
    assert left.abs().max() < 0.2 * np.abs(change).max()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "give one of --mask"),
        (("--rings", "3,4", "--streaks", "rows"), "--rings and --streaks"),
        (("--rings", "3"), "is no point"),
        (("--rings", "a,b"), "'a' is not a float: give a value such as 0.5"),
        (("--rings", "3,4", "--deviation", "-1"), "deviation=-1.0"),
        (("--mask", "hole.png", "--deviation", "0.1"), "--deviation does not go with --mask: leave it out"),
        (("--streaks", "diagonals"), "use one of rows, columns"),
        (("--wedge", "200"), "above 0, below 180"),
        (("--wedge", "60", "--set", "speed=9"), "no setting 'speed'"),
        (("--wedge", "60", "--spread", "x.tif"), "2 for --spread"),
        (("--wedge", "60", "--seed", "-1"), "seed=-1"),
        (("--mask", "nowhere.png"), "nowhere.png"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(run, scan, options, said, tmp_path):
    folder, _, _ = scan
    code, error = run(folder / "run", folder / "slice.tif", "--out", tmp_path / "a.tif", "--quiet", *options)
    assert code == 2 and said in error and len(error.strip().splitlines()) == 1, error
    assert not (tmp_path / "a.tif").exists()


def test_files_that_do_not_fit(run, scan, tmp_path):
    folder, _, hole = scan
    Image.fromarray(hole).save(tmp_path / "bits.png")
    start = (folder / "run", folder / "slice.tif", "--streaks", "rows", "--quiet")
    code, error = run(*start, "--out", tmp_path / "a.png")
    assert code == 2 and "end with .tif" in error
    (tmp_path / "a.tif").write_text("mine")
    code, error = run(*start, "--out", tmp_path / "a.tif")
    assert code == 2 and "exists" in error and (tmp_path / "a.tif").read_text() == "mine"
    code, error = run(folder / "run", tmp_path / "bits.png", "--streaks", "rows", "--out", tmp_path / "b.png")
    assert code == 2 and "bool" in error and "uint16" in error
    code, error = run(folder / "run", folder / "stack.tif", "--streaks", "rows", "--out", tmp_path / "b.tif")
    assert code == 2 and "12 images" in error
