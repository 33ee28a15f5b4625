"""Plain convolutional encoder and decoder between an image and a vector."""

from __future__ import annotations

from torch import Tensor, nn

from veridical.core.errors import InputError


def halvings(size: int, smallest: int = 4) -> int:
    """Return how often `size` halves down to `smallest`; `InputError` where it does not."""
    levels = 0
    while size > smallest and size % 2 == 0:
        size, levels = size // 2, levels + 1
    if size != smallest or levels == 0:
        raise InputError(f"this system needs tiles of {smallest} * 2^k pixels: use --size 32, 64 or 128.")
    return levels


def channel_widths(width: int, levels: int, widest: int = 8) -> list[int]:
    """Channels of each resolution, `width` at the finest, doubling with every halving up to `widest` times."""
    return [width * min(2**level, widest) for level in range(levels)]


def mirrored(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Convolution with mirrored borders: zeros tell where the border is, and normalising a flat image makes a pattern of it."""
    return nn.Conv2d(inputs, outputs, kernel, stride, 1, padding_mode="reflect")


def _norm(channels: int) -> nn.Module:
    return nn.GroupNorm(min(8, channels), channels)


class Encoder(nn.Module):
    """Image (N, C, S, S) to vector (N, out): one strided convolution a level, width doubling up to 8 times."""

    def __init__(self, channels: int, size: int, width: int, out: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        previous = channels
        for current in channel_widths(width, halvings(size)):
            layers += [nn.Conv2d(previous, current, 4, 2, 1), _norm(current), nn.SiLU()]
            layers += [nn.Conv2d(current, current, 3, 1, 1), _norm(current), nn.SiLU()]
            previous = current
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(previous * 16, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).flatten(1))


class Decoder(nn.Module):
    """Vector (N, latent) to image (N, C, S, S): the encoder turned round."""

    def __init__(self, channels: int, size: int, width: int, latent: int) -> None:
        super().__init__()
        widths = channel_widths(width, halvings(size))[::-1]
        self.stem = nn.Linear(latent, widths[0] * 16)
        layers: list[nn.Module] = [nn.Unflatten(1, (widths[0], 4, 4))]
        for current, following in zip(widths, [*widths[1:], width], strict=True):
            layers += [nn.Conv2d(current, current, 3, 1, 1), _norm(current), nn.SiLU()]
            layers += [nn.ConvTranspose2d(current, following, 4, 2, 1), _norm(following), nn.SiLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Conv2d(width, channels, 3, 1, 1)

    def forward(self, z: Tensor) -> Tensor:
        return self.head(self.body(self.stem(z)))


class Residual(nn.Module):
    """Two convolutions beside a skip connection (van den Oord et al. 2017, section 4.1, with normalisation)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _norm(width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, 1, 1),
            _norm(width),
            nn.SiLU(),
            nn.Conv2d(width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def map_encoder(channels: int, levels: int, width: int, blocks: int, out: int) -> nn.Sequential:
    """Image (N, C, S, S) to map (N, out, S / 2**levels, S / 2**levels): strided convolutions, then residual blocks."""
    layers: list[nn.Module] = []
    for level in range(levels):
        layers += [nn.Conv2d(width if level else channels, width, 4, 2, 1), nn.SiLU()]
    layers += [nn.Conv2d(width, width, 3, 1, 1), *(Residual(width) for _ in range(blocks)), _norm(width), nn.SiLU()]
    return nn.Sequential(*layers, nn.Conv2d(width, out, 1))


def map_decoder(channels: int, levels: int, width: int, blocks: int, latent: int) -> nn.Sequential:
    """Map (N, latent, s, s) to image (N, C, s * 2**levels, s * 2**levels): the map encoder turned round.

    Maps are enlarged before they are convolved: transposed convolutions leave checkerboards under a discriminator (Odena,
    Dumoulin and Olah 2016, doi:10.23915/distill.00003).
    """
    layers: list[nn.Module] = [nn.Conv2d(latent, width, 3, 1, 1), *(Residual(width) for _ in range(blocks))]
    for level in range(levels):
        following = max(16, width // 2 ** (level + 1))
        layers += [_norm(width), nn.SiLU(), nn.Upsample(scale_factor=2), nn.Conv2d(width, following, 3, 1, 1)]
        width = following
    return nn.Sequential(*layers, _norm(width), nn.SiLU(), nn.Conv2d(width, channels, 3, 1, 1))
