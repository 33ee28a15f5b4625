"""Muon: what the iteration makes of singular values, how large steps are, what thin parameters get."""

import signal
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from toy import write_tiles
from veridical.core.errors import InputError
from veridical.core.interrupt import Stopped
from veridical.recipes.config import TrainConfig
from veridical.recipes.recipe import Recipe
from veridical.recipes.table import RECIPES
from veridical.runs.tensors import read_tensors
from veridical.training.optimise import THINNEST, Muon, orthogonalise
from veridical.training.start import train


@pytest.mark.parametrize("shape", [(64, 576), (200, 80), (96, 96)])
def test_orthogonalise_brings_singular_values_near_one_and_keeps_their_vectors(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    made = torch.diagonal(u.T @ orthogonalise(matrix) @ v.T)
    large = s > 0.05 * s[0]
    assert large.sum() > 0.9 * len(s)
    assert made[large].min() > 0.6 and made[large].max() < 1.3
    torch.testing.assert_close(orthogonalise(matrix), u @ torch.diag(made) @ v, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", [(64, 576), (576, 64), (80, 96)])
@pytest.mark.parametrize("decades", [0, 3, 12])
def test_orthogonalise_is_five_rounds_of_the_quintic(shape, decades):
    """Whatever the singular values: alike, over three decades, hardly more than one that counts."""
    torch.manual_seed(0)
    rows, columns = (torch.linalg.qr(torch.randn(n, min(shape))).Q for n in shape)
    matrix = rows * torch.logspace(0, -decades, min(shape)) @ columns.T
    x = matrix.double() / matrix.double().norm()
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x - 4.7750 * square @ x + 2.0315 * square @ square @ x
    torch.testing.assert_close(orthogonalise(matrix), x.float(), atol=1e-4, rtol=0)


def test_orthogonalise_holds_in_half_precision_and_for_zeros():
    torch.manual_seed(0)
    made = orthogonalise(torch.outer(torch.randn(64), torch.randn(576)).bfloat16())
    assert torch.linalg.svdvals(made.float())[0] < 2
    assert not orthogonalise(torch.zeros(64, 576)).any()


def descend(optimiser, parameters, steps=5):
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        for p in parameters:
            p.grad = torch.randn(p.shape, generator=generator)
        optimiser.step()


def test_matrices_move_as_with_pytorchs_muon_up_to_its_bfloat16():
    torch.manual_seed(0)
    start = torch.randn(64, 128)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    descend(Muon([ours], 1e-2, (0.9, 0.99), 0.1), [ours])
    descend(torch.optim.Muon([theirs], 1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"), [theirs])
    assert (ours - theirs).norm() < 0.02 * (ours - start).norm()


def test_thin_parameters_get_adamw():
    shapes = ((7,), (THINNEST - 1, 300), (300, 4, 3, 3))
    mine, theirs = ([torch.full(shape, 0.5, requires_grad=True) for shape in shapes] for _ in range(2))
    descend(Muon(mine, 1e-2, (0.9, 0.99), 0.1), mine)
    descend(torch.optim.AdamW(theirs, 1e-2, (0.9, 0.99), weight_decay=0.1), theirs)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("shape", [(128, 64, 3, 3), (64, 256)])
def test_steps_are_as_large_as_those_of_adam_and_of_one_size_in_all_directions(shape):
    p = torch.zeros(shape, requires_grad=True)
    descend(Muon([p], 1e-2, (0.9, 0.99), 0.0), [p], steps=1)
    moved = p.detach().reshape(len(p), -1)
    assert moved.square().mean().sqrt().item() == pytest.approx(0.2 * 1e-2, rel=0.2)
    values = torch.linalg.svdvals(moved)
    assert values[-1] > 0.4 * values[0]


def test_muon_is_descent_along_the_orthogonalised_momentum():
    """Jordan's loop, written out, with the scale of Liu et al. 2025, eq. 4."""
    mine = torch.randn(80, 96, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weight, momentum = mine.detach().clone(), torch.zeros(80, 96)
    descend(Muon([mine], 1e-2, (0.9, 0.99), 0.1), [mine], steps=6)
    generator = torch.Generator().manual_seed(1)
    for _ in range(6):
        gradient = torch.randn(80, 96, generator=generator)
        momentum = 0.95 * momentum + 0.05 * gradient
        step = orthogonalise(0.95 * momentum + 0.05 * gradient)
        weight = (1 - 1e-2 * 0.1) * weight - 1e-2 * 0.2 * 96**0.5 * step
    torch.testing.assert_close(mine.detach(), weight, atol=1e-5, rtol=1e-4)


class Mean(nn.Module):
    """Learns the mean image through a square matrix; told to stop at step 5."""

    stops = False

    def __init__(self, channels, size):
        super().__init__()
        self.shape, self.layer = (channels, size, size), nn.Linear(64, channels * size**2)
        self.parts = {"mean": self.layer}

    def losses(self, batch, step):
        if self.stops and step == 5:
            signal.raise_signal(signal.SIGTERM)
        image = self.layer(torch.ones(64)).reshape(1, *self.shape)
        yield "mean", (image - batch.image).square().mean()

    def sample(self, n, cond, noise):
        return self.layer(noise((64,))).reshape(n, *self.shape)


def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    data = write_tiles(tmp_path / "data")
    given = {"size": 8, "batch": 4, "steps": 9, "optimiser": "muon", "lr": 1e-2, "quiet": True}
    for run, model in (("whole", Mean), ("parts", type("Stopping", (Mean,), {"stops": True}))):
        row = Recipe(model, family="GAN", task="unconditional", summary="", citation="")
        monkeypatch.setitem(RECIPES, "mean", row)
        with pytest.raises(Stopped) if model.stops else nullcontext():
            train("mean", data, tmp_path / run, **given)
    halfway = read_tensors(tmp_path / "parts" / "resume.safetensors")[0]
    train("mean", data, tmp_path / "parts", resume=True, **given)
    whole, parts = (read_tensors(tmp_path / run / "resume.safetensors")[0] for run in ("whole", "parts"))
    assert whole.keys() == parts.keys() and all(torch.equal(whole[k], parts[k]) for k in whole)
    assert not torch.equal(whole["model.layer.weight"], halfway["model.layer.weight"])
    assert any(k.endswith("momentum") for k in whole)


def test_an_unknown_optimiser_is_refused():
    with pytest.raises(InputError, match="use one of adamw, muon"):
        TrainConfig(optimiser="sgd")
