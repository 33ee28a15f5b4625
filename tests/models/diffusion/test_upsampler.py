"""Large images of small ones."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from toy import write_tiles
from veridical.core.batch import Batch, ImageNoise
from veridical.core.errors import InputError
from veridical.recipes.table import build
from veridical.runs.draw import conditions_of, draw, sample
from veridical.runs.run import load
from veridical.training.start import train

SMALL = {"widths": (16,), "attention": (False,), "sampling_steps": 6}


def upsampler(size=16, **args):
    return build("upsampler", 1, size, {**SMALL, **args})


def images(n):
    generator = torch.Generator().manual_seed(0)
    level = torch.rand(n, 1, 1, 1, generator=generator) * 1.6 - 0.8
    return level + 0.05 * torch.randn(n, 1, 16, 16, generator=generator)


def test_samples_follow_their_small_images():
    torch.manual_seed(0)
    model = upsampler()
    train = images(32)
    model.prepare(train)
    optimiser = torch.optim.Adam(model.parts["denoiser"].parameters(), 3e-3)
    for step in range(80):
        loss = next(model.losses(Batch.at(train, {}, seed=0, step=step, start=0, total=32), step))[1]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    source = images(56)[32:]
    with torch.no_grad():
        made = model.sample(24, {"source": source}, ImageNoise(0, range(24)))
        small = model.sample(24, {"source": model.reduce(source)}, ImageNoise(0, range(24)))
    assert made.shape == (24, 1, 16, 16)
    assert torch.equal(made, small)  # of low resolution already, or reduced first
    assert torch.corrcoef(torch.stack([made.mean((1, 2, 3)), source.mean((1, 2, 3))]))[0, 1] > 0.7


def test_training_makes_its_own_small_images():
    model = upsampler()
    batch = Batch.at(images(4), {}, seed=0, step=0, start=0, total=4)
    other = dataclasses.replace(batch, cond={"source": torch.randn(4, 1, 16, 16)}, generator=torch.Generator())
    first = next(model.losses(batch, 0))[1]
    other.generator.manual_seed(batch.generator.initial_seed())
    assert torch.equal(first, next(model.losses(other, 0))[1])


def test_the_network_sees_noise_on_the_small_image_and_is_told_how_much(monkeypatch):
    model = upsampler(augmentation=0.4, condition_noise=0.2)
    model.prepare(images(64))
    seen = []
    inner = model.denoiser.precondition
    monkeypatch.setattr(
        model.denoiser, "precondition", lambda x, sigma, cond: seen.append(cond) or inner(x, sigma, cond)
    )
    batch = Batch.at(images(64), {}, seed=0, step=0, start=0, total=64)
    next(model.losses(batch, 0))
    with torch.no_grad():
        model.sample(64, {"source": images(64)}, ImageNoise(0, range(64)))
    without = model._condition(model.reduce(images(64)), torch.zeros(64), torch.zeros(64, 1, 8, 8))["map"]
    for cond in (seen[0], seen[-1]):
        # Enlarging makes noise smoother and weaker.
        strength = (cond["map"] - without).flatten(1).std(1) / cond["level"]
        assert strength.min() > 0.5 and strength.max() < 1.5
    assert seen[0]["level"].std() > 0.5 * 0.4 / 3.4
    torch.testing.assert_close(seen[-1]["level"], torch.full((64,), 0.2))


def test_small_images_are_means_of_squares():
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    model = upsampler()
    assert model.reduce(image).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="do not divide by factor=3"):
        upsampler(factor=3)
    with pytest.raises(InputError, match="condition_noise=1"):
        upsampler(condition_noise=1.0)


def test_without_a_source_the_data_are_the_source(tmp_path):
    data = write_tiles(tmp_path / "data", n=8)
    train("upsampler", data, tmp_path / "run", steps=2, size=32, batch=4, quiet=True, **SMALL)
    run = load(tmp_path / "run")
    made = draw(run, 2)
    reduced = run.model.reduce(torch.from_numpy(made))
    again = draw(run, 2, cond={"source": reduced.numpy()})
    assert made.shape == again.shape == (2, 1, 32, 32)


def test_images_that_are_given_are_enlarged(tmp_path):
    data = write_tiles(tmp_path / "data", n=8)
    coarse = write_tiles(tmp_path / "coarse", n=3, size=16, seed=1)
    with pytest.raises(InputError, match="leave out --source"):
        train("upsampler", data, tmp_path / "run", steps=2, size=32, source=str(coarse), quiet=True)
    # Images that are given are as coarse as the network wants them, whatever was done to those it was trained with.
    train("upsampler", data, tmp_path / "run", steps=2, size=32, scale=0.5, batch=4, quiet=True, **SMALL)
    run = load(tmp_path / "run")
    given = conditions_of(run, 3, source=coarse).cond["source"]
    assert given.shape == (3, 1, 16, 16)
    sample(tmp_path / "run", 3, tmp_path / "fine", source=coarse, quiet=True)
    written = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "fine").glob("upsampler*"))]
    assert [image.shape for image in written] == [(32, 32)] * 3


@pytest.mark.parametrize(("crop", "seen"), [(0, 12), (16, 4), (19, 4), (48, 12), (64, 12)])
def test_the_network_learns_from_parts_and_makes_whole_images(crop, seen):
    model = upsampler(48, widths=(16, 16), attention=(False, False), sampling_steps=2, crop=crop)
    sides = []
    model.denoiser.net.register_forward_hook(lambda net, given, out: sides.append(given[0].shape[-1]))
    image = torch.rand(2, 1, 48, 48) * 2 - 1
    model.prepare(image)
    next(model.losses(Batch.at(image, {}, seed=0, step=0, start=0, total=2), 0))
    with torch.no_grad():
        assert model.sample(2, {"source": image}, ImageNoise(0, range(2))).shape == image.shape
    assert sides[0] == seen and set(sides[1:]) == {12}


def test_the_recipe_learns_from_parts_unless_told_otherwise(tmp_path):
    data = write_tiles(tmp_path / "data", n=8)
    given = {"steps": 1, "size": 32, "batch": 2, "quiet": True, **SMALL}
    assert load(train("upsampler", data, tmp_path / "run", **given)).info.args["crop"] == 64
    assert load(train("upsampler", data, tmp_path / "whole", crop=0, **given)).info.args["crop"] == 0


def test_runs_that_kept_the_level_as_a_label_are_read():
    torch.manual_seed(0)
    model = upsampler()
    for parameter in model.denoiser.level.parameters():
        torch.nn.init.normal_(parameter)
    old = {name.replace(".level.net.", ".label."): tensor for name, tensor in model.state_dict().items()}
    assert "denoiser.label.embedding.net.0.weight" in old and "denoiser.label.none" in old
    other = upsampler()
    other.load_state_dict(old)
    for name, tensor in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
