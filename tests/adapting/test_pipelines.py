"""Pipelines of other people are adapted, and what was learned is loaded by plain diffusers."""

import pytest
import torch
from diffusers import StableDiffusionPipeline

from pipelines import LENGTH, scheduler
from toy import write_tiles
from veridical.adapting.adapt import adapt
from veridical.adapting.files import LORA_FILE, WORD_FILE
from veridical.core.batch import Batch, ImageNoise
from veridical.core.errors import InputError
from veridical.data.colour import chroma
from veridical.pretrained.parts import quiet
from veridical.runs.draw import conditions_of, draw, sample
from veridical.runs.folder import read_run
from veridical.runs.run import load

pytestmark = pytest.mark.filterwarnings("ignore")
FEW = {"steps": 3, "batch": 2, "device": "cpu", "lr": 3e-2, "warmup": 0}
HOW = {"sampling_steps": 4, "guidance_scale": 2.0}


@pytest.fixture(scope="module")
def grey(tmp_path_factory):
    return write_tiles(tmp_path_factory.mktemp("grey"), n=6, size=64)


@pytest.fixture(scope="module")
def lora(pipeline, grey, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "lora"
    return adapt(pipeline, grey, out, settings=FEW | {"prompt": "a wave"}, quiet=True)


def as_diffusers(pipe, prompt, noise):
    """Images in [-1, 1] that plain diffusers draws from latents."""
    pipe.scheduler = scheduler()
    with quiet(), torch.no_grad():
        drawn = pipe(prompt, latents=noise, num_inference_steps=4, guidance_scale=2.0, output_type="np", eta=0.0).images
    return torch.from_numpy(drawn).permute(0, 3, 1, 2) * 2 - 1


def ours(run, prompt):
    cond = {"spelled": run.pipeline.words.ids([prompt])}
    with torch.no_grad():
        return run.model.sample(1, cond, ImageNoise(0, range(1)))


def test_its_loss_is_that_of_the_noise(pipeline):
    model = load(pipeline, "cpu").model
    image = torch.rand(2, 1, 64, 64) * 2 - 1
    batch = Batch.at(image, {"spelled": torch.zeros(2, LENGTH, dtype=torch.long)}, seed=0, step=0, start=0, total=2)
    again = Batch.at(image, batch.cond, seed=0, step=0, start=0, total=2)
    ((_, loss),) = model.losses(batch, 0)
    z = model.encode(image.expand(-1, 3, -1, -1))
    time = (again.uniform() * 1000).long()
    noise = again.normal(*model.shape)
    noisy = scheduler().add_noise(z, noise, time)
    told = model.towers[0](batch.cond["spelled"]).last_hidden_state
    found = model.unet(noisy, time, encoder_hidden_states=told).sample
    assert torch.allclose(loss, (found - noise).square().mean(), rtol=1e-4)


def test_a_lora_is_loaded_by_diffusers_and_draws_the_same(pipeline, lora):
    run, noise = load(lora, "cpu", HOW), ImageNoise(0, range(1))((4, 32, 32))
    with quiet():
        pipe = StableDiffusionPipeline.from_pretrained(pipeline.removeprefix("hub:"), safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    before = as_diffusers(pipe, "a wave", noise)
    pipe.load_lora_weights(str(lora), weight_name=LORA_FILE)
    found = as_diffusers(pipe, "a wave", noise)
    assert (found - ours(run, "a wave")).abs().max() < 1e-4
    assert (found - before).abs().max() > 1e-2


def test_another_pipeline_is_refused_by_its_hash(lora, pipeline, tmp_path):
    from dataclasses import replace

    from veridical.runs.folder import write_run

    info = read_run(lora)
    write_run(lora, info.replace(adapted=replace(info.adapted, sha256="0" * 64)))
    try:
        with pytest.raises(InputError, match="its weights are others"):
            load(lora, "cpu")
    finally:
        write_run(lora, info)


def test_grey_stays_grey_and_colour_is_reported(lora, tmp_path):
    import json

    run = load(lora, "cpu", HOW)
    assert run.info.channels == 1 and draw(run, 2, prompt="a wave").shape == (2, 1, 64, 64)
    with torch.no_grad():
        cond = {"spelled": torch.from_numpy(conditions_of(run, 2, prompt="a wave").cond["spelled"])}
        colour = (run.model.sample(2, cond, ImageNoise(0, range(2))).numpy() + 1) / 2
    measured = chroma(colour)
    sample(lora, 2, tmp_path / "drawn", prompt=["a wave"], settings=HOW, device="cpu", quiet=True)
    said = json.loads((tmp_path / "drawn" / "provenance.json").read_text(encoding="utf-8"))
    assert (measured > 1e-3).all() and said["chroma"] == pytest.approx(measured.mean(), rel=1e-3)


def test_a_new_word_is_loaded_by_diffusers_and_draws_the_same(pipeline, grey, tmp_path):
    out = adapt(
        pipeline, grey, tmp_path / "out", how="textual_inversion", settings=FEW | {"word": "sandrock"}, quiet=True
    )
    run, noise = load(out, "cpu", HOW), ImageNoise(0, range(1))((4, 32, 32))
    with quiet():
        pipe = StableDiffusionPipeline.from_pretrained(pipeline.removeprefix("hub:"), safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    pipe.load_textual_inversion(str(out), weight_name=WORD_FILE)
    found = as_diffusers(pipe, "a wave of sandrock", noise)
    assert (found - ours(run, "a wave of sandrock")).abs().max() < 1e-4
    assert (found - ours(run, "a wave of")).abs().max() > 1e-4


@pytest.mark.long
def test_dreambooth_draws_grey_images_of_its_kind_first(pipeline, grey, tmp_path):
    settings = FEW | {"prompt": "a sks wave", "class_prompt": "a wave", "class_images": 2}
    out = adapt(pipeline, grey, tmp_path / "out", how="dreambooth", settings=settings, quiet=True)
    assert read_run(out).adapted.how == "dreambooth" and (out / LORA_FILE).is_file()
