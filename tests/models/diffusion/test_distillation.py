"""Students: what they are taught is what the papers say, on teachers that are known."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from toy import TOY
from veridical.core.batch import Batch, ImageNoise
from veridical.core.errors import InputError
from veridical.diffusion.solvers import euler, karras_grid, midpoint
from veridical.models.diffusion.distillation import _step
from veridical.recipes.table import build


def images(n=64, size=16):
    smooth = torch.nn.functional.avg_pool2d(torch.randn(n, 1, 20, 20, generator=torch.Generator().manual_seed(0)), 5, 1)
    return smooth[..., :size, :size] * 2


def batch(step, n=64, reached=0.0):
    return Batch.at(images(n), {}, seed=0, step=step, start=0, total=n, reached=reached)


def teacher(formulation="edm"):
    """Untrained: a network of zero output, so that it is the Wiener filter, whose path is known."""
    torch.manual_seed(0)
    model = build("edm", 1, 16, {**TOY["edm"], "formulation": formulation}).eval()
    model.prepare(images())
    return model


def progressive(first, **args):
    return build("progressive_distillation", 1, 16, args, {"first": first})


def consistency(first, **args):
    return build("consistency", 1, 16, args, {"first": first})


def flow(model, x, now, then):
    """The exact path of a Gaussian from level to level."""
    spectrum = model.spectrum
    shrink = ((spectrum.deviation**2 + then**2) / (spectrum.deviation**2 + now**2)).sqrt()
    return spectrum.transform.inverse(shrink * spectrum.transform(x))


@pytest.mark.parametrize(("solver", "reached", "stride"), [(midpoint, 0.0, 2), (euler, 0.9, 4)])
def test_the_target_is_where_two_steps_of_the_teacher_lead(solver, reached, stride):
    """A student that gives the target takes one Euler step to there: with the teacher's own two steps the loss is 0.

    The first teacher's are of the midpoint rule, a student's that has become teacher of Euler's.
    """
    model = progressive(teacher(), start_steps=8, final_steps=2)
    fine = karras_grid(8, 0.01, 20.0)
    before = dict(model.losses(batch(0, reached=reached), 0))["denoiser"].item()
    assert torch.equal(model.grid(), fine[::stride])

    class Ideal(torch.nn.Module):
        def denoise(self, x, sigma, cond):
            rows = []
            for row, level in zip(x.split(1), sigma, strict=True):
                k = (fine - level).abs().argmin().item()
                end = solver(model.teacher.denoise, row, fine[k : k + stride + 1 : stride // 2])
                share = fine[k + stride] / fine[k]
                rows.append((end - share * row) / (1 - share))
            return torch.cat(rows).float()

    model.student = Ideal()
    ideal = dict(model.losses(batch(0, reached=reached), 0))["denoiser"].item()
    assert ideal < 1e-6 < 1e-3 < before


@pytest.mark.parametrize("formulation", ["edm", "v_cosine", "vp", "flow"])
def test_sixteen_steps_of_the_first_teacher_end_where_the_path_does(formulation):
    model = teacher(formulation)
    grid = model.grid(replace(model.sampling, sampling_steps=16))
    x = begun = model.start(ImageNoise(0, range(32)), grid[0].item())
    for now, then in pairwise(grid.float()):
        x = _step(model.denoise, x, now.expand(32), then.expand(32), None, second_order=True)
    exact = flow(model, begun, grid[0].float(), torch.tensor(0.0))
    assert (x - exact).std() < 0.02 * exact.std()


def test_steps_halve_at_equal_shares_and_the_student_becomes_the_teacher():
    model = progressive(teacher(), start_steps=16, final_steps=2)
    seen = []
    for step in range(10):
        with torch.no_grad():
            next(iter(model.student.net.parameters())).add_(0.01)
        # Last of all the run is made longer: what was reached stays.
        for _ in model.losses(batch(step, 4, step / 9 if step < 9 else 0.1), step):
            pass
        seen.append(int(model.steps))
        same = torch.equal(*(next(iter(m.net.parameters())) for m in (model.teacher, model.student)))
        assert same == (step in (3, 6))
    assert seen == [8] * 3 + [4] * 3 + [2] * 4
    calls = []
    model.student.net.register_forward_hook(lambda *_: calls.append(1))
    assert model.sample(2, {}, ImageNoise(0, range(2))).shape == (2, 1, 16, 16) and len(calls) == 2


def test_neighbours_of_a_path_have_one_end():
    """The exact end of a Gaussian's path has next to no loss with the teacher's steps; the untrained student has some."""
    model = consistency(teacher(), levels=40, most_levels=40)
    untrained = dict(model.losses(batch(0), 0))["denoiser"].item()
    inner = model.student
    model.end = lambda x, sigma, cond=None: flow(inner, x, sigma.reshape(-1, 1, 1, 1), 0.01)
    exact = dict(model.losses(batch(0), 0))["denoiser"].item()
    assert exact < 0.1 * untrained


def test_neighbours_are_compared_as_the_paper_does():
    """Consistency training on the loss by hand: one noise at both levels, pseudo-Huber over the distance of the levels."""
    model = consistency(teacher(), path="data", levels=2, most_levels=2)
    asked = []

    def end(x, sigma, cond=None):
        asked.append((x, sigma))
        return x

    model.end = end
    loss = dict(model.losses(batch(0), 0))["denoiser"]
    (below, low), (above, high) = asked
    assert torch.allclose(low, torch.tensor(0.01)) and torch.allclose(high, torch.tensor(20.0))
    clean = below - low.reshape(-1, 1, 1, 1) * (noise := (above - below) / 19.99)
    torch.testing.assert_close(clean, model.teacher.encode(images()), atol=1e-4, rtol=0)
    assert abs(noise.std() - 1) < 0.05
    square = (above - below).square().flatten(1).mean(1)
    torch.testing.assert_close(loss, (((square + 0.00054**2).sqrt() - 0.00054) / 19.99).mean())


@pytest.mark.parametrize("formulation", ["edm", "ddpm_cosine", "flow"])
def test_consistency_has_one_lowest_level_for_any_number_of_evaluations(formulation):
    model = consistency(teacher(formulation), sampling_steps=2)
    low, high = model.student.ends()
    assert low < 0.05 and high > 15
    for steps in (2, 18):
        torch.testing.assert_close(model._levels(steps)[[0, -1]], torch.tensor([high, low], dtype=torch.float64))
    # An untrained student begins with the expectation of its data, not with noise.
    with torch.no_grad():
        made = model.sample(8, {}, ImageNoise(0, range(8)))
    assert made.diff(dim=-1).std() < images().diff(dim=-1).std()


def test_levels_of_consistency_double_at_equal_shares():
    model = consistency(teacher(), levels=18, most_levels=72)
    asked, inner = [], model._levels
    model._levels = lambda steps: asked.append(steps) or inner(steps)
    for reached in (0.0, 0.32, 0.34, 0.65, 0.67, 0.99):
        asked.clear()
        next(model.losses(batch(0, 4, reached), 0))
        assert asked[0] == {0.0: 18, 0.32: 18, 0.34: 36, 0.65: 36}.get(reached, 72)


def test_the_end_at_the_lowest_level_is_the_image_itself():
    model = consistency(teacher())
    x = model.student.encode(images(3))
    with torch.no_grad():
        torch.testing.assert_close(model.end(x, torch.full((3,), 0.01)), x)
        # Where noise is strong it is all but the expectation.
        sigma = torch.full((3,), 50.0)
        torch.testing.assert_close(model.end(50 * x, sigma), model.student.denoise(50 * x, sigma), atol=0.02, rtol=0.1)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_it_samples_in_so_many_evaluations(steps):
    model = consistency(teacher(), sampling_steps=steps).eval()
    calls = []
    model.student.net.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        made = model.sample(2, {}, ImageNoise(0, range(2)))
    assert len(calls) == steps and made.shape == (2, 1, 16, 16)


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="no half, quarter"):
        progressive(teacher(), start_steps=32, final_steps=5)
    with pytest.raises(InputError, match="only a diffusion model"):
        consistency(torch.nn.Linear(1, 1))
    labelled = build("cfg", 1, 16, {**TOY["cfg"], "classes": 3})
    with pytest.raises(InputError, match="without labels"):
        progressive(labelled)
    with pytest.raises(InputError, match="levels=1 cannot be: give a whole number from 2 on"):
        consistency(teacher(), levels=1)
    with pytest.raises(InputError, match="path=noise is not known: use one of teacher, data"):
        consistency(teacher(), path="noise")


@pytest.mark.parametrize("name", ["progressive_distillation", "consistency"])
def test_students_learn_the_guided_teacher_and_are_not_guided_themselves(name):
    first = build("edm", 1, 16, TOY["edm"]).eval()
    first.prepare(images())
    assert first.sampling.autoguidance != 1
    model = build(name, 1, 16, {}, {"first": first})
    asked = []
    inner = model.teacher.guided
    model.teacher.guided = lambda: asked.append(1) or inner()
    next(model.losses(batch(0), 0))
    assert asked and model.student.early is None
    if name == "progressive_distillation":  # the next teacher is a student
        asked.clear()
        next(model.losses(batch(1, reached=0.6), 1))
        assert not asked
        assert model.teacher.early is not None
