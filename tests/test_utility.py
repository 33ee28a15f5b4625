"""Usefulness of labelled images: the network learns, Dice counts right, bad pairs are refused."""

import numpy as np
import pytest

from veridical.errors import InputError
from veridical.utility import dice, predict_masks, train_segmentation


def pairs(n=24, size=32, seed=0):
    """Noisy discs, brighter than what is around them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    centre, radius = rng.uniform(8, 24, (n, 2, 1, 1)), rng.uniform(5, 10, (n, 1, 1))
    masks = (np.hypot(y - centre[:, 0], x - centre[:, 1]) < radius).astype(np.uint8)
    images = np.clip(0.4 + 0.2 * masks + 0.08 * rng.standard_normal(masks.shape), 0, 1)
    return images[:, None].astype(np.float32), masks


@pytest.fixture(scope="module")
def network():
    images, masks = pairs()
    return train_segmentation(images, masks, classes=2, steps=40, batch=8)


def test_network_learns_to_find_discs(network):
    images, masks = pairs(seed=1)
    found = predict_masks(network, images)
    assert found.dtype == np.uint8 and found.shape == masks.shape
    assert dice(masks, found)[1] > 0.85


def test_training_is_repeatable_and_leaves_the_global_generator_alone(network):
    import torch

    images, masks = pairs()
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    again = train_segmentation(images, masks, classes=2, steps=40, batch=8)
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))


def test_prediction_does_not_depend_on_the_batch(network):
    images, _ = pairs(seed=2)
    assert (predict_masks(network, images) != predict_masks(network, images, batch=5)).mean() < 1e-3


def test_unlabelled_pixels_are_not_learned_from():
    images, masks = pairs()
    masks[:, :, 16:] = 255
    network = train_segmentation(images, masks, classes=2, steps=2, batch=4)
    assert set(np.unique(predict_masks(network, images))) <= {0, 1}


def test_dice_of_known_overlap():
    true = np.array([[0, 0, 1, 1, 255, 255]], np.uint8)
    predicted = np.array([[0, 1, 1, 1, 2, 0]], np.uint8)
    assert dice(true, predicted) == pytest.approx({0: 2 / 3, 1: 4 / 5})
    assert dice(true, true) == {0: 1.0, 1: 1.0}
    assert dice(np.zeros(3, np.uint8), np.full(3, 2, np.uint8)) == {0: 0.0, 2: 0.0}


def test_bad_pairs_are_refused():
    images, masks = pairs(4)
    with pytest.raises(InputError, match="pairs"):
        train_segmentation(images, masks[:3], classes=2)
    with pytest.raises(InputError, match="number 1"):
        train_segmentation(images, masks, classes=1)
    with pytest.raises(InputError, match="shape"):
        dice(masks, masks[:2])
    with pytest.raises(InputError, match="labelled"):
        dice(np.full(3, 255, np.uint8), np.zeros(3, np.uint8))
