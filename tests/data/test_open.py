"""What a dataset is opened with: its window, options and images that cannot be, real images."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from slices import CODES, coded, refuse, save_folder, save_stack
from veridical.core.errors import InputError
from veridical.data.open import open_dataset
from veridical.data.window import IntensityWindow


def test_window_is_fitted_on_training_tiles_only(tmp_path):
    for k, name in enumerate(["train/a", "train/b", "test/c"]):
        save_folder(tmp_path, [name], 16, 16)
        tifffile.imwrite(tmp_path / f"{name}.tif", coded(1, 16, 16)[0] + 10_000 * k)
    window = open_dataset(tmp_path, 8).window
    assert 0 <= window.low < 300 and 10_000 < window.high < 10_256


def test_a_limited_window_looks_at_nothing_else(tmp_path):
    path = save_stack(tmp_path / "s.tif", 30, 32, 32)
    dataset = open_dataset(path, 8, limit=2)
    used = CODES.from_unit(open_dataset(path, 8, window=CODES, limit=2).tiles("train")[0])
    assert used.min() <= dataset.window.low < dataset.window.high <= used.max()
    with pytest.raises(InputError, match=r"limit=9999, but only \d+ training tiles"):
        open_dataset(path, 8, limit=9999)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pixel_size": 2.0}, "state no pixel size"),
        ({"pixel_size": 2.0, "scale": 2.0}, "not both"),
        ({"scale": -1.0}, "positive"),
        ({"scale": 0.0}, "positive"),
        ({"scale": "big"}, "positive"),
        ({"scale": 0.1}, "less than a tile of 80 x 80"),
        ({"augment": "cutmix"}, "dihedral"),
        ({"size": 0}, "size"),
        ({"limit": -1}, "limit"),
        ({"test_fraction": 1.5}, "between 0 and 1"),
        ({"hold_out": -1}, "must not be negative"),
        ({"hold_out": 5}, "hold out at most 4"),  # six slices, one of which is a gap
        ({"hold_out": 2, "split": "none"}, "said by split none"),
        ({"masks": True}, "masks/"),
        ({"window": IntensityWindow(0, 1, "float32")}, "float32"),
    ],
)
def test_options_that_cannot_be(tmp_path, options, words):
    save_stack(tmp_path / "s.tif", 6, 40, 40)
    with pytest.raises(InputError, match=words):
        open_dataset(tmp_path / "s.tif", **{"size": 8, **options})


def test_image_smaller_than_the_tile(tmp_path):
    save_folder(tmp_path, ["a", "b", "c"], 64, 64)
    Image.fromarray(coded(1, 40, 70)[0]).save(tmp_path / "little.tif")
    refuse(["little", "70 x 40", "64 x 64"], tmp_path, 64)


def test_constant_and_nan_images(tmp_path):
    for k in range(5):
        Image.fromarray(np.full((16, 16), 7, np.uint8)).save(tmp_path / f"i{k}x.png")
    refuse([str(tmp_path), "constant"], tmp_path, 8)
    np.save(tmp_path / "nan.npy", np.full((6, 16, 16), np.nan, np.float32))
    refuse(["nan.npy", "NaN"], tmp_path / "nan.npy", 8)


def test_truncated_file_is_named_when_it_is_read(tmp_path):
    save_folder(tmp_path, ["train/a", "train/b", "test/c"], 32, 32)
    tifffile.imwrite(tmp_path / "train" / "b.tif", coded(1, 32, 32)[0], compression="zlib")
    data = (tmp_path / "train" / "b.tif").read_bytes()
    (tmp_path / "train" / "b.tif").write_bytes(data[:-200])
    refuse(["b.tif"], tmp_path, 8)


@pytest.mark.parametrize(
    ("name", "channels", "by", "group"),
    [
        ("sandstone", 1, "folder", "versa0300"),
        ("roots_osr", 3, "folder", "A_osr_0049"),
        ("sandstone/slices", 1, "image", "versa0300"),
        ("cmc/slices", 1, "block", "fcn_fig02_left block 0,1"),
    ],
)
def test_real_images(shared_data, name, channels, by, group):
    dataset = open_dataset(shared_data / name, 64, masks=name == "roots_osr")
    images, groups = dataset.tiles("test", 50)
    assert images.shape[1:] == (channels, 64, 64) and dataset.split["by"] == by and group in groups
    batch = dataset.batch(8, 0, 0)
    assert 0 <= batch["image"].min() < batch["image"].max() <= 1
    if name == "sandstone/slices":
        assert (images == 0).mean((1, 2, 3)).max() < 0.8
