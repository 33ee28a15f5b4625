"""DALL-E: one sequence of words and codes, of which each depends on those before it alone."""

import math

import pytest
import torch
from transformers import DynamicCache

from veridical.core.batch import Batch, ImageNoise
from veridical.core.errors import InputError
from veridical.core.tokens import BEGIN, END, NUM
from veridical.models.text.clip import Clip
from veridical.models.text.dalle import Choosing, Dalle, _choose
from veridical.models.vae.vqvae import VQVAE

VOCABULARY, TOKENS = 20, 6
TEXT = torch.tensor([[5, NUM, 7, 0, 0, 0], [8, 9, 10, NUM, 11, 0], [0, 0, 0, 0, 0, 0]])
VALUE = torch.tensor([[0, 1.5, 0, 0, 0, 0], [0, 0, 0, -0.5, 0, 0], [0, 0, 0, 0, 0, 0]])
SPELLED = torch.tensor([[BEGIN, 5, 7, END, 0, 0], [BEGIN, 8, 9, 10, 11, END], [BEGIN, END, 0, 0, 0, 0]])
COND = {"text": TEXT, "value": VALUE, "spelled": SPELLED}


def small(sampling=None, **given):
    """With weights far from zero, so that what is before decides."""
    torch.manual_seed(0)
    vqvae = VQVAE(1, 16, codes=12, dim=8, width=16, blocks=1, prior_width=8, prior_layers=1)
    vqvae.prepare(torch.randn(8, 1, 16, 16))
    clip = Clip(1, 16, VOCABULARY, TOKENS, widths=(16, 16), dim=16, width=32, layers=1)
    model = Dalle(
        vqvae, clip, sampling or Choosing(), VOCABULARY, TOKENS, TOKENS, **{"width": 64, "layers": 2, **given},
    )  # fmt: skip
    for name, weight in model.parts["dalle"].named_parameters():
        if weight.dim() > 1 and "ln_" not in name:
            weight.data *= 5
    return model.eval()


def rows(cond, *which):
    return {name: values[list(which)] for name, values in cond.items()}


@pytest.mark.parametrize("numbers", ["value", "spelled"])
def test_with_the_cache_each_code_is_as_likely_as_in_one_pass(numbers):
    model = small(numbers=numbers)
    ids, value = model.read(COND)
    codes = torch.randint(0, 12, (3, 16), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = model.logits(ids, value, codes)[1]
        past, x, found = DynamicCache(config=model.gpt.config), model.embed_text(ids, value), []
        for k in range(16):
            found.append(model.next_code(model.hidden(x, past)[:, -1]))
            x = model.embed_codes(codes[:, k : k + 1], k)
    assert (torch.stack(found, 1) - whole).abs().max() < 1e-5 * whole.abs().max()
    assert whole.std() > 0.1


def test_drawn_codes_are_those_of_the_logits_of_one_pass():
    for sampling in (Choosing(), Choosing(temperature=0.5, top_k=4, guidance_scale=2.5)):
        model, normal = small(sampling), ImageNoise(1, range(3))((16,))
        with torch.no_grad():
            codes = model._draw(COND, normal)
            logits = model.logits(*model.read(COND), codes)[1]
            if sampling.guidance_scale != 1:
                none = model.logits(*model.read(rows(COND, 2, 2, 2)), codes)[1]
                logits = none + sampling.guidance_scale * (logits - none)
        uniform = torch.special.ndtr(normal.double())
        again = torch.stack([_choose(logits[:, k], uniform[:, k : k + 1], sampling) for k in range(16)], 1)
        assert torch.equal(codes, again)


def test_nothing_depends_on_what_comes_after():
    model = small()
    ids, value = model.read(COND)
    codes = torch.randint(0, 12, (3, 16), generator=torch.Generator().manual_seed(0))
    later = codes.clone()
    later[:, 9] = (later[:, 9] + 1) % 12
    with torch.no_grad():
        words, places = model.logits(ids, value, codes)
        words2, places2 = model.logits(ids, value, later)
    assert torch.equal(words, words2) and torch.equal(places[:, :10], places2[:, :10])
    assert (places[:, 10:] - places2[:, 10:]).abs().amax((0, 2)).min() > 1e-4
    other = ids.clone()
    other[:, 4] = 12
    with torch.no_grad():
        words3, places3 = model.logits(other, value, codes)
    assert torch.equal(words[:, :5], words3[:, :5]) and (places - places3).abs().amax((0, 2)).min() > 1e-5


def test_the_loss_is_an_eighth_words_and_seven_eighths_codes():
    model = small(text_dropout=0.0, word_dropout=0.0)
    image = torch.randn(3, 1, 16, 16).clamp(-1, 1)
    ((part, loss),) = model.losses(Batch.at(image, COND, seed=0, step=0, start=0, total=3), 0)
    codes = model.vqvae.encode(image).flatten(1)
    words, places = model.logits(*model.read(COND), codes)
    # By hand: padding at place k is the word VOCABULARY + k.
    ids = torch.tensor([[5, 1, 7, 23, 24, 25], [8, 9, 10, 1, 11, 25], [20, 21, 22, 23, 24, 25]])
    text = -sum(words[n, k].log_softmax(0)[ids[n, k]] for n in range(3) for k in range(6)) / 18
    codes_ = -sum(places[n, k].log_softmax(0)[codes[n, k]] for n in range(3) for k in range(16)) / 48
    assert part == "dalle"
    assert loss.item() == pytest.approx((text / 8 + codes_ * 7 / 8).item(), rel=1e-5)


def test_values_and_places_are_heard():
    model = small()
    codes = torch.zeros(1, 16, dtype=torch.long)
    near, far = ({**rows(COND, 0), "value": rows(COND, 0)["value"] * scale} for scale in (1.1, 0.5))
    with torch.no_grad():
        plain, near, far = (model.logits(*model.read(c), codes)[1] for c in (rows(COND, 0), near, far))
        assert 0 < (plain - near).abs().mean() < (plain - far).abs().mean()
        word = model.embed_codes(codes)
        assert not torch.equal(word[0, 1], word[0, 4]) and not torch.equal(word[0, 1], word[0, 2])
        assert torch.equal(word[:, 5:], model.embed_codes(codes[:, 5:], 5))


def test_left_out_captions_are_padding_and_hidden_words_are_still_told():
    model = small(text_dropout=1.0)
    image = torch.zeros(2, 1, 16, 16)
    seen = []
    model.logits = lambda ids, value, codes: seen.append(ids) or Dalle.logits(model, ids, value, codes)
    list(model.losses(Batch.at(image, rows(COND, 0, 1), seed=0, step=0, start=0, total=2), 0))
    assert (seen[0] == VOCABULARY + torch.arange(6)).all()


def test_the_codes_drawn_are_as_frequent_as_their_probability():
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    uniform = (torch.arange(4000, dtype=torch.float64) + 0.5)[:, None] / 4000
    count = lambda how: torch.bincount(_choose(logits.expand(4000, 4), uniform, how), minlength=4) / 4000  # noqa: E731
    assert torch.allclose(count(Choosing()), logits.softmax(0), atol=1e-3)
    assert torch.allclose(count(Choosing(temperature=0.5)), (2 * logits).softmax(0), atol=1e-3)
    assert torch.allclose(count(Choosing(top_k=2)), torch.tensor([*logits[:2].softmax(0), 0, 0]), atol=1e-3)


def test_of_several_candidates_the_one_that_clip_finds_nearest_is_kept():
    model = small(Choosing(best_of=4))
    with torch.no_grad():
        best = model.sample(3, COND, ImageNoise(0, range(3)))
        model.sampling = Choosing()
        noise = ImageNoise(0, range(3))
        each = torch.stack([model.sample(3, COND, noise) for _ in range(4)])
        near = torch.stack([(model.clip.embed_image(x) * model.clip.embed_text(COND)).sum(1) for x in each])
    assert torch.equal(best, each[near.argmax(0), torch.arange(3)])
    assert len(set(near.argmax(0).tolist())) > 1 or near.argmax(0)[0] > 0


def test_negative_prompts_lead_away():
    model = small(Choosing(guidance_scale=3.0))
    noise = lambda: ImageNoise(0, range(3))  # noqa: E731
    none = {f"negative_{name}": rows(COND, 2, 2, 2)[name] for name in COND}
    some = {f"negative_{name}": rows(COND, 1, 1, 1)[name] for name in COND}
    with torch.no_grad():
        plain, same, other = (model.sample(3, {**COND, **more}, noise()) for more in ({}, none, some))
    assert torch.equal(plain, same) and not torch.equal(plain, other)


def test_a_clip_of_other_captions_is_refused():
    vqvae, clip = VQVAE(1, 16, codes=12, dim=8, width=16), Clip(1, 16, 30, TOKENS, widths=(16, 16), dim=16, width=32)
    with pytest.raises(InputError, match="has learned other captions"):
        Dalle(vqvae, clip, Choosing(), VOCABULARY, TOKENS, TOKENS)


def test_untrained_all_codes_are_nearly_as_likely():
    torch.manual_seed(0)
    model = small()
    for weight in model.parts["dalle"].parameters():
        weight.data /= 5
    image = torch.zeros(3, 1, 16, 16)
    ((_, loss),) = model.losses(Batch.at(image, COND, seed=0, step=0, start=0, total=3), 0)
    assert loss.item() == pytest.approx(math.log(26) / 8 + 7 / 8 * math.log(12), rel=0.1)
