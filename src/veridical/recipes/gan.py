"""Rows of adversarial systems."""

from __future__ import annotations

from typing import Any

from veridical.models.gan.biggan import biggan, sagan
from veridical.models.gan.cyclegan import CycleGAN
from veridical.models.gan.dcgan import cgan, dcgan, vanilla_gan, wgan_gp
from veridical.models.gan.pix2pix import Pix2Pix
from veridical.models.gan.progan import ProGAN
from veridical.models.gan.slicegan import slicegan, slicegan_directed
from veridical.models.gan.stylegan import StyleGAN
from veridical.recipes.recipe import Recipe

# Radford et al. 2016, section 4.
ADAM_GAN: dict[str, Any] = {"lr": 2e-4, "beta1": 0.5, "beta2": 0.999, "batch": 16, "warmup": 0}
# Karras et al. 2020, arXiv:1912.04958, appendix B.
ADAM_STYLE: dict[str, Any] = {"lr": 2e-3, "beta1": 0.0, "beta2": 0.99, "batch": 8, "warmup": 0, "ema": 0.998}

# Many sections of few volumes at a time, as in Kench and Cooper 2021, section 2.
ADAM_SLICE: dict[str, Any] = {"lr": 4e-4, "beta1": 0.0, "beta2": 0.99, "batch": 32, "warmup": 0, "ema": 0.995}

ROWS: dict[str, Recipe] = {
    "gan": Recipe(
        vanilla_gan,
        family="GAN",
        task="unconditional",
        summary="the vanilla adversarial game, its discriminator without normalisation",
        citation="Goodfellow et al. 2014, arXiv:1406.2661",
        train=ADAM_GAN,
    ),
    "cgan": Recipe(
        cgan,
        family="GAN",
        task="class or property",
        summary="DCGAN with a label in both networks",
        citation="Mirza and Osindero 2014, arXiv:1411.1784; Miyato and Koyama 2018, arXiv:1802.05637",
        train=ADAM_GAN,
        needs=("label",),
        of_data=("classes",),
    ),
    "dcgan": Recipe(
        dcgan,
        family="GAN",
        task="unconditional",
        summary="deep convolutional generative adversarial network",
        citation="Radford, Metz and Chintala 2016, arXiv:1511.06434",
        train=ADAM_GAN,
    ),
    "wgan_gp": Recipe(
        wgan_gp,
        family="GAN",
        task="unconditional",
        summary="Wasserstein distance with gradient penalty, five critic steps",
        citation="Arjovsky et al. 2017, arXiv:1701.07875; Gulrajani et al. 2017, arXiv:1704.00028",
        train=ADAM_GAN | {"beta1": 0.0, "beta2": 0.9, "batch": 80},
    ),
    "sagan": Recipe(
        sagan,
        family="GAN",
        task="unconditional",
        summary="residual networks with self-attention, spectral norm and hinge loss",
        citation="Zhang et al. 2019, arXiv:1805.08318; Miyato et al. 2018, arXiv:1802.05957",
        train=ADAM_GAN | {"beta1": 0.0, "beta2": 0.9, "batch": 8, "decay": 0.5},
    ),
    "biggan": Recipe(
        biggan,
        family="GAN",
        task="class or property",
        summary="SAGAN with the label in every layer, orthogonal regularisation and truncation",
        citation="Brock, Donahue and Simonyan 2019, arXiv:1809.11096",
        train=ADAM_GAN | {"beta1": 0.0, "batch": 8, "decay": 0.5},
        needs=("label",),
        drawn=("truncation",),
        of_data=("classes",),
    ),
    "progan": Recipe(
        ProGAN,
        family="GAN",
        task="unconditional",
        summary="both networks grow from 4 x 4, each resolution fading in; minibatch deviation, pixel norm, grain",
        citation="Karras, Aila, Laine and Lehtinen 2018, arXiv:1710.10196",
        args={"loss": "nonsaturating"},
        train={"lr": 2e-3, "beta1": 0.0, "beta2": 0.99, "batch": 8, "warmup": 0, "ema": 0.995},
    ),
    "stylegan": Recipe(
        StyleGAN,
        family="GAN",
        task="unconditional",
        summary="styles in every layer, noise, style mixing, lazy regularisers, adaptive augmentation",
        citation="Karras et al. 2019, arXiv:1812.04948; 2020, arXiv:1912.04958; 2020, arXiv:2006.06676",
        train=ADAM_STYLE,
        drawn=("truncation",),
    ),
    "pix2pix": Recipe(
        Pix2Pix,
        family="GAN",
        task="mask to image",
        summary="label mask to image: U-Net generator, patch discriminator, L1 with weight 100, dropout as noise",
        citation="Isola, Zhu, Zhou and Efros 2017, arXiv:1611.07004",
        args={"width": 16},
        train={"lr": 2e-4, "beta1": 0.5, "beta2": 0.999, "batch": 8, "warmup": 0, "decay": 0.3},
        needs=("mask",),
        of_data=("classes",),
    ),
    "cyclegan": Recipe(
        CycleGAN,
        family="GAN",
        task="translation",
        summary="unpaired translation there and back: cycle and identity losses, image pool",
        citation="Zhu, Park, Isola and Efros 2017, arXiv:1703.10593",
        args={"blocks": 3, "cycle": 5.0, "identity": 0.0},
        train={"lr": 2e-3, "beta1": 0.5, "beta2": 0.999, "batch": 4, "warmup": 0, "decay": 0.3},
        needs=("source",),
    ),
    "slicegan": Recipe(
        slicegan,
        family="GAN",
        task="volumes",
        summary="a generator of volumes of an isotropic material, whose sections along all axes one critic sees",
        citation="Kench and Cooper 2021, arXiv:2102.07708",
        train=ADAM_SLICE,
    ),
    "slicegan_directed": Recipe(
        slicegan_directed,
        family="GAN",
        task="volumes",
        summary="the same of a material with a direction: a set of sections and a critic for each axis",
        citation="Kench and Cooper 2021, arXiv:2102.07708",
        # Quarter turns would make one of two directions; three sets share a batch.
        train=ADAM_SLICE | {"augment": "flip"},
        needs=("label",),
        of_data=("classes",),
    ),
}
