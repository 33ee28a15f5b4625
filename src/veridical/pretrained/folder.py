"""Folders of pipelines: found on disk or in the cache, and looked through before anything of them is loaded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from veridical.core.errors import InputError
from veridical.core.files import file_hash, read_json
from veridical.core.memory import check_memory, numbers_in
from veridical.pretrained.kinds import KINDS, STABLE, STABLE_XL, T5_TOKENIZERS, Kind
from veridical.pretrained.settings import Loading

HUB = "hub:"
INDEX = "model_index.json"
PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle")
LIBRARIES = ("diffusers", "transformers", "stable_diffusion")  # the last: a safety checker, which is not loaded
FETCHED = ("*.json", "*.txt", "*.model", "*.safetensors")
# Parts whose values stay in single precision: the VAE of Stable Diffusion XL overflows in float16.
PRECISE = ("vae", "image_encoder", "image_normalizer")

# Classes that parts may be of, by the names in the index.
CLASSES = {
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL",),
    "text_encoder": ("CLIPTextModel",),
    "text_encoder_2": ("CLIPTextModelWithProjection",),
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend"),
    "tokenizer_2": ("CLIPTokenizer", "CLIPTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend"),
    "controlnet": ("ControlNetModel",),
    "text_encoder_3": ("T5EncoderModel",),
    "tokenizer_3": T5_TOKENIZERS,
    "image_encoder": ("CLIPVisionModelWithProjection",),
    "image_normalizer": ("StableUnCLIPImageNormalizer",),
}
WORDS = ("tokenizer.json", "vocab.json", "spiece.model")  # files of tokenizers
WEIGHTLESS = ("tokenizer", "tokenizer_2", "tokenizer_3", "scheduler", "image_noising_scheduler")


@dataclass(frozen=True)
class Part:
    """One part of a pipeline: its folder, the class that it names, and the files that hold its weights."""

    folder: Path
    kind: str
    weights: tuple[Path, ...] = ()
    variant: str | None = None

    @property
    def numbers(self) -> int:
        """How many its weights are."""
        return sum(numbers_in(path) for path in self.weights)


@dataclass(frozen=True)
class Found:
    """A pipeline on disk.

    Attributes
    ----------
    spec : str
        As the user named it.
    folder : Path
    kind : Kind
    index : dict
        What ``model_index.json`` says.
    parts : dict of str to Part
    single : Path, optional
        The file that holds the weights of all parts, if there is one.
    """

    spec: str
    folder: Path
    kind: Kind
    index: dict[str, Any]
    parts: dict[str, Part]
    single: Path | None = None

    def sha256(self) -> str:
        """Of all files of weights and their names."""
        files = [path for part in self.parts.values() for path in part.weights] + ([self.single] if self.single else [])
        lines = [f"{path.name} {file_hash(path)}" for path in files]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def is_hub(run: object) -> bool:
    """Whether a run folder is asked for that is none, but a pipeline of other people."""
    return str(run).startswith(HUB)


def find(spec: str, loading: Loading) -> Found:
    """Look a pipeline up, and through.

    Parameters
    ----------
    spec : str
        ``hub:FOLDER`` or ``hub:OWNER/NAME`` of a repository in the user's Hugging Face cache.
    loading : Loading

    Raises
    ------
    InputError
        If it is not there, is no pipeline or one of another kind, holds code, or lacks a part or its safetensors.
    """
    single = _single(spec.removeprefix(HUB), loading)
    folder = located(loading.config if single else spec.removeprefix(HUB), loading.download)
    index = _index(folder)
    kind = _kind(folder, index)
    if single and (kind.transformer or kind.name in ("controlnet", "unclip")):
        raise InputError(f"{single}: a pipeline of {kind.name} is not read from a single file: give its folder.")
    if not (loading.t5 or kind.optional):
        raise InputError(f"{folder} is a pipeline of {kind.name}: without T5 it draws nothing: leave out t5=false.")
    absent = [name for name in kind.optional if not loading.t5 or index.get(name) == [None, None]]
    wanted = [name for name in kind.parts if name not in absent]
    parts = {name: _part(folder, name, index, kind, weighed=single is None) for name in wanted}
    if loading.controlnet:
        if kind.name not in ("stable_diffusion", "stable_diffusion_xl"):
            raise InputError(
                f"{folder} is a pipeline of {kind.name}, to which no ControlNet is added: give one of Stable Diffusion."
            )
        parts["controlnet"] = _steering(Path(loading.controlnet).expanduser(), loading.download)
    return Found(spec, folder, kind, index, parts, single)


def _single(name: str, loading: Loading) -> Path | None:
    """The file of weights that `name` is; None for a folder."""
    path = Path(name).expanduser()
    if path.suffix != ".safetensors" or not path.is_file():
        return None
    if not loading.config:
        raise InputError(
            f"{path} holds weights alone: add --set config=FOLDER, a pipeline of the same kind (its weights are not needed)."
        )
    return path


def located(name: str, download: bool) -> Path:
    """The folder called `name`, or that of a repository of this name in the cache, or fetched."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        if (folder / "run.json").is_file():
            raise InputError(f"{folder} is a run of veridical, no pipeline: leave out {HUB}")
        return folder
    if folder.is_file():
        if folder.suffix in PICKLES:
            raise InputError(
                f"{folder} is a pickle, which may run code when loaded, so it is refused: give safetensors instead."
            )
        raise InputError(
            f"{folder} is a file: give the folder of a diffusers pipeline, or weights that end with .safetensors."
        )
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise InputError(f"{name} is not there: give the folder of a diffusers pipeline, or OWNER/NAME of the hub.")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, local_files_only=not download, allow_patterns=list(FETCHED)))
    except (OSError, ValueError) as error:  # what the hub's client says has these as its bases
        why = "the hub does not give it" if download else "it is neither a folder nor in the Hugging Face cache"
        what = "check the name and the network" if download else "check the name, or add --download to fetch it"
        raise InputError(f"{name}: {why}: {what}.") from error


def _index(folder: Path) -> dict[str, Any]:
    if not (folder / INDEX).is_file():
        what = "holds a pickle and is" if _pickles(folder) else "is"
        raise InputError(f"{folder} {what} no pipeline of diffusers: it has no {INDEX}.")
    index: dict[str, Any] = read_json(folder / INDEX, dict[str, Any])
    code = sorted(path.relative_to(folder) for path in folder.rglob("*.py"))
    said = [entry[0] for name, entry in index.items() if isinstance(entry, list) and entry and name != "_class_name"]
    foreign = [str(library) for library in said if library not in (None, *LIBRARIES)]
    if code or foreign or not isinstance(index.get("_class_name"), str):
        what = str(code[0]) if code else foreign[0] if foreign else INDEX
        raise InputError(
            f"{folder} brings Python code of its own ({what}), which is never run: give a pipeline of diffusers' own classes."
        )
    return index


def _kind(folder: Path, index: dict[str, Any]) -> Kind:
    name = index["_class_name"]
    if name not in KINDS:
        raise InputError(f"{folder} is a {name}, which cannot be used here: give one of {', '.join(KINDS)}.")
    kind = KINDS[name]
    if kind.transformer:
        return kind
    config = _config(folder / "unet", "unet", folder)
    channels, latents = config.get("in_channels"), _config(folder / "vae", "vae", folder).get("latent_channels")
    if not isinstance(channels, int) or not isinstance(latents, int):
        raise InputError(
            f"{folder} does not say how many channels its U-Net and VAE have: check its config.json files."
        )
    if channels == latents and kind.sees == "hole":
        return STABLE
    wanted = latents + {"": 0, "image": latents, "hole": latents + 1}[kind.sees]
    if channels != wanted:
        raise InputError(
            f"{folder} is a {name} whose U-Net has {channels} channels, not {wanted}: this cannot be used here."
        )
    if kind is STABLE_XL and index.get("requires_aesthetics_score"):
        raise InputError(f"{folder} is a refiner, which draws nothing of its own: give the base pipeline.")
    return kind


def _part(folder: Path, name: str, index: dict[str, Any], pipeline: Kind, weighed: bool = True) -> Part:
    entry = index.get(name)
    place = folder / name
    if not (isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], str) and place.is_dir()):
        raise InputError(f"{folder} has no part {name}: copy the whole pipeline.")
    kind = entry[1]
    classes = CLASSES | pipeline.classes | ({"transformer": pipeline.transformer} if pipeline.transformer else {})
    if name in classes and kind not in classes[name]:
        raise InputError(
            f"{place} is a {kind}, which cannot be used here: give one with a {' or '.join(classes[name])}."
        )
    kind = classes[name][0] if name == "transformer" else kind  # DiT's had another name
    if name.startswith("tokenizer") and not any((place / file).is_file() for file in WORDS):
        # transformers would make one of no words, and say nothing
        raise InputError(f"{place} holds no words, none of {', '.join(WORDS)}: copy the whole pipeline.")
    if name in WEIGHTLESS:
        return Part(place, kind)
    if "auto_map" in _config(place, name, folder):
        raise InputError(f"{place} asks for Python code of its own, which is never run: give a pipeline without it.")
    return _weighed(place, kind) if weighed else Part(place, kind)


def _weighed(place: Path, kind: str) -> Part:
    """The part with its files of weights: the plain ones, or those of one variant, such as fp16."""
    files = sorted(place.glob("*.safetensors"))
    plain = [path for path in files if path.name.count(".") == 1]
    variants = sorted({path.name.split(".")[1].split("-")[0] for path in files if path not in plain})
    if plain:
        return Part(place, kind, tuple(plain))
    if variants:
        chosen = "fp16" if "fp16" in variants else variants[0]
        return Part(place, kind, tuple(p for p in files if p.name.split(".")[1].split("-")[0] == chosen), chosen)
    if _pickles(place):
        raise InputError(
            f"{place} holds its weights as a pickle, which may run code when loaded, so it is refused: give safetensors."
        )
    raise InputError(f"{place} holds no weights: copy the whole pipeline.")


def _steering(folder: Path, download: bool) -> Part:
    folder = located(str(folder), download)
    name = _config(folder, "ControlNet", folder).get("_class_name")
    if name != "ControlNetModel":
        raise InputError(
            f"{folder} is a {name or 'model of another kind'}, no ControlNetModel: give the folder of one."
        )
    return _weighed(folder, name)


def _config(place: Path, name: str, folder: Path) -> dict[str, Any]:
    if not (place / "config.json").is_file():
        raise InputError(f"{folder} has no part {name} (no {place.name}/config.json): copy the whole pipeline.")
    content: dict[str, Any] = read_json(place / "config.json", dict[str, Any])
    return content


def _pickles(place: Path) -> bool:
    return any(path.suffix in PICKLES for path in place.iterdir())


def check_fits(found: Found, device: torch.device, dtype: torch.dtype, offload: bool) -> None:
    """Refuse a pipeline whose weights are more than the memory that is free, by the headers of its files.

    On a GPU weights pass through main memory part by part; with `offload` they stay there, and the GPU holds the largest.
    """
    width = torch.finfo(dtype).bits // 8
    sizes = {name: part.numbers * (4 if name in PRECISE else width) for name, part in found.parts.items()}
    total, largest = sum(sizes.values()), max(sizes.values())
    if found.single:  # which part has how much, is not looked up
        total = largest = total + numbers_in(found.single) * width
    parts = [(device, total)]
    if device.type != "cpu":
        parts = [(device, largest if offload else total), (torch.device("cpu"), total if offload else largest)]
    small = width == 4 and device.type != "cpu"
    remedy = "add --set dtype=bfloat16" if small else "close other programs, or use a machine with more"
    if device.type != "cpu" and not offload:
        remedy += ", or --set offload=true"
    check_memory(found.spec, parts, remedy)
