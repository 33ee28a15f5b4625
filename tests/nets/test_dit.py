"""The transformer against diffusers' own, and its three ways of conditioning."""

import pytest
import torch

from veridical.core.errors import InputError
from veridical.nets.dit import CONDITIONING, DiT


def randomised(net, scale=0.1):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return net.eval()


def test_with_equal_weights_it_is_the_transformer_of_diffusers():
    from diffusers import DiTTransformer2DModel

    ours = randomised(DiT(3, 3, 6, 64, 2, "adaln_zero", 0.0))
    theirs = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=32, in_channels=3, num_layers=2, attention_bias=True, sample_size=6,
        patch_size=1, num_embeds_ada_norm=4, norm_eps=1e-6,
    ).eval()  # fmt: skip
    classes = 0.1 * torch.randn(5, 64, generator=torch.Generator().manual_seed(1))
    pairs = [(theirs.pos_embed.proj, ours.into), (theirs.proj_out_1, ours.modulation), (theirs.proj_out_2, ours.out)]
    for their, block in zip(theirs.transformer_blocks, ours.blocks, strict=True):
        attention = block.attention
        pairs += [
            (their.norm1.linear, block.modulation),
            (their.norm1.emb.timestep_embedder, ours.time),
            (their.attn1.to_q, attention.query),
            (their.attn1.to_k, attention.key),
            (their.attn1.to_v, attention.value),
            (their.attn1.to_out[0], attention.out),
            (their.ff.net[0].proj, block.perceptron[0]),
            (their.ff.net[2], block.perceptron[3]),
        ]
        with torch.no_grad():
            their.norm1.emb.class_embedder.embedding_table.weight.copy_(classes)
    for their, our in pairs:
        their.load_state_dict(our.state_dict())
    x = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(2))
    time, label = torch.tensor([7, 900]), torch.tensor([0, 3])
    with torch.no_grad():
        expected = theirs(x, time, label).sample
        torch.testing.assert_close(ours(x, time.float(), classes[label]), expected, atol=1e-5, rtol=1e-5)
    assert expected.std() > 0.05


@pytest.mark.parametrize("conditioning", CONDITIONING)
def test_time_and_condition_get_in(conditioning):
    net = randomised(DiT(2, 4, 4, 32, 2, conditioning, 0.0), 0.3)
    x, time = torch.ones(2, 2, 4, 4), torch.tensor([5.0, 5.0])
    with torch.no_grad():
        plain = net(x, time)
        later, told = net(x, time + 400), net(x, time, torch.ones(2, 32))
    assert plain.shape == (2, 4, 4, 4)
    assert (later - plain).abs().max() > 1e-3 and (told - plain).abs().max() > 1e-3
    # The same image at two places of the batch, two places of the map that know where they are.
    torch.testing.assert_close(plain[0], plain[1])
    assert (plain[0, :, 0, 0] - plain[0, :, 3, 3]).abs().max() > 1e-3


@pytest.mark.parametrize("conditioning", CONDITIONING)
def test_it_begins_at_zero(conditioning):
    net = DiT(2, 4, 4, 32, 2, conditioning, 0.0)
    assert not net(torch.ones(1, 2, 4, 4), torch.ones(1)).any()


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="multiple of 32"):
        DiT(2, 2, 4, 48, 1, "adaln_zero", 0.0)
    with pytest.raises(InputError, match="no conditioning 'cross'"):
        DiT(2, 2, 4, 32, 1, "cross", 0.0)
