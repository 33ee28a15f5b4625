"""The classifier of noisy images, and what it does to samples."""

import math
import re
from dataclasses import replace

import pytest
import torch

from veridical.core.batch import Batch, ImageNoise
from veridical.core.errors import InputError
from veridical.recipes.table import build

SMALL = {"widths": (16,), "attention": (False,), "classifier_widths": (16,), "sampling_steps": 12}


def guided(classes, **args):
    return build("guided", 1, 16, {"classes": classes, **SMALL, **args})


def grey(n, size=16):
    """Uniform images, from dark to bright and round again, with a little noise; and their brightness."""
    level = torch.linspace(-0.8, 0.8, 8).repeat(n // 8 + 1)[:n]
    noise = 0.05 * torch.randn(n, 1, size, size, generator=torch.Generator().manual_seed(0))
    return level.reshape(-1, 1, 1, 1) + noise, level


def trained(classes, steps=100):
    torch.manual_seed(0)
    model = guided(classes)
    images, level = grey(32)
    model.prepare(images)
    label = (level > 0).long() if classes else level / level.std()
    optimiser = torch.optim.Adam(model.classifier.parameters(), 3e-3)
    for step in range(steps):
        batch = Batch.at(images, {"label": label}, seed=0, step=step, start=0, total=32)
        loss = dict(model.losses(batch, step))["classifier"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval(), label


@pytest.mark.parametrize("classes", [2, 0])
def test_guidance_leads_to_the_label(classes):
    """The denoiser has learned nothing but the spectrum: what comes out bright or dark is the classifier's work."""
    model, label = trained(classes)
    follows = {}
    for scale in (0.0, 1.0):
        how = replace(model.sampling, guidance_scale=scale)
        with torch.no_grad():
            made = model.sample(32, {"label": label}, ImageNoise(1, range(32)), how).mean((1, 2, 3))
        follows[scale] = torch.corrcoef(torch.stack([made, label.float()]))[0, 1]
    assert abs(follows[0.0]) < 0.4 and follows[1.0] > (0.5 if classes else 0.9)


def test_the_density_of_a_real_label_is_gaussian():
    model = guided(0)
    torch.nn.init.normal_(model.classifier.out.weight, std=0.3)
    x, sigma, label = model.encode(grey(4)[0]), torch.ones(4), torch.tensor([-1.0, 0.0, 0.5, 2.0])
    with torch.no_grad():
        mean, log_std = model.predict(x, sigma).unbind(1)
        known = torch.distributions.Normal(mean, log_std.exp()).log_prob(label)
        torch.testing.assert_close(model.log_probability(x, sigma, {"label": label}), known)
    assert math.isfinite(known.sum())


def test_classes_have_probabilities_that_sum_to_one():
    model = guided(3)
    x, sigma = model.encode(grey(4)[0]), torch.ones(4)
    logs = [model.log_probability(x, sigma, {"label": torch.full((4,), k)}) for k in range(3)]
    torch.testing.assert_close(torch.stack(logs).exp().sum(0), torch.ones(4))


@pytest.mark.parametrize("conditional", [True, False])
def test_the_denoiser_is_told_the_label_where_it_is_conditional(conditional):
    torch.manual_seed(0)
    model = guided(3, conditional=conditional).eval()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.1)
    x, sigma = model.encode(grey(2)[0]), torch.ones(2)
    with torch.no_grad():
        one, other = (model.denoise(x, sigma, {"label": torch.full((2,), k)}) for k in (0, 1))
    assert torch.equal(one, other) != conditional


def test_every_level_of_the_classifier_is_heard():
    torch.manual_seed(0)
    model = guided(0, classifier_widths=(16, 32))
    x, sigma = model.encode(grey(4)[0]), torch.ones(4)
    # Means of the first level, its deviations, and those of the second.
    for inputs in (slice(0, 16), slice(16, 32), slice(32, 64), slice(64, 96)):
        model.classifier.out.weight.data.zero_()[0, inputs] = 1
        assert (model.predict(x, sigma)[:, 0] - model.classifier.out.bias[0]).abs().min() > 0.1


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ({"classifier_widths": (18,)}, "classifier_widths=(18,) cannot be"),
        ({"classifier_widths": ()}, "classifier_widths=() cannot be"),
        ({"widths": (24,)}, "widths=(24,) cannot be"),
        ({"attention": (True,)}, "widths=(16,) cannot be"),
    ],
)
def test_widths_that_cannot_be_are_refused(widths, message):
    with pytest.raises(InputError, match=re.escape(message)):
        guided(3, **widths)


def test_autoguidance_is_within_the_guidance_of_the_classifier():
    torch.manual_seed(0)
    model = guided(3, early_steps=1, autoguidance=2.0).eval()
    for p in model.parameters():
        p.requires_grad_(False).add_(0.05 * torch.randn(p.shape))
    label = {"label": torch.tensor([0, 2])}
    assert model.denoiser.sampling.autoguidance == 2.0
    drawn = {}
    for scales in ((0.0, 1.0), (0.0, 2.0), (3.0, 1.0), (3.0, 2.0)):
        how = replace(model.sampling, guidance_scale=scales[0], autoguidance=scales[1])
        drawn[scales] = model.sample(2, label, ImageNoise(0, range(2)), how)
    torch.testing.assert_close(drawn[0.0, 2.0], model.denoiser.sample(2, label, ImageNoise(0, range(2))))
    for one, other in (((0.0, 1.0), (0.0, 2.0)), ((0.0, 2.0), (3.0, 2.0)), ((3.0, 1.0), (3.0, 2.0))):
        assert (drawn[one] - drawn[other]).abs().max() > 1e-3
