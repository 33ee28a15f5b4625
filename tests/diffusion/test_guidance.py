"""Guidance on Gaussians, where conditional and guided distributions are known."""

import torch

from veridical.diffusion.guidance import autoguidance, classifier, classifier_free, clipped
from veridical.diffusion.solvers import euler, heun, karras_grid

# Two classes N(-1, 0.5^2) and N(1, 0.5^2), equally frequent.
CENTRES, STD = torch.tensor([-1.0, 1.0], dtype=torch.float64), 0.5


def log_joint(x, sigma):
    """Log density of each class at noisy x (N, 1, 1, 1): (N, 2)."""
    variance = (STD**2 + sigma**2).reshape(-1, 1)
    return -((x.reshape(-1, 1) - CENTRES) ** 2) / (2 * variance) - variance.log() / 2


def denoise(x, sigma, cond):
    """E[x0 | x], and given the class where there is one."""
    gain = STD**2 / (STD**2 + sigma.reshape(-1, 1, 1, 1) ** 2)
    known = cond and "label" in cond
    centre = CENTRES[cond["label"]] if known else log_joint(x, sigma).softmax(1) @ CENTRES
    return gain * x + (1 - gain) * centre.reshape(-1, 1, 1, 1)


def unconditional(x, sigma, cond):
    return denoise(x, sigma, None)


def log_probability(x, sigma, cond):
    return log_joint(x, sigma).log_softmax(1).gather(1, cond["label"][:, None])[:, 0]


def noise(n):
    return torch.randn(n, 1, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


LABEL = {"label": torch.arange(2000) % 2}


def test_the_gradient_of_the_classifier_turns_the_denoiser_into_the_conditional_one():
    """Bayes: with scale 1 the two differ by the classifier's score, at every level."""
    guided = classifier(unconditional, log_probability, 1.0)
    for level in (0.1, 1.0, 10.0):
        x, sigma = noise(2000) * level, torch.full((2000,), level, dtype=torch.float64)
        torch.testing.assert_close(guided(x, sigma, LABEL), denoise(x, sigma, LABEL))


def test_both_guidances_agree_where_the_classifier_is_bayes():
    """Without a condition plus s times the difference, or plus s times the gradient (Ho and Salimans 2022, section 3.1)."""
    x, sigma = noise(2000) * 2, torch.full((2000,), 2.0, dtype=torch.float64)
    free, led = classifier_free(denoise, 3.0), classifier(unconditional, log_probability, 3.0)
    torch.testing.assert_close(free(x, sigma, LABEL), led(x, sigma, LABEL))
    # A trajectory, too.
    grid = karras_grid(20, 0.01, 20.0)
    start = noise(2000) * 20
    torch.testing.assert_close(heun(free, start, grid, LABEL), heun(led, start, grid, LABEL))


def test_a_scale_of_one_asks_for_the_condition_and_a_larger_one_exaggerates_it():
    grid, start = karras_grid(60, 0.01, 20.0), noise(2000) * 20
    ends = {s: heun(classifier_free(denoise, s), start, grid, LABEL).flatten() for s in (0.0, 1.0, 3.0)}
    chosen = {s: end[LABEL["label"] == 1] for s, end in ends.items()}
    assert abs(chosen[1.0].mean() - 1) < 0.05 and abs(chosen[1.0].std() / STD - 1) < 0.05
    assert chosen[3.0].mean() > 1.1 and chosen[3.0].std() < 0.9 * STD
    assert abs(chosen[0.0].mean()) < 0.1  # no condition: both classes


def test_outside_of_the_interval_guidance_is_off():
    x = noise(10)
    label = {"label": torch.ones(10, dtype=torch.int64)}
    for level, on in ((0.05, False), (1.0, True), (20.0, False)):
        sigma = torch.full((10,), level, dtype=torch.float64)
        free = classifier_free(denoise, 4.0, (0.1, 10.0))(x, sigma, label)
        led = classifier(unconditional, log_probability, 4.0, (0.1, 10.0))(x, sigma, label)
        assert torch.equal(free, denoise(x, sigma, label)) != on
        assert torch.equal(led, denoise(x, sigma, None)) != on


def test_the_other_conditions_stay():
    seen = []

    def spy(x, sigma, cond):
        seen.append(set(cond))
        return x

    classifier_free(spy, 2.0)(noise(2), torch.ones(2), {"label": torch.zeros(2), "map": torch.zeros(2)})
    assert seen == [{"label", "map"}, {"map"}]


def test_clipping_keeps_images_in_their_range():
    double = clipped(lambda x, sigma, cond: 3 * x, lambda image: image / 2, lambda z: z * 2)
    z = torch.tensor([-1.0, 0.1, 1.0]).reshape(3, 1, 1, 1)
    torch.testing.assert_close(double(z, torch.ones(3), None).flatten(), torch.tensor([-0.5, 0.3, 0.5]))
    assert euler(double, z, karras_grid(3, 0.1, 1.0)).abs().max() <= 0.5


def test_autoguidance_undoes_an_error_that_the_worse_model_has_twice():
    """Both know the one Gaussian, shifted: the better by 0.2, the worse by 0.4 or, which cannot be undone, by 0.2, too."""

    def shifted(by):
        return lambda x, sigma, cond: (x - 1 - by) * STD**2 / (STD**2 + sigma.reshape(-1, 1, 1, 1) ** 2) + 1 + by

    x = euler(autoguidance(shifted(0.2), shifted(0.4), 2.0), 80 * noise(500), karras_grid(40, 0.01, 80.0))
    alone = euler(shifted(0.0), 80 * noise(500), karras_grid(40, 0.01, 80.0))
    torch.testing.assert_close(x, alone)
    unchanged = autoguidance(shifted(0.2), shifted(0.2), 2.0)(noise(8), torch.ones(8, dtype=torch.float64), None)
    torch.testing.assert_close(unchanged, shifted(0.2)(noise(8), torch.ones(8, dtype=torch.float64), None))


def test_at_scale_one_the_worse_model_is_not_asked():
    def worse(x, sigma, cond):
        raise AssertionError

    sigma = torch.ones(4, dtype=torch.float64)
    assert torch.equal(
        autoguidance(unconditional, worse, 1.0)(noise(4), sigma, None), unconditional(noise(4), sigma, None)
    )


def test_a_negative_condition_is_what_guidance_leads_away_from():
    x, sigma = noise(2000), torch.full((2000,), 0.7, dtype=torch.float64)
    other = {"negative_label": 1 - LABEL["label"]}
    seen = []

    def watched(x, sigma, cond):
        seen.append(sorted(cond))
        return denoise(x, sigma, cond)

    guided = classifier_free(watched, 3.0)(x, sigma, LABEL | other | {"map": x})
    mine, its = (denoise(x, sigma, {"label": label}) for label in (LABEL["label"], 1 - LABEL["label"]))
    torch.testing.assert_close(guided, its + 3 * (mine - its))
    assert seen[1] == ["label", "map"]
    # by itself, or at scale 1, it changes nothing
    same = classifier_free(denoise, 3.0)(x, sigma, LABEL | {"negative_label": LABEL["label"]})
    torch.testing.assert_close(same, mine)
    assert torch.equal(classifier_free(denoise, 1.0)(x, sigma, LABEL | other), mine)
