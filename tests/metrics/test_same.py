"""One and the same image: equal, turned, shifted, saved anew; and no other, however few details images have."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from toy import texture
from veridical.core.orientation import turn
from veridical.metrics.novelty import nearest_crop
from veridical.metrics.same import numbered, own_crops, same_crops, simple


def jpeg(images, quality=90):
    saved = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(np.rint(image[0] * 255).astype(np.uint8)).save(file, "jpeg", quality=quality)
        saved.append(np.asarray(Image.open(file), np.float32)[None] / 255)
    return np.stack(saved)


CHANGES = {
    "equal": lambda x: x,
    "8 bits": lambda x: np.rint(x * 255) / 255,
    "saved with loss": jpeg,
    "another gain": lambda x: 0.1 + 0.7 * x**1.2,
    "a little noise": lambda x: np.clip(x + 0.005 * np.random.default_rng(0).standard_normal(x.shape), 0, 1),
}
IMAGES = texture(8, seed=3)


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(sorted(CHANGES)), st.integers(0, 7), st.integers(0, 7))
def test_an_image_is_the_same_however_it_is_turned_and_saved(change, code, k):
    again = turn(CHANGES[change](IMAGES[k : k + 1]), code, (2, 3)).astype(np.float32)
    assert numbered(np.concatenate([IMAGES, again])).tolist() == [*range(8), k]
    found = nearest_crop(again, list(IMAGES))
    assert same_crops(again, list(IMAGES), found).all() and found.image[0] == k


@pytest.mark.parametrize("sigma", [0.7, 2, 6], ids=["fine", "medium", "few details"])
def test_different_images_are_not(sigma):
    images = gaussian_filter(np.random.default_rng(0).standard_normal((80, 1, 32, 32)), (0, 0, sigma, sigma))
    images = ((images - images.min()) / np.ptp(images)).astype(np.float32)
    assert numbered(images).tolist() == list(range(80))
    assert not same_crops(images[:40], list(images[40:]), nearest_crop(images[:40], list(images[40:]))).any()


def test_simple_images_are_the_same_only_if_rounding_explains_what_differs():
    y, x = np.mgrid[:32, :32]
    radius, top, left = np.random.default_rng(0).uniform(((6,), (14,), (14,)), ((12,), (17,), (17,)), (3, 60))[
        ..., None, None
    ]
    discs = (1 / (1 + np.exp(np.hypot(y - top, x - left) - radius)))[:, None].astype(np.float32)
    assert simple(discs) and not simple(IMAGES)
    assert numbered(discs, exactly=True).tolist() == list(range(60))
    found = numbered(np.concatenate([discs, np.rint(discs[:9] * 255) / 255]), exactly=True)
    assert found.tolist() == [*range(60), *range(9)]


def test_another_measurement_of_one_place_is_another_image():
    noise = 0.03 * np.random.default_rng(1).standard_normal((2, 8, 1, 48, 48))
    smooth = gaussian_filter(IMAGES, (0, 0, 1.5, 1.5))
    first, second = np.clip(smooth + noise, 0, 1).astype(np.float32)
    assert numbered(np.concatenate([first, second])).tolist() == list(range(16))


def test_images_of_nothing_are_the_same_only_if_equal():
    images = np.stack([np.full((1, 8, 8), v, np.float32) for v in (0.2, 0.2, 0.3)])
    assert numbered(images).tolist() == [0, 0, 2]
    assert numbered(images[:1]).tolist() == [0]


def test_own_images_are_left_out_as_often_as_they_are_there():
    copies = [*IMAGES[:4], *(np.ascontiguousarray(np.rot90(x, 1, (1, 2))) for x in IMAGES[:4]), *texture(6, seed=9)]
    crops = nearest_crop(IMAGES, copies)
    own = own_crops(IMAGES, copies, crops, np.arange(8))
    assert own.shared.tolist() == [True] * 4 + [False] * 4
    assert [len(places) for places in own.apart] == [2] * 4 + [0] * 4
    assert crops.distance[:4].max() < 1e-3 and own.distance.min() > 0.2
    np.testing.assert_array_equal(own.distance[4:], crops.distance[4:])
    # nor do the images of its group count for an image
    together = own_crops(IMAGES, copies, crops, [0, 0, 1, 1, 1, 1, 1, 1])
    assert [len(places) for places in together.apart] == [4] * 8


def test_tiles_are_found_in_large_images_and_only_their_places_left_out():
    large = np.concatenate([np.concatenate(list(IMAGES[k : k + 2]), 2) for k in (0, 2, 4, 6)], 1)  # (1, 192, 96)
    tiles = np.stack([large[:, y : y + 48, x : x + 48] for y, x in ((5, 7), (60, 40), (144, 48))])
    own = own_crops(tiles, [large], nearest_crop(tiles, [large]), np.arange(3))
    assert own.apart == [[(0, 5, 7)], [(0, 60, 40)], [(0, 144, 48)]] and own.distance.min() > 0.2
    alone = nearest_crop(tiles[:1], [large[:, :60, :60]], apart=[[(0, 5, 7)]])
    assert alone.image.tolist() == [-1] and alone.distance.tolist() == [1]
