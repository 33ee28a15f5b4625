"""AttnGAN: the similarity of words and regions by hand, where words are found, padding that changes nothing."""

import math

import torch

from test_contract import conditions, toy
from veridical.core.batch import ImageNoise
from veridical.models.gan.attngan import WordAttention, attention_maps, drawn_maps
from veridical.models.gan.damsm import Damsm, shares_of_words, word_similarity


def test_similarity_of_words_and_regions_is_that_of_the_paper():
    """Equations 7 to 10, number by number."""
    torch.manual_seed(0)
    words, regions = torch.randn(3, 4).double(), torch.randn(5, 4).double()
    inner = [[sum(float(a) * float(b) for a, b in zip(w, r, strict=True)) for r in regions] for w in words]
    share = [[math.exp(inner[i][j]) / sum(math.exp(inner[k][j]) for k in range(3)) for j in range(5)] for i in range(3)]
    total = 0.0
    for i in range(3):
        look = [math.exp(5 * share[i][j]) for j in range(5)]
        seen = [sum(look[j] * float(regions[j, d]) for j in range(5)) / sum(look) for d in range(4)]
        product = sum(s * float(w) for s, w in zip(seen, words[i], strict=True))
        cosine = product / math.sqrt(sum(s * s for s in seen) * float(words[i].square().sum()))
        total += math.exp(5 * cosine)
    keep = torch.ones(3, dtype=torch.bool)
    torch.testing.assert_close(shares_of_words(words, keep, regions), torch.tensor(share).double())
    assert math.isclose(float(word_similarity(words, keep, regions)), math.log(total) / 5, rel_tol=1e-9)


def test_padding_is_no_word():
    torch.manual_seed(0)
    matcher = Damsm(6, 5, 32)
    maps, words = torch.randn(3, 6, 2, 2), torch.randn(2, 7, 5)
    keep = torch.arange(7) < torch.tensor([[4], [6]])
    with torch.no_grad():
        found = matcher.similarities(maps, words, keep)
        alone = matcher.similarities(maps, words[:1, :4], keep[:1, :4])
    assert found.shape == (3, 2)
    torch.testing.assert_close(found[:, :1], alone)
    told, shares = WordAttention(4, 5)(torch.randn(2, 4, 3, 3), words, keep)
    assert told.shape == (2, 4, 3, 3) and not shares[0, 4:].any()
    torch.testing.assert_close(shares.sum(1), torch.ones(2, 3, 3))


def test_maps_of_words_lie_on_the_image():
    model, cond = toy("attngan").eval(), conditions("attngan", 2, 1, 32)
    image, shares = drawn_maps(model, cond, ImageNoise(0, range(2)))
    tokens = cond["spelled"].shape[1]
    assert image.shape == (2, 1, 32, 32) and shares.shape == (2, tokens, 32, 32)
    with torch.no_grad():
        assert torch.equal(image, model.sample(2, cond, ImageNoise(0, range(2))))
    found = attention_maps(model, image, cond)
    assert found.shape == (2, tokens, 32, 32)
    torch.testing.assert_close(shares.sum(1), torch.ones(2, 32, 32))
    with torch.no_grad():
        regions = model.clip.regions(image).shape[-1] ** 2
    torch.testing.assert_close(found.mean((2, 3)) * regions, torch.ones(2, tokens))


def test_a_word_is_found_where_what_it_names_is():
    """The matcher, trained on two kinds of regions and the words for them."""
    torch.manual_seed(0)
    matcher = Damsm(4, 3, 32)
    optimiser = torch.optim.Adam(matcher.parameters(), 0.02)
    words = torch.tensor([[[1.0, 0, 0], [0, 1, 0]], [[1.0, 0, 0], [0, 0, 1]]])  # "ground, grain", "ground, crack"
    keep = torch.ones(2, 2, dtype=torch.bool)
    maps = torch.zeros(2, 4, 2, 2)
    maps[:, 0] = 1
    maps[0, :, 0, 1], maps[1, :, 1, 0] = torch.tensor([0.0, 1, 0, 0]), torch.tensor([0.0, 0, 1, 0])
    for _ in range(150):
        logits = 10 * matcher.similarities(maps, words, keep)
        loss = torch.nn.functional.cross_entropy(logits, torch.arange(2))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    look = (matcher.read(words, keep) @ matcher.places(maps).mT)[:, 1]
    assert look[0].argmax() == 1 and look[1].argmax() == 2
