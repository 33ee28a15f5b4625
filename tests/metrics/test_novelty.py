"""Nearest training crops and the share of copies."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from veridical.core.orientation import turn, unturn
from veridical.metrics import correlation, novelty
from veridical.metrics.correlation import ahead


def textures(n, height, width, seed, channels=1):
    """A grainy material: coarse and fine structure over each other, in [0, 1]."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n, channels, height, width))
    images = sum(s**1.5 * gaussian_filter(noise, (0, 0, s, s)) for s in (1, 3, 8)) / 2
    return np.clip(0.5 + 0.25 * images, 0, 1).astype(np.float32)


def turned(image, code):
    return turn(image.transpose(1, 2, 0), code).transpose(2, 0, 1)


def crops_of(images, n, size, seed, orientations=8):
    """Random crops in random orientations, (N, C, size, size), and (image, top, left, orientation) of each."""
    rng = np.random.default_rng(seed)
    crops, places = [], []
    for _ in range(n):
        k, code = int(rng.integers(len(images))), int(rng.integers(orientations))
        y, x = (int(rng.integers(side - size + 1)) for side in images[k].shape[1:])
        crops.append(turned(images[k][:, y : y + size, x : x + size], code))
        places.append((k, y, x, code))
    return np.stack(crops), np.array(places)


def places_of(found):
    return np.stack(found[1:], 1)


@pytest.fixture(scope="module")
def images():
    return [*textures(3, 150, 190, 0), *textures(2, 120, 100, 1)]


@pytest.mark.parametrize(("size", "orientations"), [(64, 8), (33, 8), (16, 8), (32, 2), (32, 1)])
def test_crops_are_found_where_they_lie_and_as_they_are_turned(images, size, orientations):
    tiles, places = crops_of(images, 40, size, 2, orientations)
    found = novelty.nearest_crop(tiles, images, orientations=orientations)
    assert np.mean((places_of(found) == places).all(1)) == 1
    np.testing.assert_allclose(found.distance, 0, atol=1e-4)
    np.testing.assert_array_equal(novelty.cut_crops(images, found, (size, size)), tiles)


def test_other_orientations_are_not_searched(images):
    tiles, _ = crops_of(images, 10, 64, 3, 1)
    assert (novelty.nearest_crop(tiles[:, :, ::-1], images, orientations=2).distance > 0.2).all()
    assert (novelty.nearest_crop(tiles[:, :, :, ::-1], images, orientations=2).distance < 1e-4).all()
    assert (novelty.nearest_crop(tiles[:, :, :, ::-1], images, orientations=1).distance > 0.2).all()


def damages():
    rng = np.random.default_rng(9)
    return {
        "noise": lambda x: x + 0.04 * rng.standard_normal(x.shape),
        "blur": lambda x: gaussian_filter(x, (0, 0, 1.5, 1.5)),
        "contrast": lambda x: 0.2 + 0.5 * x**1.3,
        "shift": lambda x: np.roll(x, (2, -3), (2, 3)),
        "all": lambda x: 0.3 + 0.4 * gaussian_filter(x, (0, 0, 1, 1)) + 0.01 * rng.standard_normal(x.shape),
    }


@pytest.mark.parametrize("damage", damages())
def test_damaged_copies_are_copies(images, damage):
    copies = damages()[damage](crops_of(images, 60, 64, 4)[0])
    test = crops_of(textures(4, 150, 190, 5), 60, 64, 6)[0]
    found, held_out = (novelty.nearest_crop(tiles, images).distance for tiles in (copies, test))
    assert novelty.memorised_share(found, held_out) > 0.95


def test_new_images_are_no_copies_nor_are_blurred_ones(images):
    """Without whitening every image that is blurred enough correlates with some crop."""
    others = textures(8, 150, 190, 7)
    test, fresh = crops_of(others[:4], 100, 64, 8)[0], crops_of(others[4:], 100, 64, 9)[0]
    held_out = novelty.nearest_crop(test, images).distance
    assert novelty.memorised_share(novelty.nearest_crop(fresh, images).distance, held_out) < 0.16
    for sigma in (1, 2, 4):
        blurred = gaussian_filter(fresh, (0, 0, sigma, sigma))
        assert novelty.memorised_share(novelty.nearest_crop(blurred, images).distance, held_out) < 0.25


def test_equals_the_direct_definition(images):
    """The distance is that of the whitened pixels at the place that is told, and no neighbour is nearer."""
    tiles = crops_of(textures(1, 150, 190, 11), 12, 64, 12)[0]
    found = novelty.nearest_crop(tiles, images)
    kernel, power = novelty._whitening(images, 64)
    white = [novelty._filtered(image[None], kernel, 1)[0, 0] for image in images]
    assert np.std(np.concatenate([w.ravel() for w in white])) == pytest.approx(1, rel=0.1)
    inside = 0
    for k, tile in enumerate(novelty._filtered(tiles, kernel, 1)):
        middle = unturn(tile[0, 8:56, 8:56], found.orientation[k])
        whole, y, x = white[found.image[k]], found.top[k] + 8, found.left[k] + 8
        crop = whole[y : y + 48, x : x + 48]
        smooth = min(1, novelty._chance(crop[None], power) / novelty._chance(middle[None], power))
        r = np.corrcoef(middle.ravel(), crop.ravel())[0, 1]
        assert found.distance[k] == pytest.approx(1 - r * smooth, abs=1e-3)
        if min(y, x) > 0 and y + 48 < whole.shape[0] and x + 48 < whole.shape[1]:
            inside += 1
            for dy, dx in np.ndindex(3, 3):
                other = whole[y + dy - 1 :, x + dx - 1 :][:48, :48]
                assert np.corrcoef(middle.ravel(), other.ravel())[0, 1] < r + 1e-3
    assert inside > 3


def test_correlations_have_the_spread_that_is_expected_by_chance(images):
    """Whatever the image: the standard deviation of its correlation with unrelated ones goes as `_chance` says."""
    kernel, power = novelty._whitening(images, 64)
    windows = novelty._filtered(crops_of(textures(6, 150, 190, 20), 300, 64, 21)[0], kernel, 1)[:, :, 8:56, 8:56]
    unrelated = correlation.unit(windows).reshape(len(windows), -1)
    sharp = textures(20, 64, 64, 22)
    ratios = []
    for sigma in (0, 1, 2, 4):
        tiles = novelty._filtered(gaussian_filter(sharp, (0, 0, sigma, sigma)), kernel, 1)[:, :, 8:56, 8:56]
        spread = (correlation.unit(tiles).reshape(20, -1) @ unrelated.T).std()
        ratios.append(spread / np.mean([novelty._chance(tile, power) for tile in tiles]))
    np.testing.assert_allclose(ratios, ratios[0], rtol=0.12)


def test_images_as_small_as_tiles():
    """A copy that is shifted a little is still found; images smaller than a tile are left out."""
    train = textures(60, 64, 64, 13)
    shifted = np.roll(train[20:40], (5, -4), (2, 3))
    found = novelty.nearest_crop(shifted, [train[0][:, :40], *train])
    assert found.image.tolist() == list(range(21, 41))
    assert (found.top == -5).all() and (found.left == 4).all() and (found.distance < 0.1).all()
    assert novelty.cut_crops([train[0][:, :40], *train], found, (64, 64)).shape == (20, 1, 64, 64)
    with pytest.raises(ValueError, match="as large as a tile, 64 x 64"):
        novelty.nearest_crop(shifted, [train[0][:, :40]])
    with pytest.raises(ValueError, match="as many channels"):
        novelty.nearest_crop(np.repeat(shifted, 3, 1), list(train))


def test_colour_and_oblong_tiles():
    images = list(textures(3, 90, 110, 14, channels=3))
    tiles, places = crops_of(images, 12, 48, 15)
    assert (places_of(novelty.nearest_crop(tiles, images)) == places).all()
    oblong = np.stack([image[:, 10:58, 20:84] for image in images])[:, :, ::-1]
    found = novelty.nearest_crop(oblong, images)
    assert (
        found.orientation.tolist() == [2, 2, 2] and found.top.tolist() == [10] * 3 and found.left.tolist() == [20] * 3
    )
    np.testing.assert_array_equal(novelty.cut_crops(images, found, (48, 64)), oblong)


def test_images_without_contrast_are_near_nothing(images):
    flat = np.full((2, 1, 64, 64), 0.3, np.float32)
    tiles = np.concatenate([flat, crops_of(images, 2, 64, 16)[0]])
    with np.errstate(all="raise", under="ignore"):
        found = novelty.nearest_crop(tiles, [np.full((1, 80, 80), 0.3, np.float32), *images])
        assert (found.distance[:2] == 1).all() and (found.distance[2:] < 1e-3).all()
        assert (novelty.nearest_crop(tiles, list(flat)).distance == 1).all()
    assert (found.image[2:] > 0).all()


def test_blocks_change_little(images, monkeypatch):
    tiles, places = crops_of(images, 30, 64, 17)
    monkeypatch.setattr(correlation, "LINES", 8)
    monkeypatch.setattr(correlation, "BLOCK", 37)
    monkeypatch.setattr(correlation, "CHUNK", 5000)
    assert (places_of(novelty.nearest_crop(tiles, images)) == places).all()


def test_threads_change_nothing(images, monkeypatch):
    from scipy.fft import set_workers

    tiles, _ = crops_of(images, 30, 64, 18)
    monkeypatch.setattr(correlation, "LINES", 16)  # several groups of tiles
    alone = novelty.nearest_crop(tiles, images)
    with set_workers(3):
        together = novelty.nearest_crop(tiles, images)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("n", [19, 50, 200])
def test_real_images_score_the_stated_share(n):
    """Of new draws from the held-out distribution, k / (n + 1) fall below the threshold, whatever the distribution."""
    rng = np.random.default_rng(n)
    shares = []
    for _ in range(2000):
        threshold, chance = novelty.memorised_threshold(rng.lognormal(size=n))
        shares.append(np.mean(rng.lognormal(size=20) < threshold))
    assert chance <= 0.05
    assert np.mean(shares) == pytest.approx(chance, abs=4 * np.std(shares) / np.sqrt(2000))


def test_copies_score_one_and_too_few_tiles_are_refused():
    test = np.linspace(0.5, 0.9, 40)
    assert novelty.memorised_share(np.full(10, 0.01), test) == 1
    assert novelty.memorised_share(np.full(10, 0.7), test) == 0
    with pytest.raises(ValueError, match="19 held-out"):
        novelty.memorised_share(np.full(10, 0.01), test[:18])


def test_ahead_keeps_the_order_is_one_ahead_and_passes_errors_on():
    begun = []

    def double(k):
        begun.append(k)
        return 2 * k if k < 5 else 1 / 0

    with ThreadPoolExecutor(1) as pool:
        assert list(ahead(pool, double, [])) == []
        assert list(ahead(pool, double, [3])) == [6]
        begun.clear()
        found = ahead(pool, double, range(8))
        assert next(found) == 0
        pool.submit(int).result()  # after what was submitted before
        assert begun == [0, 1]
        assert [next(found) for _ in range(4)] == [2, 4, 6, 8]
        with pytest.raises(ZeroDivisionError):
            next(found)


def test_more_fall_below_the_threshold_of_few_slices():
    """Tiles of 6 slices, alike within each: of independent new tiles more than k / (n + 1) are below; single tiles: exactly."""
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(6), 20)
    found, below = [], []
    for _ in range(300):
        known = np.sqrt(0.7) * rng.normal(size=6)[labels] + np.sqrt(0.3) * rng.normal(size=120)
        found.append(novelty.chance_share(known, labels))
        below.append(np.mean(rng.normal(size=200) < novelty.memorised_threshold(known)[0]))
    error = np.hypot(np.std(found), np.std(below)) / np.sqrt(300)
    assert abs(np.mean(found) - np.mean(below)) < 3 * error and np.mean(below) > 6 / 121 + 3 * error
    assert novelty.chance_share(known, np.arange(120)) == novelty.chance_share(known, np.zeros(120)) == 6 / 121
