"""StyleGAN: cheap forms equal the paper's, regularisers, truncation, mixing."""

import pytest
import torch
import torch.nn.functional as F

from veridical.core.batch import Batch, ImageNoise
from veridical.core.errors import InputError
from veridical.models.gan.stylegan import StyleGAN, style_mixing
from veridical.nets.style import StyledConvolution


def small(**args) -> StyleGAN:
    torch.manual_seed(0)
    return StyleGAN(1, 32, **{"latent": 8, "width": 4, "mapping": 2, **args})


def batch(step: int = 0, n: int = 4) -> Batch:
    image = torch.randn(n, 1, 32, 32, generator=torch.Generator().manual_seed(step)).clamp(-1, 1)
    return Batch.at(image, {}, seed=0, step=step, start=0, total=n)


def zeros(n: int):
    return lambda shape: torch.zeros(n, *shape)


def replay(noises: list[torch.Tensor]):
    rest = iter(noises)
    return lambda shape: next(rest)


@pytest.mark.parametrize("up", [False, True])
def test_scaled_maps_equal_a_convolution_with_demodulated_weights(up):
    torch.manual_seed(0)
    layer = StyledConvolution(5, 7, 8, "weight", up)
    torch.nn.init.normal_(layer.bias)
    x, w = torch.randn(3, 5, 6, 6), torch.randn(3, 8)
    # Karras et al. 2020, eq. 1 and 3, one image and one kernel at a time.
    expected = []
    for image, style in zip(x, layer.style(w), strict=True):
        weight = layer.conv.weight * layer.conv.scale * style[None, :, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt() * 2**0.5
        large = F.interpolate(image[None], scale_factor=2) if up else image[None]
        expected.append(F.leaky_relu(F.conv2d(large, weight, padding=1) + layer.bias, 0.2))
    torch.testing.assert_close(layer(x, w, zeros(3)), torch.cat(expected), rtol=1e-4, atol=1e-4)


def test_adain_gives_every_map_the_mean_and_deviation_of_the_style():
    torch.manual_seed(0)
    layer = StyledConvolution(5, 7, 8, "adain")
    w = torch.randn(3, 8)
    y, (scale, shift) = layer(torch.randn(3, 5, 16, 16), w, zeros(3)), layer.style(w).chunk(2, 1)
    torch.testing.assert_close(y.mean((2, 3)), shift, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(y.std((2, 3), unbiased=False), (1 + scale).abs(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("args", [{}, {"modulation": "adain"}, {"path_length": 2.0, "augmentation": "none"}])
def test_losses_are_finite_and_reach_every_parameter(args):
    model = small(**args)
    order = []
    for part, loss in model.losses(batch(), 0):
        parameters = dict(model.parts[part].named_parameters())
        for p in parameters.values():
            p.grad = None
        assert loss.dim() == 0 and torch.isfinite(loss)
        torch.autograd.backward(loss, inputs=list(parameters.values()))
        assert [k for k, p in parameters.items() if p.grad is None] == []
        with torch.no_grad():
            for p in parameters.values():
                p -= 1e-3 * p.grad
        order.append(part)
    assert order == ["generator"] * ("path_length" in args) + ["discriminator", "discriminator", "generator"]
    assert [part for part, _ in model.losses(batch(1), 1)] == ["discriminator", "generator"]


def test_path_length_is_that_of_a_linear_map():
    """For images A w the length of A^T y, here against differences of the images themselves."""
    model = small(mapping=1, modulation="weight", path_length=2.0, mixing=0.0)
    b = batch(n=2)
    styles = model._training_styles(batch(n=2))[:1].double()
    model.double()
    noises = []
    b.normal(8), b.normal(8), b.uniform(2)

    def draw(shape):
        noises.append(b.normal(*shape)[:1].double())
        return noises[-1]

    image = model._image(styles, draw)
    y = b.normal(*image.shape[1:])[:1].double() / 32
    slopes = []
    for layer in range(styles.shape[1]):
        for k in range(8):
            moved = styles.clone()
            moved[0, layer, k] += 1e-6
            replayed = model._image(moved, replay(noises))
            slopes.append(((replayed - image) * y).sum() / 1e-6)
    expected = (torch.stack(slopes).square().sum() / styles.shape[1]).sqrt()
    model.float()
    model._path_penalty(batch(n=2))
    assert model.mean_path.item() == pytest.approx(expected.item(), rel=1e-2)


def test_every_map_takes_as_much_noise_as_it_has_strength():
    layer = StyledConvolution(5, 3, 8, "weight")
    layer.noise_strength.data[1] = 0.5
    x, w = torch.randn(1, 5, 6, 6), torch.randn(1, 8)
    quiet, noisy = layer(x, w, zeros(1)), layer(x, w, lambda shape: torch.ones(1, *shape))
    changed = (quiet != noisy).flatten(2).any(2)[0]
    assert changed.tolist() == [False, True, False]


def test_styles_mix_only_as_often_as_asked():
    model = small(mixing=0.0)
    w = model._training_styles(batch(n=64))
    assert (w == w[:, :1]).all()
    model = small(mixing=1.0)
    w = model._training_styles(batch(n=64))
    switches = (w[:, 1:] != w[:, :-1]).any(2).sum(1)
    assert (switches == 1).all()


def test_noise_is_used_once_it_has_strength_and_belongs_to_the_image():
    model = small().eval()
    for name, p in model.generator.named_parameters():
        if name.endswith("noise_strength"):
            p.data.fill_(0.3)
    with torch.no_grad():
        w = model.styles(torch.randn(1, 8)).expand(2, -1, -1)
        one, other = model.generator.synthesis(w, ImageNoise(0, range(2)))
        torch.testing.assert_close(
            model.sample(3, {}, ImageNoise(0, range(3)))[2:], model.sample(1, {}, ImageNoise(0, [2]))
        )
    assert (one - other).abs().max() > 0.01


def test_truncation_draws_images_together():
    model = small().eval()
    for step in range(3):
        list(model.losses(batch(step), step))
    spread = []
    for psi in (1.0, 0.5, 0.0):
        model.truncation = psi
        with torch.no_grad():
            spread.append(model.sample(16, {}, ImageNoise(0, range(16))).std(0).mean().item())
    assert spread[0] > spread[1] > spread[2] and spread[2] < 1e-5


def test_style_mixing_grid_holds_the_sources_and_their_crossings():
    model = small().eval()
    grid = style_mixing(model, 2, 3, seed=5)
    assert grid.shape == (3, 4, 1, 32, 32) and (grid[0, 0] == 1).all()
    with torch.no_grad():
        alone = model.sample(5, {}, ImageNoise(5, range(5)))
    torch.testing.assert_close(grid[1:, 0], alone[:2])
    torch.testing.assert_close(grid[0, 1:], alone[2:])
    # From 4 x 4 on all styles are the fine source's; beyond the last layer none is.
    everything = style_mixing(model, 2, 3, seed=5, crossover=4)
    torch.testing.assert_close(everything[1, 1:], alone[2:])
    nothing = style_mixing(model, 2, 3, seed=5, crossover=128)
    torch.testing.assert_close(nothing[1:, 1], alone[:2])


def test_an_unknown_modulation_is_refused():
    with pytest.raises(InputError, match="adain"):
        small(modulation="group")


@pytest.mark.parametrize("size", [20, 48])
def test_a_size_that_does_not_halve_to_four_is_refused(size):
    with pytest.raises(InputError, match="size"):
        StyleGAN(1, size)
