"""Usefulness of labelled images: the network learns, Dice counts right, bad pairs are refused."""

import re

import numpy as np
import pytest
import torch

from veridical.core.errors import InputError
from veridical.data.images import save_png
from veridical.nets.segmentation import _dice_loss, predict_masks, train_segmentation
from veridical.scoring.utility import dice, utility


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


def test_training_is_repeatable_and_leaves_the_global_generator_alone():
    images, masks = pairs()
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    one, again = (train_segmentation(images, masks, classes=2, steps=4, batch=8) for _ in range(2))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), again.parameters(), strict=True))


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


def test_dice_loss_of_certain_predictions_is_one_minus_dice():
    true = np.array([[[0, 0, 1, 1, 255, 255]]], np.uint8)
    predicted = np.array([[[0, 1, 1, 1, 2, 0]]])
    scores = 100 * torch.eye(3)[torch.from_numpy(predicted)].permute(0, 3, 1, 2)
    known = dice(true, predicted.astype(np.uint8))
    loss = _dice_loss(scores, torch.from_numpy(true.astype(np.int64)))
    assert loss.item() == pytest.approx(1 - (known[0] + known[1]) / 2, abs=1e-6)  # class 2 is nowhere
    assert _dice_loss(scores, torch.full((1, 1, 6), 255)).item() == 0


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


def folder(place, images, masks, group):
    (place / "masks").mkdir(parents=True)
    for k, (image, mask) in enumerate(zip(images, masks, strict=True)):
        name = f"{group}{k // 4}_r0c{k % 4}.png"
        save_png(place / name, np.round(255 * image[0]).astype(np.uint8))
        save_png(place / "masks" / name, 255 * mask)
    return place


def test_good_pairs_are_of_use_and_pairs_without_relation_are_not(tmp_path):
    real = folder(tmp_path / "real", *pairs(40), "a")
    good = folder(tmp_path / "good", *pairs(24, seed=5), "b")
    images, masks = pairs(24, seed=6)
    bad = folder(tmp_path / "bad", images, 1 - masks, "c")
    said = []
    found = {
        which: {
            row["metric"]: row
            for row in utility(real, which, size=32, seeds=2, steps=10, progress=lambda share, note: said.append(share))
        }
        for which in (good, bad)
    }
    rows = found[good]
    assert all(rows[f"dice_{name}"]["value"] > 0.7 for name in ("real", "synth", "both"))
    assert rows["dice_real"]["low"] <= rows["dice_real"]["value"] <= rows["dice_real"]["high"]
    gain = rows["dice_synth_minus_real"]
    assert gain["value"] == pytest.approx(rows["dice_synth"]["value"] - rows["dice_real"]["value"])
    assert gain["settings"]["train_tiles"]["both"] == gain["settings"]["train_tiles"]["real"] + 24
    assert found[bad]["dice_synth"]["value"] < 0.4 and found[bad]["dice_synth_minus_real"]["high"] < 0
    assert said == sorted(said[: len(said) // 2]) * 2 and said[-1] == 1.0


def test_held_out_images_among_the_synthetic_ones_are_said(tmp_path, monkeypatch):
    from veridical.scoring import utility as room

    monkeypatch.setattr(room, "train_segmentation", lambda *args, **more: None)
    monkeypatch.setattr(
        room, "predict_masks", lambda network, images: np.zeros(images.shape[:1] + images.shape[2:], np.uint8)
    )
    images, masks = pairs(40)
    real = folder(tmp_path / "real", images, masks, "a")
    leaky = folder(tmp_path / "leaky", images[:, :, ::-1], masks[:, ::-1], "b")
    fair = folder(tmp_path / "fair", *pairs(24, seed=5), "c")
    rows = utility(real, leaky, size=32, seeds=2, steps=1)
    assert all("held-out real tiles are among the synthetic ones" in row["remark"] for row in rows)
    assert all(row["remark"] is None for row in utility(real, fair, size=32, seeds=2, steps=1))
    found = room.jackknife
    few = {"low": None, "method": "none: few"}
    monkeypatch.setattr(room, "jackknife", lambda *args, **more: found(*args, **more)._replace(**few))
    rows = utility(real, leaky, size=32, seeds=2, steps=1)
    assert all(re.match(r"no interval: few; \d+ of the", row["remark"]) for row in rows)


def test_masks_of_other_classes_are_refused(tmp_path):
    images, masks = pairs(24)
    real = folder(tmp_path / "real", images, masks, "a")
    other = folder(tmp_path / "other", images, masks, "b")
    save_png(other / "masks" / "b0_r0c0.png", np.full((32, 32), 7, np.uint8))
    with pytest.raises(InputError, match="holds the value 7"):
        utility(real, other, size=32, seeds=2, steps=1)
    with pytest.raises(InputError, match="seed"):
        utility(real, other, size=32, seeds=1, steps=1)
