"""Filters that are missing are named; one dataset a projection opens as a stack."""

import sys

import h5py
import numpy as np
import pytest

from veridical.core.errors import InputError
from veridical.data.readers.open import open_slices

RNG = np.random.default_rng(0)


def filtered(path, code, volume):
    """A dataset that says it is packed with any filter, whether there is one or not; its chunks are not packed."""
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((1, *volume.shape[1:]))
    plist.set_filter(code, h5py.h5z.FLAG_OPTIONAL, (0, 0))
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple(volume.shape)
        dataset = h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_UINT16, space, dcpl=plist)
        for k, image in enumerate(volume):
            dataset.write_direct_chunk((k, 0, 0), image.tobytes(), 0)


@pytest.mark.parametrize(("code", "called"), [(32008, "bitshuffle"), (32012, "APAX"), (60000, "without a name")])
def test_missing_filter_is_named(tmp_path, monkeypatch, code, called):
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    filtered(tmp_path / "scan.h5", code, RNG.integers(0, 99, (3, 8, 9), np.uint16))
    original = h5py.h5z.filter_avail
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda number: number < 32000 and original(number))
    with pytest.raises(InputError, match=f"scan.h5.*{code} .{called}.*pip install hdf5plugin") as caught:
        open_slices(f"{tmp_path}/scan.h5:/data")
    assert "disk" not in str(caught.value) and "space" not in str(caught.value)


def test_filters_of_the_extra_are_read(tmp_path):
    hdf5plugin = pytest.importorskip("hdf5plugin")
    volume = RNG.integers(0, 60000, (3, 8, 9), np.uint16)
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_dataset("exchange/data", data=volume, chunks=(1, 8, 9), compression=hdf5plugin.Bitshuffle())
    slices = open_slices(tmp_path / "v.h5")
    np.testing.assert_array_equal(np.stack([slices[k] for k in range(3)]), volume)


@pytest.mark.parametrize("shape", [(8, 9), (1, 8, 9)])
def test_a_dataset_a_projection(tmp_path, shape):
    images = RNG.integers(0, 60000, (12, 8, 9), np.uint16)
    with h5py.File(tmp_path / "als.h5", "w") as file:
        for k, image in enumerate(images):
            file.create_dataset(f"scan/scan_{k}.tif", data=image.reshape(shape), compression="gzip")
        file["scan/scandrk_0.tif"] = images[0].reshape(shape)
    slices = open_slices(f"{tmp_path}/als.h5:/scan/scan_*")
    assert slices.stack and len(slices) == 12 and "1 others of /scan are not" in slices.notes[0]
    for k, image in enumerate(images):  # 10 after 9
        np.testing.assert_array_equal(slices[k], image)
    with pytest.raises(InputError, match=r"or /scan/scan_\*.tif for all"):
        open_slices(tmp_path / "als.h5")
    with pytest.raises(InputError, match="nothing in /scan is called x"):
        open_slices(f"{tmp_path}/als.h5:/scan/x*")


def test_datasets_that_do_not_belong_together(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["s/i0"], file["s/i1"] = np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8)
        file["t/i0"], file["t/i1"] = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint16)
    for group, word in (("s", "shape"), ("t", "uint16")):
        with pytest.raises(InputError, match=f"/{group}/i1 .*{word}"):
            open_slices(f"{tmp_path}/a.h5:/{group}/i*")
