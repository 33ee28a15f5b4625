"""Priors from a caption to an embedding of an image."""

import pytest
import torch
import torch.nn.functional as F

from veridical.core.batch import Batch, ImageNoise
from veridical.core.errors import InputError
from veridical.models.text.prior import AutoregressivePrior, DiffusionPrior, Imagining, Told

DIM, WORDS, TOKENS = 16, 12, 7
SMALL = Imagining(prior_width=32, prior_layers=1, components=6, buckets=16)


def told(n=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    words = torch.randn(n, TOKENS, WORDS, generator=generator)
    there = torch.arange(TOKENS) < 2 + torch.arange(n)[:, None]
    return Told(F.normalize(torch.randn(n, DIM, generator=generator), dim=-1), words, there)


def made(kind):
    torch.manual_seed(0)
    prior = kind(DIM, WORDS, TOKENS, SMALL)
    prior.prepare(torch.randn(256, DIM, generator=torch.Generator().manual_seed(1)))
    for name, parameter in prior.named_parameters():
        if name in ("net.proj_to_clip_embeddings.weight", "out.weight"):
            torch.nn.init.normal_(parameter)
    return prior.eval()


def test_the_diffusion_prior_is_asked_as_diffusers_asks_its_own():
    """Noisy embeddings of its scheduler at its steps, and the network tells the clean ones."""
    from diffusers.models.transformers.prior_transformer import PriorTransformer
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    prior, cond = made(DiffusionPrior), told()
    theirs = PriorTransformer(1, 32, 1, DIM, TOKENS, encoder_hid_proj_type=None).eval()
    missing = theirs.load_state_dict(prior.net.state_dict(), strict=False)
    assert set(missing.missing_keys) == {"clip_mean", "clip_std"} and not missing.unexpected_keys
    z, noise, step = torch.randn(4, DIM), torch.randn(4, DIM), torch.tensor([0, 100, 600, 990])
    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    with torch.no_grad():
        noisy = scheduler.add_noise(z, noise, step)
        expected = theirs(noisy, step, 4 * cond.vector, prior.words(cond.words), cond.there).predicted_image_embedding
        left = scheduler.alphas_cumprod[step]
        sigma = ((1 - left) / left).sqrt()
        found = prior.denoise(z + sigma[:, None] * noise, sigma, cond)
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", [DiffusionPrior, AutoregressivePrior])
def test_padding_is_not_read_and_words_are(kind):
    prior, cond = made(kind), told()
    noise = lambda: ImageNoise(0, range(4))  # noqa: E731
    with torch.no_grad():
        drawn = prior.sample(cond, cond, noise(), 1.0, 4)
        padding = cond.words.masked_fill(~cond.there[..., None], 9.0)
        torch.testing.assert_close(
            prior.sample(cond._replace(words=padding), cond, noise(), 1.0, 4), drawn, atol=1e-4, rtol=1e-3
        )
        others = cond._replace(words=cond.words.flip(0))
        assert (prior.sample(others, cond, noise(), 1.0, 4) - drawn).abs().max() > 1e-3
        # Away from itself is nowhere.
        torch.testing.assert_close(prior.sample(cond, cond, noise(), 3.0, 4), drawn, atol=1e-3, rtol=1e-2)


def test_components_one_after_another_are_those_of_one_pass():
    """With the cache of keys and values, and without."""
    prior, cond = made(AutoregressivePrior), told()
    with torch.no_grad():
        drawn = prior.sample(cond, cond, ImageNoise(0, range(4)), 1.0, 4)
        codes = prior.codes(drawn)
        torch.testing.assert_close(prior.decode(codes), drawn)
        chance = torch.special.ndtr(ImageNoise(0, range(4))((SMALL.components,)))
        reached = prior.logits(codes[:, :-1], cond).softmax(-1).cumsum(-1)
    below = F.pad(reached, (1, 0)).gather(-1, codes[..., None])[..., 0]
    above = reached.gather(-1, codes[..., None])[..., 0]
    assert ((below - 1e-5 <= chance) & (chance <= above + 1e-5)).all()


def test_quantised_components_are_near_what_they_were():
    torch.manual_seed(0)
    low = torch.randn(500, 4) @ torch.randn(4, DIM)  # four dimensions in sixteen
    prior = AutoregressivePrior(DIM, WORDS, TOKENS, Imagining(prior_width=32, components=4, buckets=256))
    prior.prepare(low[:400])
    again = prior.decode(prior.codes(low[400:]))
    assert (again - low[400:]).square().mean() < 1e-3 * low.square().mean()


def test_what_cannot_be_is_said():
    with pytest.raises(InputError, match="components=17 are more than the 16 numbers"):
        AutoregressivePrior(DIM, WORDS, TOKENS, Imagining(components=17))
    with pytest.raises(InputError, match="prior_width=40 must be a multiple of 32"):
        Imagining(prior_width=40)


@pytest.mark.parametrize("kind", [DiffusionPrior, AutoregressivePrior])
def test_it_learns_which_embedding_a_caption_has(kind):
    cond, prior = told(8), made(kind).train()
    z = torch.randn(8, DIM, generator=torch.Generator().manual_seed(2))
    prior.prepare(z.repeat(4, 1))
    optimiser = torch.optim.Adam(prior.parameters(), 5e-3)
    for step in range(80):
        rows = torch.arange(32) % 8
        batch = Batch.at(z[rows, :, None, None], {}, seed=0, step=step, start=0, total=32)
        optimiser.zero_grad()
        prior.loss(z[rows], Told(*(part[rows] for part in cond)), batch).backward()
        optimiser.step()
    with torch.no_grad():
        drawn = prior.eval().sample(cond, cond, ImageNoise(0, range(8)), 1.0, 20)
    near = F.normalize(drawn, dim=-1) @ F.normalize(z, dim=-1).mT
    assert (near.argmax(1) == torch.arange(8)).float().mean() > 0.8
