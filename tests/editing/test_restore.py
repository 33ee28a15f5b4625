"""Restoration: closed forms for Gaussian images, projections, tiles, what must not change."""

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from torch import nn

from veridical import InputError
from veridical.diffusion.tiles import tiled
from veridical.editing.restore import Settings, hidden, inpaint, interpolate, restore, rings, streaks, wedge
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.settings import Network
from veridical.nets.spectrum import Spectrum

S = 12


class Gaussian(nn.Module):
    """Images whose cosine coefficients are independent: their conditional distributions are known."""

    def __init__(self):
        super().__init__()
        self.spectrum = Spectrum(1, S)
        frequency = torch.arange(S).square()
        deviation = 1 / (1 + (frequency[:, None] + frequency) / 9)
        self.spectrum.deviation.copy_(0.5 * deviation / deviation.square().mean().sqrt())
        self.spectrum.mean.fill_(0.1)
        self.spectrum.scale.fill_(4.0)
        self.encode, self.decode = self.spectrum.encode, self.spectrum.decode

    def denoise(self, x, sigma, cond=None):
        return self.spectrum.wiener(x, sigma.reshape(-1, 1, 1, 1))[0]

    def draw(self, seed):
        noise = torch.randn(1, 1, S, S, generator=torch.Generator().manual_seed(seed))
        return ((self.decode(self.spectrum.transform.inverse(self.spectrum.deviation * noise)) + 1) / 2).numpy()

    def moments(self):
        """Mean and covariance of images in [0, 1], as vectors."""
        line = self.spectrum.transform.line.double().numpy()
        basis = np.kron(line, line)
        deviation = self.spectrum.deviation.double().numpy().ravel() / 8
        return np.full(S * S, 0.55), basis.T @ (deviation[:, None] ** 2 * basis)


def conditional(model, projection, measured, deviation):
    """Mean and covariance of images given ``projection @ image + noise`` (the noise within the projection's range)."""
    mean, covariance = model.moments()
    weights, axes = np.linalg.eigh(projection)
    axes = axes[:, weights > 0.5].T
    seen = axes @ covariance @ axes.T + deviation**2 * np.eye(len(axes))
    gain = covariance @ axes.T @ np.linalg.inv(seen)
    return mean + gain @ (axes @ (measured.ravel() - mean)), covariance - gain @ axes @ covariance


def matrix(operator):
    pixels = torch.eye(S * S).reshape(-1, 1, S, S)
    return operator.pseudoinverse(operator.forward(pixels)).reshape(S * S, -1).double().numpy().T


def hole():
    mask = np.zeros((S, S), bool)
    mask[4:8, 3:9] = True
    return mask


OPERATORS = {
    "hidden": hidden(hole()),
    "rings": rings((S, S), (4.3, 7.0), width=4),
    "streaks": streaks((S, S), "columns", width=4),
    "wedge": wedge((S, S), 70),
}


@pytest.mark.parametrize(
    ("name", "deviation"), [("hidden", 0.0), ("hidden", 0.05), ("rings", 0.0), ("streaks", 0.0), ("wedge", 0.05)]
)
def test_draws_of_gaussian_images_have_the_conditional_distribution(name, deviation):
    """Along the principal axes of the conditional covariance, draws are standard normal: chi-squared test of the means."""
    model, n = Gaussian(), 200
    projection = matrix(OPERATORS[name])
    noise = deviation * np.random.default_rng(1).normal(size=S * S)
    measured = projection @ (model.draw(3).ravel() + noise)
    mean, covariance = conditional(model, projection, measured, deviation)
    y = np.repeat(measured.reshape(1, 1, S, S), n, 0).astype(np.float32)
    drawn = restore(model, y, OPERATORS[name], deviation=deviation, settings=Settings(steps=25, iterations=25))
    values, axes = np.linalg.eigh(covariance)
    unknown = values > 1e-3 * values.max()
    standard = (drawn.reshape(n, -1) - mean) @ axes[:, unknown] / np.sqrt(values[unknown])
    assert chi2.sf(n * np.square(standard.mean(0)).sum(), unknown.sum()) > 1e-3
    # 25 levels leave some per cent of the variance; chance is less, as all axes count.
    assert abs(standard.var() - 1) < 0.1


def test_resampling_comes_near_the_conditional_distribution():
    """RePaint is exact for small steps and many turns only; without turns, it is far away."""
    model, n = Gaussian(), 200
    measured = model.draw(3)
    mean, covariance = conditional(model, matrix(OPERATORS["hidden"]), measured, 0.0)
    y = np.repeat(measured * ~hole(), n, 0)
    errors = []
    for turns in (1, 10):
        drawn = restore(model, y, OPERATORS["hidden"], settings=Settings(steps=30, resamplings=turns))
        error = (drawn.mean(0).ravel() - mean)[hole().ravel()]
        errors.append(np.sqrt(np.square(error).mean() / np.diag(covariance)[hole().ravel()].mean()))
        spread = drawn.var(0).ravel()[hole().ravel()].mean() / np.diag(covariance)[hole().ravel()].mean()
    assert errors[1] < 0.5 < errors[0]
    assert 0.7 < spread < 1.3


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_are_orthogonal_projections(name):
    projection = matrix(OPERATORS[name])
    np.testing.assert_allclose(projection @ projection, projection, atol=1e-5)
    np.testing.assert_allclose(projection, projection.T, atol=1e-5)
    np.testing.assert_allclose(projection @ np.ones(S * S), 1 - hole().ravel() * (name == "hidden"), atol=1e-5)


def test_rings_and_streaks_are_projected_out_and_little_else():
    """Narrow profiles vanish, profiles that are linear in the coordinate stay."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:60, :70]
    radius = np.hypot(x - 31.5, y - 80)  # an axis outside the image
    for operator, coordinate in (
        (rings((60, 70), (31.5, 80), 8), radius),
        (streaks((60, 70), "rows", 8), y),
        (streaks((60, 70), "columns", 8), x),
    ):
        bins = np.arange(coordinate.min() // 1, coordinate.max() + 2)
        artefact = np.interp(coordinate, bins, rng.uniform(0.5, 1.5, len(bins)) * (-1) ** np.arange(len(bins)))
        left = operator.forward(torch.tensor(artefact[None, None], dtype=torch.float32))
        assert left.square().mean() < 0.1 * np.square(artefact).mean()
        ramp = torch.tensor(coordinate[None, None] / 60, dtype=torch.float32)
        torch.testing.assert_close(operator.forward(ramp), ramp, atol=1e-4, rtol=0)


def test_a_wedge_holds_back_the_waves_inside_it():
    y, x = np.mgrid[:32, :48]
    operator = wedge((32, 48), 60)
    for wave, stays in (
        (np.cos(2 * np.pi * 4 * y / 32), 0),
        (np.cos(2 * np.pi * 4 * x / 48), 1),
        (np.ones((32, 48)), 1),
    ):
        wave = torch.tensor(wave[None, None], dtype=torch.float32)
        torch.testing.assert_close(operator.forward(wave), stays * wave, atol=1e-5, rtol=0)


def test_any_pair_of_linear_functions_can_be_inverted():
    """Enlarging: the result has the blocks' means that were measured."""
    model = Gaussian()
    small = torch.nn.functional.avg_pool2d(torch.from_numpy(model.draw(5)), 2)

    def blocks(x):
        return torch.nn.functional.avg_pool2d(x, 2)

    def spread(y):
        return torch.nn.functional.interpolate(y, scale_factor=2.0)

    large = restore(model, small.numpy(), (blocks, spread), settings=Settings(steps=6))
    np.testing.assert_allclose(blocks(torch.from_numpy(large)), small, atol=1e-5)
    assert np.abs(large - spread(small).numpy()).mean() > 1e-3


def test_between_equal_slices_lies_the_same_slice():
    """And at the ends of the interval the neighbours themselves; between different ones lies neither."""
    model = Gaussian()
    before, after = model.draw(1), model.draw(2)
    np.testing.assert_allclose(interpolate(model, before, before), before, atol=1e-5)
    for fraction, end in ((0.0, before), (1.0, after)):
        np.testing.assert_allclose(interpolate(model, before, after, fraction), end, atol=1e-5)
    middle = interpolate(model, before, after, settings=Settings(steps=6))
    assert np.abs(middle - before).mean() > 0.01 < np.abs(middle - after).mean()


def test_interpolation_is_right_where_its_assumption_holds():
    """Brownian bridges of Gaussian images: the mean of draws is nearer to the truth than the linear mean."""
    model, rng = Gaussian(), np.random.default_rng(0)
    truth = np.concatenate([model.draw(k) for k in range(40)])
    noise = rng.normal(0, 0.1, (2, *truth.shape)).astype(np.float32)
    before, after = truth + noise[0], truth + noise[1]
    draws = [interpolate(model, before, after, seed=seed, settings=Settings(steps=8)) for seed in range(4)]
    error = np.square(np.mean(draws, 0) - truth).mean()
    assert error < 0.8 * np.square((before + after) / 2 - truth).mean()


def edm(size=32):
    torch.manual_seed(0)
    model = Denoiser((1, size, size), Network(widths=(32, 32), attention=(False, False))).eval().requires_grad_(False)
    model.prepare(torch.rand(16, 1, size, size) * 2 - 1)
    return model


def test_what_was_measured_is_kept_and_seeds_decide():
    model, quick = edm(), Settings(steps=3, resamplings=2)
    image = np.random.default_rng(0).random((1, 1, 40, 90), np.float32)
    mask = np.zeros((40, 90), bool)
    mask[3:9, 2:12] = mask[20:30, 60:75] = mask[18:19, 80:90] = True
    twice = image.repeat(2, 0)
    filled = inpaint(model, twice, mask, size=32, settings=quick, seed=4)
    assert (filled[:, :, ~mask] == twice[:, :, ~mask]).all()
    for half in (slice(0, 40), slice(40, 90)):
        assert np.abs(filled - twice)[..., half].max() > 0.05
    assert np.abs(filled[0] - filled[1])[:, mask].mean() > 0.02
    again = inpaint(model, image, mask, size=32, settings=quick, seed=4)
    np.testing.assert_allclose(again[0], filled[0], atol=1e-4)
    other = inpaint(model, image, mask, size=32, settings=quick, seed=5)
    assert np.abs(other - again)[:, :, mask].mean() > 0.02
    garbage = np.where(mask, np.float32(np.nan), image)
    np.testing.assert_array_equal(inpaint(model, garbage, mask, size=32, settings=quick, seed=4), again)


def test_tiles_of_a_local_denoiser_are_those_of_the_whole():
    """Where the estimate does not depend on the tile, tiling changes nothing; nor do checkpoints change gradients."""

    def local(x, sigma, cond=None):
        return torch.tanh(x) * sigma.reshape(-1, 1, 1, 1)

    x = torch.randn(2, 1, 37, 50, generator=torch.Generator().manual_seed(0)).requires_grad_()
    sigma = torch.tensor([0.5, 2.0])
    whole = tiled(local, 16, batch=5)(x, sigma)
    torch.testing.assert_close(whole, local(x, sigma))
    gradient = torch.autograd.grad(whole.square().sum(), x)[0]
    torch.testing.assert_close(gradient, torch.autograd.grad(local(x, sigma).square().sum(), x)[0])


def test_checkpoints_change_no_gradient(monkeypatch):
    model, operator = edm(16), streaks((24, 24), width=4)
    measured = np.random.default_rng(0).random((1, 1, 24, 24), np.float32)
    kept = restore(model, measured, operator, size=16, settings=Settings(steps=2, iterations=2))
    monkeypatch.setattr("veridical.diffusion.tiles.GRAPHS", 1)
    again = restore(model, measured, operator, size=16, settings=Settings(steps=2, iterations=2))
    np.testing.assert_allclose(again, kept, atol=1e-5)


def test_what_cannot_be_restored():
    model, image = edm(), np.zeros((1, 1, 40, 40), np.float32)
    mask = np.zeros((40, 40), bool)
    with pytest.raises(InputError, match="marks no pixels"):
        inpaint(model, image, mask)
    with pytest.raises(InputError, match="marks all pixels"):
        inpaint(model, image, ~mask)
    with pytest.raises(InputError, match="40 x 30 pixels but the image 40 x 40"):
        inpaint(model, image, mask[:30])
    with pytest.raises(InputError, match="tiles of 32"):
        restore(model, image[..., :20], streaks((40, 20)), size=32)
    with pytest.raises(InputError, match="does not denoise"):
        restore(nn.Identity(), image, streaks((40, 40)))
    with pytest.raises(InputError, match="between 0 and 180"):
        wedge((40, 40), 180)
    with pytest.raises(InputError, match="rows or columns"):
        streaks((40, 40), "diagonals")
    with pytest.raises(InputError, match="at least 2 pixels"):
        rings((40, 40), (3, 3), 1)
    with pytest.raises(InputError, match="fraction=2"):
        interpolate(model, image, image, 2)
    with pytest.raises(InputError, match="do not fit"):
        interpolate(model, image, image[..., :30])
    with pytest.raises(InputError, match="resamplings=0"):
        Settings(resamplings=0)
    with pytest.raises(InputError, match="deviation=-1"):
        restore(model, image, streaks((40, 40)), deviation=-1)
