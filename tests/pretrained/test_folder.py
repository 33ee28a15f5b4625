"""What is no pipeline that can be used is one sentence, before anything of it is loaded."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines import components, written
from veridical import InputError, load
from veridical.core import memory
from veridical.pretrained import load as loading
from veridical.pretrained.folder import find, is_hub
from veridical.pretrained.settings import Loading


@pytest.fixture
def folder(tmp_path):
    return written(tmp_path / "pipeline")


def refused(spec, said, **settings):
    with pytest.raises(InputError) as caught:
        load(spec if is_hub(spec) else f"hub:{spec}", "cpu", settings)
    assert said in str(caught.value) and len(str(caught.value).splitlines()) == 1, str(caught.value)


def change(path, **more):
    path.write_text(json.dumps(json.loads(path.read_text()) | more))


def test_nothing_is_loaded_where_a_part_is_wrong(folder, monkeypatch):
    """One folder, made wrong in one way after another."""
    monkeypatch.setattr(loading, "load_parts", lambda *_: pytest.fail("weights were loaded"))
    index = folder / "model_index.json"
    good = index.read_text()
    for wrong, said in (
        ({"_class_name": "PixArtSigmaPipeline"}, "is a PixArtSigmaPipeline, which cannot be used here: give one of"),
        ({"_class_name": ["mine", "Mine"]}, "brings Python code of its own (model_index.json), which is never run"),
        ({"unet": ["mine", "Net"]}, "brings Python code of its own (mine)"),
        ({"unet": ["diffusers", "UNet3D"]}, "is a UNet3D, which cannot be used here"),
        ({"text_encoder": [None, None]}, "has no part text_encoder: copy the whole pipeline"),
        ({"_class_name": "StableDiffusionInstructPix2PixPipeline"}, "whose U-Net has 4 channels, not 8"),
    ):
        change(index, **wrong)
        refused(folder, said)
        index.write_text(good)
    (folder / "unet" / "net.py").write_text("print('run')")
    refused(folder, "brings Python code of its own (unet/net.py), which is never run")
    (folder / "unet" / "net.py").unlink()
    config = folder / "vae" / "config.json"
    whole = config.read_text()
    change(config, auto_map={"AutoModel": "mine.Net"})
    refused(folder, "asks for Python code of its own")
    config.write_text(whole)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-100])
    refused(folder, "is damaged, cut short or not what its name says")
    weights.rename(weights.with_suffix(".bin"))
    refused(folder, "holds its weights as a pickle, which may run code when loaded, so it is refused")
    weights.with_suffix(".bin").unlink()
    refused(folder, "holds no weights: copy the whole pipeline")


def test_a_pipeline_that_does_not_fit_in_memory_is_not_loaded(folder, monkeypatch):
    found = find(f"hub:{folder}", Loading())
    need = 4 * sum(part.numbers for part in found.parts.values())
    parts = components()
    assert need == 4 * sum(p.numel() for name in ("unet", "vae", "text_encoder") for p in parts[name].parameters())
    monkeypatch.setattr(memory, "free_memory", lambda device: need - 1)
    refused(folder, "GiB of memory for its weights on cpu, where")
    monkeypatch.setattr(memory, "free_memory", lambda device: need)
    assert load(f"hub:{folder}", "cpu").info.size == 64


def test_on_a_gpu_the_largest_part_waits_in_main_memory(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "veridical.pretrained.folder.check_memory", lambda name, parts, remedy: asked.append((parts, remedy))
    )
    from veridical.pretrained.folder import check_fits

    found, cuda = find(f"hub:{folder}", Loading()), torch.device("cuda")
    numbers = {name: part.numbers for name, part in found.parts.items()}
    check_fits(found, cuda, torch.bfloat16, False)
    check_fits(found, cuda, torch.float32, True)
    (plain, remedy), (offloaded, other) = asked
    assert plain[0][1] == 2 * (numbers["unet"] + numbers["text_encoder"]) + 4 * numbers["vae"]
    assert offloaded[0][1] == 4 * max(numbers.values()) and offloaded[1][1] == 4 * sum(numbers.values())
    assert "offload=true" in remedy and "dtype=bfloat16" in other


def test_other_places_are_refused(tmp_path):
    refused(tmp_path / "absent", "is not there: give the folder of a diffusers pipeline")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    refused(tmp_path / "run", "is a run of veridical, no pipeline: leave out hub:")
    (tmp_path / "bare").mkdir()
    refused(tmp_path / "bare", "is no pipeline of diffusers: it has no model_index.json")
    (tmp_path / "model.ckpt").write_bytes(b"x")
    refused(tmp_path / "model.ckpt", "is a pickle, which may run code when loaded")


def test_the_network_is_used_where_it_is_asked_for_alone(monkeypatch, tmp_path):
    asked = []

    def snapshot(name, local_files_only, allow_patterns):
        asked.append((name, local_files_only))
        assert not any("bin" in pattern or "py" in pattern for pattern in allow_patterns)
        raise OSError("offline")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    refused("hub:owner/name", "neither a folder nor in the Hugging Face cache: check the name, or add --download")
    refused("hub:owner/name", "the hub does not give it: check the name and the network", download=True)
    assert asked == [("owner/name", True), ("owner/name", False)]


def test_a_repository_in_the_cache_is_a_folder(folder, monkeypatch):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **_: str(folder))
    assert find("hub:owner/name", Loading()).folder == folder


def test_weights_that_are_not_those_of_the_config(folder):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    tensors.pop("conv_in.weight")
    save_file(tensors, path)
    refused(folder, "lacks weights, such as conv_in.weight")


def test_variants_are_found(folder):
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    path.rename(path.with_name("diffusion_pytorch_model.fp16.safetensors"))
    run = load(f"hub:{folder}", "cpu")
    assert run.model.vae.dtype == torch.float32


def test_settings_that_cannot_be(folder):
    refused(folder, "has no setting 'truncation': it has dtype, offload", truncation="1")
    refused(folder, "dtype=float8 is not known", dtype="float8")
    refused(folder, "dtype=float16 is for GPUs", dtype="float16")
    refused(folder, "no ControlNetModel", controlnet=str(folder / "unet"))
    change(folder / "scheduler" / "scheduler_config.json", prediction_type="flow_prediction")
    refused(folder, "predicts flow_prediction: pipelines of diffusion are used here")
