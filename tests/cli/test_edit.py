"""The command edit: what it hands on, its help, and its sentences."""

from pathlib import Path

import pytest

from veridical.editing.table import EDITS


@pytest.fixture
def called(monkeypatch):
    """What `veridical.editing.folder.edit` is called with."""
    calls = []

    def edit(*args, **keywords):
        calls.append((args, keywords))
        return Path("out")

    monkeypatch.setattr("veridical.editing.folder.edit", edit)
    return calls


def test_the_help_has_every_way_and_an_example(run):
    code, text, _ = run("edit", "--help")
    text = " ".join(text.split())
    assert code == 0 and "veridical edit runs/text_to_image" in text
    for name, row in EDITS.items():
        assert f"{name}: {row.summary[:20]}" in text


def test_options_are_handed_on(run, called):
    code, text, _ = run(
        "edit", "run", "images", "--how", "sdedit", "--out", "out", "--prompt", "a", "--prompt", "b", "--mask", "m", "--mask",
        "n", "--source-prompt", "s", "--negative-prompt", "n", "--strength", "0.25", "--set", "steps=7", "--set",
        "weights=a=2,b=1", "--seed", "5", "--batch", "3", "--extrapolate", "--quiet",
    )  # fmt: skip
    assert code == 0 and "edited: out" in text
    ((args, keywords),) = called
    assert args == (Path("run"), "images", Path("out"), "sdedit")
    assert keywords["prompt"] == ["a", "b"] and keywords["mask"] == ["m", "n"] and keywords["source_prompt"] == "s"
    assert keywords["settings"] == {"steps": "7", "weights": "a=2,b=1", "strength": 0.25}
    assert (keywords["seed"], keywords["batch"], keywords["extrapolate"], keywords["quiet"]) == (5, 3, True, True)


def test_what_is_left_out_is_not_said(run, called):
    assert run("edit", "run", "images", "--how", "sdedit", "--out", "out")[0] == 0
    ((_, keywords),) = called
    assert not any(keywords[name] for name in ("prompt", "mask", "second", "table", "settings", "source_prompt"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--how", "dream"), "there is no edit 'dream': use one of inpaint"),
        (("--how", "sdedit", "--set", "steps"), "has no '='"),
        (("--how", "sdedit", "--strength", "0.2", "--set", "strength=0.3"), "strength is given twice"),
        (("--how", "sdedit", "--seed", "-1"), "seed=-1"),
        (("--how", "sdedit", "--batch", "0"), "batch=0"),
    ],
)
def test_what_cannot_be_is_one_sentence(run, tmp_path, options, said):
    code, _, error = run("edit", tmp_path / "run", "phantom:rocks?n=2&size=32", "--out", tmp_path / "out", *options)
    assert code == 2 and said in error and len(error.strip().splitlines()) == 1, error
    assert not (tmp_path / "out").exists()


def test_images_or_runs_that_are_not_there(run, tmp_path):
    for image, said in (("phantom:rocks?n=2&size=32", "nowhere"), (tmp_path / "none.png", "none.png")):
        code, _, error = run("edit", tmp_path / "nowhere", image, "--how", "sdedit", "--out", tmp_path / "out")
        assert code == 2 and said in error and len(error.strip().splitlines()) == 1, error
