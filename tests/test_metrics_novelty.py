"""Nearest training tiles and the share of copies."""

import numpy as np
import pytest

from veridical.metrics import novelty


@pytest.fixture(scope="module")
def train():
    return np.random.default_rng(0).random((30, 1, 16, 16), dtype=np.float32)


def eight_turns(image):
    return [np.rot90(flipped, k, axes=(1, 2)) for flipped in (image, image[:, :, ::-1]) for k in range(4)]


def test_copies_in_all_eight_orientations_are_found(train):
    copies = np.stack([turned for k in (3, 17) for turned in eight_turns(train[k])])
    found = novelty.nearest(copies, train)
    assert found.tile.tolist() == [3] * 8 + [17] * 8
    np.testing.assert_allclose(found.distance, 0, atol=1e-5)


def test_brightness_and_contrast_do_not_hide_a_copy(train):
    found = novelty.nearest(0.2 + 0.5 * train[[5]], train)
    assert found.tile.tolist() == [5]
    np.testing.assert_allclose(found.distance, 0, atol=1e-5)


def test_equals_the_direct_definition(train):
    images = np.random.default_rng(1).random((4, 1, 16, 16), dtype=np.float32)
    found = novelty.nearest(images, train)
    for k, image in enumerate(images):
        best = [max(np.corrcoef(turned.ravel(), tile.ravel())[0, 1] for turned in eight_turns(image)) for tile in train]
        assert found.tile[k] == np.argmax(best)
        assert found.distance[k] == pytest.approx(1 - max(best), abs=1e-5)


def test_memory_bound_changes_nothing(train, monkeypatch):
    images = np.random.default_rng(1).random((7, 1, 16, 16), dtype=np.float32)
    whole = novelty.nearest(images, train)
    monkeypatch.setattr(novelty, "CHUNK_BYTES", 4 * 16 * 16 * 4)
    parts = novelty.nearest(images, train)
    np.testing.assert_array_equal(parts.tile, whole.tile)
    np.testing.assert_allclose(parts.distance, whole.distance, atol=1e-6)


def test_colour_and_oblong_tiles():
    tiles = np.random.default_rng(0).random((5, 3, 8, 12), dtype=np.float32)
    found = novelty.nearest(tiles[:, :, ::-1, ::-1], tiles)
    assert found.tile.tolist() == list(range(5))
    upright = novelty.nearest(tiles[:, :, ::-1], tiles, orientations=False)
    assert (upright.distance > 0.5).all()


def test_images_without_contrast_are_near_nothing(train):
    flat = np.full((1, 1, 16, 16), 0.3, np.float32)
    assert novelty.nearest(flat, train).distance[0] == 1
    assert novelty.nearest(train[:1], np.concatenate([flat, train[:1]])).tile[0] == 1


def test_sizes_must_agree(train):
    with pytest.raises(ValueError, match="one size"):
        novelty.nearest(train[..., :8], train)


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
