"""`veridical restore`: counts, bit depth, records and one-sentence errors."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from toy import TOY
from veridical.editing.checks import magnification_remarks
from veridical.editing.restore import rings
from veridical.training.start import train

QUICK = ("--set", "steps=3", "--set", "resamplings=1", "--quiet")


@pytest.fixture
def run(run_command):
    """Run `veridical restore ARGUMENTS`; return exit code and errors."""

    def restore(*arguments):
        code, _, error = run_command("restore", *arguments)
        return code, error

    return restore


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
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        said = json.loads(tif.pages[0].description)
        assert said["synthetic"] and said["checkpoint"] == record["checkpoint"]
        assert b"/compositeWithTrained" in tif.pages[0].tags.valueof(700)
    for name, seed in (("b", 0), ("c", 1)):
        assert run(*start, "--out", tmp_path / f"{name}.tif", "--samples", 2, "--seed", seed)[0] == 0
    again, other = tifffile.imread(tmp_path / "b.tif"), tifffile.imread(tmp_path / "c.tif")
    assert (again == made).all() and (other != made).any()


def test_a_slice_is_drawn_between_two_which_stay_as_they_are(run, scan, tmp_path):
    folder, slices, _ = scan
    names = [folder / "slice.tif", folder / "next.tif"]
    bytes_of, start = [name.read_bytes() for name in names], (folder / "run", names[0], "--between", names[1], *QUICK)
    code, error = run(*start, "--out", tmp_path / "a.tif")
    assert code == 0, error
    made = tifffile.imread(tmp_path / "a.tif")
    assert made.dtype == np.uint16 and all((made != counts).mean() > 0.9 for counts in slices)
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["edit"] == "interpolate" and record["settings"]["fraction"] == 0.5
    assert [record["image"], record["second"]] == list(map(str, names)) and record["synthetic"] == "everything"
    window = json.loads((folder / "run" / "run.json").read_text())["window"]
    for fraction, counts in enumerate(slices):
        assert run(*start, "--fraction", fraction, "--out", tmp_path / f"{fraction}.tif")[0] == 0
        shown = (counts > window["low"]) & (counts < window["high"])
        assert shown.mean() > 0.9
        np.testing.assert_array_equal(tifffile.imread(tmp_path / f"{fraction}.tif")[shown], counts[shown])
    assert [name.read_bytes() for name in names] == bytes_of


def test_slices_that_cannot_have_one_between_are_a_sentence(run, scan, tmp_path):
    folder, slices, _ = scan
    tifffile.imwrite(tmp_path / "narrow.tif", slices[1][:, :40])
    start = (folder / "run", folder / "slice.tif", "--out", tmp_path / "a.tif", *QUICK)
    for more, said in (
        ((tmp_path / "narrow.tif",), "slices of 56 x 48 and 40 x 48 pixels do not fit: cut both to one size"),
        ((tmp_path / "no.tif",), "no.tif"),
        ((folder / "stack.tif",), "holds 12 images: give one image"),
        ((folder / "next.tif", "--fraction", "2"), "fraction=2"),
        ((folder / "next.tif", "--mask", folder / "hole.png"), "--mask and --between was asked for: give one of"),
        ((folder / "next.tif", "--width", "4"), "--width does not go with --between: leave it out"),
    ):
        code, error = run(*start, "--between", *more)
        assert code == 2 and said in error and error.count("\n") <= 1, error
    assert not (tmp_path / "a.tif").exists()


@pytest.fixture(scope="module")
def field_of_view(tmp_path_factory):
    """A run of real-valued images, and a slice with NaN outside a circle, and one with an infinite pixel."""
    folder = tmp_path_factory.mktemp("real")
    images = np.random.default_rng(0).normal(0, 1e-3, (12, 40, 40)).astype(np.float32)
    np.save(folder / "stack.npy", images)
    train("edm", folder / "stack.npy", folder / "run", steps=1, size=16, batch=2, quiet=True, **TOY["edm"])
    y, x = np.mgrid[:40, :40] - 19.5
    circle = np.where(x**2 + y**2 > 18**2, np.float32(np.nan), images[0])
    infinite = images[1].copy()
    infinite[0, 0], infinite[18, 25] = np.inf, -np.inf
    for name, image in (("circle", circle), ("infinite", infinite)):
        tifffile.imwrite(folder / f"{name}.tif", image)
    hole = np.zeros((40, 40), np.uint8)
    hole[16:22, 3:9] = 1
    Image.fromarray(hole).save(folder / "hole.png")
    return folder


@pytest.mark.parametrize("name", ["circle", "infinite"])
def test_what_was_not_measured_stays_and_spoils_nothing(run, field_of_view, name, tmp_path):
    folder, hole = field_of_view, np.asarray(Image.open(field_of_view / "hole.png")) > 0
    start, image = (folder / "run", folder / f"{name}.tif"), tifffile.imread(folder / f"{name}.tif")
    code, error = run(*start, "--mask", folder / "hole.png", "--out", tmp_path / "a.tif", *QUICK)
    assert code == 0, error
    made = tifffile.imread(tmp_path / "a.tif")
    assert made.dtype == image.dtype and np.isfinite(made[hole]).all() and np.abs(made[hole]).max() < 0.01
    np.testing.assert_array_equal(made[~hole], image[~hole])
    code, error = run(*start, "--streaks", "rows", "--out", tmp_path / "b.tif", *QUICK)
    assert code == 0, error
    made = tifffile.imread(tmp_path / "b.tif")
    lost = ~np.isfinite(image)
    np.testing.assert_array_equal(made[lost], image[lost])
    assert np.isfinite(made[~lost]).all() and np.abs(made[~lost]).max() < 0.02
    code, error = run(*start, "--between", folder / "infinite.tif", "--out", tmp_path / "c.tif", *QUICK)
    assert code == 0, error
    np.testing.assert_array_equal(
        np.isfinite(tifffile.imread(tmp_path / "c.tif")), ~lost & np.isfinite(tifffile.imread(folder / "infinite.tif"))
    )


def test_a_mask_of_all_that_was_measured_or_of_no_number_is_a_sentence(run, field_of_view, tmp_path):
    start = (field_of_view / "run", field_of_view / "circle.tif", "--out", tmp_path / "a.tif", *QUICK)
    Image.fromarray(np.ones((40, 40), np.uint8)).save(tmp_path / "all.png")
    finite = np.isfinite(tifffile.imread(field_of_view / "circle.tif"))
    Image.fromarray(finite).save(tmp_path / "measured.png")
    np.save(tmp_path / "nan.npy", np.where(finite, np.nan, 0))
    for name, said in (
        ("all.png", "marks all pixels"),
        ("measured.png", "that were measured"),
        ("nan.npy", "holds NaN"),
    ):
        code, error = run(*start, "--mask", tmp_path / name)
        assert code == 2 and said in error and len(error.strip().splitlines()) == 1, error


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
        (("--rings", "none"), "centre=none cannot be: give CX,CY"),
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


@pytest.mark.parametrize(
    ("stated", "learned", "scale", "said"),
    [
        (1.8, 3.6, 0.5, "resize them by 0.5 first"), (3.6, 3.6, 0.5, ""), (1.8, 1.8, 1.0, ""),
        (None, None, 0.5, "resized by 0.5"), (None, 1.8, 1.0, ""),
    ],
)  # fmt: skip
def test_images_of_another_magnification_are_named(stated, learned, scale, said):
    info = SimpleNamespace(dataset={"pixel_size": learned}, config=SimpleNamespace(scale=scale))
    found = magnification_remarks(stated, SimpleNamespace(info=info))
    assert len(found) == bool(said) and said in "".join(found)


def test_an_image_of_another_magnification_is_named(run, scan, tmp_path):
    folder, _, _ = scan
    shutil.copytree(folder / "run", tmp_path / "run")
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    info["config"]["scale"] = 0.5
    info.pop("sha256")
    (tmp_path / "run" / "run.json").write_text(json.dumps(info))
    asked = (folder / "slice.tif", "--mask", folder / "hole.png", *QUICK)
    for name, said in (("run", True), (folder / "run", False)):
        code, error = run(tmp_path / name, *asked, "--out", tmp_path / f"{said}.tif")
        assert code == 0 and ("resized by 0.5" in error) == said, error
