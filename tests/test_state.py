"""What averaging does to weights and to buffers."""

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from veridical.state import Average


def test_weights_are_averaged_with_growing_memory_and_counts_are_copied():
    model = nn.BatchNorm1d(1)
    average = Average(model, 0.9)
    for step, value in enumerate([0.0, 1.0, 2.0]):
        nn.init.constant_(model.weight, value)
        model.num_batches_tracked.fill_(step)
        average.update(step)
    assert average.model.weight.item() == torch.tensor(0.9).lerp(torch.tensor(2.0), 9 / 11)
    assert average.model.num_batches_tracked == 2


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
