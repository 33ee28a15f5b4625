"""Stopping, resuming, many processes, divergence, full disks."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from toy import TOY, write_tiles
from veridical import load
from veridical import train as train_run
from veridical.core.errors import InputError
from veridical.core.files import write_json
from veridical.recipes import table
from veridical.recipes.recipe import Recipe
from veridical.runs.folder import read_run
from veridical.runs.tensors import read_tensors, write_tensors
from veridical.training import loop
from veridical.training.loop import Average, TrainingDiverged

SMALL = {"size": 32, "batch": 4, "threads": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_tiles(tmp_path_factory.mktemp("data") / "tiles")


def losses(run):
    return [json.loads(line)["loss"] for line in (run / "log.jsonl").read_text().splitlines()]


def flags(settings):
    return [f"--set={k}={','.join(map(str, v)) if isinstance(v, tuple) else v}" for k, v in settings.items()]


COMMAND = [sys.executable, "-m", "veridical", "train", "vae"]
KILLED = ["--steps", "60", *flags({**SMALL, **TOY["vae"]}), "--quiet"]
ALONE = os.environ | {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A run that nobody stops."""
    out = tmp_path_factory.mktemp("whole") / "run"
    return train_run("vae", data, out, steps=60, quiet=True, **SMALL, **TOY["vae"])


# That of SIGTERM is stopped in test_contract, too, and in a bench.
@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.long), signal.SIGKILL])
def test_a_killed_run_resumes_to_the_same_weights(number, data, whole, tmp_path):
    command, broken = [*COMMAND, str(data), *KILLED, "--out", str(tmp_path / "broken")], tmp_path / "broken"
    process = subprocess.Popen([*command, "--save-every", "0.3"], env=ALONE)
    while not (broken / "log.jsonl").is_file() or len((broken / "log.jsonl").read_text().splitlines()) < 20:
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(number)
    process.wait()
    assert not json.loads((broken / "run.json").read_text())["finished"]
    train_run("vae", data, broken, resume=True, quiet=True)
    a, b = (read_tensors(run / "model.safetensors")[0] for run in (whole, broken))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert losses(whole) == losses(broken)


def test_minutes_stop_training(data, tmp_path):
    run = train_run("vae", data, tmp_path / "run", minutes=0.02, quiet=True, **SMALL, **TOY["vae"])
    cost = json.loads((run / "run.json").read_text())["cost"]
    assert cost["steps"] > 0
    assert json.loads((run / "log.jsonl").read_text().splitlines()[-1])["seconds"] >= 1.2


def test_a_budget_of_minutes_on_a_machine_that_becomes_busy_is_told(data, tmp_path, monkeypatch, caplog):
    free = loop.batch_of

    def busy(data, config, step, *more):
        time.sleep(0.3 if step > 20 else 0)
        return free(data, config, step, *more)

    monkeypatch.setattr(loop, "batch_of", busy)
    monkeypatch.setattr("veridical.core.pace.FIRST", 0.01)
    run = train_run("vae", data, tmp_path / "run", minutes=0.08, quiet=True, **SMALL, **TOY["vae"])
    cost = read_run(run).cost
    assert cost.steps_per_second < 0.5 * cost.first_steps_per_second
    assert f"{cost.steps} steps at" in caplog.text and "the machine was busy" in caplog.text


def test_a_finished_run_can_be_made_longer_but_not_changed(data, tmp_path):
    run = train_run("vae", data, tmp_path / "run", steps=2, quiet=True, **SMALL, **TOY["vae"])
    train_run("vae", data, run, steps=4, resume=True, quiet=True)
    assert len(losses(run)) == 4
    with pytest.raises(InputError, match="holds a run of vae"):
        train_run("dcgan", data, run, steps=5, resume=True)
    other = write_tiles(tmp_path / "other", seed=1)
    with pytest.raises(InputError, match="not the data"):
        train_run("vae", other, run, steps=5, resume=True)


def test_what_a_resumed_run_is_asked_for(data, tmp_path):
    run = train_run("vae", data, tmp_path / "run", minutes=9, steps=1, quiet=True, **SMALL, **TOY["vae"])
    for given in ({"lr": 0.5}, {"width": 16}):
        with pytest.raises(InputError, match=f"was trained with {next(iter(given))}=.* leave it out"):
            train_run("vae", data, run, resume=True, quiet=True, steps=2, **given)
    # What it was trained with may be said again; a budget takes the place of both limits.
    train_run("vae", data, run, resume=True, quiet=True, steps=2, save_every=5.0, **SMALL, **TOY["vae"])
    config = json.loads((run / "run.json").read_text())["config"]
    assert (config["steps"], config["minutes"], config["save_every"]) == (2, None, 5.0)


def test_a_resumed_run_may_sample_otherwise(data, tmp_path):
    run = train_run("edm", data, tmp_path / "run", steps=1, quiet=True, **SMALL, **TOY["edm"])
    train_run("edm", data, run, resume=True, quiet=True, steps=2, solver="heun")
    args = read_run(run).args
    assert (args["solver"], args["sampling_steps"]) == ("heun", TOY["edm"]["sampling_steps"])


def test_a_run_from_before_an_argument_existed_is_what_it_was(data, tmp_path, monkeypatch):
    """It loads, goes on and teaches students, though the recipe sets the argument today."""
    row = table.RECIPES["edm"]
    later = ("early_steps", "autoguidance")
    assert set(later) <= set(row.args)
    with monkeypatch.context() as patch:
        before = {name: value for name, value in row.args.items() if name not in later}
        patch.setitem(table.RECIPES, "edm", dataclasses.replace(row, args=before))
        first = train_run("edm", data, tmp_path / "run", steps=1, quiet=True, **SMALL, **TOY["edm"])
        student = train_run("consistency", data, tmp_path / "student", first=first, steps=1, quiet=True, **SMALL)
    for run in (first, student):
        record = json.loads((run / "run.json").read_text())
        record.pop("sha256")
        for about in (record, *record["stages"].values()):
            for name in later:
                about["args"].pop(name, None)
        write_json(run / "run.json", record)
    loaded = load(first)
    assert (loaded.info.args["early_steps"], loaded.model.early) == (0, None)
    assert load(student).model.teacher.early is None
    train_run("consistency", data, student, resume=True, steps=2, quiet=True)
    train_run("edm", data, first, resume=True, steps=2, quiet=True)
    assert len(losses(student)) == len(losses(first)) == 2


def test_what_the_recipe_sets_can_be_left_out(data, tmp_path):
    given = {"steps": 1, "quiet": True, **SMALL, **TOY["edm"]}
    run = train_run("edm", data, tmp_path / "run", early_steps="0", autoguidance="1", **given)
    assert load(run).model.early is None
    with pytest.raises(InputError, match="early_steps=-1 cannot be: give a whole number from 0 on"):
        train_run("edm", data, tmp_path / "other", early_steps=-1, **given)
    with pytest.raises(InputError, match="sampling_steps=0 cannot be: give a whole number from 1 to 100,000"):
        train_run("edm", data, tmp_path / "other", **{**given, "sampling_steps": 0})


def test_a_run_killed_at_its_start_is_resumed(data, tmp_path, monkeypatch):
    def die(*_, **__):
        raise KeyboardInterrupt

    given = {"steps": 1, "quiet": True, **SMALL, **TOY["vae"]}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("veridical.training.state.write_tensors", die)
        train_run("vae", data, tmp_path / "run", **given)
    (tmp_path / "run" / f".run.json.{0:016x}").touch()  # what a kill may leave
    train_run("vae", data, tmp_path / "run", resume=True, quiet=True)
    assert len(losses(tmp_path / "run")) == 1


def test_a_first_stage_that_was_given_is_remembered(data, tmp_path):
    same = {"steps": 1, "quiet": True, **SMALL}
    first = train_run("autoencoder", data, tmp_path / "first", **same, **TOY["autoencoder"])
    run = train_run("latent_diffusion", data, tmp_path / "run", first=first, **same, **TOY["latent_diffusion"])
    train_run("latent_diffusion", data, run, resume=True, steps=2, quiet=True)
    assert len(losses(run)) == 2 and not (run / "first").exists()
    other = train_run("autoencoder", data, tmp_path / "other", **same | {"steps": 2}, **TOY["autoencoder"])
    with pytest.raises(InputError, match="another first stage"):
        train_run("latent_diffusion", data, run, first=other, resume=True, steps=3, quiet=True)


def test_every_process_waits_until_the_run_is_written(data, tmp_path, monkeypatch):
    """Without that, one of several would look for a first stage that the first process is still writing."""
    seen = []

    def largest(world, *numbers):
        if (tmp_path / "run" / "run.json").is_file():
            seen.append(json.loads((tmp_path / "run" / "run.json").read_text())["finished"])
        return numbers

    monkeypatch.setattr("veridical.core.device.World.largest", largest)
    train_run("vae", data, tmp_path / "run", steps=1, quiet=True, **SMALL, **TOY["vae"])
    assert seen[-1] and not any(seen[:-1])


@pytest.mark.parametrize("error", [RuntimeError("no samples"), OSError(28, "no space"), ValueError("odd")])
def test_a_preview_that_fails_is_a_note_and_ends_no_training(data, tmp_path, monkeypatch, caplog, error):
    def broken(*_, **__):
        raise error

    monkeypatch.setattr("veridical.training.preview.to_grid", broken)
    train_run("vae", data, tmp_path / "run", steps=2, preview_every=0, quiet=True, **SMALL, **TOY["vae"])
    assert "real.png: not written" in caplog.text and "step_0000001.png: not written" in caplog.text
    run = read_run(tmp_path / "run")
    assert run.finished and run.cost.steps == 2


def test_divergence_names_step_and_part_and_keeps_the_checkpoint(data, tmp_path, monkeypatch):
    build = table.RECIPES["vae"].build

    class Exploding(build):
        def losses(self, batch, step):
            for part, loss in super().losses(batch, step):
                yield part, loss * (float("nan") if step == 3 else 1.0)

    row = table.RECIPES["vae"]
    monkeypatch.setitem(table.RECIPES, "vae", Recipe(Exploding, row.family, row.task, row.summary, row.citation))
    with pytest.raises(TrainingDiverged, match=r"step 4.*part 'vae'.*checkpoint of step 3"):
        train_run(
            "vae",
            data,
            tmp_path / "run",
            steps=9,
            save_every=1e-9,
            quiet=True,
            **SMALL,
            width=8,
            latent=8,
        )
    tensors, numbers = read_tensors(tmp_path / "run" / "resume.safetensors")
    assert numbers["step"] == "3" and all(torch.isfinite(t).all() for t in tensors.values())


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    write_tensors(path, {"a": torch.ones(3)}, step="1")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match=r"model.safetensors could not be written .No space left"):
        write_tensors(path, {"a": torch.zeros(3)}, step="2")
    tensors, numbers = read_tensors(path)
    assert torch.equal(tensors["a"], torch.ones(3)) and numbers["step"] == "1"
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_the_average_starts_as_a_copy_and_follows():
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 2)
    average = Average(model, 0.999)
    with torch.no_grad():
        model.weight += 1
    average.update(0)
    assert torch.equal(average.model.weight, model.weight)
    before = average.model.weight.clone()
    with torch.no_grad():
        model.weight += 1
    average.update(91)
    # step / (step + 9) = 0.91 of the old remains
    torch.testing.assert_close(average.model.weight, before + 0.09)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"recipe": "dcgann"}, "did you mean 'dcgan'"),
        ({"setting": 3}, "no setting 'setting'"),
        ({"lr": "fast"}, "not a float"),
        ({"device": "cuda:9"}, "not available"),
        ({"batch": 0}, "batch=0 cannot be: give a whole number from 1 to 1,000,000"),
        ({"size": 40}, "needs tiles of"),
        ({"steps": -1}, "steps=-1 cannot be"),
        ({"augment": "mirror"}, "not known"),
        ({"seed": -1}, "seed=-1 cannot be: give a whole number from 0 on"),
        ({"threads": -1}, "threads=-1 cannot be"),
        ({"minutes": float("nan")}, "minutes=nan cannot be: give a number from 0.001 on"),
        ({"lr": float("nan")}, "lr=nan cannot be: give a number from 0 on"),
        ({"batch": [4]}, r"batch=\[4\] cannot be: give a whole number"),
        ({"width": -8}, "width=-8 cannot be: give a number from 1 on"),
        ({"latent": 2.5}, "vae cannot be built with latent=2.5"),
        ({"recipe": "edm", "widths": "64,0"}, r"widths=\(64, 0\) cannot be: give whole numbers from 1 on"),
        ({"recipe": "stylegan", "truncation": "nan"}, "'nan' is not a float"),
        ({"recipe": "dcgan", "classes": 4}, "no setting 'classes'"),
        ({"recipe": "cgan", "classes": 4}, "classes are those of the data"),
        ({"recipe": "wgan_gp", "batch": 3}, "critic_steps=5 are shares of a batch: give --batch 5"),
        ({"recipe": "edm", "widths": "30,60"}, r"widths=\(30, 60\) cannot be: give multiples of 16"),
        ({"recipe": "edm", "solver": "hein"}, "solver=hein is not known: use one of euler, heun"),
    ],
)
def test_bad_settings_are_one_sentence(given, message, data, tmp_path):
    recipe = given.pop("recipe", "vae")
    with pytest.raises(InputError, match=message):
        train_run(recipe, data, tmp_path / "run", **{"steps": 1, "quiet": True, **SMALL, **given})
    assert not (tmp_path / "run" / "run.json").exists()


def test_an_output_folder_with_something_else_is_left_alone(data, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis.txt"):
        train_run("vae", data, tmp_path, steps=1, **SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
