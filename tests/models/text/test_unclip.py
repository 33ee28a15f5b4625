"""unCLIP: what its decoder is told, when it is not, and images in place of words."""

from dataclasses import replace
from unittest import mock

import pytest
import torch

from toy import TOY
from veridical.core.batch import Batch, ImageNoise
from veridical.core.errors import InputError
from veridical.models.text.unclip import DROPPED, WORDS_DROPPED, empty
from veridical.recipes.table import build


def toy(name="unclip", **args):
    torch.manual_seed(0)
    stages = {"clip": build("clip", 1, 16, TOY["clip"])}
    if name == "stable_unclip":
        stages["autoencoder"] = build("autoencoder", 1, 16, {"widths": (16,), "latent": 8})
        stages["autoencoder"].prepare(images(64))
    model = build(name, 1, 16, {**TOY[name], **args}, stages)
    model.prepare(images(64))
    return model.eval()


def images(n, seed=0):
    return torch.rand(n, 1, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def captions(n, seed=0):
    spelled = torch.zeros(n, 32, dtype=torch.long)
    spelled[:, 1:9] = torch.randint(4, 300, (n, 8), generator=torch.Generator().manual_seed(seed))
    spelled[:, 0], spelled[:, 9] = 2, 3
    return {"spelled": spelled, "text": spelled[:, 1:9].clone(), "value": torch.ones(n, 8)}


def test_embeddings_and_words_are_dropped_by_themselves():
    """10 % of embeddings and 50 % of words (section 2.1), and of what the prior reads 10 %."""
    model, n, heard = toy(words=True), 4096, {}

    def decoder(batch, step):
        heard.update(batch.cond)
        yield "denoiser", torch.zeros((), requires_grad=True)

    def prior(z, told, batch):
        heard["spelled"] = (told.there.sum(1) == 2).float()
        return torch.zeros((), requires_grad=True)

    batch = Batch.at(images(n), captions(n), seed=0, step=0, start=0, total=n)
    with mock.patch.object(model.decoder, "losses", decoder), mock.patch.object(model.prior, "loss", prior):
        assert [part for part, _ in model.losses(batch, 0)] == ["prior", "decoder"]
    silent = (heard["embedding"] == 0).all(1)
    mute = (heard["text"] == 0).all(1)
    assert len(silent) == n // 2 and torch.equal(mute, (heard["value"] == 0).all(1))
    for found, share in ((silent, DROPPED), (mute, WORDS_DROPPED), (silent & mute, DROPPED * WORDS_DROPPED)):
        assert abs(found.float().mean().item() - share) < 0.03
    assert abs(heard["spelled"].mean().item() - DROPPED) < 0.03


@pytest.mark.parametrize("name", ["unclip", "stable_unclip"])
def test_variations_follow_their_source_and_ask_for_no_words(name):
    model, source = toy(name, guidance_scale=1.0), images(4, 1)
    with torch.no_grad():
        for parameter in model.decoder.parts["denoiser"].parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
        noise = lambda: ImageNoise(0, range(4))  # noqa: E731
        drawn = model.sample(4, {"source": source}, noise())
        torch.testing.assert_close(model.sample(4, {"embedding": model.embed(source)}, noise()), drawn)
        assert (model.sample(4, {"source": source.flip(0)}, noise()) - drawn).abs().max() > 1e-4


def test_words_beside_an_image_are_heard_or_refused():
    cond = {"source": images(2), **captions(2)}
    with torch.no_grad(), pytest.raises(InputError, match="the decoder hears no text beside an image"):
        toy(words=False).sample(2, cond, ImageNoise(0, range(2)))
    with torch.no_grad():
        assert toy(words=True).sample(2, cond, ImageNoise(0, range(2))).shape == (2, 1, 16, 16)


def test_of_some_draws_the_nearest_to_the_text_is_taken():
    model, cond = toy(prior="autoregressive"), captions(16)
    noise = lambda: ImageNoise(0, range(16))  # noqa: E731
    with torch.no_grad():
        text = model.clip.embed_text(cond)
        one, two, many = (
            (model.imagine(cond, noise(), replace(model.sampling, draws=draws)) * text).sum(1) for draws in (1, 2, 8)
        )
    # The first draws are the same.
    assert (two >= one - 1e-5).all() and (many >= two - 1e-5).all() and many.mean() > one.mean()


def test_the_level_of_the_noise_is_told():
    model = toy("stable_unclip")
    z, noise = model.embed(images(3)), torch.randn(3, 32)
    clean, half, most = (model._heard(z, torch.full((3,), level), noise) for level in (0, 500, 999))
    assert clean.shape == (3, 64) and not torch.allclose(clean[:, 32:], half[:, 32:])
    apart = [(heard[:, :32] - model.normaliser(z)).square().mean() for heard in (clean, half, most)]
    assert apart[0] < 0.01 * apart[1] < 0.01 * apart[2]
    torch.testing.assert_close(most[:, :32], noise, atol=1e-3, rtol=1e-3)  # nothing is left of the image


def test_a_clip_of_other_captions_is_refused():
    stages = {"clip": build("clip", 1, 16, {**TOY["clip"], "vocabulary": 200})}
    with pytest.raises(InputError, match="captions of another vocabulary"):
        build("unclip", 1, 16, TOY["unclip"], stages)


def test_an_empty_caption_begins_and_ends():
    assert empty(captions(2)["spelled"]).tolist() == [[2, 3, *[0] * 30]] * 2
