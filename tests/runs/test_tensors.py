"""Files of a run: what is refused, and that nothing sound is."""

import json

import pytest
import torch

from veridical.core.errors import InputError
from veridical.runs.folder import FORMAT, read_run
from veridical.runs.tensors import read_tensors, write_tensors


def test_a_header_that_begins_like_a_pickle_is_read(tmp_path):
    """The first byte of a safetensors file counts: one in 32 is that of a pickle."""
    path = tmp_path / "model.safetensors"
    first = set()
    for length in range(0, 512, 8):
        write_tensors(path, {"a": torch.ones(2)}, note="x" * length)
        first.add(path.read_bytes()[0])
        tensors, notes = read_tensors(path)
        assert torch.equal(tensors["a"], torch.ones(2)) and notes["note"] == "x" * length
    assert 0x80 in first


@pytest.mark.parametrize("archive", [True, False])
def test_files_of_torch_save_are_refused(archive, tmp_path):
    path = tmp_path / "model.safetensors"
    torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=archive)
    with pytest.raises(InputError, match="pickle"):
        read_tensors(path)


ABOUT = {
    "format": FORMAT,
    "version": "0.1.0",
    "torch": "2.13.0",
    "recipe": "vae",
    "args": {"latent": 8},
    "config": {"steps": 6, "size": 32},
    "channels": 1,
    "size": 32,
    "window": {"low": 0.0, "high": 255.0, "dtype": "uint8"},
    "dataset": {"spec": "tiles"},
    "finished": True,
    "cost": {
        "parameters": 9, "steps": 6, "batch": 4, "train_seconds": 1.5, "peak_memory_mb": 9.0, "device": "cpu", "threads": 1,
    },
}  # fmt: skip


def test_what_a_run_says_comes_back(tmp_path):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(ABOUT | {"source": {"spec": "phantom:rocks"}}))
    info = read_run(tmp_path)
    assert (info.config.steps, info.cost.steps, info.window.dtype, info.stages) == (6, 6, "uint8", {})
    assert info.conditions == {"source": {"spec": "phantom:rocks"}}
    path.write_text(json.dumps(info.to_json()))
    assert read_run(tmp_path) == info


def test_a_run_costs_what_its_stages_cost(tmp_path):
    stage = {k: ABOUT[k] for k in ("recipe", "args", "config", "dataset", "cost")}
    stage |= {"path": "/a", "beside": "a", "given": False, "sha256": "0"}
    content = ABOUT | {"stages": {"upper": stage | {"stages": {"lower": stage}}, "other": stage}}
    (tmp_path / "run.json").write_text(json.dumps(content))
    cost = read_run(tmp_path).cost_of_all()
    assert (cost.parameters, cost.train_seconds, cost.peak_memory_mb, cost.steps) == (36, 6.0, 9.0, 6)


@pytest.mark.parametrize("name", [name for name in ABOUT if name not in ("format", "version", "torch")])
def test_a_damaged_record_is_one_sentence(name, tmp_path):
    damaged = [{k: v for k, v in ABOUT.items() if k != name}, ABOUT | {name: None}]
    if name in ("window", "cost"):
        damaged.append(ABOUT | {name: dict(list(ABOUT[name].items())[1:])})
    for content in damaged:
        (tmp_path / "run.json").write_text(json.dumps(content))
        with pytest.raises(InputError, match=f"run.json: its {name}.* cannot be read .*: it was damaged"):
            read_run(tmp_path)


def test_a_record_with_an_unknown_setting_names_it(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(ABOUT | {"config": {"speed": 3}}))
    with pytest.raises(InputError, match="unknown training setting 'speed'"):
        read_run(tmp_path)


def test_a_record_that_lacks_something_names_it(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"format": FORMAT, "recipe": "vae"}))
    with pytest.raises(InputError, match=r"run.json: its args cannot be read"):
        read_run(tmp_path)


def test_equal_tensors_are_equal_files(tmp_path):
    """Also where the metadata have several entries, which the library writes in any order."""
    written = set()
    for k in range(20):
        write_tensors(tmp_path / f"{k}.safetensors", {"a": torch.arange(3.0)}, step="200", later="1")
        written.add((tmp_path / f"{k}.safetensors").read_bytes())
        assert read_tensors(tmp_path / f"{k}.safetensors")[1].keys() == {"step", "later", "sha256"}
    assert len(written) == 1
