"""Files of the field, written by other programs, come back to the count; what is wrong with them is one sentence."""

import base64
import pickle
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refusing import refuse
from veridical.core.errors import InputError
from veridical.data.readers.formats import UNREAD
from veridical.data.readers.open import open_slices
from veridical.data.readers.rescale import rescale, rescaled_dtype, unpack

RNG = np.random.default_rng(0)
VOLUME = RNG.integers(0, 60000, (5, 6, 7), np.uint16)


def check(spec, expected, **attributes):
    """All slices equal `expected`, also after pickling, and the header told the truth."""
    slices = open_slices(spec)
    assert len(slices) == len(expected) == len(set(slices.names))
    for again in (slices, pickle.loads(pickle.dumps(slices))):
        for k, image in enumerate(expected):
            got = again[k]
            assert got.shape[:2] == slices.shapes[k] and (3 if got.ndim == 3 else 1) == slices.channels
            assert got.dtype.newbyteorder("=") == slices.dtype
            np.testing.assert_array_equal(got, image)
    for name, value in attributes.items():
        assert getattr(slices, name) == value, name
    return slices


# ---------------------------------------------------------------------------------------------------------- volumes


@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
@pytest.mark.parametrize("order", "<>")
def test_nifti(tmp_path, suffix, order):
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image(VOLUME.T, np.diag([0.5, 0.5, 2, 1]), nibabel.Nifti1Header(endianness=order))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / f"a.{suffix}")
    check(
        tmp_path / f"a.{suffix}",
        VOLUME,
        pixel_size=500,
        stack=True,
        mapped=suffix == "nii",
        names=[f"z{k:04d}" for k in range(5)],
    )
    # the only file of a folder is what is meant
    check(tmp_path, VOLUME)


def test_nifti_is_scaled_as_nibabel_does(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image(RNG.normal(size=(7, 6, 5, 2)).astype(np.float32), np.diag([3, 3, 1, 1]))
    image.set_data_dtype(np.int16)
    nibabel.save(image, tmp_path / "a.nii")
    stored = nibabel.load(tmp_path / "a.nii").get_fdata()
    expected = np.moveaxis(stored, (2, 3), (0, 1)).reshape(10, 7, 6).transpose(0, 2, 1)
    slices = check(tmp_path / "a.nii", expected.astype(np.float32), dtype=np.float32, pixel_size=None)
    assert any("no unit" in note for note in slices.notes) and any("points in time" in note for note in slices.notes)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float32", "float16"])
def test_mrc(tmp_path, dtype):
    mrcfile = pytest.importorskip("mrcfile")
    volume = VOLUME.astype(dtype)
    with mrcfile.new(tmp_path / "a.mrc", volume) as file:
        file.voxel_size = 12.5
    check(tmp_path / "a.mrc", volume, mapped=True, pixel_size=pytest.approx(12.5e-4))
    kind = mrcfile.dtypes.HEADER_DTYPE
    header = np.fromfile(tmp_path / "a.mrc", kind, 1).astype(kind.newbyteorder(">"))
    (tmp_path / "big.mrc").write_bytes(header.tobytes() + volume.astype(volume.dtype.newbyteorder(">")).tobytes())
    check(tmp_path / "big.mrc", volume, pixel_size=pytest.approx(12.5e-4))


def test_bytes_of_imod_have_no_sign(tmp_path):
    mrcfile = pytest.importorskip("mrcfile")
    volume = VOLUME.astype(np.uint8)
    with mrcfile.new(tmp_path / "a.rec", volume.view(np.int8), overwrite=True):
        pass
    with (tmp_path / "a.rec").open("r+b") as file:
        file.seek(152)
        file.write(np.array([1146047817, 0], "<i4").tobytes())
    check(tmp_path / "a.rec", volume)


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
@pytest.mark.parametrize("detached", [False, True])
def test_nrrd(tmp_path, encoding, detached):
    nrrd = pytest.importorskip("nrrd")
    path = tmp_path / ("a.nhdr" if detached else "a.nrrd")
    header = {"spacings": [0.5, 0.5, 2], "units": ["um"] * 3, "encoding": encoding}
    nrrd.write(str(path), VOLUME, header, detached_header=detached, index_order="C")
    check(path, VOLUME, pixel_size=0.5, mapped=encoding == "raw")


def test_nrrd_of_colours(tmp_path):
    nrrd = pytest.importorskip("nrrd")
    colours = RNG.integers(0, 255, (4, 6, 7, 3), np.uint8)
    nrrd.write(
        str(tmp_path / "a.nrrd"), colours, {"kinds": ["RGB-color", "domain", "domain", "domain"]}, index_order="C"
    )
    check(tmp_path / "a.nrrd", colours, channels=3)


# counts k * 1000 of 2 x 3 x 4 pixels, written by SimpleITK 2.5
ITK_HEAD = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = {packed}\n"
    "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nCenterOfRotation = 0 0 0\nAnatomicalOrientation = RAI\n"
    "ElementSpacing = 0.01 0.01 0.02\nDimSize = 4 3 2\nElementType = MET_USHORT\nElementDataFile = {file}\n"
)
ITK_RAW = "AADoA9AHuAugD4gTcBdYG0AfKCMQJ/gq4C7IMrA2mDqAPmhCUEY4SiBOCFLwVdhZ"
ITK_PACKED = "eF5jYHjBfIF9B/cC/g7hAvEIaQd5DWUB9R9aD/ROGG0wm2HVYJfhFOBm4aXgxxH0IfRGJAB10RBL"
ITK_NRRD = (
    "TlJSRDAwMDQKdHlwZTogdW5zaWduZWQgc2hvcnQKZGltZW5zaW9uOiAzCnNwYWNlOiBsZWZ0LXBvc3Rlcmlvci1zdXBlcmlvcgpzaXplczogNCAzIDIKc3BhY2Ug"
    "ZGlyZWN0aW9uczogKDAuMDEsMCwwKSAoMCwwLjAxLDApICgwLDAsMC4wMikKa2luZHM6IGRvbWFpbiBkb21haW4gZG9tYWluCmVuZGlhbjogbGl0dGxlCmVuY29k"
    "aW5nOiBnemlwCnNwYWNlIG9yaWdpbjogKDAsMCwwKQoK"
    "H4sIAAAAAAAAA2NgeMF8gX0H9wL+DuEC8QhpB3kNZQH1H1oP9E4YbTCbYdVgl+EU4GbhpeDHEfQh9EYkAHEbocwwAAAA"
)
ITK_VALUES = np.arange(24, dtype=np.uint16).reshape(2, 3, 4) * 1000


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["LOCAL", "v.raw"])
def test_metaimage_of_itk(tmp_path, packed, name):
    pixels = base64.b64decode(ITK_PACKED if packed else ITK_RAW)
    path = tmp_path / ("v.mha" if name == "LOCAL" else "v.mhd")
    head = ITK_HEAD.format(packed=packed, file=name).encode()
    path.write_bytes(head + (pixels if name == "LOCAL" else b""))
    if name != "LOCAL":
        (tmp_path / name).write_bytes(pixels)
        check(tmp_path / name, ITK_VALUES)  # its header is beside it
        check(tmp_path, ITK_VALUES)
    slices = check(path, ITK_VALUES, pixel_size=10, mapped=not packed)
    assert "millimetres" in slices.notes[0]


def test_nrrd_of_itk(tmp_path):
    pytest.importorskip("nrrd")
    (tmp_path / "v.nrrd").write_bytes(base64.b64decode(ITK_NRRD))
    check(tmp_path / "v.nrrd", ITK_VALUES, pixel_size=10)


def test_metaimage_reaches_no_other_folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "v.raw").write_bytes(base64.b64decode(ITK_RAW))
    path = tmp_path / "in" / "v.mhd"
    path.write_text(ITK_HEAD.format(packed=False, file="../v.raw"))
    refuse(path, "v.mhd", "../v.raw", "outside")
    path.write_text(ITK_HEAD.format(packed=False, file="gone.raw"))
    refuse(path, "v.mhd", "gone.raw")


def test_npz(tmp_path):
    np.savez(tmp_path / "a.npz", images=VOLUME, seed=3)
    check(tmp_path / "a.npz", VOLUME)
    np.savez_compressed(tmp_path / "b.npz", images=VOLUME, masks=VOLUME[:2])
    refuse(tmp_path / "b.npz", "?array=NAME", "images (5, 6, 7)", "masks (2, 6, 7)")
    check(f"{tmp_path}/b.npz?array=masks", VOLUME[:2])
    np.savez(tmp_path / "c.npz", images=np.array([[{}]], object))
    refuse(tmp_path / "c.npz", "objects")


def test_raw_is_what_is_said_of_it(tmp_path):
    path = tmp_path / "core.raw"
    VOLUME.tofile(path)
    refuse(path, "core.raw", "?shape=")
    slices = check(f"{path}?shape=5,6,7&dtype=uint16", VOLUME, mapped=True)
    assert "order of bytes" in slices.notes[0]
    check(f"{path}?shape=4,6,7&dtype=>u2&offset=84", VOLUME[1:].byteswap())
    refuse(f"{path}?shape=5,6,8&dtype=uint16", "core.raw", "cut short")
    refuse(f"{path}?shape=5,6,7&dtype=nonsense", "core.raw", "nonsense")
    refuse(f"{path}?shape=5,-6,7&dtype=uint16", "core.raw", "shape")
    assert "bytes behind" in open_slices(f"{path}?shape=4,6,7&dtype=uint16&order=little").notes[0]
    path.with_suffix(".json").write_text(
        '{"shape": [5, 6, 7], "dtype": "uint16", "order": "little", "pixel_size_um": 2.5}'
    )
    check(path, VOLUME, pixel_size=2.5, notes=[])
    named = tmp_path / "core_7x6x5_uint16.raw"
    VOLUME.tofile(named)
    assert "7x6x5" in check(named, VOLUME).notes[0]
    VOLUME[:4].tofile(named)  # not the size that the name says
    refuse(named, "?shape=")


# ------------------------------------------------------------------------------------------------------------ DICOM


def dicom(path, pixels, **tags):
    """Write one DICOM image with pydicom; `tags` by their keywords."""
    pydicom = pytest.importorskip("pydicom")
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", pydicom.uid.generate_uid()
    dataset.SeriesInstanceUID = "1.2.3"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        dataset.NumberOfFrames = len(pixels)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = 8 * pixels.itemsize
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.PixelData = pixels.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def series(folder, order, **tags):
    for k, number in enumerate(order):
        position = [10, 20, 5.0 * number]
        more = {
            "ImagePositionPatient": position,
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "InstanceNumber": k + 1,
        }
        dicom(
            folder / f"IM{k}.dcm",
            VOLUME[number] % 4096,
            BitsStored=12,
            HighBit=11,
            PixelSpacing=[0.3, 0.3],
            **more,
            **tags,
        )


def test_dicom_series_is_in_the_order_of_its_places(tmp_path):
    series(tmp_path, [3, 0, 4, 1, 2], RescaleSlope=1, RescaleIntercept=-1024)
    expected = (VOLUME % 4096).astype(np.int16) - 1024
    check(tmp_path, expected, stack=True, pixel_size=pytest.approx(300), kind="dicom", notes=[], dtype=np.int16)
    (tmp_path / "IM2.dcm").unlink()
    (tmp_path / "IM3.dcm").unlink()
    dicom(tmp_path / "IM5.dcm", VOLUME[0] % 4096, BitsStored=12, HighBit=11, ImagePositionPatient=[10, 20, 100.0],
          ImageOrientationPatient=[1, 0, 0, 0, 1, 0], PixelSpacing=[0.3, 0.3], InstanceNumber=9)  # fmt: skip
    assert any("gaps" in note for note in open_slices(tmp_path).notes)


def test_dicom_by_numbers_where_there_are_no_places(tmp_path):
    for k, number in enumerate([2, 0, 1]):
        dicom(tmp_path / f"IM{k}", VOLUME[number], InstanceNumber=number)  # no suffix
    slices = check(tmp_path, VOLUME[:3])
    assert "order of their numbers" in slices.notes[0]


def test_dicom_series_is_chosen(tmp_path):
    dicom(tmp_path / "a.dcm", VOLUME[0])
    dicom(tmp_path / "b.dcm", VOLUME[1], SeriesInstanceUID="1.2.4", SeriesDescription="bone")
    refuse(tmp_path, "2 series", "?series=", "bone")
    assert "series 1 of 2 is read" in check(f"{tmp_path}?series=1", VOLUME[1:2]).notes


def test_dicom_frames_and_values(tmp_path):
    check(dicom(tmp_path / "frames.dcm", VOLUME), VOLUME, stack=True)
    slices = check(
        dicom(tmp_path / "white.dcm", VOLUME[0], PhotometricInterpretation="MONOCHROME1"), 65535 - VOLUME[:1]
    )
    assert "turned round" in slices.notes[0]
    path = dicom(tmp_path / "real.dcm", VOLUME[0], RescaleSlope=0.5, RescaleIntercept=-3, PixelSpacing=[0.2, 0.1])
    slices = check(path, (VOLUME[:1] * 0.5 - 3).astype(np.float32), dtype=np.float32, pixel_size=None)
    assert "not square" in slices.notes[0]


@pytest.mark.parametrize(
    ("syntax", "encode"), [("4.70", "ljpeg_encode"), ("4.80", "jpegls_encode"), ("4.90", "jpeg2k_encode")]
)
def test_compressed_dicom(tmp_path, syntax, encode):
    pydicom = pytest.importorskip("pydicom")
    import imagecodecs

    image = VOLUME[0].view(np.int16) // 16
    path = dicom(tmp_path / "a.dcm", image, **({} if "2k" in encode else {"BitsStored": 12, "HighBit": 11}))
    dataset = pydicom.dcmread(path)
    unsigned = (image & 4095).astype(np.uint16)  # two's complement in 12 bits
    packed = {
        "ljpeg_encode": lambda: imagecodecs.ljpeg_encode(unsigned, bitspersample=12),
        "jpegls_encode": lambda: imagecodecs.jpegls_encode(unsigned),
        "jpeg2k_encode": lambda: imagecodecs.jpeg2k_encode(image, level=0, codecformat="j2k"),
    }[encode]()
    dataset.PixelData = pydicom.encaps.encapsulate([packed])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = f"1.2.840.10008.1.2.{syntax}"
    dataset.save_as(path)
    check(path, [image])


# ------------------------------------------------------------------------------------------------------ what is wrong


def test_dicom_objects_without_pixels(tmp_path):
    pydicom = pytest.importorskip("pydicom")
    path = dicom(tmp_path / "a.dcm", VOLUME[0])
    dataset = pydicom.dcmread(path)
    del dataset.Rows, dataset.PixelData
    dataset.save_as(tmp_path / "report.dcm")
    refuse(tmp_path / "report.dcm", "no DICOM images")
    assert "1 DICOM files without pixels left aside" in check(tmp_path, VOLUME[:1]).notes


@pytest.mark.parametrize("suffix", [".dcm", ".nii", ".nii.gz", ".nrrd", ".mrc", ".mha", ".npz", ".jp2", ".pgm"])
@pytest.mark.parametrize("content", [b"junk" * 400, b"\0" * 4000])
def test_junk_is_one_sentence(tmp_path, suffix, content):
    (tmp_path / f"a{suffix}").write_bytes(content)
    refuse(tmp_path / f"a{suffix}", f"a{suffix}")


def test_cut_files_are_one_sentence(tmp_path):
    nibabel, nrrd, mrcfile = (pytest.importorskip(name) for name in ("nibabel", "nrrd", "mrcfile"))
    for name in ("a.nii", "a.nii.gz"):
        nibabel.save(nibabel.Nifti1Image(VOLUME, np.eye(4)), tmp_path / name)
    nrrd.write(str(tmp_path / "a.nrrd"), VOLUME)
    with mrcfile.new(tmp_path / "a.mrc", VOLUME):
        pass
    dicom(tmp_path / "a.dcm", VOLUME)
    np.savez(tmp_path / "a.npz", VOLUME)
    (tmp_path / "a.mha").write_bytes(ITK_HEAD.format(packed=False, file="LOCAL").encode() + base64.b64decode(ITK_RAW))
    for path in tmp_path.iterdir():
        for kept in (0.3, 0.9):
            cut = path.with_name("cut" + "".join(path.suffixes))
            cut.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
            refuse(cut, cut.name)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_files_are_read_or_one_sentence(tmp_path_factory, data):
    nibabel, nrrd = pytest.importorskip("nibabel"), pytest.importorskip("nrrd")
    folder = tmp_path_factory.mktemp("damaged")
    name = data.draw(st.sampled_from(["a.nii", "a.nii.gz", "a.nrrd", "a.dcm", "a.mha", "a.npz"]))
    path = folder / name
    if name.startswith("a.nii"):
        nibabel.save(nibabel.Nifti1Image(VOLUME, np.eye(4)), path)
    elif name == "a.nrrd":
        nrrd.write(str(path), VOLUME, {"encoding": "raw"})
    elif name == "a.dcm":
        dicom(path, VOLUME, PixelSpacing=[0.3, 0.3])
    elif name == "a.npz":
        np.savez_compressed(path, VOLUME)
    else:
        path.write_bytes(ITK_HEAD.format(packed=True, file="LOCAL").encode() + base64.b64decode(ITK_PACKED))
    content = bytearray(path.read_bytes())
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=5)
    ):
        content[place % len(content)] = value
    path.write_bytes(content)
    try:
        slices = open_slices(path)
        for k in range(min(len(slices), 3)):
            assert slices[k].shape[:2] == slices.shapes[k]
    except InputError as error:
        assert name in str(error) and "\n" not in str(error)


@pytest.mark.parametrize("size", ["99999 99999 99999", "999999999999 9 9"])
def test_sizes_are_not_believed(tmp_path, size):
    for packed in ("False", "True"):
        head = ITK_HEAD.format(packed=packed, file="LOCAL").replace("4 3 2", size)
        (tmp_path / "a.mha").write_bytes(head.encode() + base64.b64decode(ITK_PACKED))
        refuse(tmp_path / "a.mha", "a.mha")
    (tmp_path / "a.nrrd").write_bytes(base64.b64decode(ITK_NRRD).replace(b"sizes: 4 3 2", b"sizes: " + size.encode()))
    refuse(tmp_path / "a.nrrd", "a.nrrd")


def test_packed_bombs_are_not_unpacked(tmp_path):
    import zlib

    (tmp_path / "bomb").write_bytes(zlib.compress(bytes(10**7)))
    tracemalloc.start()
    with pytest.raises(ValueError, match="more than 24"):
        unpack(tmp_path / "bomb", 0, 24)
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()
    with pytest.raises(InputError, match="cut short"):
        unpack(tmp_path / "bomb", 0, 10**9)


@pytest.mark.parametrize(
    ("module", "name"), [("pydicom", "a.dcm"), ("nibabel", "a.nii.gz"), ("mrcfile", "a.mrc"), ("nrrd", "a.nrrd")]
)
def test_without_the_extra_it_says_so(tmp_path, monkeypatch, module, name):
    monkeypatch.setattr("veridical.data.readers.formats.find_spec", lambda asked: None if asked == module else asked)
    (tmp_path / name).write_bytes(b"x" * 200)
    refuse(tmp_path / name, name, "pip install 'veridical[formats]'")
    if name == "a.dcm":
        refuse(tmp_path, name, "pip install 'veridical[formats]'")


def test_opening_needs_no_package_of_the_extra(tmp_path, monkeypatch):
    for module in ("pydicom", "nibabel", "mrcfile", "nrrd"):
        monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "a.mha").write_bytes(ITK_HEAD.format(packed=False, file="LOCAL").encode() + base64.b64decode(ITK_RAW))
    check(tmp_path / "a.mha", ITK_VALUES)


@pytest.mark.parametrize("suffix", sorted(UNREAD))
def test_what_is_not_read_says_what_to_do(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(b"x" * 10)
    refuse(tmp_path / f"a{suffix}", f"a{suffix}", "save" if suffix in (".dm3", ".mat") else " ")


def test_several_volumes_in_a_folder(tmp_path):
    for name in ("a.npz", "b.npz"):
        np.savez(tmp_path / name, VOLUME)
    refuse(tmp_path, "2 volumes", "a.npz")


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["uint8", "int8", "uint16", "int16", "int32", "float32"]),
    st.one_of(st.integers(-3, 3).filter(bool).map(float), st.floats(0.001, 100)),
    st.one_of(st.integers(-5000, 5000).map(float), st.floats(-100, 100)),
)
def test_rescaled_values_fit_their_type(dtype, slope, intercept):
    dtype = np.dtype(dtype)
    ends = (
        np.array([-1.5, 0, 7], dtype)
        if dtype.kind == "f"
        else np.array([np.iinfo(dtype).min, 0, np.iinfo(dtype).max], dtype)
    )
    target = rescaled_dtype(dtype, slope, intercept)
    got = rescale(ends, slope, intercept, target)
    assert got.dtype == target
    exact = ends.astype(np.float64) * slope + intercept
    np.testing.assert_allclose(got.astype(np.float64), exact, rtol=0 if target.kind in "iu" else 1e-6, atol=1e-4)


def test_table_names_no_suffix_twice():
    from veridical.data.readers.formats import FORMATS
    from veridical.data.readers.imagefile import SUFFIXES

    assert not (set(FORMATS) & set(SUFFIXES)) | (set(UNREAD) & set(FORMATS)) | (set(UNREAD) & set(SUFFIXES))
    assert Path("x.nii.gz").suffix not in FORMATS


def test_a_volume_behind_a_link_out_of_its_folder_is_asked_for(tmp_path):
    np.savez(tmp_path / "secret.npz", volume=np.arange(3 * 32 * 32, dtype=np.uint16).reshape(3, 32, 32))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.npz").symlink_to(tmp_path / "secret.npz")
    refuse(tmp_path / "set", "holds no images", "outside=yes")
    assert len(open_slices(f"{tmp_path / 'set'}?outside=yes")) == 3
