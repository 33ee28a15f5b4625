"""What a network needs of the whole batch where several processes have a share of its rows each.

All of it passes gradients, also those of gradients: with the mean of gradients over processes that training takes, several
processes then do what one does with the whole batch. Every process has as many rows, in the order of the batch.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class _Sum(torch.autograd.Function):
    """Sum over processes; the gradient is the sum of their gradients."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        x = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient)


def _summed(x: Tensor) -> Tensor:
    summed: Tensor = _Sum.apply(x)  # type: ignore[no-untyped-call]
    return summed


def mean_over_processes(x: Tensor) -> Tensor:
    """Mean of a tensor over processes; with its gradient, unlike `veridical.core.device.average_over_processes`."""
    return _summed(x) / dist.get_world_size() if dist.is_initialized() else x


def whole_batch(x: Tensor) -> Tensor:
    """Rows of all processes (N * processes, ...) of those of this one (N, ...)."""
    if not dist.is_initialized():
        return x
    # A sum of parts that are elsewhere 0: gloo has no gather with a gradient.
    before, after = dist.get_rank() * len(x), (dist.get_world_size() - 1 - dist.get_rank()) * len(x)
    empty = [x.new_zeros(rows, *x.shape[1:]) for rows in (before, after)]
    return _summed(torch.cat([empty[0], x, empty[1]]))


def own_rows(whole: Tensor) -> Tensor:
    """Rows of this process (N, ...) of those of all (N * processes, ...)."""
    if not dist.is_initialized():
        return whole
    rows = len(whole) // dist.get_world_size()
    return whole[dist.get_rank() * rows : (dist.get_rank() + 1) * rows]


class BatchNorm2d(nn.BatchNorm2d):
    """Batch norm with the statistics of the whole batch (Ioffe and Szegedy 2015); `nn.SyncBatchNorm` needs a GPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise maps (N, C, H, W)."""
        if not (self.training and dist.is_initialized()):
            return super().forward(x)
        mean = mean_over_processes(x.mean((0, 2, 3)))
        centred = x - mean[:, None, None]
        variance = mean_over_processes(centred.square().mean((0, 2, 3)))
        count = x.numel() // x.shape[1] * dist.get_world_size()
        if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum or 0.0)
                self.running_var.lerp_(variance * count / max(count - 1, 1), self.momentum or 0.0)
                if self.num_batches_tracked is not None:
                    self.num_batches_tracked.add_(1)
        x = centred * (variance + self.eps).rsqrt()[:, None, None]
        return x * self.weight[:, None, None] + self.bias[:, None, None] if self.affine else x
