"""Vector-quantised variational auto-encoder (van den Oord, Vinyals and Kavukcuoglu 2017): images as maps of codes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.core.errors import InputError
from veridical.models.gan.dcgan import patch_discriminator
from veridical.models.gan.game import ADVERSARIAL
from veridical.nets.convolution import map_decoder, map_encoder
from veridical.nets.pixelcnn import PixelCNN
from veridical.nets.whole import whole_batch


class Codebook(nn.Module):
    """Vectors that follow the mean of what they stand for.

    Updated by running averages (van den Oord et al. 2017, appendix A.1) instead of gradients; a code that is hardly used
    any more starts anew at a vector of the batch (Dhariwal et al. 2020, arXiv:2005.00341, section 3.1).

    Parameters
    ----------
    codes, dim : int
        Number of vectors and their length.
    decay : float
        Of the running averages.
    dead : float
        A code used less than this share of the mean use starts anew.
    """

    def __init__(self, codes: int, dim: int, decay: float = 0.99, dead: float = 0.05) -> None:
        super().__init__()
        self.decay, self.dead = decay, dead
        self.count: Tensor
        self.total: Tensor
        self.register_buffer("count", torch.ones(codes))
        self.register_buffer("total", torch.randn(codes, dim, generator=torch.Generator().manual_seed(0)))

    @property
    def vectors(self) -> Tensor:
        """The codebook, shape (codes, dim)."""
        return self.total / self.count[:, None]

    def nearest(self, z: Tensor) -> Tensor:
        """Code numbers (...) of vectors (..., dim)."""
        vectors = self.vectors
        # |z - e|^2 without |z|^2, which is the same for every e.
        return (vectors.square().sum(1) - 2 * z @ vectors.T).argmin(-1)

    def forward(self, codes: Tensor) -> Tensor:
        """Vectors (..., dim) of code numbers (...)."""
        return F.embedding(codes, self.vectors)

    @torch.no_grad()
    def prepare(self, z: Tensor) -> None:
        """Begin at vectors of the data that are far from one another: k-means++ (Arthur and Vassilvitskii 2007).

        Parameters
        ----------
        z : Tensor, shape (N, dim)
        """
        generator = torch.Generator().manual_seed(0)
        chosen = z[:1]
        distance = (z - chosen).square().sum(1)
        for _ in range(1, len(self.count)):
            # The tiny share for all keeps the choice possible where there are fewer vectors than codes.
            pick = torch.multinomial(distance.cpu() + 1e-12, 1, generator=generator)
            chosen = torch.cat([chosen, z[pick]])
            distance = torch.minimum(distance, (z - chosen[-1]).square().sum(1))
        self.total.copy_(chosen)

    @torch.no_grad()
    def update(self, z: Tensor, codes: Tensor, picks: Tensor) -> None:
        """Take in the vectors of a step.

        Parameters
        ----------
        z : Tensor, shape (N, dim)
        codes : Tensor of int64, shape (N,)
        picks : Tensor, shape (codes,), uniform in [0, 1)
            Which vectors dead codes restart at.
        """
        member = F.one_hot(codes, len(self.count)).to(z.dtype)
        sums = torch.cat([member.T @ z, member.sum(0)[:, None]], 1)
        vectors = whole_batch(z)
        restarts = vectors[(picks * len(vectors)).long()]
        if dist.is_initialized():
            # Every process keeps the codebook of the whole batch.
            dist.all_reduce(sums)
            dist.broadcast(restarts, 0)
        self.total.lerp_(sums[:, :-1], 1 - self.decay)
        self.count.lerp_(sums[:, -1], 1 - self.decay)
        mean = self.count.mean()
        dead = self.count < self.dead * mean
        self.count[dead] = mean
        self.total[dead] = restarts[dead] * mean


class VQVAE(nn.Module):
    """Encoder, codebook and decoder (van den Oord et al. 2017, eq. 3), and a PixelCNN as the prior of the codes (section 3.3).

    It is also the tokenizer of an autoregressive model: `encode` gives integers, `decode` takes them.

    Parameters
    ----------
    channels, size : int
    codes : int
        Size of the codebook.
    dim : int
        Length of its vectors.
    factor : int
        Pixels a code in each direction, a power of two.
    width, blocks : int
        Channels and residual blocks of encoder and decoder.
    commitment : float
        Weight of the pull of encoder outputs towards their codes (beta in eq. 3).
    adversarial : float
        Weight of a patch discriminator's opinion (Esser et al. 2021); 0 trains by reconstruction alone, as in the paper, and
        blurs what the codes cannot tell.
    prior_width, prior_layers : int
        The prior, see `veridical.nets.pixelcnn.PixelCNN`.
    prior_dropout : float
    """

    def __init__(
        self,
        channels: int,
        size: int,
        codes: int = 256,
        dim: int = 32,
        factor: int = 4,
        width: int = 64,
        blocks: int = 2,
        commitment: float = 0.25,
        adversarial: float = 0.05,
        prior_width: int = 64,
        prior_layers: int = 5,
        prior_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        levels = factor.bit_length() - 1
        if factor != 2**levels or levels < 1 or size % factor:
            raise InputError(f"factor={factor} must be 2, 4, 8 ... and divide tiles of {size} pixels: choose another.")
        self.codes, self.shape = codes, (size // factor, size // factor)
        self.commitment, self.adversarial = commitment, adversarial
        self.encoder = map_encoder(channels, levels, width, blocks, dim)
        self.codebook = Codebook(codes, dim)
        self.decoder = map_decoder(channels, levels, width, blocks, dim)
        self.prior = PixelCNN(dim, prior_width, prior_layers, prior_dropout)
        self.parts = {"vqvae": nn.ModuleList([self.encoder, self.decoder]), "prior": self.prior}
        if adversarial:
            self.discriminator = patch_discriminator(channels, 32)
            self.parts = {"discriminator": self.discriminator, **self.parts}
        self.spread: Tensor
        self.register_buffer("spread", torch.ones(()))

    @torch.no_grad()
    def prepare(self, image: Tensor) -> None:
        """Measure the contrast of the data and begin the codebook at encoder outputs."""
        self.spread.copy_((image - image.mean()).abs().mean().clamp(min=1e-3))
        self.codebook.prepare(self._features(image).flatten(0, 2))

    def _features(self, x: Tensor) -> Tensor:
        return self.encoder(x).permute(0, 2, 3, 1)

    def encode(self, x: Tensor) -> Tensor:
        """Codes of images (N, C, H, W): int64, shape (N, \\*self.shape)."""
        return self.codebook.nearest(self._features(x))

    def decode(self, z: Tensor) -> Tensor:
        """Images (N, C, H, W) of codes (N, \\*self.shape)."""
        return self.decoder(self.codebook(z).permute(0, 3, 1, 2))

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the losses of discriminator (hinge), auto-encoder and prior (nats a code)."""
        z = self._features(batch.image)
        codes = self.codebook.nearest(z.detach())
        quantised = self.codebook(codes)
        # The decoder's gradient passes the quantiser as if it were not there.
        image = self.decoder((z + (quantised - z).detach()).permute(0, 3, 1, 2))
        loss = (image - batch.image).abs().mean() / self.spread
        loss = loss + self.commitment * F.mse_loss(z, quantised)
        if self.adversarial:
            real, fake = self.discriminator(batch.image), self.discriminator(image.detach())
            discriminator_loss, opinion = ADVERSARIAL["hinge"]
            yield "discriminator", discriminator_loss(real, fake)
            loss = loss + self.adversarial * opinion(self.discriminator(image))
        yield "vqvae", loss
        self.codebook.update(z.detach().flatten(0, 2), codes.flatten(), batch.uniform(self.codes)[0])
        yield "prior", F.cross_entropy(self.prior(codes, self._standardised()).flatten(0, 2), codes.flatten())

    def _standardised(self) -> Tensor:
        vectors = self.codebook.vectors
        return (vectors - vectors.mean(0)) / vectors.std().clamp(min=1e-3)

    def sample(self, n: int, cond: dict[str, Any], noise: Noise) -> Tensor:
        """Draw codes from the prior and decode them; images in [-1, 1], shape (n, C, H, W)."""
        return self.decode(self.prior.sample(noise(self.shape), self._standardised())).clamp(-1, 1)

    @torch.no_grad()
    def usage(self, images: Tensor) -> dict[str, float]:
        """How far the codebook is used on `images` (N, C, H, W) in [-1, 1].

        Returns
        -------
        dict
            ``codes``: size of the codebook; ``used``: codes that occur; ``perplexity``: exponential of the entropy of
            their frequencies, at most ``codes``.
        """
        counts = torch.bincount(self.encode(images).flatten(), minlength=self.codes)
        share = counts / counts.sum()
        entropy = -torch.special.xlogy(share, share).sum()
        return {"codes": self.codes, "used": int((counts > 0).sum()), "perplexity": float(entropy.exp())}
