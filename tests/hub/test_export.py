"""A run that was exported draws in plain diffusers what it draws here."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from toy import TOY, write_tiles
from veridical import draw, export, load, train
from veridical.core.batch import ImageNoise
from veridical.core.errors import InputError
from veridical.runs.tensors import own_tensors, write_tensors

PROMPTS = ["waves of kind a, phase 3.00", "Waves of kind C"]
NEGATIVE = ["phase 2.00", ""]
CLIP = {k: v for k, v in TOY["clip"].items() if k not in ("vocabulary", "spelled_tokens")}
CASES = [("noise", "frozen", 1), ("velocity", "joint", 3)]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case[0])
def exported(request, tmp_path_factory):
    """A run whose weights are all random, the folder it was exported to, and what plain diffusers loads from that."""
    prediction, tower, channels = request.param
    folder = tmp_path_factory.mktemp(prediction)
    data = write_tiles(folder / "data", n=8, size=32, channels=channels, conditions=True)
    given = {"size": 32, "batch": 4, "steps": 1, "threads": 1, "quiet": True}
    plain = {"linear": False, "patch": 1, "latent": 4, "widths": (16, 32)}
    first = {
        "autoencoder": train("autoencoder", data, folder / "autoencoder", **given, **plain),
        "clip": train("clip", data, folder / "clip", text="auto", **given, **CLIP),
    }
    network = {"widths": (32, 32), "attention": (True, True), "text_tower": tower, "prediction": prediction}
    how = {"text": "auto", "first": first, "sampling_steps": 2}
    run = train("stable_diffusion", data, folder / "run", **how, **given, **network)
    model = load(run, device="cpu").model
    generator = torch.Generator().manual_seed(0)
    for name, tensor in own_tensors(model).items():
        if "denoiser.net" in name:
            tensor.add_(0.1 * torch.randn(tensor.shape, generator=generator))
    write_tensors(run / "model.safetensors", own_tensors(model), step="1")
    pipeline = StableDiffusionPipeline.from_pretrained(export(run, folder / "pipeline"))
    pipeline.set_progress_bar_config(disable=True)
    return run, folder / "pipeline", pipeline


@pytest.mark.parametrize("negative", [None, NEGATIVE])
def test_plain_diffusers_draws_the_same_image(exported, negative):
    folder, _, pipeline = exported
    run = load(folder, "cpu", {"solver": "ddim", "sampling_steps": 10, "guidance_scale": 2.5})
    ours = draw(run, 2, seed=3, prompt=PROMPTS, **({} if negative is None else {"negative_prompt": negative}))
    # Ours begins with what noise leaves of nothing, theirs with noise of variance 1.
    sigma = run.model.ends()[1]
    latents = ImageNoise(3, range(2))(run.model.shape) * sigma / (1 + sigma**2) ** 0.5
    theirs = pipeline(
        PROMPTS, negative_prompt=negative, guidance_scale=2.5, num_inference_steps=10, latents=latents, output_type="np"
    ).images.transpose(0, 3, 1, 2)
    assert ours.shape == theirs.shape and np.abs(ours - theirs).max() < 1e-4
    others = draw(run, 2, seed=3, prompt=PROMPTS[::-1])
    assert np.abs(ours - others).max() > 0.01 and ours.std() > 0.01  # the words are heard


def test_its_autoencoder_gives_latents_of_the_denoiser(exported):
    model, pipeline = load(exported[0], "cpu").model, exported[2]
    image = torch.rand(2, model.first.autoencoder.config.in_channels, 32, 32) * 2 - 1
    with torch.no_grad():
        latents = pipeline.vae.encode(image).latent_dist.mean * pipeline.vae.config.scaling_factor
        torch.testing.assert_close(latents, model.encode(image), atol=1e-4, rtol=1e-3)


def test_the_folder_says_what_it_is(exported):
    about = json.loads((exported[1] / "veridical.json").read_text())
    assert about["recipe"] == "stable_diffusion" and about["window"] == load(exported[0]).info.window.to_json()
    card, said = (exported[1] / "README.md").read_text(), json.loads((exported[1] / "bioimageio.yaml").read_text())
    about = load(exported[0]).info.dataset
    for part in (
        "synthetic", "license: unknown", "Nobody has said under which licence", f"| fingerprint | `{about['fingerprint']}`",
        "`data`", "eprint = {2112.10752}", "None were given. Measure: `veridical score", "None was given. Look: `veridical audit",
    ):  # fmt: skip
        assert part in card, part
    assert str(exported[0].parent) not in card + (exported[1] / "veridical.json").read_text()
    assert said["type"] == "generic" and said["cite"][0]["url"] == "https://arxiv.org/abs/2112.10752"
    assert "license" not in said and said["documentation"] == "README.md"


def test_the_card_says_what_was_measured_and_who_may_use_it(exported, tmp_path):
    rows = [
        {"metric": "kid_over_random_phase", "value": 0.42, "low": 0.31, "high": 0.53, "n": 96, "floor": 0.02},
        {"metric": "ssim", "value": None, "reason": "needs pairs"},
    ]
    audit = {"verdict": "fail", "lead": "It can be told.", "findings": [{"defect": "blur", "title": "blurred"}]}
    for name, content in (("scores", rows), ("audit", audit)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    told = {"licence": "CC-BY-4.0", "authors": ["A. Name"]}
    out = export(exported[0], tmp_path / "out", scores=tmp_path / "scores.json", audit=tmp_path / "audit.json", **told)
    card, said = (out / "README.md").read_text(), json.loads((out / "bioimageio.yaml").read_text())
    for part in (
        "license: cc-by-4.0", "CC-BY-4.0. By A. Name.", "| `kid_over_random_phase` | 0.42 (0.31–0.53) | 0.0200 | 96 |",
        "**Fail.** It can be told.\n- blurred",
    ):  # fmt: skip
        assert part in card, part
    assert "ssim" not in card and said["license"] == "CC-BY-4.0" and said["authors"] == [{"name": "A. Name"}]
    with pytest.raises(InputError, match="licence='mine, all mine' is no identifier"):
        export(exported[0], tmp_path / "x", licence="mine, all mine")
    with pytest.raises(InputError, match="author='A/B' is no name"):
        export(exported[0], tmp_path / "x", authors=["A/B"])
    odd = json.loads((export(exported[0], tmp_path / "v.1", licence="licenseref-mine") / "bioimageio.yaml").read_text())
    assert odd["name"] == "v-1 (stable_diffusion)" and "license" not in odd  # as bioimage.io has names and licences
    assert "LicenseRef-mine" in (tmp_path / "v.1" / "README.md").read_text()
    lower = export(exported[0], tmp_path / "lower", licence="cc-by-4.0")
    assert json.loads((lower / "bioimageio.yaml").read_text())["license"] == "CC-BY-4.0"
    with pytest.raises(InputError, match=r"audit\.json"):
        export(exported[0], tmp_path / "x", scores=tmp_path / "audit.json")
    # Of the cell of a bench they are found.
    cell = tmp_path / "cell"
    shutil.copytree(exported[0], cell / "run")
    for name in ("autoencoder", "clip"):
        shutil.copytree(exported[0].parent / name, cell / name)
    (cell / "status.json").write_text("{}")
    (cell / "rows.json").write_text(json.dumps(rows))
    assert "kid_over_random_phase" in (export(cell / "run", tmp_path / "of_cell") / "README.md").read_text()


def test_what_cannot_be_exported_is_refused(exported, tmp_path):
    run, pipeline, _ = exported
    with pytest.raises(InputError, match="could not be written"):
        export(run, pipeline)
    with pytest.raises(InputError, match="no format"):
        export(run, tmp_path / "x", format="onnx")
    with pytest.raises(InputError, match="is a run of autoencoder"):
        export(run.parent / "autoencoder", tmp_path / "x")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("exported", CASES[:1], indirect=True)
def test_stages_must_fit(exported, tmp_path):
    """A tokenizer of other captions, unless its words are taken over, and an autoencoder that nobody else can load."""
    run = exported[0]
    channels = load(run).info.channels
    other = write_tiles(tmp_path / "other", n=6, size=32, channels=channels, seed=9, conditions=True)
    given = {"size": 32, "batch": 4, "steps": 1, "threads": 1, "quiet": True}
    first = {"autoencoder": run.parent / "autoencoder", "clip": run.parent / "clip"}
    own = train("clip", other, tmp_path / "clip", text="auto", **given, **CLIP)
    with pytest.raises(InputError, match="reads captions with other words"):
        train("stable_diffusion", other, tmp_path / "run", text="auto", first=first, tokenizer=str(own), **given)
    taken = train(
        "stable_diffusion", other, tmp_path / "taken", text="auto", first=first, **given, **TOY["stable_diffusion"]
    )
    assert load(taken).info.config.tokenizer == str((run.parent / "clip").resolve())
    first["autoencoder"] = train("autoencoder", other, tmp_path / "linear", **given, **TOY["autoencoder"])
    with pytest.raises(InputError, match="linear=false"):
        train("stable_diffusion", run.parent / "data", tmp_path / "run", text="auto", first=first, **given)
