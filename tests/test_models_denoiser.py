"""The denoiser: EDM's scalings where the spectrum is flat, the data's spectrum before any training."""

import torch

from veridical.batch import Batch, ImageNoise
from veridical.models.denoiser import Denoiser


def small(**args):
    torch.manual_seed(0)
    return Denoiser(1, 32, widths=(32, 32), attention=(False, False), **args).eval()


def test_scalings_of_a_flat_spectrum_are_those_of_edm():
    """Karras et al. 2022, table 1: skip, out and the loss weight for sigma_data = 0.5."""
    model, sigma, data = small(), torch.tensor([0.05, 0.5, 7.0]), 0.5
    torch.nn.init.normal_(model.net.net.conv_out.weight, 0, 0.1)
    x, level = torch.randn(3, 1, 32, 32) * 0.5, sigma.reshape(-1, 1, 1, 1)
    total = (level**2 + data**2).sqrt()
    skip, out = data**2 / total**2, level * data / total
    seen = torch.nn.functional.pixel_unshuffle(torch.cat([x / total, skip * x / data], 1), 4)
    with torch.no_grad():
        expected = skip * x + out * torch.nn.functional.pixel_shuffle(model.net(seen, 100 * sigma.log()), 4)
        torch.testing.assert_close(model.denoise(x, sigma), expected, rtol=1e-4, atol=1e-5)
        error = model._denoise(x, sigma)[1]
    torch.testing.assert_close(error.square().reciprocal(), total**2 / (level * data) ** 2)


def test_the_untrained_model_draws_textures_with_the_spectrum_of_the_data():
    generator = torch.Generator().manual_seed(0)
    field = torch.randn(256, 1, 32, 32, generator=generator)
    kernel = torch.ones(1, 1, 5, 5) / 25
    smooth = 0.3 + 0.4 * torch.nn.functional.conv2d(
        torch.nn.functional.pad(field, (2, 2, 2, 2), mode="reflect"), kernel
    )
    model = small()
    model.prepare(smooth)
    with torch.no_grad():
        drawn = model.sample(256, {}, ImageNoise(0, range(256)))
    assert abs(drawn.mean() - smooth.mean()) < 0.01
    for lag in (1, 3, 5, 8):
        here, real = (
            ((x - x.mean())[..., lag:] * (x - x.mean())[..., :-lag]).mean() / x.var() for x in (drawn, smooth)
        )
        assert abs(here - real) < 0.05, lag


def test_the_untrained_loss_is_one():
    """Losses are in units of what the Wiener filter leaves."""
    model = small()
    tiles = torch.randn(64, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 0.2
    model.prepare(tiles)
    with torch.no_grad():
        losses = [
            loss.item()
            for step in range(8)
            for _, loss in model.losses(Batch.at(tiles, {}, seed=0, step=step, start=0, total=64), step)
        ]
    assert abs(sum(losses) / len(losses) - 1) < 0.05
