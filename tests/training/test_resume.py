"""Going on with a run: what must be there, who else is at work, what is said of other bits."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from toy import TOY, write_tiles
from veridical.conditions.delivery import open_data
from veridical.core.errors import InputError
from veridical.core.lock import alone
from veridical.recipes.config import TrainConfig
from veridical.runs.folder import read_run, write_run
from veridical.runs.run import load
from veridical.runs.tensors import read_tensors, write_tensors
from veridical.training.start import train
from veridical.training.state import Log

SMALL = {"size": 32, "batch": 4, "threads": 1, "quiet": True, "device": "cpu", **TOY["vae"]}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_tiles(tmp_path_factory.mktemp("data") / "tiles")


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    return train("vae", data, tmp_path_factory.mktemp("run") / "run", steps=4, **SMALL)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_trained_model_is_not_started_anew(data, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    (run / "resume.safetensors").unlink()
    before = contents(run)
    with pytest.raises(
        InputError, match=r"resume.safetensors is missing, without which the training of 4 steps cannot go on"
    ):
        train("vae", data, run, resume=True, steps=3, quiet=True)
    assert contents(run) == before
    load(run)


def test_a_finished_classical_model_is_not_started_anew(data, tmp_path):
    run = train("random_phase", data, tmp_path / "run", steps=1, size=32, quiet=True, tiles=16)
    (run / "resume.safetensors").unlink()
    with pytest.raises(InputError, match="is missing"):
        train("random_phase", data, run, resume=True, quiet=True)


def test_an_older_state_than_the_run_is_refused(data, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    older = train("vae", data, tmp_path / "older", steps=2, **SMALL)
    shutil.copy(older / "resume.safetensors", run)
    before = contents(run)
    with pytest.raises(InputError, match="is of step 2, but 4 steps were made"):
        train("vae", data, run, resume=True, steps=6, quiet=True)
    assert contents(run) == before


def test_two_trainings_in_one_folder(data, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    with alone(run, "training"):
        before = contents(run)
        for out, resume in ((run, True), (run / "first", False)):
            with alone(run / "first", "training"), pytest.raises(InputError, match="another training is at work"):
                train("vae", data, out, resume=resume, steps=6, **SMALL)
        load(run)  # reading needs no lock
        assert contents(run) == before


def test_one_of_two_that_start_at_once_trains(data, tmp_path):
    """Both have seen an empty folder; whoever comes second finds it locked, or changed."""
    command = [sys.executable, "-m", "veridical", "train", "vae", str(data), "--out", str(tmp_path / "run"), "--quiet"]
    command += ["--size=32", "--batch=4", "--threads=1", "--steps=20", "--set=width=8", "--set=latent=8"]
    both = [subprocess.Popen([*command, f"--seed={k}"], stderr=subprocess.PIPE, text=True) for k in (0, 1)]
    said = [process.communicate()[1] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 2], said
    assert any(
        words in said[codes.index(2)] for words in ("another training is at work", "was changed by", "holds a run")
    )
    info = read_run(tmp_path / "run")
    assert info.config.seed == codes.index(0)
    whole = train("vae", data, tmp_path / "whole", steps=20, seed=info.config.seed, **SMALL)
    a, b = (read_tensors(run / "model.safetensors")[0] for run in (whole, tmp_path / "run"))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_folder_that_another_process_writes_meanwhile(data, trained, tmp_path, monkeypatch):
    from veridical.training import start

    def opened(*arguments):
        shutil.copytree(trained, tmp_path / "run")
        return open_data(*arguments)

    open_data = start.open_data
    monkeypatch.setattr(start, "open_data", opened)
    with pytest.raises(InputError, match="holds a run"):
        train("vae", data, tmp_path / "run", steps=6, **SMALL)
    assert contents(tmp_path / "run").keys() >= contents(trained).keys()


def test_other_threads_are_said_and_recorded(data, trained, tmp_path, caplog):
    run = shutil.copytree(trained, tmp_path / "run")
    train("vae", data, run, resume=True, steps=5, quiet=True)
    assert not read_run(run).resumed and "uninterrupted" not in caplog.text
    train("vae", data, run, resume=True, steps=6, threads=2, quiet=True)
    said = "goes on from step 5 with threads=2 in place of 1"
    assert read_run(run).resumed == [said]
    assert f"{said}: its weights will not be those of an uninterrupted run" in caplog.text
    info = read_run(run)
    write_run(run, info.replace(torch="2.0.0"))
    train("vae", data, run, resume=True, steps=7, quiet=True)
    assert read_run(run).resumed == [said, f"goes on from step 6 with torch={torch.__version__} in place of 2.0.0"]
    torch.set_num_threads(1)


@pytest.mark.parametrize("kind", ["volume", "folder"])
def test_a_file_that_is_cut_short_meanwhile_is_a_sentence(kind, tmp_path, monkeypatch):
    """Without a look at its size the system ends the process."""
    volume = np.random.default_rng(0).integers(0, 255, (8, 64, 64), dtype=np.uint8)
    path = tmp_path / "scan.npy"
    if kind == "volume":
        np.save(path, volume)
    else:
        path = tmp_path / "scans"
        path.mkdir()
        for k, image in enumerate(volume):
            np.save(path / f"core{'abcdefgh'[k]}.npy", image)
    opened = open_data("vae", (), str(path), TrainConfig(size=32))
    batch, files = type(opened).batch, [path] if kind == "volume" else list(path.iterdir())

    def cut(self, n, step, *more):
        if step == 3:
            for file in files:
                os.truncate(file, 200)
        return batch(self, n, step, *more)

    monkeypatch.setattr(type(opened), "batch", cut)
    with pytest.raises(InputError, match=r"\.npy: was cut short .*; .*run keeps the checkpoint of step 3"):
        train("vae", path, tmp_path / "run", steps=9, save_every=1e-9, **SMALL)
    load(tmp_path / "run")


def test_leftovers_of_a_kill_are_removed_from_a_run_and_its_stages(data, tmp_path):
    given = {"size": 32, "batch": 4, "threads": 1, "quiet": True, "steps": 4, **TOY["latent_diffusion"]}
    run = train("latent_diffusion", data, tmp_path / "run", **given)
    shutil.rmtree(run / "samples")
    for name in ("run.json", "model.safetensors", "resume.safetensors", "log.jsonl"):
        (run / name).unlink()  # killed between its stages
    left = [place / f".x.{0:016x}" for place in (run, run / "first", run / "first" / "samples")]
    for path in left:
        path.touch()
    train("latent_diffusion", data, run, resume=True, **given)
    assert not any(path.exists() for path in left) and read_run(run).finished


def test_damaged_lines_of_a_log_are_left_out_and_counted(tmp_path):
    path = tmp_path / "log.jsonl"
    good = [json.dumps({"step": k, "seconds": 0.5 * k, "loss": {"vae": 1.0}}) for k in (1, 2, 3, 4)]
    bad = ["[" * 5000, "7", "{}", '{"step": "x"}', '{"step": 1, "seconds": NaN, "loss": {}}', '{"step": -1}', ""]
    path.write_bytes("\n".join([good[0], *bad, *good[1:]]).encode() + b'\n\xff\xfe\n{"step": 5, "sec')
    log = Log(path, 3)
    log.write(4, 2.0, {"vae": 0.5})
    log.close()
    assert log.damaged == len(bad) + 1
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors, notes: notes.update(step="-1"),
        lambda tensors, notes: notes.update(seconds="nan"),
        lambda tensors, notes: notes.update(step="1e9"),
        lambda tensors, notes: notes.pop("aside"),
        lambda tensors, notes: notes.update(more="1"),
        lambda tensors, notes: tensors.update({"adam.vae/x.step": torch.ones(())}),
        lambda tensors, notes: tensors.update({"adam.vae/99999.step": torch.ones(())}),
        lambda tensors, notes: tensors.update({"adam.vae/0.exp_avg": torch.ones(7)}),
        lambda tensors, notes: tensors.update({"adam.vae/0.exp_avg": torch.ones(())}),
        lambda tensors, notes: tensors.pop("adam.vae/0.exp_avg"),
        lambda tensors, notes: tensors.update({"adam.vae/0.momentum": tensors["adam.vae/0.exp_avg"]}),
        lambda tensors, notes: tensors.update({"strange": torch.ones(1)}),
        lambda tensors, notes: tensors.pop(next(k for k in tensors if k.startswith("model."))),
        lambda tensors, notes: tensors.update({k: v.double() for k, v in tensors.items() if k.startswith("average.")}),
        lambda tensors, notes: tensors.update({k: v[..., None] for k, v in tensors.items() if k.startswith("model.")}),
    ],
)
def test_a_state_that_is_none_is_one_sentence(change, data, trained, tmp_path):
    """Files without a checksum, as earlier versions wrote them: of them only sense can be checked."""
    run = shutil.copytree(trained, tmp_path / "run")
    tensors, notes = read_tensors(run / "resume.safetensors")
    notes.pop("sha256")
    change(tensors, notes)
    write_tensors(run / "resume.safetensors", tensors, **notes)
    before = contents(run)
    with pytest.raises(InputError, match=r"resume\.safetensors"):
        train("vae", data, run, resume=True, steps=5, quiet=True)
    assert contents(run) == before
