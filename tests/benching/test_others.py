"""Rows of pipelines of other people: what is read, what they are told, what they draw, and what is refused before a start."""

import json
from pathlib import Path

import numpy as np
import pytest
from diffusers import DiTPipeline, FluxPipeline, StableDiffusion3Pipeline, StableDiffusionInpaintPipeline

from pipelines import components, components_dit, components_flux, components_sd3, written
from toy import write_tiles
from veridical.benching import run as benching
from veridical.benching.drawing import draw_others
from veridical.benching.editing import counted
from veridical.benching.others import row_classes
from veridical.benching.run import bench
from veridical.benching.spec import read_spec
from veridical.conditions.text import captions_of
from veridical.core.errors import InputError
from veridical.data.labels import Labels
from veridical.data.open import open_dataset
from veridical.editing.edit import Given
from veridical.editing.folder import edited
from veridical.pretrained.classes import PipelineClasses
from veridical.runs.draw import draw
from veridical.runs.run import load

SIZE = 32
NAMED = {0: "tench, Tinca", 1: "c", 2: "a", 3: "b"}
SHORT = "sampling_steps = 2"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Pipelines beside tiles whose classes are a, b and c."""
    folder = tmp_path_factory.mktemp("others")
    for name, parts, kind in (
        ("dit", components_dit(), DiTPipeline),
        ("sd3", components_sd3(), StableDiffusion3Pipeline),
        ("flux", components_flux(), FluxPipeline),
        ("inpaint", components(beside=5), StableDiffusionInpaintPipeline),
    ):
        written(folder / name, parts, kind)
    index = folder / "dit" / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"id2label": NAMED}))
    write_tiles(folder / "tiles", n=12, size=SIZE, conditions=True)
    return folder


def spec_of(place, rows, size=SIZE, about="text = 'auto', label = 'kind'", more=""):
    path = place / "bench.toml"
    path.write_text(
        f"size = {size}\nsteps = 1\nsamples = 5\ntiles = 6\n[datasets]\nt = {{ data = 'tiles', {about} }}\n"
        f"{more}[recipes]\n{rows}"
    )
    return path


def prepared(place, out, rows, monkeypatch, **how):
    """What a bench says of its rows, and where it keeps its tiles, before any of its cells is done."""
    monkeypatch.setattr(benching, "_work", lambda *_: Path())
    bench(spec_of(place, rows, **how), out)
    return json.loads((out / "spec.json").read_text())["recipes"], out / "datasets" / "t"


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ("", [2, 3, 1, 2, 3]),  # of held-out tiles a, b, c, a, b
        (", label = { a = 'tench', b = 7, c = '9' }", [0, 7, 9, 0, 7]),
        (", label = ['Tinca', 5]", [0, 5, 0, 5, 0]),
        (", label = 4", [4] * 5),
    ],
)
def test_classes_of_the_data_or_of_the_row(place, tmp_path, monkeypatch, row, wanted):
    rows, tiles = prepared(place, tmp_path / "out", f"dit = {{ recipe = 'hub:dit', {SHORT}{row} }}", monkeypatch)
    (about,) = rows.values()
    assert about["needs"] == (["label"] if not row or "{" in row else []) and about["family"] == "pipelines"
    target = open_dataset(str(place / "tiles"), SIZE, validation=0.0)
    drawn = draw_others(about["recipe"], about["args"], target, tiles, tmp_path, 5, 3)
    assert json.loads((tmp_path / "classes.json").read_text()) == [str(k) for k in wanted]
    run = load(f"hub:{place / 'dit'}", "cpu", {"sampling_steps": 2, "like": target.spec})
    mine = draw(run, 5, seed=3, label=[str(k) for k in wanted])
    np.testing.assert_allclose(drawn.images, target.window.to_unit(run.window.from_unit(mine)), atol=1e-5)
    assert drawn.redraw is None and drawn.chroma is not None and len(drawn.chroma) == 5


@pytest.mark.parametrize("kind", ["sd3", "flux"])
def test_transformers_are_told_captions_and_draw_tiles(place, tmp_path, monkeypatch, kind):
    how = {"sd3": "t5 = false", "flux": f"side = {SIZE}"}[kind]
    row = f"{kind} = {{ recipe = 'hub:{kind}', {SHORT}, text_tokens = 16, {how} }}"
    rows, tiles = prepared(place, tmp_path / "out", row, monkeypatch)
    about = rows[kind]
    target = open_dataset(str(place / "tiles"), SIZE, validation=0.0)
    drawn = draw_others(about["recipe"], about["args"], target, tiles, tmp_path, 5, 3)
    captions = captions_of(target, "auto", "test", 6)
    said = [captions[k % len(captions)] for k in range(5)]
    assert json.loads((tmp_path / "prompts.json").read_text()) == said and about["needs"] == ["text"]
    run = load(f"hub:{place / kind}", "cpu", about["args"] | {"like": target.spec})
    mine = draw(run, 5, seed=3, prompt=said)
    np.testing.assert_allclose(drawn.images, target.window.to_unit(run.window.from_unit(mine)), atol=1e-5)
    again = drawn.redraw(["a wave", "cracks"], drawn.images[:2], None, 1)
    assert again.shape == (2, 1, SIZE, SIZE) and np.isfinite(again).all()


def test_evaluations_of_transformers_are_counted(place):
    run = load(f"hub:{place / 'dit'}", "cpu", {"sampling_steps": 2, "guidance_scale": 1.0})
    seen = []
    run.model.transformer.register_forward_hook(lambda net, given, out: seen.append(len(out.sample)))
    with counted(run.model) as calls:
        edited(run, np.full((2, 3, SIZE, SIZE), 0.5, np.float32), "sdedit", given=Given(), settings={"steps": 4})
    assert calls[0] == sum(seen) >= 4


ROWS = {
    "recipe = 'hub:nowhere/at/all'": "bench.toml: x: nowhere/at/all is not there",
    "recipe = 'hub:inpaint', prompt = 'a'": "a pipeline of inpainting, which draws no images from nothing: write it in .edits.",
    "recipe = 'hub:dit', prompt = 'a'": "draws classes and hears no words: write label in place of prompt",
    "recipe = 'hub:dit', label = 'perch'": "label=perch is no class of this pipeline: give a number from 0 to 999, or a name",
    "recipe = 'hub:dit', label = []": "draws classes: write label =",
    "recipe = 'hub:dit', label = true": "draws classes: write label =",
    "recipe = 'hub:dit', label = { a = 1, b = 2 }": "has no class called 'c', as kind of the data has: write label = { \"c\" =",
    "recipe = 'hub:dit', size = 3": "x sets size, which is of the bench",
    "recipe = 'hub:dit', side = 64": "x draws images of one size alone: leave out side = 64",
    "recipe = 'hub:sd3', t5 = false, label = 3": "draws what a prompt says and knows no classes: leave out label",
    "recipe = 'hub:sd3', prompt = 'a', side = 48": "x draws images of 48 pixels: set size = 48 in the bench, or side = 32",
    "recipe = 'hub:flux', prompt = 'a'": "x draws images of 256 pixels: set size = 256 in the bench, or side = 32 in the row",
    "recipe = 'hub:sd3', prompt = 3": "draws what a prompt says: write prompt",
    "recipe = 'hub:sd3', prompt = 'a', lr = 3": "x has no setting 'lr'",
}


@pytest.mark.parametrize("row", ROWS)
def test_what_cannot_be_is_one_sentence_before_anything_is_drawn(place, tmp_path, row, monkeypatch):
    with pytest.raises(InputError, match=ROWS[row]) as error:
        prepared(place, tmp_path / "out", f"x = {{ {row} }}", monkeypatch)
    assert str(error.value).count("\n") == 0 and not (tmp_path / "out").exists()


def test_a_pipeline_of_classes_needs_some(place, tmp_path, monkeypatch):
    row = "x = { recipe = 'hub:dit' }"
    with pytest.raises(InputError, match="or give dataset 't' a label whose classes it draws"):
        read_spec(spec_of(place, row, about="text = 'auto'"))
    table = place / "tiles" / "numbers.csv"
    names = [path.stem for path in sorted((place / "tiles").rglob("*.png")) if path.parent.name != "masks"]
    table.write_text("name,amount\n" + "\n".join(f"{name},{k}.5" for k, name in enumerate(names)))
    with pytest.raises(InputError, match="amount has numbers: make them some with bins"):
        prepared(place, tmp_path / "out", row, monkeypatch, about="label = 'tiles/numbers.csv:amount'")


def test_numbers_that_are_names_of_classes_of_the_data_are_no_classes_of_the_pipeline():
    known = PipelineClasses(10, {"0": "a"})
    with pytest.raises(InputError, match="has no class called '3', as folder of the data has"):
        row_classes("x", None, known, Labels("folder", ("3", "a")))


def test_folders_of_a_row_are_found_beside_the_file(place):
    row = f"x = {{ recipe = 'hub:sd3', prompt = 'a', {SHORT}, config = 'dit', controlnet = 'OWNER/NAME' }}"
    with pytest.raises(InputError, match="no ControlNet is added"):
        read_spec(spec_of(place, row))
    given = read_spec(spec_of(place, row.replace(", controlnet = 'OWNER/NAME'", ""))).recipes["x"]
    assert given.args["config"] == str(place / "dit") and given.recipe == f"hub:{place / 'sd3'}"


@pytest.mark.long
def test_a_bench_of_transformers(place, tmp_path):
    rows = f"dit = {{ recipe = 'hub:dit', {SHORT} }}\n"
    rows += f"flux = {{ recipe = 'hub:flux', side = {SIZE}, {SHORT}, text_tokens = 16 }}\n"
    edits = "[edits.sdedit]\nrun = 'flux'\nsettings = { steps = 2 }\n"
    changes = "[changes]\nt = [{ prompt = 'waves of kind a' }]\n"
    bench(spec_of(place, rows + edits, more=changes), tmp_path / "out", say=lambda _: None)
    for folder in ("cells/t/dit-seed0", "cells/t/flux-seed0", "edits/t/sdedit-seed0"):
        place = tmp_path / "out" / folder
        assert json.loads((place / "status.json").read_text())["state"] == "done", (place / "output.txt").read_text()
    cost = json.loads((place / "cost.json").read_text())
    assert cost["evaluations"] > 0
