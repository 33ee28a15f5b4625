"""Hints of images and of label images for the ControlNet of a pipeline, from the command line."""

import json

import numpy as np
import pytest
import tifffile
import torch
from diffusers import ControlNetModel
from PIL import Image

from pipelines import SIZE, components, written
from veridical import InputError, draw, edit, load
from veridical.benching.editing import redraw
from veridical.diffusion.tiles import tiled
from veridical.pretrained.hints import colours_of, drawn_hints, painted, read_hints

PAINTED = {"hint": "labels", "colours": "1=#ff0000,2=#0000ff"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A pipeline, a ControlNet for it, grey images of 16 bits with label images, and larger ones."""
    folder = tmp_path_factory.mktemp("hinted")
    parts = components()
    written(folder / "pipeline", parts)
    torch.manual_seed(1)
    control = ControlNetModel.from_unet(parts["unet"], conditioning_embedding_out_channels=(16, 32)).eval()
    for parameter in control.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    control.save_pretrained(folder / "control")
    rng = np.random.default_rng(0)
    for name, shape in (("images", (SIZE, SIZE)), ("large", (70, 90))):
        (folder / name / "masks").mkdir(parents=True)
        for letter in "ab":
            labels = np.zeros(shape, np.uint8)
            labels[20:40, 10:30] = 1 + (letter == "b")
            image = 20_000 + 9_000 * (labels > 0) + 300 * rng.standard_normal(shape)
            tifffile.imwrite(folder / name / f"{letter}.tif", image.astype(np.uint16))
            Image.fromarray(labels).save(folder / name / "masks" / f"{letter}.png")
    return folder


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    for module in ("editing.folder", "runs.draw"):
        monkeypatch.setattr(f"veridical.{module}.use_threads", lambda *_: 1)


def opened(place, **settings):
    return load(
        f"hub:{place / 'pipeline'}", "cpu", {"controlnet": str(place / "control"), "sampling_steps": 2} | settings
    )


def test_edges_of_images_are_white_on_black(place):
    hints, names = read_hints("canny", "", place / "images", SIZE)
    assert hints.shape == (2, 3, SIZE, SIZE) and set(np.unique(hints)) == {0, 1} and names[0].startswith("a")
    inner = hints[0, 0, 25:35, 13:27]
    assert hints[0, 0, 18:23, 15:25].any() and not inner.any()
    with pytest.raises(InputError, match="hints are pictures of 8 bits: save them so, or add --set hint=canny"):
        read_hints("", "", place / "images", SIZE)
    with pytest.raises(InputError, match="made of images of 64 x 64 pixels"):
        read_hints("canny", "", place / "large", SIZE)


def test_label_images_are_painted(place):
    text = "1=#ff0000, 2=0000FF"
    hints, _ = read_hints("labels", text, place / "images" / "masks", SIZE)
    assert hints[0, :, 30, 20].tolist() == [1, 0, 0] and hints[1, :, 30, 20].tolist() == [0, 0, 1]
    assert not hints[:, :, 0, 0].any()
    with pytest.raises(InputError, match=r"label value 2 has no colour: add it, as in --set colours=2=#ff0000"):
        read_hints("labels", "1=#ff0000", place / "images" / "masks", SIZE)
    assert painted(np.array([[[0, 7]]]), {0: (255, 0, 0), 7: (0, 255, 0)}, "x")[0].tolist() == [
        [[1, 0]],
        [[0, 1]],
        [[0, 0]],
    ]
    for bad in ("1=red", "1=#ff0000,1=#00ff00", "#ff0000"):
        with pytest.raises(InputError, match=r"colours=.* cannot be: write label values and colours"):
            colours_of(bad)


@pytest.mark.parametrize(
    ("settings", "given"),
    [({"hint": "canny"}, {"source": "images"}), (PAINTED, {"masks": "images/masks"})],
    ids=["canny", "labels"],
)  # fmt: skip
def test_samples_are_steered_by_images_and_labels(place, settings, given):
    run = opened(place, **settings)
    asked = {name: str(place / value) for name, value in given.items()}
    images = draw(run, 2, seed=3, prompt="a wave", **asked)
    (spec,) = asked.values()
    hints, _ = read_hints(settings["hint"], settings.get("colours", ""), spec, SIZE)
    picture = draw(opened(place), 2, seed=3, prompt="a wave", source=hints)  # those very hints, as pictures
    np.testing.assert_allclose(images, picture, atol=1e-6)
    other = draw(run, 2, seed=3, prompt="a wave", **{next(iter(asked)): hints[::-1].copy()})
    assert np.abs(images - other).max() > 1e-3
    with pytest.raises(InputError, match=f"give them with --{next(iter(given))} DATA"):
        draw(run, 1, prompt="a wave")


@pytest.mark.parametrize("settings", [{"hint": "canny"}, PAINTED], ids=["canny", "labels"])
def test_edits_are_steered_by_the_image_or_its_labels(place, tmp_path, settings):
    spec, more = f"hub:{place / 'pipeline'}", {"controlnet": str(place / "control"), "steps": 2, "strength": 0.5}
    both = {}
    for name, how in (("with", more | settings), ("without", more)):
        edit(spec, place / "large", tmp_path / name, "sdedit", prompt="a wave", settings=how, quiet=True)
        both[name] = tifffile.imread(tmp_path / name / "a.tif")
    assert (both["with"] != both["without"]).mean() > 0.1
    record = json.loads((tmp_path / "with" / "provenance.json").read_text())
    assert record["settings"]["hint"] == settings["hint"]
    with pytest.raises(InputError, match="outpaint is not steered by hints"):
        edit(
            spec, place / "large", tmp_path / "x", "outpaint", settings={**more, **settings, "right": 8, "strength": 1},
            quiet=True,
        )  # fmt: skip


def test_each_tile_of_a_large_image_is_told_its_part_of_the_hint():
    seen = []

    def denoise(x, sigma, cond):
        seen.append(cond["hint"])
        return x

    hint = torch.arange(70 * 90).float().reshape(1, 1, 70, 90).expand(1, 3, 70, 90)
    tiled(denoise, 32)(torch.zeros(1, 4, 35, 45), torch.ones(1), {"hint": hint})
    corners = {int(part[0, 0, 0, 0]) for tiles in seen for part in [tiles[k : k + 1] for k in range(len(tiles))]}
    assert corners == {0, 26, 6 * 90, 6 * 90 + 26} and all(tiles.shape[2:] == (64, 64) for tiles in seen)


def test_a_new_image_by_the_words_is_steered_by_what_was_before(place):
    rng = np.random.default_rng(0)
    before = rng.random((2, 1, SIZE, SIZE)).astype(np.float32)
    run = opened(place)
    found = redraw(run, ["a wave", "two cracks"], before, None, seed=3)
    np.testing.assert_allclose(
        found, draw(run, 2, seed=3, prompt=["a wave", "two cracks"], source=drawn_hints("canny", before)), atol=1e-6
    )
    labels = opened(place, hint="labels", colours="1=#ff0000")
    with pytest.raises(InputError, match=r"told label images .hint=labels., which these have not"):
        redraw(labels, ["a wave"] * 2, before, None, seed=3)
    masks = (before[:, 0] > 0.5).astype(np.uint8)
    assert np.abs(redraw(labels, ["a wave", "two cracks"], before, masks, seed=3) - found).max() > 1e-3


def test_what_does_not_go_together_is_refused(place):
    with pytest.raises(InputError, match="has no ControlNet, which hint=canny is for"):
        load(f"hub:{place / 'pipeline'}", "cpu", {"hint": "canny"})
    with pytest.raises(InputError, match="go together: give both"):
        opened(place, hint="labels")
    with pytest.raises(InputError, match="go together: give both"):
        opened(place, colours="1=#ff0000")
