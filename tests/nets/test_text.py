"""A text reaches both networks: its padding does not count, and without one networks are what they were."""

from types import SimpleNamespace

import pytest
import torch

from veridical.core.batch import ImageNoise
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.settings import Network, Sampling
from veridical.nets.dit import CONDITIONING, DiT
from veridical.nets.text import TextOrNone, Tower, hear
from veridical.nets.unet import UNet


def unet(**args):
    return UNet(4, 4, 8, (16, 32), 1, (False, True), 0.0, **args)


def with_text(how):
    torch.manual_seed(0)
    net = unet(conditional=True, text=True) if how == "unet" else DiT(4, 4, 4, 32, 2, how, 0.0, text=True)
    for parameter in net.parameters():  # what begins at zero would hide the text
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.2)
    return net.eval()


@pytest.mark.parametrize("how", ["unet", *CONDITIONING])
def test_tokens_count_and_their_padding_does_not(how):
    net = with_text(how)
    generator = torch.Generator().manual_seed(0)
    x, time = torch.randn(2, 4, *[net.net.config.sample_size if how == "unet" else 4] * 2), torch.full((2,), 50.0)
    vector, tokens = torch.randn(2, net.dim, generator=generator), torch.randn(2, 5, net.dim, generator=generator)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]).bool()
    with torch.no_grad():
        said = net(x, time, vector, tokens, mask)
        padded = net(x, time, vector, torch.where(mask[..., None], tokens, 9.0), mask)
        shorter = net(x, time, vector, tokens[:, :3], mask[:, :3])
        other = net(x, time, vector, tokens.flip(0), mask)
        silent = net(x, time, 0 * vector, tokens, mask)
    torch.testing.assert_close(padded, said)
    torch.testing.assert_close(shorter, said, atol=1e-5, rtol=1e-4)
    assert ((other - said).abs().amax((1, 2, 3)) > 1e-3).all() and (silent - said).abs().max() > 1e-3


@pytest.mark.parametrize("how", ["unet", *CONDITIONING])
def test_gradients_reach_what_attends_to_the_text(how):
    net = with_text(how)
    side = 8 if how == "unet" else 4
    tokens = torch.randn(2, 3, net.dim, requires_grad=True)
    net(
        torch.randn(2, 4, side, side), torch.ones(2), torch.ones(2, net.dim), tokens, torch.ones(2, 3).bool()
    ).square().mean().backward()
    assert tokens.grad.abs().min() > 0
    crossing = [p for name, p in net.named_parameters() if "attn2" in name or "cross" in name]
    assert all(p.grad is not None and p.grad.any() for p in crossing if p.dim() > 1)
    assert crossing or how == "in_context"


def test_without_a_text_the_network_is_that_of_diffusers():
    from diffusers import UNet2DModel

    torch.manual_seed(0)
    ours = unet()
    torch.manual_seed(0)
    theirs = UNet2DModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(16, 32), layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=32, norm_num_groups=16,
    )  # fmt: skip
    assert ours.net.state_dict().keys() == theirs.state_dict().keys()
    for name, tensor in theirs.state_dict().items():
        assert "conv_out" in name or torch.equal(ours.net.state_dict()[name], tensor)


def test_a_text_that_is_left_out_is_no_text():
    torch.manual_seed(0)
    text = TextOrNone(9, 32).eval()
    ids = torch.tensor([[3, 4, 0, 0], [5, 6, 7, 0]])
    with torch.no_grad():
        (none, alone), (left, there) = text(None, 2), text(ids, 2, keep=torch.tensor([False, True]))
        empty, _ = text(torch.zeros(2, 4, dtype=torch.int64), 2)
    assert alone.tolist() == [[True]] * 2
    assert there.tolist() == [[True, False, False, False, False], [True, True, True, True, False]]
    torch.testing.assert_close(left[:1, :1], none[:1])
    torch.testing.assert_close(empty[:, :1], none)


def test_order_and_numbers_of_a_text_count():
    torch.manual_seed(0)
    text = TextOrNone(9, 32).eval()
    ids, value = torch.tensor([[3, 4, 5]]), torch.tensor([[0.0, 1.0, 0.0]])
    with torch.no_grad():
        plain = text(ids, 1)[0]
        swapped, numbered = text(ids[:, [1, 0, 2]], 1)[0], text(ids, 1, value)[0]
        assert torch.equal(text(ids, 1, 0 * value)[0], plain)
    assert (swapped[:, 0] - plain[:, 0]).abs().max() > 1e-3 and (numbered[:, 0] - plain[:, 0]).abs().max() > 1e-3


class Counting(torch.nn.Module):
    """Stands for a text tower: each vector is the token, and whether it counts."""

    def __init__(self):
        super().__init__()
        self.config, self.calls = SimpleNamespace(hidden_size=2, max_position_embeddings=4), 0

    def forward(self, input_ids, attention_mask):
        self.calls += 1
        return SimpleNamespace(last_hidden_state=torch.stack([input_ids, attention_mask], -1).float())


def test_a_tower_reads_no_text_as_an_empty_one():
    reader = Tower(Counting())
    ids = torch.tensor([[2, 7, 3, 0], [2, 8, 9, 3]])
    said, left, none = (
        reader.read({"spelled": ids}, 2),
        reader.read({"spelled": ids}, 2, keep=torch.tensor([False, True])),
        reader.read({}, 2),
    )
    assert said.sequence[0].tolist() == [[2, 1], [7, 1], [3, 1], [0, 0]] and said.there is said.whole is None
    assert none.sequence[0].tolist() == none.sequence[1].tolist() == [[2, 1], [3, 1], [0, 0], [0, 0]]
    assert torch.equal(left.sequence, torch.stack([none.sequence[0], said.sequence[1]]))


@pytest.mark.parametrize("negative", [False, True])
def test_a_text_is_read_once_a_draw_and_so_is_what_guidance_leads_away_from(negative):
    torch.manual_seed(0)
    tower = Counting()
    network = Network(patch=1, widths=(32,), attention=(True,))
    denoiser = Denoiser((1, 8, 8), network, reader=Tower(tower)).eval()
    assert denoiser.parts == {"denoiser": denoiser.net} and denoiser.net.net.config.cross_attention_dim == 2
    for parameter in denoiser.net.net.conv_out.parameters():
        torch.nn.init.normal_(parameter)
    cond = {"spelled": torch.tensor([[2, 7, 3, 0]])} | (
        {"negative_spelled": torch.tensor([[2, 9, 3, 0]])} if negative else {}
    )
    with torch.no_grad():
        heard = hear(cond, 1, denoiser.text)
        assert torch.equal(heard["negative_spelled"].now.sequence[0, 1], torch.tensor([9.0 if negative else 3.0, 1.0]))
        tower.calls = 0
        drawn = [
            denoiser.sample(1, cond, ImageNoise(0, [0]), Sampling(sampling_steps=4, guidance_scale=scale))
            for scale in (1.0, 3.0)
        ]
    assert tower.calls == 4 and (drawn[0] - drawn[1]).abs().max() > 1e-4
