"""Likelihoods that are known in closed form."""

import math

import pytest
import torch

import mixture
from toy import TOY
from veridical.core.batch import ImageNoise
from veridical.core.errors import InputError
from veridical.diffusion.likelihood import log_likelihood
from veridical.models.diffusion.likelihood import bits_per_dim
from veridical.recipes.table import build


def test_the_likelihood_of_a_mixture_is_the_analytic_one(monkeypatch):
    monkeypatch.setattr(mixture, "STD", 0.1)  # so that the logarithm is far from 0
    x = mixture.exact(16, 6)
    known = mixture.log_density(x)
    found = log_likelihood(mixture.denoise, x, 1e-3, 50.0, ImageNoise(0, range(16)), probes=4)
    assert abs(known.mean()) > 10
    assert found.mean().item() == pytest.approx(known.mean().item(), rel=0.01)
    # Unlikely places too, each map by itself.
    far = x + 0.2
    found = log_likelihood(mixture.denoise, far, 1e-3, 50.0, ImageNoise(0, range(16)), probes=4)
    assert torch.corrcoef(torch.stack([found, mixture.log_density(far)]))[0, 1] > 0.95
    assert found.mean().item() == pytest.approx(mixture.log_density(far).mean().item(), rel=0.03)


def test_bits_of_the_untrained_denoiser_are_those_of_independent_cosine_coefficients():
    """Its network gives zero, so that it is the Wiener filter: the model is a Gaussian."""
    generator = torch.Generator().manual_seed(0)
    smooth = torch.nn.functional.avg_pool2d(torch.randn(4, 1, 20, 20, generator=generator), 5, 1, 2)[..., 2:-2, 2:-2]
    model = build("edm", 1, 16, {"patch": 8, "widths": (16,), "attention": (False,), "sigma_min": 1e-3}).eval()
    model.prepare(smooth)
    found = bits_per_dim(model, smooth, ImageNoise(0, range(4)), levels=256, tolerance=1e-3)
    z = model.spectrum.transform(model.encode(smooth))
    normal = torch.distributions.Normal(0, model.spectrum.deviation)
    nats = normal.log_prob(z).flatten(1).sum(1) / 256 + model.spectrum.scale.log()
    known = -(nats + math.log(2 / 255)) / math.log(2)
    assert found.mean().item() == pytest.approx(known.mean().item(), rel=0.01)
    # A network of half the grey levels needs a bit less.
    coarse = bits_per_dim(model, smooth, ImageNoise(0, range(4)), levels=129, tolerance=1e-3)
    assert (found - coarse).mean().item() == pytest.approx(math.log2(255 / 128), abs=0.02)


def test_the_likelihood_does_not_depend_on_the_steps_of_sampling():
    smooth = torch.nn.functional.avg_pool2d(torch.randn(2, 1, 20, 20, generator=torch.Generator().manual_seed(0)), 5, 1)
    found = []
    for steps in (4, 100):
        model = build(
            "flow_matching", 1, 16, {**TOY["flow_matching"], "skip": "wiener", "sampling_steps": steps}
        ).eval()
        model.prepare(smooth)
        found.append(bits_per_dim(model, smooth, ImageNoise(0, range(2)), tolerance=1e-3))
    assert torch.equal(*found)


def test_latents_have_no_likelihood_of_images():
    model = build("latent_diffusion", 1, 32, TOY["latent_diffusion"])
    with pytest.raises(InputError, match="no likelihood of images"):
        bits_per_dim(model, torch.zeros(1, 1, 32, 32), ImageNoise(0, [0]))
