"""The classifier of noisy images, and what it does to samples."""

import math

import pytest
import torch

from veridical.batch import Batch, ImageNoise
from veridical.models.guided import Guided

SMALL = {"widths": (16,), "attention": (False,), "classifier_widths": (16,), "sampling_steps": 6}


def grey(n, size=16):
    """Uniform images, dark and bright in turn, with a little noise."""
    level = torch.where(torch.arange(n) % 2 == 0, -0.5, 0.5).reshape(-1, 1, 1, 1)
    return level + 0.05 * torch.randn(n, 1, size, size, generator=torch.Generator().manual_seed(0))


def trained(classes, label, steps=120):
    torch.manual_seed(0)
    model = Guided(1, 16, classes, **SMALL)
    images = grey(32)
    model.prepare(images)
    optimiser = torch.optim.Adam(model.classifier.parameters(), 3e-3)
    for step in range(steps):
        batch = Batch.at(images, {"label": label}, seed=0, step=step, start=0, total=32)
        loss = dict(model.losses(batch, step))["classifier"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


@pytest.mark.parametrize("classes", [2, 0])
def test_guidance_leads_to_the_label(classes):
    """The denoiser has learned nothing but mean and deviations: what comes out bright or dark is the classifier's work."""
    label = torch.arange(32) % 2 if classes else (torch.arange(32) % 2).float() * 2 - 1
    model = trained(classes, label)
    asked = {"label": label[:16]}
    with torch.no_grad():
        model.scale = 0.0
        before = model.sample(16, asked, ImageNoise(1, range(16))).mean((1, 2, 3))
        model.scale = 2.0
        after = model.sample(16, asked, ImageNoise(1, range(16))).mean((1, 2, 3))
    moved = after - before
    assert (moved[1::2] > 0).float().mean() > 0.9 and (moved[::2] < 0).float().mean() > 0.9
    assert after[1::2].mean() - after[::2].mean() > 0.15


def test_the_density_of_a_real_label_is_gaussian():
    model = Guided(1, 16, 0, **SMALL)
    torch.nn.init.normal_(model.classifier.out.weight, std=0.3)
    x, sigma, label = model.encode(grey(4)), torch.ones(4), torch.tensor([-1.0, 0.0, 0.5, 2.0])
    with torch.no_grad():
        mean, log_std = model.predict(x, sigma).unbind(1)
        known = torch.distributions.Normal(mean, log_std.exp()).log_prob(label)
        torch.testing.assert_close(model.log_probability(x, sigma, {"label": label}), known)
    assert math.isfinite(known.sum())


def test_classes_have_probabilities_that_sum_to_one():
    model = Guided(1, 16, 3, **SMALL)
    x, sigma = model.encode(grey(4)), torch.ones(4)
    logs = [model.log_probability(x, sigma, {"label": torch.full((4,), k)}) for k in range(3)]
    torch.testing.assert_close(torch.stack(logs).exp().sum(0), torch.ones(4))
