"""The vector-quantised auto-encoder: codebook, prior, codes."""

import numpy as np
import pytest
import torch

from veridical.core.batch import Batch, ImageNoise
from veridical.core.errors import InputError
from veridical.models.vae.vqvae import VQVAE, Codebook
from veridical.nets.pixelcnn import PixelCNN

TOY = {"codes": 16, "dim": 8, "width": 16, "blocks": 1, "prior_width": 16, "prior_layers": 2}


def images(n=8, channels=1, size=32):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    tiles = np.stack([np.sin(x / 3 + p) * np.cos(y / 4 + p) for p in rng.uniform(0, 6, n * channels)])
    return torch.from_numpy(tiles.reshape(n, channels, size, size).astype(np.float32))


def clusters(n=400):
    torch.manual_seed(0)
    centres = 10 * torch.eye(4)
    return centres, centres.repeat(n // 4, 1) + 0.1 * torch.randn(n, 4)


def test_codebook_begins_with_a_vector_in_every_cluster():
    centres, z = clusters()
    book = Codebook(4, 4)
    book.prepare(z)
    assert torch.cdist(centres, book.vectors).min(1).values.max() < 1


def test_codebook_begins_where_there_are_fewer_vectors_than_codes():
    book = Codebook(8, 4)
    book.prepare(torch.eye(4))
    assert torch.isfinite(book.vectors).all()


def test_codebook_follows_the_means_of_its_clusters():
    _, z = clusters()
    book = Codebook(4, 4)
    book.prepare(z)
    for _ in range(1000):
        book.update(z, book.nearest(z), torch.zeros(4))
    means = torch.stack([z[k::4].mean(0) for k in range(4)])
    assert torch.cdist(means, book.vectors).min(1).values.max() < 1e-3
    assert torch.allclose(book.count, torch.full((4,), 100.0), rtol=1e-2)


def test_dead_codes_start_anew_at_the_data():
    _, z = clusters()
    book = Codebook(4, 4)  # random vectors near zero
    book.total[1:] = 1e3  # never nearest
    codes = book.nearest(z)
    assert codes.unique().tolist() == [0]
    for step in range(500):
        picks = torch.rand(4, generator=torch.Generator().manual_seed(step))
        book.update(z, book.nearest(z), picks)
    assert len(book.nearest(z).unique()) >= 3


def test_nearest_is_the_nearest():
    torch.manual_seed(0)
    book, z = Codebook(16, 8), torch.randn(5, 3, 8)
    assert torch.equal(book.nearest(z), torch.cdist(z.flatten(0, 1), book.vectors).argmin(1).reshape(5, 3))
    assert torch.equal(book(book.nearest(book.vectors)), book.vectors)


@pytest.mark.parametrize("place", [(0, 0), (0, 4), (2, 3), (4, 4)])
def test_prior_sees_all_that_is_before_a_code_and_nothing_else(place):
    torch.manual_seed(0)
    prior = PixelCNN(dim=25, width=8, layers=6).eval().double()
    # A code of its own at every place: the gradient of its vector tells whether that place is seen.
    vectors = torch.randn(25, 25, dtype=torch.double, requires_grad=True)
    codes = torch.arange(25).reshape(1, 5, 5)
    prior.out.weight.requires_grad_(False).zero_()
    prior.out.bias.requires_grad_(False).fill_(1.0)
    row, column = place
    (seen,) = torch.autograd.grad(prior(codes, vectors)[0, row, column, 0], vectors)
    assert torch.equal(seen.abs().sum(1) > 0, torch.arange(25) < row * 5 + column)


def test_prior_samples_from_the_distribution_it_gives():
    """Sampling row by row is the forward pass: codes drawn so are the quantiles of the logits of the whole map."""
    torch.manual_seed(0)
    prior, vectors = PixelCNN(dim=3, width=8, layers=3).eval(), 3 * torch.randn(7, 3)
    normal = torch.randn(4, 6, 5)
    with torch.no_grad():
        codes = prior.sample(normal, vectors)
        steps = prior(codes, vectors).double().softmax(-1).cumsum(-1)
    own = codes[..., None]
    below = torch.where(own > 0, steps.gather(-1, (own - 1).clamp(min=0)), 0.0)
    above, uniform = steps.gather(-1, own), torch.special.ndtr(normal.double())[..., None]
    assert len(codes.unique()) == 7
    assert (below <= uniform + 1e-5).all() and (uniform <= above + 1e-5).all()


def test_codes_are_integers_and_decode():
    model = VQVAE(3, 32, **TOY)
    x = images(4, 3)
    model.prepare(x)
    codes = model.encode(x)
    assert codes.dtype == torch.int64 and codes.shape == (4, *model.shape) == (4, 8, 8)
    assert codes.min() >= 0 and codes.max() < model.codes
    assert model.decode(codes).shape == x.shape


def test_usage_counts_codes():
    model = VQVAE(1, 32, **TOY)
    x = images()
    model.prepare(x)
    usage = model.usage(x)
    assert usage["codes"] == 16 and 1 < usage["perplexity"] <= usage["used"] <= 16


def test_gradient_passes_the_quantiser():
    """The encoder learns from the reconstruction although the codes have no gradient."""
    model = VQVAE(1, 32, **TOY, commitment=0.0, adversarial=0.0)
    model.prepare(images())
    assert set(model.parts) == {"vqvae", "prior"}
    part, loss = next(model.losses(Batch.at(images(), {}, seed=0, step=0, start=0, total=8), 0))
    loss.backward()
    assert part == "vqvae" and all(p.grad.abs().max() > 0 for p in model.encoder.parameters())


def test_learns_to_reconstruct_and_its_prior_to_predict():
    torch.manual_seed(0)
    model, x = VQVAE(1, 32, **TOY, adversarial=0.0), images()
    model.prepare(x)
    optimisers = {k: torch.optim.Adam(m.parameters(), 3e-3) for k, m in model.parts.items()}
    history = {k: [] for k in optimisers}
    for step in range(150):
        for part, loss in model.losses(Batch.at(x, {}, seed=0, step=step, start=0, total=8), step):
            optimisers[part].zero_grad()
            torch.autograd.backward(loss, inputs=list(model.parts[part].parameters()))
            optimisers[part].step()
            history[part].append(loss.item())
    assert np.mean(history["vqvae"][-5:]) < 0.5 * history["vqvae"][0]
    assert history["prior"][-1] < 0.7 * np.log(16)
    assert model.usage(x)["perplexity"] > 4
    model.eval()
    with torch.no_grad():
        assert model.sample(2, {}, ImageNoise(0, range(2))).abs().max() <= 1


@pytest.mark.parametrize("factor", [1, 3, 64])
def test_a_factor_that_does_not_fit_is_a_user_error(factor):
    with pytest.raises(InputError, match="factor"):
        VQVAE(1, 32, factor=factor)
