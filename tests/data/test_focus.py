"""Tiles by what is in them: how often they are drawn, that scores undo it, and that nothing else changes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from veridical.core.errors import InputError
from veridical.core.notes import heard
from veridical.data.focus import Focus, contrast, focus_of, focus_on, undone
from veridical.data.images import ImageSet, read_images
from veridical.data.open import open_dataset
from veridical.recipes.config import TrainConfig
from veridical.runs.real import cut_alike
from veridical.training.start import train


@pytest.fixture(scope="module")
def sparse(tmp_path_factory):
    """Ten images of 96 x 96, even but for stripes in an eighth of them."""
    folder, rng = tmp_path_factory.mktemp("sparse"), np.random.default_rng(0)
    for k in range(10):
        image = rng.normal(30000, 300, (96, 96))
        image[:48, :24] += 15000 * (np.arange(24) // 4 % 2)
        tifffile.imwrite(folder / f"s{k}.tif", image.astype(np.uint16))
    return folder


def rich(images):
    return contrast(images) > 0.1


def test_full_tiles_are_drawn_by_their_weight(sparse):
    plain, data = (open_dataset(sparse, 16, focus=factor) for factor in (1.0, 8.0))
    every = np.concatenate([plain.batch(256, step, 0)["image"] for step in range(6)])
    drawn = np.concatenate([data.batch(256, step, 0)["image"] for step in range(6)])
    weights = data.focus.weights(every)
    assert 1 <= weights.min() < 1.1 and 7 < weights.max() <= 8
    expected = weights[rich(every)].sum() / weights.sum()
    assert 3 * rich(every).mean() < expected
    assert abs(rich(drawn).mean() - expected) < 4 * np.sqrt(2 * expected * (1 - expected) / len(drawn))
    kept = drawn[data.focus.natural(drawn)]  # as if all had been drawn alike
    assert abs(rich(kept).mean() - rich(every).mean()) < 4 * np.sqrt(
        rich(every).mean() * (1 / len(kept) + 1 / len(every))
    )
    assert abs(contrast(kept).mean() - contrast(every).mean()) < 0.1 * contrast(drawn).mean()
    assert abs(len(kept) / len(drawn) - data.focus.kept) < 0.06


def test_nothing_else_of_the_data_changes(sparse):
    plain, data = (open_dataset(sparse, 16, focus=factor) for factor in (1.0, 8.0))
    assert plain.fingerprint == data.fingerprint and plain.focus is None and "focus" not in plain.summary()
    for which in ("train", "test"):
        np.testing.assert_array_equal(plain.tiles(which)[0], data.tiles(which)[0])
    whole = data.batch(8, 3, 0)["image"]
    np.testing.assert_array_equal(data.batch(8, 3, 0, 2, 5)["image"], whole[2:5])  # tile k, whoever asks
    assert focus_of(json.loads(json.dumps(data.summary())), "x") == data.focus


def test_samples_are_brought_back_and_it_is_said(sparse, tmp_path):
    data = open_dataset(sparse, 16, focus=8)
    for k, image in enumerate(data.batch(64, 0, 0)["image"]):
        tifffile.imwrite(tmp_path / f"a{k:02d}.tif", data.window.from_unit(image[0]))
    samples = read_images(tmp_path, window=data.window)
    assert undone(tmp_path, samples, None) is samples
    (tmp_path / "provenance.json").write_text(json.dumps({"dataset": {"focus": data.focus.to_json()}}))
    with heard() as notes:
        left = undone(tmp_path, samples, None)
    assert 8 < len(left.images) == len(left.names) < 64 and f"{len(left.names)} of 64 samples are compared" in notes[0]
    assert rich(left.images).mean() < rich(samples.images).mean()
    (tmp_path / "provenance.json").write_text(json.dumps({"dataset": {"focus": data.focus.to_json() | {"full": 0.0}}}))
    with pytest.raises(InputError, match="damaged"):
        undone(tmp_path, samples, None)


def test_neither_another_window_nor_smaller_tiles_change_what_is_kept(sparse, tmp_path):
    """A folder of real images has a window of its own, and scores may be of tiles cut smaller: whole samples were weighed."""
    data = open_dataset(sparse, 16, focus=8)
    for k, image in enumerate(data.batch(64, 0, 0)["image"]):
        tifffile.imwrite(tmp_path / f"a{k:02d}.tif", data.window.from_unit(image[0]))
    (tmp_path / "provenance.json").write_text(json.dumps({"dataset": {"focus": data.focus.to_json()}}))
    wide = replace(data.window, high=4 * data.window.high)
    one, other = (undone(tmp_path, read_images(tmp_path, window=window), None) for window in (data.window, wide))
    assert one.names == other.names
    made = cut_alike(data_side(data), ["a"], tmp_path, 8)[2]
    assert [name.partition("_")[0] for name in made.names[::4]] == one.names and len(made.names) == 4 * len(one.names)
    with pytest.raises(InputError, match="as tiles, with --size 8"):
        (tmp_path / "provenance.json").write_text(
            json.dumps({"dataset": {"focus": data.focus.to_json() | {"size": 8}}})
        )
        undone(tmp_path, read_images(tmp_path, window=data.window), None)


def data_side(data):
    return ImageSet(data.tiles("test", 1)[0], ["0"], data.window, None)


def test_a_training_says_its_focus(sparse, tmp_path):
    run = train("random_phase", sparse, tmp_path / "run", size=16, focus=8, tiles=16, quiet=True)
    said = json.loads((run / "run.json").read_text())
    assert said["config"]["focus"] == 8 and said["dataset"]["focus"]["factor"] == 8
    assert TrainConfig.from_json({k: v for k, v in said["config"].items() if k != "focus"}).focus == 1  # runs of before
    with pytest.raises(InputError, match="is told of each image"):
        train("cgan", sparse, tmp_path / "told", size=16, focus=8, label="folder", quiet=True)


def test_even_images_have_no_focus():
    with pytest.raises(InputError, match="one grey level"):
        focus_on(8, np.zeros((4, 1, 16, 16), np.float32), 255)
    focus = Focus(5.0, 0.2, 0.5, 8, 255.0)
    np.testing.assert_allclose(focus.weights(np.zeros((2, 1, 8, 8), np.float32)), 1)
    assert 200 <= focus.more(100) < 300
