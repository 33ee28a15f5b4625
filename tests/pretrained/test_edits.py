"""Edits of files by a pipeline: 16 bits stay outside masks, grey comes back grey, and what the VAE costs is said."""

import json

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from pipelines import SIZE, written
from toy import write_tiles
from veridical import InputError, bench, edit, load, sample
from veridical.data.colour import chroma, coloured, luminance
from veridical.editing.files import edit_file
from veridical.editing.table import EDITS
from veridical.pretrained.words import ELSEWHERE

OWN = {"outpaint": {"right": 8}, "ledits": {"scale": (20.0,), "threshold": (0.3,)}}
HOWS = ("sdedit", "inpaint", "diffedit", "outpaint", "ddim_inversion", "ledits", "prompt_to_prompt")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A pipeline, two grey images of 16 bits, larger than it works on, and a mask."""
    folder = tmp_path_factory.mktemp("hub")
    written(folder / "pipeline")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    for name in "ab":
        image = 20_000 + 6_000 * np.sin(np.arange(90) / 7) + 900 * rng.standard_normal((70, 90))
        tifffile.imwrite(folder / "images" / f"{name}.tif", image.astype(np.uint16))
    mask = np.zeros((70, 90), np.uint8)
    mask[20:40, 30:60] = 1
    Image.fromarray(mask).save(folder / "mask.png")
    return folder


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Toys are too small for more."""
    for module in ("editing.folder", "editing.files", "runs.draw"):
        monkeypatch.setattr(f"veridical.{module}.use_threads", lambda *_: 1)


@pytest.mark.parametrize("how", [*HOWS[:3], *(pytest.param(how, marks=pytest.mark.long) for how in HOWS[3:])])
def test_from_file_to_file(place, tmp_path, how):
    given = {"prompt": "two cracks", "source_prompt": "three cracks", "mask": place / "mask.png"}
    row = EDITS[how]
    given = {name: value for name, value in given.items() if name in (*row.needs, *row.offers)}
    spec, out = f"hub:{place / 'pipeline'}", tmp_path / "out"
    edit(spec, place / "images", out, how, **given, settings={"steps": 3} | OWN.get(how, {}), batch=2, quiet=True)
    record = json.loads((out / "provenance.json").read_text())
    assert record["recipe"] == "hub_stable_diffusion" and len(record["checkpoint"]["sha256"]) == 64
    assert ELSEWHERE in record["notes"] and record["notes"].count(ELSEWHERE) == 1
    for said in record["images"]:
        before, after = tifffile.imread(place / "images" / said["file"]), tifffile.imread(out / said["file"])
        marked = np.asarray(Image.open(out / "masks" / f"{said['image']}.png")) > 0
        assert after.dtype == np.uint16 and after.ndim == 2
        kept = after[: before.shape[0], : before.shape[1]]
        assert (kept == before)[~marked[: before.shape[0], : before.shape[1]]].all()
        assert 0 < said["coding_error"] < 1 and said["chroma"] > 0 and said["changed_share"] > 0


def test_what_the_user_is_told(place, tmp_path, run_command):
    code, _, told = run_command(
        "edit", f"hub:{place / 'pipeline'}", place / "images", "--how", "sdedit", "--out", tmp_path / "out", "--prompt", "a wave",
        "--set", "steps=2", "--quiet",
    )  # fmt: skip
    assert code == 0 and told.count(ELSEWHERE) == 1
    assert "encoding and decoding alone changes these images by" in told and "which was taken off" in told


def test_one_image_is_filled(place, tmp_path):
    out = edit_file(
        f"hub:{place / 'pipeline'}", place / "images" / "a.tif", tmp_path / "a.tif", "inpaint",
        needs={"mask": place / "mask.png"},
        settings={"steps": 2, "resamplings": 1}, quiet=True,
    )  # fmt: skip
    before, after = tifffile.imread(place / "images" / "a.tif"), tifffile.imread(out)
    inside = np.asarray(Image.open(place / "mask.png")) > 0
    assert (after == before)[~inside].all() and (after != before)[inside].mean() > 0.9
    said = json.loads((tmp_path / "a.json").read_text())
    assert said["chroma"] > 0 and 0 < said["coding_error"] < 1
    with pytest.raises(InputError, match="denoises latents, where no pixel can be kept"):
        edit_file(
            f"hub:{place / 'pipeline'}",
            place / "images" / "a.tif",
            tmp_path / "b.tif",
            "streaks",
            settings={"axis": "rows"},
        )


def test_samples_are_like_the_images_they_are_compared_with(place, tmp_path, run_command):
    spec, out = f"hub:{place / 'pipeline'}", tmp_path / "like"
    code, said, told = run_command(
        "sample", spec, "--out", out, "-n", "3", "--prompt", "a wave", "--set", "sampling_steps=2", "--set",
        f"like={place / 'images'}", "--quiet",
    )  # fmt: skip
    assert code == 0 and "3 images" in said and ELSEWHERE in told
    made = tifffile.imread(out / "hub_stable_diffusion_00000.tif")
    assert made.dtype == np.uint16 and made.shape == (SIZE, SIZE)
    record = json.loads((out / "provenance.json").read_text())
    assert (
        record["settings"]["like"] == str(place / "images") and record["chroma"] > 0 and "which was taken off" in told
    )
    assert (out / "captions.jsonl").is_file()
    sample(spec, 1, tmp_path / "plain", prompt="a wave", settings={"sampling_steps": 2}, quiet=True)
    assert np.asarray(Image.open(tmp_path / "plain" / "hub_stable_diffusion_00000.png")).shape == (SIZE, SIZE, 3)
    with pytest.raises(InputError, match="draws what a prompt says: give --prompt"):
        sample(spec, 1, tmp_path / "none", quiet=True)
    with pytest.raises(InputError, match="takes no label: leave out --label"):
        sample(spec, 1, tmp_path / "none", prompt="a wave", label="a", quiet=True)


def test_grey_goes_in_and_comes_out_by_a_fixed_rule():
    rng = np.random.default_rng(0)
    grey, colour = rng.random((2, 1, 5, 7)).astype(np.float32), rng.random((2, 3, 5, 7)).astype(np.float32)
    np.testing.assert_array_equal(luminance(coloured(grey)), grey)
    assert not chroma(coloured(grey)).any()
    np.testing.assert_allclose(
        luminance(colour)[:, 0], np.einsum("c,nchw->nhw", [0.2126, 0.7152, 0.0722], colour), atol=1e-6
    )
    red = np.zeros((1, 3, 4, 4), np.float32)
    red[:, 0, :2] = 0.5
    where = np.zeros((1, 4, 4), bool)
    where[:, :2] = True
    assert chroma(red)[0] == 0.25 and chroma(red, where)[0] == 0.5 and chroma(red, ~where)[0] == 0


def test_other_types_get_a_window_of_the_whole_set(place, tmp_path):
    run = load(f"hub:{place / 'pipeline'}", "cpu", {"like": str(place / "images")})
    assert (
        run.info.channels == 1 and run.window.dtype == "uint16" and 10_000 < run.window.low < run.window.high < 30_000
    )
    eight = tmp_path / "eight"
    eight.mkdir()
    Image.fromarray(np.full((SIZE, SIZE, 3), 90, np.uint8)).save(eight / "a.png")
    run = load(f"hub:{place / 'pipeline'}", "cpu", {"like": str(eight)})
    assert run.info.channels == 3 and (run.window.low, run.window.high) == (0, 255)
    assert torch.is_tensor(run.model.empty)


@pytest.mark.long
def test_a_row_of_a_bench(place, tmp_path):
    """Drawn, not trained, and compared in the window of the data."""
    images = tmp_path / "tiles"
    write_tiles(images, n=30, size=SIZE + 8)
    spec = tmp_path / "bench.toml"
    head = f'size = {SIZE}\nsteps = 2\nsamples = 24\n[datasets]\nblobs = "tiles"\n[recipes]\n'
    row = f'web = {{ recipe = "hub:{place / "pipeline"}", prompt = "a wave", sampling_steps = 2 }}\n'
    spec.write_text(head + row)
    bench(spec, tmp_path / "out", say=lambda _: None)
    cell = tmp_path / "out" / "cells" / "blobs" / "web-seed0"
    assert json.loads((cell / "status.json").read_text())["state"] == "done", (cell / "output.txt").read_text()
    assert np.load(cell / "samples.npy").shape == (24, 1, SIZE, SIZE)
    spec.write_text(head + row.replace('prompt = "a wave", ', ""))
    with pytest.raises(InputError, match="web draws what a prompt says: add prompt"):
        bench(spec, tmp_path / "other")
