"""Damaged runs: every field and file of one is broken in every way, and none gives a traceback or another answer."""

import copy
import itertools
import json
import math
import shutil

import numpy as np
import pytest
import torch

from toy import TOY, write_tiles
from veridical.core.errors import InputError
from veridical.runs.draw import draw
from veridical.runs.folder import read_run
from veridical.runs.run import load
from veridical.runs.tensors import read_tensors
from veridical.training.start import train

VALUES = (None, True, "", "x", -1, 0, 0.5, math.nan, math.inf, 10**30, 1e308, [], {}, [[1]], {"a": {"b": 1}})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_tiles(tmp_path_factory.mktemp("data") / "tiles", n=6, size=48, conditions=True)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    args = {k: v for k, v in TOY["cgan"].items() if k != "classes"}
    return train(
        "cgan", data, tmp_path_factory.mktemp("run") / "run", steps=3, label="kind", size=32, batch=4, threads=1, quiet=True,
        device="cpu", **args,
    )  # fmt: skip


def places(content, path=()):
    """Every field of JSON, those that hold others first."""
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def with_value(content, path, value):
    content = copy.deepcopy(content)
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return content


def without(content, path):
    content = copy.deepcopy(content)
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return content


def damaged_records(record, each):
    """Every field left out, and with `each` of the values, others for each."""
    values = itertools.cycle(VALUES)
    for path in places(record):
        yield path, "left out", without(record, path)
        for value in itertools.islice(values, each):
            changed = with_value(record, path, value)
            if json.dumps(changed) != json.dumps(record):
                yield path, value, changed


def test_a_record_with_any_other_value_is_refused(trained, tmp_path):
    record = json.loads((trained / "run.json").read_text())
    for path, value, damaged in damaged_records(record, 1):
        if (path == ("sha256",) and value == "left out") or (value is None and path == ("sha256",)):
            continue  # then it is one of an earlier version
        (tmp_path / "run.json").write_text(json.dumps(damaged))
        with pytest.raises(InputError):
            read_run(tmp_path)
            pytest.fail(f"{path}={value} was read")


def test_a_record_of_an_earlier_version_gives_a_sentence_or_the_same(trained, tmp_path):
    """Which has no checksum: of it only sense can be checked."""
    record = json.loads((trained / "run.json").read_text())
    del record["sha256"]
    shutil.copy(trained / "model.safetensors", tmp_path)
    window, images = load(trained, "cpu").window, draw(load(trained, "cpu"), 2)
    silent = []
    for path, value, damaged in damaged_records(record, 2):
        (tmp_path / "run.json").write_text(json.dumps(damaged))
        try:
            run = load(tmp_path, "cpu")
            same = run.window == window and np.array_equal(draw(run, 2), images)
        except InputError:
            continue
        # what classes are called, and the description of the training, may be anything that fits
        if not same:
            silent.append((path, value))
    assert not silent


@pytest.mark.parametrize("text", ["[" * 10**5, '{"a":' * 10**5, "", "{", "null", "7", '"x"', "\x00", '{"format": 2}'])
def test_junk_in_place_of_a_record_is_a_sentence(text, tmp_path):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError):
        read_run(tmp_path)


def damaged_files(content, rng):
    for share in (0, 0.01, 0.5, 0.99):
        yield f"cut at {share}", content[: int(share * len(content))]
    yield "junk", rng.bytes(len(content))
    yield "longer", content + b"\0"
    yield "zeros", bytes(len(content))
    header = [*range(12), *rng.integers(0, min(len(content), 2000), 12)]
    for byte in (*header, *rng.integers(0, len(content), 12)):
        flipped = bytearray(content)
        flipped[byte] ^= 1 << int(rng.integers(8))
        yield f"a bit of byte {byte}", bytes(flipped)


@pytest.mark.parametrize("name", ["model.safetensors", "run.json"])
def test_a_damaged_file_is_not_sampled_from(name, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    images, content = draw(load(trained, "cpu"), 2), (trained / name).read_bytes()
    for how, damaged in damaged_files(content, np.random.default_rng(0)):
        (run / name).write_bytes(damaged)
        try:
            again = draw(load(run, "cpu"), 2)
        except InputError:
            continue
        assert np.array_equal(again, images), how


def test_a_damaged_state_is_not_resumed(data, trained, tmp_path):
    whole = train("cgan", data, shutil.copytree(trained, tmp_path / "whole"), steps=4, resume=True, quiet=True)
    want = read_tensors(whole / "model.safetensors")[0]
    content = (trained / "resume.safetensors").read_bytes()
    for how, damaged in damaged_files(content, np.random.default_rng(1)):
        run = shutil.copytree(trained, tmp_path / "run")
        (run / "resume.safetensors").write_bytes(damaged)
        try:
            train("cgan", data, run, steps=4, resume=True, quiet=True)
        except InputError:
            assert (run / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
        else:
            found = read_tensors(run / "model.safetensors")[0]
            assert all(torch.equal(found[k], v) for k, v in want.items()), how
        shutil.rmtree(run)


def test_a_model_far_larger_than_its_file_is_not_built(trained, tmp_path):
    record = json.loads((trained / "run.json").read_text())
    del record["sha256"]
    shutil.copy(trained / "model.safetensors", tmp_path)
    for name in ("width", "latent"):
        (tmp_path / "run.json").write_text(json.dumps(with_value(record, ("args", name), 3000)))
        with pytest.raises(InputError, match="does not fit this model"):
            load(tmp_path, "cpu")
