"""What became of edited images: what they were to become, what was to stay, and what scores and the audit say of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veridical.auditing.verdict import audit
from veridical.benching.changes import NAMED
from veridical.benching.ruler import Ruler, values
from veridical.benching.truth import Pairs
from veridical.core.arrays import Images
from veridical.core.errors import InputError
from veridical.metrics.paired import lpips_efficientnet_lite0, ssim
from veridical.metrics.physics_spectrum import noise_level
from veridical.nets.segmentation import predict_masks
from veridical.runs.run import Run
from veridical.runs.words import embed_images, embed_texts

Each = dict[str, NDArray[Any]]
FEWEST = 20  # pixels of a class outside the region of change that count for its Dice
ONE_COUNT = 0.5 / 65535  # less is the same count of 16 bits
KEPT = 0.8  # Dice of the structure outside the region from which on it is kept


def known_of(ruler: Ruler, errors: Mapping[str, float], pairs: Pairs, images: Images) -> Each:
    """What was obeyed, kept and reached, an image each, of pairs whose truth is known.

    ``obeyed``: each property that the change names is nearer to that of the true after-image than half the way from the source
    (``half``) and within three errors of the ruler. ``moved``: each went the way that the change says, by more than three errors,
    or than half the way where that is less: all that an instruction asks for which names no amount. ``locality``: mean change
    outside the true region, in units of the noise; ``changed``: share of pixels there that changed at all. ``structure``: mean
    Dice of all classes there, before against after. ``truth``: root mean square difference from the true after-image in the
    region, over that of another draw of the same change, or over the noise, if that is more.
    """
    assert pairs.after is not None and pairs.another is not None and pairs.region is not None
    assert pairs.asked is not None and pairs.had is not None
    seen = ruler.measure(images)
    obeyed, half, moved = (np.ones(len(images), bool) for _ in range(3))
    for name in dict.fromkeys(pairs.names):
        rows = pairs.of(name)
        for one in name.split("+"):
            what = NAMED[one]
            asked, had, got = (values([each[k] for k in rows], what) for each in (pairs.asked, pairs.had, seen))
            far, tolerance = np.abs(asked - had) / 2, 3 * errors[what]
            half[rows] &= np.abs(got - asked) < far
            obeyed[rows] &= half[rows] & (np.abs(got - asked) < tolerance)
            moved[rows] &= (got - had) * np.sign(asked - had) > np.minimum(far, tolerance)
    outside, region = ~pairs.region, pairs.region
    change = np.abs(images - pairs.before).mean(1)
    noise = float(np.median(noise_level(pairs.before)))

    def away(other: Images, after: Images = pairs.after) -> NDArray[np.float64]:
        square = np.square(other - after).mean(1)
        return np.sqrt([s[r].mean() if r.any() else 0.0 for s, r in zip(square, region, strict=True)])

    return {
        "obeyed": obeyed,
        "half": half,
        "moved": moved,
        "locality": np.array([c[o].mean() if o.any() else np.nan for c, o in zip(change, outside, strict=True)])
        / noise,
        "changed": np.array(
            [(c[o] > ONE_COUNT).mean() if o.any() else np.nan for c, o in zip(change, outside, strict=True)]
        ),
        "structure": _dice(ruler, images, pairs.before, outside),
        "truth": away(images) / np.maximum(away(pairs.another), noise),
    }


def _dice(ruler: Ruler, images: Images, before: Images, where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean Dice over the classes that `before` has there."""
    found = []
    for a, b, o in zip(*(predict_masks(ruler.network, each) for each in (images, before)), where, strict=True):
        classes = [c for c in range(ruler.material.classes) if ((b == c) & o).sum() > FEWEST]
        shares = [2 * ((a == c) & (b == c) & o).sum() / (((a == c) & o).sum() + ((b == c) & o).sum()) for c in classes]
        found.append(np.mean(shares) if shares else np.nan)
    return np.array(found)


def overlap(found: NDArray[np.bool_], region: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Intersection over union of two masks, an image each."""
    union = (found | region).sum((1, 2))
    return np.asarray((found & region).sum((1, 2)) / np.maximum(union, 1))


def scored(pairs: Pairs, images: Images, judge: Run | None) -> Each:
    """SSIM and LPIPS to the source, and with a `clip` run the score of the image and the words that it shall show."""
    found: Each = {
        "ssim": np.asarray(ssim(pairs.before, images)),
        "lpips": np.asarray(lpips_efficientnet_lite0(pairs.before, images)),
    }
    if judge is not None and all(pairs.prompts):
        found["clipscore"] = 2.5 * np.maximum(cosines(judge, images, pairs.prompts), 0)
    return found


def cosines(judge: Run, images: Images, texts: list[str]) -> NDArray[np.float64]:
    """Of images and their texts."""
    return np.asarray((embed_images(judge, images) * embed_texts(judge, texts)).sum(1))


def audited(
    images: Images, pairs: Pairs, real: Images, groups: list[str] | None, cache: Path | None, pictures: Path | None
) -> tuple[dict[str, Any], NDArray[np.bool_] | None]:
    """The audit's report of edited images beside their sources, and which pass; without a verdict, the reason and None."""
    try:
        report = audit(
            real, images, source=pairs.before, real_groups=groups, power=False, cache=cache, pictures=pictures
        )
    except InputError as error:
        return {"verdict": None, "reason": str(error)}, None
    verdicts = [image["verdict"] for image in report["images"]]
    if not set(verdicts) <= {"pass", "fail"}:
        return report | {"reason": "too few real images to judge single ones by"}, None
    return report, np.array([verdict == "pass" for verdict in verdicts])


def first_reasons(report: Mapping[str, Any], most: int = 3) -> dict[str, int]:
    """How many images were failed for which defect first, the most frequent ones."""
    named = Counter(image["findings"][0]["defect"] for image in report.get("images", ()) if image["findings"])
    return dict(named.most_common(most))


def good(each: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """What an edit should be: it obeys, keeps the structure outside and passes the audit."""
    return np.asarray(each["obeyed"].astype(bool) & each["passed"].astype(bool) & (each["structure"] > KEPT))
