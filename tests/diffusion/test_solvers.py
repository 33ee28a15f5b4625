"""Solvers on distributions whose denoiser is known, and against diffusers' schedulers."""

import diffusers
import pytest
import torch
from scipy.stats import ks_2samp

import mixture
from veridical.diffusion.solvers import (
    SOLVERS,
    ancestral,
    consistency,
    ddim,
    dpm_solver_pp_2m,
    euler,
    geometric_grid,
    heun,
    invert,
    karras_grid,
    langevin_step_size,
    sde_dpm_solver_pp_2m,
    unipc,
)

MEAN, STD = 0.7, 0.3
ORDERS = {"euler": 1, "ddim": 1, "heun": 2, "midpoint": 2, "dpm_solver_pp_2m": 2, "unipc": 2}


def denoise(x, sigma, cond):
    """E[x0 | x] for x0 ~ N(MEAN, STD^2)."""
    sigma = sigma.reshape(-1, *[1] * (x.dim() - 1))
    return (STD**2 * x + sigma**2 * MEAN) / (STD**2 + sigma**2)


def exact(x, sigma_max):
    """The flow of the probability-flow ODE from sigma_max to 0 (linear for a Gaussian)."""
    return MEAN + (x - MEAN) * STD / (STD**2 + sigma_max**2) ** 0.5


def normal(seed, *shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def noise_of(seed, n):
    """Noise as diffusers draws it: for the whole batch from one generator."""
    generator = torch.Generator().manual_seed(seed)
    return lambda shape: torch.randn(n, *shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("name", ORDERS)
def test_solvers_converge_to_the_exact_flow_at_their_order(name):
    x = normal(0, 64, 1) * 80

    def error(steps):
        # A grid that ends above zero: the last step to zero is of first order for every solver.
        grid = karras_grid(steps, 0.02, 80.0)
        end = SOLVERS[name](denoise, x, grid, None)
        return (end - exact(x, 80.0)).abs().max().item()

    assert error(40) < 0.1
    assert error(20) / error(40) > 0.8 * 2 ** ORDERS[name]


def test_the_adaptive_solver_follows_the_exact_flow():
    x = normal(0, 4, 1) * 80
    end = SOLVERS["dopri5"](denoise, x, karras_grid(2, 1e-3, 80.0), tolerance=1e-7)
    torch.testing.assert_close(end, exact(x, 80.0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["dopri5", "predictor_corrector"])
def test_an_image_does_not_depend_on_its_neighbours(name):
    x = normal(0, 3, 2, 4, 4) * torch.tensor([1.0, 5.0, 80.0]).reshape(3, 1, 1, 1)
    fresh = normal(1, 100, 3, 2, 4, 4)
    grid = karras_grid(6, 0.02, 80.0)

    def solve(rows):
        draws = iter(fresh)
        return SOLVERS[name](
            mixture.denoise, x[rows], grid, {"label": torch.zeros(3)[rows]}, lambda _: next(draws)[rows]
        )

    torch.testing.assert_close(solve(slice(0, 3))[1:2], solve(slice(1, 2)), atol=1e-12, rtol=0)


def test_the_grids_are_those_of_the_papers():
    grid = karras_grid(18, 0.002, 80.0)
    i = torch.arange(18, dtype=torch.float64)
    expected = (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    torch.testing.assert_close(grid[:-1], expected)
    assert grid[-1] == 0 and (grid.diff() < 0).all()
    grid = geometric_grid(232, 0.01, 50.0)
    torch.testing.assert_close(grid[1:-1] / grid[:-2], torch.full((231,), 5000 ** (-1 / 231), dtype=torch.float64))
    assert grid[-1] == 0


def run_theirs(schedule, x, variance_preserving, model=mixture.denoise, seed=None, **step):
    """A trajectory of diffusers' scheduler of an epsilon-predicting network, from x = x0 + sigma * noise."""
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    for k, time in enumerate(schedule.timesteps):
        left = schedule.alphas_cumprod[time.long()].double()
        sigma = schedule.sigmas[k].double() if hasattr(schedule, "sigmas") else ((1 - left) / left).sqrt()
        scale = 1 / (1 + sigma**2).sqrt() if variance_preserving else torch.ones(())
        if k == 0:
            theirs = x * scale
        at = theirs / scale
        epsilon = (at - model(at, sigma.expand(len(x)), None)) / sigma
        known = {"generator": generator} if generator is not None else {}
        theirs = schedule.step(epsilon, time, theirs, **known, **step).prev_sample
    return theirs


def levels(schedule):
    """Noise levels of a scheduler without repetitions, down to 0."""
    return torch.cat([schedule.sigmas.unique(), torch.zeros(1)]).unique().flip(0).double()


def ddpm_levels(schedule):
    left = schedule.alphas_cumprod[schedule.timesteps].double()
    return torch.cat([((1 - left) / left).sqrt(), torch.zeros(1, dtype=torch.float64)])


KARRAS = {"use_karras_sigmas": True, "beta_schedule": "scaled_linear"}


@pytest.mark.parametrize(
    ("solver", "name", "settings"),
    [
        (euler, "EulerDiscreteScheduler", KARRAS),
        (heun, "HeunDiscreteScheduler", KARRAS),
        (dpm_solver_pp_2m, "DPMSolverMultistepScheduler", {**KARRAS, "final_sigmas_type": "zero"}),
        (dpm_solver_pp_2m, "DPMSolverMultistepScheduler", {"final_sigmas_type": "zero"}),
        (unipc, "UniPCMultistepScheduler", {**KARRAS, "final_sigmas_type": "zero"}),
        (unipc, "UniPCMultistepScheduler", {"final_sigmas_type": "zero"}),
    ],
)
def test_deterministic_trajectories_are_those_of_diffusers(solver, name, settings):
    """Same denoiser, grid and noise: equal to 1e-4."""
    schedule = getattr(diffusers, name)(prediction_type="epsilon", **settings)
    schedule.set_timesteps(12)
    grid = levels(schedule)
    x = normal(1, 4, 2, 8, 8) * grid[0]
    theirs = run_theirs(schedule, x, variance_preserving="Multistep" in name)
    torch.testing.assert_close(solver(mixture.denoise, x, grid), theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("settings", [KARRAS, {}])
def test_stochastic_multistep_trajectories_are_those_of_diffusers(settings):
    schedule = diffusers.DPMSolverMultistepScheduler(
        prediction_type="epsilon", final_sigmas_type="zero", algorithm_type="sde-dpmsolver++", **settings
    )
    schedule.set_timesteps(12)
    grid = levels(schedule)
    x = normal(1, 4, 2, 8, 8) * grid[0]
    theirs = run_theirs(schedule, x, True, seed=3)
    # Theirs draws in float32, whatever the images are.
    generator = torch.Generator().manual_seed(3)
    noise = lambda shape: torch.randn(4, *shape, generator=generator).double()  # noqa: E731
    ours = sde_dpm_solver_pp_2m(mixture.denoise, x, grid, None, noise)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_churn_is_that_of_diffusers():
    schedule = diffusers.EulerDiscreteScheduler(prediction_type="epsilon", **KARRAS)
    schedule.set_timesteps(12)
    grid = levels(schedule)
    x = normal(1, 4, 2, 8, 8) * grid[0]
    generator, theirs = torch.Generator().manual_seed(7), x
    for k, time in enumerate(schedule.timesteps):
        # The network has to be asked at the raised level, which diffusers leaves to the caller: ask for the clean image.
        now = schedule.sigmas[k].double()
        raised = now * (1 + min(5.0 / 12, 2**0.5 - 1))
        ahead = torch.Generator()
        ahead.set_state(generator.get_state())
        fresh = torch.randn(x.shape, dtype=torch.float64, generator=ahead)
        at = theirs + (raised**2 - now**2).sqrt() * fresh
        epsilon = (at - mixture.denoise(at, raised.expand(4))) / raised
        theirs = schedule.step(epsilon, time, theirs, s_churn=5.0, generator=generator).prev_sample
    ours = euler(mixture.denoise, x, grid, None, noise_of(7, 4), churn=5.0)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("steps", "schedule", "variance", "spread"),
    [
        (50, "linear", "fixed_small", 0.0),
        (50, "linear", "fixed_large", 1.0),
        (1000, "linear", "fixed_large", 1.0),
        (1000, "squaredcos_cap_v2", "fixed_small", 0.0),
    ],
)
def test_ancestral_trajectories_are_those_of_diffusers(steps, schedule, variance, spread):
    schedule = diffusers.DDPMScheduler(beta_schedule=schedule, variance_type=variance, clip_sample=False)
    # In float64: their float32 products of a thousand factors are off by more than the tolerance.
    schedule.betas = schedule.betas.double()
    schedule.alphas_cumprod = (1 - schedule.betas).cumprod(0)
    schedule.set_timesteps(steps)
    grid = ddpm_levels(schedule)
    x = normal(1, 4, 2, 8, 8) * grid[0]
    theirs = run_theirs(schedule, x, True, seed=3)
    ours = ancestral(mixture.denoise, x, grid, None, noise_of(3, 4), spread=spread)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_ancestral_trajectories_with_learned_variance_are_those_of_diffusers():
    schedule = diffusers.DDPMScheduler(variance_type="learned_range", clip_sample=False)
    schedule.set_timesteps(50)
    grid = ddpm_levels(schedule)
    x = normal(1, 4, 2, 8, 8) * grid[0]
    share = lambda x, sigma: (x / sigma.reshape(-1, 1, 1, 1)).sigmoid()  # noqa: E731
    theirs, generator = x / (1 + grid[0] ** 2).sqrt(), torch.Generator().manual_seed(3)
    for time, sigma in zip(schedule.timesteps, grid[:-1], strict=True):
        at = theirs * (1 + sigma**2).sqrt()
        level = sigma.expand(4)
        epsilon = (at - mixture.denoise(at, level)) / sigma
        output = torch.cat([epsilon, 2 * share(at, level) - 1], 1)
        theirs = schedule.step(output, time, theirs, generator=generator).prev_sample
    pair = lambda x, sigma, cond: (mixture.denoise(x, sigma), share(x, sigma))  # noqa: E731
    ours = ancestral(pair, x, grid, None, noise_of(3, 4), spread=None)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_trajectories_are_those_of_diffusers(eta):
    schedule = diffusers.DDIMScheduler(clip_sample=False, set_alpha_to_one=True)
    schedule.set_timesteps(20)
    grid = ddpm_levels(schedule)
    x = normal(1, 4, 2, 8, 8) * grid[0]
    theirs = run_theirs(schedule, x, True, seed=3, eta=eta)
    ours = ddim(mixture.denoise, x, grid, None, noise_of(3, 4), eta=eta)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_inversion_finds_the_noise_of_an_image():
    images = mixture.exact(4, 8)

    def error(steps):
        grid = karras_grid(steps, 0.01, 20.0)
        x = invert(mixture.denoise, images, grid)[0]
        assert abs(x.std().item() / 20.0 - 1) < 0.15
        return (euler(mixture.denoise, x, grid) - images).abs().mean().item()

    assert error(400) < 0.02
    assert error(100) / error(400) > 3


def test_the_step_of_langevin_dynamics_is_that_of_the_paper():
    # Song and Ermon 2020, appendix B.1: epsilon 6.2e-6 for 232 levels from 50 to 0.01, five steps each, on CIFAR-10.
    ratio = 5000 ** (1 / 231)
    assert langevin_step_size(ratio, 5) == pytest.approx(6.2e-6 / 0.01**2, rel=0.05)


# Enough steps for each to be exact; the grid of noise levels of each is the one it was made for.
STEPS = {
    "euler": 200,
    "heun": 50,
    "midpoint": 100,
    "dopri5": 2,
    "dpm_solver_pp_2m": 60,
    "unipc": 60,
    "ddim": 200,
    "ancestral": 400,
    "euler_maruyama": 400,
    "sde_dpm_solver_pp_2m": 60,
    "predictor_corrector": 200,
    "annealed_langevin": 300,
}


def sampled(name, steps, **settings):
    grid = (geometric_grid if name == "annealed_langevin" else karras_grid)(steps, 0.01, 20.0)
    n, size = (16, 8) if name == "dopri5" else (64, 8)
    x = normal(5, n, 2, size, size) * 20.0
    return SOLVERS[name](mixture.denoise, x, grid, None, noise_of(6, n), **settings)


def p_value(x):
    """Of the least similar of four projections, corrected for their number."""
    reference = mixture.moved(mixture.exact(128, 8))
    return 4 * min(ks_2samp(a, b).pvalue for a, b in zip(mixture.moved(x), reference, strict=True))


@pytest.mark.parametrize("name", SOLVERS)
def test_samples_of_a_mixture_pass_a_two_sample_test(name):
    # Five corrections at each level, the default, are too few for the modes to have their shares.
    settings = {"corrections": 10} if name == "annealed_langevin" else {}
    assert p_value(sampled(name, STEPS[name], **settings)) > 0.01


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ddim", {"eta": 1.0}),
        ("heun", {"churn": 20.0}),
        ("ancestral", {"spread": 1.0}),
        ("predictor_corrector", {"corrections": 2}),
    ],
)
def test_samples_with_other_settings_pass_it_too(name, settings):
    assert p_value(sampled(name, 400, **settings)) > 0.01


def test_the_two_sample_test_can_fail():
    assert p_value(sampled("euler", 6)) < 1e-3
    assert p_value(sampled("annealed_langevin", 60, step=0.01)) < 1e-3


def test_a_consistency_model_is_renoised_from_level_to_level():
    """Its function maps a Gaussian at any level to the end of the flow; two steps keep the distribution."""
    flow = lambda x, sigma, cond: exact(x, sigma.reshape(-1, 1))  # noqa: E731
    x = normal(0, 4000, 1) * 80
    grid = torch.tensor([80.0, 0.5, 0.0], dtype=torch.float64)
    end = consistency(flow, x, grid, None, noise_of(1, 4000))
    assert abs(end.mean().item() - MEAN) < 0.02 and abs(end.std().item() / STD - 1) < 0.05
    torch.testing.assert_close(consistency(flow, x, grid[[0, 2]]), exact(x, torch.tensor(80.0)))
