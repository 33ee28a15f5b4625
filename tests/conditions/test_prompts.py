"""What a user says when sampling: prompts of a file, negative prompts, words and numbers that training never had."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import veridical
from toy import write_tiles
from veridical.conditions.text import ARRAYS
from veridical.core.errors import InputError
from veridical.diffusion.guidance import classifier_free
from veridical.recipes.recipe import Recipe
from veridical.recipes.table import RECIPES

SMALL = {"size": 32, "batch": 4, "threads": 1, "quiet": True, "steps": 1, "text": "auto"}


class Guided(nn.Module):
    """The grey level is the mean of all values said, guided as denoisers are."""

    def __init__(self, channels: int, size: int, vocabulary: int = 2, guidance_scale: float = 1.0) -> None:
        super().__init__()
        self.shape, self.scale = (channels, size, size), guidance_scale
        self.weight = nn.Parameter(torch.zeros(1))
        self.parts = {"guided": self}

    def losses(self, batch, step):
        yield "guided", self.weight.square().sum()

    def level(self, x, sigma, cond):
        return x + (0.1 * cond["value"].sum(1) if "text" in cond else torch.zeros(len(x))).reshape(-1, 1, 1, 1)

    def sample(self, n, cond, noise):
        x = torch.zeros(n, *self.shape)
        return classifier_free(self.level, self.scale, key="text")(x, torch.ones(n), cond)


@pytest.fixture(autouse=True)
def recipes(monkeypatch):
    row = Recipe(
        Guided, "none", "echo", "paints", "nobody", needs=("text",), of_data=("vocabulary",), drawn=("guidance_scale",)
    )
    monkeypatch.setitem(RECIPES, "guided_toy", row)
    monkeypatch.setitem(RECIPES, "plain_toy", Recipe(Plain, "none", "echo", "paints", "nobody", needs=("text",)))


class Plain(Guided):
    """Without guidance."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels, size)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = write_tiles(tmp_path_factory.mktemp("data") / "tiles", n=12, size=32)
    rows = [
        {"file_name": path.relative_to(folder).as_posix(), "text": f"tiles of level {k % 5}"}
        for k, path in enumerate(sorted(folder.rglob("*.png")))
    ]
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return folder


@pytest.fixture
def trained(data, tmp_path):
    return veridical.train("guided_toy", data, tmp_path / "run", **SMALL)


def said(out):
    written = json.loads((out / "provenance.json").read_text("utf-8"))
    return [row["condition"] for row in written["images"]], written.get("notes", [])


def test_prompts_of_a_file_stand_in_provenance_one_an_image(trained, tmp_path, run_command):
    path = tmp_path / "prompts.txt"
    path.write_bytes("\ufefftiles of level 1\r\n\r\n  tiles  of level 3\r\n".encode())
    command = ("sample", trained, "-n", 4, "--quiet", "--prompt", f"@{path}", "--prompt", "level 2")
    code, _, error = run_command(*command, "--out", tmp_path / "out")
    texts = [{"text": text} for text in ("tiles of level 1", "tiles of level 3", "level 2", "tiles of level 1")]
    assert (code, error) == (0, "") and said(tmp_path / "out") == (texts, [])
    code, _, error = run_command(
        "sample", trained, "-n", 1, "--prompt", f"@{path}", "--quiet", "--out", tmp_path / "few"
    )
    assert code == 0 and "1 images have the first of 2 prompts: ask for -n 2 to have all" in error
    for content, words in ((b"\n \n", "holds no prompt: write one a line"), (b"\xff\xfe\x00", "is not UTF-8 text")):
        path.write_bytes(content)
        code, _, error = run_command(*command, "--out", tmp_path / "no")
        assert code == 2 and words in error and not (tmp_path / "no").exists()
    code, _, error = run_command("sample", trained, "--prompt", "@gone.txt", "--out", tmp_path / "no")
    assert code == 2 and "gone.txt cannot be read (No such file or directory)" in error


def test_strange_words_are_named_before_anything_is_drawn(trained, tmp_path, run_command, monkeypatch):
    monkeypatch.setattr("veridical.runs.draw.drawn", lambda *_: (_ for _ in ()).throw(InputError("drawing begins.")))
    code, _, error = run_command("sample", trained, "--prompt", "tilse of glass", "--out", tmp_path / "out", "--quiet")
    first, second = error.splitlines()
    assert code == 2 and second.endswith("drawing begins.")
    assert "prompt 'tilse of glass': the training captions never say 'tilse' (nearest: 'tiles'), 'glass'" in first


def test_numbers_outside_the_range_are_refused_unless_they_are_meant(trained, tmp_path, run_command):
    command = ("sample", trained, "-n", 2, "--quiet", "--out", tmp_path / "out", "--prompt", "level 9")
    code, _, error = run_command(*command)
    assert code == 2 and error.count("\n") == 1 and not (tmp_path / "out").exists()
    assert "prompt 'level 9': 'level' 9 lies outside the training captions, 0 to 4: nothing is known of such" in error
    assert "add --extrapolate" in error
    code, _, error = run_command(*command, "--extrapolate")
    assert code == 0 and "lies outside the training captions" in error
    assert said(tmp_path / "out")[1] == ["prompt 'level 9': 'level' 9 lies outside the training captions, 0 to 4"]
    veridical.sample(trained, 1, tmp_path / "edge", prompt="level 4.03", quiet=True)  # rounding
    with pytest.raises(InputError, match="negative prompt 'level 5': 'level' 5 lies outside"):
        veridical.sample(
            trained, 1, tmp_path / "no", negative_prompt="level 5", settings={"guidance_scale": 3}, quiet=True
        )


def test_a_negative_prompt_leads_away_and_is_in_the_provenance(trained, tmp_path):
    run = veridical.load(trained, settings={"guidance_scale": 3.0})
    level = {k: veridical.draw(veridical.load(trained), 1, prompt=f"level {k}").mean() for k in (1, 2)}
    both = veridical.draw(run, 3, prompt="level 2", negative_prompt=["level 1", "level 2"]).mean((1, 2, 3))
    away = level[1] + 3 * (level[2] - level[1])
    assert both == pytest.approx([away, level[2], away], abs=1e-5)
    alone = veridical.draw(run, 1, prompt="level 2").mean()
    assert alone == pytest.approx(0.5 + 3 * (level[2] - 0.5), abs=1e-5) and abs(alone - both[0]) > 0.01
    out = veridical.sample(
        trained,
        2,
        tmp_path / "out",
        prompt="level 2",
        negative_prompt="level 1",
        settings={"guidance_scale": 3},
        quiet=True,
    )
    assert said(out) == ([{"text": "level 2", "negative_text": "level 1"}] * 2, [])


def test_a_negative_prompt_that_would_change_nothing_is_refused(trained, data, tmp_path, run_command):
    command = ("sample", trained, "-n", 1, "--quiet", "--out", tmp_path / "out", "--negative-prompt", "level 1")
    code, _, error = run_command(*command)
    assert code == 2 and "guidance_scale=1 has no use for a negative prompt: add --set guidance_scale=3" in error
    code, _, error = run_command(*command, "--set", "guidance_scale=2")
    assert code == 0, error
    plain = veridical.train("plain_toy", data, tmp_path / "plain", **SMALL)
    with pytest.raises(InputError, match="plain_toy has no guidance, so nothing leads away from a negative prompt"):
        veridical.sample(plain, 1, tmp_path / "no", negative_prompt="level 1", quiet=True)
    gan = veridical.train("random_phase", data, tmp_path / "gan", **{k: v for k, v in SMALL.items() if k != "text"})
    with pytest.raises(InputError, match="random_phase takes no text: leave out --negative-prompt"):
        veridical.sample(gan, 1, tmp_path / "no", negative_prompt="level 1", quiet=True)
    with pytest.raises(ValueError, match="cond says already what prompt is to say"):
        veridical.draw(veridical.load(trained), 1, cond={name: np.zeros((1, 8)) for name in ARRAYS}, prompt="level 1")
