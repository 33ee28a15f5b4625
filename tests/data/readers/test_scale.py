"""The pixel size is what the instrument says; numbers for paper and screens are none. Bars and palettes are noticed."""

import struct

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from veridical.data.readers.open import open_slices
from veridical.data.readers.pixels import GREY_PALETTE, MICROMETRES, grey_palette, square_pixels

IMAGE = np.arange(40 * 50, dtype=np.uint8).reshape(40, 50)
SCREEN = {"resolution": (64, 64), "resolutionunit": "INCH"}  # what microscopes write into the usual tags


def text(code, content):
    return (code, "s", 0, content, True)


def written(path, *tags, **options):
    tifffile.imwrite(path, IMAGE, extratags=list(tags), metadata=None, **options)
    return open_slices(path)


FEI = (
    "[User]\r\nUser=x\r\n[Scan]\r\nPixelWidth=3.3724e-06\r\nPixelHeight=3.3724e-06\r\n[Image]\r\nResolutionY={rows}\r\n"
)
ZEISS = "0\r\n0\r\n0\r\n2.5e-08\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = {value}\r\n"
TITAN = '<Root><BinaryResult><PixelSize><X unit="m">4.5e-9</X><Y unit="m">4.5e-9</Y></PixelSize></BinaryResult></Root>'


def olympus(metres_exponent, size):
    """The structure that tifffile reads: SIS0, one tag of type 1, and behind it the size of a pixel."""
    head = struct.pack("<4s6xhhhhh6x32sH", b"SIS0", 1, 1, 1, 1, 100, b"x", 1)
    return head, struct.pack("<10xhdd8xd2x34s32s", metres_exponent, size, size, 1.0, b"", b"")


@pytest.mark.parametrize("code", [34680, 34682])
def test_fei(tmp_path, code):
    slices = written(tmp_path / "a.tif", text(code, FEI.format(rows=40)), **SCREEN)
    assert slices.pixel_size == pytest.approx(3.3724) and slices.notes == []


def test_data_bar_is_said(tmp_path):
    slices = written(tmp_path / "a.tif", text(34682, FEI.format(rows=33)), **SCREEN)
    assert slices.shapes == [(40, 50)] and "bottom 7 rows" in slices.notes[0]
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(stack, np.stack([IMAGE, IMAGE]), extratags=[text(34682, FEI.format(rows=33))], metadata=None)
    assert "bottom 7 rows" in open_slices(stack).notes[0] and open_slices(stack).pixel_size == pytest.approx(3.3724)


def test_instrument_without_a_size_has_none(tmp_path):
    slices = written(tmp_path / "a.tif", text(34682, "[Image]\r\nResolutionY=40\r\n"), resolution=(600, 600))
    assert slices.pixel_size is None


@pytest.mark.parametrize(("value", "expected"), [("5.6 nm", 5.6e-3), ("1.25 µm", 1.25), ("3 pm", 3e-6)])
def test_zeiss(tmp_path, value, expected):
    content = ZEISS.format(value=value).encode("cp1252")
    slices = written(tmp_path / "a.tif", (34118, "s", 0, content, True), **SCREEN)
    assert slices.pixel_size == pytest.approx(expected)


def test_zeiss_without_names(tmp_path):
    slices = written(tmp_path / "a.tif", text(34118, "0\r\n0\r\n0\r\n2.5e-08\r\n"), **SCREEN)
    assert slices.pixel_size == pytest.approx(0.025 * 1024 / 50)


def test_titan_and_gatan(tmp_path):
    assert written(tmp_path / "t.tif", text(34683, TITAN), **SCREEN).pixel_size == pytest.approx(4.5e-3)
    tags = [text(65003, "nm"), text(65004, "nm"), (65009, "f", 1, 2.5, True), (65010, "f", 1, 2.5, True)]
    assert written(tmp_path / "g.tif", *tags, **SCREEN).pixel_size == pytest.approx(2.5e-3)
    tags[2] = (65009, "f", 1, 5.0, True)
    slices = written(tmp_path / "g.tif", *tags, **SCREEN)
    assert slices.pixel_size is None and "not square" in slices.notes[0]


def test_olympus(tmp_path):
    head, body = olympus(-9, 12.5)
    path = tmp_path / "a.tif"
    written(path, (65000, "I", 1, 0, True), **SCREEN)
    end = path.stat().st_size + path.stat().st_size % 2
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[0].tags[65000].offset
    with path.open("r+b") as file:  # tifffile does not write what it cannot read
        file.seek(offset)
        file.write(struct.pack("<HHII", 33560, 4, 1, end))
        file.seek(end)
        file.write(head + struct.pack("<hhI", 1, 1, end + len(head) + 8) + body)
    assert open_slices(path).pixel_size == pytest.approx(0.0125)


@pytest.mark.parametrize(
    ("inch", "expected", "said"),
    [(64, None, True), (72, None, False), (96, None, False), (300, None, True), (600, 25400 / 600, False)],
)
def test_paper_and_screens_are_no_pixel_size(tmp_path, inch, expected, said):
    slices = written(tmp_path / "a.tif", resolution=(inch, inch), resolutionunit="INCH")
    assert slices.pixel_size == (None if expected is None else pytest.approx(expected))
    assert bool(slices.notes) == said


def test_a_device_may_have_300(tmp_path):
    slices = written(tmp_path / "a.tif", text(271, "EPSON"), resolution=(300, 300), resolutionunit="INCH")
    assert slices.pixel_size == pytest.approx(25400 / 300)


HITACHI = "[SemImageFile]\r\nDataSize={}x40\r\nPixelSize=9.92248\r\n"
JEOL = "$CM_FULL_SIZE {} 40\r\n$$SM_MICRON_BAR 103\r\n$$SM_MICRON_MARKER 10um\r\n"


@pytest.mark.parametrize(("content", "expected"), [(HITACHI, 9.92248e-3), (JEOL, 10 / 103)])
def test_text_beside_the_image(tmp_path, content, expected):
    Image.fromarray(IMAGE).save(tmp_path / "a.bmp")
    (tmp_path / "a.txt").write_text(content.format(50))
    assert open_slices(tmp_path / "a.bmp").pixel_size == pytest.approx(expected)
    (tmp_path / "a.txt").write_text(content.replace("x40", "x36").replace("} 40", "} 36").format(50))
    assert "bottom 4 rows" in open_slices(tmp_path / "a.bmp").notes[0]
    (tmp_path / "a.txt").write_text(content.format(1280))  # of another image
    assert open_slices(tmp_path / "a.bmp").pixel_size is None
    (tmp_path / "a.txt").write_text("an image of a root")  # a caption
    assert open_slices(tmp_path / "a.bmp").pixel_size is None


@given(st.sampled_from(sorted(MICROMETRES)), st.floats(1e-3, 1e3), st.floats(0.5, 2))
def test_pixels_are_square_or_have_no_size(unit, width, ratio):
    size, notes = square_pixels(width * ratio * MICROMETRES[unit], width * MICROMETRES[unit])
    assert (size is None) == bool(notes) == (abs(ratio - 1) > 0.01 * max(ratio, 1))


# ------------------------------------------------------------------------------------------------------- palettes


def test_imagej_shows_colours_but_measures_counts(tmp_path):
    colours = np.zeros((3, 256), np.uint16)
    colours[0] = np.arange(256) * 257
    for photometric, more in (("palette", {"colormap": colours}), ("miniswhite", {})):
        path = tmp_path / f"{photometric}.tif"
        tifffile.imwrite(
            path, IMAGE, photometric=photometric, metadata=None, description="ImageJ=1.53t\nunit=um\n", **more
        )
        slices = open_slices(path)
        assert slices.channels == 1 and "ImageJ" in slices.notes[0]
        np.testing.assert_array_equal(slices[0], IMAGE)


def test_missing_photometric_tag_is_grey(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, IMAGE, photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[0].tags[262].offset
    with path.open("r+b") as file:  # a private number in place of 262
        file.seek(offset)
        file.write(struct.pack("<H", 270 - 7))
    np.testing.assert_array_equal(open_slices(path)[0], IMAGE)


@pytest.mark.parametrize("bits", [4, 12])
def test_white_is_zero_in_few_bits(tmp_path, bits):
    image = (IMAGE.astype(np.uint16 if bits > 8 else np.uint8)) % 16
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="miniswhite", bitspersample=bits)
    np.testing.assert_array_equal(open_slices(tmp_path / "a.tif")[0], 2**bits - 1 - image)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_greys_with_a_few_marks_are_grey(marks, seed):
    table = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
    where = np.random.default_rng(seed).choice(256, marks, replace=False)
    table[where] = np.stack([np.full(marks, 255), np.arange(marks), np.zeros(marks)], 1)
    values, note = grey_palette(table)
    grey = np.setdiff1d(np.arange(256), where)
    np.testing.assert_array_equal(values[grey], grey)
    assert (note is None) == (256 - marks < 8 * marks)
    assert note is None or (note == GREY_PALETTE) == (marks == 0)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_marks_on_a_grey_image(tmp_path, suffix):
    table = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
    table[200] = 255, 0, 0
    image = Image.fromarray(IMAGE)
    image.putpalette(table.tobytes())
    image.save(tmp_path / f"a.{suffix}")
    slices = open_slices(tmp_path / f"a.{suffix}")
    assert slices.channels == 1 and "1 other colours" in slices.notes[0]
    np.testing.assert_array_equal(slices[0][IMAGE != 200], IMAGE[IMAGE != 200])
