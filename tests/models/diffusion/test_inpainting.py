"""A denoiser that sees what stands around a hole: its base at first, what training hides, what it draws."""

import numpy as np
import pytest
import torch

from toy import TOY, base_of
from veridical.core.batch import Batch, ImageNoise
from veridical.core.errors import InputError
from veridical.editing.edit import Given
from veridical.editing.inpaint import inpaint
from veridical.editing.settings import Settings
from veridical.models.contract import Instructable, Seeing
from veridical.models.diffusion import inpainting
from veridical.models.diffusion.inpainting import Holes, drawn_holes, hidden_objects
from veridical.recipes.table import build

WORDS = {"text": torch.tensor([[4, 5, 6, 0], [7, 0, 0, 0]]), "value": torch.zeros(2, 4)}
SPELLED = torch.nn.functional.pad(torch.tensor([[2, 4, 5, 6], [2, 7, 3, 3]]), (0, 28), value=3)
TOLD = {**WORDS, "spelled": SPELLED}


def going_on(base, size=32, **more):
    return build("inpainting", 1, size, {**TOY["inpainting"], **more}, {"base": base})


@pytest.mark.parametrize("name", ["text_to_image", "stable_diffusion"])
def test_before_the_first_step_it_is_its_base_to_the_bit(name):
    base = base_of(name).eval()
    model = going_on(base).eval()
    assert isinstance(model, Seeing) and not isinstance(model, Instructable)
    image = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    sigma = torch.tensor([0.5, 3.0])
    with torch.no_grad():
        z = model.encode(image)
        plain = base.denoise(z, sigma, TOLD)
        hole = torch.zeros(2, 1, 32, 32, dtype=torch.bool)
        hole[:, :, 5:20, 8:] = True
        assert torch.equal(model.denoise(z, sigma, TOLD), plain)
        shown = model.seen(hole, image)
        found = model.denoise(z, sigma, {**TOLD, "map": shown})
        if name == "text_to_image":  # in pixels what is seen is what is expected
            assert torch.equal(found, torch.where(hole, plain, z))
        else:
            assert torch.equal(found, plain)
        drawn = model.sample(2, TOLD, ImageNoise(0, range(2)))
        assert torch.equal(drawn, base.sample(2, TOLD, ImageNoise(0, range(2)), model.sampling))


def test_the_text_alone_is_a_hole_as_large_as_the_image():
    model = going_on(base_of("text_to_image")).eval()
    with torch.no_grad():
        torch.nn.init.normal_(
            model.denoiser.net.net.conv_in.weight, std=0.1, generator=torch.Generator().manual_seed(0)
        )
        image = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(1))
        z, sigma = model.encode(image), torch.ones(2)
        nothing, everything = torch.zeros(2, 1, 32, 32, dtype=torch.bool), torch.ones(2, 1, 32, 32, dtype=torch.bool)
        alone = model.denoise(z, sigma, TOLD)
        torch.testing.assert_close(alone, model.denoise(z, sigma, {**TOLD, "map": model.seen(everything, image)}))
        assert not torch.equal(alone, model.denoise(z, sigma, {**TOLD, "map": model.seen(nothing, image)}))


def test_what_lies_under_a_hole_is_not_seen():
    model = going_on(base_of("text_to_image"))
    image = torch.rand(1, 1, 32, 32)
    hole = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    hole[:, :, 3:9, 4:30] = True
    shown, other = model.seen(hole, image), model.seen(hole, torch.where(hole, -image, image))
    assert torch.equal(shown, other) and shown.shape == (1, 2, 32, 32) and torch.equal(shown[:, :1], hole.float())
    assert not torch.equal(shown, model.seen(hole, torch.where(hole, image, -image)))


def test_places_of_latents_hold_every_hidden_pixel():
    model = going_on(base_of("stable_diffusion"))
    side = model.shape[-1]
    hole = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    hole[:, :, 17, 9] = True
    places = model.seen(hole, torch.zeros(1, 1, 32, 32))[:, 0]
    assert places.sum() == 1 and places[0, 17 * side // 32, 9 * side // 32] == 1
    assert model.denoiser.net.net.config.in_channels == 2 * model.shape[0] + 1


def test_nothing_but_holes_is_learned_in_pixels(monkeypatch):
    model = going_on(base_of("text_to_image"))
    seen = []
    monkeypatch.setattr(model.base, "losses", lambda batch, step: iter([seen.append(batch.cond)]))
    image = torch.rand(64, 1, 32, 32)
    list(model.losses(Batch.at(image, {}, seed=0, step=0, start=0, total=64), 0))
    weight, hole = seen[0]["weight"], seen[0]["map"][:, :1]
    assert (weight[hole == 0] == 0).all() and len(weight[hole > 0].unique()) == 1 and weight.mean() == pytest.approx(1)


def test_holes_are_weighed_by_their_share_in_all_processes(monkeypatch):
    model, seen = going_on(base_of("text_to_image")), []
    monkeypatch.setattr(model.base, "losses", lambda batch, step: iter([seen.append(batch.cond)]))
    monkeypatch.setattr(inpainting, "mean_over_processes", lambda share: torch.full_like(share, 0.25))
    list(model.losses(Batch.at(torch.rand(4, 1, 32, 32), {}, seed=0, step=0, start=0, total=4), 0))
    assert torch.equal(seen[0]["weight"], 4 * seen[0]["map"][:, :1])


def test_a_batch_without_a_hole_teaches_nothing(monkeypatch):
    model = going_on(base_of("text_to_image"))
    monkeypatch.setattr(inpainting, "drawn_holes", lambda batch, size, how: torch.zeros(1, 1, size, size).bool())
    cond = {name: value[:1] for name, value in TOLD.items()}
    loss = next(model.losses(Batch.at(torch.rand(1, 1, 32, 32), cond, seed=0, step=0, start=0, total=1), 0))[1]
    loss.backward()
    assert loss == 0 and all((p.grad is None or not p.grad.any()) for p in model.parameters())


def test_a_learned_variance_is_of_holes_alone_and_draws_whole_images_alone():
    base = base_of("text_to_image", formulation="ddpm_cosine", variance="learned")
    model = going_on(base, solver="ancestral", guidance_scale=1.0).eval()
    net = model.denoiser.net.net
    torch.nn.init.normal_(net.conv_out.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    batch = {"seed": 0, "step": 0, "start": 0, "total": 2}
    z = torch.zeros(2, 1, 32, 32)
    assert model.denoiser.loss(z, Batch.at(z, TOLD | {"weight": z}, **batch)) == 0
    assert model.denoiser.loss(z, Batch.at(z, TOLD | {"weight": z + 1}, **batch)) > 0
    mask = np.ones((2, 32, 32), bool)
    mask[:, :9] = False
    with pytest.raises(InputError, match="variance=learned is not drawn inside of holes"):
        inpaint(model, np.full((2, 1, 32, 32), 0.5, np.float32), Given(mask), Settings(steps=2), size=32)


def holes(how, n=600, size=32, **cond):
    return drawn_holes(Batch.at(torch.zeros(n, 1, size, size), cond, seed=0, step=0, start=0, total=n), size, how)


def test_training_hides_everything_boxes_and_patches_in_their_shares():
    found = holes(Holes(all_hidden=0.2, boxes=0.3, objects=0))[:, 0]
    hidden = found.flatten(1).all(1)
    assert hidden.float().mean() == pytest.approx(0.2, abs=0.05)
    boxed = [is_box(one) for one in found[~hidden].numpy()]
    assert np.mean(boxed) == pytest.approx(0.3 / 0.8, abs=0.08)
    patches = found[~hidden][~torch.tensor(boxed)].float().mean((1, 2))
    assert patches.min() > 0.04 and patches.max() < 0.62 and patches.mean() == pytest.approx(0.325, abs=0.03)
    assert (patches.quantile(0.9) - patches.quantile(0.1)) > 0.3


def is_box(hole):
    rows, columns = hole.any(1), hole.any(0)
    return bool(hole[rows][:, columns].all()) and (np.diff(np.flatnonzero(rows)) == 1).all()


def test_every_place_is_hidden_about_as_often():
    for how in (Holes(0, 0, 1), Holes(0, 0, 0)):
        often = holes(how, 1500, 16).float().mean((0, 1))
        assert often.min() > 0.6 * often.mean() and often.max() < 1.4 * often.mean()


def test_shares_that_are_more_than_all_are_refused():
    with pytest.raises(InputError, match=r"all_hidden=0\.8, objects=0\.1 and boxes=0\.2 are more than all images"):
        Holes(0.8, 0.1, 0.2)


def three_squares():
    labels = torch.full((32, 32), 7, dtype=torch.uint8)
    labels[:, :16] = 255
    for k in range(3):
        labels[10 * k + 1 : 10 * k + 7, 20:26] = 2
    return labels


def test_objects_are_hidden_as_a_whole():
    labels, lots = three_squares(), torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
    squares, counts = (labels == 2).numpy(), []
    for share in (0.1, 0.3, 0.5, 0.9):
        exact = hidden_objects(labels, torch.tensor([0.0, share, 0.0, 0.5, 0.3, 0.4]), lots).numpy()
        counts.append(exact.sum() / 36)  # whole squares
        assert not exact[~squares].any()
    assert counts == [1, 2, 3, 3]
    rim = hidden_objects(labels, torch.tensor([0.0, 0.9, 0.5, 0.5, 0.3, 0.4]), lots).numpy()
    assert rim[squares].all() and 200 < rim.sum() < 300
    moved = hidden_objects(labels, torch.tensor([0.0, 0.9, 0.0, 0.1, 0.3, 0.4]), lots).numpy()
    assert moved.sum() == 108 and not moved[squares].all()
    assert (hidden_objects(labels, torch.tensor([0.9, 0.9, 0.0, 0.5, 0.3, 0.4]), lots) == (labels == 7)).all()
    assert not hidden_objects(torch.full_like(labels, 255), torch.rand(6), lots).any()


def test_a_share_of_training_hides_objects_where_there_are_some():
    labels = three_squares().repeat(200, 1, 1)
    often = holes(Holes(0, 1, 0), 200, 32, objects=labels).float().mean((0, 1))
    assert often[labels[0] == 2].mean() > 2 * often[:, :10].mean() > 0
    patches = holes(Holes(0, 0, 0), 99)  # where nothing is labelled
    assert torch.equal(holes(Holes(0, 1, 0), 99), patches)
    assert torch.equal(holes(Holes(0, 1, 0), 99, objects=torch.full((99, 32, 32), 255, dtype=torch.uint8)), patches)


def test_the_base_does_not_hear_of_label_images(monkeypatch):
    model, heard = going_on(base_of("text_to_image")), []
    monkeypatch.setattr(model.base, "losses", lambda batch, step: iter([heard.append(batch.cond)]))
    cond = {"objects": torch.zeros(4, 32, 32, dtype=torch.uint8)}
    list(model.losses(Batch.at(torch.rand(4, 1, 32, 32), cond, seed=0, step=0, start=0, total=4), 0))
    assert set(heard[0]) == {"map", "weight"}


def test_only_a_denoiser_of_texts_goes_on():
    for base in (build("edm", 1, 32, TOY["edm"]), going_on(base_of("text_to_image"))):
        with pytest.raises(InputError, match="inpainting goes on from a U-Net that hears texts"):
            going_on(base)


def test_a_hole_is_filled_by_what_stands_around_it():
    """Images of one grey each, which no text says: that of the hole is the others'."""
    torch.manual_seed(0)
    base = base_of("text_to_image", 16)
    for module in base.denoiser.net.modules():  # begins as the best linear estimate
        if module is base.denoiser.net.net.conv_out:
            torch.nn.init.zeros_(module.weight)
    model = going_on(base, 16, guidance_scale=1.0, boxes=0.5, objects=0.0, all_hidden=0.0)
    image, cond = greys(16), {name: value[torch.arange(16) % 2] for name, value in TOLD.items()}
    optimiser = torch.optim.Adam(model.parts["denoiser"].parameters(), 3e-3)
    for step in range(90):
        loss = next(model.losses(Batch.at(image, cond, seed=0, step=step, start=0, total=16), step))[1]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    truth = greys(16, seed=1)
    images = ((truth + 1) / 2).numpy()
    mask = np.zeros((16, 16, 16), bool)
    mask[:, 4:13, 5:14] = True
    made = inpaint(model, images, Given(mask), Settings(steps=8, resamplings=1), size=16, seed=3).images
    assert (made == images)[~mask[:, None]].all()
    means = [np.array([one[hole[None]].mean() for one, hole in zip(of, mask, strict=True)]) for of in (made, images)]
    assert np.corrcoef(*means)[0, 1] > 0.8
    alone = inpaint(model, images[5:6], Given(mask[5:6]), Settings(steps=8), size=16, seed=3, numbers=[5]).images
    np.testing.assert_allclose(alone, made[5:6], atol=1e-4)
    larger = np.tile(images[:2], (1, 1, 2, 3))[:, :, :24, :40]
    wide = np.zeros((2, 24, 40), bool)
    wide[:, 2:20, 6:30] = True
    filled = inpaint(model, larger, Given(wide), Settings(steps=8), size=16, seed=3).images
    assert (filled == larger)[~wide[:, None]].all()
    for one, whole in zip(filled, larger, strict=True):
        assert abs(one[0][wide[0]].mean() - whole[0].mean()) < 0.2


def greys(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    level = 1.2 * torch.rand(n, 1, 1, 1, generator=generator) - 0.6
    return level + 0.05 * torch.randn(n, 1, 16, 16, generator=generator)
