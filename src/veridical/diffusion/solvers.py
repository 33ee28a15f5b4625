"""Noise levels and solvers: functions of ``(denoise, x, grid, cond, noise)``, and keywords of their own.

``denoise(x, sigma, cond)`` returns the expected clean image of ``x = x0 + sigma * noise``; `grid` holds falling noise levels
and ends with 0; ``noise(shape)`` draws standard normal noise for every image by itself, and only stochastic solvers call it.
The probability-flow ODE is ``dx/dsigma = (x - denoise(x, sigma)) / sigma`` (Karras et al. 2022, eq. 3).

Every process with linear drift (DDPM, VP, sub-VP, flow matching, ...) is of this form when x is divided by what the process
has left of the image, so that any solver runs on any formulation. Where a paper's solver depends on that factor, as
discretisations of differential equations do, it says so.
"""

from __future__ import annotations

from veridical.diffusion.deterministic import (
    Denoise,
    Solver,
    dopri5,
    dpm_solver_pp_2m,
    euler,
    geometric_grid,
    heun,
    invert,
    karras_grid,
    midpoint,
    unipc,
)
from veridical.diffusion.stochastic import (
    ancestral,
    annealed_langevin,
    consistency,
    ddim,
    euler_maruyama,
    langevin_step_size,
    predictor_corrector,
    sde_dpm_solver_pp_2m,
)

__all__ = [
    "SOLVERS",
    "Denoise",
    "Solver",
    "ancestral",
    "annealed_langevin",
    "consistency",
    "ddim",
    "dopri5",
    "dpm_solver_pp_2m",
    "euler",
    "euler_maruyama",
    "geometric_grid",
    "heun",
    "invert",
    "karras_grid",
    "langevin_step_size",
    "midpoint",
    "predictor_corrector",
    "sde_dpm_solver_pp_2m",
    "unipc",
]

SOLVERS: dict[str, Solver] = {
    "euler": euler,
    "heun": heun,
    "midpoint": midpoint,
    "dopri5": dopri5,
    "dpm_solver_pp_2m": dpm_solver_pp_2m,
    "unipc": unipc,
    "ddim": ddim,
    "ancestral": ancestral,
    "euler_maruyama": euler_maruyama,
    "sde_dpm_solver_pp_2m": sde_dpm_solver_pp_2m,
    "predictor_corrector": predictor_corrector,
    "annealed_langevin": annealed_langevin,
}
