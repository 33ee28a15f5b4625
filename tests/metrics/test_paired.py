"""Paired metrics against scikit-image, and the perceptual distance by its properties."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from veridical.core.errors import InputError
from veridical.metrics import paired


@pytest.fixture(scope="module", params=[1, 3], ids=["grey", "rgb"])
def pairs(request):
    rng = np.random.default_rng(0)
    real = rng.random((4, request.param, 32, 40), dtype=np.float32)
    # low contrast, so that a data range guessed from the image would give another number
    real = (0.4 + 0.2 * real).astype(np.float32)
    return real, np.clip(real + 0.03 * rng.standard_normal(real.shape), 0, 1).astype(np.float32)


def test_ssim_equals_scikit_image(pairs):
    for value, x, y in zip(paired.ssim(*pairs), *pairs, strict=True):
        channels = [
            structural_similarity(a, b, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
            for a, b in zip(x, y, strict=True)
        ]
        assert value == pytest.approx(np.mean(channels), rel=1e-6)


def test_psnr_equals_scikit_image(pairs):
    for value, x, y in zip(paired.psnr(*pairs), *pairs, strict=True):
        assert value == pytest.approx(peak_signal_noise_ratio(x, y, data_range=1.0), rel=1e-12)
        assert value == pytest.approx(10 * np.log10(1 / np.mean((x.astype(float) - y) ** 2)), rel=1e-5)


def test_lpips_is_zero_for_equal_images_and_grows_with_damage(pairs):
    real, mild = pairs
    strong = np.clip(real + 5 * (mild - real), 0, 1)
    zero, little, much = (paired.lpips_efficientnet_lite0(real, other) for other in (real, mild, strong))
    np.testing.assert_allclose(zero, 0, atol=1e-9)
    assert (little > 1e-4).all() and (much > little).all()
    np.testing.assert_allclose(paired.lpips_efficientnet_lite0(real, mild, batch=1), little, rtol=1e-3)
    np.testing.assert_allclose(paired.lpips_efficientnet_lite0(mild, real), little, rtol=1e-4)


def test_identical_pairs_are_found(pairs):
    real, other = pairs
    mixed = other.copy()
    mixed[2] = real[2]
    assert paired.identical(real, mixed).tolist() == [False, False, True, False]
    assert np.isinf(paired.psnr(real, mixed)).tolist() == [False, False, True, False]


@pytest.mark.parametrize("metric", [paired.ssim, paired.psnr, paired.lpips_efficientnet_lite0, paired.identical])
def test_unpaired_sets_are_refused(pairs, metric):
    real, other = pairs
    with pytest.raises(ValueError, match="need pairs"):
        metric(real, other[:3])


def test_counts_are_refused(pairs):
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        paired.ssim(pairs[0], 255 * pairs[1])
