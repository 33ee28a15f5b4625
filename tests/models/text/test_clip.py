"""CLIP: its loss is that of transformers, equal captions are no negatives, and it learns which words belong to which image."""

import math

import pytest
import torch
import torch.nn.functional as F

from veridical.core.batch import Batch
from veridical.core.errors import InputError
from veridical.models.text.clip import Clip, Scale, contrastive_loss


def vectors(n, seed):
    return F.normalize(torch.randn(n, 16, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_the_loss_is_that_of_transformers():
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    tower = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = tower | {
        "vocab_size": 9,
        "max_position_embeddings": 6,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "pad_token_id": 0,
    }
    theirs = CLIPModel(
        CLIPConfig(text_config=text, vision_config=tower | {"image_size": 16, "patch_size": 8}, projection_dim=16)
    )
    ids = torch.tensor([[2, k, 3] for k in range(4, 9)])
    found = theirs(input_ids=ids, pixel_values=torch.randn(5, 3, 16, 16), return_loss=True)
    scale = Scale()
    assert scale().item() == pytest.approx(1 / 0.07) == pytest.approx(theirs.logit_scale.exp().item(), rel=1e-4)
    mine = contrastive_loss(found.image_embeds, found.text_embeds, scale())
    assert mine.item() == pytest.approx(found.loss.item(), rel=1e-4)


def test_the_scale_does_not_grow_beyond_100():
    scale = Scale()
    with torch.no_grad():
        scale.log.fill_(9.0)
    assert scale().item() == pytest.approx(100)


def test_equal_captions_are_no_negatives():
    image, text = vectors(4, 0), vectors(4, 1)
    text[1] = text[0]
    alike = (text[:, None] == text).all(-1)
    mine = contrastive_loss(image, text, 10.0, alike)
    logits = 10 * image @ text.mT
    rows = [[0, 2, 3], [1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]]
    by_hand = [
        (F.cross_entropy(m[k, keep][None], torch.tensor([keep.index(k)])))
        for m in (logits, logits.mT)
        for k, keep in enumerate(rows)
    ]
    assert mine.item() == pytest.approx(sum(by_hand).item() / 8, abs=1e-6)
    assert mine.item() < contrastive_loss(image, text, 10.0).item()


def batch(step, n=16):
    """Images as bright as the word of their caption says."""
    generator = torch.Generator().manual_seed(step)
    word = torch.randint(3, (n,), generator=generator)
    image = (word.reshape(-1, 1, 1, 1) - 1) * 0.6 + 0.1 * torch.randn(n, 1, 16, 16, generator=generator)
    spelled = torch.stack([torch.full_like(word, 2), word + 4, torch.full_like(word, 3), torch.zeros_like(word)], 1)
    return Batch.at(image, {"spelled": spelled}, seed=0, step=step, start=0, total=n), word


def test_it_learns_which_words_are_whose():
    torch.manual_seed(0)
    model = Clip(1, 16, vocabulary=8, spelled_tokens=4, widths=(16, 16), dim=16, width=32, layers=1)
    adam = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(40):
        ((_, loss),) = model.losses(batch(step)[0], step)
        adam.zero_grad()
        loss.backward()
        adam.step()
    known, word = batch(99, 48)
    words = {"spelled": torch.tensor([[2, k + 4, 3, 0] for k in range(3)])}
    with torch.no_grad():
        image, text = model.embed_image(known.image), model.embed_text(words)
    assert image.norm(dim=-1) == pytest.approx(1) and text.norm(dim=-1) == pytest.approx(1)
    assert ((image @ text.mT).argmax(1) == word).float().mean() > 0.9


def test_padding_says_nothing():
    torch.manual_seed(0)
    model = Clip(1, 16, vocabulary=8, spelled_tokens=6, widths=(16, 16), dim=16, width=32, layers=1).eval()
    short, long = torch.tensor([[2, 5, 3]]), torch.tensor([[2, 5, 3, 0, 0, 0]])
    with torch.no_grad():
        assert torch.allclose(model.embed_text({"spelled": short}), model.embed_text({"spelled": long}), atol=1e-6)
        sequence, keep = model.words({"spelled": long})
    assert sequence.shape == (1, 6, 32) and keep.tolist() == [[True, True, True, False, False, False]]
    assert model.regions(torch.zeros(2, 1, 16, 16)).shape == (2, 16, 4, 4)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="tiles of 20 pixels do not divide by 8"):
        Clip(1, 20)
    with pytest.raises(InputError, match="width=40 must be a multiple of 32"):
        Clip(1, 64, width=40)
    assert math.isclose(Clip(1, 64, vocabulary=9, spelled_tokens=8).scale().item(), 1 / 0.07, rel_tol=1e-6)


def test_what_is_seen_in_one_place_does_not_depend_on_how_much_there_is_elsewhere():
    """Else a few thin roots would be as loud as many."""
    torch.manual_seed(0)
    tower = Clip(1, 64, 8, 8, widths=(16, 32), dim=16, width=32, layers=1).images
    one = torch.rand(1, 1, 64, 64)
    other = one.clone()
    other[..., 32:] = 1
    for a, b in zip(tower.maps(one), tower.maps(other), strict=True):
        torch.testing.assert_close(a[..., 0], b[..., 0])
        assert not torch.allclose(a[..., -1], b[..., -1])


def test_dark_images_of_little_contrast_are_standardised():
    torch.manual_seed(0)
    model = Clip(1, 16, 8, 8, widths=(16,), dim=16, width=32, layers=1)
    image = torch.rand(4, 1, 16, 16) * 2 - 1
    model.prepare(image)
    usual = model.embed_image(image)
    model.prepare(0.05 * image - 0.9)
    torch.testing.assert_close(model.embed_image(0.05 * image - 0.9), usual, rtol=0, atol=1e-4)
