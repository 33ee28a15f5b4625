"""Noisy periodic volumes of a known spectrum: what is expected of them, and what they say of each section."""

from __future__ import annotations

import math
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from veridical.volumes.isotropic import Isotropic

LONG = 6  # waves of at least a sixth of the box
SMALLEST = 2  # steps of frequency: the first shell has 81 coefficients of a cube
NEAR = 0.01  # share of the frequencies of a section by which the level of its noise is told


class Observed(NamedTuple):
    """How a noisy volume becomes images of its sections: `filter` of its coefficients, and the noise `level` they then have."""

    filter: Tensor
    level: float


class Body:
    """A Gaussian field in a box whose opposite sides continue each other.

    Parameters
    ----------
    shape : (int, int, int)
    law : Isotropic
        Its density.
    device : torch.device or str
    """

    def __init__(self, shape: tuple[int, int, int], law: Isotropic, device: torch.device | str = "cpu") -> None:
        self.shape = shape
        waves = [2 * np.pi * np.fft.fftfreq(side) for side in shape[:2]] + [2 * np.pi * np.fft.rfftfreq(shape[2])]
        steps = [2 * np.pi / side for side in shape]
        radius = _length(*np.ix_(*waves)).astype(np.float32)
        power = np.interp(radius, law.frequency, law.density).astype(np.float32)
        # The density is steep where waves are as long as the box: each has the mean of what is nearest to it.
        near = np.nonzero(radius < LONG * max(steps))
        places = [wave[index] for wave, index in zip(waves, near, strict=True)]
        within = [(np.arange(7) - 3) / 7 * step for step in steps]
        moved = product(*within)
        power[near] = np.mean(
            [np.interp(_length(*map(np.add, places, by)), law.frequency, law.density) for by in moved], axis=0
        )
        # Of a real field half of the coefficients are kept: the others are their conjugates.
        last = np.arange(len(waves[2]))
        twice = np.where((last == 0) | (2 * last == shape[2]), 1.0, 2.0).astype(np.float32)
        self.power = torch.from_numpy(power).to(device)
        self._twice = torch.from_numpy(twice).to(device)
        shells = np.maximum(np.rint(radius / min(steps)), SMALLEST).astype(np.int64) - SMALLEST
        self._shells = torch.from_numpy(shells).to(device)
        self._counts = self._sums(torch.ones_like(self.power))

    def coefficients(self, volume: Tensor) -> Tensor:
        """Fourier coefficients of a volume."""
        return torch.fft.rfftn(volume)

    def volume(self, coefficients: Tensor) -> Tensor:
        """Inverse of `coefficients`."""
        return torch.fft.irfftn(coefficients, s=self.shape)

    def noisy(self, white: Tensor, sigma: float) -> Tensor:
        """A field of this spectrum with noise of a level on it, from white noise of deviation 1."""
        return self.volume((self.power + sigma**2).sqrt() * self.coefficients(white))

    def kept(self, sigma: float) -> Tensor:
        """Share of each coefficient that is expected to be no noise (Wiener 1949)."""
        return self.power / (self.power + sigma**2)

    def observed(self, sigma: float, axis: int) -> Observed:
        """What a volume with noise of a level says of its sections normal to an axis, as images of them with less noise.

        Of a Gaussian field the volume leaves of a coefficient of a section the variance ``E = mean(P3 * sigma**2 / (P3 +
        sigma**2))`` over the frequencies along the axis, where without it there is ``P2 = mean(P3)``. So it says as much as one
        observation with the noise ``S = 1 / (1 / E - 1 / P2)``, which is ``S / E`` times the coefficient of the expected section:
        given that, the expectation is that of the whole volume. S rises with the frequency, from a share of ``sigma**2`` up to
        all of it, but a denoiser is told of white noise: of that where S crosses P2, as what is far below is certain and what is
        far above is lost; and coefficients are scaled to the variance that they have under it.
        """
        kept = self.kept(sigma)
        error, power = sigma**2 * self._over(kept, axis), self._over(self.power, axis)
        told = power / self._over(self.power * kept, axis)  # S / E
        noise = error * told
        apart = (power.log() - noise.log()).abs().flatten()
        near = apart.topk(max(1, int(NEAR * len(apart))), largest=False).indices
        level = noise.flatten()[near].log().mean().div(2).exp().item()
        scale = ((power + level**2) / (power + noise)).sqrt()
        return Observed(scale * told * kept, level)

    def uncorrelated(self, coefficients: Tensor, volume: Tensor) -> Tensor:
        """What is left of coefficients when what goes with those of a volume in each shell of frequencies is taken away."""
        along = self._sums((coefficients * volume.conj()).real) / self._sums(volume.abs().square())
        return coefficients - along.float()[self._shells] * volume

    def spread(self, coefficients: Tensor) -> Tensor:
        """Variance of coefficients in each shell of frequencies, at each frequency, in the units of `power`."""
        found = self._sums(coefficients.abs().square()) / self._counts / math.prod(self.shape)
        return found.float()[self._shells]

    def _sums(self, values: Tensor) -> Tensor:
        """Over each shell of frequencies."""
        return torch.bincount(self._shells.flatten(), (values * self._twice).flatten().double())

    def _over(self, values: Tensor, axis: int) -> Tensor:
        """Mean over the frequencies along an axis, which is kept."""
        if axis == 2:
            return (values * self._twice).sum(2, keepdim=True) / self.shape[2]
        return values.mean(axis, keepdim=True)


def _length(z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.sqrt(z**2 + y**2 + x**2)
