"""Prompt-to-prompt: what is shared stays, what is exchanged changes, and maps say where."""

import numpy as np
import pytest
import torch

from veridical import InputError
from veridical.editing.edit import Given
from veridical.editing.prompt_to_prompt import Control, prompt_to_prompt
from veridical.editing.settings import Attended
from veridical.editing.space import Space
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.settings import Embed, Network, Sampling
from veridical.nets.attention import Place

WORDS = ["a", "slice", "with", "two", "cracks", "pores", "wide"]
SOURCE, TARGET = "a slice with two cracks", "a slice with two pores"
LENGTH = 8


class Words:
    """A token a word, behind a vector that is none."""

    def cond(self, texts):
        ids = torch.zeros(len(texts), LENGTH, dtype=torch.int64)
        for row, text in zip(ids, texts, strict=True):
            for k, word in enumerate(text.split()):
                row[k] = 1 + WORDS.index(word)
        return {"text": ids}

    def places(self, text):
        return [(word, (k + 1,)) for k, word in enumerate(text.split())]


def model(**how):
    torch.manual_seed(0)
    unet = Network(widths=(16, 32), layers=1, attention=(False, True), patch=1)
    network = Network(network="dit", widths=(32,), layers=1, patch=2, **how) if how else unet
    made = Denoiser((1, 16, 16), network, embed=Embed(vocabulary=20), sampling=Sampling(guidance_scale=3.0)).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


@pytest.fixture(scope="module")
def told():
    return model()


def images(n=2, height=16, width=16):
    return np.random.default_rng(0).uniform(0.2, 0.8, (n, 1, height, width)).astype(np.float32)


def given(n=2, source=SOURCE, target=TARGET, **more):
    return Given(prompt=[(target,)] * n, source_prompt=[source] * n, words=Words(), **more)


def made(told, pictures, what=None, numbers=None, **settings):
    what = what or given(len(pictures))
    return prompt_to_prompt(told, pictures, what, Attended(steps=4, **settings), size=16, numbers=numbers)


@pytest.mark.parametrize("shape", [(16, 16), (20, 27)])
@pytest.mark.parametrize("blend", [0.0, 0.5])
def test_a_text_that_changes_nothing_returns_the_image(told, shape, blend):
    """With guidance, too: the target is shifted by what the source misses of its path."""
    pictures = images(2, *shape)
    found = made(told, pictures, given(target=SOURCE), blend=blend)
    np.testing.assert_allclose(found.images, pictures, atol=1e-4)
    assert found.mask is None if blend == 0 else not found.mask.any()
    changed = made(told, pictures, blend=blend)
    assert np.abs(changed.images - pictures).mean() > 1e-3


def test_each_share_takes_part(told):
    pictures = images()
    free, cross, near = (
        made(told, pictures, blend=0.0, cross_share=c, self_share=s).images
        for c, s in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
    )
    assert np.abs(cross - free).max() > 1e-4 and np.abs(near - free).max() > 1e-4 and np.abs(near - cross).max() > 1e-4


def control(source, target, **settings):
    model_, words, space = model(), Words(), None
    space = Space(model_, (1, 1, 16, 16), 16)
    cond = space.hear(words.cond([source, target]), 2)
    return Control(cond, [words.places(source)], [words.places(target)], Attended(**settings))


def attention(keys, queries=16):
    return torch.rand(2, 2, queries, keys).softmax(-1)


def replaced(made, found, cross):
    made._maps = []
    return made._replaced(found, Place("", cross))


def test_the_target_looks_where_the_source_looked():
    swap, found = control(SOURCE, TARGET), attention(1 + LENGTH)
    torch.testing.assert_close(replaced(swap, found, True), found[:1].expand_as(found))
    near = attention(16)
    torch.testing.assert_close(replaced(swap, near, False), near[:1].expand_as(near))
    fine = attention(2, queries=40**2)
    assert replaced(swap, fine, False) is fine  # finer maps are left alone
    swap.done = 0.5  # of the defaults self-attention is over, cross-attention is not
    assert replaced(swap, near, False) is near
    torch.testing.assert_close(replaced(swap, found, True), found[:1].expand_as(found))
    swap.done = 0.9
    torch.testing.assert_close(replaced(swap, found, True), found)


def test_an_added_word_keeps_its_own_attention():
    found = attention(1 + LENGTH)
    result = replaced(control(SOURCE, "a slice with two wide cracks"), found, True)
    torch.testing.assert_close(result[0], found[0])
    torch.testing.assert_close(result.sum(-1), torch.ones(2, 2, 16))
    raw = torch.cat([found[0, ..., :5], found[1, ..., 5:6], found[0, ..., 5:6], found[0, ..., 7:]], -1)
    torch.testing.assert_close(result[1], raw / raw.sum(-1, keepdim=True))


def test_tokens_in_front_of_a_text_are_copied():
    """A transformer with cross-attention looks at time and condition first."""
    found = attention(2 + 1 + LENGTH)
    torch.testing.assert_close(replaced(control(SOURCE, TARGET), found, True), found[:1].expand_as(found))


def test_weights_are_factors_of_words(told):
    found = attention(1 + LENGTH)
    result = replaced(control(SOURCE, SOURCE, weights="two=3, Cracks=0"), found, True)
    torch.testing.assert_close(result[1, ..., 4], 3 * found[0, ..., 4])
    assert (result[1, ..., 5] == 0).all() and (result[0] == found[0]).all()
    torch.testing.assert_close(result[1, ..., :4], found[0, ..., :4])
    pictures = images()
    same, louder = (made(told, pictures, given(target=SOURCE), weights=f"cracks={factor}").images for factor in (1, 8))
    np.testing.assert_allclose(same, pictures, atol=1e-4)
    assert np.abs(louder - pictures).max() > 1e-4


def test_outside_the_blend_and_the_mask_images_stay(told):
    pictures = images(2, 20, 27)
    found = made(told, pictures, blend=0.6)
    assert found.mask.shape == (2, 20, 27) and 0 < found.mask.mean() < 1
    np.testing.assert_allclose(found.images[~found.mask[:, None]], pictures[~found.mask[:, None]], atol=1e-5)
    mask = np.zeros((2, 20, 27), bool)
    mask[:, 4:12, 3:20] = True
    for blend in (0.0, 0.6):
        found = made(told, pictures, given(mask=mask), blend=blend)
        np.testing.assert_allclose(found.images[~mask[:, None]], pictures[~mask[:, None]], atol=1e-5)
        assert np.abs(found.images - pictures)[mask[:, None]].max() > 1e-4
        assert found.mask is None if blend == 0 else not (found.mask & ~mask).any()
    named = made(told, pictures, blend=0.6, blend_words="slice")
    assert (named.mask != made(told, pictures, blend=0.6).mask).any()


def test_maps_of_words_are_pictures(told):
    what = Given(
        prompt=[(TARGET,), ("a slice",)], source_prompt=[SOURCE, "a slice"], words=Words()
    )  # fmt: skip
    found = made(told, images(2, 20, 27), what, maps=True)
    assert set(found.maps) == {"a", "slice", "with", "two", "pores", "cracks"}
    for name, maps in found.maps.items():
        assert (
            maps.shape == (2, 20, 27) and maps[0].min() == pytest.approx(0, abs=0.1) and 0.9 < maps[0].max() <= 1 + 1e-6
        )
        assert np.isnan(maps[1]).all() == (name not in ("a", "slice"))
    assert made(told, images()).maps == {}


@pytest.mark.parametrize("shape", [(16, 16), (20, 27)])
def test_an_image_does_not_depend_on_the_others(told, shape):
    pictures = images(3, *shape)
    texts = [(TARGET,), ("a slice with wide cracks",), ("two pores",)]
    whole = Given(prompt=texts, source_prompt=[SOURCE] * 3, words=Words())
    one = Given(prompt=texts[1:2], source_prompt=[SOURCE], words=Words())
    found = made(told, pictures, whole, maps=True)
    alone = made(told, pictures[1:2], one, numbers=[1], batch=3, maps=True)
    np.testing.assert_allclose(alone.images[0], found.images[1], atol=1e-4)
    np.testing.assert_allclose(alone.maps["wide"][0], found.maps["wide"][1], atol=1e-3)


@pytest.mark.parametrize("how", ["cross_attention", "adaln_zero"])
def test_transformers_attend_to_words_too(how):
    pictures = images()
    transformer = model(conditioning=how)
    found = made(transformer, pictures, blend=0.5, maps=True)
    assert np.isfinite(found.images).all() and found.mask.any() and set(found.maps) >= {"pores", "cracks"}
    np.testing.assert_allclose(made(transformer, pictures, given(target=SOURCE)).images, pictures, atol=1e-4)


def test_what_cannot_be_is_one_sentence(told):
    pictures = images()
    for settings, said in (
        ({"weights": "cracks"}, "weights=cracks cannot be: give words and factors"),
        ({"weights": "cracks=loud"}, "weights=cracks=loud cannot be"),
        ({"weights": "giraffes=2"}, "no prompt says 'giraffes'"),
        ({"blend_words": "giraffes"}, "no prompt says 'giraffes'"),
    ):
        with pytest.raises(InputError, match=said):
            made(told, pictures, **settings)
    with pytest.raises(InputError, match="attends to words by themselves, and this one does not: give a run of"):
        made(told, pictures, Given())
    with pytest.raises(InputError, match="attends to words"):
        made(model(conditioning="in_context"), pictures)
