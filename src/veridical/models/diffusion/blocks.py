"""A denoiser of blocks of a volume, and volumes of any size by blocks that overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any

import torch
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.core.errors import InputError
from veridical.diffusion.blocks import Starts, in_blocks
from veridical.diffusion.guidance import clipped
from veridical.diffusion.solvers import SOLVERS
from veridical.diffusion.tiles import shifted
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.settings import Law, Network, Sampling, options

TOGETHER = 4  # blocks at a time, where a volume is drawn
AXES = 3
UNLIKE = 2.0  # times as much that varies along one axis as along another: bodies are isotropic by and large


class Blocks(nn.Module):
    """A `Denoiser` of blocks, which learns from volumes and draws them.

    Its images are sections of blocks. Larger volumes are drawn as larger images are: blocks that overlap, elsewhere at every
    evaluation, are averaged at each noise level (MultiDiffusion: Bar-Tal et al. 2023, eq. 5).

    Parameters
    ----------
    channels, size : int
    network : Network
        Its attention is not asked for: the network of volumes has none.
    law : Law
    sampling : Sampling
    isotropic : bool
        The material has no direction: blocks are turned at random so that each of their axes becomes each other, with the flips
        and quarter turns of `dihedral` the 48 orientations of a cube.
    """

    directed = True
    arrays = 14

    def __init__(
        self, channels: int, size: int, network: Network, law: Law, sampling: Sampling, isotropic: bool = True
    ) -> None:
        super().__init__()
        self.denoiser = Denoiser((channels, size, size, size), network, law, None, sampling)
        self.parts, self.sampling = dict(self.denoiser.parts), sampling
        self.size, self.isotropic = size, isotropic

    def prepare_with(self, image: Tensor, cond: dict[str, Tensor]) -> None:
        """Measure mean and spectrum of the blocks; of an isotropic material that of each axis is the same.

        Raises
        ------
        InputError
            If the material is said to be isotropic, and much more varies along one axis than along another.
        """
        blocks, spectrum = cond["block"], self.denoiser.spectrum
        spectrum.measure(blocks)
        if not self.isotropic:
            return
        lag = max(1, self.size // 8)
        varied = [
            (blocks.roll(-lag, axis) - blocks).narrow(axis, 0, self.size - lag).square().mean() for axis in (2, 3, 4)
        ]
        ratio = (max(varied) / min(varied)).item()
        if ratio > UNLIKE:
            raise InputError(
                f"these volumes vary {ratio:.1f} times more along one axis than along another: if the material has a direction, "
                "give --set isotropic=false."
            )
        power = spectrum.deviation.square()
        turned = [power.permute(0, 1, *axes) for axes in permutations((2, 3, 4))]
        spectrum.deviation.copy_(torch.stack(turned).mean(0).sqrt())

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield that of `Denoiser.losses`, of the blocks that training tiles lie in."""
        self.denoiser.remember(step)
        blocks = batch.cond["block"]
        if self.isotropic:
            blocks = _turned(blocks, batch.uniform(2))
        yield "denoiser", self.denoiser.loss(self.denoiser.encode(blocks), batch)

    def sample(self, n: int, cond: dict[str, Any], noise: Noise) -> Tensor:
        """Images in [-1, 1], shape (n, C, S, S): a section of a block each, at a random height."""
        place = torch.special.ndtr(noise((2,))).clamp(max=1 - 1e-6).tolist()
        made = self.denoiser.sample(n, {}, noise, self.sampling)
        cut = [
            block.select(1 + int(AXES * axis), int(self.size * height))
            for block, (axis, height) in zip(made, place, strict=True)
        ]
        return torch.stack(cut)

    def solid(self, sides: tuple[int, int, int], noise: Noise, periodic: bool, tell: Callable[[float], None]) -> Tensor:
        """A volume (D, H, W) of any size in [-1, 1], of grey images.

        Raises
        ------
        InputError
            If a periodic volume has a side of less than a block.
        """
        size, model, how = self.size, self.denoiser, self.sampling
        if periodic and min(sides) < size:
            raise InputError(
                f"a periodic volume of {'x'.join(map(str, sides))} is smaller than the blocks of {size} voxels that the run was "
                "trained on: give sides of at least that, or leave out periodic."
            )
        box = [max(side, size) for side in sides]
        grid = model.grid(how)
        # Borders that do not know of each other are cut out of more.
        white = noise((model.shape[0], *(side + (0 if periodic else size) for side in box)))
        x = model.spectrum.noisy_at(white, grid[0].item())[..., : box[0], : box[1], : box[2]]
        denoise = model.guided(how)
        if how.clamp:
            denoise = clipped(denoise, model.encode, model.decode)

        def starts() -> Starts:
            # Solvers that choose their steps compare evaluations: for them blocks stay where they are.
            share = [0.5] * AXES if how.solver == "dopri5" else torch.special.ndtr(noise((AXES,)))[0].tolist()
            z, y, c = (shifted(side, size, by, periodic) for side, by in zip(box, share, strict=True))
            return z, y, c

        blocks = in_blocks(denoise, size, TOGETHER, starts)

        def heard(x: Tensor, sigma: Tensor, cond: Any = None) -> Tensor:
            made = blocks(x, sigma, cond)
            tell((grid >= sigma.min().item() * (1 - 1e-6)).sum().item() / len(grid))
            return made

        made = model.decode(SOLVERS[how.solver](heard, x, grid, {}, noise, **options(model.law, how)))
        return made[0, 0, : sides[0], : sides[1], : sides[2]]


def _turned(blocks: Tensor, chance: Tensor) -> Tensor:
    """Blocks (N, C, S, S, S), the depth of each reversed or not, then its axes moved on by 0 to 2, as `chance` (N, 2) in
    [0, 1) says.
    """
    axes = (1, 2, 3), (2, 3, 1), (3, 1, 2)
    back, moved = (chance[:, 0] < 0.5).tolist(), (AXES * chance[:, 1]).long().tolist()
    return torch.stack([
        (block.flip(1) if flipped else block).permute(0, *axes[places])
        for block, flipped, places in zip(blocks, back, moved, strict=True)
    ])  # fmt: skip
