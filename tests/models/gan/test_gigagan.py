"""GigaGAN: every resolution is judged, captions are heard by all of the generator, CLIP's loss leads."""

import torch

from test_contract import batch, conditions, toy
from veridical.core.batch import ImageNoise
from veridical.models.text.clip import caption_vectors


def test_coarse_images_are_judged_by_themselves():
    model = toy("gigagan")
    images = [torch.randn(4, 1, side, side) for side in (32, 16, 8)]
    text = torch.randn(4, model.clip.dim)
    with torch.no_grad():
        logits = model.discriminator.match(model.discriminator.features(images), text)
        images[2] = -images[2]
        changed = model.discriminator.match(model.discriminator.features(images), text)
        other = model.discriminator.match(model.discriminator.features(images), -text)
    assert logits.shape == (3, 4)
    assert torch.equal(logits[:2], changed[:2]) and not torch.allclose(logits[2], changed[2])
    assert all(not torch.allclose(a, b) for a, b in zip(changed, other, strict=True))


def test_style_and_words_carry_the_caption():
    model = toy("gigagan").eval()
    for attention in model.generator.attention.values():
        torch.nn.init.ones_(attention.strength)
    cond = conditions("gigagan", 1, 1, 32)
    text, z = caption_vectors(model.clip, cond), torch.randn(1, model.latent)
    with torch.no_grad():
        words, keep = model.clip.words(cond)

        def drawn(text: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
            return model.generator(model.generator.style(z, text), words, keep, ImageNoise(0, [0]))[0]

        image = drawn(text, words)
        assert not torch.allclose(image, drawn(-text, words)) and not torch.allclose(image, drawn(text, -words))


def test_the_loss_of_clip_knows_images_from_others():
    model = toy("gigagan")
    b = batch("gigagan", 1, 32)
    with torch.no_grad():
        own = torch.nn.functional.normalize(torch.randn(4, model.clip.dim), dim=1)
        model.clip.embed_image = lambda image: own
        right, wrong = model._contrast(b.image, own, b), model._contrast(b.image, own.roll(2, 0), b)
    assert right < wrong


def test_augmentation_moves_all_resolutions_alike():
    torch.manual_seed(0)
    model = toy("gigagan")
    model.augment.mode, model.augment.together = "fixed", 1
    model.augment.probability.fill_(1.0)
    b = batch("gigagan", 1, 32)
    pyramid = [torch.nn.functional.avg_pool2d(b.image, 2**k) for k in range(3)]
    seen = model._seen(pyramid, b)
    assert [x.shape[-1] for x in seen] == [32, 16, 8]
    for k in (1, 2):  # a coarse image is what the fine one is, averaged, but for where whole pixels lie
        fine = torch.nn.functional.avg_pool2d(seen[0], 2**k).flatten()
        assert torch.corrcoef(torch.stack([fine, seen[k].flatten()]))[0, 1] > 0.9
