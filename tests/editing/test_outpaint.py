"""Outpainting: what stays where, no drift, larger files."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from painting import SIZE, Gaussian, Numbers, border_ratio, textures
from veridical import InputError
from veridical.data.readers.imagefile import read_image
from veridical.editing import folder
from veridical.editing.edit import Edited, Given
from veridical.editing.outpaint import outpaint
from veridical.editing.settings import Margins
from veridical.editing.table import EDITS
from veridical.runs.run import load

SPACES = {"pixels": Gaussian(), "latents": Gaussian(latent=True, dark=0.05)}
QUICK = {"steps": 8, "resamplings": 2}


def painted(model, images, said=None, seed=0, numbers=None, **settings):
    given = Given(prompt=None if said is None else [(said,)] * len(images), words=Numbers())
    return outpaint(model, images, given, Margins(**settings), size=SIZE, seed=seed, numbers=numbers)


@pytest.mark.parametrize("space", SPACES)
def test_the_image_lies_within_to_the_bit(space):
    images = textures(2, 40, 34)
    found = painted(SPACES[space], images, left=5, top=9, bottom=3, **QUICK)
    assert found.images.shape == (2, 1, 52, 39) and found.origin == (9, 5)
    assert (found.images[:, :, 9:49, 5:] == images).all() and found.mask.shape == (2, 52, 39)
    assert not found.mask[:, 9:49, 5:].any() and found.mask.sum() == 2 * (52 * 39 - 40 * 34)
    assert (found.placed(images) == np.where(found.mask[:, None], 0, found.images)).all()


@pytest.mark.parametrize("space", SPACES)
def test_five_in_a_row_neither_darken_nor_fade(space):
    """Means are within chance (of smooth images). Finite steps cost contrast, 9 to 17 % here, but not more at every margin."""
    images = textures(12)
    whole, strips = images, []
    for turn in range(5):
        found = painted(SPACES[space], whole, seed=turn, right=16)
        whole = found.images
        strips.append(whole[..., -16:])
        assert 0.85 < border_ratio(whole, found.mask) < 1.15
    assert whole.shape == (12, 1, SIZE, SIZE + 80) and (whole[..., :SIZE] == images).all()
    error = textures(400, SIZE, 16, seed=9).mean((1, 2, 3)).std() / np.sqrt(12)
    means = np.array([strip.mean() for strip in strips])
    assert np.abs(means - 0.5).max() < 4 * error and np.abs(np.polyfit(range(5), means, 1)[0]) < 2 * error
    deviations = [strip.std() / images.std() for strip in strips]
    assert min(deviations) > 0.8 and max(deviations) < 1.1
    assert abs(deviations[-1] - deviations[0]) < 0.1


@pytest.mark.parametrize("space", SPACES)
def test_a_wide_margin_in_tiles_is_as_the_image(space):
    images = textures(4, 32, 40)
    new = painted(SPACES[space], images, left=100, steps=20, resamplings=2).images[..., :100]
    assert abs(new.mean() - 0.5) < 0.03 and 0.75 < new.std() / 0.1 < 1.2
    far = painted(SPACES[space], np.full_like(images, 0.5), "15", left=100, **QUICK).images[..., :40]
    assert far.mean() == pytest.approx(0.65, abs=0.04)


@pytest.mark.parametrize("space", SPACES)
def test_images_depend_on_their_numbers_alone(space):
    images = textures(3)
    together = painted(SPACES[space], images, right=10, top=4, **QUICK).images
    alone = painted(SPACES[space], images[2:], numbers=[2], right=10, top=4, **QUICK).images
    np.testing.assert_allclose(together[2:], alone, atol=1e-5)


def test_what_cannot_be_is_said():
    with pytest.raises(InputError, match="outpaint was given no margin: set left, right, top or bottom"):
        painted(SPACES["pixels"], textures(1))
    with pytest.raises(InputError, match="the larger image"):
        painted(SPACES["pixels"], textures(1), left=10**9)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_files_grow_and_keep_their_counts(space, dtype, scan, tmp_path, monkeypatch):
    path, counts, _ = scan
    counts = counts[0].astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", counts)
    run = load(path / "run", "cpu")
    info = run.info.replace(window=replace(run.window, dtype=dtype))
    monkeypatch.setattr(folder, "load", lambda *_: replace(run, model=SPACES[space], info=info))
    given = (path / "run", tmp_path / "a.tif", tmp_path / "out", "outpaint")
    out = folder.edit(*given, settings={"left": 7, "bottom": 6, "steps": 4, "resamplings": 1}, quiet=True)
    made, said = tifffile.imread(out / "a.tif"), json.loads((out / "provenance.json").read_text())
    assert made.dtype == dtype and made.shape == (54, 63) and (made[:48, 7:] == counts).all()
    assert said["images"][0]["origin"] == [0, 7] and said["images"][0]["mean_change"] == 0
    share = 1 - 48 * 56 / (54 * 63)
    assert said["images"][0]["changed_share"] == pytest.approx(share)
    for name in ("masks", "changed"):
        picture = read_image(out / name / "a.png") > 0
        assert picture.shape == (54, 63) and picture.mean() == pytest.approx(share) and not picture[:48, 7:].any()
    assert read_image(out / "grid.png").shape == (2 * 54, 3 * 2 * 63 + 4)


def test_several_changes_grow_an_image_several_times(scan, monkeypatch):
    """Where the image lies is known after all of them."""
    path, counts, _ = scan
    run = load(path / "run", "cpu")
    row = replace(folder.find("outpaint"), apply=_framed)
    monkeypatch.setitem(EDITS, "outpaint", row)
    job = folder.Job(0, "a", (48, 56), prompts=("one", "two"))
    made, edited = folder._made(run, row, [job], counts[:1, None], object(), Margins(), 0, True, None)
    assert made.shape == (1, 1, 54, 58) and edited.origin == (2, 2) and edited.mask.shape == (1, 54, 58)
    assert (made[0, 0, 2:50, 2:] == counts[0]).all()
    assert not edited.mask[0, 2:50, 2:].any() and edited.mask.sum() == 54 * 58 - 48 * 56


def _framed(model, images, given, settings, **_):
    """One pixel above and on the left, two below."""
    whole = np.pad(images, ((0, 0), (0, 0), (1, 2), (1, 0)))
    mask = np.ones((len(images), *whole.shape[2:]), bool)
    mask[:, 1:-2, 1:] = False
    return Edited(whole, mask, origin=(1, 1))
