"""New images of a bench from generators behind an API: our own server with the real client, and one that does as it likes."""

import json

import numpy as np
import pytest

from serving import faked, running
from toy import TOY, write_tiles
from veridical.benching.away import counts_as, drawn_away
from veridical.benching.run import bench
from veridical.benching.spec import read_spec
from veridical.conditions.table import SIZES
from veridical.conditions.text import captions_of
from veridical.core.errors import InputError
from veridical.data.open import open_dataset
from veridical.data.window import IntensityWindow
from veridical.hub.hosted import Hosted
from veridical.runs.draw import draw
from veridical.runs.run import load
from veridical.server.served import load_all
from veridical.server.service import Service
from veridical.training.start import train

SIZE = 16
FLOATS = IntensityWindow(0.0, 1.0, "float32")


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A run that hears words, of 16 bits, beside its data ``deep``."""
    folder = tmp_path_factory.mktemp("told")
    data = write_tiles(folder / "deep", n=12, size=24, conditions=True, dtype="uint16")
    own = {key: value for key, value in TOY["text_to_image"].items() if key not in SIZES}
    return train("text_to_image", data, folder / "told", steps=1, size=SIZE, batch=4, quiet=True, text="auto", **own)


HEAD = "size = 16\nsteps = 1\nsamples = 7\ntiles = 8\n[datasets]\n"


@pytest.mark.long
def test_a_row_is_told_captions_of_held_out_tiles_and_drawn_by_the_server(told, tmp_path):
    data = told.parent / "deep"
    spec, out = tmp_path / "bench.toml", tmp_path / "out"
    with running(Service(load_all([told], "cpu", None))) as url:
        spec.write_text(
            f"{HEAD}deep = {{ data = '{data}', text = 'auto' }}\n[recipes]\n"
            f"away = {{ recipe = 'hosted:told@{url}', negative_prompt = 'waves' }}\nfree = {{ recipe = 'hosted:' }}\n"
        )
        page = bench(spec, out, say=lambda _: None).read_text()
    cell = out / "cells" / "deep" / "away-seed0"
    assert json.loads((cell / "status.json").read_text())["state"] == "done", (cell / "output.txt").read_text()
    assert json.loads((cell.parent / "free-seed0" / "status.json").read_text())["state"] == "skipped"
    # Image k of the server is image k of that seed drawn here, of the caption of held-out tile k, but for its 8 bits.
    target = open_dataset(str(data), SIZE, validation=0.0)
    captions = captions_of(target, "auto", "test", 8)
    prompts = [captions[k % len(captions)] for k in range(7)]
    assert json.loads((cell / "prompts.json").read_text()) == prompts and len(set(captions)) > 1
    run = load(told, "cpu")
    mine = draw(run, 7, seed=1, prompt=prompts, negative_prompt=["waves"], extrapolate=True)
    mine = target.window.to_unit(run.window.from_unit(mine))
    np.testing.assert_allclose(np.load(cell / "samples.npy"), mine, atol=0.5 / 255 + 1e-4)
    cost = json.loads((cell / "cost.json").read_text())
    assert cost["paid"]["requests"] == len(list((cell / "responses").iterdir())) == 7 and cost["device"] == "a server"
    rows = {row["metric"]: row for row in json.loads((cell / "rows.json").read_text())}
    assert rows["chroma"]["value"] == 0 and any("sent with 8 bits" in (row["remark"] or "") for row in rows.values())
    assert "7 requests" in page and "nobody gave one" in page


def test_what_comes_is_made_such_as_the_tiles(tmp_path):
    with faked() as (fake, spec):
        fake.tint, fake.size = 30, (40, 40)
        sent = drawn_away(Hosted(spec, tmp_path / "a"), ["a", "b"], 0, {"size": "1024x1024"}, FLOATS, 1, 8)
        assert sent.images.shape == (2, 1, 8, 8) and sent.remarks == (
            "sent with 8 bits",
            "resampled from 40 x 40 pixels",
        )
        np.testing.assert_allclose(sent.chroma, 30 / 255, atol=1e-6)
        assert fake.asked[0]["size"] == "1024x1024" and "extrapolate" not in fake.asked[0]
        colour = drawn_away(Hosted(spec, tmp_path / "b"), ["a"], 0, {}, FLOATS, 3, 40)
        assert colour.images.shape == (1, 3, 40, 40) and colour.chroma.tolist() == [0]
        np.testing.assert_allclose(colour.images[0, 0] - colour.images[0, 1], 30 / 255, atol=1e-6)
        asked = len(fake.asked)
        drawn_away(Hosted(spec, tmp_path / "b"), ["a"], 0, {}, FLOATS, 3, 40)
        assert len(fake.asked) == asked  # it is kept
        fake.size = (40, 60)
        with pytest.raises(InputError, match="60 x 40 pixels, and tiles are square"):
            drawn_away(Hosted(spec, tmp_path / "c"), ["a"], 0, {}, FLOATS, 1, 8)
        fake.routes = ("edits",)
        with pytest.raises(InputError, match=r"draws no images from nothing: write it in .edits.,"):
            drawn_away(Hosted(spec, tmp_path / "d"), ["a"], 0, {}, FLOATS, 1, 8)


def test_what_black_and_white_stand_for():
    half = np.full((1, 1, 2, 2), 128 / 255, np.float32)
    deep, eight = IntensityWindow(100.0, 300.0, "uint16"), IntensityWindow(28.0, 228.0, "uint8")
    assert counts_as(half, {}, eight)[0, 0, 0, 0] == pytest.approx(0.5)  # counts as they are
    assert counts_as(half, {}, deep)[0, 0, 0, 0] == pytest.approx(128 / 255)  # from black to white of the window
    ours = {"dtype": "uint16", "low": 0.0, "high": 510.0}
    assert counts_as(half, ours, deep)[0, 0, 0, 0] == pytest.approx((256 - 100) / 200)  # as our server says
    assert counts_as(half, ours, eight)[0, 0, 0, 0] == pytest.approx(0.5)  # of data of another type it says nothing


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("recipe = 'hosted:x@nowhere', prompt = 'a'", "names no model and address"),
        ("recipe = 'hosted:x@http://a/v1'", "add prompt = .*, or give dataset 'grey' captions"),
        ("recipe = 'hosted:x@http://a/v1', prompt = 3", "draws what a prompt says: write prompt"),
        ("recipe = 'hosted:x@http://a/v1', prompt = []", "draws what a prompt says: write prompt"),
        ("recipe = 'hosted:x@http://a/v1', prompt = 'a', lr = 1", "has no setting 'lr'"),
        ("recipe = 'hosted:x@http://a/v1', prompt = 'a', datasets = ['b']", "names the dataset 'b'"),
    ],
)
def test_what_cannot_be_asked_of_a_server_is_one_sentence(tmp_path, row, message):
    spec = tmp_path / "bench.toml"
    spec.write_text(f"{HEAD}grey = 'x'\n[recipes]\naway = {{ {row} }}")
    with pytest.raises(InputError, match=message):
        read_spec(spec)


def test_edits_may_name_the_row_of_a_server(tmp_path):
    spec = tmp_path / "bench.toml"
    text = f"{HEAD.replace('16', '64')}cmc = {{ data = 'phantom:cmc?n=8&size=64', text = 'auto' }}\n"
    text += "[changes]\ncmc = ['add_crack']\n"
    text += "[recipes]\naway = { recipe = 'hosted:x@http://a/v1' }\n[edits.inpaint]\nrun = 'away'\nmask = true\n"
    spec.write_text(text)
    assert read_spec(spec).edits["inpaint"].run == "hosted:x@http://a/v1"
    spec.write_text(f"{text}[edits.sdedit]\nrun = 'away'\n")
    with pytest.raises(InputError, match="a hosted generator has inpaint"):
        read_spec(spec)
    spec.write_text(f"{text}settings = {{ steps = 3 }}\n")
    with pytest.raises(InputError, match="no setting 'steps'"):
        read_spec(spec)
