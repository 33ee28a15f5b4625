"""One process at a time in a folder; what a killed one left there."""

import os
import subprocess
import sys

import pytest

from veridical.core.errors import InputError
from veridical.core.files import is_temporary, remove_leftovers, replacing
from veridical.core.lock import LOCK, alone


def test_a_second_one_is_kept_out_and_a_later_one_is_not(tmp_path):
    folder = tmp_path / "new" / "run"
    with (
        alone(folder, "training"),
        pytest.raises(InputError, match="another training is at work"),
        alone(folder, "training"),
    ):
        pass
    with alone(folder, "training"):
        assert (folder / LOCK).is_file()


def test_a_killed_process_locks_nobody_out(tmp_path):
    code = (
        "import sys, time, pathlib; from veridical.core.lock import alone\n"
        "with alone(pathlib.Path(sys.argv[1]), 'training'): print('locked', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"locked\n"
    with pytest.raises(InputError, match="another bench is at work"), alone(tmp_path, "bench"):
        pass
    process.kill()
    process.communicate()
    with alone(tmp_path, "bench"):
        pass


def test_processes_of_one_training_share_its_lock(tmp_path, monkeypatch):
    with alone(tmp_path, "training"):
        monkeypatch.setitem(os.environ, "RANK", "1")
        with alone(tmp_path, "training"):
            pass


def test_what_a_killed_process_was_writing_is_removed_and_nothing_else(tmp_path):
    with replacing(tmp_path / "resume.safetensors") as temporary:
        assert is_temporary(temporary.name)
        temporary.write_text("half")
        os.link(temporary, tmp_path / f".run.json.{0:016x}")  # what a kill leaves
    (tmp_path / ".model.safetensors.ab3_k9zq").touch()  # of an earlier version
    (tmp_path / f".folder.json.{1:016x}").mkdir()
    mine = [".notes.settings", ".gitignore", f"run.json.{0:016x}", ".DS_Store", ".thesis.original"]
    for name in mine:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    kept = sorted([*mine, "resume.safetensors", f".folder.json.{1:016x}"])
    assert sorted(path.name for path in tmp_path.iterdir()) == kept
    remove_leftovers(tmp_path / "nowhere")
