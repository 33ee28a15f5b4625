"""Sizes are asked before anything is decoded, only regular files are opened, and errors name what is wrong."""

import errno
import os
import struct
import threading
import zlib

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from veridical.core.errors import InputError, explain
from veridical.data.images import read_images
from veridical.data.readers.imagefile import SUFFIXES, guard, read_header, read_image
from veridical.data.readers.open import open_slices

RNG = np.random.default_rng(0)


def png(width, height, bits=8, colour=0, pixels=b""):
    """A PNG that claims any size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


# ------------------------------------------------------------------------------------------------- large and too large


def test_large_scans_are_read_and_pillow_keeps_its_limit(tmp_path, monkeypatch):
    limit = 1000
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)  # what 90 megapixels are to Pillow
    image = RNG.integers(0, 255, (60, 50), np.uint8)
    for suffix in ("png", "bmp", "tif", "jpg"):
        Image.fromarray(image).save(tmp_path / f"a.{suffix}", quality=100)
        assert open_slices(tmp_path / f"a.{suffix}")[0].shape == (60, 50)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_limit_is_the_products_own_and_says_how_to_raise_it(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((60, 50), np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setenv("VERIDICAL_MAX_PIXELS", "2999")
    for read in (read_header, read_image, open_slices):
        with pytest.raises(InputError, match=r"a\.png.*VERIDICAL_MAX_PIXELS=3000"):
            read(tmp_path / "a.png")
    monkeypatch.setenv("VERIDICAL_MAX_PIXELS", "3000")
    assert read_image(tmp_path / "a.png").shape == (60, 50)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([(1, 0), (8, 0), (16, 0), (8, 2), (16, 6)]), st.integers(1000, 60_000), st.integers(1000, 60_000)
)
def test_png_that_claims_more_than_it_can_hold(tmp_path_factory, kind, width, height):
    path = tmp_path_factory.mktemp("png") / "bomb.png"
    path.write_bytes(png(width, height, *kind, pixels=bytes(100)))
    with pytest.raises(InputError, match=r"bomb\.png"):
        read_header(path)


def test_a_set_is_budgeted_before_it_is_decoded(tmp_path, monkeypatch):
    for k in range(4):
        (tmp_path / f"{k}.png").write_bytes(png(100, 100, pixels=RNG.bytes(200)))  # cut short: decoding would fail
    monkeypatch.setenv("VERIDICAL_MAX_BYTES", str(4 * 100 * 100 * 5 - 1))
    with pytest.raises(InputError, match=f"{tmp_path.name}: has 200000 bytes in memory at once"):
        read_images(tmp_path)
    monkeypatch.delenv("VERIDICAL_MAX_BYTES")
    with pytest.raises(InputError, match=r"0\.png"):
        read_images(tmp_path)


# ------------------------------------------------------------------------------------------------- files that are none


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("suffix", [*SUFFIXES, ".h5", ".nii.gz", ".dcm", ".mha", ".raw"])
def test_pipes_and_devices_are_refused_at_once(tmp_path, suffix):
    os.mkfifo(tmp_path / f"a{suffix}")
    os.symlink("/dev/zero", tmp_path / f"b{suffix}")
    for name in "ab":
        caught = []

        def attempt(name=name, caught=caught):
            with pytest.raises(InputError, match=f"{name}{suffix}.*regular file"):
                open_slices(tmp_path / f"{name}{suffix}")
            caught.append(True)

        thread = threading.Thread(target=attempt, daemon=True)
        thread.start()
        thread.join(10)
        assert caught


@pytest.mark.parametrize(
    ("number", "words", "not_words"),
    [
        (errno.ENOSPC, "free some space", "check the file"),
        (errno.EIO, "check the disk", "space"),
        (errno.EACCES, "permissions", "disk"),
        (errno.ENOENT, "not there", "disk"),
        (errno.EINVAL, "check the file", "disk"),
    ],
)
def test_what_is_to_blame(tmp_path, number, words, not_words):
    def work():
        raise OSError(number, os.strerror(number))

    with pytest.raises(InputError) as caught:
        guard(tmp_path / "a.png", work)
    for text in (str(caught.value), explain(OSError(number, os.strerror(number)))):
        assert words in text and not_words not in text


def test_what_a_decoder_says_is_about_the_file(tmp_path):
    def work():
        raise OSError("image file is truncated (3 bytes not processed)")

    with pytest.raises(InputError, match=r"damaged, cut short .*truncated"):
        guard(tmp_path / "a.png", work)


# ------------------------------------------------------------------------------------------------- PGM, JPEG 2000


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["P1", "P2", "P3", "P4", "P5", "P6"]), st.integers(1, 9), st.integers(1, 9), st.integers(1, 65535)
)
def test_netpbm_keeps_its_counts(tmp_path_factory, kind, height, width, top):
    bits, colours, plain = kind in ("P1", "P4"), kind in ("P3", "P6"), kind < "P4"
    shape = (height, width, 3) if colours else (height, width)
    image = RNG.integers(0, 1 if bits else top, shape, endpoint=True)
    head = f"{kind}\n# made by a test 9\n{width} {height}\n" + ("" if bits else f"{top}\n")
    if plain:
        body = " ".join(map(str, image.ravel())).encode()
    else:
        body = (np.packbits(image, axis=1) if bits else image.astype(">u2" if top > 255 else "u1")).tobytes()
    path = tmp_path_factory.mktemp("pnm") / "a.pnm"
    path.write_bytes(head.encode() + body)
    slices = open_slices(path)
    assert slices.dtype == (bool if bits else np.uint16 if top > 255 else np.uint8)
    np.testing.assert_array_equal(slices[0], image == 0 if bits else image)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((7, 9), "uint8"), ((7, 9, 3), "uint8"), ((7, 9), "uint16"), ((7, 9, 3), "uint16")]
)
def test_netpbm_and_jpeg_2000_of_other_writers(tmp_path, shape, dtype):
    import imagecodecs

    image = RNG.integers(0, np.iinfo(dtype).max, shape, dtype)
    written = {
        "a.jp2": imagecodecs.jpeg2k_encode(image, level=0),
        "b.j2k": imagecodecs.jpeg2k_encode(image, level=0, codecformat="j2k"),
    }
    for name, content in written.items():
        (tmp_path / name).write_bytes(content)
    if dtype == "uint8":
        imageio.imwrite(tmp_path / ("c.ppm" if image.ndim == 3 else "c.pgm"), image)
    for path in tmp_path.iterdir():
        slices = open_slices(path)
        assert slices.dtype == image.dtype and slices.channels == (3 if image.ndim == 3 else 1)
        np.testing.assert_array_equal(slices[0], image)


@pytest.mark.parametrize(
    "content", [b"P5\n99999999 99999999\n255\n\0", b"P5\n4 4\n255\n\0", b"P5\n4 4\n99999999\n", b"P7\n", b"P5"]
)
def test_netpbm_that_is_wrong(tmp_path, content):
    (tmp_path / "a.pgm").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.pgm"):
        open_slices(tmp_path / "a.pgm")


def test_cut_and_junk_of_every_kind(tmp_path):
    image = RNG.integers(0, 255, (64, 64), np.uint8)
    for suffix in ("png", "jpg", "bmp", "jp2", "pgm"):
        Image.fromarray(image).save(tmp_path / f"whole.{suffix}")
    tifffile.imwrite(tmp_path / "whole.tif", image)
    np.save(tmp_path / "whole.npy", image)
    for whole in list(tmp_path.iterdir()):
        for name, content in (("cut", whole.read_bytes()[: whole.stat().st_size // 2]), ("junk", RNG.bytes(3000))):
            path = whole.with_stem(name)
            path.write_bytes(content)
            with pytest.raises(InputError, match=path.name) as caught:
                open_slices(path)[0]
            assert "\n" not in str(caught.value)
