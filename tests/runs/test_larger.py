"""Images larger than tiles, of runs: their size, their files, what they are told, and who is refused."""

import json

import numpy as np
import pytest
from PIL import Image

from toy import TOY, UNET, write_tiles
from veridical.core.errors import InputError
from veridical.core.parse import parse_size
from veridical.runs import draw as drawing
from veridical.runs.draw import conditions_of, draw, sample
from veridical.runs.run import load
from veridical.training.start import train


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """An edm, a cfg told a number and one told a class, a mask_diffusion, and a system that does not grow; tiles of 16."""
    folder = tmp_path_factory.mktemp("runs")
    data = write_tiles(folder / "data", n=12, size=48, conditions=True)
    rows = (data / "labels.csv").read_text().splitlines()[1:]
    shares = [f"{row},{k / 10}" for k, row in enumerate(rows)]
    (data / "labels.csv").write_text("\n".join(["name,kind,share", *shares]))
    brief = {"size": 16, "batch": 4, "steps": 1, "quiet": True}
    short = {**UNET, "sampling_steps": 4}
    train("random_phase", data, folder / "plain", **brief)
    train("edm", data, folder / "edm", **brief, **short)
    train("cfg", data, folder / "number", **brief, **short, label="share")
    train("cfg", data, folder / "class", **brief, **short, label="kind")
    masks = {k: v for k, v in TOY["mask_diffusion"].items() if k != "classes"}
    train("mask_diffusion", data, folder / "masks", **brief, **masks)
    return folder


def test_one_tile_is_what_it_was_and_image_k_depends_on_nothing_else(runs):
    run = load(runs / "edm")
    assert np.array_equal(draw(run, 3, size=16), draw(run, 3))
    many = draw(run, 3, size=(24, 40), batch=50, seed=1)
    alone = draw(run, 1, size=(24, 40), batch=4, seed=1)
    assert many.shape == (3, 1, 24, 40)
    np.testing.assert_allclose(many[:1], alone, atol=1e-3)
    assert np.abs(many[0] - many[1]).max() > 0.05 and np.abs(draw(run, 1, size=(24, 40)) - alone).max() > 0.05


def test_periodic_images_go_on_at_the_opposite_side(runs):
    run = load(runs / "edm")
    jumps = {}
    for periodic in (False, True):
        images = draw(run, 8, size=(32, 32), periodic=periodic)
        jumps[periodic] = np.abs(images[..., 0] - images[..., -1]).mean() / np.abs(np.diff(images)).mean()
    assert jumps[True] < 1.3 < 1.6 < jumps[False]


def test_files_of_a_size_are_streamed_and_a_stopped_draw_goes_on(runs, tmp_path, monkeypatch):
    asked = {"seed": 2, "batch": 12, "size": (24, 32), "quiet": True}  # four images at a time
    sample(runs / "edm", 6, tmp_path / "whole", **asked)
    record = json.loads((tmp_path / "whole" / "provenance.json").read_text())
    assert record["size"] == [24, 32] and record["periodic"] is False and len(record["images"]) == 6
    original, seen = drawing.drawn, []

    def stopping(run, numbers, *rest):
        seen.append(len(numbers))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return original(run, numbers, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(drawing, "drawn", stopping)
        with pytest.raises(KeyboardInterrupt):
            sample(runs / "edm", 6, tmp_path / "parts", **asked)
    assert seen == [4, 2] and len(list((tmp_path / "parts").glob("edm_*.png"))) == 4
    with pytest.raises(InputError, match="another size"):
        sample(runs / "edm", 6, tmp_path / "parts", **asked | {"size": (32, 24)})
    with pytest.raises(InputError, match="another periodic"):
        sample(runs / "edm", 6, tmp_path / "parts", **asked, periodic=True)
    sample(runs / "edm", 6, tmp_path / "parts", **asked)
    for path in (tmp_path / "whole").glob("*.png"):
        assert path.read_bytes() == (tmp_path / "parts" / path.name).read_bytes()
        assert path.name == "grid.png" or Image.open(path).size == (32, 24)


def test_a_map_of_a_label_runs_over_the_range_of_the_training_images(runs, tmp_path):
    run = load(runs / "number")
    counts = np.zeros((20, 20), np.uint16)
    counts[:, 10:] = 65535
    Image.fromarray(counts).save(tmp_path / "map.png")
    asked = conditions_of(run, 2, (40, 60), label=f"@{tmp_path / 'map.png'}")
    shown = asked.cond["label"]
    ends = conditions_of(run, 2).cond["label"]
    assert shown.shape == (2, 40, 60) and "map.png" in asked.words(0)["share"]
    np.testing.assert_allclose(shown[:, :, [0, -1]], np.broadcast_to(ends, (2, 40, 2)), atol=1e-5)
    images = draw(run, 1, size=(40, 60), label=f"@{tmp_path / 'map.png'}")
    assert images.shape == (1, 1, 40, 60) and np.isfinite(images).all()


def test_what_no_map_can_be_is_a_sentence(runs, tmp_path):
    grey, colour = tmp_path / "grey.png", tmp_path / "colour.png"
    Image.new("L", (20, 20)).save(grey)
    Image.new("RGB", (20, 20)).save(colour)
    number, kind = load(runs / "number"), load(runs / "class")
    with pytest.raises(InputError, match="give --size"):
        draw(number, 1, label=f"@{grey}")
    with pytest.raises(InputError, match="no grey image"):
        draw(number, 1, size=32, label=f"@{colour}")
    with pytest.raises(InputError, match="has classes"):
        draw(kind, 1, size=32, label=f"@{grey}")
    with pytest.raises(InputError, match="stands among maps"):
        draw(number, 1, size=32, label=["0.3", f"@{grey}"])


def test_label_images_are_cut_to_the_size(runs):
    run, masks = load(runs / "masks"), runs / "data" / "train" / "masks"
    assert draw(run, 1, size=32, masks=str(masks)).shape == (1, 1, 32, 32)
    with pytest.raises(InputError, match="square"):
        draw(run, 1, size=(32, 40), masks=str(masks))


def test_what_is_too_small_or_does_not_grow_is_a_sentence(runs):
    with pytest.raises(InputError, match=r"random_phase draws tiles of 16 x 16 pixels and nothing else"):
        draw(load(runs / "plain"), 1, size=32)
    assert draw(load(runs / "plain"), 1, size=16).shape == (1, 1, 16, 16)
    with pytest.raises(InputError, match=r"size 64x8 is less than the tiles.*give at least 16x16"):
        draw(load(runs / "edm"), 1, size=(8, 64))
    with pytest.raises(InputError, match="pixels in one image"):
        draw(load(runs / "edm"), 1, size=10**6)
    assert parse_size("1024x768") == (768, 1024) and parse_size("512") == (512, 512)
    for text in ("", "x", "12x", "1x2x3", "-5x3", "1e3"):
        with pytest.raises(InputError, match="is no size"):
            parse_size(text)
