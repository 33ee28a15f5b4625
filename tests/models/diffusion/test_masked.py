"""Label mask to image by a denoiser: samples are of their masks, and guidance leads from no mask to one."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from toy import TOY, write_tiles
from veridical.core.batch import Batch, ImageNoise
from veridical.core.errors import InputError
from veridical.recipes.table import build
from veridical.runs.draw import sample
from veridical.training.start import train

SMALL = {"widths": (16,), "attention": (False,), "sampling_steps": 6, "classes": 2, "mask_dropout": 0.3}


def pairs(n, seed=0):
    """Masks with an edge anywhere, and images that are bright where they are 1."""
    generator = torch.Generator().manual_seed(seed)
    edge = torch.randint(2, 15, (n,), generator=generator)
    mask = (torch.arange(16) < edge[:, None])[:, None, :].expand(-1, 16, -1).to(torch.uint8)
    return mask, mask[:, None] * 0.8 - 0.4 + 0.05 * torch.randn(n, 1, 16, 16, generator=generator)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = build("mask_diffusion", 1, 16, SMALL)
    mask, image = pairs(32)
    model.prepare(image)
    optimiser = torch.optim.Adam(model.parts["denoiser"].parameters(), 3e-3)
    for step in range(120):
        loss = next(model.losses(Batch.at(image, {"mask": mask}, seed=0, step=step, start=0, total=32), step))[1]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval().requires_grad_(False)


def agreement(image, mask):
    """Correlation of grey levels and classes, pixel by pixel."""
    return torch.corrcoef(torch.stack([image.flatten(), mask.float().flatten()]))[0, 1]


def test_samples_follow_their_masks_and_not_those_of_others(model):
    mask, _ = pairs(12, seed=1)
    made = model.sample(12, {"mask": mask}, ImageNoise(0, range(12)))
    assert agreement(made, mask) > 0.7
    assert agreement(made, mask) > agreement(made, mask.roll(1, 0)) + 0.2


def test_guidance_goes_from_no_mask_to_the_mask(model):
    mask, image = pairs(3, seed=2)
    x, sigma, cond = model.encode(image) + torch.randn(3, 1, 16, 16), torch.ones(3), {"mask": mask}
    told, untold = model.denoise(x, sigma, cond), model.denoise(x, sigma)
    assert (told - untold).abs().mean() > 0.05
    assert torch.equal(untold, model.denoise(x, sigma, {"mask": torch.full_like(mask, 9)}))  # a class of no number
    how = dataclasses.replace(model.sampling, guidance_scale=2.5)
    seen = []

    def one_step(denoise, x, grid, cond, noise, **_):
        seen.append((x, denoise(x, grid[:1].float().expand(len(x)), cond)))
        return x

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("veridical.models.diffusion.denoiser.SOLVERS", {how.solver: one_step})
        model.sample(3, cond, ImageNoise(0, range(3)), how)
    ((x, guided),) = seen
    sigma = model.grid(how)[:1].float().expand(3)
    told, untold = model.denoise(x, sigma, cond), model.denoise(x, sigma)
    torch.testing.assert_close(guided, untold + 2.5 * (told - untold))


def test_a_learned_variance_cannot_be_guided():
    with pytest.raises(InputError, match="variance=learned cannot be guided"):
        model = build("mask_diffusion", 1, 16, {**SMALL, "formulation": "ddpm_cosine", "solver": "ancestral"})
        model.denoiser.law = dataclasses.replace(model.denoiser.law, variance="learned")
        model.sample(
            1, {"mask": pairs(1)[0]}, ImageNoise(0, range(1)), dataclasses.replace(model.sampling, guidance_scale=2)
        )


def test_samples_are_a_labelled_set(tmp_path):
    data = write_tiles(tmp_path / "data", n=4, size=32, conditions=True)
    own = {name: value for name, value in TOY["mask_diffusion"].items() if name != "classes"}
    train("mask_diffusion", data, tmp_path / "run", steps=1, size=32, batch=2, quiet=True, **own)
    masks = tmp_path / "masks"
    masks.mkdir()
    drawn = np.repeat(np.arange(32)[:, None] // 11, 32, 1).astype(np.uint8)
    Image.fromarray(drawn).save(masks / "a.png")
    out = sample(tmp_path / "run", 2, tmp_path / "out", masks=masks, quiet=True)
    written = [np.asarray(Image.open(path)) for path in sorted((out / "masks").iterdir())]
    assert len(written) == 2 and all((mask == drawn).all() for mask in written)


def test_masks_are_left_out_as_often_as_is_said(monkeypatch):
    model = build("mask_diffusion", 1, 16, SMALL)
    mask, image = pairs(512)
    seen = []
    monkeypatch.setattr(model.denoiser, "losses", lambda batch, step: seen.append(batch.cond["map"]) or iter(()))
    list(model.losses(Batch.at(image, {"mask": mask}, seed=0, step=0, start=0, total=512), 0))
    left_out = (seen[0] == 0).flatten(1).all(1)
    assert 0.2 < left_out.float().mean() < 0.4  # a share of 0.3, give or take five standard errors
