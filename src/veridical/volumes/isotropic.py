"""The spectrum of an isotropic body from that of its sections, and how well it fits them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.fft import dct
from scipy.optimize import nnls

SMOOTH = 0.3  # weight of the second differences of the density, over a guess of it
ROUNDS = 4  # of which each guesses from the one before
FINE = 16  # steps of an integral from knot to knot


@dataclass(frozen=True)
class Isotropic:
    """Spectral density of an isotropic body.

    Attributes
    ----------
    frequency : ndarray, shape (K,)
        Rising from 0, in radians a pixel.
    density : ndarray, shape (K,)
        Variance of a coefficient of an orthonormal transform, of the body.
    misfit : float
        Root mean square of the relative difference of the density of its sections from that which was measured, over all
        but the lowest and highest frequencies of a tile: above what noise makes of it, no isotropic body has such sections.
    """

    frequency: np.ndarray
    density: np.ndarray
    misfit: float


def of_sections(power: np.ndarray) -> Isotropic:
    """The isotropic body whose sections have a spectrum.

    At a distance r a body of density P3 has the covariance ``integral of P3(k) * sin(k r) / (k r) * k**2 dk / (2 pi**2)`` (Yaglom
    1957), and so have its sections, whose transforms then have known variances. The body that is found is a sum of triangles with
    weights that are not negative (Lawson and Hanson 1974), as its density has to be, and smooth; what is fitted is the mean
    variance of the coefficients in each ring of frequencies, in relative terms. A constant is added to that of a section's mean:
    what varies from place to place and not within a tile, of which nothing else is known, and which a volume does not have.

    Parameters
    ----------
    power : ndarray, shape (S, S)
        Variance of each coefficient of the orthonormal cosine transform of sections (`veridical.nets.spectrum.Spectrum`).
    """
    size = len(power)
    rings = np.rint(_radius(size)).astype(int).ravel()
    counts = np.bincount(rings)
    measured, radius = (np.bincount(rings, values.ravel()) / counts for values in (power, _radius(size)))
    knots = np.arange(int(np.ceil(np.sqrt(3) * size)) + 1)
    rows = np.stack([np.bincount(rings, section.ravel()) / counts for section in _sections(size, len(knots))], 1)
    rows /= measured[:, None]
    places = np.zeros((len(measured), 1))
    places[0] = 1
    guess = np.interp(knots, radius[1:], measured[1:])
    least = guess / 4e4  # so that what was once taken for nothing can come back
    bends = SMOOTH * np.diff(np.eye(len(knots)), 2, axis=0)
    for _ in range(ROUNDS):
        weights = nnls(
            np.block([[rows * guess, places], [bends, np.zeros((len(bends), 1))]]),
            np.concatenate([np.ones(len(measured)), np.zeros(len(bends))]),
            maxiter=100 * len(knots),
        )[0]
        density = weights[:-1] * guess
        guess = np.maximum(density, least)
    misfit = (rows @ density - 1)[1 : int(0.7 * size)]
    return Isotropic(np.pi / size * knots, density, float(np.sqrt(np.mean(misfit**2))))


def _radius(size: int) -> np.ndarray:
    place = np.arange(size)
    return np.hypot(place[:, None], place)


def _sections(size: int, count: int) -> Iterator[np.ndarray]:
    """Variances (S, S) of the coefficients of sections of bodies whose densities are triangles about so many knots."""
    wave = dct(np.eye(size), norm="ortho", axis=0)
    lags = np.arange(size)
    # How often a lag occurs in the square of a coefficient of a line, weighted as pixels are; each but 0 in both directions.
    along = np.stack([(2 - (lag == 0)) * (wave[:, lag:] * wave[:, : size - lag]).sum(1) for lag in lags], 1)
    distance, where = np.unique(np.hypot(lags[:, None], lags), return_inverse=True)
    step = np.pi / size
    for knot in range(count):
        fine = step * (knot + (np.arange(2 * FINE) + 0.5) / FINE - 1)
        fine = fine[fine > 0]
        shells = np.maximum(0, 1 - np.abs(fine / step - knot)) * fine**2 / (2 * np.pi**2) * step / FINE
        covariance = np.sinc(distance[:, None] * fine / np.pi) @ shells
        yield along @ covariance[where.reshape(size, size)] @ along.T
