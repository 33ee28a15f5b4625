"""Preferences: pairs, their loss by hand, rounds that end where what is held out becomes worse."""

import math

import numpy as np
import pytest
import torch

from toy import texture, write_tiles
from veridical.adapting.adapt import adapt
from veridical.adapting.judges import by_property, by_table, judge_of
from veridical.adapting.preference import Pairs, paired, preference_losses
from veridical.adapting.table import find, sorted_out
from veridical.core.batch import Batch
from veridical.core.errors import InputError
from veridical.runs.adapted import put_into
from veridical.runs.draw import draw, sample
from veridical.runs.folder import read_run
from veridical.runs.run import load

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def few_looks(monkeypatch):
    """Few images after each round."""
    from veridical.adapting import reward

    monkeypatch.setattr(reward, "LOOKED_AT", 8)


def test_pairs_are_as_the_ratings_say():
    ratings = np.array([3.0, np.nan, 1.0, 2.0, 2.0, 9.0])
    better, worse = paired(ratings, 0.0)
    assert (ratings[better] > ratings[worse]).all() and 1 not in better and 1 not in worse
    assert (5, 2) in set(zip(better.tolist(), worse.tolist()))
    far, _ = paired(ratings, 0.5)
    assert 0 < len(far) < len(better)
    with pytest.raises(InputError, match="not all equal"):
        paired(np.ones(8))


def test_a_batch_is_the_better_ones_and_then_the_worse():
    images = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)
    pairs = Pairs(images, {"text": np.arange(4)[:, None]}, np.array([2, 3]), np.array([0, 1]))
    found, cond = pairs.batch(6, 0, 0)
    assert (found[:3].ravel() - found[3:].ravel() == 2).all() and (cond["text"].ravel() == found.ravel()).all()
    again, _ = pairs.batch(6, 0, 0, 2, 5)
    assert np.array_equal(again, found[2:5])


def test_the_loss_is_that_of_the_paper(edm):
    run = load(edm, "cpu", {"autoguidance": 1.0})
    put_into(run.model, "lora", {"rank": 1, "targets": ("attention",)})
    batch = lambda: Batch.at(torch.rand(4, 1, 32, 32), {}, seed=0, step=0, start=0, total=4)  # noqa: E731
    torch.manual_seed(0)
    ((_, loss),) = preference_losses(run.model, 2.0, 1.0)(batch(), 0)
    assert loss.item() == pytest.approx(math.log(2))  # nothing is preferred yet, and nothing changed
    for parameter in run.model.parts["denoiser"]:
        parameter.data += 0.3
    beta = 20_000.0  # so that a few weights tell the two apart
    torch.manual_seed(0)
    made = batch()
    z = run.model.encode(made.image)
    noise = made.normal(1, 32, 32)[:2].repeat(2, 1, 1, 1)
    sigma = torch.exp(run.model.law.noise_mean + run.model.law.noise_std * made.normal()[:2]).repeat(2)
    x = z + sigma.reshape(-1, 1, 1, 1) * noise
    unit = run.model.precondition(x, sigma).unit
    now = (run.model.denoise(x, sigma) - z) / unit
    from veridical.nets.lora import without_lora

    with without_lora(run.model.net):
        before = (run.model.denoise(x, sigma) - z) / unit
    gain = (now**2).mean((1, 2, 3)) - (before**2).mean((1, 2, 3))
    change = beta * (gain[:2] - gain[2:])
    wanted = -torch.log(torch.sigmoid(-change)).mean() + 1.0 * ((now - before) ** 2).mean()
    assert change.abs().min() > 0.3
    torch.manual_seed(0)
    ((_, loss),) = preference_losses(run.model, beta, 1.0)(batch(), 0)
    assert torch.allclose(loss, wanted, rtol=1e-2)


def test_a_judge_has_two_halves_and_finds_noise_strange():
    real = texture(20, 32, 0)
    fine, bad = texture(8, 32, 1), np.random.default_rng(0).random((8, 1, 32, 32)).astype(np.float32)
    judge = judge_of(real)
    assert not judge.rewarded and not judge.strange(bad)[0].any()
    halved = judge.halved(bad)
    assert {*halved.rewarded, *halved.held} == set(judge.held) and not {*halved.rewarded} & {*halved.held}
    assert abs(len(halved.rewarded) - len(halved.held)) <= 2
    for mine, theirs in zip(halved.strange(fine), halved.strange(bad)):  # both halves have what is wrong with noise
        assert np.median(mine) < 1 < np.median(theirs)
    ratings = by_property(fine, judge, "mean", 0.5)
    assert np.allclose(ratings, -np.abs(fine.mean((1, 2, 3)) - 0.5), atol=1e-6)
    with pytest.raises(InputError, match="property=colour is not measured"):
        by_property(fine, judge, "colour", 0.5)


@pytest.mark.long
def test_the_reward_trains_in_rounds_and_its_curve_is_kept(edm, tmp_path):
    data = write_tiles(tmp_path / "tiles", n=12, size=32, seed=3)
    settings = {"steps": 2, "batch": 4, "rounds": 4, "candidates": 8, "tolerance": 1.0, "device": "cpu"}
    out = adapt(edm, data, tmp_path / "out", how="reward", settings=settings, quiet=True)
    found = read_run(out).adapted.found
    assert [point["steps"] for point in found["curve"]] == [0, 1, 2]  # no more rounds than steps
    assert found["kept"] in (1, 2)
    assert read_run(out).cost.steps == found["kept"] and not (out / "resume.safetensors").exists()
    assert np.isfinite(draw(load(out, "cpu"), 1)).all()


def test_rounds_end_where_what_is_held_out_becomes_worse(edm, tiles, tmp_path):
    from veridical.adapting import reward

    said = iter([(0.0, 0.9), (0.1, 0.9), (0.9, 0.5), (1.0, 0.9)])
    original, rounds_seen = reward.course_of, []

    def course(*given):
        import dataclasses

        found = original(*given)

        def looks(images):
            rounds_seen.append(len(images))
            return next(said)

        return dataclasses.replace(found, looks=looks)

    from veridical.adapting import adapt as module

    data = write_tiles(tmp_path / "tiles", n=12, size=32, seed=3)
    settings = {
        "steps": 3,
        "batch": 4,
        "rounds": 3,
        "candidates": 8,
        "by": "property",
        "property": "mean",
        "target": 0.5,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "course_of", course)
        out = module.adapt(edm, data, tmp_path / "out", how="reward", settings=settings | {"device": "cpu"}, quiet=True)
    found = read_run(out).adapted.found
    assert len(rounds_seen) == 3 and found["kept"] == 1 and [p["held_out"] for p in found["curve"]] == [0.9, 0.9, 0.5]


def test_pipelines_of_other_people_stay_nearer_to_their_base():
    (_, own), (config, large) = (sorted_out(find("reward"), {}, large) for large in (False, True))
    assert own["beta"] < large["beta"] and config.batch == 2
    assert sorted_out(find("reward"), {"beta": "7"}, large=True)[1]["beta"] == 7


def test_pairs_are_not_shared_among_processes(edm, tiles, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="without torchrun"):
        adapt(edm, tiles[1], tmp_path / "out", how="reward", settings={"steps": 1, "batch": 4}, quiet=True)


def test_rated_images_go_with_one_prompt(told, tmp_path):
    data = write_tiles(tmp_path / "tiles", n=12, size=32, seed=3, conditions=True)
    settings = {"steps": 1, "batch": 4, "by": "table", "ratings": str(tmp_path / "ratings.csv"), "device": "cpu"}
    with pytest.raises(InputError, match="give it as --prompt"):
        adapt(told, data, tmp_path / "out", how="reward", settings=settings, quiet=True)


@pytest.mark.long
def test_ratings_of_a_table(edm, tmp_path):
    drawn = sample(edm, 8, tmp_path / "drawn", quiet=True, device="cpu")
    rows = [f"{file.name},{k}" for k, file in enumerate(sorted(drawn.glob("edm_*.*")))]
    (drawn / "ratings.csv").write_text("\n".join(["image,rating", *rows]), encoding="utf-8")
    data = write_tiles(tmp_path / "tiles", n=12, size=32, seed=3)
    settings = {
        "steps": 1,
        "batch": 4,
        "rounds": 1,
        "by": "table",
        "ratings": str(drawn / "ratings.csv"),
        "tolerance": 1.0,
    }
    out = adapt(edm, data, tmp_path / "out", how="reward", settings=settings | {"device": "cpu"}, quiet=True)
    assert read_run(out).adapted.found["pairs"] > 0
    (drawn / "ratings.csv").write_text("image,rating\nnowhere.png,1", encoding="utf-8")
    with pytest.raises(InputError, match="line 2"):
        by_table(drawn / "ratings.csv")


@pytest.mark.long
def test_a_ruler_is_near_the_audits_and_has_a_gradient():
    from veridical.adapting.ruler import ruler_of
    from veridical.auditing.measure import measure

    images = texture(16, 32, 0)
    judge = judge_of(images)
    for name in ("mean", "phase_fraction"):
        wanted = measure(images, judge.segmentation).values[name]
        x = torch.from_numpy(images).requires_grad_(True)
        found = ruler_of(name, judge.segmentation)(x)
        assert np.abs(found.detach().numpy() - wanted).max() < 0.06
        found.sum().backward()
        assert x.grad.abs().sum() > 0
    with pytest.raises(InputError, match="no gradient"):
        ruler_of("tips", judge.segmentation)


def test_the_gradient_of_one_step_makes_images_darker(edm):
    from veridical.adapting.ruler import gradient_losses

    run = load(edm, "cpu", {"autoguidance": 1.0, "solver": "euler"})  # as in training: others look ahead in four steps
    put_into(run.model, "lora", {"rank": 4, "targets": ("convolutions", "conv_out")})
    losses = gradient_losses(run.model, lambda images: images.mean((1, 2, 3)), 0.2, 0.0, grey=False)
    optimiser = torch.optim.Adam(run.model.parts["denoiser"].parameters(), 1e-2)
    before, found = draw(run, 8, seed=1).mean(), []
    for step in range(25):
        batch = Batch.at(torch.zeros(8, 1, 32, 32), {}, seed=0, step=step, start=0, total=8)
        ((_, loss),) = losses(batch, step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(loss.item())
    assert np.mean(found[-5:]) < np.mean(found[:5]) and draw(run, 8, seed=1).mean() < before - 0.02


@pytest.mark.long
def test_a_property_is_tuned_by_its_gradient(edm, tmp_path):
    data = write_tiles(tmp_path / "tiles", n=12, size=32, seed=3)
    settings = {
        "steps": 1,
        "batch": 2,
        "rounds": 1,
        "by": "property",
        "property": "mean",
        "target": 0.3,
        "tolerance": 1.0,
    }
    settings |= {"through": "gradient", "device": "cpu"}
    out = adapt(edm, data, tmp_path / "out", how="reward", settings=settings, quiet=True)
    assert len(read_run(out).adapted.found["curve"]) == 2
