"""The first stage of latent systems: an image to a small map of latents and back (Rombach et al. 2022, section 3.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.core.batch import Batch, Noise
from veridical.core.errors import InputError
from veridical.models.gan.dcgan import patch_discriminator
from veridical.models.gan.game import ADVERSARIAL
from veridical.models.vae.vae import gaussian_kl


class Autoencoder(nn.Module):
    """diffusers' `AutoencoderKL`, trained by reconstruction, a slight divergence and a patch discriminator.

    The network adds to the principal components of the squares of pixels that a latent stands for, which are measured once:
    the untrained system is already the best linear one. Without this, and with ``patch=1``, all of it is the library's class,
    as pipelines of other people load it.

    Parameters
    ----------
    channels, size : int
    latent : int
        Channels of the latent map, whose side is ``size / (patch * 2 ** (len(widths) - 1))``.
    patch : int
        Side of the square of pixels folded into channels first.
    widths : tuple of int
        Channels of each resolution.
    kl : float
        Weight of the divergence, in units of the squared error summed over pixels.
    adversarial : float
        Weight of the discriminator's opinion; it brings back the texture that a squared error averages away.
    linear : bool
        Add to the principal components.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        latent: int = 32,
        patch: int = 4,
        widths: tuple[int, ...] = (32, 64),
        kl: float = 1e-4,
        adversarial: float = 0.05,
        linear: bool = True,
    ) -> None:
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

        super().__init__()
        factor = patch * 2 ** (len(widths) - 1)
        if size % factor:
            raise InputError(
                f"tiles of {size} pixels do not divide by {factor}: choose another --size or other widths."
            )
        self.patch, self.kl, self.adversarial, self.linear = patch, kl, adversarial, linear
        self.shape = (latent, size // factor, size // factor)
        self.autoencoder = AutoencoderKL(
            in_channels=channels * patch**2,
            out_channels=channels * patch**2,
            down_block_types=("DownEncoderBlock2D",) * len(widths),
            up_block_types=("UpDecoderBlock2D",) * len(widths),
            block_out_channels=widths,
            layers_per_block=1,
            latent_channels=latent,
            norm_num_groups=16,
            sample_size=size // patch,
            mid_block_add_attention=False,
        )
        # What the network adds to something begins as nothing, and the posterior narrow.
        quant: Any = self.autoencoder.quant_conv
        for layer in (quant, self.autoencoder.decoder.conv_out) if linear else ():
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(quant.weight[latent:])
        nn.init.constant_(quant.bias[latent:], -4)
        self.mean: Tensor
        self.basis: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("basis", torch.zeros(latent, channels, factor, factor))
        self.register_buffer("scale", torch.ones(()))
        self.discriminator = patch_discriminator(channels, 32)
        self.parts = {"discriminator": self.discriminator, "autoencoder": self.autoencoder}

    @torch.no_grad()
    def prepare(self, image: Tensor) -> None:
        """Measure mean and principal components of squares of pixels of training tiles (N, C, H, W)."""
        if not self.linear:
            return
        self.mean.copy_(image.mean((0, 2, 3), keepdim=True))
        squares = F.unfold(image - self.mean, self.basis.shape[-1], stride=self.basis.shape[-1]).mT.flatten(0, 1)
        variances, axes = torch.linalg.eigh(squares.double().mT @ squares.double() / len(squares))
        latent = len(self.basis)
        axes = axes.mT.flip(0)[:latent]
        # The sign of an eigenvector is free and may differ from run to run: its largest entry is made positive.
        axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
        self.basis.copy_(axes.reshape(self.basis.shape))
        self.scale.copy_(variances.flip(0)[:latent].mean().clamp(min=1e-6).rsqrt())

    def _posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        posterior = self.autoencoder.encode(F.pixel_unshuffle(x, self.patch)).latent_dist
        if not self.linear:
            return posterior.mean, posterior.logvar
        linear = F.conv2d((x - self.mean) * self.scale, self.basis, stride=self.basis.shape[-1])
        return linear + posterior.mean, posterior.logvar

    def encode(self, x: Tensor) -> Tensor:
        """Latents of images (N, C, H, W): the posterior's mean, shape (N, \\*self.shape)."""
        return self._posterior(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        """Images of latents."""
        image = F.pixel_shuffle(self.autoencoder.decode(z).sample, self.patch)
        if not self.linear:
            return image
        linear = F.conv_transpose2d(z / self.scale, self.basis, stride=self.basis.shape[-1]) + self.mean
        return linear + image

    def losses(self, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
        """Yield the discriminator's hinge loss, then the autoencoder's loss."""
        mean, log_variance = self._posterior(batch.image)
        image = self.decode(mean + (log_variance / 2).exp() * batch.normal(*self.shape))
        real, fake = self.discriminator(batch.image), self.discriminator(image.detach())
        discriminator_loss, opinion = ADVERSARIAL["hinge"]
        yield "discriminator", discriminator_loss(real, fake)
        error = (image - batch.image).abs().mean()
        divergence = gaussian_kl(mean, log_variance).mean() / batch.image[0].numel()
        yield "autoencoder", error + self.kl * divergence + self.adversarial * opinion(self.discriminator(image))

    def sample(self, n: int, cond: dict[str, Any], noise: Noise) -> Tensor:
        """Decode white noise. Latents of real images are not white: this is what a second stage is for."""
        return self.decode(noise(self.shape))
