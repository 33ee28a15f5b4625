"""Tiles: what is the same in every tile comes back as it was, whatever size, zoom and number at a time."""

import pytest
import torch

from veridical.diffusion.tiles import mosaic, places, tiled

SHAPES = [(16, 16), (20, 30), (17, 41), (64, 16)]


def ramps(height, width):
    """Two images of a constant and a linear channel."""
    y, x = torch.meshgrid(torch.arange(height) / 7, torch.arange(width) / 5, indexing="ij")
    return torch.stack([torch.stack([torch.full_like(x, k + 1.0), y - x * (k + 1)]) for k in range(2)])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch", [1, 3, 32])
def test_constant_and_linear_maps_come_back(shape, batch):
    maps = ramps(*shape)
    torch.testing.assert_close(mosaic(lambda tiles, *_: tiles, maps, 16, batch=batch), maps, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(32, 32), (48, 64), (40, 88)])
def test_latents_are_a_factor_smaller(shape):
    """Encoding by means of 8 x 8 pixels, in tiles that begin at multiples of 8, is that of the whole; and back."""
    maps = ramps(*shape)
    small = torch.nn.functional.avg_pool2d(maps, 8)
    found = mosaic(lambda tiles, *_: torch.nn.functional.avg_pool2d(tiles, 8), maps, 32, step=8, zoom=1 / 8)
    torch.testing.assert_close(found, small, atol=1e-5, rtol=0)
    back = mosaic(lambda tiles, *_: tiles.repeat_interleave(8, 2).repeat_interleave(8, 3), small, 4, zoom=8.0)
    torch.testing.assert_close(back, small.repeat_interleave(8, 2).repeat_interleave(8, 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("batch", [2, 4, 7, 32])
def test_tiles_are_told_whose_they_are(batch):
    """A function that adds the number of the image, and one with other channels out than in."""
    maps = ramps(20, 41)

    def function(tiles, rows, corners):
        assert len(tiles) == len(rows) <= batch
        if batch % 2 == 0:  # a multiple of the images: all of one place together, in their order
            assert rows.tolist() == [0, 1] * (len(rows) // 2)
        return tiles[:, :1] + rows.reshape(-1, 1, 1, 1)

    found = mosaic(function, maps, 16, batch=batch)
    torch.testing.assert_close(found, maps[:, :1] + torch.arange(2).reshape(-1, 1, 1, 1), atol=1e-5, rtol=0)


def test_conditions_go_with_their_images():
    maps, sigma, cond = ramps(20, 30), torch.tensor([1.0, 2.0]), {"label": torch.tensor([10.0, 20.0])}

    def denoise(x, level, told):
        return x * 0 + (level + told["label"]).reshape(-1, 1, 1, 1)

    found = tiled(denoise, 16, batch=3)(maps, sigma, cond)
    torch.testing.assert_close(found, torch.tensor([11.0, 22.0]).reshape(-1, 1, 1, 1).expand_as(maps))


def test_neighbours_overlap_and_places_are_counted():
    seen = []
    x = torch.zeros(1, 1, 20, 50)
    mosaic(lambda tiles, rows, _: seen.append(len(rows)) or tiles, x, 16)
    assert sum(seen) == places(x.shape[2:], 16) == 2 * 4
    # a step in one tile is spread over where it meets its neighbour
    count = iter(range(9))
    steps = mosaic(
        lambda tiles, rows, _: torch.full_like(tiles, float(next(count))), torch.zeros(1, 1, 16, 28), 16, batch=1
    )
    line = steps[0, 0, 8]
    assert line[0] == 0 and line[-1] == 1 and (line.diff() >= 0).all() and ((line > 0) & (line < 1)).sum() >= 3
