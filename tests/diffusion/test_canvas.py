"""Large images of exact denoisers of tiles: what is known of the field holds beyond the tile."""

import math

import pytest
import torch

from veridical.core.batch import ImageNoise
from veridical.diffusion.canvas import Canvas
from veridical.diffusion.solvers import SOLVERS, karras_grid

SIDE, RANGE = 32, 4.0


def gaussian_tiles():
    """The posterior mean of tiles of a Gaussian field of deviation 0.5 and correlation ``exp(-(lag / RANGE) ** 2)``."""
    place = torch.arange(SIDE, dtype=torch.double)
    values, axes = torch.linalg.eigh(torch.exp(-((place[:, None] - place) ** 2) / RANGE**2))
    power, axes = (0.25 * values.clamp(min=0)[:, None] * values.clamp(min=0)).float(), axes.float()

    def denoise(x, sigma, cond):
        kept = power / (power + sigma.reshape(-1, 1, 1, 1) ** 2)
        return axes @ (kept * (axes.T @ x @ axes)) @ axes.T

    return denoise


@pytest.mark.parametrize(("solver", "periodic"), [("heun", False), ("sde_dpm_solver_pp_2m", False), ("heun", True)])
def test_a_gaussian_field_keeps_its_law_beyond_the_tile(solver, periodic):
    """Deviation within 5 %, correlation within 0.05 to beyond the tile, the same at the border, and in line with no tile."""
    noise, grid = ImageNoise(0, range(6)), karras_grid(18, 0.01, 20.0)
    canvas = Canvas(112, 128, SIDE, periodic, seed=3)
    x = 20.0 * noise((1, *canvas.shape))
    drawn = SOLVERS[solver](canvas.tiled(gaussian_tiles()), x, grid, {}, noise)[:, 0] / 0.5
    assert drawn.std().item() == pytest.approx(1, abs=0.05)
    for lag in (1, 2, 4, 8, 24, 48):
        found = ((drawn[..., lag:] * drawn[..., :-lag]).mean() / drawn.square().mean()).item()
        assert found == pytest.approx(math.exp(-((lag / RANGE) ** 2)), abs=0.05), lag
    border = torch.cat([drawn[:, :8].flatten(), drawn[:, -8:].flatten()]).std().item()
    assert border == pytest.approx(drawn[:, 16:-16, 16:-16].std().item(), rel=0.12)
    across = (drawn[..., 0] * drawn[..., -1]).mean().item()
    assert across > 0.8 if periodic else abs(across) < 0.25
