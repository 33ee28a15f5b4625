"""Systems that learn complete captions: which caption a tile is told, and what becomes of a short prompt."""

import json

import numpy as np
import pytest

from toy import TOY, write_tiles
from veridical.conditions.table import SIZES
from veridical.conditions.text import COMPLETE, _turn
from veridical.core.errors import InputError
from veridical.runs.draw import conditions_of, sample
from veridical.runs.run import load
from veridical.training.start import train
from veridical.wording import state


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A `dalle3` of one step, whose captions say how many pores there are, and how porous that is."""
    folder = tmp_path_factory.mktemp("data")
    write_tiles(folder / "tiles", size=32)
    rows = []
    for k, path in enumerate(sorted((folder / "tiles").rglob("*.png"))):
        name = path.relative_to(folder / "tiles").as_posix()
        said = {"porosity": 0.1 + 0.01 * k, "n_grains": 40 - k}
        rows += [{"file_name": name, "text": text} for text in (state("slice of rock", said)[0], "a porous rock")]
    (folder / "tiles" / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    args = {k: v for k, v in TOY["dalle3"].items() if k not in SIZES}
    return train(
        "dalle3",
        folder / "tiles",
        folder / "run",
        steps=1,
        size=32,
        batch=2,
        quiet=True,
        text="auto",
        threads=1,
        **args,
    )


def test_tiles_are_told_complete_captions_as_often_as_asked():
    chance, counts = (np.arange(1000) + 0.5) / 1000, np.full(1000, 4)
    shares = lambda complete: np.bincount(_turn(chance, counts, complete), minlength=4) / 1000  # noqa: E731
    assert shares(0.94).tolist() == [0.94, 0.02, 0.02, 0.02]
    assert shares(-1.0).tolist() == [0.25] * 4 and shares(1.0).tolist() == [1, 0, 0, 0]
    assert shares(0.0)[0] == 0
    assert not _turn(chance, np.full(1000, 1), 0.5).any()


def test_a_short_prompt_is_completed_and_provenance_says_how(run, tmp_path):
    out = sample(run, 4, tmp_path / "out", prompt=["porosity 0.233", "a tile of 30 grains, ordinary"], quiet=True)
    about = json.loads((out / "provenance.json").read_text())
    said = [image["condition"] for image in about["images"]]
    assert [one["text"] for one in said] == ["porosity 0.233", "a tile of 30 grains, ordinary"] * 2
    assert all("porosity 0.233, " in one["completed_text"] for one in said[::2])
    assert all(one["completed_text"].startswith("Slice of rock, porosity 0.") for one in said)
    assert about["notes"] and about["settings"]["upsample"] is True


def test_the_completion_of_image_k_depends_on_k_alone(run):
    loaded = load(run)
    few, many = (conditions_of(loaded, n, prompt="high porosity, porosity 0.2, rock") for n in (2, 7))
    assert [few.words(k) for k in range(2)] == [many.words(k) for k in range(2)]
    assert all(np.array_equal(few.cond[name], many.cond[name][:2]) for name in ("text", "value", "spelled"))
    assert len({many.words(k)["completed_text"] for k in range(7)}) > 1


def test_a_prompt_can_be_taken_as_it_is(run):
    plain = conditions_of(load(run, settings={"upsample": False}), 2, prompt="porosity 0.2")
    assert plain.words(0) == {"text": "porosity 0.2"} and (plain.cond["text"] > 0).sum() < 8
    assert "completed_text" not in conditions_of(load(run), 2).words(0)  # captions of held-out images are complete


def test_other_complete_captions_than_those_of_the_training_are_refused(run):
    content = (run / COMPLETE).read_text()
    assert "Slice of rock" in content
    try:
        (run / COMPLETE).write_text(content.replace("rock", "bone"), "utf-8")
        with pytest.raises(InputError, match=r"captions\.json is not the file that the run was trained with"):
            conditions_of(load(run), 2, prompt="porosity 0.2")
    finally:
        (run / COMPLETE).write_text(content)
