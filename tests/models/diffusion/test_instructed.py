"""InstructPix2Pix: what is left out in training, what is seen at first, and whether instructions are followed."""

import dataclasses

import pytest
import torch

from veridical.core.batch import Batch, ImageNoise
from veridical.diffusion.guidance import instructed
from veridical.recipes.table import build

SMALL = {"widths": (32,), "attention": (False,), "sampling_steps": 6, "vocabulary": 10}
BRIGHTER, DARKER = 5, 6


def pairs(n, seed=0):
    """Grey images, and the same brighter or darker as they are told."""
    generator = torch.Generator().manual_seed(seed)
    before = torch.rand(n, 1, 1, 1, generator=generator) - 0.5 + 0.05 * torch.randn(n, 1, 16, 16, generator=generator)
    word = BRIGHTER + torch.arange(n) % 2
    after = before + 0.4 * (1 - 2 * (word - BRIGHTER)).reshape(-1, 1, 1, 1)
    return after, {"before": before, "text": word[:, None].expand(-1, 3), "value": torch.zeros(n, 3)}


def test_the_image_before_is_not_seen_at_first():
    model = build("instruct_pix2pix", 1, 16, SMALL)
    after, cond = pairs(4)
    model.prepare(after)
    seen = []
    model.denoiser.net.net.conv_in.register_forward_hook(lambda module, given, out: seen.append(out))
    for told in (cond, {**cond, "before": cond["before"] + 1}, {"text": cond["text"]}):
        model.denoise(model.encode(after), torch.ones(4), told)
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[0], seen[2])


def test_instruction_image_and_both_are_left_out_as_often_as_the_paper_says(monkeypatch):
    model = build("instruct_pix2pix", 1, 16, SMALL)
    after, cond = pairs(4000)
    model.prepare(after)
    seen = []
    monkeypatch.setattr(model.denoiser, "losses", lambda batch, step: iter([seen.append(batch.cond)]))
    list(model.losses(Batch.at(after, cond, seed=0, step=0, start=0, total=4000), 0))
    text, image = (seen[0]["text"] != 0).all(1), seen[0]["map"].flatten(1).any(1)
    shares = [(~text & image).float().mean(), (text & ~image).float().mean(), (~text & ~image).float().mean()]
    assert all(abs(share.item() - 0.05) < 0.012 for share in shares)


@pytest.mark.parametrize(("text", "image"), [(7.5, 1.5), (1.0, 1.0), (1.0, 2.0), (3.0, 1.0), (0.0, 0.0)])
def test_guidance_is_that_of_the_pipeline_of_diffusers(text, image):
    """``noise_uncond + s_T (noise_text - noise_image) + s_I (noise_image - noise_uncond)``, of noise there, of images here."""
    generator = torch.Generator().manual_seed(0)
    expected = {names: torch.randn(2, 1, 4, 4, generator=generator) for names in (("map", "text"), ("map",), ())}
    x, sigma = torch.randn(2, 1, 4, 4, generator=generator), torch.full((2,), 3.0)

    def denoise(x, sigma, cond):
        return expected[tuple(sorted(name for name in cond if name != "value"))]

    found = instructed(denoise, text, image)(x, sigma, {"text": 1, "map": 2})
    noise = {names: (x - clean) / 3.0 for names, clean in expected.items()}
    theirs = noise[()] + text * (noise["map", "text"] - noise["map",]) + image * (noise["map",] - noise[()])
    torch.testing.assert_close(found, x - 3.0 * theirs)


def test_a_negative_text_takes_the_place_of_none_and_the_interval_holds():
    told = []

    def denoise(x, sigma, cond):
        told.append(dict(cond))
        return x * 0

    guided = instructed(denoise, 3.0, 2.0, (0.5, 2.0))
    cond = {"text": "a", "negative_text": "b", "map": "c"}
    guided(torch.zeros(1, 1, 2, 2), torch.ones(1), cond)
    assert told == [cond, {"text": "b", "map": "c"}, {"text": "b"}]
    guided(torch.zeros(1, 1, 2, 2), torch.full((1,), 9.0), cond)
    assert len(told) == 4


def test_images_are_kept_and_instructions_followed():
    torch.manual_seed(0)
    model = build("instruct_pix2pix", 1, 16, SMALL)
    after, cond = pairs(32)
    model.prepare(after)
    optimiser = torch.optim.Adam(model.parts["denoiser"].parameters(), 3e-3)
    for step in range(150):
        loss = next(model.losses(Batch.at(after, cond, seed=0, step=step, start=0, total=32), step))[1]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    truth, cond = pairs(24, seed=1)
    how = dataclasses.replace(model.sampling, guidance_scale=1.5, image_guidance_scale=1.2)
    with torch.no_grad():
        made = model.sample(24, cond, ImageNoise(0, range(24)), how)
    change = (made - cond["before"]).mean((1, 2, 3))
    brighter = cond["text"][:, 0] == BRIGHTER
    assert (change[brighter] > 0).float().mean() > 0.9 and (change[~brighter] < 0).float().mean() > 0.9
    grey = torch.stack([made.mean((1, 2, 3)), truth.mean((1, 2, 3))])
    assert torch.corrcoef(grey)[0, 1] > 0.8
