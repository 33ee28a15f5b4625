"""Every formulation asks its network what its paper asks, at the paper's noise levels."""

import math

import diffusers
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import kstest

from veridical.diffusion.formulations import FORMULATIONS, Span, ddpm_levels, min_snr_weight, vp_level
from veridical.diffusion.variance import variance_bounds, variational_bound

SPAN = Span(-1.2, 1.5, 0.01, 50.0)


def normal(seed, *shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def paper(name, sigma, x0, noise):
    """Input and target of the network as the paper has them, from alpha and the standard deviation of the noise."""
    if name in ("ncsn", "ve"):
        return x0 + sigma * noise, -noise  # sigma times the score
    if name == "flow":
        time = sigma / (1 + sigma)
        return (1 - time) * x0 + time * noise, noise - x0
    if name == "sub_vp":
        alpha = (-sigma + (sigma**2 + 4).sqrt()) / 2  # of sigma = (1 - alpha**2) / alpha
        return alpha * x0 + (1 - alpha**2) * noise, noise
    if name == "edm":
        scale = (sigma**2 + 0.5**2).sqrt()
        return (x0 + sigma * noise) / scale, (sigma / 0.5 * x0 - 0.5 * noise) / scale
    alpha = 1 / (1 + sigma**2).sqrt()
    std = (1 - alpha**2).sqrt()
    return alpha * x0 + std * noise, alpha * noise - std * x0 if name.startswith("v_") else noise


@pytest.mark.parametrize("name", FORMULATIONS)
def test_input_and_target_are_those_of_the_paper(name):
    row = FORMULATIONS[name]
    sigma = row.law(normal(0, 200), SPAN).reshape(-1, 1, 1, 1)
    x0, noise = normal(1, 200, 2, 3, 3), normal(2, 200, 2, 3, 3)
    given, target = paper(name, sigma, x0, noise)
    scalings = row.scalings(sigma)
    torch.testing.assert_close(scalings.in_ * (x0 + sigma * noise), given)
    # A network that gives the target makes a denoiser that gives x0.
    torch.testing.assert_close(scalings.skip * (x0 + sigma * noise) + scalings.out * target, x0)
    assert scalings.time.shape == (200,) and scalings.time.diff().abs().max() > 10


@pytest.mark.parametrize("name", FORMULATIONS)
def test_grids_fall_to_zero_and_span_what_is_trained(name):
    row = FORMULATIONS[name]
    grid = row.grid(40, SPAN)
    assert grid.shape == (41,) and grid[-1] == 0 and (grid.diff() < 0).all() and grid.isfinite().all()
    trained = row.law(normal(0, 20000), SPAN)
    assert 0.2 < grid[0] / trained.max() < 20
    scalings = row.scalings(grid[:-1].float().reshape(-1, 1, 1, 1))
    assert all(v.isfinite().all() for v in scalings)


STABLE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [
        ("linear", {"beta_schedule": "linear"}),
        ("cosine", {"beta_schedule": "squaredcos_cap_v2"}),
        ("scaled_linear", STABLE),
    ],
)
def test_the_thousand_steps_are_reproduced_exactly(schedule, theirs):
    left = diffusers.DDPMScheduler(**theirs).alphas_cumprod.double()
    levels = ddpm_levels(schedule)
    torch.testing.assert_close(1 / (1 + levels**2), left, rtol=1e-4, atol=1e-12)
    for dtype in (torch.float64, torch.float32):
        for name in (f"ddpm_{schedule}", f"v_{schedule}"):
            time = FORMULATIONS[name].scalings(levels.to(dtype).reshape(-1, 1, 1, 1)).time
            assert torch.equal(time, torch.arange(1000).to(dtype))
    row = FORMULATIONS[f"ddpm_{schedule}"]
    assert torch.equal(row.grid(1000, SPAN)[:-1], levels.flip(0))
    assert torch.isin(row.grid(37, SPAN)[:-1], levels).all()
    between = (levels[500] * levels[501]).sqrt().reshape(1, 1, 1, 1)
    assert row.scalings(between).time.item() == pytest.approx(500.5)


@pytest.mark.parametrize("steps", [10, 25, 40])
def test_stable_diffusion_is_sampled_at_the_steps_of_the_library(steps):
    scheduler = diffusers.DDIMScheduler(**STABLE, timestep_spacing="trailing", steps_offset=1)
    scheduler.set_timesteps(steps)
    row = FORMULATIONS["v_scaled_linear"]
    grid = row.grid(steps, SPAN)
    assert torch.equal(row.scalings(grid[:-1].reshape(-1, 1, 1, 1)).time, scheduler.timesteps.double())


def test_noise_levels_follow_their_laws():
    drawn = normal(0, 5000)

    def times(name, top):
        row = FORMULATIONS[name]
        return row.scalings(row.law(drawn, SPAN).reshape(-1, 1, 1, 1)).time.numpy() / top

    for name, top in (("ddpm_cosine", 1000), ("vp", 999), ("sub_vp", 999), ("flow", 1000)):
        assert kstest(times(name, top), "uniform").pvalue > 0.01, name
    log = FORMULATIONS["ve"].law(drawn, SPAN).log().numpy()
    assert kstest(log, "uniform", (math.log(0.01), math.log(5000))).pvalue > 0.01
    assert kstest(FORMULATIONS["edm"].law(drawn, SPAN).log().numpy(), "norm", (-1.2, 1.5)).pvalue > 0.01
    assert len(FORMULATIONS["ncsn"].law(drawn, SPAN).unique()) == 232


@pytest.mark.parametrize("time", [1e-3, 0.2, 1.0])
def test_levels_of_vp_and_sub_vp_are_their_integrals(time):
    """Divided by alpha, both are pure diffusion: d sigma^2 = g^2 / alpha^2 dt with Song et al.'s g of each."""
    beta = lambda t: 0.1 + 19.9 * t  # noqa: E731
    integral = lambda t: 0.1 * t + 19.9 / 2 * t**2  # noqa: E731
    vp, _ = quad(lambda t: beta(t) * math.exp(integral(t)), 0, time)
    sub, _ = quad(lambda t: beta(t) * (1 - math.exp(-2 * integral(t))) * math.exp(integral(t)), 0, time)
    at = torch.tensor(time, dtype=torch.float64)
    assert vp_level(at, sub=False).item() ** 2 == pytest.approx(vp, rel=1e-6)
    assert vp_level(at, sub=True).item() ** 2 == pytest.approx(sub, rel=1e-6)


def test_min_snr_weighs_as_edm_where_noise_is_strong_and_less_where_it_is_weak():
    sigma = torch.tensor([0.01, 0.1, 20.0], dtype=torch.float64).reshape(-1, 1, 1, 1)
    weight = min_snr_weight(sigma, 5.0).flatten()
    torch.testing.assert_close(weight, torch.tensor([20.0, 20.0, 1 / 400], dtype=torch.float64))


def test_the_bound_is_the_divergence_of_ddpms_posteriors():
    """In DDPM's own units: q(x_{t-1} | x_t, x0) against p(x_{t-1} | x_t) (Ho et al. 2020, eqs. 6 and 7)."""
    left = 1 / (1 + ddpm_levels("linear") ** 2)
    x0, clean, noise, share = (normal(k, 5, 2, 3, 3) for k in range(4))
    share = share.sigmoid()
    step = torch.tensor([1, 2, 50, 400, 999])
    now, then = (left[k].reshape(-1, 1, 1, 1) for k in (step, step - 1))
    beta = 1 - now / then
    tilde = (1 - then) / (1 - now) * beta
    x = now.sqrt() * x0 + (1 - now).sqrt() * noise
    mean = lambda c: then.sqrt() * beta / (1 - now) * c + (now / then).sqrt() * (1 - then) / (1 - now) * x  # noqa: E731
    variance = (share * beta.log() + (1 - share) * tilde.log()).exp()
    q, p = torch.distributions.Normal(mean(x0), tilde.sqrt()), torch.distributions.Normal(mean(clean), variance.sqrt())
    known = torch.distributions.kl_divergence(q, p) / math.log(2)
    torch.testing.assert_close(variational_bound(clean, share, x0, step, "linear"), known, rtol=1e-6, atol=1e-9)


def test_the_step_to_the_clean_image_is_a_density():
    x0, clean = normal(0, 1, 2, 3, 3) * 0.01, torch.zeros(1, 2, 3, 3, dtype=torch.float64)
    _, small, large = variance_bounds("cosine")
    assert small.isfinite().all() and (small <= large).all()
    bits = variational_bound(clean, torch.ones_like(clean), x0, torch.zeros(1, dtype=torch.int64), "cosine")
    known = -torch.distributions.Normal(0, (large[0] / 2).exp()).log_prob(x0) / math.log(2)
    torch.testing.assert_close(bits, known)
