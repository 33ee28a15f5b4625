"""Averaged weights of layers with spectral norm."""

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from veridical.training.state import Average


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
