"""Layers of GigaGAN's generator against their definitions."""

import pytest
import torch
import torch.nn.functional as F

from veridical.nets.adaptive import AdaptiveConvolution, PlacesAndWords, distance_attention
from veridical.nets.resize import up_convolution


@pytest.mark.parametrize("up", [False, True])
def test_every_image_has_a_kernel_mixed_and_demodulated_by_its_style(up):
    torch.manual_seed(0)
    layer = AdaptiveConvolution(5, 7, 8, bank=3, up=up)
    torch.nn.init.normal_(layer.bias)
    x, w = torch.randn(4, 5, 6, 6), torch.randn(4, 8)
    expected = []
    for image, share, style in zip(x, layer.select(w).softmax(1), layer.style(w), strict=True):
        kernel = sum(a * k for a, k in zip(share, layer.weight.chunk(3), strict=True)) * style[None, :, None, None]
        kernel = kernel / (kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt() * 2**0.5
        large = F.interpolate(image[None], scale_factor=2) if up else image[None]
        expected.append(F.leaky_relu(F.conv2d(large, kernel, padding=1) + layer.bias, 0.2))
    y = layer(x, w, lambda shape: torch.randn(4, *shape))
    torch.testing.assert_close(y, torch.cat(expected), rtol=1e-4, atol=1e-4)


def test_groups_are_convolved_apart():
    torch.manual_seed(0)
    x, weight = torch.randn(2, 6, 4, 4), torch.randn(8, 3, 3, 3)
    expected = F.conv2d(F.interpolate(x, scale_factor=2), weight, padding=1, groups=2)
    torch.testing.assert_close(up_convolution(x, weight, groups=2), expected, rtol=1e-4, atol=1e-4)


def test_attention_by_distance():
    torch.manual_seed(0)
    query, value = torch.randn(2, 9, 4).double(), torch.randn(2, 9, 5).double()
    shares = (-torch.cdist(query, query).square() / 2).softmax(-1)
    torch.testing.assert_close(distance_attention(query, value), shares @ value)


def test_places_and_words_begin_as_the_identity_and_do_not_hear_padding():
    torch.manual_seed(0)
    layer = PlacesAndWords(8, 6)
    x, words, keep = torch.randn(2, 8, 4, 4), torch.randn(2, 5, 6), torch.arange(5) < torch.tensor([[3], [5]])
    assert torch.equal(layer(x, words, keep), x)
    torch.nn.init.ones_(layer.strength)
    changed = words.clone()
    changed[0, 3:] = 9
    torch.testing.assert_close(layer(x, words, keep), layer(x, changed, keep))
    changed[0, 0] = 9
    assert not torch.allclose(layer(x, words, keep)[0], layer(x, changed, keep)[0])
