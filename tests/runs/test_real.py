"""A trained run as the real side: held-out tiles, its window and size, its training images for copies."""

import json
import shutil

import numpy as np
import pytest
import tifffile

import veridical
from toy import texture
from veridical.auditing.verdict import audit
from veridical.core.errors import InputError
from veridical.data.images import read_images, save_png, write_images
from veridical.data.readers.open import open_slices
from veridical.data.readers.runs import drawn_independently
from veridical.data.window import IntensityWindow
from veridical.recipes.info import digest
from veridical.runs.draw import sample
from veridical.runs.real import audit_run, real_side, score_run
from veridical.scoring.score import gather, score
from veridical.training.start import train

WINDOW = IntensityWindow(1000.0, 30000.0, "uint16")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sixteen bits of fifty images, and a run on them."""
    place = tmp_path_factory.mktemp("run")
    write_images(place / "scans", texture(50, 32), WINDOW, stems=[f"s{k:02d}" for k in range(50)])
    train("random_phase", place / "scans", place / "run", size=32, steps=1, quiet=True, tiles=16)
    return place


def test_the_held_out_tiles_of_a_run_are_not_those_it_was_trained_on(folder):
    real = real_side(folder / "run")
    assert real.held_out.images.shape == (10, 1, 32, 32) and real.held_out.window.dtype == "uint16"
    assert len(set(real.groups)) == 10 and not set(real.groups) & set(real.train_groups)
    assert len(real.regions) == len(set(real.train_groups)) and real.searched == 1.0


def test_samples_of_a_run_are_judged_in_its_window_and_size(folder, run_command, tmp_path):
    sample(folder / "run", 12, tmp_path / "drawn", quiet=True)
    code, out, err = run_command("score", folder / "run", tmp_path / "drawn", "--json", tmp_path / "score.json")
    assert code == 0, err
    rows = {row["metric"]: row for row in json.loads((tmp_path / "score.json").read_text())}
    assert rows["kid_over_random_phase"]["n"] == 12 and rows["copied_share"]["value"] == 0
    code, out, err = run_command("audit", folder / "run", tmp_path / "drawn", "--no-power", "--quiet")
    assert code in (0, 3, 4) and "12 synthetic images against 10 real ones" in out, err
    code, _, err = run_command("audit", folder / "run", tmp_path / "drawn", "--train", folder / "scans")
    assert code == 2 and "--train does not go with a run" in err


def test_the_page_of_an_audit_is_written_in_python(folder, tmp_path):
    sample(folder / "run", 12, tmp_path / "drawn", quiet=True)
    found = veridical.audit_run(folder / "run", tmp_path / "drawn", power=False, pictures=tmp_path / "pictures")
    page = veridical.audit_page(
        tmp_path / "new" / "a.html", found, tmp_path / "pictures", real="the run", synth="drawn"
    )
    text = page.read_text(encoding="utf-8")
    assert found["lead"].split(";")[0] in text and "drawn against the run" in text and "data:image/png" in text
    with pytest.raises(InputError, match=r"does not hold evidence.png: give the folder"):
        veridical.audit_page(tmp_path / "a.html", found, tmp_path)
    with pytest.raises(InputError, match="in Python score_run and audit_run do"):
        veridical.score(folder / "run", tmp_path / "drawn")


@pytest.mark.long
def test_samples_without_conditions_are_independent_images(tmp_path):
    """Of numbered files nobody knows, so that all are taken for one slice; what `veridical sample` drew from noise is known."""
    tiles = texture(64, 32).reshape(16, 4, 1, 32, 32)
    stems = [f"s{k:02d}_y{y}x0" for k in range(16) for y in range(4)]
    write_images(tmp_path / "scans", tiles.reshape(64, 1, 32, 32), WINDOW, stems=stems)
    train("random_phase", tmp_path / "scans", tmp_path / "run", size=32, steps=1, quiet=True, split="none")
    sample(tmp_path / "run", 10, tmp_path / "drawn", quiet=True)
    assert audit(tmp_path / "scans", tmp_path / "drawn", power=False)["independent"]["synth"] == 10
    record = json.loads((tmp_path / "drawn" / "provenance.json").read_text())
    for change in ({"condition": {"needs": ["mask"]}}, {"checkpoint": ...}):
        kept = {key: value for key, value in (record | change).items() if value is not ...}
        (tmp_path / "drawn" / "provenance.json").write_text(json.dumps(kept))
        assert not drawn_independently(tmp_path / "drawn")


@pytest.mark.long
def test_copies_of_training_images_are_found_and_larger_images_are_cut(folder, tmp_path):
    images = read_images(folder / "scans", WINDOW).images[:12]
    wide = np.concatenate([images, images[:, :, ::-1]], 3)
    write_images(tmp_path / "made", wide, WINDOW)
    report = audit_run(folder / "run", tmp_path / "made", power=False)
    assert report["n_synth"] == 24 and report["findings"][0]["defect"] in ("copied", "memorised")


def test_floats_between_0_and_1_are_read_as_sixteen_bits_were(folder, tmp_path):
    unit = texture(12, 32, seed=3)
    np.save(tmp_path / "unit.npy", unit[:, 0])
    write_images(tmp_path / "counts", unit, WINDOW)
    np.testing.assert_array_equal(read_images(tmp_path / "unit.npy", WINDOW).images, unit)
    rows = {row["metric"]: row for row in score_run(folder / "run", tmp_path / "unit.npy")}
    assert rows["kid_over_random_phase"]["value"] < 0.5
    counts = WINDOW.from_unit(unit)[:, 0].astype(np.float32)
    np.save(tmp_path / "float.npy", counts)
    np.testing.assert_allclose(read_images(tmp_path / "float.npy", WINDOW).images, unit, atol=1e-4)
    assert (read_images(tmp_path / "counts", IntensityWindow(1000.0, 30000.0, "float32")).images > 0.1).any()
    with pytest.raises(InputError, match="same type"):
        read_images(tmp_path / "counts", IntensityWindow(0.0, 1.0, "float32"))


def test_data_that_are_gone_or_changed_are_said_in_a_sentence(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    run = json.loads((tmp_path / "copy" / "run" / "run.json").read_text())
    scans = tmp_path / "copy" / "scans"
    run.pop("sha256")
    run["dataset"]["spec"] = str(scans)
    (tmp_path / "copy" / "run" / "run.json").write_text(json.dumps(run | {"sha256": digest(run)}))
    assert len(real_side(tmp_path / "copy" / "run").groups) == 10
    tifffile.imwrite(scans / "s03.tif", np.zeros((32, 32), np.uint16))
    with pytest.raises(InputError, match="not the data that"):
        real_side(tmp_path / "copy" / "run")
    shutil.rmtree(scans)
    with pytest.raises(InputError, match="is not there"):
        real_side(tmp_path / "copy" / "run")


def test_pictures_of_a_run_and_of_a_grid_are_no_images(folder, tmp_path):
    run = folder / "run"
    (run / "samples").mkdir(exist_ok=True)
    save_png(run / "samples" / "step_1.png", np.zeros((70, 70), np.uint8))
    for spec in (run, run / "samples"):
        with pytest.raises(InputError, match=f"previews .* veridical sample {run}"):
            open_slices(spec)
    with pytest.raises(InputError, match="previews"):
        train("random_phase", run, tmp_path / "other", size=32, steps=1)
    assert not any("run" in name for name in open_slices(folder).names)  # beside other data
    sample(run, 8, tmp_path / "drawn", quiet=True)
    assert (tmp_path / "drawn" / "grid.png").is_file() and len(open_slices(tmp_path / "drawn")) == 8
    with pytest.raises(InputError, match="many samples"):
        open_slices(tmp_path / "drawn" / "grid.png")


def test_score_cuts_what_differs_in_size(tmp_path):
    window = IntensityWindow(0, 255, "uint8")
    write_images(tmp_path / "real", texture(20, 40), window)
    write_images(tmp_path / "synth", texture(20, 32, seed=1), window)
    cut = {row["metric"]: row for row in score(tmp_path / "real", tmp_path / "synth", size=16)}
    assert cut["kid_over_random_phase"]["n"] == 80
    sets = gather(tmp_path / "real", tmp_path / "synth")
    assert sets.real.shape == sets.synth.shape == (20, 1, 32, 32)
    with pytest.raises(InputError, match="no pixel has its pair"):
        score(tmp_path / "real", tmp_path / "synth", paired=True)
