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


def test_a_record_that_lacks_something_names_it(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"format": FORMAT, "recipe": "vae"}))
    with pytest.raises(InputError, match=r"run.json does not say 'args'"):
        read_run(tmp_path)
