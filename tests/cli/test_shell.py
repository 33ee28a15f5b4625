"""What all commands share: outputs checked first, notes once, text of users escaped, exit codes, arguments of any kind."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toy import write_tiles
from veridical.cli.shell import FAILED_CELLS, STOPPED


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    return write_tiles(tmp_path_factory.mktemp("data") / "tiles", n=12, size=32)


WORK = {
    "data": ("veridical.data.open.open_dataset", ["data", "DATA"], ["--preview", "--json"]),
    "score": ("veridical.scoring.score.score", ["score", "DATA", "DATA"], ["--json"]),
    "audit": ("veridical.auditing.verdict.audit", ["audit", "DATA", "DATA"], ["--json", "--html"]),
    "utility": ("veridical.scoring.utility.utility", ["utility", "DATA", "DATA"], ["--json"]),
    "restore": ("veridical.editing.files.load", ["restore", "RUN", "DATA", "--mask", "m", "--samples", 2], ["--out", "--spread"]),
    "train": ("veridical.training.start.train", ["train", "vae", "DATA"], ["--out"]),
    "sample": ("veridical.runs.draw.sample", ["sample", "RUN"], ["--out"]),
    "phantom": ("veridical.phantoms.generate", ["phantom", "rocks"], ["--out"]),
    "bench": ("veridical.benching.run.bench", ["bench", "a.toml"], ["--out"]),
}  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="devices are POSIX's")
@pytest.mark.parametrize("command", WORK)
def test_outputs_that_cannot_be_written_are_refused_before_the_work(run, tmp_path, monkeypatch, command):
    work, start, options = WORK[command]
    monkeypatch.setattr(work, lambda *_, **__: pytest.fail("worked"))
    (tmp_path / "file").write_text("kept")
    for option in options:
        more = ["--out", tmp_path / "a.tif"] if command == "restore" and option != "--out" else []
        for place in ("", "/proc/nosuch/x", tmp_path / "file" / "x", "/dev/null/x", tmp_path / ("a" * 300)):
            if place == "" and command in ("train", "sample", "phantom", "bench"):
                continue  # the folder where one is
            code, out, error = run(*start, *more, option, place)
            assert code == 2 and "could not be written" in error and len(error.strip().splitlines()) == 1, (
                option,
                place,
                out,
                error,
            )
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_result_is_not_written_over_what_is_read(run, tiles, tmp_path):
    scan = tmp_path / "scan.npy"
    np.save(scan, np.zeros((4, 32, 32), np.uint8))
    before = scan.read_bytes()
    code, _, error = run("data", scan, "--json", scan)
    assert code == 2 and "would be written over" in error and scan.read_bytes() == before
    for name in ("0000.png", "new.tif"):
        code, _, error = run("data", tiles, "--preview", tiles / name)
        assert code == 2 and "among its images" in error and not (tiles / "new.tif").exists()
    code, _, error = run("audit", tiles, tiles, "--json", tmp_path / "a", "--html", tmp_path / "a")
    assert code == 2 and "given for two results" in error and not (tmp_path / "a").exists()


@pytest.mark.skipif(os.name != "posix", reason="such names are POSIX's")
@pytest.mark.parametrize(
    "name", ["x[/a]", "scans [old]", "[bold]a", "a\x1b[31mb", "a\nb", os.fsdecode(b"a\xff"), "a\u202eb", ":smile:"]
)
def test_names_of_any_kind_are_shown_and_act_on_nothing(run, tiles, tmp_path, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "300")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).symlink_to(tiles)
    shown = {
        "a\x1b[31mb": r"a\x1b[31mb",
        "a\nb": r"a\x0ab",
        os.fsdecode(b"a\xff"): r"a\xff",
        "a\u202eb": r"a\u202eb",
    }.get(name, name)
    for arguments, channel in (
        (["data", tmp_path / name, "--size", 16], 1),
        (["data", tmp_path / name / "nowhere"], 2),
    ):
        result = run(*arguments)
        assert result[0] == (0 if channel == 1 else 2) and shown in result[channel].replace(r"\n", "")
        assert not any((ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 for c in result[channel])


@pytest.fixture(scope="module")
def noted(tmp_path_factory):
    """Six labelled images and two that are not: something to note."""
    folder = tmp_path_factory.mktemp("noted") / "d"
    (folder / "masks").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for k in range(8):
        image = rng.integers(0, 255, (32, 32), np.uint8)
        Image.fromarray(image).save(folder / f"{'abcdefgh'[k]}.png")
        if k < 6:
            Image.fromarray((image > 128).astype(np.uint8)).save(folder / "masks" / f"{'abcdefgh'[k]}.png")
    return folder


def test_notes_are_printed_once_even_when_quiet(run, noted, tmp_path, monkeypatch):
    said = "note: DATA: 2 of 8 images have no label image and are left out"
    small = ["--size", 16, "--steps", 1, "--batch", 2, "--out", tmp_path / "run", "--quiet", "--set", "width=8"]
    code, out, error = run("train", "pix2pix", noted, *small)
    assert code == 0 and (out + error).replace(str(noted), "DATA").count(said) == 1, error
    code, out, error = run("sample", tmp_path / "run", "-n", 2, "--out", tmp_path / "samples", "--quiet")
    assert code == 0 and (out + error).replace(str(noted), "DATA").count(said) == 1, error


@pytest.fixture
def converted(monkeypatch):
    """Whatever is opened has a note."""
    from veridical.data.readers import open as opening

    original = opening._open

    def noting(*args):
        slices = original(*args)
        slices.notes.append("colours were <converted>")
        return slices

    monkeypatch.setattr(opening, "_open", noting)


def test_scores_are_told_of_the_notes_of_both_sets(run, tiles, converted, monkeypatch):
    monkeypatch.setattr("veridical.scoring.score.measure", lambda *_, **__: [])
    code, _, error = run("score", tiles / "test", tiles / "train")
    assert code == 0 and error.count("colours were <converted>") == 2, error


def test_notes_of_the_data_are_in_the_audit_and_on_its_page(tiles, converted, tmp_path):
    from veridical.auditing import inputs
    from veridical.core.notes import heard
    from veridical.reporting.audit_page import audit_page
    from veridical.reporting.audit_text import summary

    with heard() as told:
        inputs.open_sides(tiles / "train", tiles / "train", None, None, None, None)
    assert told == [f"{tiles / 'train'}: colours were <converted>"]
    about = {"unit": "slices", "real": 1, "synth": 1}
    report = {
        "verdict": "pass",
        "lead": "Nothing was found.",
        "notes": [*told, "a\x1b\udcff"],
        "findings": [],
        "power": [],
        "images": [],
        "alpha": 0.05,
    }
    report |= {"n_real": 1, "n_synth": 1, "independent": about}
    audit_page(tmp_path / "a.html", report, tmp_path, {"real": "[/a]", "synth": "<b>\udcfe"}, [])
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "colours were &lt;converted&gt;" in text and r"a\x1b\xff" in text and r"&lt;b&gt;\xfe" in text
    assert "colours were <converted>" in summary(report)


@pytest.mark.parametrize(
    ("states", "code"), [(["done"], 0), (["done", "failed"], FAILED_CELLS), (["failed", "running"], STOPPED)]
)
def test_a_bench_says_by_its_exit_code_how_it_ended(run, tmp_path, monkeypatch, states, code):
    def bench(spec, out, dask, say):
        for seed, state in enumerate(states):
            cell = out / "cells" / "a" / f"vae-seed{seed}"
            cell.mkdir(parents=True)
            (cell / "status.json").write_text(json.dumps({"state": state, "reason": None}))
        spec = {"datasets": {"a": {}}, "recipes": {"vae": {}}, "seeds": list(range(len(states)))}
        (out / "spec.json").write_text(json.dumps(spec))
        return out / "report.html"

    monkeypatch.setattr("veridical.benching.run.bench", bench)
    assert run("bench", "a.toml", "--out", tmp_path / "b")[0] == code


def test_a_stopped_training_says_so(run, tiles, tmp_path, monkeypatch):
    monkeypatch.setattr("veridical.training.start.is_finished", lambda folder: False)
    code, out, error = run("train", "random_phase", tiles, "--out", tmp_path / "run", "--size", 16, "--quiet")
    assert code == STOPPED and "--resume" in out and "to go on" in out and "stopped" in error


def test_a_training_ends_with_the_commands_that_come_next(run, tiles, tmp_path):
    out = tmp_path / "my run"
    code, said, _ = run("train", "random_phase", tiles, "--out", out, "--size", 16, "--quiet")
    assert code == 0
    assert f"veridical sample '{out}' -n 64 --out '{out}-samples'" in said and "previews were not scored" in said
    assert f"--out '{out}' --resume --minutes 20" in said


def test_what_was_drawn_or_judged_is_followed_by_the_next_command(tmp_path, monkeypatch):
    from veridical.cli import ending

    assert ending.drawn("hub:pipelines/sd15", tmp_path) == ""  # nothing is known to be held out
    said = ending.scored("my scans", "drawn/", "scans/train")
    assert said == "\nNext:\n  veridical audit 'my scans' drawn/ --train scans/train --html drawn-audit.html"
    assert ending.audited("scans", "drawn", None, "fail", Path("a.html")) == "page: a.html"
    monkeypatch.setattr(ending, "is_run", lambda folder: True)
    monkeypatch.setattr(ending, "longer", lambda run: f"train {run}")
    assert ending.audited("run", "drawn", None, "fail", Path("a.html")).splitlines()[-1] == "  train run"
    assert "train run" not in ending.audited("run", "drawn", None, "pass", Path("a.html"))
    assert ending.drawn("run", Path("s")).splitlines()[2:] == [
        "  veridical score run s", "  veridical audit run s --html s-audit.html",
    ]  # fmt: skip


def test_a_training_that_was_stopped_in_its_first_stage_says_so(tmp_path):
    from veridical.cli.ending import stopped

    assert "give the same command again, with --resume" in stopped(tmp_path)


def test_one_system_with_its_settings(run):
    code, out, _ = run("recipes", "edm")
    assert code == 0 and "Of sampling, too" in out and "solver" in out and "One of euler" in " ".join(out.split())
    assert "dcgan" not in out
    code, out, _ = run("recipes", "edm", "--json")
    assert list(json.loads(out)) == ["edm"]
    code, _, error = run("recipes", "edn")
    assert code == 2 and "did you mean 'edm'" in error


def test_the_shell_completes_commands(tmp_path):
    asked = {"_VERIDICAL_COMPLETE": "complete_bash", "COMP_WORDS": "veridical sam", "COMP_CWORD": "1"}
    command = [sys.executable, "-c", "import sys; sys.argv = ['veridical']; from veridical.cli import main; main()"]
    found = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True)
    assert found.stdout.split() == ["sample"]


def test_stopped_sampling_says_how_to_go_on(run, tmp_path, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("veridical.runs.draw.sample", stopped)
    code, _, error = run("sample", tmp_path, "--out", tmp_path / "new")
    assert code == STOPPED and "give the same command again to go on" in error


@pytest.mark.parametrize(
    ("given", "said"),
    [
        *[
            (["--set", f"{name}=x"], f"--set {name} is no setting")
            for name in ("out", "recipe", "data", "resume", "first", "quiet")
        ],
        (["--set", "beta1=2"], "beta1=2.0 cannot be"),
        (["--set", "weight_decay=-1"], "weight_decay=-1.0 cannot be"),
        (["--set", "clip=inf"], "'inf' is not a float"),
        (["--minutes", "1e-12"], "minutes=1e-12 cannot be"),
        (["--lr", "nan"], "lr=nan cannot be"),
        (["--threads", 1000000], "threads=1000000 cannot be"),
        (["--batch", 99999999], "batch=99999999 cannot be"),
        (["--batch", 1000000, "--size", 32], "VERIDICAL_MAX_BYTES"),
        (["--device", "meta", "--size", 16], "device 'meta' is not available"),
        (["--set", "seed=" + "9" * 5000], "is not a int"),
        (["--set", "lr=1e999"], "is not a float"),
        (["--set", "warmup=" + "9" * 400], "warmup=9999"),
        (["--seed", "9" * 5000], "exceeded maximum size"),
    ],
)
def test_arguments_that_cannot_be_are_a_sentence(run, tiles, tmp_path, monkeypatch, given, said):
    monkeypatch.setenv("VERIDICAL_MAX_BYTES", "1e9")
    code, _, error = run("train", "vae", tiles, "--out", tmp_path / "run", "--steps", 1, "--quiet", *given)
    assert code == 2 and said in error and "Traceback" not in error, error


@pytest.mark.parametrize("name", ["WORLD_SIZE", "RANK", "LOCAL_WORLD_SIZE"])
@pytest.mark.parametrize("value", ["abc", "-1", "1.5", "9" * 400, "²"])
def test_numbers_in_the_environment_are_checked(run, tiles, tmp_path, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    code, _, error = run("train", "vae", tiles, "--out", tmp_path / "run", "--size", 16, "--steps", 1, "--quiet")
    assert code == 2 and error.startswith(f"veridical: {name}=") and "torchrun" in error


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(", "(?<x", "a{1,999999999999}", "(.*)*(.*)*(.*)*$b"])
def test_a_regular_expression_that_never_ends_is_a_sentence(run, tmp_path, pattern):
    for k in range(8):
        path = tmp_path / "d" / f"{'a' * 60}{k}!.npy"
        path.parent.mkdir(exist_ok=True)
        np.save(path, np.random.default_rng(k).integers(0, 255, (32, 32), np.uint8))
    began = time.monotonic()
    code, _, error = run("audit", tmp_path / "d", tmp_path / "d", "--field", pattern)
    assert code == 2 and "--field" in error and time.monotonic() - began < 20, error


@pytest.mark.skipif(os.name != "posix", reason="pipes are POSIX's")
def test_a_reader_that_goes_away_changes_nothing():
    code = "from veridical.cli.shell import say\nfor k in range(9): say('x' * 70000)\nraise SystemExit(3)"
    done = subprocess.run(f"{sys.executable} -c \"$CODE\" | head -c 1; exit ${{PIPESTATUS[0]}}", shell=True, capture_output=True,
                          executable="/bin/bash", env=os.environ | {"CODE": code})  # fmt: skip
    assert done.returncode == 3 and not done.stderr


def test_too_little_memory_is_a_sentence(run, tiles, tmp_path, monkeypatch):
    for error in (
        MemoryError("8 GB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ):

        def full(*_, error=error, **__):
            raise error

        monkeypatch.setattr("veridical.training.start.train", full)
        code, _, said = run("train", "vae", tiles, "--out", tmp_path / "run")
        assert code == 2 and "not enough memory" in said and len(said.strip().splitlines()) == 1
    monkeypatch.setattr("veridical.training.start.train", lambda *_, **__: {}["bug"])
    with pytest.raises(KeyError):
        run("train", "vae", tiles, "--out", tmp_path / "run")
