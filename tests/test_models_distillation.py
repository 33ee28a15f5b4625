"""Students: what they are taught is what the papers say, on teachers that are known."""

import pytest
import torch

from toy import TOY
from veridical.batch import Batch, ImageNoise
from veridical.errors import InputError
from veridical.models.distillation import Consistency, ProgressiveDistillation
from veridical.recipes import build
from veridical.samplers import euler, heun, karras_grid


def images(n=64, size=16):
    smooth = torch.nn.functional.avg_pool2d(torch.randn(n, 1, 20, 20, generator=torch.Generator().manual_seed(0)), 5, 1)
    return smooth[..., :size, :size] * 2


def batch(step, n=64, reached=0.0):
    return Batch.at(images(n), {}, seed=0, step=step, start=0, total=n, reached=reached)


def teacher():
    """Untrained: a network of zero output, so that it is the Wiener filter, whose path is known."""
    torch.manual_seed(0)
    model = build("edm", 1, 16, TOY["edm"]).eval()
    model.prepare(images())
    return model


def flow(model, x, now, then):
    """The exact path of a Gaussian from level to level."""
    spectrum = model.spectrum
    shrink = ((spectrum.deviation**2 + then**2) / (spectrum.deviation**2 + now**2)).sqrt()
    return spectrum.transform.inverse(shrink * spectrum.transform(x))


@pytest.mark.parametrize(("solver", "reached", "stride"), [(heun, 0.0, 2), (euler, 0.9, 4)])
def test_the_target_is_where_two_steps_of_the_teacher_lead(solver, reached, stride):
    """A student that gives the target takes one Euler step to there: with the teacher's own two steps the loss is 0.

    The first teacher's are of Heun's method, a student's that has become teacher of Euler's.
    """
    model = ProgressiveDistillation(teacher(), start_steps=8, final_steps=2)
    fine = karras_grid(8, 0.01, 20.0)
    before = dict(model.losses(batch(0, reached=reached), 0))["denoiser"].item()
    assert torch.equal(model.grid(), fine[::stride])

    class Ideal(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.formulation, self.span = inner.formulation, inner.span

        def denoise(self, x, sigma, cond):
            rows = []
            for row, level in zip(x.split(1), sigma, strict=True):
                k = (fine - level).abs().argmin().item()
                end = solver(model.teacher.denoise, row, fine[k : k + stride + 1 : stride // 2])
                share = fine[k + stride] / fine[k]
                rows.append((end - share * row) / (1 - share))
            return torch.cat(rows).float()

    model.student = Ideal(model.student)
    ideal = dict(model.losses(batch(0, reached=reached), 0))["denoiser"].item()
    assert ideal < 1e-6 < 1e-3 < before


def test_steps_halve_at_equal_shares_and_the_student_becomes_the_teacher():
    model = ProgressiveDistillation(teacher(), start_steps=16, final_steps=2)
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
    assert model.sample(2, {}, ImageNoise(0, range(2))).shape == (2, 1, 16, 16)


@pytest.mark.parametrize("path", ["teacher", "data"])
def test_neighbours_of_a_path_have_one_end(path):
    """The exact end of a Gaussian's path has next to no loss with the teacher's steps; the untrained student has some."""
    model = Consistency(teacher(), path, levels=40, most_levels=40)
    untrained = dict(model.losses(batch(0), 0))["denoiser"].item()
    inner = model.student
    model.end = lambda x, sigma, cond=None: flow(inner, x, sigma.reshape(-1, 1, 1, 1), 0.01)
    exact = dict(model.losses(batch(0), 0))["denoiser"].item()
    if path == "teacher":
        assert exact < 0.1 * untrained
    else:  # along a random straight line: right in the mean only
        assert exact > 0


def test_levels_of_consistency_double_at_equal_shares():
    model = Consistency(teacher(), levels=18, most_levels=72)
    asked, inner = [], model._levels
    model._levels = lambda steps: asked.append(steps) or inner(steps)
    for reached in (0.0, 0.32, 0.34, 0.65, 0.67, 0.99):
        asked.clear()
        next(model.losses(batch(0, 4, reached), 0))
        assert asked[0] == {0.0: 18, 0.32: 18, 0.34: 36, 0.65: 36}.get(reached, 72)


def test_the_end_at_the_lowest_level_is_the_image_itself():
    model = Consistency(teacher())
    x = model.student.encode(images(3))
    with torch.no_grad():
        torch.testing.assert_close(model.end(x, torch.full((3,), 0.01)), x)
        # Where noise is strong it is all but the expectation.
        sigma = torch.full((3,), 50.0)
        torch.testing.assert_close(model.end(50 * x, sigma), model.student.denoise(50 * x, sigma), atol=0.02, rtol=0.1)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_it_samples_in_so_many_evaluations(steps):
    model = Consistency(teacher(), sampling_steps=steps).eval()
    calls = []
    model.student.net.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        made = model.sample(2, {}, ImageNoise(0, range(2)))
    assert len(calls) == steps and made.shape == (2, 1, 16, 16)


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="no half, quarter"):
        ProgressiveDistillation(teacher(), start_steps=32, final_steps=5)
    with pytest.raises(InputError, match="only a diffusion model"):
        Consistency(torch.nn.Linear(1, 1))
    with pytest.raises(InputError, match="no path"):
        Consistency(teacher(), path="noise")
