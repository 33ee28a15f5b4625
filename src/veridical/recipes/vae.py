"""Rows of variational auto-encoders."""

from __future__ import annotations

from veridical.models.vae.autoencoder import Autoencoder
from veridical.models.vae.vae import VAE
from veridical.models.vae.vqvae import VQVAE
from veridical.recipes.recipe import Recipe

ROWS: dict[str, Recipe] = {
    "vae": Recipe(
        VAE,
        family="VAE",
        task="unconditional",
        summary="convolutional variational auto-encoder: a vector of latents, noise of the level and spectrum that it leaves",
        citation="Kingma and Welling 2014, arXiv:1312.6114; Rybkin et al. 2021, arXiv:2006.13202",
        train={"lr": 1e-3, "batch": 16},
    ),
    "beta_vae": Recipe(
        VAE,
        family="VAE",
        task="unconditional",
        summary="VAE of few latents held at a rising capacity, so that each means something: for traversals, not samples",
        citation="Higgins et al. 2017, https://openreview.net/forum?id=Sy2fzU9gl; Burgess et al. 2018, arXiv:1804.03599",
        args={"latent": 10, "beta": 100.0, "capacity": 25.0},
        train={"lr": 1e-3, "batch": 16},
    ),
    "vqvae": Recipe(
        VQVAE,
        family="VAE",
        task="unconditional",
        summary="map of discrete codes with a PixelCNN as their prior and a patch discriminator; a tokenizer, too",
        citation="van den Oord et al. 2017, arXiv:1711.00937; Dhariwal et al. 2020, arXiv:2005.00341; "
        "van den Oord et al. 2016, arXiv:1606.05328; Esser et al. 2021, arXiv:2012.09841",
        train={"lr": 1e-3, "batch": 16},
    ),
    "autoencoder": Recipe(
        Autoencoder,
        family="VAE",
        task="first stage",
        summary="map of latents with slight divergence and patch discriminator: first stage of latent systems",
        citation="Rombach et al. 2022, arXiv:2112.10752; Esser et al. 2021, arXiv:2012.09841",
        train={"lr": 5e-4, "batch": 16},
    ),
}
