"""Solvers on a Gaussian, whose denoiser is known in closed form."""

import pytest
import torch

from veridical.samplers import SOLVERS, euler, heun, karras_grid

MEAN, STD = 0.7, 0.3


def denoise(x, sigma, cond):
    """E[x0 | x] for x0 ~ N(MEAN, STD^2)."""
    sigma = sigma.reshape(-1, *[1] * (x.dim() - 1))
    return (STD**2 * x + sigma**2 * MEAN) / (STD**2 + sigma**2)


def exact(x, sigma_max):
    """The flow of the probability-flow ODE from sigma_max to 0 (linear for a Gaussian)."""
    return MEAN + (x - MEAN) * STD / (STD**2 + sigma_max**2) ** 0.5


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_converge_to_the_exact_flow_at_their_order(name):
    x = torch.randn(64, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 80

    def error(steps):
        # A grid that ends above zero: the last step to zero is of first order for every solver.
        grid = karras_grid(steps, 0.02, 80.0)
        end = SOLVERS[name](denoise, x, grid, None)
        return (end - exact(x, 80.0)).abs().max().item()

    order = {"euler": 1, "heun": 2}[name]
    assert error(40) < 0.1
    assert error(20) / error(40) > 0.8 * 2**order


def test_the_grid_is_that_of_the_paper():
    grid = karras_grid(18, 0.002, 80.0)
    i = torch.arange(18, dtype=torch.float64)
    expected = (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    torch.testing.assert_close(grid[:-1], expected)
    assert grid[-1] == 0 and (grid.diff() < 0).all()


@pytest.mark.parametrize(("solver", "name"), [(euler, "EulerDiscreteScheduler"), (heun, "HeunDiscreteScheduler")])
def test_trajectories_are_those_of_diffusers(solver, name):
    """Same denoiser, Karras grid and noise: equal to 1e-4."""
    import diffusers

    schedule = getattr(diffusers, name)(use_karras_sigmas=True, prediction_type="sample", beta_schedule="scaled_linear")
    if name == "HeunDiscreteScheduler":
        schedule = diffusers.HeunDiscreteScheduler(
            use_karras_sigmas=True, prediction_type="epsilon", beta_schedule="scaled_linear"
        )
    else:
        schedule = diffusers.EulerDiscreteScheduler(
            use_karras_sigmas=True, prediction_type="epsilon", beta_schedule="scaled_linear"
        )
    schedule.set_timesteps(12)
    levels = schedule.sigmas
    grid = torch.cat([levels[:-1].unique(), levels.new_zeros(1)]).sort(descending=True).values.double()
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * grid[0]
    theirs = x.clone()
    for k, time in enumerate(schedule.timesteps):
        sigma = schedule.sigmas[k].double()
        theirs_input = theirs
        epsilon = (theirs_input - denoise(theirs_input, sigma.expand(4), None)) / sigma
        theirs = schedule.step(epsilon, time, theirs).prev_sample
    torch.testing.assert_close(solver(denoise, x, grid), theirs, atol=1e-4, rtol=1e-4)
