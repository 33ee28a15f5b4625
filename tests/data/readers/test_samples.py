"""Sample files that other packages ship are read as the packages' own readers read them, or refused in one sentence."""

import importlib.util
import warnings
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile

from veridical.core.errors import InputError
from veridical.data.readers.open import open_slices


def samples(package, folder, *suffixes):
    found = importlib.util.find_spec(package)
    root = Path(found.origin).parent / folder if found and found.origin else Path("/nowhere")
    return [
        pytest.param(path, id=path.name) for path in sorted(root.rglob("*")) if path.name.lower().endswith(suffixes)
    ]


def read(path):
    """All slices, or the one sentence why not."""
    try:
        slices = open_slices(path)
        images = [slices[k] for k in range(len(slices))]
    except InputError as error:
        assert str(path.name) in str(error) and "\n" not in str(error)
        return None, str(error)
    assert all(image.dtype.newbyteorder("=") == slices.dtype for image in images)
    assert all(image.shape[:2] == shape for image, shape in zip(images, slices.shapes, strict=True))
    return slices, images


PICTURES = [*samples("skimage", "data", ".png", ".jpg"), *samples("matplotlib", "mpl-data", ".png", ".jpg")]


@pytest.mark.parametrize("path", PICTURES)
def test_pictures(path):
    expected = imageio.imread(path, plugin="pillow")
    _, images = read(path)
    assert images is not None
    if expected.ndim == 3 and expected.shape[-1] in (2, 4):  # alpha is left out
        expected = expected[..., :3] if expected.shape[-1] == 4 else expected[..., 0]
    if images[0].ndim == 2 and expected.ndim == 3:  # a palette of greys
        expected = expected[..., 0]
    # Pillow keeps the upper 8 of 16 bits
    np.testing.assert_array_equal(images[0] >> 8 if images[0].dtype == np.uint16 else images[0], expected)


@pytest.mark.parametrize("path", samples("skimage", "data", ".tif"))
def test_stacks(path):
    expected = tifffile.imread(path)
    slices, images = read(path)
    assert slices is not None, images
    for got, image in zip(images, expected, strict=True):
        np.testing.assert_array_equal(got, np.moveaxis(image, 0, -1) if image.ndim == 3 else image)


@pytest.mark.parametrize("path", samples("skimage", "", ".npy"))
def test_arrays(path):
    expected = np.load(path, allow_pickle=False)
    slices, images = read(path)
    if slices is None:
        assert expected.ndim < 2 or "?axes=" in images or "channels" in images
    else:
        for k, image in enumerate(expected.reshape(-1, *expected.shape[-2:])):
            np.testing.assert_array_equal(images[k], image)


@pytest.mark.parametrize("path", samples("nibabel", "tests/data", ".nii", ".nii.gz"))
def test_nifti(path):
    nibabel = pytest.importorskip("nibabel")
    slices, images = read(path)
    if slices is None:
        assert "axes" in images or "Cifti" in images, images
        return
    stored = nibabel.load(path)
    expected = stored.get_fdata()
    planes = expected.transpose(*range(2, expected.ndim), 1, 0).reshape(-1, *expected.shape[1::-1])
    np.testing.assert_array_equal(images, planes.astype(slices.dtype))


@pytest.mark.parametrize(
    "path", [*samples("pydicom", "data/test_files", ".dcm"), *samples("nibabel", "nicom/tests/data", ".dcm")]
)
def test_dicom(path):
    pydicom = pytest.importorskip("pydicom")
    slices, images = read(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True)
        try:
            expected = pydicom.pixels.pixel_array(dataset)
        except Exception:
            return  # no image, or packed in a way that pydicom does not read here: see the next test
        if slices is None:
            assert "damaged" in images and path.name in ("badVR.dcm", "MR_truncated.dcm"), images
            return
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            expected = pydicom.pixels.apply_color_lut(expected, dataset) >> 8
        else:
            expected = pydicom.pixels.apply_modality_lut(expected, dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1" and "RescaleSlope" not in dataset:
        expected = 2 ** int(dataset.BitsStored) - 1 - expected
    expected = np.asarray(expected).reshape(len(images), *images[0].shape)
    assert np.array_equal(np.stack(images), expected.astype(slices.dtype))


def test_packed_dicom_that_pydicom_leaves_to_others():
    pytest.importorskip("pydicom")
    folder = samples("pydicom", "data/test_files", "mr_small.dcm")[0].values[0].parent
    expected = read(folder / "MR_small.dcm")[1][0]
    for name in ("MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm", "MR_small_RLE.dcm"):
        np.testing.assert_array_equal(read(folder / name)[1][0], expected)
    for name in ("JPGExtended.dcm", "SC_rgb_jpeg_gdcm.dcm", "JPEGLSNearLossless_16.dcm"):
        assert read(folder / name)[0] is not None


def test_dicom_series_of_the_samples():
    pytest.importorskip("pydicom")
    folder = (
        samples("pydicom", "data/test_files", "mr_small.dcm")[0].values[0].parent
        / "dicomdirtests"
        / "98892001"
        / "CT5N"
    )
    slices = open_slices(folder)
    assert len(slices) == 5 and slices.stack and slices.names == ["3353", "3023", "2693", "2392", "2062"]


def test_there_are_samples():
    assert len(PICTURES) > 40
