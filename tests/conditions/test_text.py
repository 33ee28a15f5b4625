"""Captions on their way to a model in training, and prompts on theirs to samples: a toy system paints what it is told."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from toy import write_tiles
from veridical.benching.drawing import conditions
from veridical.benching.run import _check, _prepare
from veridical.benching.spec import read_spec
from veridical.cli import app
from veridical.conditions.delivery import open_data
from veridical.conditions.table import DataSettings
from veridical.conditions.vocabulary import Vocabulary
from veridical.core.errors import InputError
from veridical.recipes.recipe import Recipe
from veridical.recipes.table import RECIPES, settings
from veridical.runs.draw import draw, sample
from veridical.runs.folder import share_budget
from veridical.runs.run import load
from veridical.runs.tensors import read_tensors
from veridical.training.start import train

SMALL = {"size": 32, "batch": 4, "threads": 1, "quiet": True, "warmup": 0, "lr": 0.05, "ema": 0.5}


class Painter(nn.Module):
    """A grey level for each token, and one for each unit of a value; their sum is the image."""

    def __init__(self, channels: int, size: int, vocabulary: int = 2, tokens: int = 8) -> None:
        super().__init__()
        self.shape = (channels, size, size)
        self.words = nn.Embedding(vocabulary, 1, padding_idx=0)
        self.units = nn.Parameter(torch.zeros(1))
        self.tokens = tokens
        nn.init.zeros_(self.words.weight)
        self.parts = {"painter": self}

    def losses(self, batch, step):
        yield "painter", (self.sample(len(batch.image), batch.cond, batch.normal) - batch.image).square().mean()

    def sample(self, n, cond, noise):
        assert cond["text"].shape == cond["value"].shape == (n, self.tokens)
        level = (self.words(cond["text"])[..., 0] + self.units * cond["value"]).sum(1)
        return level.reshape(-1, 1, 1, 1).expand(n, *self.shape)


@pytest.fixture(autouse=True)
def recipe(monkeypatch):
    row = Recipe(
        Painter, "none", "echo", "paints", "nobody", needs=("text",), of_data=("vocabulary", "tokens"),
    )  # fmt: skip
    monkeypatch.setitem(RECIPES, "painter", row)


@pytest.fixture
def tiles(tmp_path):
    """24 training images and 6 held out, dark or bright, with captions that say which and how."""
    from PIL import Image

    folder = write_tiles(tmp_path / "tiles", n=24, size=32)
    rows = []
    for k, path in enumerate(sorted(folder.rglob("*.png"))):
        bright, grey = k % 2, 40 + 20 * (k % 5)
        noise = np.random.default_rng(k).integers(-3, 4, (32, 32))
        Image.fromarray((grey + 100 * bright + noise).astype(np.uint8)).save(path)
        name = path.relative_to(folder).as_posix()
        rows += [{"file_name": name, "text": f"a {'bright' if bright else 'dark'} tile, level {k % 5}"}]
        rows += [{"file_name": name, "text": f"{'bright' if bright else 'dark'}, level {k % 5}"}] * (k % 3 == 0)
    write(folder, rows)
    return folder


def write(folder, rows):
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")


def lines(folder):
    return [json.loads(line) for line in (folder / "captions.jsonl").read_text("utf-8").splitlines()]


def say(run):
    return json.loads((run / "run.json").read_text())


def test_a_toy_system_learns_words_and_numbers_and_is_asked_for_them(tiles, tmp_path, capsys):
    run = train("painter", tiles, tmp_path / "run", text="auto", steps=150, **SMALL)
    said = say(run)
    assert said["text"]["numbers"] == ["level"] and said["text"]["tokenizer"]["file"] == "tokenizer.json"
    assert said["config"]["text"] == "auto" and set(said["args"]) == {"vocabulary", "tokens"}
    prompts = ["a dark tile, level 1", "a bright tile, level 1", "a dark tile, level 3"]
    out = sample(run, 4, tmp_path / "out", prompt=prompts, quiet=True)
    written = json.loads((out / "provenance.json").read_text())
    assert [row["condition"]["text"] for row in written["images"]] == [*prompts, prompts[0]] and "notes" not in written
    from PIL import Image

    dark, bright, brighter, again = (np.asarray(Image.open(p)).mean() for p in sorted(out.glob("painter*.png")))
    assert (
        bright - dark == pytest.approx(100, abs=20) and brighter - dark == pytest.approx(40, abs=10) and again == dark
    )
    assert capsys.readouterr().err == ""
    # Held-out captions, where nothing is asked for; image k is that of tile k whatever the batch.
    first = {row["file_name"]: row["text"] for row in reversed(lines(tiles))}
    out = sample(run, 6, tmp_path / "held", quiet=True)
    told = [row["condition"]["text"] for row in json.loads((out / "provenance.json").read_text())["images"]]
    assert told == [text for name, text in sorted(first.items()) if name.startswith("test/")]
    np.testing.assert_array_equal(draw(load(run), 6, batch=2), draw(load(run), 6, batch=6))


def test_a_prompt_with_words_that_were_never_said_is_noted_once(tiles, tmp_path):
    run = train("painter", tiles, tmp_path / "run", text="auto", steps=1, **SMALL)
    command = ["sample", str(run), "-n", "4", "--out", str(tmp_path / "out"), "--quiet"]
    result = CliRunner().invoke(app, [*command, "--prompt", "brigth tile, level 9", "--prompt", "", "--extrapolate"])
    assert result.exit_code == 0, result.output
    note = "prompt 'brigth tile, level 9': the training captions never say 'brigth' (nearest: 'bright')"
    assert result.stderr.count(note) == 1
    written = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert written["notes"][0] == note and "level' 9 lies outside the training captions, 0 to 4" in written["notes"][1]
    assert [row["condition"]["text"] for row in written["images"]] == ["brigth tile, level 9", ""] * 2
    with pytest.raises(InputError, match="takes no label: leave out --label"):
        sample(run, 1, tmp_path / "no", label="a", quiet=True)
    with pytest.raises(InputError, match="colour is nothing that samples can be asked to be: use one of label, masks"):
        sample(run, 1, tmp_path / "no", colour="red", quiet=True)


def test_a_resumed_run_is_the_run_to_the_bit(tiles, tmp_path):
    whole = train("painter", tiles, tmp_path / "whole", text="auto", steps=8, **SMALL)
    parts = train("painter", tiles, tmp_path / "parts", text="auto", steps=3, **SMALL)
    assert (parts / "tokenizer.json").read_bytes() == (whole / "tokenizer.json").read_bytes()
    train("painter", tiles, parts, resume=True, steps=8, quiet=True)
    one, two = (read_tensors(run / "model.safetensors")[0] for run in (whole, parts))
    assert all(torch.equal(one[k], two[k]) for k in one)
    rows = lines(tiles)
    write(tiles, [rows[0] | {"text": "a dim tile"}, *rows[1:]])
    with pytest.raises(InputError, match=r"is not the data that .* was trained on \(text differs\)"):
        train("painter", tiles, parts, resume=True, steps=9, quiet=True)


def test_a_tile_has_one_of_the_captions_of_its_image_whoever_asks(tiles):
    data = open_data("painter", ("text",), tiles, DataSettings(size=32, text="auto"))
    image, cond = data.batch(60, 3, 7)
    for start, stop in ((0, 20), (20, 60)):
        part = data.batch(60, 3, 7, start, stop)
        np.testing.assert_array_equal(part[1]["text"], cond["text"][start:stop])
        np.testing.assert_array_equal(part[0], image[start:stop])
    plain, _ = open_data("dcgan", (), tiles, DataSettings(size=32)).batch(60, 3, 7)
    np.testing.assert_array_equal(plain, image)  # captions change no other stream
    lengths = (cond["text"] > 0).sum(1)
    several = [len({tuple(row) for row in cond["text"][data.target.drawn(60, 3, 7)[0][:, 0] == k]}) for k in (6, 9, 7)]
    assert max(several[:2]) == 2 and several[2] <= 1 and len(set(lengths.tolist())) == 2
    assert cond["text"].dtype == np.int64 and cond["value"].dtype == np.float32


def test_the_vocabulary_is_that_of_training_captions_alone(tiles):
    def numbers(rows):
        write(tiles, rows)
        data = open_data("painter", ("text",), tiles, DataSettings(size=32, text="auto"))
        return json.loads(data.files()["tokenizer.json"])

    rows = lines(tiles)
    before = numbers(rows)
    held = [row | {"text": "unheard-of 77"} if row["file_name"].startswith("test/") else row for row in rows]
    assert numbers(held) == before
    seen = [row | {"text": "level 77"} if row["file_name"].endswith("train_003.png") else row for row in rows]
    assert numbers(seen)["numbers"]["level"]["high"] == 77


def test_images_without_a_caption_are_kept_and_counted(tiles, tmp_path):
    rows = [row for row in lines(tiles) if not row["file_name"].endswith(("0.png", "1.png"))]
    write(tiles, [*rows, {"file_name": "train/gone.png", "text": "x"}, rows[-1] | {"text": "crack " * 2000}])
    data = open_data("painter", ("text",), tiles, DataSettings(size=32, text="auto"))
    notes = data.target.summary()["notes"]
    assert "8 of 30 images have no caption and are learned without one" in notes
    assert "1 captions are longer than 128 tokens and lose their end" in notes
    assert any("train/gone is no image here; 1 such are left out" in note for note in notes)
    places = data.target.drawn(100, 0, 0)[0][:, 0]
    text = data.batch(100, 0, 0)[1]["text"]
    bare = np.array([data.target.slices.names[k].endswith(("0", "1")) for k in places])
    assert bare.any() and not text[bare].any() and text[~bare].any(1).all()


@pytest.mark.parametrize(
    ("given", "words"),
    [({}, "painter needs captions: give --text auto"), ({"text": "none.jsonl"}, "none.jsonl cannot be read")],
)
def test_captions_that_are_missing(given, words, tiles, tmp_path):
    with pytest.raises(InputError, match=words):
        train("painter", tiles, tmp_path / "run", steps=1, **SMALL, **given)
    for row in (rows := lines(tiles)):
        row["text"] *= row["file_name"].startswith("test/")
    write(tiles, rows)
    with pytest.raises(InputError, match="no training image has a caption"):
        train("painter", tiles, tmp_path / "run", steps=1, **SMALL, text="auto")
    assert not (tmp_path / "run").exists()


def test_a_tokenizer_that_is_gone_or_another_is_refused(tiles, tmp_path):
    run = train("painter", tiles, tmp_path / "run", text="auto", steps=1, **SMALL)
    with (run / "tokenizer.json").open("a") as file:
        file.write("\n")
    with pytest.raises(InputError, match=r"tokenizer.json is not the file that the run was trained with"):
        sample(run, 1, tmp_path / "out", prompt="dark", quiet=True)
    (run / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"tokenizer.json cannot be read"):
        draw(load(run), 1)


def test_the_size_of_the_vocabulary_is_that_of_the_data():
    with pytest.raises(InputError, match="vocabulary are those of the data: change it by other captions"):
        settings("painter", {"vocabulary": 9})


def test_text_is_a_setting_of_the_data_everywhere(tiles, tmp_path):
    spec = tmp_path / "bench.toml"
    spec.write_text(
        "[datasets]\nown = { data = 'tiles', text = 'auto' }\nfile = { data = 'tiles', text = 'a.jsonl' }\n"
        "[recipes]\npainter = {}\n"
    )
    assert read_spec(spec).datasets["own"]["text"] == "auto"
    assert read_spec(spec).datasets["file"]["text"] == str(tmp_path / "a.jsonl")
    spec.write_text("[datasets]\nown = 'tiles'\n[recipes]\npainter = {}\n")
    with pytest.raises(InputError, match=r'painter needs a text, which dataset .* add text = "..." to it'):
        read_spec(spec)
    config, _ = settings("painter", {"text": "auto", "steps": 4})
    assert share_budget(config, {"first": 0.5})[0]["first"]["text"] == "auto"


def test_a_bench_asks_for_the_captions_of_held_out_tiles(tiles, tmp_path):
    spec, out = tmp_path / "bench.toml", tmp_path / "out"
    spec.write_text("size = 32\n[datasets]\nown = { data = 'tiles', text = 'auto' }\n[recipes]\npainter = {}\n")
    out.mkdir()
    _prepare(read_spec(spec), out, *_check(read_spec(spec), out))
    cond, n, distinct = conditions(out / "datasets" / "own", ("text",), 9)
    held = open_data("painter", ("text",), tiles, DataSettings(size=32, text="auto")).conditions("test")
    assert (n, distinct) == (9, 9) and list(cond) == ["text", "value", "spelled"]
    for name, rows in cond.items():
        np.testing.assert_array_equal(rows[:6], held[name])
        np.testing.assert_array_equal(rows[6:], held[name][:3])


def test_a_caption_turns_with_its_tile(tmp_path):
    """A bright corner is where its caption says, however the tile is turned."""
    for which, n in (("train", 8), ("test", 4)):
        (tmp_path / which).mkdir()
        for k in range(n):
            image = np.random.default_rng(k).integers(90, 130, (32, 32)).astype(np.uint8)
            image[:8, :8] += 90
            Image.fromarray(image).save(tmp_path / which / f"{which}{k}.png")
    lines = [
        f'{{"file_name": "{w}{k}.png", "text": "bright in the upper left"}}'
        for w in ("train", "test")
        for k in range(8)
    ]
    (tmp_path / "captions.jsonl").write_text("\n".join(lines[:12]), encoding="utf-8")
    data = open_data("painter", ("text",), str(tmp_path), DataSettings(size=32, text="auto"))
    vocabulary = Vocabulary.from_json(data.files()["tokenizer.json"])
    tiles, cond = data.batch(64, 0, 0)
    seen = set()
    for tile, ids in zip(tiles[:, 0], cond["text"], strict=True):
        said = vocabulary.tokenizer.decode(ids[ids > 0].tolist()).strip()
        y, x = np.argwhere(tile > 0.7 * tile.max()).mean(0)
        assert said == f"bright in the {'upper' if y < 16 else 'lower'} {'left' if x < 16 else 'right'}"
        seen.add(said)
    assert len(seen) == 4


def test_captions_are_read_with_the_words_of_another_run(tiles, tmp_path):
    first = train("painter", tiles, tmp_path / "first", text="auto", steps=1, **SMALL)
    rows = [
        row | {"text": row["text"].replace("tile", "square").replace("level", "at level 1")} for row in lines(tiles)
    ]
    write(tiles, rows)
    asked = {"text": "auto", "tokenizer": str(first), **SMALL}
    run = train("painter", tiles, tmp_path / "run", steps=1, **asked)
    one, two = (Vocabulary.from_json((folder / "tokenizer.json").read_bytes()) for folder in (first, run))
    assert two.reads_as(one) and "square" in two.words and "square" not in one.words
    assert any("'square'" in note for note in say(run)["dataset"]["notes"])
    first.rename(tmp_path / "moved")  # it has all that it needs
    train("painter", tiles, run, steps=2, resume=True, quiet=True)
    assert say(run)["cost"]["steps"] == 2
    with pytest.raises(InputError, match=r"first.*tokenizer\.json"):
        train("painter", tiles, tmp_path / "none", steps=1, **asked)
