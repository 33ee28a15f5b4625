"""TIFF files of several channels, series, files and orientations, compared with tifffile; metadata that lie are refused."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import skimage
import tifffile
from PIL import Image

from veridical.core.errors import InputError
from veridical.data.readers.open import open_slices

VOLUME = np.random.default_rng(0).integers(1, 60_000, (5, 16, 20), "uint16")
TWO = np.stack([VOLUME, VOLUME + 1], 1)


def same(spec, expected):
    slices = open_slices(spec)
    assert len(slices) == len(expected) and all(np.array_equal(slices[k], expected[k]) for k in range(len(expected)))
    return slices


def refused(spec, *words):
    with pytest.raises(InputError) as caught:
        open_slices(spec)[0]
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value), caught.value


@pytest.mark.parametrize("how", [{}, {"compression": "zlib"}, {"tile": (16, 16)}], ids=["plain", "zlib", "tiles"])
def test_channels_of_ome_tiff(tmp_path, how):
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "ZCYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(path, TWO, ome=True, metadata=metadata, photometric="minisblack", **how)
    refused(path, "2 channels (DAPI, GFP)", "?channel=DAPI")
    for asked, channel in (("GFP", 1), ("gfp", 1), ("0", 0)):
        slices = same(f"{path}?channel={asked}", TWO[:, channel])
        assert "of 2 is read, without" in slices.notes[0]
    same(f"{path}?channel=GFP&z=3", TWO[3:4, 1])
    same(f"{path}?axes=ztyx", TWO.reshape(10, 16, 20))


def test_channels_of_imagej(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, TWO, imagej=True, metadata={"axes": "ZCYX"})
    refused(path, "2 channels")
    same(f"{path}?channel=1", TWO[:, 1])
    tifffile.imwrite(path, VOLUME[:3], imagej=True, metadata={"axes": "CYX", "Labels": ["a", "b", "c"]})
    refused(path, "3 channels (a, b, c)")
    same(f"{path}?channel=b", VOLUME[1:2])
    same(f"{path}?channel=rgb", [np.moveaxis(VOLUME[:3], 0, -1)])
    # what tifffile calls a plain stack of which nobody said more
    tifffile.imwrite(path, np.concatenate([VOLUME] * 4), imagej=True)
    assert "20 channels without names" in same(path, np.concatenate([VOLUME] * 4)).notes[0]


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_one_colour_or_sample(tmp_path, compression, planar):
    colours = np.stack([VOLUME, VOLUME + 1, VOLUME + 2], -1)
    kept = {"planarconfig": planar, "compression": compression}
    stored = colours if planar == "contig" else np.moveaxis(colours, -1, 1)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", **kept)
    same(tmp_path / "a.tif", colours)
    same(f"{tmp_path}/a.tif?channel=green", colours[..., 1])
    bands = np.stack([VOLUME + k for k in range(5)], -1 if planar == "contig" else 1)
    tifffile.imwrite(tmp_path / "b.tif", bands, photometric="minisblack", **kept)
    refused(tmp_path / "b.tif", "5 channels")
    same(f"{tmp_path}/b.tif?channel=3", VOLUME + 3)
    tifffile.imwrite(tmp_path / "c.tif", bands[0], photometric="minisblack", **kept)
    refused(tmp_path / "c.tif", "5 channels")
    same(f"{tmp_path}/c.tif?channel=3", VOLUME[:1] + 3)


@pytest.mark.parametrize(
    ("code", "turned"), [(3, lambda a: np.rot90(a, 2)), (6, lambda a: np.rot90(a, -1)), (8, np.rot90)]
)
def test_an_orientation_that_the_first_page_alone_has(tmp_path, code, turned):
    tifffile.imwrite(tmp_path / "a.tif", VOLUME, photometric="minisblack", extratags=[(274, "H", 1, code, True)])
    assert same(tmp_path / "a.tif", [turned(page) for page in VOLUME]).shapes[0] == turned(VOLUME[0]).shape


def test_series_are_chosen(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(VOLUME, photometric="minisblack")
        file.write(VOLUME[0, :10, :10], photometric="minisblack")
    refused(tmp_path / "a.tif", "2 image series", "?series=0", "1: 10 x 10")
    same(f"{tmp_path}/a.tif?series=0", VOLUME)
    same(f"{tmp_path}/a.tif?series=1", VOLUME[:1, :10, :10])
    refused(f"{tmp_path}/a.tif?series=2", "no image series 2")
    refused(f"{tmp_path}/a.tif?series=0&serie=1", "no option serie", "series")
    refused(f"{tmp_path}?series=0", "no option series")


def ome(inner, planes=5, more=""):
    return (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1"><Image ID="I:0">'
        f'<Pixels ID="P:0" DimensionOrder="XYZCT" Type="uint16" SizeX="20" SizeY="16" SizeC="1" SizeZ="{planes}" SizeT="1">'
        f'<Channel ID="C:0" SamplesPerPixel="1"/>{inner}</Pixels></Image>{more}</OME>'
    )


def described(path, text):
    tifffile.imwrite(path, VOLUME, description=text.encode(), metadata=None, photometric="minisblack")
    return path


PLAIN = '<TiffData IFD="0" PlaneCount="5"/>'
MODULO = (
    '<StructuredAnnotations><XMLAnnotation ID="A" Namespace="x/modulo"><Value><Modulo>'
    '<ModuloAlongZ Type="other" Start="0" End="1e12" Step="1e-3"/></Modulo></Value></XMLAnnotation></StructuredAnnotations>'
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ome(PLAIN, 10**9), "VERIDICAL_MAX_IMAGES"),
        (ome(PLAIN, "9" * 5000), "no whole number"),
        (ome(PLAIN, "many"), "SizeZ=many"),
        (ome(PLAIN, 9), "4 of its 9 planes are in no file"),
        (ome('<TiffData IFD="0" PlaneCount="1000000000"/>'), "VERIDICAL_MAX_IMAGES"),
        (ome('<TiffData IFD="0" FirstZ="1000000000"/>'), "VERIDICAL_MAX_IMAGES"),
        (ome(PLAIN, more=MODULO), "VERIDICAL_MAX_IMAGES"),
    ],
)
def test_ome_metadata_that_lie(tmp_path, text, said):
    refused(described(tmp_path / "a.ome.tif", text), "a.ome.tif", said)


@pytest.mark.parametrize("inside", ["<Pixels", '<BinaryOnly MetadataFile="a.companion.ome" UUID="urn:uuid:2"/>'])
def test_ome_metadata_that_are_broken_or_elsewhere_are_noted(tmp_path, inside):
    slices = same(described(tmp_path / "a.ome.tif", f"<?xml version='1.0'?><OME>{inside}</OME>"), VOLUME)
    assert "OME metadata" in slices.notes[0]


def in_two_files(name):
    return ome(
        '<TiffData FirstZ="0" IFD="0" PlaneCount="5"><UUID FileName="a.ome.tif">urn:uuid:1</UUID></TiffData>'
        f'<TiffData FirstZ="5" IFD="0" PlaneCount="5"><UUID FileName="{name}">urn:uuid:2</UUID></TiffData>',
        10,
    )


def test_companions_of_ome_tiff(tmp_path):
    (tmp_path / "in" / "folder").mkdir(parents=True)
    os.mkfifo(tmp_path / "in" / "pipe.tif")
    for path in (tmp_path / "secret.tif", tmp_path / "in" / "b.tif"):
        tifffile.imwrite(path, VOLUME + 1, photometric="minisblack", metadata=None)
    both, path = np.concatenate([VOLUME, VOLUME + 1]), tmp_path / "in" / "a.ome.tif"
    same(described(path, in_two_files("b.tif")), both)
    for name, said in (("none.tif", "none.tif, which is not there"), ("pipe.tif", "regular"), ("folder", "regular")):
        refused(described(path, in_two_files(name)), said)
    for name in ("../secret.tif", str(tmp_path / "secret.tif")):
        refused(described(path, in_two_files(name)), "outside its folder", "?outside=yes")
        same(f"{path}?outside=yes", both)
    (tmp_path / "in" / "b.tif").unlink()
    (tmp_path / "in" / "b.tif").symlink_to("../secret.tif")
    refused(described(path, in_two_files("b.tif")), "outside its folder")


def test_a_renamed_ome_tiff(tmp_path):
    text = ome('<TiffData IFD="0" PlaneCount="5"><UUID FileName="old.tif">urn:uuid:1</UUID></TiffData>')
    same(described(tmp_path / "new.tif", text), VOLUME)


@pytest.mark.parametrize(
    "how",
    [
        {"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 2.0, "PhysicalSizeY": 5.0}},
        {"imagej": True, "resolution": (0.5, 0.2), "metadata": {"axes": "ZYX", "unit": "um"}},
        {"resolution": (5000, 2000), "resolutionunit": "CENTIMETER"},
    ],
)
@pytest.mark.parametrize("pages", [1, 5])
def test_pixels_that_are_not_square(tmp_path, how, pages):
    if pages == 1 and "metadata" in how:
        how = {**how, "metadata": {**how["metadata"], "axes": "YX"}}
    tifffile.imwrite(tmp_path / "a.tif", VOLUME if pages > 1 else VOLUME[0], photometric="minisblack", **how)
    slices = open_slices(tmp_path / "a.tif")
    assert slices.pixel_size is None and "2 x 5 µm" in slices.notes[-1]


@pytest.mark.parametrize("pages", [1, 5])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_the_value_for_no_data(tmp_path, pages, compression):
    values = np.where(VOLUME < 9000, -9999.0, VOLUME).astype("float32")[:pages]
    tag = [(42113, "s", 0, "-9999", True)]
    tifffile.imwrite(
        tmp_path / "a.tif", values.squeeze(), extratags=tag, photometric="minisblack", compression=compression
    )
    slices = open_slices(tmp_path / "a.tif")
    assert np.array_equal(np.isnan(slices[0]), VOLUME[0] < 9000)


@pytest.mark.parametrize("stack", [False, True])
def test_a_header_of_300000_pixels_squared(tmp_path, stack):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((16, 16), "uint8"), metadata=None)
    with tifffile.TiffFile(path) as tif:
        places = [tif.pages[0].tags[tag].valueoffset for tag in (256, 257)]
    content = bytearray(path.read_bytes())
    for place in places:
        content[place : place + 4] = struct.pack("<I", 300_000)
    path.write_bytes(content)
    refused(f"{path}?axes=yx" if stack else path, "VERIDICAL_MAX_PIXELS")


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["L", "I;16", "RGB", "F"])
def test_stacks_that_pillow_writes(tmp_path, compression, mode):
    pages = {
        "L": VOLUME.astype("uint8"),
        "I;16": VOLUME,
        "RGB": np.stack([VOLUME, VOLUME + 1, VOLUME + 2], -1).astype("uint8"),
        "F": VOLUME.astype("float32"),
    }[mode]
    first, *others = [Image.fromarray(page) for page in pages]
    first.save(tmp_path / "a.tif", save_all=True, append_images=others, compression=compression)
    same(tmp_path / "a.tif", pages)


@pytest.mark.parametrize("name", ["multipage", "multipage_rgb"])
def test_stacks_that_scikit_image_ships(name):
    pages = tifffile.imread(Path(skimage.__file__).parent / "data" / f"{name}.tif")
    same(f"skimage:{name}", np.moveaxis(pages, 1, -1) if name.endswith("rgb") else pages)
