"""Averaged weights of layers with spectral norm; frozen stages are neither averaged nor saved."""

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from veridical.runs.tensors import read_tensors
from veridical.training.state import Average, State


def test_the_average_of_layers_with_spectral_norm_has_spectral_norm_one():
    torch.manual_seed(0)
    model = spectral_norm(nn.Linear(32, 16))
    average = Average(model, 0.999)
    descent = torch.optim.SGD(model.parameters(), 0.3)
    for step in range(300):
        loss = (model(torch.randn(8, 32)) * torch.randn(8, 16)).mean()
        descent.zero_grad()
        loss.backward()
        descent.step()
        average.update(step)
    layer = average.model
    assert torch.allclose(layer.parametrizations.weight[0]._u.norm(), torch.ones(()))
    assert abs(torch.linalg.matrix_norm(layer.weight, 2) - 1) < 0.05


class Adapter(nn.Module):
    """Something small that is trained on top of something large that is not."""

    def __init__(self, large: int, small: int) -> None:
        super().__init__()
        self.large = nn.utils.skip_init(nn.Linear, large, large, bias=False).requires_grad_(False)
        self.small = nn.Linear(small, small, bias=False)
        self.register_buffer("mean", torch.zeros(()))
        self.parts, self.frozen = {"small": self.small}, {"large": self.large}


def test_a_frozen_stage_is_neither_copied_nor_written(tmp_path):
    """One of 100 million weights, beside a trained part of a million."""
    model = Adapter(10_000, 1000)
    average = Average(model, 0.9)
    assert average.model.large is model.large and average.model.frozen["large"] is model.large
    assert average.model.small is not model.small and average.model.parts["small"] is average.model.small
    optimiser = torch.optim.AdamW(model.small.parameters())
    model.small.weight.grad = torch.ones_like(model.small.weight)
    optimiser.step()
    average.update(0)
    State(tmp_path, model, average, {"small": optimiser}).save()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 20 * 2**20
    assert read_tensors(tmp_path / "model.safetensors")[0].keys() == {"small.weight", "mean"}


def test_what_was_saved_comes_back_around_a_frozen_stage(tmp_path):
    def begun(seed):
        torch.manual_seed(seed)
        model = Adapter(4, 4)
        return model, State(tmp_path, model, Average(model, 0.9), {})

    model, state = begun(0)
    with torch.no_grad():
        model.large.weight.fill_(1)
        model.mean.fill_(3)
    state.step = 5
    state.save()
    again, restored = begun(1)
    with torch.no_grad():
        again.large.weight.fill_(2)
    restored.restore()
    assert restored.step == 5 and again.mean == 3
    assert torch.equal(again.small.weight, model.small.weight) and (again.large.weight == 2).all()
