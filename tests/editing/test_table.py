"""The table of edits: a new row runs from file to file, and the command line shows what rows there are."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import tifffile

from veridical import InputError
from veridical.cli.restore import _restore_signature, restore
from veridical.core.settings import setting
from veridical.editing.edit import NEEDS, Edit, Edited
from veridical.editing.files import edit_file
from veridical.editing.settings import Settings
from veridical.editing.table import EDITS


@dataclass(frozen=True)
class Brighter(Settings):
    by: float = setting(0.1, "How much.", low=0, high=1)


def brighter(model, images, given, settings, *, size, seed, numbers, quiet):
    """Everything, everywhere; a mask is for the caller."""
    assert settings.batch == 32 and hasattr(model, "denoise") and size == 32
    return Edited(np.clip(images + settings.by, 0, 1) if given.second is None else given.second)


@pytest.fixture
def toy(monkeypatch):
    row = Edit(
        "brighter", "restoration", "Make it brighter under a mask.", "Nobody 2026", brighter, "grey levels", ("mask",),
        Brighter, "by", "SHARE",
    )  # fmt: skip
    monkeypatch.setitem(EDITS, "brighter", row)


def test_a_new_row_runs_from_file_to_file(toy, scan, tmp_path):
    folder, counts, mask = scan
    start = (folder / "run", folder / "slice.tif")
    edit_file(*start, tmp_path / "a.tif", "brighter", needs={"mask": folder / "hole.png"}, settings={"by": "0.2"})
    made = tifffile.imread(tmp_path / "a.tif")
    assert made.dtype == np.uint16 and (made[~mask] == counts[0][~mask]).all()
    window = json.loads((folder / "run" / "run.json").read_text())["window"]
    change = made[mask].astype(float) - counts[0][mask]
    assert np.median(change) == pytest.approx(0.2 * (window["high"] - window["low"]), abs=1)
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["edit"] == "brighter" and record["settings"]["by"] == 0.2 and record["synthetic"] == "grey levels"
    assert record["mask"] == str(folder / "hole.png")


def test_without_a_mask_only_the_change_is_written(toy, scan, tmp_path, monkeypatch):
    folder, counts, _ = scan
    monkeypatch.setitem(
        EDITS, "still", Edit("still", "restoration", "", "", lambda m, x, *_, **__: Edited(x), "nothing")
    )
    edit_file(folder / "run", folder / "slice.tif", tmp_path / "a.tif", "still")
    assert (tifffile.imread(tmp_path / "a.tif") == counts[0]).all()


def test_what_a_row_needs_must_be_given(toy, scan, tmp_path):
    folder, _, _ = scan
    start = (folder / "run", folder / "slice.tif", tmp_path / "a.tif")
    with pytest.raises(InputError, match="brighter needs mask: 'mask' is missing"):
        edit_file(*start, "brighter")
    with pytest.raises(InputError, match="rings needs an image alone: 'hat' is missing or unknown"):
        edit_file(*start, "rings", needs={"hat": "hat.png"})
    with pytest.raises(InputError, match="no edit 'ring': use one of inpaint, rings"):
        edit_file(*start, "ring")
    with pytest.raises(InputError, match="brighter has no setting 'at': it has steps"):
        edit_file(*start, "brighter", needs={"mask": folder / "hole.png"}, settings={"at": 1})


def test_a_slice_between_two_files(scan, tmp_path):
    folder, counts, _ = scan
    quick = {"steps": 2, "resamplings": 1, "fraction": 1.0}
    files = {"second": folder / "next.tif"}
    edit_file(folder / "run", folder / "slice.tif", tmp_path / "a.tif", "interpolate", needs=files, settings=quick)
    made = tifffile.imread(tmp_path / "a.tif").astype(float)
    window = json.loads((folder / "run" / "run.json").read_text())["window"]
    assert np.abs(made - np.clip(counts[1], window["low"], window["high"])).max() <= 1


def test_the_command_line_reads_the_table(toy):
    options = _restore_signature().parameters
    assert {"mask", "rings", "streaks", "wedge", "between", "brighter", "width", "deviation"} <= set(options)
    text = options["brighter"].annotation.__metadata__[0].help
    assert text == "Make it brighter under a mask."
    assert options["streaks"].annotation.__metadata__[0].metavar == "rows|columns"
    assert "Usually 16" in options["width"].annotation.__metadata__[0].help


@pytest.mark.parametrize(
    ("flags", "more", "message"),
    [
        ({"wedge": "60", "width": "5"}, [], "--width does not go with --wedge: leave it out"),
        ({"mask": "hole.png", "deviation": "0.1"}, [], "--deviation does not go with --mask: leave it out"),
        ({"wedge": "60"}, ["degrees=8"], "--set degrees says again what --wedge says: leave one out"),
        ({"rings": "20,x"}, [], "centre=20,x cannot be: 'x' is not a float"),
    ],
)
def test_options_that_do_not_fit_are_named(flags, more, message, tmp_path):
    with pytest.raises(InputError, match=message):
        restore(tmp_path, "a.tif", tmp_path / "b.tif", 1, None, more, 0, "cpu", True, **flags)


@pytest.mark.parametrize("name", EDITS)
def test_rows_are_whole(name):
    row = EDITS[name]
    assert row.name == name and row.summary.endswith(".") and row.paper and set(row.needs) <= set(NEEDS)
    assert set(row.offers) <= set(NEEDS) - set(row.needs)
    assert row.task == "words" or (row.chief in (*row.needs, *row.own) and issubclass(row.settings, Settings))
