"""The variational auto-encoder: divergence, annealing, noise of its samples, traversal."""

import math

import numpy as np
import pytest
import torch

from veridical.core.batch import Batch, ImageNoise, rising
from veridical.models.vae.vae import VAE, CosineTransform, divergences, gaussian_kl, traverse

TOY = {"width": 8, "latent": 4}


def blobs(n=8, channels=1, size=32):
    """Images with one factor, a phase, and a little noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    tiles = np.stack([np.sin(x / 5 + p) * np.cos(y / 7 + p) for p in rng.uniform(0, 6, n * channels)])
    tiles = tiles + 0.05 * rng.standard_normal(tiles.shape)
    return torch.from_numpy(tiles.reshape(n, channels, size, size).astype(np.float32))


def small():
    return blobs(size=16)


def fit(model, draw, steps, lr=2e-3):
    """Train on what `draw` returns; return the mean divergence over the last steps, in nats."""
    torch.manual_seed(0)
    model.prepare(draw())
    optimiser = torch.optim.Adam(model.parameters(), lr)
    nats = []
    for step in range(steps):
        x = draw()
        ((_, loss),) = model.losses(
            Batch.at(x, {}, seed=0, step=step, start=0, total=len(x), reached=step / steps), step
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        nats.append(divergences(model, x).sum().item())
    return np.mean(nats[-10:])


def test_divergence_is_that_of_two_normal_distributions():
    mean, log_variance = torch.randn(3, 5), torch.randn(3, 5)
    posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(1)
    assert torch.allclose(gaussian_kl(mean, log_variance), expected, atol=1e-5)


def test_rising():
    assert [rising(s, 0.4) for s in (0, 0.1, 0.4, 0.9)] == [0, 0.25, 1, 1]
    assert rising(0, 0) == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_cosine_transform_keeps_lengths_and_turns_back(channels):
    transform, x = CosineTransform(channels, 16), torch.randn(2, channels, 16, 16)
    assert torch.allclose(transform(x).norm(), x.norm())
    assert torch.allclose(transform.inverse(transform(x)), x, atol=1e-5)


def test_grey_noise_of_rgb_stays_grey():
    """Where the data have no colour, neither has the noise of the samples."""
    torch.manual_seed(0)
    model = VAE(3, 32, **TOY).eval()
    with torch.no_grad():
        model.decoder.head.weight.zero_()  # far from where samples are cut off
    model.prepare(0.2 * torch.randn(64, 1, 32, 32).expand(-1, 3, -1, -1))
    with torch.no_grad():
        noise = model.sample(2, {}, ImageNoise(0, range(2))) - model.decode(ImageNoise(0, range(2))((4,)))
    assert noise.std() > 0.1 and (noise - noise.mean(1, keepdim=True)).abs().max() < 1e-5


def test_noise_of_samples_has_the_spectrum_of_what_the_mean_leaves():
    """Without a latent that tells anything, samples are Gaussian images with the spectrum of the data."""
    torch.manual_seed(0)
    white = torch.randn(256, 1, 35, 35)
    x = 0.2 * torch.nn.functional.avg_pool2d(white, 4, 1) * 4  # 32 x 32, each pixel of variance 0.04
    model = VAE(1, 32, **TOY).eval()
    model.prepare(x)
    with torch.no_grad():
        noise = model.sample(128, {}, ImageNoise(0, range(128))) - model.decode(ImageNoise(0, range(128))((4,)))
    for dx in (0, 2, 6):
        real = (x[..., dx:] * x[..., : 32 - dx]).mean()
        ours = (noise[..., dx:] * noise[..., : 32 - dx]).mean()
        assert abs(ours - real) < 0.1 * 0.04


def test_noise_shrinks_as_the_mean_learns():
    model = VAE(1, 16, **TOY)
    model.prepare(small())
    before = model.spectrum.mean().item()
    fit(model, small, 150, lr=5e-3)
    assert model.spectrum.mean() < 0.5 * before


def test_without_grain_samples_are_the_mean():
    model = VAE(1, 32, **TOY, grain=False).eval()
    model.prepare(blobs())
    with torch.no_grad():
        assert torch.equal(
            model.sample(2, {}, ImageNoise(0, range(2))),
            model.decode(ImageNoise(0, range(2))((4,))).clamp(-1, 1),
        )


def test_loss_is_the_bound_of_the_measured_variance():
    torch.manual_seed(0)
    model, x = VAE(1, 32, **TOY), blobs()
    model.prepare(x)
    ((_, loss),) = model.losses(Batch.at(x, {}, seed=0, step=0, start=0, total=8), 0)
    mean, log_variance = model.posterior(x)
    z = mean + (log_variance / 2).exp() * Batch.at(x, {}, seed=0, step=0, start=0, total=8).normal(4)
    likelihood = torch.distributions.Normal(model.decode(z), model.spectrum.mean().sqrt())
    bound = likelihood.log_prob(x).mean() - gaussian_kl(mean, log_variance).mean() / 1024
    assert loss.item() + math.log(2 * math.pi) / 2 == pytest.approx(-bound.item(), abs=1e-4)


def test_beta_rises():
    x, loss = blobs(), {}
    for reached in (0, 0.25, 0.5, 0.9):
        torch.manual_seed(0)
        model = VAE(1, 32, **TOY, beta=10.0, beta_rise=0.5)
        ((_, value),) = model.losses(Batch.at(x, {}, seed=0, step=0, start=0, total=8, reached=reached), 0)
        loss[reached] = value.item()
    assert loss[0] < loss[0.25] < loss[0.5] == loss[0.9]
    assert loss[0.25] - loss[0] == pytest.approx((loss[0.5] - loss[0]) / 2, rel=1e-3)


@pytest.mark.parametrize("capacity", [2.0, 6.0])
def test_divergence_reaches_the_capacity(capacity):
    model = VAE(1, 16, **TOY, beta=100.0, capacity=capacity, capacity_rise=0.4)
    assert fit(model, small, 120, lr=3e-3) == pytest.approx(capacity, abs=1.2)


def test_a_larger_beta_tells_less():
    assert fit(VAE(1, 16, **TOY, beta=10.0), small, 80) < 0.7 * fit(VAE(1, 16, **TOY), small, 80)


def test_divergences_add_up():
    model, x = VAE(1, 32, **TOY), blobs()
    with torch.no_grad():
        assert divergences(model, x).sum().item() == pytest.approx(
            gaussian_kl(*model.posterior(x)).mean().item(), rel=1e-4
        )


def test_traversal_moves_one_latent_and_holds_the_rest():
    torch.manual_seed(0)
    model = VAE(3, 32, **TOY).eval()
    z = torch.randn(4)
    images = traverse(model, z, [2, 0], [-1.0, z[2].item(), 1.0])
    assert images.shape == (2, 3, 3, 32, 32) and images.abs().max() <= 1
    with torch.no_grad():
        own = model.decode(z[None])[0].clamp(-1, 1)
    assert torch.allclose(images[0, 1], own, atol=1e-5)
    assert not torch.allclose(images[0, 0], images[0, 2]) and not torch.allclose(images[1, 1], own)


def test_traversal_starts_from_an_image():
    model, x = VAE(1, 32, **TOY).eval(), blobs()
    with torch.no_grad():
        z = model.encode(x[:1])[0]
    assert torch.equal(traverse(model, x[0], [1], [0.0, 1.0]), traverse(model, z, [1], [0.0, 1.0]))
