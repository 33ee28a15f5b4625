"""ControlNet: the base before the first step, the residuals of diffusers, and hints that decide."""

import dataclasses

import pytest
import torch

from toy import TOY, base_of, lively
from veridical.core.batch import Batch, ImageNoise
from veridical.core.errors import InputError
from veridical.models.diffusion.controlnet import interval
from veridical.nets.unet import steered
from veridical.recipes.table import build

BASES = ("text_to_image", "stable_diffusion")


@pytest.fixture(scope="module", params=BASES)
def model(request):
    torch.manual_seed(0)
    return build("controlnet", 1, 32, TOY["controlnet"], {"base": base_of(request.param)}).eval()


def told(n=2):
    """Texts of two lengths, and hints of two halves."""
    words = torch.tensor([[4, 5, 6, 0, 0, 0], [7, 0, 0, 0, 0, 0]])[torch.arange(n) % 2]
    spelled = torch.nn.functional.pad(torch.nn.functional.pad(words[:, :3], (1, 0), value=2), (0, 28), value=3)
    hint = torch.zeros(n, 1, 32, 32)
    hint[:, :, :, :16] = 1
    return {"text": words, "value": torch.zeros(n, 6), "spelled": spelled, "hint": hint}


def test_before_the_first_step_it_is_its_base_to_the_bit(model):
    cond = told()
    plain = {name: value for name, value in cond.items() if name != "hint"}
    with torch.no_grad():
        z = model.encode(torch.rand(2, 1, 32, 32) * 2 - 1)
        sigma = torch.tensor([0.5, 3.0])
        assert torch.equal(model.denoise(z, sigma, cond), model.base.denoise(z, sigma, plain))
        drawn = model.sample(2, cond, ImageNoise(0, range(2)))
        assert torch.equal(drawn, model.base.sample(2, plain, ImageNoise(0, range(2)), model.sampling))


def test_residuals_are_those_of_diffusers_and_reach_the_base(model):
    net = model.base.denoiser.net
    channels, side = net.net.config.in_channels, net.net.config.sample_size
    generator = torch.Generator().manual_seed(0)
    x, time = torch.randn(2, channels, side, side, generator=generator), torch.tensor([10.0, 400.0])
    width = net.net.config.cross_attention_dim
    tokens = torch.randn(2, 5, width, generator=generator)
    vector = None if model.control.class_embedding is None else torch.randn(2, net.dim, generator=generator)
    kept = {name: value.clone() for name, value in model.control.state_dict().items()}
    try:
        lively(model.control)
        hint = told()["hint"]
        with torch.no_grad():
            down, middle = model.residuals(hint, x, time, vector, tokens, None)
            theirs = model.control(x, time, tokens, hint, class_labels=vector)
            for mine, other in zip(
                [*down, middle], [*theirs.down_block_res_samples, theirs.mid_block_res_sample], strict=True
            ):
                torch.testing.assert_close(mine, other)
            all_there = torch.ones(2, 5, dtype=torch.bool)
            torch.testing.assert_close(model.residuals(hint, x, time, vector, tokens, all_there)[1], middle)
            few = all_there & (torch.arange(5) < 2)
            shortened = model.residuals(hint, x, time, vector, tokens[:, :2], None)[1]
            torch.testing.assert_close(model.residuals(hint, x, time, vector, tokens, few)[1], shortened)
            with steered(net, lambda *seen: model.residuals(hint, *seen)):
                found = net(x, time, vector, tokens)
            given = net.net(
                x, time, tokens, class_labels=vector, down_block_additional_residuals=theirs.down_block_res_samples,
                mid_block_additional_residual=theirs.mid_block_res_sample,
            ).sample  # fmt: skip
            torch.testing.assert_close(found, given)
            once = lambda *seen: model.residuals(hint, *seen)  # noqa: E731
            with steered(net, once), steered(net, once):
                twice = net(x, time, vector, tokens)
        assert (found - net(x, time, vector, tokens)).abs().max() > 1e-3 and (twice - found).abs().max() > 1e-3
        assert net.beside is None
    finally:
        model.control.load_state_dict(kept)


def test_gradients_reach_the_hint_and_a_hint_that_decides_is_heeded():
    """Images are bright where their hint is; the captions say nothing."""
    torch.manual_seed(0)
    base = base_of("text_to_image", 16)
    model = build(
        "controlnet", 1, 16, {**TOY["controlnet"], "guidance_scale": 1.0, "sampling_steps": 6}, {"base": base}
    )
    edge = torch.arange(32) % 12 + 2
    hint = (torch.arange(16) < edge[:, None])[:, None, None, :].float().expand(-1, 1, 16, -1).clone()
    hint[::2] = hint[::2].flip(-1)  # so that their mean says nothing
    image = hint * 0.8 - 0.4 + 0.05 * torch.randn(32, 1, 16, 16)
    cond = {"text": torch.zeros(32, 6, dtype=torch.long), "value": torch.zeros(32, 6), "hint": hint}
    cond["spelled"] = torch.zeros(32, 32, dtype=torch.long) + 3
    frozen = {name: value.clone() for name, value in model.base.state_dict().items()}
    model.train()
    optimiser = torch.optim.Adam(model.parts["control"].parameters(), 1e-2)
    losses = []
    for step in range(60):
        ((part, loss),) = model.losses(Batch.at(image, cond, seed=0, step=step, start=0, total=32), step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        if step == 2:
            assert model.control.controlnet_cond_embedding.conv_in.weight.grad.abs().max() > 0
    assert part == "control" and all(
        torch.equal(value, frozen[name]) for name, value in model.base.state_dict().items()
    )
    model.eval()
    with torch.no_grad():
        made = model.sample(32, cond, ImageNoise(0, range(32)))
        other = model.sample(32, {**cond, "hint": hint.flip(-1)}, ImageNoise(0, range(32)))
        off = model.sample(32, cond, ImageNoise(0, range(32)), dataclasses.replace(model.sampling, strength=0.0))
        base_alone = model.base.sample(32, cond, ImageNoise(0, range(32)), model.sampling)
    agree = lambda image, hint: torch.corrcoef(torch.stack([image.flatten(), hint.flatten()]))[0, 1]  # noqa: E731
    assert agree(made, hint) > agree(off, hint) + 0.1 and agree(other, hint.flip(-1)) > agree(other, hint) + 0.2
    assert torch.equal(off, base_alone)


def test_captions_are_left_out_as_often_as_is_said(model):
    assert model.base.denoiser.embed.label_dropout == 0.5


def test_steps_between_which_the_hint_counts():
    grid = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.0])

    def inside(begin, end):
        first, last = interval(grid, begin, end)
        return [level for level in grid[:-1].tolist() if last <= level <= first]

    assert inside(0, 1) == [8, 4, 2, 1] and inside(0, 0.5) == [8, 4] and inside(0.5, 1) == [2, 1]
    assert inside(0.25, 0.75) == [4, 2] and inside(0.6, 0.7) == []


def test_only_systems_that_hear_texts_are_a_base():
    with pytest.raises(InputError, match="controlnet goes on from a U-Net that hears texts: give --first base=RUN"):
        build("controlnet", 1, 32, TOY["controlnet"], {"base": build("edm", 1, 32, TOY["edm"])})
    with pytest.raises(InputError, match="rising shares"):
        build("controlnet", 1, 32, {**TOY["controlnet"], "control_from": 0.5, "control_to": 0.2})
