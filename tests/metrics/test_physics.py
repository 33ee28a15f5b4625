"""Descriptors on shapes and fields of known answer, and against scipy and scikit-image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.draw import disk, line
from skimage.measure import euler_number
from skimage.morphology import disk as footprint
from skimage.morphology import opening

from veridical.metrics.physics_grey import chroma, colour_statistics, grey_statistics, saturated_share, shading
from veridical.metrics.physics_phases import (
    chord_lengths,
    granulometry,
    mean_chord,
    minkowski,
    phase_fractions,
    two_point_correlation,
)
from veridical.metrics.physics_spectrum import (
    checkerboard,
    correlation_length,
    detail_tails,
    flat_share,
    noise_level,
    noise_spectrum,
    orientation,
    radial_power_spectrum,
    seam,
    sharpness,
    spectral_slope,
)
from veridical.metrics.physics_structure import particle_statistics, skeleton_statistics, split_particles


def noise(n=4, size=128, sigma=0.05, seed=0):
    return 0.5 + sigma * np.random.default_rng(seed).standard_normal((n, 1, size, size))


def waves(frequency, angle, size=128, amplitude=0.2):
    y, x = np.mgrid[:size, :size]
    return 0.5 + amplitude * np.sin(2 * np.pi * frequency * (np.cos(angle) * x + np.sin(angle) * y))[None, None]


def discs(radius=6, spacing=20, size=128):
    mask = np.zeros((size, size), bool)
    for y in range(spacing // 2, size, spacing):
        for x in range(spacing // 2, size, spacing):
            mask[disk((y, x), radius + 0.5, shape=mask.shape)] = True
    return mask


# ------------------------------------------------------------------------------------------------------ spectrum


def test_white_noise_has_its_variance_in_every_ring():
    frequency, power = radial_power_spectrum(noise(64), 8)
    assert frequency[0] == pytest.approx(0.03125)
    np.testing.assert_allclose(power.mean(0), 0.05**2, rtol=0.06)


def test_a_wave_lies_in_its_ring():
    frequency, power = radial_power_spectrum(waves(0.2, 0.3), 16)
    assert abs(frequency[power[0].argmax()] - 0.2) <= 0.5 / 16


@pytest.mark.parametrize("slope", [0.0, -1.5, -3.0])
def test_slope_of_fields_of_known_spectrum(slope):
    rng = np.random.default_rng(0)
    f = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.rfftfreq(128))
    f[0, 0] = np.inf
    fields = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((16, 128, 128))) * f ** (slope / 2), (128, 128))
    assert spectral_slope(fields[:, None]).mean() == pytest.approx(slope, abs=0.1)


def test_noise_level_is_the_standard_deviation_whatever_the_image():
    smooth = waves(0.02, 0.4) + noise(1) - 0.5
    assert noise_level(noise(8)).mean() == pytest.approx(0.05, rel=0.02)
    assert noise_level(smooth)[0] == pytest.approx(0.05, rel=0.05)


def test_white_noise_halves_from_scale_to_scale():
    levels = noise_spectrum(noise(16), 3).mean(0)
    np.testing.assert_allclose(levels, [0.05, 0.025, 0.0125], rtol=0.06)


def test_tails_are_one_for_gaussian_noise_and_large_for_drawings():
    step = np.zeros((1, 1, 64, 64))
    step[..., 20:40, 20:40] = 1
    assert detail_tails(noise())[0] == pytest.approx(1, abs=0.05)
    assert detail_tails(step + noise(1, 64, 1e-3))[0] > 5


def test_sharpness_of_a_wave_is_its_steepest_slope_over_its_deviation():
    # |2 pi f A cos| over A / sqrt 2; the 99th percentile of |cos| is cos(0.005 pi)
    found = sharpness(waves(0.02, 0.0, 150))[0]
    assert found == pytest.approx(2 * np.pi * 0.02 * np.sqrt(2) * np.cos(0.005 * np.pi), rel=0.01)
    assert sharpness(np.full((1, 1, 32, 32), 0.5))[0] == 0


def test_blur_lowers_sharpness_and_contrast_does_not():
    step = (np.arange(64) > 31)[None, None, None, :] * np.ones((64, 1))
    soft = gaussian_filter(step, (0, 0, 0, 2))
    assert sharpness(soft)[0] < 0.6 * sharpness(step)[0]
    assert sharpness(0.3 * soft)[0] == pytest.approx(sharpness(soft)[0])


def test_flat_share_of_a_half_constant_image():
    image = noise(1, 64)
    image[..., :32] = 0.5
    assert flat_share(image)[0] == pytest.approx(31 / 64, abs=0.02)


@pytest.mark.parametrize("size", [62, 64, 128])
def test_checkerboard_stands_out_of_noise(size):
    plain = noise(8, size)
    y, x = np.mgrid[:size, :size]
    board = plain + 0.03 * (-1.0) ** (x + y)
    stripes = plain + 0.03 * np.where(x // 2 % 2, 1, -1)
    assert checkerboard(plain).max() < 15
    assert checkerboard(board).min() > 20
    assert checkerboard(stripes).min() > 18


@given(st.integers(1, 3), st.integers(24, 48), st.integers(24, 48))
@settings(max_examples=10, deadline=None)
def test_what_wraps_around_has_no_seam(channels, height, width):
    rng = np.random.default_rng(height)
    wide = gaussian_filter(rng.standard_normal((6, channels, height, width)), (0, 0, 2, 2), mode="wrap")
    assert seam(wide).max() < 4
    assert np.median(seam(wide[:, :, : height // 2, : width // 2])) > 2 * np.median(seam(wide))
    assert (seam(np.zeros((2, channels, height, width))) == 0).all()


@pytest.mark.parametrize("direction", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
def test_shading_is_found_whatever_the_phases(direction):
    y, x = np.meshgrid(np.linspace(-1, 1, 48), np.linspace(-1, 1, 64), indexing="ij")
    slow = direction[0] * x + direction[1] * y + direction[2] * (x**2 + y**2) / 2
    mask = gaussian_filter(np.random.default_rng(0).standard_normal((4, 48, 64)), (0, 3, 3)) > 0
    images = (0.4 + 0.3 * mask + 0.02 * slow)[:, None]
    np.testing.assert_allclose(shading(images, mask), np.tile(0.02 * np.array(direction), (4, 1)), atol=0.006)
    assert np.abs(shading(0.4 + 0.3 * mask[:, None], mask)).max() < 1e-9


@pytest.mark.parametrize("angle", [0.0, 0.5, 1.2, 2.5])
def test_orientation_of_lines(angle):
    # a wave along `angle` has its crests across it
    found, coherence = orientation(waves(0.1, angle))
    assert abs(np.angle(np.exp(2j * (found[0] - angle - np.pi / 2)))) < 0.06
    assert coherence[0] > 0.95
    assert orientation(noise())[1].max() < 0.1


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_correlation_length_follows_the_scale(noise):
    rng = np.random.default_rng(0)
    fields = rng.standard_normal((4, 1, 512, 512))
    # the autocorrelation of a Gaussian filter of s pixels is exp(-r^2 / 4 s^2): one half at 2 s sqrt(ln 2)
    for s in (3, 5):
        blurred = gaussian_filter(fields, (0, 0, s, s), mode="wrap")
        blurred += noise * blurred.std() * rng.standard_normal(blurred.shape)
        windows = blurred.reshape(4, 1, 8, 64, 8, 64).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 1, 64, 64)
        assert correlation_length(windows).mean() == pytest.approx(2 * s * np.sqrt(np.log(2)), rel=0.05)


# -------------------------------------------------------------------------------------------------- grey and colour


def test_grey_statistics_of_uniform_values():
    image = np.linspace(0, 1, 64 * 64).reshape(1, 1, 64, 64)
    found = grey_statistics(image)
    assert found["mean"][0] == pytest.approx(0.5) and found["contrast"][0] == pytest.approx(1 / np.sqrt(12), rel=1e-3)
    assert found["skewness"][0] == pytest.approx(0, abs=1e-9) and found["q25"][0] == pytest.approx(0.25)


def test_saturation_and_colour():
    image = np.full((1, 3, 10, 10), 0.5)
    image[0, :, 0] = 1
    image[0, 0, 5] = 0.9
    assert saturated_share(image)[0] == pytest.approx(0.1)
    assert chroma(image)[0, 5, 0] == pytest.approx(0.4) and chroma(image).mean() == pytest.approx(0.04)
    assert colour_statistics(image)["red_green"][0] == pytest.approx(0.04)
    assert colour_statistics(np.full((1, 1, 4, 4), 0.3))["chroma"][0] == 0


# ------------------------------------------------------------------------------------------------------- two phases


def test_fractions_count_classes_and_leave_out_the_unlabelled():
    labels = np.array([[[0, 0], [1, 255]]], np.uint8)
    np.testing.assert_allclose(phase_fractions(labels, 3), [[2 / 3, 1 / 3, 0]])


def test_two_point_correlation_counts_pairs():
    mask = np.random.default_rng(0).random((12, 15)) < 0.4
    distance, s2 = two_point_correlation(mask, 4)
    by_ring = [[] for _ in range(5)]
    for y, x in np.ndindex(5, 9):  # lags of half of the plane
        dy, dx = y, x - 4
        if (dy > 0 or dx >= 0) and round(np.hypot(dy, dx)) <= 4:
            first = mask[: 12 - dy, max(-dx, 0) : 15 - max(dx, 0)]
            second = mask[dy:, max(dx, 0) : 15 - max(-dx, 0)]
            by_ring[round(np.hypot(dy, dx))].append((first & second).mean())
    expected = [np.mean(each) for each in by_ring]
    np.testing.assert_allclose(s2, expected, atol=1e-12)
    assert distance.tolist() == [0, 1, 2, 3, 4]


def test_two_point_correlation_reaches_up_to_the_side():
    mask = np.random.default_rng(0).random((9, 12)) < 0.5
    assert np.isfinite(two_point_correlation(mask, 8)[1]).all()
    for reach in (9, 40, -1):
        with pytest.raises(ValueError, match="reach"):
            two_point_correlation(mask, reach)


def test_two_point_correlation_of_stripes():
    mask = np.broadcast_to(np.arange(80) // 10 % 2 == 0, (80, 80))
    _, s2 = two_point_correlation(np.stack([mask, ~mask]), 20)
    assert s2[0, 0] == s2[1, 0] == pytest.approx(0.5)
    assert s2[0, 10] < 0.2 < s2[0, 20]


def test_chords_of_stripes_leave_out_those_at_the_border():
    mask = np.zeros((5, 20), bool)
    mask[:, 0:3] = mask[:, 6:10] = mask[:, 18:] = True
    assert chord_lengths(mask, 1).tolist() == [4] * 5
    assert len(chord_lengths(mask, 0)) == 0


def boolean_model(n, size, radius, share, seed=0):
    """Masks (n, size, size) of discs thrown at random that cover a share of the plane, and discs a pixel."""
    rng = np.random.default_rng(seed)
    rate = -np.log(1 - share) / (np.pi * radius**2)
    y, x = np.mgrid[:size, :size]
    masks = np.zeros((n, size, size), bool)
    for mask in masks:
        for cy, cx in rng.random((rng.poisson(rate * (size + 2 * radius) ** 2), 2)) * (size + 2 * radius) - radius:
            mask |= (y - cy) ** 2 + (x - cx) ** 2 <= radius**2
    return masks, rate


@pytest.mark.parametrize(("size", "radius", "share"), [(64, 6, 0.4), (40, 6, 0.3)])
def test_the_frame_of_the_image_changes_neither_chords_nor_perimeter(size, radius, share):
    """Closed forms of the Boolean model (Stoyan, Kendall and Mecke 1995): windows of two to four chords."""
    masks, rate = boolean_model(150, size, radius, share)
    void = 1 / (2 * radius * rate)
    assert np.median(mean_chord(~masks)) == pytest.approx(void, rel=0.06)
    assert np.median(mean_chord(masks)) == pytest.approx(void * share / (1 - share), rel=0.06)
    whole = np.concatenate([chord_lengths(~mask) for mask in masks])
    assert whole.mean() < 0.75 * void  # such that lie in the image as a whole
    perimeter = 2 * np.pi * radius * rate * (1 - share)
    assert minkowski(masks)["perimeter"].mean() == pytest.approx(perimeter, rel=0.05)
    assert minkowski(~masks)["perimeter"].mean() == pytest.approx(perimeter, rel=0.05)


def test_parts_that_reach_out_of_the_image_are_not_counted_as_whole_ones():
    """Windows that share their borders have the Euler number of the image that they were cut from."""
    (large,), _ = boolean_model(1, 385, 5, 0.3)
    small = np.stack([large[y : y + 33, x : x + 33] for y in range(0, 384, 32) for x in range(0, 384, 32)])
    found = minkowski(small)["euler"].mean()
    assert found == pytest.approx(minkowski(large[None])["euler"][0], rel=0.03)
    assert np.mean([euler_number(mask, 2) for mask in small]) / 33**2 > 1.5 * found


def test_a_phase_without_a_boundary_has_chords_as_wide_as_the_image():
    assert mean_chord(np.stack([np.ones((8, 12), bool), np.zeros((8, 12), bool)])).tolist() == [12, 12]
    checks = np.indices((20, 20)).sum(0) % 2 == 0
    assert mean_chord(checks[None])[0] == pytest.approx(1)
    assert minkowski(np.ones((1, 9, 9), bool))["perimeter"][0] == 0


def test_minkowski_functionals_of_a_disc_and_a_ring():
    y, x = np.mgrid[:201, :201] - 100
    r = np.hypot(y, x)
    found = minkowski(np.stack([r <= 60, (r <= 60) & (r > 30)]))
    np.testing.assert_allclose(found["area"] * 201**2, [np.pi * 60**2, np.pi * (60**2 - 30**2)], rtol=0.01)
    np.testing.assert_allclose(found["perimeter"] * 201**2, [2 * np.pi * 60, 2 * np.pi * 90], rtol=0.02)
    np.testing.assert_allclose(found["euler"] * 200**2, [1, 0], atol=1e-9)
    # a rim of the image itself is no boundary: half a disc has half of its perimeter
    half = (r <= 60)[100:]
    assert minkowski(half[None])["perimeter"][0] * half.size == pytest.approx(np.pi * 60, rel=0.03)


def test_granulometry_is_the_opening_of_scikit_image():
    mask = gaussian_filter(np.random.default_rng(0).standard_normal((80, 80)), 4) > 0
    shares = granulometry(mask[None], (1, 2, 4, 6))
    expected = [opening(mask, footprint(r)).sum() / mask.sum() for r in (1, 2, 4, 6)]
    np.testing.assert_allclose(shares[0], expected, atol=1e-12)
    assert granulometry(np.zeros((1, 8, 8), bool)).sum() == 0


# -------------------------------------------------------------------------------------------------------- structure


def test_particles_of_a_lattice_of_discs():
    labels = split_particles(discs())
    found = particle_statistics(labels)
    assert found["particles"] == pytest.approx(1000 * labels.max() / 128**2) and labels.max() == 36
    assert found["diameter"] == pytest.approx(13, rel=0.03)
    assert found["circularity"] == pytest.approx(1, abs=0.08)
    assert found["elongation"] == pytest.approx(1, abs=0.02)
    assert found["neighbour"] == pytest.approx(20) and found["neighbour_spread"] < 0.05
    assert found["diameter_spread"] == pytest.approx(0, abs=1e-9)


def test_touching_discs_come_apart():
    mask = np.zeros((40, 64), bool)
    for x in (16, 32, 48):
        mask[disk((20, x), 8.7)] = True
    assert split_particles(mask).max() == 3


def test_torn_particles_are_less_round_and_less_solid():
    torn = discs()
    rng = np.random.default_rng(0)
    torn &= gaussian_filter(rng.standard_normal(torn.shape), 1.5) < 0.12
    whole, broken = (particle_statistics(split_particles(m)) for m in (discs(), torn))
    assert broken["circularity"] < whole["circularity"] - 0.1 and broken["solidity"] < whole["solidity"] - 0.02


def test_particles_of_nothing_are_not_a_number():
    found = particle_statistics(split_particles(np.zeros((32, 32), bool)))
    assert found["particles"] == 0 and np.isnan(found["diameter"])


def test_skeleton_of_a_bar_and_of_a_cross():
    bar = np.zeros((60, 100), bool)
    bar[28:33, 10:90] = True
    found = skeleton_statistics(bar)
    assert found["length"] == pytest.approx(76, abs=6) and found["tips"] == 2 and found["branch_points"] == 0
    assert found["width"] == pytest.approx(5, abs=1)
    cross = bar.copy()
    cross[10:50, 48:53] = True
    found = skeleton_statistics(cross)
    assert found["tips"] == 4 and found["branch_points"] == 1


def test_skeleton_length_of_a_diagonal():
    mask = np.zeros((100, 100), bool)
    mask[line(10, 10, 80, 80)] = True
    assert skeleton_statistics(mask)["length"] == pytest.approx(70 * np.sqrt(2))
    assert skeleton_statistics(np.zeros((9, 9), bool))["length"] == 0
