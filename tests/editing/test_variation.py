"""Variations: as an image when all its noise is kept, of its kind alone when none is; from files without a prompt."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from painting import SIZE, Gaussian, textures
from toy import TOY, write_tiles
from veridical import InputError, train
from veridical.conditions.table import SIZES
from veridical.data.readers.imagefile import read_image
from veridical.editing.edit import Given
from veridical.editing.folder import edit
from veridical.editing.settings import Alike
from veridical.editing.variation import variation
from veridical.models.diffusion.settings import Sampling


class Kinds(nn.Module):
    """Images of two kinds, dark and bright, which is what their embeddings say."""

    def __init__(self, latent=False, scale=1.0):
        super().__init__()
        self.decoder, self.asked = Gaussian(latent), []
        self.decoder.sampling = Sampling(guidance_scale=scale)
        self.sampling, self.shape = self.decoder.sampling, self.decoder.shape
        for name in ("encode", "decode", "denoise", "ends", "grid", "start"):
            setattr(self, name, getattr(self.decoder, name))

    def embed(self, x):
        assert x.shape[2:] == (SIZE, SIZE)
        bright = (x.mean((1, 2, 3)) > 0).float()
        return F.normalize(torch.stack([bright, 1 - bright], 1), dim=1)

    def heard(self, z, noise, sampling=None):
        return {"embedding": 20 * (z[:, :1] - z[:, 1:])}


def kinds(n=8, height=SIZE, width=SIZE):
    images = textures(n, height, width)
    images += 0.5 - images.mean((2, 3), keepdims=True)
    images[::2] += 0.2
    images[1::2] -= 0.2
    return images.clip(0, 1)


def varied(model, images, seed=0, numbers=None, **settings):
    return variation(model, images, Given(), Alike(**settings), size=SIZE, seed=seed, numbers=numbers).images


def correlation(a, b):
    a, b = (v - v.mean((2, 3), keepdims=True) for v in (a, b))
    return (a * b).mean() / (a.std() * b.std())


@pytest.mark.parametrize("latent", [False, True])
def test_the_noise_that_is_kept_says_how_much_alike_they_are(latent):
    images = kinds()
    alike = [correlation(images, varied(Kinds(latent), images, alike=a, steps=30)) for a in (0.0, 0.9, 1.0)]
    assert abs(alike[0]) < 0.15 and alike[0] + 0.2 < alike[1] < alike[2] - 0.05
    again = varied(Kinds(latent, scale=3.0), images, alike=1.0, steps=50)
    assert -10 * np.log10(np.square(again - images).mean()) > 30


def test_another_instance_is_of_the_same_kind():
    images = kinds(12)
    made = varied(Kinds(), images)
    assert (made.mean((1, 2, 3)) > 0.5).tolist() == [True, False] * 6
    assert made.std((1, 2, 3)).mean() == pytest.approx(images.std((1, 2, 3)).mean(), rel=0.2)
    stronger = varied(Kinds(scale=1.5), images)
    assert (stronger[::2].mean() - stronger[1::2].mean()) > (made[::2].mean() - made[1::2].mean()) + 0.1


def test_images_depend_on_their_numbers_and_may_be_larger_than_tiles():
    images = kinds(3, 40, 50)
    for alike in (0.0, 0.5):
        together = varied(Kinds(), images, alike=alike, steps=6)
        assert together.shape == images.shape
        np.testing.assert_allclose(
            together[1:2], varied(Kinds(), images[1:2], numbers=[1], alike=alike, steps=6), atol=1e-5
        )
        assert np.abs(together - varied(Kinds(), images, seed=1, alike=alike, steps=6)).mean() > 0.02


def test_other_models_cannot():
    with pytest.raises(InputError, match="draws nothing of the embedding of an image: give a run of unclip"):
        varied(Gaussian(), kinds())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unclip")
    data = write_tiles(folder / "data", n=8, conditions=True)
    given = {"size": 32, "batch": 4, "quiet": True, "text": "auto", "steps": 1}
    own = {name: {k: v for k, v in TOY[name].items() if k not in SIZES} for name in ("clip", "stable_unclip")}
    return train("stable_unclip", data, folder / "run", **given, **own["stable_unclip"])


def test_files_without_a_prompt(run, tmp_path):
    source = run.parent / "data" / "test" / "test_000.png"
    loud = {"steps": 3, "noise_level": 900}
    for name, settings in (("a", {"steps": 3}), ("b", loud)):
        edit(run, source, tmp_path / name, "variation", settings=settings, quiet=True)
    said = json.loads((tmp_path / "b" / "provenance.json").read_text())
    assert said["edit"] == "variation" and said["settings"]["noise_level"] == 900 and "prompt" not in said["images"][0]
    assert not np.array_equal(*(read_image(tmp_path / name / "test_000.png") for name in "ab"))
    with pytest.raises(InputError, match="variation takes no prompt: leave out --prompt"):
        edit(run, source, tmp_path / "c", "variation", prompt="waves of kind a", quiet=True)
