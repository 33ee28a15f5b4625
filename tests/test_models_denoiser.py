"""The one denoiser in its formulations."""

import pytest
import torch

from toy import UNET
from veridical.batch import Batch, ImageNoise
from veridical.errors import InputError
from veridical.models.denoiser import Denoiser
from veridical.models.formulations import FORMULATIONS
from veridical.samplers import SOLVERS


def batch(n=6, size=16, seed=0, **cond):
    image = torch.rand(n, 1, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return Batch.at(image, cond, seed=seed, step=0, start=0, total=n)


def build(**args):
    torch.manual_seed(0)
    model = Denoiser(1, 16, **{**UNET, "sampling_steps": 4, **args})
    model.prepare(batch().image)
    return model


@pytest.mark.parametrize(
    ("formulation", "solver"),
    [(f, "heun") for f in FORMULATIONS] + [(f, s) for f in ("sub_vp", "flow") for s in SOLVERS],
)
def test_any_solver_runs_on_any_formulation(formulation, solver):
    args = {"widths": (16,), "attention": (False,), "sampling_steps": 3, "langevin_steps": 1, "clamp": True}
    model = build(formulation=formulation, solver=solver, **args).eval()
    with torch.no_grad():
        images = model.sample(2, {}, ImageNoise(0, range(2)))
    assert images.shape == (2, 1, 16, 16) and images.isfinite().all() and images.abs().max() < 20


def test_an_untrained_loss_is_the_variance_of_the_target():
    """The network gives 0: the mean square of what it should give, noise or velocity."""
    known = {"ddpm_linear": 1.0, "ncsn": 1.0, "vp": 1.0, "edm": 1.0, "flow": 1.25}
    for formulation, expected in known.items():
        (_, loss), *rest = build(formulation=formulation).losses(batch(), 0)
        assert not rest and loss.item() == pytest.approx(expected, rel=0.15), formulation


def test_a_learned_variance_adds_the_bound_and_leaves_the_expectation_alone():
    plain, learned = build(formulation="ddpm_cosine"), build(formulation="ddpm_cosine", variance="learned")
    ((_, simple),), ((_, hybrid),) = plain.losses(batch(), 0), learned.losses(batch(), 0)
    assert hybrid > simple
    # The bound's gradient reaches only the outputs for the variance, and those it does reach.
    mean = learned.net.net.conv_out.bias.grad
    assert mean is None
    (hybrid - simple.detach()).backward()
    plain_gradient = torch.autograd.grad(simple, plain.net.net.conv_out.bias)[0]
    gradient = learned.net.net.conv_out.bias.grad
    torch.testing.assert_close(gradient[:16], plain_gradient, atol=1e-5, rtol=1e-3)
    assert gradient[16:].abs().max() > 0


def test_min_snr_weighs_weak_noise_less():
    ((_, own),), ((_, clamped),) = build().losses(batch(), 0), build(min_snr=5.0).losses(batch(), 0)
    assert 0 < clamped < own


def test_a_label_counts_and_can_be_left_out():
    model = build(classes=3, label_dropout=0.5, widths=(16, 32))
    with torch.no_grad():
        model.label.embedding.net.weight.copy_(torch.randn(3, 64))
        torch.nn.init.normal_(model.net.net.conv_out.weight, std=0.1)
    x, sigma, label = model.encode(batch().image), torch.ones(6), torch.arange(6) % 3
    model.eval()
    with torch.no_grad():
        told, other = model.denoise(x, sigma, {"label": label}), model.denoise(x, sigma, {"label": (label + 1) % 3})
        none = model.denoise(x, sigma)
        torch.testing.assert_close(none, model.denoise(x, sigma, {}))
        assert (told - other).abs().max() > 1e-3 and (told - none).abs().max() > 1e-3
        # All labels dropped, or none: as if there were none, or all.
        model.label_dropout = 1.0
        all_dropped = next(model.losses(batch(label=label), 0))[1]
        nothing_known = next(model.losses(batch(), 0))[1]
        torch.testing.assert_close(all_dropped, nothing_known)
        # Guidance changes the samples, away from those without a label.
        ends = {}
        for scale in (0.0, 1.0, 2.0):
            model.guidance_scale = scale
            ends[scale] = model.sample(3, {"label": label[:3]}, ImageNoise(0, range(3)))
    assert (ends[2.0] - ends[0.0]).abs().mean() > 1.2 * (ends[1.0] - ends[0.0]).abs().mean()


def test_a_real_number_is_a_label_too():
    model = build(classes=0)
    loss = next(model.losses(batch(label=torch.linspace(-1, 1, 6)), 0))[1]
    loss.backward()
    assert all(p.grad is not None for p in model.label.parameters())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"formulation": "edn"}, "no formulation 'edn'"),
        ({"solver": "hein"}, "no solver 'hein'"),
        ({"network": "vit"}, "no network 'vit'"),
        ({"variance": "tiny"}, "no variance 'tiny'"),
        ({"variance": "learned"}, "formulation=edm has no variance to learn"),
        ({"guidance_interval": (1.0,)}, "two noise levels"),
    ],
)
def test_what_cannot_be_is_one_sentence(args, message):
    with pytest.raises(InputError, match=message):
        build(**args)


def test_a_learned_variance_is_not_guided():
    model = build(formulation="ddpm_cosine", variance="learned", solver="ancestral", classes=2, guidance_scale=2.0)
    with pytest.raises(InputError, match="cannot be guided"):
        model.sample(1, {"label": torch.zeros(1)}, ImageNoise(0, [0]))
