"""Folders of pairs, and pairs of phantoms: images after a change with those before, cut and turned alike."""

import json

import numpy as np
import pytest

from toy import write_changes
from veridical import phantoms
from veridical.conditions.delivery import open_data
from veridical.core.errors import InputError
from veridical.data.open import open_dataset
from veridical.data.readers.open import open_slices
from veridical.phantoms import writing
from veridical.recipes.config import TrainConfig


def test_a_folder_of_pairs_is_its_images_after(tmp_path):
    folder = write_changes(tmp_path / "pairs", n=4)
    slices = open_slices(folder)
    assert slices.names == [f"after/{k:04d}" for k in range(4)] and slices.masked == [True] * 4
    for k, said in enumerate(slices.captions()):
        mask = slices.mask(k) > 0
        assert (slices[k] == slices.read_before(k))[~mask].all() and (slices[k][mask] == 255 * (k % 2)).all()
        assert len(said) == 2 and all(("bright" in text) == (k % 2 == 1) for text in said)
    first = json.loads((folder / "pairs.jsonl").read_text().splitlines()[2])
    assert slices.captions()[2][0] == first["instruction"] != first["instructions"][0]


@pytest.mark.parametrize("spec", ["folder", "phantom:cmc?n=6&size=64&pairs=add_crack,remove_binder&seed=3"])
def test_tiles_before_lie_and_turn_as_those_after(spec, tmp_path):
    data = str(write_changes(tmp_path / "pairs")) if spec == "folder" else spec
    opened = open_data("instruct_pix2pix", ("text", "before"), data, TrainConfig(size=32, text="auto"))
    after, cond = opened.batch(16, 0, 0)
    assert cond["before"].shape == after.shape and cond["before"].dtype == np.float32
    same = (cond["before"] == after).mean((1, 2, 3))
    assert np.median(same) > 0.5 and same.min() < 1  # turned otherwise next to nothing is equal
    assert not np.array_equal(cond["before"][0], np.rot90(cond["before"][0], axes=(1, 2)))
    held = opened.conditions("test", 4)
    assert (held["before"] == opened.target.tiles("test", 4)[0]).mean() > 0.5
    assert opened.describe()["before"]["fingerprint"] != opened.describe()["dataset"]["fingerprint"]


def test_a_folder_that_is_being_written_is_refused(tmp_path, monkeypatch):
    pairs, seen = phantoms.pairs("cmc", "remove_cracks", 2, 48, options=phantoms.CmcOptions(cracks=3)), []

    def look(folder, *rest):
        with pytest.raises(InputError, match="is not there: wait if it is being written"):
            open_slices(tmp_path / "pairs")
        seen.append(folder.name)
        written(folder, *rest)

    written = writing._write_masks
    monkeypatch.setattr(writing, "_write_masks", look)
    phantoms.write_pairs(tmp_path / "pairs", pairs)
    assert len(seen) == 5 and len(open_slices(tmp_path / "pairs")) == 2


def test_what_is_told_of_phantoms_is_what_was_changed():
    slices = open_slices("phantom:cmc?n=2&size=64&pairs=add_crack,remove_binder&seed=3")
    said = slices.captions()
    assert "Add a crack." in said[0] and "Remove the binder." in said[1]
    assert not (slices.mask(1) == 2).any() and (slices.mask(0) == 3).any()
    assert slices.properties()[1]["binder_fraction"] == 0


def test_images_without_a_past_are_refused_in_a_sentence():
    opened = open_dataset("phantom:rocks?n=6&size=64", 32)
    with pytest.raises(InputError, match="has no images before a change: give a folder of pairs"):
        opened.befores(np.zeros((1, 3), int), np.zeros(1, int))
    with pytest.raises(InputError, match="no change 'add_cracks': choose from add_crack"):
        open_slices("phantom:cmc?n=2&size=64&pairs=add_cracks")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: "no json", "line 1 is no JSON"),
        (lambda row: json.dumps([row]), "line 1 lacks the texts before, after and instruction"),
        (lambda row: json.dumps({**row, "instruction": 7}), "line 1 lacks the texts"),
        (lambda row: json.dumps({**row, "after": "after/none.png"}), "none.png, which is not there"),
        (lambda row: json.dumps({**row, "before": "../away.png"}), "away.png, which lies outside the folder"),
        (lambda row: json.dumps({**row, "after": "after/0001.png"}), "the image after of two pairs"),
    ],
)
def test_lines_that_cannot_be_are_named(change, message, tmp_path):
    folder = write_changes(tmp_path / "pairs", n=2)
    (tmp_path / "away.png").write_bytes((folder / "before" / "0000.png").read_bytes())
    lines = (folder / "pairs.jsonl").read_text().splitlines()
    (folder / "pairs.jsonl").write_text(change(json.loads(lines[0])) + "\n" + lines[1] + "\n")
    with pytest.raises(InputError, match=message):
        open_slices(folder)
