"""The adversarial game: losses against their definitions, penalties against closed forms, labels that matter."""

import pytest
import torch
from torch import nn

from toy import TOY
from veridical.core.batch import Batch, ImageNoise
from veridical.core.errors import InputError
from veridical.models.gan.biggan import ResidualGenerator, SelfAttention
from veridical.models.gan.game import (
    ADVERSARIAL,
    adversarial,
    gradient_penalty,
    lazy,
    lazy_r1,
    orthogonal_penalty,
    r1_penalty,
    truncate,
)
from veridical.recipes.table import build


def test_losses_are_those_of_the_papers():
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])
    d = lambda x: torch.sigmoid(x)  # noqa: E731
    bce = -(d(real).log().mean() + (1 - d(fake)).log().mean())
    expected = {
        "nonsaturating": (bce, -d(fake).log().mean()),
        "minimax": (bce, (1 - d(fake)).log().mean()),
        "hinge": ((0 + 2.0) / 2 + (1.5 + 0) / 2, -fake.mean()),
        "wasserstein": (fake.mean() - real.mean(), -fake.mean()),
        "least_squares": ((1 + 4) / 2 + (0.25 + 9) / 2, (0.25 + 16) / 2),
    }
    assert expected.keys() == ADVERSARIAL.keys()
    for name, (discriminator, generator) in expected.items():
        losses = adversarial(name)
        assert losses[0](real, fake) == pytest.approx(float(discriminator), rel=1e-5)
        assert losses[1](fake) == pytest.approx(float(generator), rel=1e-5)


def test_an_unknown_loss_is_refused():
    with pytest.raises(InputError, match="hinge"):
        build("dcgan", 1, 32, {"loss": "best"})


def test_penalties_of_a_linear_critic():
    weight = torch.tensor([3.0, 4.0]).reshape(1, 1, 1, 2)
    critic = lambda x: (x * weight).sum((1, 2, 3))  # noqa: E731
    real, fake = torch.randn(5, 1, 1, 2), torch.randn(5, 1, 1, 2)
    assert gradient_penalty(critic, real, fake, torch.rand(5)) == pytest.approx((5 - 1) ** 2)
    real.requires_grad_()
    assert r1_penalty(critic(real), real) == pytest.approx(25)


def test_a_map_of_logits_counts_by_its_mean():
    image = torch.randn(5, 1, 4, 4, requires_grad=True)
    logits = 3 * image
    assert r1_penalty(logits, image) == pytest.approx(9 / 16)


def test_a_lazy_regulariser_is_as_strong_on_average():
    assert [lazy(0.5, step, 4) for step in range(9)] == [2, 0, 0, 0, 2, 0, 0, 0, 2]
    assert lazy(0.0, 0, 4) == 0
    assert sum(lazy_r1(0.1, step) for step in range(32)) / 32 == pytest.approx(0.1 / 2)


@torch.no_grad()
def test_orthogonal_filters_cost_nothing():
    layer = nn.Conv2d(8, 4, 3)
    nn.init.orthogonal_(layer.weight)
    assert orthogonal_penalty(layer) < 1e-6
    layer.weight[1] = layer.weight[0]
    assert orthogonal_penalty(layer) == pytest.approx(2 * float(layer.weight[0].square().sum()) ** 2, rel=1e-4)


def test_truncated_noise_is_the_truncated_normal_distribution():
    z = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    cut = truncate(z, 1.0)
    assert cut.abs().max() <= 1
    # Variance of a standard normal cut off at 1: 1 - 2 phi(1) / (2 Phi(1) - 1).
    assert cut.var() == pytest.approx(0.2912, abs=0.003)
    assert (cut[z.argsort()].diff() >= 0).all()


def test_a_critic_takes_its_steps_on_different_tiles():
    model = build("wgan_gp", 1, 32, TOY["wgan_gp"] | {"critic_steps": 3})
    seen = []
    model.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    image = torch.randn(12, 1, 32, 32)
    parts = [part for part, _ in model.losses(Batch.at(image, {}, seed=0, step=0, start=0, total=12), 0)]
    assert parts == ["discriminator"] * 3 + ["generator"]
    assert torch.equal(torch.cat(seen[0:9:3]), image)


def learned(model):
    """As if its discriminator had learned what labels say; before, they say nothing to it."""
    assert not model.discriminator.label(torch.tensor([0, 1])).any()
    for parameter in model.discriminator.label.parameters():
        nn.init.normal_(parameter)
    return model


@torch.no_grad()
@pytest.mark.parametrize("classes", [200, 0])
def test_labels_are_as_loud_as_noise_to_a_generator(classes):
    label = torch.arange(200) if classes else torch.randn(200)
    model = build("biggan", 1, 32, TOY["biggan"] | {"classes": classes})
    assert model.generator.label(label).std() == pytest.approx(1.0, abs=0.3)


@torch.no_grad()
@pytest.mark.parametrize("classes", [3, 0])
@pytest.mark.parametrize("name", ["cgan", "biggan"])
def test_the_label_changes_image_and_judgement(name, classes):
    model = learned(build(name, 1, 32, TOY[name] | {"classes": classes}).eval())
    label = torch.tensor([0, 1, 2, 0])
    noise = lambda: ImageNoise(0, [5, 5, 5, 5])  # noqa: E731
    images = model.sample(4, {"label": label}, noise())
    assert torch.allclose(images[0], images[3], atol=1e-6)
    assert (images[0] - images[1]).abs().max() > 10 * (images[0] - images[3]).abs().max() + 1e-6
    logits = model.discriminator(images[:1].expand(4, -1, -1, -1), label)
    assert logits[0] == pytest.approx(float(logits[3]), abs=1e-6) and logits[0] != logits[1]


def test_concatenated_labels_reach_the_discriminator():
    model = learned(build("cgan", 1, 32, TOY["cgan"] | {"conditioning": "concatenation"}).eval())
    logits = model.discriminator(torch.zeros(2, 1, 32, 32), torch.tensor([0, 1]))
    assert logits[0] != logits[1]


@torch.no_grad()
@pytest.mark.parametrize(("name", "sees"), [("cgan", True), ("biggan", True), ("wgan_gp", False), ("sagan", False)])
def test_discriminators_with_labels_see_repeated_images(name, sees):
    """Critics with a gradient penalty have to judge images one by one."""
    model = build(name, 1, 32, TOY[name]).eval()
    images, label = torch.randn(4, 1, 32, 32), torch.zeros(4, dtype=torch.long)
    beside_others = model.discriminator(images, label)[0]
    repeated = model.discriminator(images[:1].expand(4, -1, -1, -1), label)[0]
    assert (beside_others != repeated) == sees


@torch.no_grad()
@pytest.mark.parametrize("size", [8, 32])
@pytest.mark.parametrize("name", ["cgan", "biggan"])
def test_augmentation_does_not_hide_repeated_images_from_them(name, size):
    model = build(name, 1, size, TOY[name] | {"augmentation": "fixed"}).eval()
    image = torch.randn(1, 1, size, size).expand(8, -1, -1, -1)
    label = torch.zeros(8, dtype=torch.long)
    shown = model._seen(image, Batch.at(image, {}, seed=0, step=0, start=0, total=8))
    first, second = shown[::2], shown[1::2]  # two groups of four
    assert (first - first[:1]).abs().max() < 1e-5 and (second - second[:1]).abs().max() < 1e-5
    assert (first - second).abs().max() > 0.1
    logit = model.discriminator(shown, label)
    other = model.discriminator(torch.cat([shown[:1], torch.randn(7, 1, size, size)]), label)
    assert logit[0] != other[0]


def test_attention_begins_as_the_identity_and_looks_everywhere():
    attention = SelfAttention(8)
    x = torch.randn(1, 8, 8, 8)
    assert torch.equal(attention(x), x)
    nn.init.ones_(attention.gamma)
    x.requires_grad_()
    attention(x)[0, 0, 0, 0].backward()
    assert (x.grad[0, :, 6:, 6:] != 0).any()  # keys and values are the largest of 2 x 2 places


def test_attention_sits_at_the_resolution_asked_for():
    assert list(ResidualGenerator(1, 64, 8, 8, attention=16).attention) == ["1"]
    assert not ResidualGenerator(1, 64, 8, 8, attention=0).attention


@pytest.mark.parametrize("name", ["wgan_gp", "dcgan", "progan"])
def test_adaptive_augmentation_needs_logits_with_a_meaning(name):
    loss = {} if name == "wgan_gp" else {"loss": "wasserstein" if name == "progan" else "least_squares"}
    with pytest.raises(InputError, match="reads the sign"):
        build(name, 1, 32, TOY[name] | loss | {"augmentation": "adaptive"})


@pytest.mark.parametrize("name", ["wgan_gp", "progan"])
def test_the_slope_of_a_critic_is_that_at_images_as_they_are(name, monkeypatch):
    image = 0.1 * torch.randn(10, 1, 32, 32)
    seen = []

    def penalty(critic, real, fake, mix):
        seen.append((critic, real))
        return torch.zeros(())

    monkeypatch.setattr("veridical.models.gan.game.gradient_penalty", penalty)
    torch.manual_seed(0)
    model = build(name, 1, 32, TOY[name] | ({"loss": "wasserstein", "growing": 0.0} if name == "progan" else {}))
    model.prepare(image)
    batch = Batch.at(image, {}, seed=0, step=0, start=0, total=10, reached=1.0)
    next(model.losses(batch, 0))
    critic, real = seen[0]
    torch.testing.assert_close(real, image[: len(real)], atol=1e-5, rtol=1e-4)
    judge = model.discriminator if name == "wgan_gp" else lambda x: model.discriminator(x, model.levels)
    torch.testing.assert_close(critic(real), judge(model.standard(real)), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("augmentation", ["none", "fixed"])
@pytest.mark.parametrize("name", ["cgan", "progan"])
def test_neither_r1_nor_augmentation_depends_on_the_contrast_of_images(name, augmentation):
    found = []
    image = torch.randn(4, 1, 32, 32)
    for contrast in (1.0, 0.1):
        torch.manual_seed(0)
        model = build(name, 1, 32, TOY[name] | {"loss": "nonsaturating", "r1": 1e6, "augmentation": augmentation})
        model.prepare(contrast * image)
        batch = Batch.at(contrast * image, {"label": torch.tensor([0, 1, 2, 0])}, seed=0, step=0, start=0, total=4)
        found.append(next(model.losses(batch, 0))[1].item())
    assert found[1] == pytest.approx(found[0], rel=0.01)
