"""What `veridical data` advises, on structures of known size."""

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import distance_transform_edt

from veridical.auditing.independence import FEWEST_SLICES
from veridical.data import advice
from veridical.data.advice import JUDGED, advise, lines, to_json
from veridical.data.focus import contrast
from veridical.data.open import open_dataset


def write(folder, diameter, n=8, size=256, blank=0, cover=0.35):
    """Images of discs that do not overlap, on a grid with jitter, with noise; some without any."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    pitch = diameter * (np.pi / 4 / cover) ** 0.5
    places = np.stack(np.meshgrid(*[np.arange(0, size, pitch)] * 2), -1).reshape(-1, 2)
    for k in range(n):
        image = np.full((size, size), 0.3)
        if k >= blank:
            jitter = rng.uniform(-0.5, 0.5, places.shape) * (pitch - diameter)
            apart = np.ones((size, size), bool)
            apart[tuple(np.rint(places + jitter).astype(int).clip(0, size - 1).T)] = False
            image[distance_transform_edt(apart) < diameter / 2] = 0.7
        image += 0.03 * rng.standard_normal(image.shape)
        Image.fromarray(np.rint(255 * image.clip(0, 1)).astype(np.uint8)).save(folder / f"{chr(97 + k)}.png")
    return folder


@pytest.mark.parametrize(("diameter", "choice"), [(10, (64, 1.0)), (20, (64, 0.5)), (36, (128, 0.5))])
def test_sizes_of_discs_are_found_and_a_tile_holds_a_few(diameter, choice, tmp_path, monkeypatch):
    monkeypatch.setattr(advice, "ENOUGH", 1)
    dataset = open_dataset(write(tmp_path / "discs", diameter), 32)
    found = advise(dataset)
    assert found.bright == pytest.approx(np.pi * diameter / 4, rel=0.12)  # the mean chord of a disc
    assert found.spacing == pytest.approx(found.bright / 0.35, rel=0.15)  # chord over share
    assert (found.size, found.scale) == choice
    assert found.size / (found.spacing * found.scale) >= 2.5 and not found.beyond


@pytest.mark.parametrize(("enough", "scale"), [(24, 0.5), (25, 1.0)])
def test_no_scale_is_suggested_that_leaves_too_few_tiles(enough, scale, tmp_path, monkeypatch):
    monkeypatch.setattr(advice, "ENOUGH", enough)
    found = advise(open_dataset(write(tmp_path / "discs", 20), 32))
    assert (found.size, found.scale) == (64, scale) and found.tiles == (
        24 if scale < 1 else 96
    )  # six images of four tiles
    assert any("few structures across" in note for note in found.notes) is (scale == 1)


def test_lengths_are_of_stored_pixels_whatever_the_tiles(tmp_path):
    data = write(tmp_path / "discs", 20)
    plain, halved = advise(open_dataset(data, 32)), advise(open_dataset(data, 32, scale=0.5))
    assert halved.bright == pytest.approx(plain.bright, rel=0.1) and halved.scale == plain.scale


def test_empty_tiles_are_counted(tmp_path):
    found = advise(open_dataset(write(tmp_path / "half", 10, n=10, blank=4), 32))
    assert found.empty == pytest.approx(0.5, abs=0.02)  # four of the eight training images
    assert any("50 % of the tiles are nearly empty" in note for note in found.notes)
    assert advise(open_dataset(write(tmp_path / "full", 10), 32)).empty < 0.05


def test_plain_colour_is_empty_however_far_its_channels_lie_apart():
    rng = np.random.default_rng(0)
    plain = np.full((4, 3, 32, 32), 0.5, np.float32) + np.array([-0.4, -0.3, 0.4], np.float32)[:, None, None]
    drawn = plain + 0.2 * (rng.random((4, 1, 8, 8)) > 0.5).repeat(4, 2).repeat(4, 3).astype(np.float32)
    assert (contrast(plain) < 1e-5).all() and (contrast(drawn) > 0.05).all()
    assert contrast(drawn[:, :1]) == pytest.approx(contrast(drawn), rel=1e-4)  # grey: as before


@pytest.mark.parametrize(
    ("n", "said", "hold_out"),
    [(10, "2 images are held out", 4), (7, "1 image is", 0), (2, "2 images are held out", 0), (20, "", 0)],
)
def test_too_few_held_out_images_for_an_audit_are_said_before_a_training(n, said, hold_out, tmp_path):
    folder = write(tmp_path / "few", 10, n=n)
    found = advise(open_dataset(folder, 32))
    notes = [note for note in found.notes if "held out" in note]
    assert (len(notes) == 1 and notes[0].startswith(said)) if said else not notes
    assert found.hold_out == hold_out and ("--hold-out 4" in "".join(notes)) is bool(hold_out)
    if hold_out:
        heeded = advise(open_dataset(folder, 32, hold_out=hold_out))
        assert not heeded.hold_out and not [note for note in heeded.notes if "held out" in note]


def test_large_things_are_said_to_be_beyond_the_images(tmp_path):
    dataset = open_dataset(write(tmp_path / "large", 120, size=128), 32)
    found = advise(dataset)
    assert found.beyond and found.scale >= 0.5 and "at least" in lines(found)[0]


def test_the_audit_says_pass_or_fail_from_as_many_slices():
    assert JUDGED == FEWEST_SLICES


def test_small_and_flat_images_get_an_answer(tmp_path):
    dataset = open_dataset(write(tmp_path / "small", 6, size=24), 16)
    found = to_json(advise(dataset))
    assert found["size"] == 24 and found["scale"] == 1
    assert str(advise(dataset)).split("\n") == lines(advise(dataset))
    assert repr(dataset).endswith("8 images, 6 training and 2 held-out tiles of 16 x 16)"), repr(dataset)
