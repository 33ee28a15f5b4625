"""Random-phase surrogates: images with the spectrum and histogram of others, and nothing else of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from veridical.core.arrays import check_array


def surrogates(tiles: NDArray[Any], rng: np.random.Generator, iterations: int = 8) -> NDArray[Any]:
    """Random-phase surrogates of `tiles`, one each.

    Phases are replaced by those of white noise, the same shift for every channel so that colours keep together (Galerne,
    Gousseau and Morel 2011); then spectrum and histogram are imposed in turn (IAAFT, Schreiber and Schmitz 1996), the
    histogram last and therefore exact.

    Parameters
    ----------
    tiles : ndarray, shape (N, C, H, W), values in [0, 1]
    rng : numpy.random.Generator
    iterations : int
        Rounds of spectrum, then histogram.

    Returns
    -------
    ndarray of float32, shape (N, C, H, W)
    """
    tiles = check_array(tiles, "tiles", "(N, C, H, W)")
    return iaaft(tiles, rng.standard_normal((len(tiles), *tiles.shape[2:])), iterations)


def iaaft(tiles: NDArray[Any], noise: NDArray[Any], iterations: int) -> NDArray[Any]:
    spectrum = np.fft.fft2(tiles.astype(np.float64))
    amplitude = np.abs(spectrum)
    turn = np.exp(1j * np.angle(np.fft.fft2(noise)))[:, None]
    # The mean has no phase: keep its sign.
    turn[..., 0, 0] = 1
    current = np.fft.ifft2(spectrum * turn).real
    flat = (*tiles.shape[:2], -1)
    values = np.sort(tiles.reshape(flat), axis=-1)
    for round_ in range(iterations):
        if round_:
            current = np.fft.ifft2(amplitude * np.exp(1j * np.angle(np.fft.fft2(current)))).real
        order = np.argsort(current.reshape(flat), axis=-1, kind="stable")
        ranked = np.empty_like(values)
        np.put_along_axis(ranked, order, values, axis=-1)
        current = ranked.reshape(tiles.shape)
    return current.astype(np.float32)
