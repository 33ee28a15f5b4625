"""Augmentation in front of the discriminator: same range, differentiable, exact turns, adaptive probability."""

import pytest
import torch

from veridical.core.batch import Batch
from veridical.core.errors import InputError
from veridical.nets.augment import Augmentation, _grid, _moved
from veridical.nets.equalised import GROUP, minibatch_deviation


def batch(n: int = 8, step: int = 0) -> Batch:
    image = torch.rand(n, 1, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return Batch.at(image, {}, seed=0, step=step, start=0, total=n)


def _move(image, on, amount):
    return _moved(image, _grid(image, on, amount), "bilinear")


def test_none_and_probability_zero_change_nothing():
    one = batch()
    assert Augmentation("none")(one.image, one) is one.image
    adaptive = Augmentation("adaptive")(one.image, one)
    assert torch.allclose(adaptive, one.image, atol=1e-5)


def test_fixed_changes_most_images_and_lets_gradients_through():
    one = batch()
    image = one.image.clone().requires_grad_()
    changed = Augmentation("fixed", 1.0)(image, one)
    assert changed.shape == image.shape
    assert ((changed - image).abs().amax((1, 2, 3)) > 0.1).all()
    changed.sum().backward()
    assert (image.grad.abs().amax((1, 2, 3)) > 0).all()


def test_one_image_drawn_again_and_again_still_looks_like_one():
    """Changed each by itself, images of a collapsed generator would pass for different ones."""
    one = batch()
    image = one.image[:1].expand(8, -1, -1, -1)
    apart = Augmentation("fixed", 1.0)(image, batch())
    alike = Augmentation("fixed", 1.0, together=GROUP)(image, batch())
    deviation = lambda x: minibatch_deviation(x)[:, -1, 0, 0]  # noqa: E731
    assert (deviation(alike) < 1e-3).all() and (deviation(apart) > 0.1).all()
    assert (alike[0] - alike[1]).abs().max() > 0.1  # of another group
    odd = Augmentation("fixed", 1.0, together=GROUP)(image[:6], batch(6))
    assert odd.shape == (6, 1, 16, 16) and (deviation(odd) < 1e-3).all()


def test_turns_and_flips_are_exact():
    image = batch().image
    on = torch.zeros(8, 6)
    on[:, 0] = 1
    amount = torch.zeros(8, 10)
    amount[:, 0] = torch.arange(8) % 4 / 4 + 0.1
    amount[:, 1] = torch.where(torch.arange(8) < 4, 0.1, 0.9)
    moved = _move(image, on, amount)
    for before, after in zip(image, moved, strict=True):
        turned = [torch.rot90(b, k, (1, 2)) for b in (before, before.flip(2)) for k in range(4)]
        assert min((t - after).abs().max() for t in turned) < 1e-5
    # All eight of one image differ.
    eight = _move(image[:1].expand(8, -1, -1, -1), on, amount).flatten(1)
    assert (torch.cdist(eight, eight) + torch.eye(8)).min() > 0.1


def test_a_shift_moves_whole_pixels():
    image = batch().image
    on = torch.zeros(8, 6)
    on[:, 2] = 1
    amount = torch.rand(8, 10, generator=torch.Generator().manual_seed(0))
    inside = _move(image, on, amount)[:, :, 4:-4, 4:-4]
    windows = image.unfold(2, 8, 1).unfold(3, 8, 1).flatten(2, 3)
    assert ((windows - inside[:, :, None]).abs().amax((1, 3, 4)).amin(1) < 1e-4).all()


def test_the_probability_rises_while_the_discriminator_is_sure_and_falls_again():
    augment = Augmentation("adaptive", tiles=80)
    for _ in range(4):
        augment.adapt(torch.ones(8), batch(8))
    assert augment.probability == pytest.approx(0.4)
    augment.adapt(-torch.ones(8), batch(8))
    assert augment.probability == pytest.approx(0.3)
    for _ in range(20):
        augment.adapt(torch.ones(8), batch(8))
    assert augment.probability == pytest.approx(0.8)
    assert "probability" in augment.state_dict()
    # A process that has half of a batch counts all of it.
    half = Batch.at(batch(8).image, {}, seed=0, step=0, start=0, total=16)
    augment.adapt(-torch.ones(8), half)
    assert augment.probability == pytest.approx(0.6)


def test_two_processes_see_the_changes_of_one():
    whole = batch(8)
    augment = Augmentation("fixed", 1.0)
    together = augment(whole.image, whole)
    half = Batch.at(whole.image[4:], {}, seed=0, step=0, start=4, total=8)
    assert torch.equal(augment(half.image, half), together[4:])


def test_an_unknown_mode_is_refused():
    with pytest.raises(InputError, match="adaptive"):
        Augmentation("lots")


def test_maps_beside_images_move_and_keep_their_values():
    image = torch.rand(16, 1, 32, 32)
    augment = Augmentation("fixed", probability=1.0)
    first, second = (Batch.at(image, {}, seed=0, step=0, start=0, total=16) for _ in range(2))
    shown = augment(image, first, beside=torch.ones(16, 2, 32, 32))
    assert shown.shape == (16, 3, 32, 32)
    maps = shown[:, :2]
    assert (((maps - 1).abs() < 1e-5) | (maps == 0)).all()  # 0 where a square is blank
    assert torch.equal(shown[:, 2:], augment(image, second))


def test_maps_beside_images_keep_whole_classes():
    """Every pixel is of one class or, under the blank square, of none; where nothing is resampled both move exactly alike."""
    classes = torch.randint(0, 3, (32, 16, 16))
    maps = torch.nn.functional.one_hot(classes, 3).permute(0, 3, 1, 2).float()
    image = torch.rand(32, 1, 16, 16)
    shown = Augmentation("fixed", probability=1.0)(image, Batch.at(image, {}, seed=0, step=0, start=0, total=32), maps)
    assert set(shown[:, :3].unique().tolist()) == {0.0, 1.0}
    assert ((shown[:, :3].sum(1) == 1) | (shown[:, :3].sum(1) == 0)).all()
    on, amount = torch.zeros(32, 6), torch.rand(32, 10)
    on[:, [0, 2]] = 1  # turns, flips and shifts by whole pixels
    grid = _grid(maps, on, amount)
    assert torch.allclose(_moved(maps, grid, "nearest"), _moved(maps, grid, "bilinear"), atol=1e-4)
