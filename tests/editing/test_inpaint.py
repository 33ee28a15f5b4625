"""Inpainting with words, in pixels and in latents: what stays, seams, prompts, batches, bit depths."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from painting import FACTOR, SIZE, Gaussian, Numbers, border_ratio, ring_shift, textures
from veridical import InputError
from veridical.editing import folder, inpaint
from veridical.editing.edit import Given
from veridical.editing.settings import Settings
from veridical.models.diffusion.settings import Sampling
from veridical.runs.run import load

QUICK = Settings(steps=10, resamplings=2)
SPACES = {"pixels": Gaussian(), "latents": Gaussian(latent=True, dark=0.05)}


def holes(n, height=SIZE, width=SIZE):
    """Not along the squares of latents."""
    mask = np.zeros((n, height, width), bool)
    mask[:, 9:22, 11:25] = True
    return mask


def painted(model, images, mask, *, said=None, against=None, settings=QUICK, **more):
    given = Given(
        mask, prompt=None if said is None else [(said,)] * len(images),
        negative_prompt=None if against is None else [against] * len(images), words=Numbers(),
    )  # fmt: skip
    return inpaint.inpaint(model, images, given, settings, size=SIZE, **more).images


@pytest.mark.parametrize("space", SPACES)
def test_no_seam_is_seen_and_no_pixel_changes_outside(space):
    images, mask = textures(48), holes(48)
    made = painted(SPACES[space], images, mask, settings=Settings())
    assert (made == images)[~mask[:, None]].all() and (made != images)[mask[:, None]].all()
    assert 0.9 < border_ratio(made, mask) < 1.1
    assert abs(ring_shift(made, mask)) < 3
    assert 0.75 < made[mask[:, None]].std() / images.std() < 1.1


def test_a_decoder_leaves_a_seam_and_a_dark_patch(monkeypatch):
    """Without the correction: the measures above can tell."""
    images, mask = textures(48), holes(48)
    monkeypatch.setattr(inpaint, "continued", lambda error, seen, width: 0 * error)
    made = painted(SPACES["latents"], images, mask)
    assert border_ratio(made, mask) > 1.3 and ring_shift(made, mask) < -8


@pytest.mark.parametrize("space", SPACES)
def test_prompts_say_what_is_drawn(space):
    """Guidance goes on from nothing said, or from the negative prompt, to the prompt."""
    model, images, mask = SPACES[space], textures(8), np.zeros((8, SIZE, SIZE), bool)
    mask[:, :, 6:] = True
    images[:] = 0.5
    model.sampling = Sampling(guidance_scale=2.0)
    try:
        means = [
            painted(model, images, mask, said=said, against=against)[:, :, :, 20:].mean()
            for said, against in ((None, None), ("", None), ("8", None), ("8", "4"), ("", "8"))
        ]
    finally:
        model.sampling = Sampling()
    assert means[0] == means[1] and abs(means[0] - 0.5) < 0.05
    for mean, goal in zip(means[2:], (16, 12, -8), strict=True):
        assert mean - means[0] == pytest.approx(goal / 100, abs=0.05)


@pytest.mark.parametrize("space", SPACES)
def test_images_depend_on_their_numbers_not_on_their_batch(space):
    """Holes at other places too: which surroundings are looked at is each image's own."""
    images, mask = textures(3, 48, 100), np.zeros((3, 48, 100), bool)
    mask[0, 5:9, 5:9] = mask[1, 30:41, 60:73] = mask[2, 5:9, 6:9] = True
    mask[1, 2:4, 2:4] = True
    together = painted(SPACES[space], images, mask)
    alone = painted(SPACES[space], images[1:2], mask[1:2], numbers=[1])
    np.testing.assert_allclose(together[1:2], alone, atol=1e-5)
    assert np.abs(painted(SPACES[space], images, mask, seed=1) - together)[mask[:, None]].mean() > 0.01
    assert (together == images)[~mask[:, None]].all()


@pytest.mark.parametrize("space", SPACES)
def test_conditional_moments_instead_of_turns(space):
    """The exact flow: nearer to the truth than turns at equal steps."""
    images, mask = textures(16), holes(16)
    made = painted(SPACES[space], images, mask, settings=Settings(steps=10, iterations=5))
    assert (made == images)[~mask[:, None]].all() and abs(ring_shift(made, mask)) < 3


@pytest.mark.parametrize("space", SPACES)
def test_masks_that_cannot_be_are_refused(space):
    images = textures(2)
    for mask, message in (
        (np.zeros((2, 8, 9), bool), "the mask has 9 x 8 pixels but the image 32 x 32: draw the mask"),
        (np.zeros((2, SIZE, SIZE), bool), "the mask marks no pixels"),
        (np.ones((2, SIZE, SIZE), bool), "the mask marks all pixels"),
    ):
        with pytest.raises(InputError, match=message):
            painted(SPACES[space], images, mask)


def test_places_of_latents_hold_every_pixel_of_a_mask():
    """A hole of one pixel takes a square of latents, and changes one pixel."""
    images, mask = textures(2), np.zeros((2, SIZE, SIZE), bool)
    mask[:, 7, 8] = True
    made = painted(SPACES["latents"], images, mask)
    assert (made != images).sum() == 2 and FACTOR == 4


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_counts_outside_stay_in_the_depth_of_the_data(space, dtype, scan, tmp_path, monkeypatch):
    path, counts, mask = scan
    counts = counts[0].astype(dtype)
    if dtype == "float32":
        counts[1, 2] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", counts)
    run = load(path / "run", "cpu")
    info = run.info.replace(window=replace(run.window, dtype=dtype))
    monkeypatch.setattr(folder, "load", lambda *_: replace(run, model=SPACES[space], info=info))
    quick = {"steps": 4, "resamplings": 1}
    out = folder.edit(
        path / "run",
        tmp_path / "a.tif",
        tmp_path / "out",
        "inpaint",
        mask=path / "hole.png",
        settings=quick,
        quiet=True,
    )
    made = tifffile.imread(out / "a.tif")
    assert made.dtype == dtype and np.array_equal(made[~mask], counts[~mask], equal_nan=True)
    assert (made != counts)[mask].mean() > 0.9
    assert np.ptp(made[mask]) > 10 and "origin" not in json.loads((out / "provenance.json").read_text())["images"][0]
