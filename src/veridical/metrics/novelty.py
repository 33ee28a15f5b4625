"""Is a synthetic image new? Distance to the nearest crop of the training images, at any place and in any orientation.

Longer than other files because the search and what it is calibrated by are one method.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from veridical.core.arrays import check_array
from veridical.core.errors import InputError
from veridical.core.orientation import unturn
from veridical.metrics.correlation import Candidates, ahead, alike, best_place, unit, windows_of
from veridical.metrics.physics_spectrum import hann
from veridical.stats.shares import at_rank

SUSPICIOUS = 0.05  # share of held-out real tiles that the threshold of `memorised_share` gives away by chance
MARGIN = 8  # of a tile an eighth is left out at each side
RADIUS = 8  # pixels, of the whitening kernel at most
CUT = 0.18  # cycles a pixel; grain finer than some 6 pixels is not compared
LIFT = 1e-3  # frequencies of less power than this share of the mean are not lifted to that of the others
COARSE = 12  # samples along the shorter side of the part that is compared, in the search for candidates
WINDOWS = 256  # of the training images, for their mean spectrum


class Crops(NamedTuple):
    """For every tile its nearest training crop, five arrays (N,).

    distance : 0 for a copy, about 1 for unrelated images, at most 2; 1 where there is nothing to compare with
    image : number of the training image; -1 where there is nothing to compare with
    top, left : where the crop begins; up to an eighth of the tile outside the image where the images are tiles themselves
    orientation : the flip or quarter turn of the crop that looks like the tile, numbered as in `veridical.core.orientation.turn`
    """

    distance: np.ndarray
    image: np.ndarray
    top: np.ndarray
    left: np.ndarray
    orientation: np.ndarray


def nearest_crop(
    tiles: np.ndarray,
    images: Sequence[np.ndarray],
    *,
    orientations: int = 8,
    apart: Sequence[Sequence[tuple[int, int, int]]] | None = None,
) -> Crops:
    """Nearest crop of the training images to every tile, over all places and orientations.

    Parameters
    ----------
    tiles : (N, C, H, W) in [0, 1]
    images : sequence of (C, height, width) float32 in [0, 1]
        Whole training images, or the parts of them that are trained on; those smaller than a tile are left out.
    orientations : {8, 2, 1}
        Flips and quarter turns that training makes: all (4 when H != W), left-right flips, none.
    apart : for every tile crops of its size to keep away from, as (image, top, left)
        Such as the tile's own place, if it was cut from one of the images: what is compared with does not reach into them.

    Returns
    -------
    Crops
        distance = 1 - r min(1, s / t) with the normalised cross-correlation r of whitened pixels and the standard
        deviations s and t of the correlation of the crop and of the tile with unrelated training images.

    Raises
    ------
    ValueError
        If no image is as large as a tile, or channels differ.

    Notes
    -----
    Compared is the middle of a tile, three quarters of its side. It is free of what whitening does at a border; a copy
    of a whole image that is as small as a tile is found when shifted by up to an eighth; and generators are at their
    worst at borders.

    Whitening: one filter with all symmetries of a square gives the training images about equal power at all frequencies
    up to `CUT`; finer grain, of which copies lose most, is cut off. Pixels as they are correlate over whatever is large
    and smooth, so that any blurred image would be near to some crop. What whitening leaves of that is taken away by s / t:
    the correlation of an image with spectrum Q with unrelated ones of spectrum P has variance sum(P Q) / sum(Q), up to a
    factor, which is larger for a blurred image. Brightness and contrast cancel.

    Search: all places and orientations in low-passed images of 12 samples across the compared part; the best 16, no two
    from one block of neighbours, at every pixel around them. A nearest crop that is no copy can be missed, for tiles to
    judge and held-out tiles alike, so `memorised_threshold` stays exact. Cost is a matrix product, N times orientations by
    places / (H / 16)^2; kept in memory are 2 bytes a pixel of the images. As many threads work as `scipy.fft.set_workers`
    says, on tiles some hundred at a time.
    """
    from scipy.fft import get_workers

    tiles = check_array(tiles, "tiles", "(N, C, H, W)").astype(np.float32)
    for k, image in enumerate(images):
        if len(check_array(image, f"images[{k}]", "(C, height, width)")) != tiles.shape[1]:
            raise InputError(f"images[{k}] must have as many channels as the tiles, {tiles.shape[1]}, not {len(image)}")
    if apart is not None and len(apart) != len(tiles):
        raise InputError(f"apart must hold a list for each of the {len(tiles)} tiles, got {len(apart)}")
    height, width = tiles.shape[2:]
    numbers = [k for k, image in enumerate(images) if image.shape[1] >= height and image.shape[2] >= width]
    if not numbers:
        raise ValueError(f"none of the {len(images)} training images is as large as a tile, {width} x {height} pixels")
    used = [images[k] for k in numbers]
    top, left = height // MARGIN, width // MARGIN
    core = height - 2 * top, width - 2 * left
    step = max(1, round(min(core) / COARSE))
    shape = core[0] // step, core[1] // step
    first = [(side - (n - 1) * step - 1) // 2 for side, n in zip(core, shape, strict=True)]
    phase = (top + first[0]) % step, (left + first[1]) % step  # so that tiles on images of their size match exactly
    codes = range(min(orientations, 8 if height == width else 4))
    kernel, power = _whitening(used, min(height, width))
    threads = get_workers()  # of this thread: those of the pool have a number of their own

    exact: list[np.ndarray] = []  # the middle of every tile, turned in all ways
    small = []
    for part in alike(list(tiles)):
        white = _filtered(part, kernel, threads)
        middle = white[:, :, top : top + core[0], left : left + core[1]]
        exact += list(np.stack([unit(unturn(middle, code, (2, 3))) for code in codes], 1))
        middle = _low_passed(white, step, (top + first[0], left + first[1]))
        middle = middle[:, :, : shape[0], : shape[1]]
        small.append(np.stack([unit(unturn(middle, code, (2, 3))) for code in codes if not code & 1], 1))
    # The compared part of a crop reaches into another crop if its corner lies in these ranges.
    position = {number: k for k, number in enumerate(numbers)}
    barred = np.array(
        [
            (k, position[number], y - core[0] + 1, y + height - 1, x - core[1] + 1, x + width - 1)
            for k, places in enumerate(apart or ())
            for number, y, x in places
            if number in position
        ]
    ).reshape(-1, 6)
    candidates = Candidates(np.concatenate(small), mirrored=len(codes) > 1, barred=barred)
    whites: list[np.ndarray] = []

    def whitened(part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        white = _filtered(part, kernel, threads)
        return white, _low_passed(white, step, phase)

    with ThreadPoolExecutor(threads) as pool:
        for white, small_white in ahead(pool, whitened, alike(used)):
            corner = np.array([len(whites), phase[0] - first[0], phase[1] - first[1]])
            for rows, places in windows_of(small_white, shape):
                candidates.offer(rows, places * np.array([1, step, step]) + corner, pool.map)
            whites += list(white.astype(np.float16))
        power = _resampled(power, core)

        def nearest(k: int) -> tuple[Any, ...]:
            if not len(candidates.of(k)):
                return 1.0, -1, 0, 0, 0
            value, (number, y, x, turn) = best_place(exact[k], whites, candidates.of(k), min(step, top, left))
            crop = whites[number][:, y : y + core[0], x : x + core[1]].astype(np.float32)
            # A blurred image correlates with anything, by so much more than the crop does.
            value *= min(1, _chance(crop, power) / max(_chance(exact[k][0], power), 1e-6))
            return np.clip(1 - value, 0, 2), numbers[number], y - top, x - left, turn

        columns = zip(*pool.map(nearest, range(len(exact))), strict=True)
        return Crops(*map(np.array, columns))


def cut_crops(images: Sequence[np.ndarray], crops: Crops, shape: tuple[int, int]) -> np.ndarray:
    """The crops that `nearest_crop` found, of `shape` (H, W), turned like the tiles: (N, C, H, W), to look at.

    One that reaches over the border of its image is moved inside; grey where none was found.
    """
    found = []
    for _, number, top, left, code in zip(*crops, strict=True):
        image = images[number] if number >= 0 else np.full_like(images[0], 0.5)
        y, x = np.clip((top, left), 0, np.array(image.shape[1:]) - shape)
        crop = image[:, y : y + shape[0], x : x + shape[1]]
        crop = crop[:, :, ::-1] if code & 1 else crop
        crop = crop[:, ::-1] if code & 2 else crop
        found.append(crop.swapaxes(1, 2) if code & 4 else crop)
    return np.stack(found)


def memorised_threshold(test_distance: np.ndarray, share: float = SUSPICIOUS) -> tuple[float, float]:
    """Distance below which an image counts as a copy, and the share of new real images that fall below it by chance.

    The threshold is the k-th smallest of the n distances of held-out real tiles, k = floor(share (n + 1)). A further
    held-out tile falls below it with probability k / (n + 1) exactly, whatever the distribution. Needs n >= 1 / share -
    1 tiles.
    """
    ordered = np.sort(_distances(test_distance, "test_distance"))
    k = int(np.floor(share * (len(ordered) + 1) + 1e-9))
    if k < 1:
        raise ValueError(f"at least {int(np.ceil(1 / share)) - 1} held-out tiles are needed, got {len(ordered)}")
    return float(ordered[k - 1]), k / (len(ordered) + 1)


def chance_share(test_distance: np.ndarray, groups: ArrayLike, share: float = SUSPICIOUS) -> float:
    """Share of real images of a new slice that `memorised_threshold` of the others gives away.

    Parameters
    ----------
    test_distance : (N,) of held-out real tiles
    groups : (N,) slice of each
        Tiles of one slice are alike, so the threshold varies more than that of as many independent tiles, and more new ones fall
        below it: each slice is left out in turn. Where each tile is of its own slice, or all are of one, it is k / (n + 1).
    """
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    several, known = int(numbers.max()) + 1, _distances(test_distance, "test_distance")
    chance = memorised_threshold(known, share)[1]
    if several in (1, len(numbers)):
        return chance
    below = 0
    for each in range(several):
        others = np.sort(known[numbers != each])
        below += np.sum(known[numbers == each] < at_rank(others, chance * (len(others) + 1)))
    # what is too much falls with the number of slices, of which there is one more than was left
    return float(chance + (below / len(known) - chance) * (several - 1) / several)


def memorised_share(synth_distance: np.ndarray, test_distance: np.ndarray, share: float = SUSPICIOUS) -> float:
    """Share of synthetic images nearer to a training crop than all but about 5 % of held-out real tiles are.

    Real images that were never trained on score `share` on average; a generator that copies scores 1.
    """
    threshold, _ = memorised_threshold(test_distance, share)
    return float(np.mean(_distances(synth_distance, "synth_distance") < threshold))


def _distances(distance: np.ndarray, name: str) -> np.ndarray:
    return check_array(distance, name, "(N,)").astype(np.float64)


# ------------------------------------------------------------------------------------------------------- whitening


def _whitening(images: Sequence[np.ndarray], side: int) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (2 r + 1, 2 r + 1) that makes the training images white up to `CUT` and of about unit variance.

    Of all kernels of this support with the symmetries of a square and without a response to constants, that whose
    response K comes closest to it: least squares of sqrt(P) K - L at all frequencies, with the mean spectrum P of windows
    of the images and the low-pass L.
    """
    radius = min(side // MARGIN, RADIUS)
    if not radius:
        return np.ones((1, 1), np.float32), np.ones((1, 1))
    power = _spectrum(images, side)
    if power.mean() < 1e-10:  # without contrast there is nothing to compare
        return np.zeros((1, 1), np.float32), np.ones((1, 1))
    frequency = np.fft.fftfreq(len(power))
    low_pass = np.exp(-(((frequency[:, None] ** 2 + frequency**2) / CUT**2) ** 2))
    orbits = [(i, j) for i in range(radius + 1) for j in range(i + 1)]
    at = np.abs(np.arange(-radius, radius + 1))
    larger, smaller = np.maximum(at[:, None], at), np.minimum(at[:, None], at)
    masks = [((larger == i) & (smaller == j)).astype(float) for i, j in orbits]
    phase = np.exp(2j * np.pi * frequency[:, None] * np.arange(-radius, radius + 1))
    responses = np.stack([(phase @ mask @ phase.T).real.ravel() for mask in masks], 1)
    weights = np.sqrt(power.ravel())[:, None]
    ridge = np.sqrt(LIFT * power.mean())
    constant = 1e3 * weights.max() * responses[:1]
    system = np.concatenate([weights * responses, ridge * responses, constant])
    target = np.concatenate([low_pass.ravel(), np.zeros(low_pass.size + 1)])
    kernel = np.tensordot(np.linalg.lstsq(system, target)[0], masks, 1)
    kernel -= kernel.mean()
    power *= np.abs(np.fft.fft2(kernel, power.shape)) ** 2
    return (kernel / np.sqrt(power.mean())).astype(np.float32), power / power.mean()


def _resampled(power: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Spectrum (n, n) at the frequencies of images of `shape`, or as it is along sides that are not longer."""
    size = np.maximum(shape, len(power))
    before = size // 2 - len(power) // 2
    after = size - len(power) - before
    lags = np.fft.fftshift(np.fft.ifft2(power).real)  # the autocorrelation
    lags = np.pad(lags, list(zip(before, after, strict=True)))
    return np.maximum(np.fft.fft2(np.fft.ifftshift(lags)).real, 0)


def _chance(image: np.ndarray, power: np.ndarray) -> float:
    """Standard deviation, up to a factor, of the correlation of (C, H, W) with unrelated images of spectrum `power`."""
    height, width = power.shape
    energy = np.abs(np.fft.fft2(image - image.mean((1, 2), keepdims=True), (height, width))) ** 2
    return float(np.sqrt((energy * power).sum() / max(energy.sum(), 1e-12)))


def _spectrum(images: Sequence[np.ndarray], side: int) -> np.ndarray:
    """Mean periodogram of windows of the images, with the symmetries of a square."""
    side = min(side, 8 * RADIUS)
    taper = hann(side, side)
    each = int(np.ceil(np.sqrt(WINDOWS / len(images))))
    power, count = np.zeros((side, side)), 0
    for image in images[:: max(1, len(images) // WINDOWS)]:
        for y in np.linspace(0, image.shape[1] - side, each).astype(int):
            for x in np.linspace(0, image.shape[2] - side, each).astype(int):
                window = image[:, y : y + side, x : x + side].astype(np.float64)
                window = (window - window.mean((1, 2), keepdims=True)) * taper
                power += (np.abs(np.fft.fft2(window)) ** 2).mean(0)
                count += 1
    power = (power + power.T) / (2 * count * (taper**2).sum())
    back = -np.arange(side) % side
    return (power + power[back] + power[:, back] + power[back][:, back]) / 4


def _filtered(images: np.ndarray, kernel: np.ndarray, workers: int) -> np.ndarray:
    """(N, C, H, W) convolved with the kernel by so many threads; mirrored at the borders."""
    from scipy.fft import irfft2, next_fast_len, rfft2

    radius = len(kernel) // 2
    images = images - images.mean((2, 3), keepdims=True)
    padded = np.pad(images, ((0, 0), (0, 0), (radius, radius), (radius, radius)), mode="symmetric")
    fast = [next_fast_len(side, real=True) for side in padded.shape[2:]]
    product = rfft2(padded, fast, workers=workers) * rfft2(kernel, fast)
    inner = slice(2 * radius, None)  # whatever wraps around lies before it
    return irfft2(product, fast, workers=workers)[:, :, inner, inner][:, :, : images.shape[2], : images.shape[3]]


def _low_passed(images: np.ndarray, step: int, first: tuple[int, int]) -> np.ndarray:
    """Every `step`-th pixel from `first` on, smoothed: a wider Gaussian blurs more away, a narrower one misses shifts."""
    from scipy.ndimage import gaussian_filter1d

    for axis, begin in enumerate(first, start=2):
        if step > 1:
            images = gaussian_filter1d(images, 0.55 * step, axis)
        images = images[(slice(None),) * axis + (slice(begin, None, step),)]
    return images
