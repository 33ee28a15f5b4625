"""The table of metrics: one row each. `score`, the bench and the report read it, in its order."""

from __future__ import annotations

import math

from veridical.scoring import measures
from veridical.scoring.metric import Metric

HEADLINE = "kid_over_random_phase"  # what systems are ranked by
HEADLINE_SCALE = "0 real, 1 random texture"  # what its numbers mean, beside its title
_FEATURES = ("new images", "features")


def _neighbours(name: str, title: str, explanation: str, beyond: str = "") -> Metric:
    return Metric(
        name, "set", measures.neighbours, explanation, "higher", "real", (0, 1), _FEATURES, title=title, beyond=beyond,
        ranked=True,
    )  # fmt: skip


METRICS: dict[str, Metric] = {
    "copied_share": Metric(
        "copied_share", "set", measures.copied_share,
        "share of synthetic images that are a real image, pixel for pixel: a finding about the inputs, not a quality", "neither",
        "zero", (0, 1),
    ),
    "ssim": Metric(
        "ssim", "paired",
        measures.mean_of_pairs(
            measures.ssim, "Gaussian window, sigma 1.5, 11 x 11, data_range 1, channels averaged", smallest=11
        ),
        "structural similarity to the image that belongs to it (Wang et al. 2004); 1 = equal", "higher", bounds=(-1, 1),
    ),
    "psnr": Metric(
        "psnr", "paired", measures.mean_of_pairs(measures.psnr, "dB, data_range 1"),
        "peak signal-to-noise ratio in dB to the image that belongs to it", "higher",
    ),
    "lpips_efficientnet_lite0": Metric(
        "lpips_efficientnet_lite0", "paired",
        measures.mean_of_pairs(measures.lpips_efficientnet_lite0, "five stages, native size, uncalibrated"),
        "perceptual distance to the image that belongs to it, of the form of LPIPS (Zhang et al. 2018)", "lower",
        bounds=(0, math.inf), remark="; it is not on the scale of lpips_vgg",
    ),
    "kid": Metric(
        "kid_{extractor}", "set", measures.kid, "kernel distance (KID) to real images, unbiased", "lower", "real",
        needs=_FEATURES, published={"inception": "kid"}, decimals=None,
    ),
    "kid_over_random_phase": Metric(
        "kid_over_random_phase", "set", measures.kid_over_random_phase,
        "kernel distance (KID) to held-out real tiles over that of phase-randomised tiles: 0 = as the real data, 1 = a "
        "random texture with the right spectrum and grey values", "lower", "real", needs=_FEATURES, ranked=True,
        title="distance to real", decimals=3, remark="; a little below 0 is chance",
    ),
    "fd": Metric(
        "fd_{extractor}", "set", measures.frechet, "Fréchet distance between Gaussians fitted to image features", "lower",
        "real", (0, math.inf), _FEATURES, {"inception": "fid"}, "Fréchet distance",
        ", but it depends on n and even real tiles do not reach 0: read it against the real-against-real row only",
        caution="real against real is not 0 either, and it depends on n", ranked=True, decimals=None,
    ),
    "precision_capped": _neighbours(
        "precision_capped", "capped precision",
        "share of samples that lie among the real tiles: does a sample look real? About half of other real tiles do, as "
        "neighbourhoods are no larger than the median one",
        "more than other real images have, which is no merit: smooth images, and such as keep to the middle of the real ones, do",
    ),
    "recall_capped": _neighbours(
        "recall_capped", "capped recall",
        "share of real tiles that lie among the samples, likewise: is the whole variety there?"
    ),
    "coverage": _neighbours("coverage", "", "share of real tiles with a sample close by, in neighbourhoods of any size"),
    "memorised": Metric(
        "memorised", "set", measures.memorised,
        "share of samples nearer to a crop of the training images, wherever it lies and however it is turned, than nearly "
        "all unseen real tiles are; far above the real-against-real row means copies", "lower", "chance", (0, 1),
        ("training images",), title="memorised share", ranked=True,
    ),
    "spacing": Metric(
        "spacing_{extractor}", "set", measures.spacing,
        "median distance of a sample to the nearest other one in image features, over that of other real tiles; near 0 = one "
        "image or a few repeated, 1 = as various as real ones", "neither", "real", (0, math.inf), ("features",),
    ),
    "clipscore_domain": Metric(
        "clipscore_domain", "text", measures.clipscore,
        "how near images are to the words they were asked for, in a CLIP of the domain (2.5 times the cosine)", "higher", "real",
        (0, 2.5), remark="; real images and their own captions are the ceiling, prompts of other images what chance gives",
    ),
}  # fmt: skip


def find(name: str) -> Metric | None:
    """The metric whose result rows are called `name`; None for that of another version."""
    exact = (metric for metric in METRICS.values() if metric.name == name or name in metric.published.values())
    return next(exact, None) or next((metric for metric in METRICS.values() if metric.is_named(name)), None)
