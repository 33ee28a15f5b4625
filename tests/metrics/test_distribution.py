"""Set metrics against closed forms, SciPy and direct definitions."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter

from veridical.data.open import open_dataset
from veridical.metrics import distribution
from veridical.metrics.surrogates import surrogates


def gaussian(n, d, seed, scale=1.0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, scale, (n, d))


def with_moments(n, mean, deviation, seed):
    """n rows whose sample mean and (diagonal) sample covariance are exactly these."""
    x = gaussian(n, len(mean), seed)
    q, _ = np.linalg.qr(x - x.mean(0))
    return q * np.sqrt(n - 1) * deviation + mean


def by_sqrtm(x, y):
    cx, cy = np.cov(x.T), np.cov(y.T)
    root = sqrtm(cx @ cy).real
    return np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(cx + cy - 2 * root)


def test_frechet_of_gaussians_in_closed_form():
    mean = np.array([1.0, -2.0, 0.5, 3.0])
    a, b = np.array([1.0, 2.0, 0.5, 4.0]), np.array([3.0, 0.1, 0.5, 2.0])
    x, y = with_moments(30, mean, a, 0), with_moments(50, mean * 0, b, 1)
    assert distribution.frechet(x, y) == pytest.approx(np.sum(mean**2) + np.sum((a - b) ** 2), rel=1e-10)


@pytest.mark.parametrize(("n", "m", "d"), [(60, 80, 20), (200, 30, 25)])
def test_frechet_equals_sqrtm_at_full_rank(n, m, d):
    x, y = gaussian(n, d, 0), gaussian(m, d, 1, 1.5, 0.3) @ gaussian(d, d, 2, 0.3)
    assert distribution.frechet(x, y) == pytest.approx(by_sqrtm(x, y), rel=1e-6)


def test_frechet_with_fewer_images_than_features():
    x, y = gaussian(8, 40, 0), gaussian(11, 40, 1, 2.0)
    cx, cy = np.cov(x.T), np.cov(y.T)
    # the trace of the root is the sum of roots of the eigenvalues of the product
    root = np.sqrt(np.clip(np.linalg.eigvals(cx @ cy).real, 0, None)).sum()
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(cx) + np.trace(cy) - 2 * root
    assert distribution.frechet(x, y) == pytest.approx(expected, rel=1e-5)


def test_frechet_of_a_set_with_itself_is_zero():
    x = gaussian(12, 30, 0)
    assert distribution.frechet(x, x) == pytest.approx(0, abs=1e-10)


def kid_by_loops(x, y):
    def k(a, b):
        return (a @ b / len(a) + 1) ** 3

    n, m = len(x), len(y)
    within_x = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    between = sum(k(x[i], y[j]) for i in range(n) for j in range(m)) / (n * m)
    return within_x + within_y - 2 * between


def test_kid_equals_the_double_loop():
    x, y = gaussian(9, 6, 0), gaussian(13, 6, 1, 1.3, 0.2)
    assert distribution.kid(x, y).value == pytest.approx(kid_by_loops(x, y), rel=1e-10)


def test_kid_standard_error_is_the_delete_one_jackknife():
    x, y = gaussian(9, 6, 0), gaussian(13, 6, 1, 1.3, 0.2)
    variance = 0
    for a, b, swap in ((x, y, False), (y, x, True)):
        left_out = [
            kid_by_loops(*((b, np.delete(a, k, 0)) if swap else (np.delete(a, k, 0), b))) for k in range(len(a))
        ]
        variance += (len(a) - 1) / len(a) * np.sum((left_out - np.mean(left_out)) ** 2)
    assert distribution.kid(x, y).se == pytest.approx(np.sqrt(variance), rel=1e-8)


def test_kid_is_unbiased():
    values = [distribution.kid(gaussian(10, 5, 2 * k), gaussian(14, 5, 2 * k + 1)).value for k in range(400)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
    assert min(values) < 0 < max(values)


def slices(count, tiles, correlation, rng, d=5):
    labels = np.repeat(np.arange(count), tiles)
    common, own = rng.normal(size=(count, d)), rng.normal(size=(count * tiles, d))
    return np.sqrt(correlation) * common[labels] + np.sqrt(1 - correlation) * own, labels


@pytest.mark.parametrize(("count", "tiles"), [(12, 5), (6, 20), (3, 4)])
def test_kid_of_slices_is_unbiased(count, tiles):
    """Tiles of a slice correlate: with their pairs two sets of one source would be at 0.08 to 0.2."""
    rng, by_slice, by_tile = np.random.default_rng(0), [], []
    for _ in range(300):
        (x, groups), y = slices(count, tiles, 0.3, rng), rng.normal(size=(40, 5))
        by_slice.append(distribution.kid(x, y, groups).value)
        by_tile.append(distribution.kid(x, y).value)
    error = np.std(by_slice) / np.sqrt(300)
    assert abs(np.mean(by_slice)) < 3 * error < np.mean(by_tile)


def test_kid_of_slices_by_loops():
    rng = np.random.default_rng(1)
    (x, gx), (y, gy) = slices(4, 3, 0.5, rng), slices(3, 2, 0.5, rng)

    def k(a, b):
        return (a @ b / len(a) + 1) ** 3

    def within(z, g):
        return np.mean([k(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if g[i] != g[j]])

    def value(x, gx, y, gy):
        return within(x, gx) + within(y, gy) - 2 * np.mean([k(a, b) for a in x for b in y])

    found = distribution.kid(x, y, gx, gy)
    assert found.value == pytest.approx(value(x, gx, y, gy), rel=1e-10)
    left_out = [value(x[gx != g], gx[gx != g], y, gy) for g in range(4)]
    other = [value(x, gx, y[gy != g], gy[gy != g]) for g in range(3)]
    variance = 3 / 4 * np.sum((left_out - np.mean(left_out)) ** 2) + 2 / 3 * np.sum((other - np.mean(other)) ** 2)
    assert found.se == pytest.approx(np.sqrt(variance), rel=1e-8)
    assert np.isnan(distribution.kid(x[:3], y, gx[:3], gy).value)


def test_kid_over_random_phase_is_a_ratio():
    x, y, p = gaussian(20, 6, 0), gaussian(20, 6, 1, 1.2), gaussian(20, 6, 2, 2.0)
    assert distribution.kid_over_random_phase(x, p, p) == 1
    expected = kid_by_loops(x, y) / kid_by_loops(x, p)
    assert distribution.kid_over_random_phase(x, y, p) == pytest.approx(expected, rel=1e-9)


def shares_by_loops(x, y, k):
    def radii(points):
        return [sorted(np.linalg.norm(p - q) for q in points)[k] for p in points]

    rx, ry = radii(x), radii(y)
    cx, cy = ([min(r, np.median(of)) for r in of] for of in (rx, ry))
    d = np.array([[np.linalg.norm(a - b) for b in y] for a in x])
    return {
        "precision_capped": np.mean([any(d[i, j] <= cx[i] for i in range(len(x))) for j in range(len(y))]),
        "recall_capped": np.mean([any(d[i, j] <= cy[j] for j in range(len(y))) for i in range(len(x))]),
        "coverage": np.mean([any(d[i, j] < rx[i] for j in range(len(y))) for i in range(len(x))]),
    }


@pytest.mark.parametrize("k", [1, 3])
def test_shares_equal_the_definition(k):
    x, y = gaussian(17, 3, 0), gaussian(21, 3, 1, 0.8, 0.7)
    found = distribution.neighbour_shares(x, y, k)
    assert found == pytest.approx(shares_by_loops(x, y, k), abs=1e-12)
    assert len({round(value, 6) for value in found.values()}) > 1


@pytest.mark.parametrize("seed", range(3))
def test_shares_of_ties(seed):
    """Points of a grid lie on each other and on rims: <= for precision and recall (Kynkäänniemi), < for coverage (prdc)."""
    rng = np.random.default_rng(seed)
    x, y = (rng.integers(0, 3, (n, 2)).astype(float) for n in (25, 20))
    assert distribution.neighbour_shares(x, y, 3) == pytest.approx(shares_by_loops(x, y, 3), abs=1e-12)
    same = np.zeros((9, 4))
    assert distribution.neighbour_shares(same, same, 3) == {"precision_capped": 1, "recall_capped": 1, "coverage": 0}


def test_shares_of_far_apart_sets():
    x = gaussian(10, 3, 0)
    assert set(distribution.neighbour_shares(x, x + 100, 3).values()) == {0}


def features(images):
    """Mean and deviation of the answers of two layers of random filters, logarithms: cheap, and not blind to phase."""
    generator = torch.Generator().manual_seed(0)
    answers, found = torch.from_numpy(np.ascontiguousarray(images, np.float32)) - 0.5, []
    for before, after in ((1, 24), (24, 48)):
        filters = torch.randn(after, before, 5, 5, generator=generator)
        if before == 1:
            filters -= filters.mean((2, 3), keepdim=True)  # edges, not grey levels
        filters = filters / filters.flatten(1).norm(dim=1)[:, None, None, None]
        answers = torch.nn.functional.conv2d(answers, filters).relu()
        found += [answers.mean((2, 3)), answers.std((2, 3))]
        answers = torch.nn.functional.avg_pool2d(answers, 2)
    return torch.log(torch.cat(found, 1) + 0.01).numpy()


def test_planted_levels_of_quality_come_in_order():
    """Three of fifty real tiles are binder alone: k-NN balls then hold blur and random phase, capped ones do not."""
    rng = np.random.default_rng(0)
    tiles = open_dataset("phantom:cmc?n=100&size=64&seed=3", 64, split="none", augment="none").tiles("train")[0]
    real, fresh = tiles[:50].copy(), tiles[50:]
    real[:3] = 0.2 + 0.02 * rng.standard_normal(real[:3].shape)
    sets = {
        "real": fresh,
        "slightly blurred": gaussian_filter(fresh, (0, 0, 0.6, 0.6)),
        "noisy": np.clip(fresh + rng.normal(0, 0.1, fresh.shape), 0, 1),
        "blurred": gaussian_filter(fresh, (0, 0, 2, 2)),
        "random phase": np.clip(surrogates(fresh, rng), 0, 1),
    }
    x = features(real)
    found = {name: distribution.neighbour_shares(x, features(images)) for name, images in sets.items()}
    for share in ("precision_capped", "recall_capped", "coverage"):
        best, slightly, noisy, *bad = (found[name][share] for name in sets)
        assert best > slightly > 1.5 * noisy and noisy >= min(bad), share
        assert max(bad) < 0.5 * slightly, share
    assert found["blurred"]["precision_capped"] == 0
    # as published, the precision praises what is blurred
    distance, y = distribution.distances(x, x), features(sets["blurred"])
    inside = distribution.distances(x, y) <= np.sort(distance, 1)[:, 5, None]
    assert inside.any(0).mean() == 1


def test_order_changes_nothing():
    x, y = gaussian(30, 10, 0), gaussian(25, 10, 1, 1.2)
    u, v = x[::-1], np.random.default_rng(2).permutation(y)
    assert distribution.frechet(u, v) == pytest.approx(distribution.frechet(x, y), rel=1e-9)
    assert distribution.kid(u, v) == pytest.approx(distribution.kid(x, y), rel=1e-9)
    assert distribution.neighbour_shares(u, v) == distribution.neighbour_shares(x, y)


@pytest.mark.parametrize("metric", [distribution.frechet, distribution.kid, distribution.neighbour_shares])
def test_too_few_images_are_refused(metric):
    with pytest.raises(ValueError, match="at least"):
        metric(gaussian(1, 4, 0), gaussian(30, 4, 1))


def test_features_of_different_length_are_refused():
    with pytest.raises(ValueError, match="features must be"):
        distribution.frechet(gaussian(9, 4, 0), gaussian(9, 5, 1))


def test_sums_over_groups_give_the_distance_of_any_groups():
    rng = np.random.default_rng(0)
    x, y, gx, gy = rng.normal(size=(30, 5)), rng.normal(size=(20, 5)), rng.integers(0, 6, 30), rng.integers(0, 4, 20)
    kxx, kyy, kxy = distribution.kernel(x, x, gx, gx), distribution.kernel(y, y, gy, gy), distribution.kernel(x, y)
    value = distribution.distance_of_groups(kxx, kyy, kxy, gx, gy)
    for a, b in (([0, 1, 2, 3, 4, 5], [0, 1, 2, 3]), ([0, 2, 5], [1, 3]), ([4], [0, 1])):
        i, j = np.flatnonzero(np.isin(gx, a)), np.flatnonzero(np.isin(gy, b))
        expected = distribution.mmd2(kxx[np.ix_(i, i)], kyy[np.ix_(j, j)], kxy[np.ix_(i, j)])
        np.testing.assert_allclose(value(i, j), expected, rtol=1e-12)
