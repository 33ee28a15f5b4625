"""Image and label image of one denoiser: the code of classes, what is learned where nothing is labelled, what is drawn."""

import numpy as np
import pytest
import torch

from toy import TOY, write_tiles
from veridical.core.batch import Batch, ImageNoise
from veridical.core.errors import InputError
from veridical.data.open import open_dataset
from veridical.models.diffusion.labelled import simplex
from veridical.recipes.table import build
from veridical.runs.draw import draw, draw_labelled, sample
from veridical.runs.run import load
from veridical.training.start import train

SMALL = {"widths": (16,), "attention": (False,), "sampling_steps": 8, "patch": 2, "early_steps": 0, "autoguidance": 1.0}


def pairs(n=64, size=16):
    """Halves, bright where the class is 1, in any place."""
    generator = torch.Generator().manual_seed(0)
    edge = torch.randint(3, size - 3, (n, 1, 1), generator=generator)
    labels = (torch.arange(size).expand(n, size, size) < edge).to(torch.uint8)
    return (labels * 1.0 - 0.5).unsqueeze(1) + 0.05 * torch.randn(n, 1, size, size, generator=generator), labels


def trained(labels_known, steps=250):
    torch.manual_seed(0)
    model = build("labelled", 1, 16, {**SMALL, "classes": 2, "warp": 0.0, "dropout": 0.0})
    image, labels = pairs()
    labels = torch.where(torch.arange(len(labels))[:, None, None] < labels_known, labels, 255)
    model.prepare_with(image, {"labelling": labels})
    adam = torch.optim.Adam(model.parts["denoiser"].parameters(), 3e-3)
    for step in range(steps):
        rows = torch.cat([torch.arange(8), torch.randint(64, (8,))])
        batch = Batch.at(image[rows], {"labelling": labels[rows]}, seed=0, step=step, start=0, total=16)
        loss = next(model.losses(batch, step))[1]
        adam.zero_grad()
        loss.backward()
        adam.step()
    return model.eval()


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_classes_are_as_far_from_each_other_as_from_the_mean(classes):
    corners = simplex(classes).double()
    assert corners.shape == (classes, classes - 1)
    torch.testing.assert_close(corners.sum(0), torch.zeros(classes - 1).double(), atol=1e-6, rtol=0)
    expected = torch.full((classes, classes), -1 / (classes - 1)).double().fill_diagonal_(1)
    torch.testing.assert_close(corners @ corners.T, expected, atol=1e-6, rtol=0)


def test_planes_are_labels_and_labels_are_planes():
    model = build("labelled", 1, 16, {**SMALL, "classes": 5})
    labels = torch.randint(5, (2, 16, 16)).to(torch.uint8)
    planes = model.planes(labels)
    assert torch.equal(model.classes(planes + 0.1 * torch.randn_like(planes)), labels)
    assert model.planes(torch.full_like(labels, 255)).abs().max() == 0


def test_labels_that_are_drawn_fit_their_images():
    model = trained(64)
    with torch.no_grad():
        images, labels = model.sample_labelled(16, {}, ImageNoise(0, range(16)))
    assert ((images[:, 0] > 0) == labels.bool()).float().mean() > 0.95
    assert 0.2 < labels.float().mean() < 0.8


def test_few_labels_do_and_images_without_teach_the_images():
    """Where only 4 of 64 have labels, edges are also drawn where none of those 4 have one."""
    model = trained(4)
    seen = {row.sum().item() for row in pairs()[1][:4, 0]}
    with torch.no_grad():
        images, labels = model.sample_labelled(32, {}, ImageNoise(0, range(32)))
    assert ((images[:, 0] > 0) == labels.bool()).float().mean() > 0.8
    widths = {round(row.float().mean().item() * 16) for row in (images[:, 0] > 0)}
    assert len(widths - seen) >= 4


def test_what_has_no_label_is_not_learned_from():
    """The loss of unlabelled rows does not depend on the planes that the network gives."""
    model = build("labelled", 1, 16, {**SMALL, "classes": 3})
    image, labels = torch.rand(4, 1, 16, 16), torch.full((4, 16, 16), 255, dtype=torch.uint8)
    model.prepare_with(image, {"labelling": labels})
    found = []
    for shift in (0.0, 3.0):
        calls = []
        model.denoiser._expected = (
            lambda known, *rest, s=shift, c=calls: (  # the network says the same but for the planes
                c.append(known) or torch.cat([known.skip[:, :1], known.skip[:, 1:] + s], 1),
                None,
            )
        )
        batch = Batch.at(image, {"labelling": labels}, seed=0, step=0, start=0, total=4)
        found.append(next(model.losses(batch, 0))[1].item())
    assert found[0] == found[1] > 0


def test_warped_labels_stay_with_their_images():
    model = build("labelled", 1, 16, {**SMALL, "classes": 2, "warp": 1.0})
    image, labels = pairs(16)
    model.prepare_with(image, {"labelling": labels})
    seen = {}
    model.denoiser.loss = lambda z, batch, said: seen.update(z=z, said=said) or z.sum()
    next(model.losses(Batch.at(image, {"labelling": labels}, seed=0, step=0, start=0, total=16), 0))
    decoded = model.denoiser.decode(seen["z"])
    assert (seen["said"] != 0).any(1).all()
    assert ((decoded[:, 0] > 0) == model.classes(decoded[:, 1:]).bool()).float().mean() > 0.97
    planes = decoded[:, 1] / model.gain
    torch.testing.assert_close(planes.abs(), torch.ones_like(planes), atol=1e-3, rtol=0)


def test_a_folder_of_samples_is_a_labelled_set(tmp_path):
    data = write_tiles(tmp_path / "data", n=12, size=32, conditions=True)
    small = {k: v for k, v in TOY["labelled"].items() if k != "classes"}
    train("labelled", data, tmp_path / "run", steps=2, size=32, batch=4, label_tiles=3, quiet=True, **small)
    run = load(tmp_path / "run")
    assert run.info.args["classes"] == 3 and run.info.config.label_tiles == 3
    images, masks = draw_labelled(run, 3, seed=5)
    np.testing.assert_array_equal(images, draw(run, 3, seed=5))
    sample(tmp_path / "run", 3, tmp_path / "set", seed=5, quiet=True)
    made = open_dataset(tmp_path / "set", 32, masks=True, split="none", augment="none", window=run.window)
    values = np.array(made.mask_values)
    np.testing.assert_array_equal(values[made.tile_conditions("train")["mask"]], masks)
    np.testing.assert_allclose(made.tiles("train")[0], images, atol=1 / 250)
    (tmp_path / "set" / "masks" / "labelled_00001.png").unlink()  # what is missing is drawn again
    sample(tmp_path / "run", 3, tmp_path / "set", seed=5, quiet=True)
    assert (tmp_path / "set" / "masks" / "labelled_00001.png").is_file()
    with pytest.raises(InputError, match="takes no mask"):
        sample(tmp_path / "run", 3, tmp_path / "other", masks=str(data), quiet=True)


def test_who_draws_no_labels_says_so(tmp_path):
    data = write_tiles(tmp_path / "data", n=6, size=32)
    train("random_phase", data, tmp_path / "run", size=32, quiet=True)
    with pytest.raises(InputError, match="random_phase draws no label images"):
        draw_labelled(load(tmp_path / "run"), 2)
