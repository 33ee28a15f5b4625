"""Zarr and OME-Zarr: values as zarr gives them, whatever the codecs; hostile stores are refused in one sentence."""

import bz2
import gzip
import json
import os

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr import codecs

from veridical.core.errors import InputError
from veridical.data.readers.open import open_slices

VOLUME = np.random.default_rng(0).integers(1, 60_000, (5, 16, 20), "uint16")


def store(path, version=3, **options):
    options = {"chunks": (1, 8, 10), **options}
    array = zarr.create_array(path, shape=VOLUME.shape, dtype=VOLUME.dtype, zarr_format=version, **options)
    array[:] = VOLUME
    return path


def same(spec, expected=VOLUME):
    slices = open_slices(spec)
    assert len(slices) == len(expected) and all(np.array_equal(slices[k], expected[k]) for k in range(len(expected)))
    return slices


def change(path, **values):
    file = path / ("zarr.json" if (path / "zarr.json").exists() else ".zarray")
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
    return path


def refused(spec, *words):
    with pytest.raises(InputError) as caught:
        slices = open_slices(spec)
        for k in range(min(len(slices), 3)):
            slices[k]
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value), caught.value


OLD = [
    numcodecs.Blosc(),
    numcodecs.Zlib(),
    numcodecs.BZ2(),
    numcodecs.LZMA(),
    numcodecs.LZ4(),
    numcodecs.GZip(),
    numcodecs.Zstd(),
]
NEW = [codecs.BloscCodec(), codecs.GzipCodec(), codecs.ZstdCodec(), [codecs.ZstdCodec(), codecs.Crc32cCodec()], None]


@pytest.mark.parametrize("codec", OLD, ids=lambda codec: codec.codec_id)
def test_codecs_of_version_2(tmp_path, codec):
    same(store(tmp_path / "a.zarr", 2, compressors=codec))


@pytest.mark.parametrize("codec", NEW, ids=["blosc", "gzip", "zstd", "checksum", "none"])
@pytest.mark.parametrize("how", ["chunks", "shards", "transposed", "keys"])
def test_codecs_of_version_3(tmp_path, codec, how):
    more = {
        "chunks": {},
        "shards": {"shards": (1, 16, 20)},
        "transposed": {"filters": [codecs.TransposeCodec(order=(2, 1, 0))]},
        "keys": {"chunk_key_encoding": {"name": "v2", "separator": "."}},
    }[how]
    same(store(tmp_path / "a.zarr", 3, compressors=codec, **more))


def test_filters_of_version_2(tmp_path):
    same(
        store(
            tmp_path / "a.zarr",
            2,
            filters=[numcodecs.Delta("uint16")],
            chunk_key_encoding={"name": "v2", "separator": "/"},
        )
    )


SHARD = {"chunk_shape": [1, 8, 10], "codecs": [{"name": "numcodecs.json2"}], "index_codecs": []}


@pytest.mark.parametrize(
    ("version", "values", "said"),
    [
        (2, {"filters": [{"id": "pickle"}]}, "codec pickle"),
        (2, {"compressor": {"id": "json2"}}, "codec json2"),
        (2, {"compressor": {"id": ["pickle"]}}, "codec"),
        (2, {"compressor": {}}, "codec None"),
        (2, {"dtype": "|O"}, "type |O"),
        (2, {"dtype": [["a", "<i4"]]}, "dtype"),
        (3, {"codecs": [{"name": "numcodecs.pickle"}]}, "codec numcodecs.pickle"),
        (3, {"codecs": [{"name": "sharding_indexed", "configuration": SHARD}]}, "codec numcodecs.json2"),
        (3, {"codecs": [{"name": "sharding_indexed", "configuration": {"codecs": 5}}]}, "list"),
        (3, {"codecs": []}, "damaged"),
        (3, {"data_type": {"name": "r8"}}, "data_type"),
        (3, {"data_type": "string"}, "type string"),
        (3, {"shape": [-1, 16, 20]}, "makes no sense"),
        (3, {"shape": ["a"]}, "shape"),
        (3, {"shape": [10**12, 16, 20]}, "VERIDICAL_MAX_IMAGES"),
        (3, {"shape": [5, 10**7, 10**7]}, "VERIDICAL_MAX_PIXELS"),
        (
            3,
            {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 10**6, 10**6]}}},
            "VERIDICAL_MAX_BYTES",
        ),
        (3, {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0, 8, 10]}}}, "no size"),
        (3, {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": "abc"}}}, "makes no sense"),
        (3, {"chunk_grid": {"name": "other"}}, "regular grid"),
        (3, {"storage_transformers": [{"name": "x"}]}, "regular grid"),
        (3, {"chunk_key_encoding": {"name": "x"}}, "unknown way"),
    ],
)
def test_metadata_that_cannot_be_read(tmp_path, version, values, said):
    refused(change(store(tmp_path / "a.zarr", version), **values), "a.zarr", said)


def test_deep_nesting(tmp_path):
    path = store(tmp_path / "a.zarr")
    (path / "zarr.json").write_text("[" * 100_000)
    refused(path, "not valid JSON")


@pytest.mark.parametrize("name", ["gzip", "zstd", "blosc", "bz2"])
@pytest.mark.parametrize("how", ["cut", "junk", "empty", "bomb"])
def test_chunks_that_are_damaged(tmp_path, name, how):
    if name == "bz2":
        chunk = store(tmp_path / "a.zarr", 2, compressors=numcodecs.BZ2()) / "0.0.0"
    else:
        codec = {"gzip": codecs.GzipCodec, "zstd": codecs.ZstdCodec, "blosc": codecs.BloscCodec}[name]()
        chunk = store(tmp_path / "a.zarr", compressors=codec) / "c/0/0/0"
    pack = {"gzip": gzip.compress, "bz2": bz2.compress, "zstd": numcodecs.zstd.compress}
    pack["blosc"] = lambda data: numcodecs.blosc.compress(data, b"zstd", 5)
    content = chunk.read_bytes()
    new = {"cut": content[: len(content) // 2], "junk": bytes(range(7, 7 + 100)), "empty": b""}
    chunk.write_bytes(new[how] if how in new else bytes(pack[name](bytes(10**7))))
    refused(tmp_path / "a.zarr", "a.zarr", *(["more than a chunk holds"] if how == "bomb" and name != "gzip" else []))


def test_chunks_that_are_not_there_are_counted(tmp_path):
    path = store(tmp_path / "a.zarr")
    (path / "c/0/0/0").unlink()
    slices = open_slices(path)
    assert slices.notes == ["1 of 20 chunks are not there and are read as the fill value 0"]
    for k in range(5):
        for chunk in (path / f"c/{k}").rglob("[0-9]"):
            chunk.unlink() if chunk.is_file() else None
    refused(path, "none of the 20 chunks")


def test_chunks_that_are_no_files_or_lie_elsewhere(tmp_path):
    path = store(tmp_path / "a.zarr")
    chunk = path / "c/1/0/0"
    chunk.rename(tmp_path / "chunk")
    chunk.symlink_to(tmp_path / "chunk")
    refused(path, "out of its folder", "?outside=yes")
    same(f"{path}?outside=yes")
    chunk.unlink()
    chunk.symlink_to("/dev/zero")
    refused(f"{path}?outside=yes", "not a regular file")
    chunk.unlink()
    os.mkfifo(chunk)
    refused(path, "not a regular file")
    chunk.unlink()
    (path / "c" / "round").symlink_to("..")
    assert "1 of 20" in open_slices(path).notes[0]


def test_a_chunk_that_is_replaced_later(tmp_path):
    slices = open_slices(store(tmp_path / "a.zarr"))
    (tmp_path / "a.zarr/c/2/0/0").unlink()
    os.mkfifo(tmp_path / "a.zarr/c/2/0/0")
    with pytest.raises(InputError, match="not a regular file"):
        slices[2]


# ------------------------------------------------------------------------------------------------- OME-Zarr


def image(path, data, axes, version=3, scale=None, **more):
    group = zarr.open_group(path, mode="w", zarr_format=version)
    group.create_array("0", shape=data.shape, dtype=data.dtype, chunks=data.shape)[:] = data
    steps = [{"type": "scale", "scale": scale or [1.0] * len(axes)}]
    named = [{"name": a, "type": {"c": "channel", "t": "time"}.get(a, "space"), "unit": "micrometer"} for a in axes]
    metadata = {
        "multiscales": [{"axes": named, "datasets": [{"path": "0", "coordinateTransformations": steps}]}],
        **more,
    }
    group.attrs.update({"ome": metadata} if version == 3 else metadata)
    return path


@pytest.mark.parametrize("version", [2, 3])
def test_channels_with_names_are_not_colours(tmp_path, version):
    labels = {"omero": {"channels": [{"label": name} for name in ("DAPI", "GFP", "Cy5")]}}
    path = image(tmp_path / "a.zarr", VOLUME[:3].astype("uint8"), "cyx", version, **labels)
    refused(path, "3 channels (DAPI, GFP, Cy5)", "?channel=DAPI")
    slices = same(f"{path}?channel=GFP", VOLUME[1:2].astype("uint8"))
    assert slices.notes == ["channel 1 (GFP) of 3 is read, without DAPI, Cy5"]
    same(f"{path}:/0?channel=Cy5", VOLUME[2:3].astype("uint8"))


def test_axes_in_any_order_and_their_pixels(tmp_path):
    slices = open_slices(image(tmp_path / "a.zarr", VOLUME, "xyz", scale=[2.0, 2.0, 9.0]))
    assert len(slices) == 20 and np.array_equal(slices[7], VOLUME[:, :, 7].T) and slices.pixel_size == 2.0
    slices = open_slices(image(tmp_path / "b.zarr", VOLUME, "zyx", scale=[1.0, 5.0, 2.0]))
    assert slices.pixel_size is None and "2 x 5 µm" in slices.notes[0]


def test_the_first_versions_name_no_axes(tmp_path):
    data = np.stack([VOLUME, VOLUME + 1])[None]
    path = image(tmp_path / "a.zarr", data, "tczyx", 2)
    attributes = json.loads((path / ".zattrs").read_text())
    del attributes["multiscales"][0]["axes"]
    (path / ".zattrs").write_text(json.dumps(attributes))
    for spec in (path, path / "0", f"{path}:/0"):
        refused(spec, "2 channels")
        same(f"{spec}?channel=1", VOLUME + 1)


def test_several_images_in_a_store(tmp_path):
    zarr.open_group(tmp_path / "a.zarr", mode="w")
    for k in range(2):
        image(tmp_path / "a.zarr" / str(k), VOLUME + k, "zyx")
    refused(tmp_path / "a.zarr", "2 images", "?series=0")
    same(f"{tmp_path}/a.zarr?series=1", VOLUME + 1)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    path = image(tmp_path_factory.mktemp("ome") / "a.zarr", VOLUME, "zyx")
    return path, (path / "zarr.json").read_text()


@settings(max_examples=60)
@given(where=st.sampled_from(["multiscales", "axes", "datasets", "path", "scale", "omero"]), value=junk)
def test_metadata_of_any_type(described, where, value):
    path, text = described
    content = json.loads(text)
    metadata = content["attributes"]["ome"]
    scales = metadata["multiscales"][0]
    level = scales["datasets"][0]
    places = {"multiscales": metadata, "omero": metadata, "axes": scales, "datasets": scales, "path": level}
    places.get(where, level["coordinateTransformations"][0])[where] = value
    (path / "zarr.json").write_text(json.dumps(content))
    try:
        open_slices(path)
    except InputError as error:
        assert "\n" not in str(error)
