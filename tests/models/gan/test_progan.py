"""Equalised layers and ProGAN: exact cheap forms, growth, and what sampling sees of it."""

import json
import signal
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F

from toy import write_tiles
from veridical.core.batch import Batch, ImageNoise
from veridical.core.errors import InputError
from veridical.core.interrupt import Stopped
from veridical.models.gan.progan import ProGAN
from veridical.nets.equalised import EqualisedConv2d, EqualisedLinear, minibatch_deviation, pixel_norm
from veridical.nets.resize import down_convolution, up_convolution
from veridical.recipes.recipe import Recipe
from veridical.recipes.table import RECIPES
from veridical.runs.draw import draw
from veridical.runs.run import load
from veridical.runs.tensors import read_tensors
from veridical.training.start import train


def batch(reached: float, size: int = 32, n: int = 4) -> Batch:
    image = torch.randn(n, 1, size, size, generator=torch.Generator().manual_seed(int(99 * reached))).clamp(-1, 1)
    return Batch.at(image, {}, seed=0, step=0, start=0, total=n, reached=reached)


def small(**args) -> ProGAN:
    torch.manual_seed(0)
    return ProGAN(1, 32, **{"latent": 8, "width": 4, **args})


def silent(shape: tuple[int, ...]) -> torch.Tensor:
    """Noise for three images that is none."""
    return torch.zeros(3, *shape)


def descend(model: ProGAN, reached: float) -> dict[str, set[str]]:
    """Names of the parameters that got a gradient in a step at that share of the training, by part."""
    used = {}
    for part, loss in model.losses(batch(reached), 0):
        assert loss.dim() == 0 and torch.isfinite(loss)
        parameters = dict(model.parts[part].named_parameters())
        for p in parameters.values():
            p.grad = None
        torch.autograd.backward(loss, inputs=list(parameters.values()))
        used[part] = {name for name, p in parameters.items() if p.grad is not None}
    return used


def test_down_convolution_is_convolution_then_halving():
    x, weight, bias = torch.randn(2, 3, 8, 6), torch.randn(5, 3, 3, 3), torch.randn(5)
    expected = F.avg_pool2d(F.conv2d(x, weight, bias, padding=1), 2)
    torch.testing.assert_close(down_convolution(x, weight, bias), expected, rtol=1e-4, atol=1e-4)


def test_up_convolution_is_doubling_then_convolution():
    x, weight, bias = torch.randn(2, 3, 5, 4), torch.randn(6, 3, 3, 3), torch.randn(6)
    expected = F.conv2d(F.interpolate(x, scale_factor=2), weight, bias, padding=1)
    torch.testing.assert_close(up_convolution(x, weight, bias), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer", [EqualisedLinear(300, 400, gain=1.0), EqualisedLinear(300, 400, rate=0.01, gain=1.0)])
def test_equalised_linear_keeps_the_scale(layer):
    assert layer(torch.randn(200, 300)).std().item() == pytest.approx(1, rel=0.05)


def test_equalised_convolution_keeps_the_scale():
    assert EqualisedConv2d(64, 64, gain=1.0)(torch.randn(4, 64, 32, 32)).std().item() == pytest.approx(1, rel=0.1)


def test_a_slow_layer_moves_slower_by_its_rate():
    moved = []
    for rate in (1.0, 0.01):
        torch.manual_seed(0)
        layer = EqualisedLinear(8, 8, rate=rate)
        x = torch.randn(4, 8)
        before = layer(x).detach()
        layer(x).square().sum().backward()
        torch.optim.Adam(layer.parameters(), 1e-3).step()
        moved.append((layer(x) - before).abs().mean().item())
    assert moved[1] / moved[0] == pytest.approx(0.01, rel=0.05)


def test_pixel_norm_gives_unit_length():
    assert pixel_norm(torch.randn(2, 8, 3, 3)).square().mean(1) == pytest.approx(1, rel=1e-3)


def test_minibatch_deviation_sees_repeated_images():
    x = torch.randn(8, 5, 4, 4)
    out = minibatch_deviation(x)
    assert out.shape == (8, 6, 4, 4) and torch.equal(out[:, :5], x)
    assert out[0, 5, 0, 0] == pytest.approx(x[0::2].std(0, unbiased=False).mean().item(), rel=1e-4)
    assert minibatch_deviation(x[:1].expand(8, -1, -1, -1))[:, 5].max() < 1e-3
    torch.testing.assert_close(minibatch_deviation(x, gain=3.0)[:, 5], 3 * out[:, 5])
    assert minibatch_deviation(x[:5]).shape == (5, 6, 4, 4)


def test_stages_grow_fade_and_hold():
    model = small(growing=0.6)

    def stage(reached: float) -> tuple[int, float]:
        descend(model, reached)
        return model.stage()

    # Three resolutions to come: six phases of a tenth of the training each.
    assert stage(0) == stage(0.1) == (0, 1.0)
    assert stage(0.15) == (1, pytest.approx(0.5)) and stage(0.2) == stage(0.3) == (1, 1.0)
    assert stage(0.35) == (2, pytest.approx(0.5, abs=0.01)) and stage(0.55) == (3, pytest.approx(0.5, abs=0.01))
    assert stage(0.6) == stage(0.99) == stage(0.1) == (3, 1.0)  # a run that is made longer stays what it is
    model = small(growing=0.0)
    assert stage(0) == (3, 1.0)
    with pytest.raises(InputError, match="growing=150 is a share"):
        small(growing=150)


def test_the_first_moment_of_a_fade_changes_no_image():
    model = small()
    z, low = torch.randn(3, 8), torch.randn(3, 1, 8, 8)
    images, before = model.generator(z, silent, 2, 1e-9), model.generator(z, silent, 1)
    torch.testing.assert_close(images, F.interpolate(before, scale_factor=2), rtol=1e-4, atol=1e-5)
    large = F.interpolate(low, scale_factor=2)
    torch.testing.assert_close(model.discriminator(large, 2, 1e-9), model.discriminator(low, 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("args", [{}, {"loss": "nonsaturating", "augmentation": "adaptive"}])
def test_every_layer_is_trained_when_its_turn_comes_and_no_sooner(args):
    model = small(**args)
    first, seen = descend(model, 0), {part: set() for part in model.parts}
    assert not any(name.startswith(("up.", "down.", "conv.")) for names in first.values() for name in names)
    for reached in (0.05, 0.1, 0.15, 0.18, 0.2, 0.3):
        for part, names in descend(model, reached).items():
            seen[part] |= names
    assert seen == {part: {name for name, _ in m.named_parameters()} for part, m in model.parts.items()}


def test_grain_is_noise_of_single_pixels_that_training_makes_louder():
    model, z = small(), torch.randn(3, 8)

    def loud(shape: tuple[int, ...]) -> torch.Tensor:
        return torch.randn(3, *shape)

    without = model.generator(z, silent, 3)
    assert torch.equal(model.generator(z, loud, 3), without)  # no grain that has not been learned
    descend(model, 0.3)
    for layer in (*model.generator.up, *model.generator.conv):
        assert layer.strength.grad.abs().min() > 0
        layer.strength.data -= 0.01 * layer.strength.grad.sign()
    first, second = (model.generator(z, loud, 3) for _ in range(2))
    assert (first - second).abs().mean() > 1e-3
    plain = small(grain=False).generator
    assert not any("strength" in name for name, _ in plain.named_parameters())
    assert torch.equal(plain(z, loud, 3), plain(z, silent, 3))


def test_samples_have_full_size_and_the_detail_reached():
    model = small()
    for reached, side in ((0, 4), (0.05, 8), (0.12, 16), (0.3, 32)):
        descend(model, reached)
        images = model.sample(2, {}, ImageNoise(0, range(2)))
        assert images.shape == (2, 1, 32, 32) and images.abs().max() <= 1
        assert torch.equal(images, F.interpolate(F.interpolate(images, size=(side, side)), size=(32, 32)))


def test_growth_is_saved_averaged_and_resumed(tmp_path, monkeypatch):
    """Stopped in the middle of a fade and resumed, a run ends with the same numbers, to the bit."""

    class Stopping(ProGAN):
        def losses(self, batch, step):
            if step == 5:
                signal.raise_signal(signal.SIGTERM)
            return super().losses(batch, step)

    data = write_tiles(tmp_path / "data")
    given = {"size": 32, "batch": 4, "steps": 12, "latent": 8, "width": 4, "growing": 0.6, "quiet": True}
    for run, model in (("whole", ProGAN), ("parts", Stopping)):
        row = Recipe(model, family="GAN", task="unconditional", summary="", citation="")
        monkeypatch.setitem(RECIPES, "growing", row)
        with pytest.raises(Stopped) if model is Stopping else nullcontext():
            train("growing", data, tmp_path / run, **given)
    halfway = read_tensors(tmp_path / "parts" / "resume.safetensors")[0]["model.grown"]
    assert 0 < halfway < 6000 and not json.loads((tmp_path / "parts" / "run.json").read_text())["finished"]
    train("growing", data, tmp_path / "parts", resume=True, **given)
    whole, parts = (read_tensors(tmp_path / run / "resume.safetensors")[0] for run in ("whole", "parts"))
    assert whole["average.grown"] == 6000 and whole["average.grown"].dtype == torch.int64
    assert whole.keys() == parts.keys() and all(torch.equal(whole[k], parts[k]) for k in whole)
    assert draw(load(tmp_path / "whole"), 2).shape == (2, 1, 32, 32)
