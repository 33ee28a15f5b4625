"""Label images are read as they are stored, whatever file they are in; what they cannot mean is refused."""

import itertools
import struct
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from veridical.core.errors import InputError
from veridical.data.masks import MOST_CLASSES, fit_mask_values, open_labels, paint, rank, stored
from veridical.data.open import open_dataset
from veridical.data.readers.labelfile import as_labels, read_labels
from veridical.data.readers.labelset import BLACK, LabelSet
from veridical.data.readers.open import open_slices
from veridical.data.slices import Slices

NUMBERS = itertools.count()
SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def indexed(classes, colours):
    image = Image.fromarray(classes)
    image.putpalette(colours.astype(np.uint8).ravel().tolist())
    return image


def write(folder, kind, classes, colours):
    """A label image of `classes`, whose colours are those; numbers, palettes, or paint."""
    path = folder / f"{next(NUMBERS)}{kind.rpartition('.')[2].join(('.', ''))}"
    if kind == "npy.npy":
        np.save(path, classes.astype(np.float64))
    elif kind == "palette.tif":
        table = np.zeros((3, 256), np.uint16)
        table[:, : len(colours)] = colours.T.astype(np.uint16) * 257
        tifffile.imwrite(path, classes, photometric="palette", colormap=table)
    elif kind.startswith("palette"):
        indexed(classes, colours).save(path)
    elif kind == "paint.tif":
        tifffile.imwrite(path, colours[classes].astype(np.uint8), photometric="rgb")
    elif kind == "paint.png":
        Image.fromarray(colours[classes].astype(np.uint8)).save(path)
    elif kind.endswith(".tif"):
        tifffile.imwrite(path, classes.astype(np.uint16))
    else:
        Image.fromarray(classes).save(path)
    return path


def set_of(paths):
    read = LabelSet(paths)
    shapes = [read(k).shape for k in range(len(paths))]
    names = [str(k) for k in range(len(paths))]
    slices = Slices("folder", names, shapes, np.dtype(np.uint8), 1, read)
    return read, slices


@SETTINGS
@given(
    kind=st.sampled_from(
        [
            "grey.png",
            "grey.bmp",
            "grey.tif",
            "npy.npy",
            "palette.png",
            "palette.tif",
            "palette.bmp",
            "paint.png",
            "paint.tif",
        ]
    ),
    n=st.integers(2, 40),
    seed=st.integers(0, 2**16),
)
def test_classes_survive_any_way_of_writing_them(tmp_path, kind, n, seed):
    """The partition into classes is the one that was written; numbers and indices keep their order."""
    rng = np.random.default_rng(seed)
    colours = np.unique(rng.integers(0, 256, (4 * n, 3)), axis=0)[rng.permutation(n)]
    colours[0] = (255, 0, 0)  # never all grey
    classes = rng.integers(0, n, (3, 9, 7), np.uint8)
    classes[0].flat[:n] = np.arange(n)
    read, slices = set_of([write(tmp_path, kind, each, colours) for each in classes])
    values = fit_mask_values("masks", slices, range(3), read)
    found = rank(np.stack([read(k) for k in range(3)]), values, slices.names)
    if kind.startswith("paint"):
        pairs = set(zip(classes.ravel().tolist(), found.ravel().tolist(), strict=True))
        assert len(pairs) == n == len(values)
        assert (paint(stored(found, values)) == colours[classes]).all()
    else:
        assert (found == classes).all()
        assert (stored(found, values) == classes).all()


def test_palettes_that_differ_are_told_by_their_colours(tmp_path):
    """GIMP orders a palette by how often a colour occurs."""
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]])
    classes = np.random.default_rng(0).integers(0, 3, (2, 8, 8), np.uint8)
    order = np.array([2, 0, 1])
    paths = [
        write(tmp_path, "palette.png", classes[0], colours),
        write(tmp_path, "palette.png", np.argsort(order).astype(np.uint8)[classes[1]], colours[order]),
        write(tmp_path, "paint.png", classes[1], colours),
    ]
    for n in (2, 3):
        read, _ = set_of(paths[:n])
        assert [(paint(read(k)) == colours[classes[int(k > 0)]]).all() for k in range(n)] == [True] * n


def test_numbers_beside_palettes(tmp_path):
    colours = np.array([[0, 0, 0], [255, 255, 255]])
    bits = np.random.default_rng(0).integers(0, 2, (8, 8), np.uint8)
    read, _ = set_of([write(tmp_path, "palette.png", bits, colours), write(tmp_path, "grey.png", bits, colours)])
    assert (read(0) == read(1)).all() and read(0).max() == 1
    read, _ = set_of([write(tmp_path, "palette.png", bits, colours), write(tmp_path, "grey.png", bits * 255, colours)])
    assert (read(0) == read(1)).all() and set(np.unique(read(0))) == {BLACK, BLACK + 0xFFFFFF}
    with pytest.raises(InputError, match="not clear which are alike"):
        set_of([write(tmp_path, "palette.png", bits, colours), write(tmp_path, "grey.png", bits * 7, colours)])
    with pytest.raises(InputError, match="painted in colours"):
        set_of(
            [
                write(tmp_path, "grey.png", bits, colours),
                write(tmp_path, "paint.png", bits, np.array([[0, 0, 0], [9, 0, 0]])),
            ]
        )


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_png_of_few_bits_is_not_spread(tmp_path, bits):
    rows = np.arange(2**bits, dtype=np.uint8).repeat(8 // bits)[None].repeat(4, 0)
    packed = b"".join(
        b"\0" + int("".join(f"{v:0{bits}b}" for v in row), 2).to_bytes(rows.shape[1] * bits // 8, "big") for row in rows
    )
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))  # noqa: E731
    head = struct.pack(">IIBBBBB", rows.shape[1], 4, bits, 0, 0, 0, 0)
    path = tmp_path / "few.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(packed)) + chunk(b"IEND", b"")
    )
    assert (read_labels(path).pixels == rows).all()


@SETTINGS
@given(
    dtype=st.sampled_from(["bool", "uint8", "uint16", "uint32", "int16", "int32", "int64", "float32", "float64"]),
    values=st.lists(
        st.integers(-3, 70000) | st.sampled_from([0.5, 1e-3, float("nan"), float("inf"), 1e300]), min_size=1, max_size=5
    ),
)  # fmt: skip
def test_values_are_checked_before_any_cast(dtype, values):
    with np.errstate(all="ignore"):
        array = np.array([values], np.float64).astype(dtype)
    exact = array.astype(object)
    if (
        all(0 <= v <= 65535 and v == int(v) for v in exact[0] if v == v and abs(v) != float("inf"))
        and np.isfinite(array.astype(np.float64)).all()
    ):
        found = as_labels(array, "x")
        assert found.dtype in (np.uint8, np.uint16) and found.tolist() == [[int(v) for v in exact[0]]]
    else:
        with pytest.raises(InputError, match=r"^x: "):
            as_labels(array, "x")


def test_jpeg_is_read_where_it_is_exact(tmp_path):
    halves = np.zeros((32, 32), np.uint8)
    halves[:, 16:] = 255
    Image.fromarray(halves).save(tmp_path / "exact.jpg", quality=100)
    assert (read_labels(tmp_path / "exact.jpg").pixels == halves).all()
    Image.fromarray(halves // 255 * np.uint8(40)).save(tmp_path / "other.jpg", quality=100)
    noise = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (32, 32))
    Image.fromarray(noise).save(tmp_path / "between.jpg", quality=80)
    tifffile.imwrite(tmp_path / "between.tif", noise, compression="jpeg")
    for name in ("other.jpg", "between.jpg", "between.tif"):
        with pytest.raises(InputError, match="lossy"):
            read_labels(tmp_path / name)


def test_transparency_is_left_out_where_it_says_nothing(tmp_path):
    red = np.array([[[0, 0, 0, 255], [255, 0, 0, 255]], [[0, 0, 0, 255], [0, 255, 0, 0]]], np.uint8)
    Image.fromarray(red).save(tmp_path / "a.png")
    assert (read_labels(tmp_path / "a.png").pixels == red[..., :3]).all()
    red[1, 0, 3] = 0  # a transparent black beside an opaque one
    Image.fromarray(red).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="transparency"):
        read_labels(tmp_path / "a.png")


@pytest.mark.parametrize("image_tag", [1, 3, 6])
@pytest.mark.parametrize("mask_tag", [1, 3, 6])
@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize("shape", [(24, 40), (32, 32)])
def test_a_mask_lies_on_its_image_as_it_was_drawn_or_is_refused(tmp_path, image_tag, mask_tag, shown, shape):
    """Drawn on the stored pixels, or (`shown`) on the turned image and saved without a tag."""
    labels = np.random.default_rng(0).integers(0, 2, shape, np.uint8)
    (tmp_path / "masks").mkdir()
    exif = Image.Exif()
    exif[274] = image_tag
    picture = Image.fromarray(labels * 200 + 9)
    picture.save(tmp_path / "a.png", exif=exif)
    if shown:
        mask_tag, labels = 1, np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "a.png"))) // 200
    exif[274] = mask_tag
    Image.fromarray(labels).save(tmp_path / "masks" / "a.png", exif=exif)
    slices = open_slices(tmp_path)
    try:
        mask = slices.mask(0)
    except InputError as error:
        assert (image_tag != mask_tag and "orientation" in str(error)) or "pixels but the image" in str(error)
        assert not (image_tag == mask_tag or (shape == (24, 40) and mask_tag == 1 and image_tag == 6))
        return
    assert (slices[0] // 200 == mask).all()


def test_labels_by_themselves_are_read_with_the_values_of_a_run(tmp_path):
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]])
    classes = np.random.default_rng(0).integers(0, 3, (8, 8), np.uint8)
    (tmp_path / "m").mkdir()
    write(tmp_path / "m", "palette.png", classes, colours)
    assert (open_labels(tmp_path / "m", (0, 1, 2))[0] == classes).all()
    assert (paint(open_labels(tmp_path / "m", (BLACK, BLACK + 255))[0]) == colours[classes]).all()
    np.save(tmp_path / "stack.npy", np.where(np.arange(8) < 3, 0.5, 1.0)[None, None].repeat(6, 0).repeat(8, 1))
    with pytest.raises(InputError, match=r"holds 0\.5"):
        open_labels(tmp_path / "stack.npy")[0]


def test_more_than_a_few_values_are_refused(tmp_path):
    many = np.arange(128, dtype=np.uint8).reshape(8, 16) * 2
    colours = np.random.default_rng(0).integers(0, 256, (256, 3))
    for kind, words in (("grey.png", "number the classes"), ("paint.png", "colours")):
        read, slices = set_of([write(tmp_path, kind, many, colours)])
        with pytest.raises(InputError, match=f"more than {MOST_CLASSES} .*{words}"):
            fit_mask_values("masks", slices, [0], read)


def test_16_bit_values_are_ranked_and_said(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "masks").mkdir()
    for k in range(6):
        Image.fromarray(rng.integers(0, 255, (32, 32), np.uint8)).save(tmp_path / f"{'abcdef'[k]}.png")
        tifffile.imwrite(
            tmp_path / "masks" / f"{'abcdef'[k]}.TIF", rng.choice(np.array([0, 300, 65535], np.uint16), (32, 32))
        )
    dataset = open_dataset(tmp_path, 16, masks=True)
    assert dataset.mask_values == (0, 300, 65535) and any("2 is the value 65535" in note for note in dataset.notes)
    assert set(np.unique(dataset.tile_conditions("train")["mask"])) == {0, 1, 2}
