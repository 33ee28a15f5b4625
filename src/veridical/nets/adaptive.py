"""Layers of GigaGAN's generator: kernels mixed for every image, attention among places and to words (Kang et al. 2023,
arXiv:2303.05511).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Noise
from veridical.nets.equalised import GAIN, EqualisedConv2d, EqualisedLinear, add_noise, leaky
from veridical.nets.resize import up_convolution


class AdaptiveConvolution(nn.Module):
    """3 x 3 convolution whose kernel is mixed from a bank by the style of each image (section 3.1, eq. 2 and 3).

    The softmax of a linear function of the style says how much of each kernel; the mixture is then modulated and demodulated as
    in StyleGAN2. Noise, bias and leaky ReLU follow.

    Parameters
    ----------
    inside, out, latent : int
    bank : int
        Kernels.
    up : bool
        Double the resolution first.
    """

    def __init__(self, inside: int, out: int, latent: int, bank: int, up: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(bank * out, inside, 3, 3))
        self.select = EqualisedLinear(latent, bank, gain=1.0)
        self.style = EqualisedLinear(latent, inside, bias=1.0, gain=1.0)
        self.bias = nn.Parameter(torch.zeros(out, 1, 1))
        self.noise_strength = nn.Parameter(torch.zeros(out, 1, 1))
        self.up = up

    def kernels(self, w: Tensor) -> Tensor:
        """Kernels (N, out, in, 3, 3) of styles (N, latent)."""
        shares = self.select(w).softmax(1)
        mixed = torch.einsum("nk,koihw->noihw", shares, self.weight.unflatten(0, (shares.shape[1], -1)))
        mixed = mixed * self.style(w)[:, None, :, None, None]
        return mixed * (mixed.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt() * GAIN

    def forward(self, x: Tensor, w: Tensor, noise: Noise) -> Tensor:
        # One convolution with a group of channels for every image.
        kernels, n = self.kernels(w).flatten(0, 1), len(x)
        x = x.flatten(0, 1)[None]
        y = up_convolution(x, kernels, groups=n) if self.up else F.conv2d(x, kernels, padding=1, groups=n)
        return leaky(add_noise(y[0].unflatten(0, (n, -1)), noise, self.noise_strength) + self.bias)


def distance_attention(query: Tensor, value: Tensor) -> Tensor:
    """Attention whose logits are minus the squared distances of queries from one another, over the root of their length; keys
    are the queries (Kim, Papamakarios and Mnih 2021, arXiv:2006.04710, section 3.2).

    Parameters
    ----------
    query, value : Tensor, shape (N, K, dim)
    """
    scale = 1 / math.sqrt(query.shape[-1])
    # The length of the query itself is the same for all keys, which softmax does not see.
    lengths = -scale * query.square().sum(-1)[:, None, :]
    return F.scaled_dot_product_attention(query, query, value, lengths.expand(-1, query.shape[1], -1), scale=2 * scale)


class PlacesAndWords(nn.Module):
    """Every place of a map looks at the others, then at the words of the caption (section 3.1); begins as the identity.

    Parameters
    ----------
    channels : int
    text : int
        Length of a word's vector.
    """

    def __init__(self, channels: int, text: int) -> None:
        super().__init__()
        self.query, self.value, self.out = (EqualisedConv2d(channels, channels, 1, gain=1.0) for _ in range(3))
        self.ask, self.answer = (EqualisedConv2d(channels, channels, 1, gain=1.0) for _ in range(2))
        self.key, self.told = (EqualisedLinear(text, channels, gain=1.0) for _ in range(2))
        self.strength = nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor, words: Tensor, keep: Tensor) -> Tensor:
        """Maps like `x` (N, C, H, W), told `words` (N, L, text), of which `keep` (N, L) count."""
        side = x.shape[2:]

        def places(maps: Tensor) -> Tensor:
            return maps.flatten(2).mT

        seen = distance_attention(places(self.query(x)), places(self.value(x)))
        x = x + self.strength[0] * self.out(seen.mT.unflatten(2, side))
        heard = F.scaled_dot_product_attention(places(self.ask(x)), self.key(words), self.told(words), keep[:, None])
        return x + self.strength[1] * self.answer(heard.mT.unflatten(2, side))
