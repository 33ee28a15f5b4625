"""What files say of their values: white is zero, further channels, missing values, names of axes."""

import h5py
import numpy as np
import pytest
import tifffile

from veridical.core.errors import InputError
from veridical.data.labels import fit_labels
from veridical.data.names import group_of
from veridical.data.open import open_dataset
from veridical.data.readers.open import open_slices
from veridical.data.tables import read_table

RNG = np.random.default_rng(0)
PHASES = RNG.random((8, 48, 48)) < 0.2


@pytest.mark.parametrize("mask", [False, True])
def test_bits_are_what_tifffile_wrote(tmp_path, mask):
    folder = tmp_path / "masks" if mask else tmp_path
    folder.mkdir(exist_ok=True)
    for k, phase in enumerate(PHASES):
        tifffile.imwrite(folder / f"{k}.tif", phase)
        if mask:
            tifffile.imwrite(tmp_path / f"{k}.tif", RNG.random((48, 48), np.float32))
    slices = open_slices(tmp_path)
    for k, phase in enumerate(PHASES):
        assert np.array_equal(slices.mask(k) != 0 if mask else slices[k], phase)


def test_white_is_zero_is_turned_round_and_said(tmp_path):
    grey = (RNG.random((48, 48)) * 255).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", grey, photometric="miniswhite")
    slices = open_slices(tmp_path)
    assert np.array_equal(slices[0], 255 - grey) and any("white is zero" in note for note in slices.notes)


@pytest.mark.parametrize(("kind", "said"), [("unassalpha", "alpha left out"), ("unspecified", "further channel")])
def test_a_fourth_channel_is_called_what_the_file_calls_it(tmp_path, kind, said):
    for k in range(3):
        colours = (RNG.random((32, 32, 4)) * 255).astype(np.uint8)
        tifffile.imwrite(tmp_path / f"{k}.tif", colours, photometric="rgb", extrasamples=[kind])
    slices = open_slices(tmp_path)
    assert slices.channels == 3 and any(said in note for note in slices.notes)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_gdal_names_missing_values_of_files_in_a_folder(tmp_path, dtype):
    for k in range(6):
        values = (60 + 40 * RNG.random((48, 48))).astype(dtype)
        values[10:30, 10:30] = 200
        tifffile.imwrite(tmp_path / f"{k}.tif", values, extratags=[(42113, "s", 0, "200", True)])
    data = open_dataset(tmp_path, 32)
    assert data.window.high <= 101 and any("200 are missing" in note for note in data.notes)


@pytest.mark.parametrize("how", ["labels", "scales"])
def test_names_of_the_dimensions_of_hdf5_are_heeded(tmp_path, how):
    values = RNG.random((24, 20, 6))  # x, y, z
    with h5py.File(tmp_path / "a.h5", "w") as file:
        array = file.create_dataset("data", data=values)
        for k, name in enumerate("xyz"):
            if how == "labels":
                array.dims[k].label = name
            else:
                scale = file.create_dataset(name, data=np.arange(values.shape[k]))
                scale.make_scale(name)
                array.dims[k].attach_scale(scale)
    slices = open_slices(f"{tmp_path / 'a.h5'}:/data")
    assert len(slices) == 6 and np.array_equal(slices[2], values[:, :, 2].T)


@pytest.mark.parametrize("place", ["r1c2", "y0x64", "x0-y64", "row0_col1", "row0-col1", "tile3", "tile_0_1", "R1_C2"])
def test_tiles_that_say_their_place_belong_together(place):
    assert group_of(f"core_{place}") == "core"


def test_a_split_table_says_what_it_leaves_out(tmp_path):
    for k in range(8):
        tifffile.imwrite(tmp_path / f"{k}.tif", RNG.random((48, 48), np.float32))
    words = ["Training", "train", "train", "train", "testing", "test", "val", "tets"]
    rows = "".join(f"{k}.tif,{word}\n" for k, word in enumerate(words))
    (tmp_path / "split.csv").write_text(f"Filename,Split\n{rows}")
    data = open_dataset(tmp_path, 32)
    assert data.split["n_train"] == 4 and data.split["n_test"] == 2
    assert any("1 called 'val', 1 called 'tets'" in note for note in data.notes)


def test_measurements_beside_words_are_no_classes(tmp_path):
    values = ["0.1", "0.16", "LOD", "LOD", "LOD", "LOD"]
    with pytest.raises(InputError, match="no number"):
        fit_labels("data", "grade", 0, values, list("abcdef"), range(6))
    assert fit_labels("data", "kind", 0, ["1", "2", "3a", "3b", "3b", "3b"], list("abcdef"), range(6))[0].classes


def test_columns_are_found_whatever_their_case(tmp_path):
    (tmp_path / "t.csv").write_text("Image;Grade\na.png;3\n")
    assert read_table(tmp_path / "t.csv") == (["a.png"], [{"Grade": "3"}])
