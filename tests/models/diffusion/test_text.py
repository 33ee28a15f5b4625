"""A denoiser that is told a text."""

import copy
from dataclasses import replace

import pytest
import torch

from veridical.core.batch import Batch, ImageNoise
from veridical.models.diffusion.denoiser import Denoiser
from veridical.models.diffusion.settings import Embed, Law, Network, Sampling
from veridical.nets.text import Tower

# dark, bright; <num> with a value.
WORDS = torch.tensor([[1, 2, 0, 0], [1, 3, 0, 0]])


def tower():
    """A text tower that has learned nothing yet."""
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1}
    return CLIPTextModel(
        CLIPTextConfig(vocab_size=8, max_position_embeddings=4, bos_token_id=2, eos_token_id=3, pad_token_id=0, **small)
    )


@pytest.mark.parametrize("frozen", [True, False])
def test_it_learns_what_a_tower_reads(frozen):
    reader = Tower(tower().eval().requires_grad_(not frozen))
    before = copy.deepcopy(reader.state_dict())
    torch.manual_seed(0)
    small = Network(patch=2, widths=(32,), attention=(True,))
    law = Law(formulation="v_scaled_linear", skip="paper")
    denoiser = Denoiser((1, 8, 8), small, law, sampling=Sampling(sampling_steps=10, solver="ddim"), reader=reader)
    images, _ = grey(32)
    cond = {"spelled": torch.tensor([[2, 5, 3, 0], [2, 6, 3, 0]])[torch.arange(32) % 2]}
    denoiser.prepare(images)
    optimiser = torch.optim.Adam(denoiser.parts["denoiser"].parameters(), 3e-3)
    for step in range(60):
        optimiser.zero_grad()
        loss_of(denoiser, images, cond, step).backward()
        optimiser.step()
    with torch.no_grad():
        made = denoiser.eval().sample(16, {"spelled": cond["spelled"][:16]}, ImageNoise(0, range(16)))
    assert (made[1::2].mean() - made[::2].mean()).item() > 0.6
    moved = any(not torch.equal(value, before[name]) for name, value in reader.state_dict().items())
    assert moved != frozen


def model(**network):
    torch.manual_seed(0)
    small = Network(**{"patch": 2, "widths": (32,), "attention": (True,), **network})
    return Denoiser((1, 8, 8), small, Law(noise_mean=0.5), Embed(vocabulary=5), Sampling(sampling_steps=8))


def grey(n):
    """Uniform images, dark and bright in turn, and texts that say so."""
    which = torch.arange(n) % 2
    noise = 0.05 * torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return (which.reshape(-1, 1, 1, 1) * 1.2 - 0.6) + noise, {"text": WORDS[which]}


def loss_of(denoiser, images, cond, step):
    return next(denoiser.losses(Batch.at(images, cond, seed=0, step=step, start=0, total=len(images)), step))[1]


@pytest.mark.parametrize("network", [{}, {"network": "dit", "layers": 1}])
def test_it_learns_what_texts_say_and_guidance_heeds_them(network):
    denoiser = model(**network)
    images, cond = grey(32)
    denoiser.prepare(images)
    optimiser = torch.optim.Adam(denoiser.parts["denoiser"].parameters(), 3e-3)
    for step in range(40):
        optimiser.zero_grad()
        loss_of(denoiser, images, cond, step).backward()
        optimiser.step()
    denoiser.eval()
    with torch.no_grad():
        swapped = {"text": cond["text"].roll(1, 0)}
        right, wrong, none = (sum(loss_of(denoiser, images, c, k) for k in range(90, 94)) for c in (cond, swapped, {}))
        assert right < none < wrong and right < 0.7 * wrong
        asked = {"text": WORDS[[0, 1] * 8]}
        drawn = {
            scale: denoiser.sample(
                16, asked, ImageNoise(0, range(16)), replace(denoiser.sampling, guidance_scale=scale)
            )
            for scale in (0.0, 1.0, 2.0)
        }
    apart = {scale: (made[1::2].mean() - made[::2].mean()).item() for scale, made in drawn.items()}
    assert apart[1.0] > 0.8
    # Scale 0 is sampling without a text.
    torch.testing.assert_close(drawn[0.0], denoiser.sample(16, {}, ImageNoise(0, range(16))), atol=1e-4, rtol=1e-3)
    assert apart[0.0] < 0.5 * apart[1.0] < apart[2.0]


def test_a_number_in_a_text_is_heard():
    denoiser = model(network="dit")
    level = torch.linspace(-1, 1, 32)
    images = 0.7 * level.reshape(-1, 1, 1, 1) + 0.05 * torch.randn(32, 1, 8, 8)
    denoiser.prepare(images)
    cond = {"text": torch.tensor([[1, 4, 0, 0]]).expand(32, -1), "value": torch.zeros(32, 4)}
    cond["value"][:, 1] = level / level.std()
    optimiser = torch.optim.Adam(denoiser.parts["denoiser"].parameters(), 3e-3)
    for step in range(120):
        optimiser.zero_grad()
        loss_of(denoiser, images, cond, step).backward()
        optimiser.step()
    with torch.no_grad():
        made = denoiser.eval().sample(32, cond, ImageNoise(0, range(32))).mean((1, 2, 3))
    assert torch.corrcoef(torch.stack([made, level]))[0, 1] > 0.9


def test_every_parameter_of_it_is_trained_and_copied_early():
    denoiser = Denoiser(
        (1, 8, 8), Network(patch=2, widths=(32,), attention=(True,)), Law(early_steps=2), Embed(vocabulary=5, classes=2)
    )
    images, cond = grey(4)
    told = cond | {"label": torch.arange(4) % 2, "value": torch.ones(4, 4)}
    loss_of(denoiser, images, told, 0).backward()
    assert all(p.grad is not None for p in denoiser.parts["denoiser"].parameters())
    assert {"net", "label", "text"} == set(denoiser.early)
    with torch.no_grad():  # its own text, not that of the network of today
        known = denoiser.precondition(denoiser.encode(images), torch.ones(4))
        torch.nn.init.normal_(denoiser.early["net"].net.conv_out.weight)
        before = denoiser._expected(known, told, early=True)[0]
        torch.nn.init.normal_(denoiser.text.words.weight)
        assert torch.equal(denoiser._expected(known, told, early=True)[0], before)
        torch.nn.init.normal_(denoiser.early["text"].words.weight)
        assert not torch.equal(denoiser._expected(known, told, early=True)[0], before)
