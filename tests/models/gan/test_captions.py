"""GANs of captions: closed forms, mismatched pairs, what a second stage hears."""

import pytest
import torch

from test_contract import batch, conditions, toy
from veridical.core.batch import ImageNoise
from veridical.core.errors import InputError
from veridical.models.gan.captions import (
    ConditioningAugmentation,
    PairDiscriminator,
    differing,
    kl_to_standard_normal,
    matching_loss,
    of_others,
)
from veridical.models.gan.game import ADVERSARIAL
from veridical.recipes.table import build


def test_divergence_is_that_of_two_normal_distributions():
    torch.manual_seed(0)
    mean, log_variance = torch.randn(5, 7), torch.randn(5, 7)
    one = torch.distributions.Normal(mean, (log_variance / 2).exp())
    expected = torch.distributions.kl_divergence(one, torch.distributions.Normal(0.0, 1.0)).mean()
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), expected)


def test_codes_of_a_caption_have_the_mean_and_deviation_that_its_divergence_is_of():
    torch.manual_seed(0)
    augmented = ConditioningAugmentation(6, 4)
    text = 2 * torch.randn(1, 6).expand(20_000, -1)
    with torch.no_grad():
        codes, divergence = augmented(text, lambda shape: torch.randn(len(text), *shape))
    expected = kl_to_standard_normal(codes.mean(0), codes.var(0).log())
    assert float(divergence) == pytest.approx(float(expected), rel=0.05)


def test_generated_and_mismatched_pairs_count_half_each():
    real, fake, mismatched = torch.tensor([1.0, 2.0]), torch.tensor([0.5, -1.0]), torch.tensor([3.0, -2.0])
    loss = ADVERSARIAL["nonsaturating"][0]
    sigmoid = torch.sigmoid
    expected = -(
        sigmoid(real).log().mean() + (1 - sigmoid(fake)).log().mean() / 2 + (1 - sigmoid(mismatched)).log().mean() / 2
    )
    assert float(matching_loss(loss, real, fake, mismatched, torch.tensor([True, True]))) == pytest.approx(
        float(expected)
    )


def test_a_caption_that_says_the_same_is_no_mismatch():
    spelled = torch.tensor([[2, 5, 3], [2, 6, 3], [2, 6, 3]])
    assert of_others(spelled)[0].tolist() == [2, 6, 3]
    differ = differing({"spelled": spelled})
    assert differ.tolist() == [True, True, False]
    loss = ADVERSARIAL["nonsaturating"][0]
    args = torch.zeros(3), torch.zeros(3)
    one, other = (matching_loss(loss, *args, torch.tensor([1.0, 2.0, far]), differ) for far in (0.0, 50.0))
    assert one == other
    assert matching_loss(loss, *args, torch.ones(3), torch.zeros(3, dtype=torch.bool)) == loss(*args)


def test_the_discriminator_learns_which_caption_is_of_which_image():
    torch.manual_seed(0)
    critic = PairDiscriminator(1, 16, 8, 2, 4)
    optimiser = torch.optim.Adam(critic.parameters(), 2e-3)
    for _ in range(60):
        level = torch.rand(16, 1)
        image = (level * 2 - 1)[..., None, None].expand(-1, 1, 16, 16) + 0.1 * torch.randn(16, 1, 16, 16)
        text = torch.cat([level, 1 - level], 1) * 2
        features = critic.features(image)
        matched, other = critic.match(features, text), critic.match(features, of_others(text))
        loss = ADVERSARIAL["nonsaturating"][0](matched, other)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 1.1  # 1.386 where captions are not heard


def test_the_second_stage_hears_the_small_image_and_the_caption():
    model = toy("stackgan").eval()
    second = model.parts["second_generator"]
    text, small = torch.randn(1, model.clip.dim), torch.rand(1, 1, 16, 16)

    def drawn(small: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        return second(small, text, ImageNoise(0, [0]))[0]

    with torch.no_grad():
        image = drawn(small, text)
        assert image.shape == (1, 1, 32, 32)
        assert not torch.equal(image, drawn(small.flip(2), text))
        assert not torch.equal(image, drawn(small, -text))


def test_the_second_stage_begins_in_its_time_and_is_sampled_from_then_on():
    model = toy("stackgan")
    assert [part for part, _ in model.losses(batch("stackgan", 1, 32, reached=0.3), 0)] == [
        "discriminator",
        "generator",
    ]
    cond = conditions("stackgan", 2, 1, 32)
    with torch.no_grad():
        before = model.eval().sample(2, cond, ImageNoise(0, range(2)))
    assert len(list(model.train().losses(batch("stackgan", 1, 32, reached=0.4), 0))) == 4 and model.begun
    with torch.no_grad():
        after = model.eval().sample(2, cond, ImageNoise(0, range(2)))
    assert before.shape == after.shape and not torch.allclose(before, after)
    with pytest.raises(InputError, match="second"):
        build("stackgan", 1, 32, {"second": 1.0})
