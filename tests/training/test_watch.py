"""Previews that are scored, the best state, early stopping."""

import itertools
import json
import signal
import struct
import sys
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from toy import TOY, write_tiles
from veridical import draw, load, score
from veridical import train as train_run
from veridical.core.errors import InputError
from veridical.core.files import read_json
from veridical.editing.folder import edit
from veridical.runs.draw import sample
from veridical.runs.folder import read_run
from veridical.runs.next import longer
from veridical.runs.tensors import read_tensors
from veridical.training import loop, watch
from veridical.training.watch import Score

SMALL = {"size": 32, "batch": 4, "threads": 1, "quiet": True, **TOY["dcgan"]}
MASKED = {name: value for name, value in SMALL.items() if name not in TOY["dcgan"]} | {"width": 8}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_tiles(tmp_path_factory.mktemp("data") / "tiles", n=60, conditions=True)


@pytest.fixture
def quick(monkeypatch):
    """Scores after every step that follow a list."""
    monkeypatch.setattr(loop, "COST", 1e9)

    def scored(values):
        rest = itertools.chain(values, itertools.repeat(values[-1]))
        monkeypatch.setattr(watch.Score, "of", lambda self, images: (v := next(rest), v - 0.1, v + 0.1, 0.01))

    return scored


def lines(run, what):
    found = (json.loads(line) for line in (run / "log.jsonl").read_text().splitlines())
    return [line for line in found if what in line]


def texture(n, blur, seed):
    rng = np.random.default_rng(seed)
    coarse = gaussian_filter(rng.standard_normal((n, 1, 32, 32)), (0, 0, blur, blur))
    return np.clip(0.5 + 0.2 * np.tanh(4 * coarse / coarse.std()), 0, 1).astype(np.float32)


def test_the_score_is_that_of_score():
    tiles, images = texture(48, 2.5, 0), texture(24, 1.8, 1)
    groups = [str(k) for k in range(48)]
    scored = Score(tiles, groups, {})
    scored.of(texture(8, 1.0, 2))  # what is kept of the tiles does not depend on these
    value, low, high, error = scored.of(images)
    row = next(r for r in score(tiles, images, real_groups=groups) if r["metric"] == "kid_over_random_phase")
    assert value == pytest.approx(row["value"], rel=0.25)  # of 24 random-phase tiles there, of all here
    assert low < value < high and 0 < error < (high - low) / 2


def test_a_score_falls_as_samples_get_nearer():
    scored = Score(texture(48, 2.5, 0), [str(k) for k in range(48)], {})
    values = [scored.of(texture(32, blur, 9))[0] for blur in (0.5, 1.5, 2.5)]
    assert values == sorted(values, reverse=True) and abs(values[-1]) < 0.1


def test_previews_are_scored_and_the_best_state_is_kept(data, tmp_path, quick):
    quick([0.9, 0.4, 0.3, 0.8, 0.9, 0.9, 0.9])
    run = train_run("dcgan", data, tmp_path / "run", steps=6, preview_every=0, **SMALL)
    points, info = lines(run, "score"), read_run(run)
    assert [p["score"]["value"] for p in points][:4] == [0.9, 0.4, 0.3, 0.8]
    assert len(lines(run, "loss")) == 6 and info.dataset["n_validation_tiles"] >= 40
    assert info.best is not None and info.best.step == points[2]["step"] < info.cost.steps
    assert (info.best.value, info.best.n, info.best.metric) == (0.3, 16, "kid_over_random_phase")
    tensors, header = read_tensors(run / "best.safetensors")
    assert int(header["step"]) == info.best.step
    best, last = load(run, settings={"weights": "best"}), load(run)
    state = best.model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in tensors.items())
    assert not np.array_equal(draw(best, 2), draw(last, 2))
    sample(run, 1, tmp_path / "drawn", settings={"weights": "best"}, quiet=True)
    assert read_json(tmp_path / "drawn" / "provenance.json")["checkpoint"]["steps"] == info.best.step


def test_the_best_state_edits_images(data, tmp_path, quick):
    quick([0.9, 0.4, 0.3, 0.8])
    run = train_run("edm", data, tmp_path / "run", steps=2, preview_every=0, size=32, batch=4, quiet=True, **TOY["edm"])
    sample(run, 1, tmp_path / "drawn", quiet=True)
    edit(run, tmp_path / "drawn", tmp_path / "made", "sdedit", settings={"weights": "best", "steps": 2}, quiet=True)
    assert read_json(tmp_path / "made" / "provenance.json")["settings"]["weights"] == "best"


def test_patience_stops_a_training_that_does_not_get_better(data, tmp_path, quick):
    quick([0.9, 0.4, 0.2, *[0.8] * 50])
    run = train_run("dcgan", data, tmp_path / "run", steps=300, preview_every=0, patience=3, **SMALL)
    info = read_run(run)
    assert info.finished and info.cost.steps < 300
    made = info.cost.steps
    train_run("dcgan", data, run, steps=300, resume=True, patience=3, **SMALL)  # no step without a new reason
    assert read_run(run).cost.steps == made
    command = longer(run)
    assert command.endswith("--resume --steps 600 --patience 0")  # with patience it would end at once
    train_run("dcgan", data, run, steps=made + 1, resume=True, patience=0, **SMALL)
    assert read_run(run).cost.steps == made + 1


def test_a_resumed_training_knows_its_scores(data, tmp_path, quick):
    quick([0.9, 0.2, 0.8, 0.8, 0.8, 0.8, 0.8])
    run = train_run("dcgan", data, tmp_path / "run", steps=3, preview_every=0, **SMALL)
    before = read_run(run).best
    assert before is not None and before.value == 0.2
    train_run("dcgan", data, run, steps=5, resume=True, **SMALL)
    assert read_run(run).best == before and len(lines(run, "loss")) == 5


def test_pictures_and_scores_change_no_weights(data, tmp_path, quick):
    quick([0.5])
    seen = train_run("dcgan", data, tmp_path / "seen", steps=4, preview_every=0, **SMALL)
    unseen = train_run("dcgan", data, tmp_path / "unseen", steps=4, **SMALL)
    assert not (unseen / "best.safetensors").exists() and not lines(unseen, "score")
    first, second = (read_tensors(run / "model.safetensors")[0] for run in (seen, unseen))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_conditional_previews_have_the_conditions_of_validation_tiles(data, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(watch.Score, "of", lambda self, images: told.append(self.cond["mask"]) or (0.5, 0.4, 0.6, 0.01))
    run = train_run("pix2pix", data, tmp_path / "run", steps=1, preview_every=0, **MASKED)
    assert len(told) and len(told[0]) == read_run(run).dataset["n_validation_tiles"]


def test_few_validation_tiles_are_told_in_turn(tmp_path):
    few = write_tiles(tmp_path / "few", n=60, size=32, conditions=True)
    run = train_run("pix2pix", few, tmp_path / "run", steps=1, preview_every=0, validation=0.25, **MASKED)
    assert read_run(run).dataset["n_validation_tiles"] < watch.SHOWN
    assert (run / "samples" / "step_0000001.png").is_file()


def test_a_run_without_scores_has_no_best_state_and_says_why(tmp_path):
    few = write_tiles(tmp_path / "few", n=8)
    run = train_run("dcgan", few, tmp_path / "run", steps=1, preview_every=0, **SMALL)
    assert "a score needs 40" in read_run(run).dataset["unwatched"] and not lines(run, "score")
    with pytest.raises(InputError, match=r"has no best state, .*a score needs 40"):
        load(run, settings={"weights": "best"})
    with pytest.raises(InputError, match=r"weights=finest is not known|weights"):
        load(run, settings={"weights": "finest"})


def test_a_run_that_was_not_watched_goes_on_so_where_another_version_would_set_tiles_apart(tmp_path, monkeypatch):
    few = write_tiles(tmp_path / "few", n=8)
    run = train_run("dcgan", few, tmp_path / "run", steps=1, preview_every=0, **SMALL)
    reason = read_run(run).dataset["unwatched"]
    monkeypatch.setattr("veridical.data.validation.ENOUGH", 1)
    assert train_run("dcgan", few, tmp_path / "other", steps=1, **SMALL) and not read_run(
        tmp_path / "other"
    ).dataset.get("unwatched")
    train_run("dcgan", few, run, steps=2, resume=True, **SMALL)
    assert read_run(run).cost.steps == 2 and read_run(run).dataset["unwatched"] == reason


def test_what_has_no_score_is_said_once(data, tmp_path, monkeypatch, caplog):
    def refuse(self, images):
        raise InputError("so few tiles give no scale")

    monkeypatch.setattr(watch.Score, "of", refuse)
    run = train_run("dcgan", data, tmp_path / "run", steps=3, preview_every=0, **SMALL)
    assert caplog.text.count("previews are not scored: so few tiles give no scale") == 1
    assert read_run(run).finished and len(list((run / "samples").glob("step_*.png"))) >= 2


def test_runs_of_before_trained_on_all_images(data, tmp_path):
    run = train_run("dcgan", data, tmp_path / "run", steps=1, validation=0.0, **SMALL)
    content = read_json(run / "run.json")
    for name in ("validation", "patience", "tensorboard"):
        del content["config"][name]
    del content["sha256"]
    (run / "run.json").write_text(json.dumps(content))
    train_run("dcgan", data, run, steps=2, resume=True, **SMALL)
    info = read_run(run)
    assert info.config.validation == 0 and "n_validation_tiles" not in info.dataset and info.cost.steps == 2


def events_of(run):
    """(tag, step, value or "image") of all event files of a run, by the records of TensorFlow: length, check, content, check."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted((run / "tensorboard").glob("events.*")):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            event = Event.FromString(content[at + 12 : at + 12 + length])
            at += length + 16
            for value in event.summary.value:
                found.append((value.tag, event.step, "image" if value.HasField("image") else value.simple_value))
    return found


def test_event_files_have_what_the_log_has(data, tmp_path, quick):
    quick([0.9, 0.5])
    run = train_run("dcgan", data, tmp_path / "run", steps=2, preview_every=0, tensorboard=True, **SMALL)
    events = events_of(run)
    losses = {tag: [v for t, _, v in events if t == tag] for tag, _, _ in events if tag.startswith("loss/")}
    logged = [line["loss"] for line in lines(run, "loss")]
    assert losses.keys() == {f"loss/{part}" for part in logged[0]}
    for part in logged[0]:
        assert losses[f"loss/{part}"] == pytest.approx([line[part] for line in logged], rel=1e-4)
    assert ("samples", 1, "image") in events
    assert [v for t, _, v in events if t == "score/distance_to_real"] == pytest.approx([0.9, 0.5])
    assert not (train_run("dcgan", data, tmp_path / "plain", steps=1, **SMALL) / "tensorboard").exists()


def test_without_the_package_nothing_is_begun(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(InputError, match=r"install veridical\[tensorboard\]"):
        train_run("dcgan", data, tmp_path / "run", steps=1, tensorboard=True, **SMALL)
    assert not (tmp_path / "run").exists()


def test_a_first_stage_is_scored_by_what_it_decodes(data, tmp_path, monkeypatch):
    seen, shown = [], []
    monkeypatch.setattr(loop, "show", lambda path, tiles: shown.append(tiles))
    monkeypatch.setattr(watch.Score, "of", lambda self, images: (seen.append(images), (0.5, 0.4, 0.6, 0.01))[1])
    given = {"size": 32, "batch": 4, "threads": 1, "quiet": True, "steps": 1, "preview_every": 0, **TOY["autoencoder"]}
    train_run("autoencoder", data, tmp_path / "run", **given)
    assert len(shown[0]) == 16
    assert np.corrcoef(shown[0].ravel(), seen[-1][:16].ravel())[0, 1] > 0.8


@pytest.mark.parametrize("steps", [3, 1], ids=["between steps", "after the last"])
def test_a_stop_does_not_wait_for_a_preview(steps, data, monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(loop, "COST", 1e9)

    def draw_for_long(self, model, numbers):
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("samples were drawn after the signal")

    monkeypatch.setattr(watch.Watch, "_draw", draw_for_long)
    settings = SMALL | {"quiet": False, "preview_every": 1e-9 if steps > 1 else 60.0}
    stopped = pytest.raises(KeyboardInterrupt, match="resume=True goes on") if steps > 1 else nullcontext()
    with stopped:  # so that no later cell of a notebook is run
        train_run("dcgan", data, tmp_path / "run", steps=steps, validation=0.0, **settings)
    said = read_run(tmp_path / "run")
    assert (said.cost.steps, said.finished) == (1, steps == 1)
    assert ("stopped at step 1; resume goes on" in capfd.readouterr().err) == (steps > 1)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
