"""SliceGAN: sections of volumes by definition, volumes in blocks and periods, uniform density, a critic an axis."""

import pytest
import torch
from torch import nn

from toy import TOY
from veridical.core.batch import Batch, ImageNoise
from veridical.core.errors import InputError
from veridical.models.gan import slicegan
from veridical.models.gan.slicegan import AXES, Norm, Up, sections
from veridical.nets.whole import BatchNorm2d
from veridical.recipes.table import build

DIRECTED = TOY["slicegan_directed"]


def untrained(name="slicegan", size=16):
    """With weights that make contrast, as a trained one has."""
    torch.manual_seed(0)
    model = build(name, 1, size, TOY[name])
    for layer in model.generator.modules():
        if isinstance(layer, Up):
            nn.init.normal_(layer.weight, 0, 0.1)
    return model.eval()


def solid(model, sides, periodic=False):
    with torch.no_grad():
        return model.solid(sides, ImageNoise(5, [0]), periodic, lambda share: None)


def test_sections_are_those_of_the_volumes():
    volumes = torch.randn(2, 3, 8, 8, 8)
    which, axis, height = torch.tensor([1, 0, 1, 0]), torch.tensor([2, 0, 1, 2]), torch.tensor([0.0, 0.3, 0.999, 0.5])
    found = sections(volumes, which, axis, height)
    expected = [volumes[1][..., 0], volumes[0][:, 2], volumes[1][:, :, 7], volumes[0][..., 4]]
    assert torch.equal(found, torch.stack(expected))


def test_noise_of_four_a_side_makes_a_tile_and_each_more_half_a_tile():
    for size in (16, 32, 64):
        generator = build("slicegan", 1, size, TOY["slicegan"]).generator
        for sides in ((4, 4, 4), (4, 5, 7)):
            made = [(side - 2) * size // 2 for side in sides]
            grain = torch.zeros(1, 1, *(side + 2 for side in made))
            assert generator(torch.zeros(1, 4, *sides), grain).shape == (1, 1, *made)


def test_every_voxel_has_as_many_taps():
    """Of weights of 1 without a bias and constant noise, all voxels are alike up to the border (section 2 of the paper)."""
    for cut in (2, 3):
        layer = Up(2, 1, cut)
        nn.init.ones_(layer.weight)
        assert layer(torch.ones(1, 2, 4, 4, 4)).unique().tolist() == [54]
    assert Up(2, 1, 1)(torch.ones(1, 2, 4, 4, 4)).unique().numel() > 1


def test_growing_is_neighbours_at_twice_the_resolution_and_a_convolution():
    layer, x = Up(3, 5, 2), torch.randn(1, 3, 4, 5, 6)
    kernels = layer.weight.unflatten(1, (5, 3, 3, 3)).movedim(0, 1).flip(2, 3, 4)
    expected = nn.functional.conv3d(nn.functional.interpolate(x, scale_factor=2), kernels)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_grain_is_in_place_as_strong_as_the_rest_says():
    """A voxel of noise changes the 27 around it and no others."""
    generator = untrained().generator
    z, grain = torch.randn(1, 4, 4, 4, 4), torch.zeros(1, 1, 18, 18, 18)
    with torch.no_grad():
        flat = generator(z, grain)
        grain[0, 0, 6, 7, 8] = 1.0
        changed = (generator(z, grain) != flat)[0, 0].nonzero()
    assert changed.min(0).values.tolist() == [4, 5, 6] and changed.max(0).values.tolist() == [6, 7, 8]


def test_norm_is_that_of_all_voxels():
    x = torch.randn(2, 3, 4, 5, 6)
    ours, reference = Norm(3), nn.BatchNorm3d(3)
    assert isinstance(ours.norm, BatchNorm2d)
    torch.testing.assert_close(ours(x), reference(x))


def test_blocks_fit(monkeypatch):
    model = untrained()
    whole = solid(model, (40, 24, 35))
    assert whole.shape == (40, 24, 35) and whole.std() > 0.01
    monkeypatch.setattr(slicegan, "BLOCK", 8)
    torch.testing.assert_close(solid(model, (40, 24, 35)), whole)


def test_a_periodic_volume_goes_on_at_the_opposite_face():
    """Of noise that is moved on by a place, and round the end, comes the same volume moved on by half a tile."""
    model, z, grain = untrained(), torch.randn(1, 4, 4, 2, 3), torch.randn(1, 1, 32, 16, 24)
    with torch.no_grad():
        made, moved = (
            model.solid((32, 16, 24), lambda shape, noise=noise: next(noise), True, lambda share: None)
            for noise in (iter([z, grain]), iter([z.roll(1, 2), grain.roll(8, 2)]))
        )
    torch.testing.assert_close(moved, made.roll(8, 0))
    assert (moved - made).abs().max() > 0.01
    with pytest.raises(InputError, match="multiple of 8 voxels, 16 at least"):
        solid(model, (8, 16, 16), True)


def test_a_sample_is_a_section_of_a_volume_of_the_same_noise():
    model = untrained("slicegan_directed")
    with torch.no_grad():
        noise = ImageNoise(3, [0])
        z, _, grain = noise((4, 4, 4, 4)), noise((2,)), noise((1, 18, 18, 18))
        made = model.generator(z, grain)[0, 0]
        for axis in range(AXES):
            image = model.sample(1, {"label": torch.tensor([axis])}, ImageNoise(3, [0]))[0, 0]
            assert min((image - plane).abs().max() for plane in made.unbind(axis)) < 1e-5


def test_each_axis_has_a_critic_of_its_own():
    model = untrained("slicegan_directed")
    image, axis = torch.randn(5, 1, 16, 16), torch.tensor([0, 2, 2, 0, 2])
    said = model.discriminator(image, axis)
    for row, k in enumerate(axis):
        torch.testing.assert_close(said[row], model.discriminator.each[k](image[row : row + 1])[0])
    batch = Batch.at(image[axis == 2], {"label": axis[axis == 2]}, seed=0, step=0, start=0, total=3)
    _, loss = next(model.losses(batch, 1))
    loss.backward()
    moved = [sum(float(p.grad.abs().sum()) for p in critic.parameters()) for critic in model.discriminator.each]
    assert moved[0] == moved[1] == 0 < moved[2]
    with pytest.raises(InputError, match="three sets of sections"):
        build("slicegan_directed", 1, 16, {**DIRECTED, "classes": 2})
