"""Every format and type comes back exactly, and every broken file says so in one sentence."""

import os
import pickle
import struct
import zlib

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image, ImageOps

from refusing import refuse
from veridical.core.errors import InputError
from veridical.data.readers.open import open_slices

RNG = np.random.default_rng(0)
DTYPES = ["uint8", "uint16", "int16", "int32", "uint32", "float16", "float32", "float64", "bool"]


def values(shape, dtype="uint8"):
    dtype = np.dtype(dtype)
    if dtype == np.bool_:
        return RNG.random(shape) < 0.5
    if dtype.kind == "f":
        return RNG.normal(0, 100, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def check(spec, expected, **attributes):
    """All slices equal `expected`, also after pickling, and the header told the truth."""
    slices = open_slices(spec)
    assert len(slices) == len(slices.names) == len(set(slices.names)) == len(expected)
    for again in (slices, pickle.loads(pickle.dumps(slices))):
        for k, image in enumerate(expected):
            got = again[k]
            assert got.shape[:2] == slices.shapes[k] and (3 if got.ndim == 3 else 1) == slices.channels
            assert got.dtype.newbyteorder("=") == slices.dtype == image.dtype
            np.testing.assert_array_equal(got, image)
    for name, value in attributes.items():
        assert getattr(slices, name) == value, name
    with pytest.raises(IndexError):
        slices[len(slices)]
    return slices


# --------------------------------------------------------------------------------------------------------- folders


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", ["tif", "npy"])
def test_folder_of_every_type(tmp_path, dtype, channels, suffix):
    if (dtype, channels, suffix) == ("bool", 3, "tif"):
        pytest.skip("there are no 1-bit RGB TIFFs")
    images = [values((7, 9) if channels == 1 else (7, 9, 3), dtype) for _ in range(2)]
    for k, image in enumerate(images):
        if suffix == "npy":
            np.save(tmp_path / f"i{k}.npy", image)
        else:
            tifffile.imwrite(tmp_path / f"i{k}.tif", image, photometric="rgb" if channels == 3 else "minisblack")
    check(tmp_path, images, kind="folder", names=["i0", "i1"], pixel_size=None)
    check(tmp_path / f"i1.{suffix}", images[1:], stack=False)


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_folder_of_8_bit_images(tmp_path, suffix):
    for shape, folder in [((5, 6), "grey"), ((5, 6, 3), "rgb")]:
        (tmp_path / folder).mkdir()
        image = values(shape)
        Image.fromarray(image).save(tmp_path / folder / f"a.{suffix}")
        check(tmp_path / folder, [image], notes=[])


def test_jpeg_is_what_pillow_decodes(tmp_path):
    Image.fromarray(values((16, 24, 3))).save(tmp_path / "a.jpg", quality=90)
    check(tmp_path / "a.jpg", [np.asarray(Image.open(tmp_path / "a.jpg"))], kind="image")


@pytest.mark.parametrize(
    ("shape", "alpha"), [((6, 5), False), ((6, 5, 2), True), ((6, 5, 3), False), ((6, 5, 4), True)]
)
def test_16_bit_png_is_never_cut(tmp_path, shape, alpha):
    image = values(shape, "uint16")
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(image))
    kept = image if image.ndim == 2 else image[..., 0] if shape[-1] == 2 else image[..., :3]
    check(tmp_path / "a.png", [kept], notes=["alpha left out in 1 of 1 files"] if alpha else [])


def test_1_bit_png_and_tiff_are_bool(tmp_path):
    image = values((9, 13), "bool")
    Image.fromarray(image).save(tmp_path / "a.png")
    check(tmp_path / "a.png", [image])
    for photometric in ("minisblack", "miniswhite"):
        stored = image if photometric == "minisblack" else ~image
        # of another program: tifffile calls all bits so
        tifffile.imwrite(
            tmp_path / f"{photometric}.tif", stored, photometric=photometric, bitspersample=1, software=False
        )
        check(tmp_path / f"{photometric}.tif", [image])
    Image.fromarray(image).save(tmp_path / "g4.tif", compression="group4")
    check(tmp_path / "g4.tif", [image])


def test_white_is_zero_is_turned_round(tmp_path):
    image = values((5, 6), "uint16")
    tifffile.imwrite(tmp_path / "a.tif", 65535 - image, photometric="miniswhite")
    check(tmp_path / "a.tif", [image])


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_left_out_with_a_note(tmp_path, mode):
    image = values((5, 6, len(mode)))
    Image.fromarray(image, mode).save(tmp_path / "a.png")
    check(
        tmp_path / "a.png",
        [image[..., :3] if mode == "RGBA" else image[..., 0]],
        notes=["alpha left out in 1 of 1 files"],
    )
    if mode == "RGBA":
        tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", extrasamples=["unassalpha"])
        check(tmp_path / "a.tif", [image[..., :3]], notes=["alpha left out in 1 of 1 files"])


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_palette_is_looked_up(tmp_path, suffix):
    indices, table = values((8, 9)) % 16, values((16, 3))
    image = Image.fromarray(indices)
    image.putpalette(table.tobytes())
    assert image.mode == "P"
    image.save(tmp_path / f"a.{suffix}")
    check(tmp_path / f"a.{suffix}", [table[indices]], notes=["palette converted to RGB in 1 of 1 files"])


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_palette_gives_grey(tmp_path, suffix):
    indices, grey = values((8, 9)) % 16, values(16)
    image = Image.fromarray(indices)
    image.putpalette(np.repeat(grey[:, None], 3, 1).tobytes())
    image.save(tmp_path / f"a.{suffix}")
    check(tmp_path / f"a.{suffix}", [grey[indices]], notes=["grey palette applied in 1 of 1 files"])


def test_cmyk_becomes_rgb(tmp_path):
    # pure inks are known colours: none, cyan, magenta, yellow, black
    ink = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 0, 0], [0, 0, 255, 0], [0, 0, 0, 255]]], np.uint8)
    colours = np.array([[[255, 255, 255], [0, 255, 255], [255, 0, 255], [255, 255, 0], [0, 0, 0]]], np.uint8)
    ink, colours = np.repeat(np.repeat(ink, 8, 0), 8, 1), np.repeat(np.repeat(colours, 8, 0), 8, 1)
    tifffile.imwrite(tmp_path / "a.tif", ink, photometric="separated")
    check(tmp_path / "a.tif", [colours], notes=["CMYK converted to RGB in 1 of 1 files"])
    Image.fromarray(ink, "CMYK").save(tmp_path / "a.jpg", quality=100, subsampling=0)
    slices = open_slices(tmp_path / "a.jpg")
    assert slices.notes == ["CMYK converted to RGB in 1 of 1 files"]
    np.testing.assert_allclose(slices[0].astype(int), colours, atol=6)


@pytest.mark.parametrize("code", range(1, 9))
def test_exif_and_tiff_orientation(tmp_path, code):
    image = np.zeros((16, 32), np.uint8)
    image[:8, :8] = 200
    exif = Image.Exif()
    exif[274] = code
    for name in ("a.jpg", "a.png"):
        Image.fromarray(image).save(tmp_path / name, exif=exif)
        expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / name)))
        check(tmp_path / name, [expected])
    tifffile.imwrite(tmp_path / "a.tif", image, extratags=[(274, "H", 1, code, True)])
    check(tmp_path / "a.tif", [expected])
    assert open_slices(tmp_path / "a.tif").shapes == [(32, 16) if code > 4 else (16, 32)]


def test_folder_is_recursive_natural_and_leaves_things_out(tmp_path):
    for name in ["b/i10.png", "b/i9.png", "a.png", "masks/a.png", "b/masks_raw/i9.png", "known_bad/x.png", ".h/x.png"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), len(name), np.uint8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not an image")
    slices = open_slices(tmp_path)
    assert slices.names == ["a", "b/i9", "b/i10"]
    assert slices.masked == [True, False, False]
    assert (slices.mask(0) == len("masks/a.png")).all()
    with pytest.raises(InputError, match="b/i9"):
        slices.mask(1)
    assert open_slices(tmp_path / "known_bad").names == ["x"]


def test_train_and_test_stand_alone(tmp_path):
    for folder in ("train", "test", "slices", "masks"):
        (tmp_path / folder).mkdir()
        Image.fromarray(values((4, 4))).save(tmp_path / folder / "a.png")
    slices = open_slices(tmp_path)
    assert slices.names == ["train/a", "test/a"]
    assert slices.notes == ["only train/ and test/ are used, not slices/"]


def test_numbered_series_of_one_size_is_a_stack(tmp_path):
    for k in range(3):
        Image.fromarray(values((4, 4))).save(tmp_path / f"scan_{k:03d}.png")
    assert open_slices(tmp_path).stack
    Image.fromarray(values((4, 4))).save(tmp_path / "other_007.png")
    assert not open_slices(tmp_path).stack


def test_same_stem_twice_keeps_its_suffix(tmp_path):
    for name in ("a.png", "a.bmp"):
        Image.fromarray(values((4, 4))).save(tmp_path / name)
    assert open_slices(tmp_path).names == ["a.bmp", "a.png"]


# ---------------------------------------------------------------------------------------------------------- stacks


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "options", [{}, {"bigtiff": True}, {"compression": "zlib"}, {"byteorder": ">"}, {"tile": (16, 16)}]
)
def test_tiff_stack(tmp_path, dtype, options):
    volume = values((5, 20, 24), dtype)
    if dtype == "bool" and "compression" not in options:
        options = {"compression": "zlib", **options}
    tifffile.imwrite(tmp_path / "s.tif", volume, photometric="minisblack", **options)
    mapped = "compression" not in options and "tile" not in options
    slices = check(tmp_path / "s.tif", volume, kind="tiff", stack=True, mapped=mapped)
    assert slices.names[0] == "z0000"


def test_tiff_stack_with_a_header_before_each_page_is_mapped(tmp_path):
    volume = values((4, 10, 12), "uint16")
    with tifffile.TiffWriter(tmp_path / "s.tif") as file:
        for page in volume:
            file.write(page, contiguous=False, metadata=None)
    check(tmp_path / "s.tif", volume, mapped=True)


def test_tiff_stack_written_page_by_page_is_one_stack(tmp_path):
    volume = values((4, 10, 12), "uint16")
    with tifffile.TiffWriter(tmp_path / "s.tif") as file:
        for page in volume:
            file.write(page, contiguous=False)  # each page says that it is an array of its own
    check(tmp_path / "s.tif", volume, stack=True)


@pytest.mark.parametrize("place", ["first", "last"])
def test_a_thumbnail_is_left_out_with_a_note(tmp_path, place):
    image = values((20, 24))
    pages = [image[::4, ::4], image] if place == "first" else [image, image[::4, ::4]]
    with tifffile.TiffWriter(tmp_path / "s.tif") as file:
        for page in pages:
            file.write(page, metadata=None)
    for spec in (tmp_path, tmp_path / "s.tif"):
        slices = check(spec, [image])
        assert "6 x 5 pixels" in slices.notes[0]
    if place == "first":
        check(f"{tmp_path}/s.tif?series=0", [image[::4, ::4]])


def test_pixel_size_in_words_is_none(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", data=values((3, 10, 12))).attrs["element_size_um"] = "one micrometre"
    assert open_slices(f"{tmp_path / 'a.h5'}:/a").pixel_size is None


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiff_stack_in_colour(tmp_path, compression, planar):
    volume = values((3, 10, 12, 3))
    stored = volume if planar == "contig" else np.moveaxis(volume, -1, 1)
    tifffile.imwrite(tmp_path / "s.tif", stored, photometric="rgb", planarconfig=planar, compression=compression)
    check(tmp_path / "s.tif", volume, channels=3)


def test_only_file_in_a_folder_may_be_a_stack(tmp_path):
    volume = values((3, 10, 12))
    tifffile.imwrite(tmp_path / "s.tif", volume, photometric="minisblack")
    check(tmp_path, volume, kind="tiff")


@pytest.mark.parametrize("dtype", DTYPES)
def test_npy_volume(tmp_path, dtype):
    volume = values((4, 6, 7), dtype)
    np.save(tmp_path / "v.npy", volume)
    check(tmp_path / "v.npy", volume, kind="npy", mapped=True, stack=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", [{}, {"chunks": (1, 8, 9), "compression": "gzip"}])
def test_hdf5_volume(tmp_path, dtype, options):
    volume = values((3, 8, 9), dtype)
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_dataset("/exchange/data", data=volume, **options)
        file["/entry/one"] = volume[0]
        file["/entry/one"].attrs["element_size_um"] = [1.0, 0.65, 0.65]
    check(tmp_path / "v.h5", volume, kind="hdf5", stack=True, mapped=not options and dtype != "bool")
    check(f"{tmp_path}/v.h5:/exchange/data", volume)
    check(f"{tmp_path}/v.h5:entry/one", volume[:1], pixel_size=0.65, names=["v"])


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_zarr_array(tmp_path, version, dtype):
    volume = values((3, 8, 9), dtype)
    array = zarr.create_array(
        tmp_path / "v.zarr", shape=volume.shape, chunks=(1, 5, 5), dtype=dtype, zarr_format=version
    )
    array[:] = volume
    check(tmp_path / "v.zarr", volume, kind="zarr", stack=True)


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr_takes_the_highest_resolution(tmp_path, version):
    volume = values((2, 1, 3, 8, 9), "uint16")
    group = zarr.open_group(tmp_path / "v.zarr", mode="w", zarr_format=version)
    for name, data in (("full", volume), ("half", volume[..., ::2, ::2])):
        group.create_array(name, shape=data.shape, dtype=data.dtype, chunks=data.shape)[:] = data
    metadata = [
        {
            "axes": [{"name": n} for n in "tcz"] + [{"name": n, "unit": "millimeter"} for n in "yx"],
            "datasets": [
                {"path": "full", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 3, 0.002, 0.002]}]},
                {"path": "half", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 3, 0.004, 0.004]}]},
            ],
        }
    ]
    group.attrs.update({"ome": {"multiscales": metadata}} if version == 3 else {"multiscales": metadata})
    check(tmp_path / "v.zarr", volume.reshape(6, 8, 9), pixel_size=2.0)
    check(f"{tmp_path}/v.zarr:/half", volume[..., ::2, ::2].reshape(6, 4, 5))
    with pytest.raises(InputError, match=r"v\.zarr.*/nothing"):
        open_slices(f"{tmp_path}/v.zarr:/nothing")


def test_ome_zarr_with_three_channels_is_rgb(tmp_path):
    image = values((3, 8, 9))
    group = zarr.open_group(tmp_path / "v.zarr", mode="w")
    group.create_array("0", shape=image.shape, dtype=image.dtype)[:] = image
    scales = {"axes": [{"name": n} for n in "cyx"], "datasets": [{"path": "0"}]}
    group.attrs["ome"] = {"multiscales": [scales]}
    check(tmp_path / "v.zarr", [np.moveaxis(image, 0, -1)], pixel_size=None)


# ------------------------------------------------------------------------------------------------------ pixel size


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"resolution": (1e4 / 2.5, 1e4 / 2.5), "resolutionunit": "CENTIMETER"}, 2.5),
        ({"resolution": (600, 600), "resolutionunit": "INCH"}, 25400 / 600),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
        ({"resolution": (600, 600), "resolutionunit": "NONE"}, None),
        ({"imagej": True, "resolution": (2, 2), "metadata": {"unit": "um"}}, 0.5),
        ({"imagej": True, "resolution": (2, 2), "metadata": {"unit": "mm"}}, 500),
        ({"ome": True, "metadata": {"PhysicalSizeX": 650.0, "PhysicalSizeXUnit": "nm"}}, 0.65),
    ],
)
@pytest.mark.parametrize("pages", [1, 3])
def test_tiff_pixel_size(tmp_path, options, expected, pages):
    volume = values((pages, 8, 9), "uint16")
    if {"imagej", "ome"} & set(options) and pages > 1:
        options = {**options, "metadata": {"axes": "ZYX", **options["metadata"]}}
    options = {"metadata": None, **options} if not ({"imagej", "ome"} & set(options)) else options
    tifffile.imwrite(tmp_path / "a.tif", volume if pages > 1 else volume[0], photometric="minisblack", **options)
    slices = check(tmp_path / "a.tif", volume)
    assert slices.pixel_size == (None if expected is None else pytest.approx(expected))


def test_different_pixel_sizes_give_a_note(tmp_path):
    for k in (1, 2):
        tifffile.imwrite(
            tmp_path / f"{k}.tif", values((4, 4)), resolution=(k * 1000, k * 1000), resolutionunit="CENTIMETER"
        )
    slices = open_slices(tmp_path)
    assert slices.pixel_size is None and "different pixel sizes" in slices.notes[0]


# -------------------------------------------------------------------------------------------------- shipped, made


def test_images_of_scikit_image():
    assert open_slices("skimage:brick").shapes == [(512, 512)]
    with pytest.raises(InputError, match=r"nobody.*camera"):
        open_slices("skimage:nobody")


def test_phantoms_are_generated_on_first_read(monkeypatch):
    from types import SimpleNamespace

    import veridical.phantoms

    calls = []

    def generate(kind, n, size, seed, options):
        calls.append((kind, n, size, seed, options.n_main))
        images = np.random.default_rng(seed).random((n, 3, size, size)).astype(np.float32)
        return SimpleNamespace(images=images, masks=np.ones((n, size, size), np.uint8), properties=[], captions=[])

    monkeypatch.setattr(veridical.phantoms, "generate", generate, raising=False)
    slices = open_slices("phantom:roots?n=3&size=16&seed=987654&n_main=1,2")
    assert slices.shapes == [(16, 16)] * 3 and slices.channels == 3 and not calls
    assert slices[2].shape == (16, 16, 3) and slices[0].dtype == np.float32 and (slices.mask(1) == 1).all()
    assert calls == [("roots", 3, 16, 987654, (1.0, 2.0))]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("phantom:unicorn", "no phantom 'unicorn': choose one of cmc, rocks, roots"),
        ("phantom:rocks?colour=1", "has no option 'colour'"),
        ("phantom:rocks?n=many", "n=many is no positive number; write for example phantom:rocks.n=64"),
        ("phantom:rocks?n=0", "n=0 is no positive number"),
        ("phantom:rocks?tube=0&tube=1", "tube is given twice"),
    ],
)
def test_unknown_phantom(spec, said):
    with pytest.raises(InputError, match=said):
        open_slices(spec)


def test_options_of_a_phantom():
    tight, usual = (open_slices(f"phantom:rocks?n=6&size=64&tube=0{more}") for more in ("&porosity=0.1,0.2", ""))
    porosity = [[row["porosity"] for row in slices.properties()] for slices in (tight, usual)]
    assert max(porosity[0]) < 0.25 < min(porosity[1])


# ------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("name", ["nowhere", "nowhere.tif", "nowhere.h5:/a", "nowhere.zarr"])
def test_missing_path(tmp_path, name):
    refuse(tmp_path / name, name.split(":")[0], "no such file", read=False)


def test_empty_folder_and_folder_of_text(tmp_path):
    refuse(tmp_path, str(tmp_path), "empty folder", read=False)
    (tmp_path / "readme.txt").write_text("hello")
    refuse(tmp_path, str(tmp_path), "no images", read=False)
    refuse(tmp_path / "readme.txt", "readme.txt", "not a kind of file", read=False)


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "bmp", "npy", "h5"])
def test_zero_bytes_and_text_under_an_image_name(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"")
    refuse(path, path.name, "empty", read=False)
    path.write_text("this is no image, only a few words about one")
    refuse(path, path.name, "not", read=False)
    if suffix != "h5":
        refuse(tmp_path, path.name, "not", read=False)


@pytest.mark.parametrize(
    "name", ["a.png", "deep.png", "a.jpg", "a.bmp", "a.tif", "zlib.tif", "lzw.tif", "stack.tif", "zstack.tif", "a.npy"]
)
@pytest.mark.parametrize("share", [0.97, 0.6])
def test_cut_short(tmp_path, name, share):
    path = tmp_path / name
    image = values((64, 64))
    match name:
        case "deep.png":
            path.write_bytes(imagecodecs.png_encode(values((64, 64), "uint16")))
        case "a.npy":
            np.save(path, image)
        case "a.tif" | "zlib.tif" | "lzw.tif":
            compression = None if name == "a.tif" else name.removesuffix(".tif")
            tifffile.imwrite(path, image, compression=compression, metadata=None)
        case "stack.tif" | "zstack.tif":
            compression = "zlib" if name[0] == "z" else None
            tifffile.imwrite(path, values((5, 64, 64)), photometric="minisblack", compression=compression)
        case _:
            Image.fromarray(image).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    refuse(path, name)


def test_cut_short_hdf5(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["/exchange/data"] = values((5, 64, 64))
    os.truncate(path, 10_000)
    refuse(path, "a.h5")


def test_hdf5_and_zarr_without_that_path(tmp_path):
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["/entry/data"] = values((3, 8, 9))
        file["/entry/angles"] = values(3)
    refuse(tmp_path / "v.h5", "v.h5", "/exchange/data", "/entry/data", read=False)
    refuse(f"{tmp_path}/v.h5:/entry/angles", "v.h5", "/entry/data", read=False)
    refuse(f"{tmp_path}/v.h5:/entry", "v.h5", "/entry/data", read=False)
    zarr.open_group(tmp_path / "v.zarr", mode="w").create_array("raw", shape=(3, 8, 9), dtype="uint8")
    refuse(tmp_path / "v.zarr", "v.zarr", "/raw", read=False)


def test_mixed_channels_and_bit_depths_name_both_files(tmp_path):
    Image.fromarray(values((4, 4))).save(tmp_path / "a.png")
    Image.fromarray(values((4, 4, 3))).save(tmp_path / "b.png")
    refuse(tmp_path, "a.png is grey", "b.png is RGB", read=False)
    (tmp_path / "b.png").write_bytes(imagecodecs.png_encode(values((4, 4), "uint16")))
    refuse(tmp_path, "a.png holds uint8", "b.png holds uint16", read=False)


def png_that_claims(width, height):
    """A PNG header for any size, with next to no pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("side", "word"), [(10_000, "cut short"), (100_000, "VERIDICAL_MAX_PIXELS")])
def test_decompression_bomb(tmp_path, side, word):
    (tmp_path / "bomb.png").write_bytes(png_that_claims(side, side))
    refuse(tmp_path / "bomb.png", "bomb.png", word, read=False)


def test_tiff_that_claims_too_much(tmp_path, monkeypatch):
    monkeypatch.setenv("VERIDICAL_MAX_BYTES", "1000")
    tifffile.imwrite(tmp_path / "a.tif", values((64, 64)))
    refuse(tmp_path / "a.tif", "a.tif", "VERIDICAL_MAX_BYTES=4096", read=False)


@pytest.mark.parametrize("suffix", ["png", "tif", "h5"])
def test_unreadable_file(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"whatever")
    original = os.open

    def denied(file, *args, **options):  # permissions mean nothing to root, so pretend
        if str(file) == str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return original(file, *args, **options)

    monkeypatch.setattr(os, "open", denied)
    refuse(path, path.name, "permissions", read=False)


def test_channels_beside_another_axis_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", values((4, 2, 8, 9)), ome=True, metadata={"axes": "ZCYX"})
    refuse(tmp_path / "a.tif", "a.tif", "2 channels", read=False)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folder(tmp_path):
    (tmp_path / "sub").mkdir(mode=0)
    refuse(tmp_path, "sub", "permissions", read=False)


@pytest.mark.parametrize("array", [values(5), values((0, 4, 4)), np.array([["a", "b"]]), np.zeros((4, 4), complex)])
def test_arrays_that_are_no_images(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    refuse(tmp_path / "a.npy", "a.npy", read=False)


def test_pickled_array_is_not_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    refuse(tmp_path / "a.npy", "a.npy", read=False)


def test_other_formats_under_known_names(tmp_path):
    Image.fromarray(values((4, 4))).save(tmp_path / "a.png", format="gif")
    refuse(tmp_path / "a.png", "a.png", "really a GIF", read=False)
    tifffile.imwrite(tmp_path / "b.tif", values((5, 8, 9)), photometric="minisblack")
    tifffile.imwrite(tmp_path / "c.tif", values((8, 9)))
    (tmp_path / "a.png").unlink()
    refuse(tmp_path, "b.tif", "open this file itself", read=False)
