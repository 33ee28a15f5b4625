"""HDF5: what links and virtual datasets lead to is read from the right file, or refused; nothing hangs or crashes."""

import os
import subprocess
import sys
import zlib

import h5py
import numpy as np
import pytest

from veridical.core.errors import InputError
from veridical.data.readers.open import open_slices

VOLUME = np.random.default_rng(0).integers(1, 60_000, (5, 16, 20), "uint16")


def virtual(file, name, *sources, shape=(5, 16, 20), fill=0):
    """A virtual dataset of (file, dataset) one after another, each of `shape`."""
    layout = h5py.VirtualLayout((len(sources) * shape[0], *shape[1:]), "uint16")
    for k, (other, inner) in enumerate(sources):
        layout[k * shape[0] : (k + 1) * shape[0]] = h5py.VirtualSource(other, inner, shape)
    file.create_virtual_dataset(name, layout, fillvalue=fill)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    top = tmp_path_factory.mktemp("hdf5")
    folder = top / "data"
    (folder / "sub").mkdir(parents=True)
    os.mkfifo(folder / "fifo")
    for path in (folder / "sub" / "scan.h5", top / "secret.h5"):
        with h5py.File(path, "w") as file:
            file["plain"] = VOLUME
            file.create_dataset("packed", data=VOLUME, chunks=(1, 16, 20), compression="gzip")
    with h5py.File(folder / "master.h5", "w") as file:
        file["own"] = np.full((50, 16, 20), 7, "uint16")
        for name, other in {"in": "sub/scan.h5", "out": "../secret.h5", "abs": str(top / "secret.h5")}.items():
            file[name] = h5py.ExternalLink(other, "/plain")
            virtual(file, f"v_{name}", (other, "/plain"))
        for name, other in {"gone": "sub/none.h5", "device": "/dev/zero", "fifo": "fifo", "folder": "sub"}.items():
            file[name] = h5py.ExternalLink(other, "/plain")
            virtual(file, f"v_{name}", (other, "/plain"))
        file["group"] = h5py.ExternalLink("sub/scan.h5", "/")
        file["nothing"] = h5py.ExternalLink("sub/scan.h5", "/nothing")
        file["soft"], file["broken"] = h5py.SoftLink("/in"), h5py.SoftLink("/nowhere")
        file["round"], file["about"] = h5py.SoftLink("/about"), h5py.SoftLink("/round")
        file["again"] = h5py.ExternalLink("master.h5", "/again")
        file.create_dataset("raw", shape=(2, 8, 8), dtype="uint8", external=[("/etc/passwd", 0, 128)])
        virtual(file, "v_raw", (".", "/raw"), shape=(2, 8, 8))
        virtual(file, "v_two", ("sub/scan.h5", "/packed"), (".", "/v_in"))
        virtual(file, "v_self", (".", "/v_self"))
        virtual(file, "v_a", (".", "/v_b"))
        virtual(file, "v_b", ("master.h5", "/v_a"))
        virtual(file, "v_none", ("sub/scan.h5", "/none"))
        virtual(file, "v_short", ("sub/scan.h5", "/plain"), shape=(9, 16, 20))
        layout = h5py.VirtualLayout((4, 8, 8), "uint16", maxshape=(None, 8, 8))
        endless = h5py.VirtualSource(".", "/v_endless", (4, 8, 8), maxshape=(None, 8, 8))
        layout[: h5py.h5s.UNLIMITED] = endless[: h5py.h5s.UNLIMITED]
        file.create_virtual_dataset("v_endless", layout)
        layout = h5py.VirtualLayout((9, 16, 20), "uint16")
        layout[:5] = h5py.VirtualSource("sub/scan.h5", "/plain", (5, 16, 20))
        file.create_virtual_dataset("v_part", layout, fillvalue=3)
        file.create_dataset("never", shape=(5, 16, 20), dtype="uint16")
        file.create_dataset("unwritten", shape=(5, 16, 20), dtype="uint16", chunks=(1, 16, 20))
        file.create_dataset("part", shape=(5, 16, 20), dtype="uint16", chunks=(1, 16, 20))[1] = VOLUME[1]
        for name, shape, chunks in (("many", (10**12, 4, 4), (1, 4, 4)), ("wide", (2, 10**6, 10**6), (1, 4, 4))):
            file.create_dataset(name, shape=shape, dtype="uint8", chunks=chunks)[0, :4, :4] = 1
        bomb = file.create_dataset("bomb", shape=(2, 16, 20), dtype="uint8", chunks=(1, 16, 20), compression="gzip")
        bomb.id.write_direct_chunk((0, 0, 0), zlib.compress(bytes(10**8)))
        real = np.where(VOLUME < 9000, -5.0, VOLUME).astype("float32")
        file["real"], file["whole"] = real, VOLUME
        file["real"].attrs["_FillValue"], file["whole"].attrs["missing_value"] = -5.0, [int(VOLUME[0, 0, 0])]
        file["whole"].attrs["element_size_um"] = [1.0, 5.0, 2.0]
    return folder


@pytest.mark.parametrize("key", ["in", "v_in", "soft", "group/plain", "group/packed"])
def test_links_lead_to_the_values_of_the_other_file(folder, key):
    slices = open_slices(f"{folder}/master.h5:/{key}")
    assert all(np.array_equal(slices[k], VOLUME[k]) for k in range(5)) and slices.notes == []
    assert slices.mapped == (key in ("in", "soft", "group/plain"))


def test_a_virtual_dataset_of_two(folder):
    slices = open_slices(f"{folder}/master.h5:/v_two")
    assert all(np.array_equal(slices[k], VOLUME[k % 5]) for k in range(10))


@pytest.mark.parametrize("key", ["out", "v_out", "abs", "v_abs"])
def test_other_folders_are_read_when_asked_for(folder, key):
    spec = f"{folder}/master.h5:/{key}"
    with pytest.raises(InputError, match=r"master\.h5: refers to .*secret\.h5, outside its folder.*\?outside=yes"):
        open_slices(spec)
    slices = open_slices(f"{spec}?outside=yes")
    assert all(np.array_equal(slices[k], VOLUME[k]) for k in range(5))


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("gone", "sub/none.h5, which is not there"),
        ("v_gone", "sub/none.h5, which is not there"),
        ("device", "outside its folder"),
        ("device?outside=yes", "not a regular file"),
        ("v_device?outside=yes", "not a regular file"),
        ("fifo", "not a regular file"),
        ("v_fifo", "not a regular file"),
        ("folder", "not a regular file"),
        ("v_folder", "not a regular file"),
        ("nothing", "scan.h5: has no /nothing"),
        ("broken", "has no /nowhere"),
        ("round", "circle"),
        ("again", "circle"),
        ("raw", "external storage"),
        ("v_raw", "external storage"),
        ("v_self", "made of itself"),
        ("v_a", "made of itself"),
        ("v_endless", "made of itself"),
        ("v_none", "its source /none is not in"),
        ("v_short", "smaller than it should be"),
        ("never", "never written"),
        ("unwritten", "none of its 5 chunks"),
        ("many", "VERIDICAL_MAX_IMAGES"),
        ("wide", "VERIDICAL_MAX_PIXELS"),
        ("bomb", "larger than what it holds"),
        ("in?outside=perhaps", "neither yes nor no"),
        ("in?series=1", "no option series"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(folder, key, said):
    with pytest.raises(InputError) as caught:
        open_slices(f"{folder}/master.h5:/{key}")
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_what_nobody_measured_is_noted(folder):
    assert "4 of 5 chunks were never written" in open_slices(f"{folder}/master.h5:/part").notes[0]
    part = open_slices(f"{folder}/master.h5:/v_part")
    assert "1280 of 2880 values" in part.notes[0] and (part[8] == 3).all()
    real = open_slices(f"{folder}/master.h5:/real")
    assert np.array_equal(np.isnan(real[2]), VOLUME[2] < 9000) and "-5 are missing" in real.notes[0]
    whole = open_slices(f"{folder}/master.h5:/whole")
    assert whole.missing == (VOLUME[0, 0, 0],) and np.array_equal(whole[1], VOLUME[1])
    assert whole.pixel_size is None and "2 x 5 µm" in whole.notes[0]


def test_a_file_that_another_program_writes_is_not_called_damaged(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["exchange/data"] = VOLUME
        file.flush()
        code = (
            "from veridical.data.readers.open import open_slices\n"
            f"try: open_slices({str(tmp_path / 'a.h5')!r})\n"
            "except ValueError as error: print(error)"
        )
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}).stdout
    assert "open for writing in another program" in said and "damaged" not in said
