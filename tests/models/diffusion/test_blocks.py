"""The denoiser of volumes beside a Gaussian field of which all is known; its blocks, their orientations, and volumes."""

import math

import numpy as np
import pytest
import torch
from scipy.fft import dct

from toy import TOY, lively, write_volume
from veridical.conditions.delivery import open_data
from veridical.core.batch import Batch, ImageNoise
from veridical.core.errors import InputError
from veridical.core.orientation import turn
from veridical.data.open import open_dataset
from veridical.diffusion.blocks import in_blocks
from veridical.models.diffusion import blocks
from veridical.models.diffusion.blocks import _turned
from veridical.nets.shuffle import shuffle, unshuffle
from veridical.recipes.table import build, settings

SIDE, RANGE = 16, 1.5
LAGS = (1, 2, 3, 4, 8)


def gaussian(n, sides, seed=0):
    """Periodic fields of deviation 0.5 and correlation ``exp(-(lag / RANGE) ** 2)``."""
    waves = [2 * np.pi * np.fft.fftfreq(side) for side in sides[:2]] + [2 * np.pi * np.fft.rfftfreq(sides[2])]
    square = sum(wave**2 for wave in np.ix_(*waves))
    gain = torch.from_numpy(np.exp(-square * RANGE**2 / 8))
    white = torch.randn(n, 1, *sides, generator=torch.Generator().manual_seed(seed))
    made = torch.fft.irfftn(gain * torch.fft.rfftn(white, dim=(2, 3, 4)), s=sides, dim=(2, 3, 4))
    return (0.5 * made / made.std()).float()


@pytest.fixture(scope="module")
def untrained():
    """It denoises by the spectrum alone, which of a Gaussian field is all that can be known."""
    torch.manual_seed(0)
    model = build("edm_3d", 1, SIDE, {**TOY["edm_3d"], "sampling_steps": 24, "sigma_max": 3.0})
    fields = gaussian(12, (48, 48, 48))
    cut = fields.unfold(2, SIDE, SIDE).unfold(3, SIDE, SIDE).unfold(4, SIDE, SIDE).reshape(-1, 1, SIDE, SIDE, SIDE)
    model.prepare_with(cut, {"block": cut})
    return model.eval()


def solid(model, sides, seed=0, periodic=False):
    with torch.no_grad():
        return model.solid(sides, ImageNoise(seed, [0]), periodic, lambda share: None)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.5])
def test_it_denoises_a_gaussian_field_as_its_covariance_says(untrained, sigma):
    """Beside the posterior mean, of the covariance of a block: a product of those of its axes."""
    line = torch.arange(SIDE, dtype=torch.double)
    values, axes = torch.linalg.eigh(torch.exp(-((line[:, None] - line) ** 2) / RANGE**2))
    values, axes = values.clamp(min=0).float(), axes.float()
    power = 0.25 * values[:, None, None] * values[:, None] * values
    clean = gaussian(6, (40, 40, 40), seed=5)[..., 3 : 3 + SIDE, 3 : 3 + SIDE, 3 : 3 + SIDE]
    noisy = clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    turned = torch.einsum("nczyx,za,yb,xd->ncabd", noisy, axes, axes, axes)
    exact = torch.einsum("ncabd,za,yb,xd->nczyx", power / (power + sigma**2) * turned, axes, axes, axes)
    with torch.no_grad():
        made = untrained.denoiser.denoise(noisy, torch.full((6,), sigma))
    least, mine = ((x - clean).square().mean().sqrt().item() for x in (exact, made))
    assert least < mine < 1.15 * least


def test_a_volume_of_a_linear_denoiser_has_the_law_that_it_knows(untrained):
    """Correlation within 0.05 on three axes; deviation within 3 % of what variances of cosine coefficients say of the middle of
    a block, which is less than that of the field, as they say more of its faces.
    """
    made = untrained.denoiser.encode(solid(untrained, (32, 32, 32), periodic=True)[None, None])[0, 0]
    line = np.arange(SIDE)
    waves = dct(np.eye(SIDE), norm="ortho", axis=0)
    power = np.diag(waves @ np.exp(-(((line[:, None] - line) / RANGE) ** 2)) @ waves.T)
    weights = 1 - np.abs(line + 0.5 - SIDE / 2) / (SIDE / 2)
    expected = np.average(power @ waves**2, weights=weights) ** 1.5
    mean_square = made.square().mean().item()
    assert 0.85 < expected < 0.95 and abs(math.sqrt(mean_square) / 0.5 / expected - 1) < 0.03
    for axis in range(3):
        for lag in LAGS:
            found = (made * made.roll(lag, axis)).mean().item() / mean_square
            assert abs(found - math.exp(-((lag / RANGE) ** 2))) < 0.05, (axis, lag)


def test_volumes_do_not_depend_on_how_many_blocks_are_seen_at_a_time(untrained, monkeypatch):
    whole = solid(untrained, (20, 16, 24))
    assert whole.shape == (20, 16, 24) and not torch.equal(whole, solid(untrained, (20, 16, 24), seed=1))
    monkeypatch.setattr(blocks, "TOGETHER", 1)
    torch.testing.assert_close(solid(untrained, (20, 16, 24)), whole, rtol=0, atol=1e-4)
    assert solid(untrained, (5, 16, 7)).shape == (5, 16, 7)
    with pytest.raises(InputError, match="smaller than the blocks"):
        solid(untrained, (12, 16, 16), periodic=True)


def test_a_periodic_volume_goes_on_at_the_opposite_face(untrained):
    jumps = {}
    for periodic in (False, True):
        made = solid(untrained, (32, 16, 16), periodic=periodic)
        jumps[periodic] = ((made[0] - made[-1]).abs().mean() / made.diff(dim=0).abs().mean()).item()
    assert jumps[True] < 1.15 < 1.4 < jumps[False]


def test_blocks_that_reach_beyond_a_face_go_on_at_the_opposite_one():
    x = torch.randn(1, 2, 12, 9, 10)
    seen = []

    def twice(tiles, sigma, cond):
        seen.append(tiles)
        return 2 * tiles

    whole = in_blocks(twice, 8, 3, lambda: ([0, 7], [1, 6], [0, 5]))
    torch.testing.assert_close(whole(x, torch.ones(1)), 2 * x)
    assert sum(map(len, seen)) == 8
    torch.testing.assert_close(torch.cat(seen)[-1], x[0].roll((-7, -6, -5), (1, 2, 3))[:, :8, :8, :8])


def test_cubes_become_channels_and_come_back():
    x = torch.arange(2 * 3 * 4 * 8 * 12.0).reshape(2, 3, 4, 8, 12)
    made = unshuffle(x, 4)
    assert made.shape == (2, 192, 1, 2, 3) and torch.equal(shuffle(made, 4), x)
    assert torch.equal(made[1, 64:128, 0, 1, 2].reshape(4, 4, 4), x[1, 1, :, 4:, 8:])
    assert torch.equal(unshuffle(x[:, :, 0], 4), torch.nn.functional.pixel_unshuffle(x[:, :, 0], 4))


def test_the_48_orientations_of_a_cube_are_all_drawn(tmp_path):
    """Those of training data, in the plane, times those of the model."""
    data = open_dataset(write_volume(tmp_path / "v"), 16)
    codes = data.drawn(4000, 0, 0)[1]
    one = torch.arange(27.0).reshape(1, 1, 3, 3, 3)
    flat = [torch.from_numpy(np.ascontiguousarray(turn(one.numpy(), code, (3, 4)))) for code in range(8)]
    chance = torch.rand(4000, 2, generator=torch.Generator().manual_seed(0))
    found = [_turned(flat[code], chance[k : k + 1]) for k, code in enumerate(codes.tolist())]
    counts = list(np.unique(torch.stack(found).flatten(1).numpy(), axis=0, return_counts=True)[1])
    assert len(counts) == 48 and min(counts) > 40


def test_blocks_are_of_training_slices_alone_and_each_as_likely(tmp_path):
    """48 slices: 10 held out, a gap of 4, so that 34 are learned from, and no block reaches beyond these."""
    place = write_volume(tmp_path / "v")
    data = open_dataset(place, 16, augment="none")
    places, turns = data.drawn(400, 0, 0)
    made = data.blocks(places, turns)
    whole = np.stack([data.slices[k] for k in range(48)])
    assert made.shape == (400, 1, 16, 16, 16) and made.dtype == np.float32
    unit, firsts = data.window.to_unit(whole), []
    for block, (index, y, x) in zip(made[:, 0], places.tolist(), strict=True):
        fits = [z for z in range(33) if np.array_equal(unit[z : z + 16, y : y + 16, x : x + 16], block)]
        assert len(fits) == 1 and fits[0] <= index < fits[0] + 16 <= 34 + 16
        firsts += fits
    assert set(firsts) == set(range(19)) and max(firsts) + 16 <= data.split["n_train"] == 34
    again = open_data("edm_3d", ("block",), place, settings("edm_3d", {"size": 16, "augment": "none"})[0])
    assert np.array_equal(again.batch(400, 0, 0)[1]["block"], made)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"limit": 4}, "leave out --limit"),
        ({"scale": 0.5}, "leave out --scale"),
        ({"size": 36}, "too few for blocks of 36"),
    ],
)
def test_what_cannot_be_is_said(tmp_path, given, words):
    place = write_volume(tmp_path / "v")
    with pytest.raises(InputError, match=words):
        open_data("edm_3d", ("block",), place, settings("edm_3d", {"size": 16, **given})[0])
    with pytest.raises(InputError, match="blocks are cut out of a volume"):
        open_data("edm_3d", ("block",), "phantom:rocks?n=20&size=40", settings("edm_3d", {"size": 16})[0])


def test_a_direction_is_found_unless_the_user_says_there_is_one():
    cut = gaussian(12, (16, 16, 16)).repeat_interleave(4, 2)[:, :, :16]
    with pytest.raises(InputError, match="isotropic=false"):
        build("edm_3d", 1, 16, TOY["edm_3d"]).prepare_with(cut, {"block": cut})
    model = build("edm_3d", 1, 16, {**TOY["edm_3d"], "isotropic": False})
    model.prepare_with(cut, {"block": cut})
    power = model.denoiser.spectrum.deviation[0, 0].square()
    assert power[6:].mean() < 0.5 * power[:, 6:].mean()
    batch = Batch.at(cut[:4, :, 0], {"block": cut[:4]}, seed=0, step=0, start=0, total=4)
    assert all(torch.isfinite(loss) for _, loss in model.losses(batch, 0))


def test_a_sample_is_a_section_of_a_block():
    model = lively(build("edm_3d", 1, 16, TOY["edm_3d"])).eval()
    with torch.no_grad():
        images = model.sample(3, {}, ImageNoise(0, range(3)))
    assert images.shape == (3, 1, 16, 16) and torch.isfinite(images).all()
