"""Tiles: what is the same in every tile comes back as it was, whatever size, zoom and number at a time."""

import pytest
import torch

from veridical.diffusion.canvas import Canvas
from veridical.diffusion.tiles import mosaic, places, shifted, tiled

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


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("length", [16, 17, 24, 40, 70])
def test_shifted_tiles_cover_every_pixel(length, periodic):
    for shift in (0.0, 0.3, 0.99):
        first = shifted(length, 16, shift, periodic)
        seen = {(start + k) % length for start in first for k in range(16)}
        assert seen == set(range(length)) and len(set(first)) == len(first)
        assert periodic or first[-1] + 16 == length
    assert length < 24 or shifted(length, 16, 0.0, periodic) != shifted(length, 16, 0.5, periodic)


def test_periodic_tiles_do_not_know_where_an_image_begins():
    """What is made of a rolled image is rolled, where tiles are rolled with it; a map that goes along is cut alike."""
    maps = torch.randn(2, 1, 24, 40, generator=torch.Generator().manual_seed(0))
    grid = shifted(24, 16, 0.2, True), shifted(40, 16, 0.4, True)
    rolled = [(top + 5) % 24 for top in grid[0]], [(left + 7) % 40 for left in grid[1]]

    def cut_alike(tiles, sigma, cond):
        torch.testing.assert_close(cond["map"], tiles)
        return tiles - tiles.mean((2, 3), keepdim=True)

    sigma = torch.ones(2)
    found = tiled(cut_alike, 16, batch=3, grid=lambda _: grid)(maps, sigma, {"map": maps})
    moved = maps.roll((5, 7), (2, 3))
    again = tiled(cut_alike, 16, batch=3, grid=lambda _: rolled)(moved, sigma, {"map": moved})
    torch.testing.assert_close(again, found.roll((5, 7), (2, 3)), atol=1e-5, rtol=0)


def test_tiles_are_told_their_part_of_a_map_and_its_mean_where_it_is_of_labels():
    slope = torch.arange(40.0).expand(1, 16, 40)
    told = []

    def denoise(x, sigma, cond):
        told.extend(zip(cond["label"].tolist(), cond["hint"][:, 0, 0, 0].tolist(), strict=True))
        assert cond["hint"].shape[2:] == (32, 32)  # of a latent space: twice as fine
        return x

    fine = torch.arange(79.0).expand(1, 1, 31, 79)  # an image that is not a whole number of latents
    tiled(denoise, 16)(torch.zeros(1, 1, 16, 40), torch.ones(1), {"label": slope, "hint": fine})
    assert told == [(7.5, 0.0), (19.5, 24.0), (31.5, 48.0)]


def test_a_pair_of_estimates_comes_back_as_one():
    maps = ramps(20, 30)
    clean, spread = tiled(lambda x, sigma, cond: (x, 2 * x), 16)(maps, torch.ones(2))
    torch.testing.assert_close(clean, maps, atol=1e-5, rtol=0)
    torch.testing.assert_close(spread, 2 * maps, atol=1e-5, rtol=0)


def test_tiles_of_a_canvas_move_with_the_seed_but_not_for_solvers_that_compare():
    seen = []

    def note(tiles, sigma, cond):
        seen.append(tiles[:, 0, 0, 0].tolist())
        return tiles

    def places(seed, moving):
        seen.clear()
        denoise = Canvas(70, 70, 16, seed=seed).tiled(note, moving)
        for _ in range(2):
            denoise(torch.arange(4900.0).reshape(1, 1, 70, 70), torch.ones(1))
        return seen[: len(seen) // 2], seen[len(seen) // 2 :]

    first, second = places(1, True)
    assert first != second and places(1, True) == (first, second) != places(2, True)
    still = places(1, False)
    assert still[0] == still[1] and still == places(2, False)
    assert Canvas(16, 16, 16).plain and not Canvas(16, 16, 16, periodic=True).plain and not Canvas(16, 17, 16).plain
