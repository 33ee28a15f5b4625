"""pix2pix and CycleGAN: conditions, seeds, the pool and what translation keeps."""

import pytest
import torch

from veridical.core.batch import Batch, ImageNoise
from veridical.core.errors import InputError
from veridical.models.gan.cyclegan import CycleGAN, Pool, _apart
from veridical.models.gan.pix2pix import Pix2Pix, one_hot


def train(model, batches, lr=2e-3):
    rates = {k: lr * getattr(model, "rates", {}).get(k, 1.0) for k in model.parts}
    optimisers = {k: torch.optim.Adam(part.parameters(), rates[k], (0.5, 0.999)) for k, part in model.parts.items()}
    for step, batch in enumerate(batches):
        for part, loss in model.losses(batch, step):
            assert loss.dim() == 0 and torch.isfinite(loss)
            optimisers[part].zero_grad()
            torch.autograd.backward(loss, inputs=list(model.parts[part].parameters()))
            optimisers[part].step()


def stripes(n, size=32, classes=3, seed=0):
    """Masks of vertical stripes."""
    generator = torch.Generator().manual_seed(seed)
    shift = torch.randint(0, 12, (n, 1, 1), generator=generator)
    return ((torch.arange(size) + shift) // 4 % classes).to(torch.uint8).expand(n, size, size).contiguous()


def at(image, cond, step=0):
    return Batch.at(image, cond, seed=0, step=step, start=0, total=len(image))


def test_pixels_without_a_label_belong_to_no_class():
    hot = one_hot(torch.tensor([[[0, 2, 255]]], dtype=torch.uint8), 3)
    assert hot.tolist() == [[[[1, 0, 0]], [[0, 0, 0]], [[0, 1, 0]]]]


@pytest.mark.parametrize(("channels", "augmentation"), [(1, "none"), (3, "adaptive")])
def test_pix2pix_learns_the_grey_level_of_each_class(channels, augmentation):
    torch.manual_seed(0)
    model = Pix2Pix(channels, 32, classes=3, width=8, augmentation=augmentation)
    levels = torch.tensor([-0.6, 0.1, 0.7])

    def batch(step):
        mask = stripes(4, seed=step)
        return at(levels[mask.long()].unsqueeze(1).repeat(1, channels, 1, 1), {"mask": mask}, step)

    train(model, map(batch, range(40)))
    mask = stripes(3, seed=1000)
    with torch.no_grad():
        images = model.eval().sample(3, {"mask": mask}, ImageNoise(0, range(3)))
    assert images.shape == (3, channels, 32, 32)
    assert (images[:, 0] - levels[mask.long()]).abs().mean() < 0.15


def test_pix2pix_draws_different_images_of_one_mask_that_depend_on_seed_and_number_alone():
    torch.manual_seed(0)
    model = Pix2Pix(1, 32, classes=3, width=8).eval()
    mask = stripes(1).expand(4, 32, 32)
    with torch.no_grad():
        together = model.sample(4, {"mask": mask}, ImageNoise(5, range(4)))
        alone = model.sample(1, {"mask": mask[:1]}, ImageNoise(5, [2]))
        other = model.sample(1, {"mask": mask[:1]}, ImageNoise(6, [2]))
    spread = (together[0] - together[2]).abs().max()
    assert spread > 0
    assert (together[2] - alone[0]).abs().max() < 0.05 * spread
    assert (other - alone).abs().max() > 0.2 * spread


@pytest.mark.parametrize("dropout", [0.0, 1.0])
def test_pix2pix_without_noise_is_refused(dropout):
    with pytest.raises(InputError, match="dropout"):
        Pix2Pix(1, 32, dropout=dropout)


def test_the_dropped_share_is_the_same_in_training_and_sampling():
    model = Pix2Pix(1, 32, classes=2, width=8, dropout=0.2)
    shares = []
    model.generator.forward = lambda x, keep: shares.append(keep((64, 32, 32)).float().mean().item()) or x[:, :1]
    mask = torch.zeros(2, 32, 32, dtype=torch.uint8)
    model.sample(2, {"mask": mask}, ImageNoise(0, range(2)))
    next(model.losses(at(torch.zeros(2, 1, 32, 32), {"mask": mask}), 0))
    assert shares == pytest.approx([0.8, 0.8], abs=0.01)


def test_pool_fills_up_then_gives_back_old_images_half_of_the_time():
    pool, swapped, seen = Pool(10, 1, 4), 0, set()
    for step in range(60):
        fake = torch.arange(4 * step, 4 * step + 4.0).reshape(4, 1, 1, 1).expand(4, 1, 4, 4)
        given = pool.exchange(fake, at(fake, {}, step))
        if step < 2:
            assert torch.equal(given, fake)
        numbers = given[:, 0, 0, 0].tolist()
        assert not seen & set(numbers)  # a swapped image has not been shown twice, and was generated once
        if step >= 3:
            seen |= {n for n in numbers if n < 4 * step}
            swapped += sum(n < 4 * step for n in numbers)
    assert int(pool.filled) == 10
    assert 0.35 < swapped / (57 * 4) < 0.65


def test_pool_is_part_of_the_weights():
    names = CycleGAN(1, 32, width=16, blocks=1).state_dict()
    assert {"pools.image.images", "pools.image.filled", "pools.source.images"} <= set(names)


def test_cyclegan_begins_by_changing_little_and_takes_images_of_any_size():
    model = CycleGAN(3, 32, width=16, blocks=1)
    source, noise = torch.rand(2, 3, 51, 37) * 2 - 1, ImageNoise(0, range(2))
    with torch.no_grad():
        there, back = model.sample(2, {"source": source}, noise), model.back(source, noise)
    assert there.shape == back.shape == source.shape
    assert 0 < (there - source).abs().mean() < 0.5 and 0 < (back - source).abs().mean() < 0.5


def test_cyclegan_draws_grain_that_depends_on_seed_and_number_alone():
    model = CycleGAN(1, 32, width=16, blocks=1)
    source = torch.zeros(3, 1, 32, 32)

    def drawn(seed, numbers):
        with torch.no_grad():
            return model.sample(len(numbers), {"source": source[: len(numbers)]}, ImageNoise(seed, numbers))

    assert drawn(0, range(3)).var(0).max() < 1e-10  # the strength of noise begins at zero
    for name, value in model.named_parameters():
        if name.endswith("strength"):
            torch.nn.init.ones_(value)
    spread = drawn(0, range(3)).std(0).mean()
    assert spread > 0.01
    assert (drawn(0, range(3))[2] - drawn(0, [2])[0]).abs().max() < 0.01 * spread
    assert (drawn(1, [2]) - drawn(0, [2])).abs().mean() > 0.1 * spread


def test_grain_is_no_reason_for_cycle_or_identity_loss_but_grey_levels_are():
    image = torch.rand(2, 1, 32, 32)
    grain = torch.randn(2, 1, 8, 4, 8, 4)
    grain = (grain - grain.mean((3, 5), keepdim=True)).reshape(2, 1, 32, 32)
    assert _apart(image + 0.3 * grain, image) < 1e-6
    assert _apart(image + 0.3, image) == pytest.approx(0.3, abs=1e-6)
    small = torch.zeros(1, 1, 11, 11, requires_grad=True)
    _apart(small, torch.ones(1, 1, 11, 11)).backward()
    assert small.grad.abs().min() > 0  # the border counts where the size does not divide


def test_cyclegan_of_any_width_and_loss_but_without_a_sign_that_says_nothing():
    source = torch.rand(2, 1, 16, 16) * 2 - 1
    for width in (2, 33):
        assert CycleGAN(1, 16, width=width, blocks=1).back(source, ImageNoise(0, range(2))).shape == source.shape
    for loss in ("nonsaturating", "least_squares", "hinge"):
        model = CycleGAN(1, 16, width=8, blocks=1, loss=loss, augmentation="adaptive")
        assert all(torch.isfinite(value) for _, value in model.losses(at(source.flip(0), {"source": source}), 0))
    with pytest.raises(InputError, match="adaptive"):
        CycleGAN(1, 16, loss="wasserstein", augmentation="adaptive")


def test_cyclegan_learns_a_change_of_grey_levels_and_leaves_edges_where_they_are():
    torch.manual_seed(0)
    model = CycleGAN(1, 16, width=16, blocks=1, cycle=3.0, identity=0.0)

    def batch(step):
        source = stripes(4, 16, classes=2, seed=step).unsqueeze(1) - 0.5
        image = stripes(4, 16, classes=2, seed=step + 5000).unsqueeze(1) * 0.6 + 0.2  # same structure, brighter
        return at(image, {"source": source}, step)

    train(model, map(batch, range(120)), lr=1e-2)
    source = stripes(4, 16, classes=2, seed=999).unsqueeze(1) - 0.5
    with torch.no_grad():
        image = model.sample(4, {"source": source}, ImageNoise(0, range(4)))
        back = model.back(image, ImageNoise(1, range(4)))
    grain = source > 0
    assert image[grain].mean() == pytest.approx(0.8, abs=0.25)  # from 0.5
    assert image[~grain].mean() == pytest.approx(0.2, abs=0.25)  # from -0.5
    assert torch.corrcoef(torch.stack([image.flatten(), source.flatten()]))[0, 1] > 0.75
    assert (back - source).abs().mean() < 0.3


def test_discriminators_of_cyclegan_see_low_contrast():
    image = torch.randn(16, 1, 32, 32)
    spread = []
    for contrast in (0.3, 0.03):
        torch.manual_seed(0)
        model = CycleGAN(1, 32, width=16, blocks=1)
        model.prepare(contrast * image)
        spread.append(model._judge("image", contrast * image, at(image, {})).std().item())
    assert spread[1] == pytest.approx(spread[0], rel=1e-3)
    assert spread[0] > 0.05  # nor does the signal fade from layer to layer


def test_cyclegan_regularises_its_discriminators_every_16th_step():
    found = {}
    for r1 in (0.0, 10.0):
        for step in (0, 1):
            torch.manual_seed(0)
            model = CycleGAN(1, 32, width=16, blocks=1, r1=r1)
            source = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(step))
            found[r1, step] = dict(model.losses(at(source.flip(0), {"source": source}, step), step))[
                "discriminators"
            ].item()
    assert found[10.0, 0] > found[0.0, 0] + 0.01
    assert found[10.0, 1] == pytest.approx(found[0.0, 1])
