"""Copies are found although the real images were trained on themselves; new images are no copies because of it."""

import numpy as np
import pytest

from toy import texture
from veridical.auditing.copies import _among_training
from veridical.auditing.verdict import audit
from veridical.core.errors import InputError
from veridical.data.images import write_images
from veridical.data.window import IntensityWindow
from veridical.stats.permutation import adjusted_p, assignments, block_means, difference_t

REAL, OTHER, NEW = (texture(n, 32, seed=seed) for n, seed in ((48, 40), (48, 41), (24, 42)))


def turned(images, grain=0.0):
    made = np.rot90(images, 1, (2, 3))[:, :, ::-1]
    noise = grain * np.random.default_rng(0).standard_normal(made.shape)
    return np.clip(made + noise, 0, 1).astype(np.float32)


def mosaic(images):
    """Images (16 k) as k large ones of 4 x 4."""
    rows = [np.concatenate(list(images[k : k + 4]), 2) for k in range(0, len(images), 4)]
    return [np.concatenate(rows[k : k + 4], 1) for k in range(0, len(rows), 4)]


TRAIN = {
    "all": (list(REAL), 48),
    "all, turned": (list(turned(REAL)), 48),
    "all, with fewer bits": (list(np.rint(REAL * 255) / 255), 48),
    "half": ([*REAL[:24], *OTHER[:24]], 24),
    "one": ([*REAL[:1], *OTHER[:23]], 1),
    "more": ([*REAL, *OTHER], 48),
    "in all orientations": ([np.rot90(x, k, (1, 2)) for x in REAL[:24] for k in range(4)], 24),
    "tiles of large images": (mosaic(REAL), 48),
    "none": (list(OTHER), 0),
}


@pytest.mark.parametrize("name", TRAIN)
def test_copies_are_nearer_than_real_images_and_new_ones_are_not(name):
    train, expected = TRAIN[name]
    train = [np.ascontiguousarray(x, np.float32) for x in train]
    source = REAL if expected > 1 else OTHER
    copies = turned(source[:12], 0.02)
    own, nearest, fair, shared = _among_training(REAL, np.concatenate([NEW, copies]), train, np.arange(48))
    assert shared == expected
    assert own.min() > 2 * nearest[24:].max()  # copies are found one by one
    assert (nearest[:24] < np.sort(own)[1]).mean() < 0.15  # new images are not
    values = -np.log(np.concatenate([own, fair])[:, None] + 0.02)

    def p(rows):
        at = np.concatenate([np.arange(48), 48 + rows])
        ways = assignments(48, len(rows), most=199)
        return float(adjusted_p(difference_t(block_means(values[at], np.arange(len(at))), ways))[0])

    assert p(np.arange(24)) > 0.05 and p(np.arange(24, 36)) < 0.01


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Keeps what is measured on `REAL`."""
    return tmp_path_factory.mktemp("cache")


def test_the_audit_catches_copies_of_images_that_are_real_and_training_images(cache):
    report = audit(REAL, turned(REAL[:24]), np.concatenate([REAL, OTHER[:8]]), power=False, cache=cache)
    assert report["verdict"] == "fail" and "memorised" in {f["defect"] for f in report["findings"]}
    assert all(image["findings"][0]["defect"] == "copied" for image in report["images"])
    assert any("48 of the 48 real images are among the training images" in note for note in report["notes"])


def test_the_audit_passes_new_images_although_the_real_ones_are_training_images(cache):
    report = audit(REAL, NEW, REAL, power=False, cache=cache)
    assert report["verdict"] == "pass"
    assert not any(f["defect"] == "copied" for image in report["images"] for f in image["findings"])


def test_known_distances_must_not_be_of_images_to_themselves(cache):
    own = np.zeros(48)
    with pytest.raises(InputError, match="leave copies out"):
        audit(REAL, NEW, REAL, power=False, cache=cache, copies=(own, np.ones(24)))


def test_real_images_that_are_there_twice_hide_no_copies_and_pixel_sizes_that_differ_are_noted(tmp_path):
    real = np.concatenate([REAL[:20], turned(REAL[:20])])
    for name, images, size in (("real", real, 2.0), ("synth", REAL[:12, :, ::-1, ::-1], 20.0)):
        stems = [f"s{k:03d}" for k in range(len(images))]
        write_images(tmp_path / name, images, IntensityWindow(0, 65535, "uint16"), stems=stems, pixel_size=size)
    report = audit(tmp_path / "real", tmp_path / "synth", power=False)
    assert report["verdict"] == "fail" and "memorised" in {f["defect"] for f in report["findings"]}
    assert report["independent"]["fields_of_view"] == 20
    assert any("REAL has 2, SYNTH has 20 micrometres" in note for note in report["notes"])
