"""Whole regions, the fingerprint and the summary of a dataset."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.spatial.distance import cdist

from slices import coded, save_folder, save_stack
from veridical.core.orientation import turn
from veridical.data.open import open_dataset


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_regions_hold_every_training_tile_and_no_other(tmp_path, scale):
    rng = np.random.default_rng(0)
    (tmp_path / "a").mkdir()
    for k in range(2):  # two images: split by blocks
        image = np.kron(rng.integers(0, 256, (20, 40)), np.ones((8, 8))).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / "a" / f"s{k}.png")
    data = open_dataset(tmp_path / "a", 16, scale=scale)
    assert data.split["by"] == "block"
    images, groups, share = data.regions()
    assert share == 1 and groups == ["s0", "s1"] and all(image.dtype == np.float32 for image in images)

    places = [np.lib.stride_tricks.sliding_window_view(image[0], (16, 16)).reshape(-1, 256) for image in images]
    views = np.concatenate(places)

    def distance(tile):
        turned = np.stack([turn(tile[0], code).ravel() for code in range(8)])
        return cdist(views, turned, "cityblock").min() / turned.shape[1]

    # a rescaled tile differs a little from the same place of the rescaled image
    limit = 1e-6 if scale == 1 else 0.1
    assert max(distance(tile) for tile in data.batch(8, 3, 0)["image"]) < limit
    assert min(distance(tile) for tile in data.tiles("test")[0][:8]) > limit
    _, names, share = data.regions(most=images[0][0].size)
    assert names == ["s0"] and share == pytest.approx(0.5, abs=0.01)
    part, _, share = data.regions(most=images[0][0].size // 4)
    assert share == pytest.approx(1 / 8, abs=0.02) and min(part[0].shape[1:]) >= 16


def test_regions_of_a_limited_training_set_are_its_tiles(tmp_path):
    save_folder(tmp_path, [f"image{k}" for k in range(6)], 40, 40)
    data = open_dataset(tmp_path, 16, limit=5)
    images, groups, share = data.regions()
    tiles, names = data.tiles("train", oriented=False)
    np.testing.assert_array_equal(np.stack(images), tiles)
    assert groups == names and share == 1
    assert len(data.regions("test")[0]) == 1 and data.regions("test")[0][0].shape == (1, 40, 40)


def test_fingerprint_is_of_the_content_not_the_place(tmp_path):
    names = [f"{c}" for c in "abcdef"]
    first = open_dataset(save_folder(tmp_path / "one", names, 16, 16), 8)
    again = open_dataset(save_folder(tmp_path / "two", names, 16, 16), 8)
    assert first.fingerprint == again.fingerprint
    others = [
        open_dataset(tmp_path / "one", 4),
        open_dataset(tmp_path / "one", 8, test_fraction=0.5),
        open_dataset(tmp_path / "one", 8, augment="flip"),
    ]
    image = coded(6, 16, 16)[2]
    image[5, 5] += 1
    tifffile.imwrite(tmp_path / "two" / "c.tif", image)
    others.append(open_dataset(tmp_path / "two", 8, window=first.window))
    assert len({first.fingerprint, *(o.fingerprint for o in others)}) == 5


def test_summary_is_json(tmp_path):
    dataset = open_dataset(save_stack(tmp_path / "s.tif", 10, 24, 16), 8)
    summary = json.loads(json.dumps(dataset.summary()))
    assert summary["kind"] == "tiff" and summary["slices"] == 10 and summary["shapes"] == [[24, 16]]
    assert summary["n_train_tiles"] == len(dataset.tiles("train")[0]) and summary["n_test_tiles"] == 12
    assert summary["fingerprint"] == dataset.fingerprint and summary["dtype"] == "int32"
