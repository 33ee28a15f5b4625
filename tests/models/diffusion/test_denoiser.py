"""The one denoiser in its formulations: EDM's scalings where the spectrum is flat, the data's spectrum before training."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from toy import UNET
from veridical.core.batch import Batch, ImageNoise
from veridical.core.errors import InputError
from veridical.diffusion.formulations import FORMULATIONS
from veridical.diffusion.solvers import SOLVERS
from veridical.models.diffusion.denoiser import Denoiser
from veridical.recipes.diffusion import ROWS


def batch(n=6, size=16, seed=0, **cond):
    image = torch.rand(n, 1, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return Batch.at(image, cond, seed=seed, step=0, start=0, total=n)


def denoiser(channels, size, **args) -> Denoiser:
    """With the defaults of the dataclasses."""
    return ROWS["ddpm"].make(channels, size, {}, args)


def build(**args):
    torch.manual_seed(0)
    model = denoiser(1, 16, **{**UNET, "sampling_steps": 4, **args})
    model.prepare(batch().image)
    return model


def large(**args):
    torch.manual_seed(0)
    return denoiser(1, 32, widths=(32, 32), attention=(False, False), **args).eval()


def test_scalings_of_a_flat_spectrum_are_those_of_edm():
    """Karras et al. 2022, table 1: skip, out and the loss weight for sigma_data = 0.5."""
    model, sigma, data = large(), torch.tensor([0.05, 0.5, 7.0]), 0.5
    torch.nn.init.normal_(model.net.net.conv_out.weight, 0, 0.1)
    x, level = torch.randn(3, 1, 32, 32) * 0.5, sigma.reshape(-1, 1, 1, 1)
    total = (level**2 + data**2).sqrt()
    skip, out = data**2 / total**2, level * data / total
    seen = torch.nn.functional.pixel_unshuffle(torch.cat([x / total, skip * x / data], 1), 4)
    with torch.no_grad():
        expected = skip * x + out * torch.nn.functional.pixel_shuffle(model.net(seen, 100 * sigma.log()), 4)
        torch.testing.assert_close(model.denoise(x, sigma), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.precondition(x, sigma).unit, out)
    # With the skip connection of the paper as well; there the network sees the noisy image alone.
    paper = large(skip="paper")
    torch.testing.assert_close(paper.precondition(x, sigma).skip, skip * x)
    torch.testing.assert_close(paper.precondition(x, sigma).unit, out)
    torch.testing.assert_close(paper.precondition(x, sigma).seen, seen[:, :16])


def test_the_untrained_model_draws_textures_with_the_spectrum_of_the_data():
    generator = torch.Generator().manual_seed(0)
    field = torch.randn(256, 1, 32, 32, generator=generator)
    kernel = torch.ones(1, 1, 5, 5) / 25
    smooth = 0.3 + 0.4 * torch.nn.functional.conv2d(
        torch.nn.functional.pad(field, (2, 2, 2, 2), mode="reflect"), kernel
    )
    model = denoiser(1, 32, patch=8, widths=(16,), attention=(False,)).eval()
    model.prepare(smooth)
    with torch.no_grad():
        drawn = model.sample(256, {}, ImageNoise(0, range(256)))
    assert abs(drawn.mean() - smooth.mean()) < 0.01
    for lag in (1, 3, 5, 8):
        here, real = (
            ((x - x.mean())[..., lag:] * (x - x.mean())[..., :-lag]).mean() / x.var() for x in (drawn, smooth)
        )
        assert abs(here - real) < 0.05, lag


def test_the_untrained_loss_is_one():
    """Losses are in units of what the Wiener filter leaves."""
    model = large()
    tiles = torch.randn(64, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 0.2
    model.prepare(tiles)
    with torch.no_grad():
        losses = [
            loss.item()
            for step in range(8)
            for _, loss in model.losses(Batch.at(tiles, {}, seed=0, step=step, start=0, total=64), step)
        ]
    assert abs(sum(losses) / len(losses) - 1) < 0.05


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_the_wiener_filter_can_be_the_skip_connection_of_any_formulation(formulation):
    """Untrained networks give zero: with it all formulations are the same denoiser, and their loss is one."""
    model, edm = build(formulation=formulation).eval(), build().eval()
    sigma = model.grid()[:3].float()
    x = model.encode(batch(3).image) + sigma.reshape(-1, 1, 1, 1) * batch(3, seed=1).normal(1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(model.denoise(x, sigma), edm.denoise(x, sigma))
        assert next(model.losses(batch(64), 0))[1].item() == pytest.approx(1, rel=0.1)


def test_the_loss_of_a_seed_stays_what_it_was():
    """Draws and arithmetic of `edm`: to change them is to change what published runs are."""
    model = large(noise_mean=-1.2, noise_std=1.5)
    image = torch.nn.functional.avg_pool2d(torch.randn(8, 1, 36, 36, generator=torch.Generator().manual_seed(1)), 5, 1)
    model.prepare(image)
    (_, loss), *_ = model.losses(Batch.at(image, {}, seed=0, step=0, start=0, total=8), 0)
    assert loss.item() == pytest.approx(0.9708177, rel=1e-4)


@pytest.mark.parametrize(
    ("formulation", "solver"),
    [(f, "heun") for f in FORMULATIONS] + [(f, s) for f in ("sub_vp", "flow") for s in SOLVERS],
)
def test_any_solver_runs_on_any_formulation(formulation, solver):
    args = {"widths": (16,), "attention": (False,), "sampling_steps": 3, "langevin_steps": 1, "clamp": True}
    model = build(formulation=formulation, solver=solver, **args).eval()
    with torch.no_grad():
        images = model.sample(2, {}, ImageNoise(0, range(2)))
    assert images.shape == (2, 1, 16, 16) and images.isfinite().all() and images.abs().max() < 20


def test_an_untrained_loss_is_the_variance_of_the_target():
    """The network gives 0: the mean square of what it should give, noise or velocity."""
    known = {"ddpm_linear": 1.0, "ncsn": 1.0, "vp": 1.0, "edm": 1.0, "flow": 1.25}
    for formulation, expected in known.items():
        (_, loss), *rest = build(formulation=formulation, skip="paper").losses(batch(), 0)
        assert not rest and loss.item() == pytest.approx(expected, rel=0.15), formulation


def test_a_learned_variance_adds_the_bound_and_leaves_the_expectation_alone():
    plain, learned = build(formulation="ddpm_cosine"), build(formulation="ddpm_cosine", variance="learned")
    ((_, simple),), ((_, hybrid),) = plain.losses(batch(), 0), learned.losses(batch(), 0)
    assert hybrid > simple
    # The bound's gradient reaches only the outputs for the variance, and those it does reach.
    mean = learned.net.net.conv_out.bias.grad
    assert mean is None
    (hybrid - simple.detach()).backward()
    plain_gradient = torch.autograd.grad(simple, plain.net.net.conv_out.bias)[0]
    gradient = learned.net.net.conv_out.bias.grad
    torch.testing.assert_close(gradient[:16], plain_gradient, atol=1e-5, rtol=1e-3)
    assert gradient[16:].abs().max() > 0


def test_min_snr_weighs_weak_noise_less():
    ((_, own),), ((_, clamped),) = build().losses(batch(), 0), build(min_snr=5.0).losses(batch(), 0)
    assert 0 < clamped < own


def test_a_label_counts_and_can_be_left_out():
    model = build(classes=3, label_dropout=0.5, widths=(16, 32))
    with torch.no_grad():
        model.label.embedding.net.weight.copy_(torch.randn(3, 64))
        torch.nn.init.normal_(model.net.net.conv_out.weight, std=0.1)
    x, sigma, label = model.encode(batch().image), torch.ones(6), torch.arange(6) % 3
    model.eval()
    with torch.no_grad():
        told, other = model.denoise(x, sigma, {"label": label}), model.denoise(x, sigma, {"label": (label + 1) % 3})
        none = model.denoise(x, sigma)
        torch.testing.assert_close(none, model.denoise(x, sigma, {}))
        assert (told - other).abs().max() > 1e-3 and (told - none).abs().max() > 1e-3
        # All labels dropped, or none: as if there were none, or all.
        model.embed = replace(model.embed, label_dropout=1.0)
        all_dropped = next(model.losses(batch(label=label), 0))[1]
        nothing_known = next(model.losses(batch(), 0))[1]
        torch.testing.assert_close(all_dropped, nothing_known)
        # Guidance changes the samples, away from those without a label.
        ends = {}
        for scale in (0.0, 1.0, 2.0):
            how = replace(model.sampling, guidance_scale=scale)
            ends[scale] = model.sample(3, {"label": label[:3]}, ImageNoise(0, range(3)), how)
    assert (ends[2.0] - ends[0.0]).abs().mean() > 1.2 * (ends[1.0] - ends[0.0]).abs().mean()


def test_a_real_number_is_a_label_too():
    model = build(classes=0)
    loss = next(model.losses(batch(label=torch.linspace(-1, 1, 6)), 0))[1]
    loss.backward()
    assert all(p.grad is not None for p in model.label.parameters())


def test_warped_tiles_are_told_and_samples_are_not_warped():
    """Zeros in sampling, so that enlarged tiles in training do not make enlarged samples."""
    model = build(warp=0.5, classes=2)
    heard = []
    model.said.register_forward_hook(lambda module, inputs, output: heard.append((inputs[0], output)))
    label = torch.zeros(6)
    next(model.losses(batch(label=label), 0))
    (said, _), plain = heard.pop(), build(classes=2)
    assert said.shape == (6, 5) and 0 < (said != 0).float().mean() < 1
    model.eval(), plain.eval()
    with torch.no_grad():
        drawn = model.sample(2, {"label": label[:2]}, ImageNoise(0, range(2)))
        assert heard and all(not said.any() and not output.any() for said, output in heard)
        # The same network without augmentation, to the last digit.
        plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("said")})
        assert torch.equal(drawn, plain.sample(2, {"label": label[:2]}, ImageNoise(0, range(2))))


def test_a_number_can_be_asked_for():
    """Brightness as a continuous label: uniform images, none of which has the brightness that is asked for.

    At noise levels where the mean of an image is decided; U-Nets normalise single channels at width 16.
    """
    torch.manual_seed(0)
    model = denoiser(1, 8, widths=(32,), attention=(False,), classes=0, sampling_steps=10, noise_mean=0.5)
    level = torch.linspace(-0.8, 0.8, 32)
    image = level.reshape(-1, 1, 1, 1) + 0.05 * torch.randn(32, 1, 8, 8)
    model.prepare(image)
    optimiser = torch.optim.Adam(model.parts["denoiser"].parameters(), 3e-3)
    for step in range(100):
        given = Batch.at(image, {"label": level / level.std()}, seed=0, step=step, start=0, total=32)
        loss = next(model.losses(given, step))[1]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    asked = torch.linspace(-0.7, 0.7, 24) + 0.013
    with torch.no_grad():
        made = model.eval().sample(24, {"label": asked / level.std()}, ImageNoise(0, range(24))).mean((1, 2, 3))
    error = (made - asked).square().sum() / (asked - asked.mean()).square().sum()
    assert 1 - error > 0.9


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"formulation": "edn"}, "^formulation=edn is not known: use one of edm, "),
        ({"skip": "none"}, "^skip=none is not known: use one of wiener, paper"),
        ({"solver": "hein"}, "^solver=hein is not known"),
        ({"network": "vit"}, "^network=vit is not known"),
        ({"variance": "tiny"}, "^variance=tiny is not known"),
        ({"variance": "learned"}, "formulation=edm has no variance to learn"),
        ({"guidance_interval": (1.0,)}, "two rising noise levels"),
        ({"guidance_interval": (5.0, 0.2)}, "two rising noise levels"),
        ({"sigma_min": 0.0}, "sigma_min=0.0 cannot be: give a number above 0"),
        ({"sigma_max": 0.005}, "two positive, rising"),
        ({"eta": 0.5}, "solver=heun has no eta: use solver=ddim"),
        ({"solver": "ddim", "eta": 1.5}, "eta=1.5 cannot be: give a number from 0 to 1"),
        ({"solver": "unipc", "churn": 5.0}, "use solver=euler or heun"),
        ({"formulation": "ddpm_cosine", "sampling_steps": 1001}, "at most 1000"),
        ({"conditioning": "film"}, "^conditioning=film is not known"),
        ({"network": "dit", "widths": (64, 128)}, "one width"),
    ],
)
def test_what_cannot_be_is_one_sentence(args, message):
    with pytest.raises(InputError, match=message):
        build(**args)


def test_a_learned_variance_is_not_guided():
    learned = {
        "formulation": "ddpm_cosine",
        "variance": "learned",
        "solver": "ancestral",
        "early_steps": 3,
        "classes": 2,
    }
    build(**learned)
    for guidance in ({"guidance_scale": 2.0}, {"autoguidance": 1.5}):
        with pytest.raises(InputError, match="variance=learned cannot be guided"):
            build(**learned, **guidance)


def test_a_solver_with_steps_of_its_own_goes_from_end_to_end():
    for steps in (1, 18):
        model = denoiser(1, 16, **UNET, formulation="flow", solver="dopri5", sampling_steps=steps)
        assert model.grid().tolist() == pytest.approx([999.0, 1e-4 / (1 - 1e-4), 0.0])


def test_a_crop_is_the_same_place_of_all_maps_anywhere_in_the_image():
    model = denoiser(1, 32, patch=2, widths=(16, 16), attention=(False, False), crop=16)
    z = torch.arange(32.0 * 32).reshape(1, 1, 32, 32).repeat(4, 1, 1, 1)
    known = model.precondition(z, torch.full((4,), 0.3))
    where = torch.tensor([[0.0, 0.0], [0.999, 0.0], [0.0, 0.999], [0.5, 0.25]])
    part, target = model._cropped(known, z, where)
    corners = [(0, 0), (16, 0), (0, 16), (8, 4)]
    for k, (y, x) in enumerate(corners):
        place = (slice(k, k + 1), slice(None), slice(y, y + 16), slice(x, x + 16))
        assert torch.equal(target[k], z[place][0])
        assert torch.equal(part.skip[k], known.skip[place][0])
        assert torch.equal(F.pixel_shuffle(part.seen, 2)[k], F.pixel_shuffle(known.seen, 2)[place][0])


def test_a_network_that_sees_crops_denoises_whole_images():
    torch.manual_seed(0)
    model = denoiser(1, 32, patch=2, widths=(16, 16), attention=(False, False), crop=16)
    seen = []
    model.net.register_forward_hook(lambda net, given, out: seen.append(given[0].shape[-1]))
    image = torch.rand(4, 1, 32, 32) * 2 - 1
    model.prepare(image)
    next(model.losses(Batch.at(image, {}, seed=0, step=0, start=0, total=4), 0))
    assert model.denoise(image, torch.ones(4)).shape == image.shape
    assert seen == [8, 16]


@pytest.mark.parametrize("crop", [12, 40])
def test_a_crop_that_cannot_be_is_refused(crop):
    with pytest.raises(InputError, match=f"crop={crop} cannot be: give a multiple of 8 up to 32"):
        denoiser(1, 32, patch=4, widths=(16, 16), attention=(False, False), crop=crop)


@pytest.mark.parametrize("more", [{}, {"classes": 3}, {"warp": 0.3}])
def test_an_early_copy_follows_the_weights_until_its_step(more):
    model = build(early_steps=3, autoguidance=1.5, **more)
    wanted = None
    for step in range(6):
        live = [p for part in model.parts.values() for p in part.parameters()]
        with torch.no_grad():
            for parameter in live:
                parameter.add_(torch.randn(parameter.shape))
        if step < 3:
            now = [p.clone() for p in live]
            wanted = now if wanted is None else [a.lerp(b, 9 / (step + 9)) for a, b in zip(wanted, now, strict=True)]
        image = batch().image
        told = {"label": torch.arange(6) % 3} if more.get("classes") else {}
        at = Batch.at(image, told, seed=0, step=step, start=0, total=6)
        next(model.losses(at, step))
    found = list(model.early.parameters())
    assert len(found) == len(wanted)
    for mine, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, theirs)
        assert not mine.requires_grad


@pytest.mark.parametrize("more", [{}, {"classes": 3, "guidance_scale": 2.0}, {"warp": 0.3}])
def test_samples_are_led_away_from_what_the_early_copy_expects(more):
    model = build(early_steps=3, autoguidance=3.0, **more)
    own = [p for part in model.parts.values() for p in part.parameters()]
    early = list(model.early.parameters())
    assert len(own) == len(early)
    with torch.no_grad():
        for parameter in (*own, *early):
            parameter.add_(0.05 * torch.randn(parameter.shape))
    x, sigma = torch.randn(2, 1, 16, 16), torch.full((2,), 0.5)
    labels = {"label": torch.tensor([0, 2])} if "classes" in more else {}

    def led(cond):
        better = model.denoise(x, sigma, cond)
        kept = [p.clone() for p in own]
        with torch.no_grad():
            for mine, theirs in zip(own, early, strict=True):
                mine.copy_(theirs)
            worse = model.denoise(x, sigma, cond)
            for mine, before in zip(own, kept, strict=True):
                mine.copy_(before)
        assert (better - worse).abs().max() > 1e-3
        return 3 * better - 2 * worse

    wanted = led(labels)
    if labels:  # classifier-free guidance is of what autoguidance expects
        wanted = 2 * wanted - led({})
    torch.testing.assert_close(model.guided()(x, sigma, labels), wanted, atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        guided = model.sample(2, labels, ImageNoise(0, range(2)))
        alone = model.sample(2, labels, ImageNoise(0, range(2)), replace(model.sampling, autoguidance=1.0))
    assert (guided - alone).abs().max() > 1e-3


def test_autoguidance_without_an_early_copy_is_refused():
    with pytest.raises(InputError, match=r"autoguidance=2\.0 needs a run trained with early_steps"):
        build(autoguidance=2.0)
    with pytest.raises(InputError, match="early_steps=-3 cannot be: give a whole number from 0 on"):
        build(early_steps=-3)


def test_a_transformer_sees_whole_images():
    with pytest.raises(InputError, match="a transformer knows the places of whole images"):
        denoiser(1, 32, patch=2, widths=(32,), network="dit", crop=16)
