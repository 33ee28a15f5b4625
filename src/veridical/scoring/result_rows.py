"""Result rows: numbers with their interval, floor and settings, or null and a reason."""

import hashlib

import numpy as np

from veridical.core.errors import InputError
from veridical.metrics import distribution
from veridical.metrics import paired as pairwise
from veridical.stats.groups import spread_evenly
from veridical.stats.jackknife import Interval, jackknife

NEIGHBOURS = 5
COPIES = "the synthetic images are the real images"
# name -> (function, range, definition)
PAIRED = {
    "ssim": (pairwise.ssim, (-1.0, 1.0), "Gaussian window, sigma 1.5, 11 x 11, data_range 1, channels averaged"),
    "psnr": (pairwise.psnr, (-np.inf, np.inf), "dB, data_range 1"),
    "lpips_efficientnet_lite0": (
        pairwise.lpips_efficientnet_lite0,
        (0.0, np.inf),
        "five stages, native size, uncalibrated",
    ),
}


def row(metric, value, n, *, low=None, high=None, floor=None, reason=None, settings=None) -> dict:
    values = {"metric": metric, "value": value, "low": low, "high": high, "n": n, "floor": floor}
    return values | {"reason": reason, "settings": settings or {}}


def null(metric, reason, n, settings=None) -> dict:
    """Row of a metric that cannot be computed."""
    return row(metric, None, n, reason=reason, settings=settings)


def interval_row(metric, interval: Interval, n, floor, settings) -> dict:
    settings = settings | {"interval": interval.method, "standard_error": interval.se}
    return row(metric, interval.value, n, low=interval.low, high=interval.high, floor=floor, settings=settings)


def copies_row(real, synth) -> dict:
    """Share of synthetic images that are a real image, pixel for pixel: a finding about the inputs, not a quality."""
    known = set(digests(real))
    copies = sum(digest in known for digest in digests(synth))
    finding = COPIES if copies == len(synth) else f"{copies} synthetic images are real images" if copies else None
    return row("copied_share", copies / len(synth), len(synth), floor=0.0, reason=finding)


def paired_rows(real, synth, groups) -> list[dict]:
    """SSIM, PSNR and LPIPS, averaged over the pairs that are not identical."""
    if len(real) != len(synth):
        raise InputError(f"paired scores need pairs, got {len(real)} real and {len(synth)} synthetic images")
    same = pairwise.identical(real, synth)
    if same.all():
        return [null(name, "identical inputs", len(real)) for name in PAIRED]
    real, synth, groups = real[~same], synth[~same], groups[~same]
    finding = f"{same.sum()} identical pairs left out" if same.any() else None
    rows = []
    for name, (metric, bounds, definition) in PAIRED.items():
        settings = {"definition": definition}
        if name == "ssim" and min(real.shape[-2:]) < 11:
            rows.append(null(name, "images are smaller than the window of 11 x 11 pixels", len(real), settings))
            continue
        values = metric(real, synth)
        interval = jackknife(lambda i, v=values: float(v[i].mean()), [groups], bounds=bounds)
        rows.append(interval_row(name, interval, len(values), None, settings) | {"reason": finding})
    return rows


def kid_rows(name, x, y, p, half, z, x_groups, y_groups, settings) -> list[dict]:
    """KID and its ratio to that of the random-phase images p, from kernel matrices computed once."""
    ratio_name = "kid_over_random_phase"
    settings = settings | {"kernel": "(x.y / d + 1)^3, unbiased, all pairs", "n_real": len(x), "n_synth": len(y)}
    if min(len(x), len(y)) < 2:
        return [null(metric, "needs at least 2 images a set", len(y), settings) for metric in (name, ratio_name)]
    kernel = distribution.kernel
    xx, yy, xy, pp, xp = kernel(x, x), kernel(y, y), kernel(x, y), kernel(p, p), kernel(x, p)

    def to_synth(i, j):
        return distribution.mmd2(xx[np.ix_(i, i)], yy[np.ix_(j, j)], xy[np.ix_(i, j)])

    def to_phase(i, k):
        return distribution.mmd2(xx[np.ix_(i, i)], pp[np.ix_(k, k)], xp[np.ix_(i, k)])

    floor = distribution.kid(half, z).value if min(len(half), len(z)) > 1 else None
    interval = jackknife(to_synth, [x_groups, y_groups], least=2)
    rows = [interval_row(name, interval, len(y), floor, settings)]
    p_groups = np.arange(len(p))
    settings = settings | {"n_random_phase": len(p)}
    scale = jackknife(to_phase, [x_groups, p_groups], least=2) if len(p) > 1 else None
    if scale is None or scale.low is None or scale.low <= 0:
        reason = "so few random-phase images cannot be told from the real ones, so they give no scale"
        return [*rows, null(ratio_name, reason, len(y), settings)]
    settings["kid_random_phase"] = scale.value
    interval = jackknife(lambda i, j, k: to_synth(i, j) / to_phase(i, k), [x_groups, y_groups, p_groups], least=2)
    floor = None if floor is None else floor / scale.value
    return [*rows, interval_row(ratio_name, interval, len(y), floor, settings)]


def equal_n_rows(fd, x, y, z, x_groups, y_groups, z_groups, settings) -> list[dict]:
    """Metrics that depend on n: equally many rows of real x, synthetic y and further real z, evenly over groups."""
    n = min(len(x), len(y), len(z))
    pick_x, pick_y, pick_z = (spread_evenly(groups, n) for groups in (x_groups, y_groups, z_groups))
    x, y, z, groups = x[pick_x], y[pick_y], z[pick_z], [x_groups[pick_x], y_groups[pick_y]]
    settings = settings | {"n_real": n, "n_synth": n}
    rows = []
    if n < 2:
        rows.append(null(fd, "needs at least 2 images a set and 2 more real ones for the floor", n, settings))
    else:
        interval = jackknife(lambda i, j: distribution.frechet(x[i], y[j]), groups, bounds=(0, np.inf), least=2)
        rows.append(interval_row(fd, interval, n, distribution.frechet(x, z), settings))
    k = NEIGHBOURS
    settings = settings | {"k": k}
    names = ("precision", "recall", "density", "coverage")
    if n <= k:
        reason = f"needs more than {k} images a set and as many more real ones for the floor (k = {k} neighbours)"
        return rows + [null(name, reason, n, settings) for name in names]
    floor = distribution.prdc(x, z, k)
    xx, yy, xy = (distribution.distances(a, b) for a, b in ((x, x), (y, y), (x, y)))
    for name in names:

        def value(i, j, name=name):
            return distribution.prdc_from_distances(xx[np.ix_(i, i)], yy[np.ix_(j, j)], xy[np.ix_(i, j)], k)[name]

        bounds = (0, np.inf) if name == "density" else (0, 1)
        interval = jackknife(value, groups, bounds=bounds, least=k + 1)
        rows.append(interval_row(name, interval, n, floor[name], settings))
    return rows


def digests(images) -> list[bytes]:
    """One hash an image; equal where all pixels are."""
    return [hashlib.sha256(image.tobytes()).digest() for image in images]


def format_rows(rows: list[dict]):
    """Rows as a `rich.table.Table`: value, interval, floor, n, and the reason or finding."""
    from rich.table import Column, Table

    table = Table(Column("metric", no_wrap=True), "value", "95 % interval", "real against real", "n", "remark")
    for row in rows:
        value, low, high, floor = (
            "–" if row[key] is None else f"{row[key]:.4g}" for key in ("value", "low", "high", "floor")
        )
        between = "–" if row["low"] is None else f"{low} to {high}"
        table.add_row(row["metric"], value, between, floor, str(row["n"]), row["reason"] or "")
    return table
