"""Counts to [0, 1] and back, and files written in the data's own counts."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from veridical.core.errors import InputError
from veridical.data.images import read_images, save_png, suffix_of, to_grid, write_counts, write_images
from veridical.data.inside import SOURCES, inside_of
from veridical.data.readers.open import open_slices
from veridical.data.window import IntensityWindow, fit_window

INTEGERS = ["uint8", "uint16", "int16", "int32", "uint32"]
FLOATS = ["float16", "float32", "float64"]


@st.composite
def windows(draw, dtype):
    """A window inside the range of an integer type (no wider than float32 can count), and values in it."""
    limits = np.iinfo(dtype)
    low = draw(st.integers(int(limits.min), int(limits.max) - 1))
    high = draw(st.integers(low + 1, min(int(limits.max), low + 2**24)))
    values = draw(st.lists(st.integers(low, high), min_size=1, max_size=20))
    return IntensityWindow(float(low), float(high), dtype), np.array(values, dtype)


@pytest.mark.parametrize("dtype", INTEGERS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_counts_come_back_to_one_count(dtype, data):
    window, values = data.draw(windows(dtype))
    unit = window.to_unit(values)
    assert unit.dtype == np.float32
    assert unit.min() >= 0 and unit.max() <= 1
    back = window.from_unit(unit)
    assert back.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(back, values)


@pytest.mark.parametrize("dtype", FLOATS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_floats_come_back_to_a_millionth(dtype, data):
    limit = 6e4 if dtype == "float16" else 2.0**100
    value = st.floats(-limit, limit, width=16 if dtype == "float16" else 32, allow_subnormal=False)
    values = np.array(data.draw(st.lists(value, min_size=2, max_size=20)), dtype)
    low, high = float(values.min()), float(values.max())
    if not np.float64(high) - low > 1e-6 * max(abs(low), abs(high)):
        return
    window = IntensityWindow(low, high, dtype)
    back = window.from_unit(window.to_unit(values))
    assert back.dtype == np.dtype(dtype)
    # relative to the window: the float32 in between cannot know where zero is
    tolerance = 1e-6 * (high - low) + 2 * np.spacing(np.abs(values)).astype(np.float64)
    assert (np.abs(back.astype(np.float64) - values.astype(np.float64)) <= tolerance).all()


def test_every_16_bit_count_comes_back():
    counts = np.arange(65536, dtype=np.uint16)
    window = IntensityWindow(0, 65535, "uint16")
    np.testing.assert_array_equal(window.from_unit(window.to_unit(counts)), counts)


def test_table_and_arithmetic_agree():
    counts = np.arange(256)
    window = IntensityWindow(13, 201, "uint8")
    np.testing.assert_array_equal(window.to_unit(counts.astype(np.uint8)), window.to_unit(counts.astype(np.float64)))


def test_values_outside_and_nan_are_clipped():
    window = IntensityWindow(-1.0, 3.0, "float32")
    unit = window.to_unit(np.array([-5, np.nan, 1, 9, np.inf, -np.inf], np.float32))
    np.testing.assert_array_equal(unit, np.float32([0, 0, 0.5, 1, 1, 0]))
    np.testing.assert_array_equal(IntensityWindow(0, 255, "uint8").from_unit([-1, 2, np.nan]), [0, 255, 0])


def test_window_survives_json():
    window = IntensityWindow(1.5, 2.5, "float32")
    assert IntensityWindow.from_json(json.loads(json.dumps(window.to_json()))) == window


def test_fit_leaves_out_nan_infinity_and_rare_outliers():
    rng = np.random.default_rng(0)
    sample = rng.normal(100, 10, 100_000).astype(np.float32)
    sample[:1000], sample[1000:1010], sample[1010] = np.nan, np.inf, 1e9
    window = fit_window([sample], np.float32)
    assert 60 < window.low < 75 and 125 < window.high < 140
    assert window.dtype == "float32"


def test_fit_takes_whole_counts_and_falls_back_to_the_extremes():
    assert fit_window([np.arange(1000, dtype=np.uint16)], "uint16") == IntensityWindow(0, 999, "uint16")
    rare = np.zeros(100_000, np.uint8)
    rare[0] = 7
    assert fit_window([rare], "uint8") == IntensityWindow(0, 7, "uint8")
    assert fit_window([np.ones(3, bool)], bool) == IntensityWindow(0, 1, "bool")


@pytest.mark.parametrize("array", [np.full(9, 5, np.uint8), np.full(9, np.nan), np.zeros(0, np.uint16)])
def test_nothing_to_fit(array):
    with pytest.raises(InputError, match=r"constant|finite"):
        fit_window([array], array.dtype)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, "bool"])
@pytest.mark.parametrize("channels", [1, 3])
def test_written_files_hold_the_datasets_own_counts(tmp_path, dtype, channels):
    if dtype == "bool" and channels == 3:
        pytest.skip("1-bit images are grey")
    window = {
        "bool": IntensityWindow(0, 1, "bool"),
        "uint8": IntensityWindow(10, 200, "uint8"),
    }.get(dtype, IntensityWindow(100, 5000, dtype))
    unit = np.random.default_rng(1).random((3, channels, 8, 9), np.float32)
    paths = write_images(tmp_path / "out", unit, window, pixel_size=2.5)
    assert [p.name for p in paths] == [f"00000{k}{'.png' if dtype in ('uint8', 'bool') else '.tif'}" for k in range(3)]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [p.name for p in paths]
    slices = open_slices(tmp_path / "out")
    assert slices.dtype == np.dtype(dtype) and slices.channels == channels
    for k in range(3):
        expected = window.from_unit(unit[k])
        expected = expected[0] if channels == 1 else expected.transpose(1, 2, 0)
        np.testing.assert_array_equal(slices[k], expected)
    if paths[0].suffix == ".tif":
        assert slices.pixel_size == pytest.approx(2.5)
    images, names, _, _ = read_images(tmp_path / "out", window)
    assert names == [p.stem for p in paths]
    np.testing.assert_array_equal(images, window.to_unit(window.from_unit(unit)))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "int16", "uint32", "int64", "float32", "float64"])
@pytest.mark.parametrize("channels", [1, 3])
def test_counts_are_written_as_they_are(tmp_path, dtype, channels):
    rng = np.random.default_rng(0)
    counts = np.frombuffer(rng.bytes(8 * channels * 42), np.int64).reshape(channels, 6, 7)
    counts = counts % 2 == 0 if dtype == "bool" else counts.astype(dtype)
    if counts.dtype.kind == "f":
        counts[0, 0, :4] = np.nan, np.inf, -np.inf, np.finfo(dtype).tiny
    if (dtype, channels) == ("bool", 3):
        return
    path = tmp_path / f"a{suffix_of(dtype)}"
    write_counts(path, counts, 2.5)
    read = np.asarray(Image.open(path)) if path.suffix == ".png" else tifffile.imread(path)
    assert read.dtype == counts.dtype
    np.testing.assert_array_equal(
        read if channels == 1 else np.moveaxis(read, -1, 0), counts[0] if channels == 1 else counts
    )


def test_stems_and_failed_writes(tmp_path, monkeypatch):
    window = IntensityWindow(0, 255, "uint8")
    (path,) = write_images(tmp_path, np.zeros((1, 1, 4, 4)), window, stems=["a/b"])
    assert path == tmp_path / "a" / "b.png"
    before = path.read_bytes()

    def full_disk(self, file, **options):
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(InputError, match="No space"):
        write_images(tmp_path, np.ones((1, 1, 4, 4)), window, stems=["a/b"])
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["b.png"]


def test_read_images_refuses_different_sizes_and_types(tmp_path):
    save_png(tmp_path / "a.png", np.eye(8, dtype=np.uint8))
    save_png(tmp_path / "b.png", np.eye(9, dtype=np.uint8))
    with pytest.raises(InputError, match="a has 8 x 8 pixels and b 9 x 9"):
        read_images(tmp_path)
    with pytest.raises(InputError, match="uint8 but the window"):
        read_images(tmp_path / "a.png", IntensityWindow(0, 1, "float32"))


def test_grid_places_images_on_white():
    images = np.zeros((3, 1, 2, 3), np.float32)
    images[1] = 0.5
    grid = to_grid(images, columns=2, pad=1, scale=2)
    assert grid.dtype == np.uint8 and grid.shape == (9, 13)
    assert (grid[:4, :6] == 0).all() and (grid[:4, 7:] == 128).all()
    assert (grid[4] == 255).all() and (grid[:, 6] == 255).all() and (grid[5:, 7:] == 255).all()
    assert to_grid(np.zeros((4, 3, 2, 2))).shape == (6, 6, 3)


def written_in(path):
    """Text and XMP of a file."""
    if path.suffix == ".png":
        with Image.open(path) as image:
            return image.info.get("veridical"), image.info.get("xmp")
    with tifffile.TiffFile(path) as tif:
        return tif.pages[0].description, tif.pages[0].tags.valueof(700)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
def test_files_say_what_made_them_and_are_read_as_without(dtype, channels, tmp_path):
    if dtype == "bool" and channels == 3:
        return
    counts = np.random.default_rng(0).integers(0, 2, (channels, 9, 7)).astype(dtype)
    record = {"version": "1", "seed": 3, "checkpoint": {"sha256": "ü"}, "source": "/home/me"}
    for name, inside in (("plain", None), ("drawn", inside_of(record)), ("edited", inside_of(record, edited=True))):
        path = tmp_path / f"{name}{suffix_of(dtype)}"
        write_counts(path, counts, 2.5, inside)
        opened = open_slices(path)
        assert np.array_equal(np.atleast_3d(opened[0]).transpose(2, 0, 1), counts)
        assert opened.pixel_size == (pytest.approx(2.5) if path.suffix == ".tif" else None) and not opened.notes
        text, xmp = written_in(path)
        if inside is None:
            assert not text and not xmp
            continue
        assert json.loads(text) == {"version": "1", "seed": 3, "checkpoint": {"sha256": "ü"}, "synthetic": True}
        kind = b"compositeWithTrainedAlgorithmicMedia" if inside.edited else b"trainedAlgorithmicMedia"
        assert b'DigitalSourceType="' + SOURCES.encode() + kind + b'"' in xmp
