"""What veridical computes, as facts that `test_unchanged.py` and `test_contract.py` compare with those of today.

``python tests/recording.py`` writes ``recording.json`` beside this file, in about 80 seconds on one core;
``--old-runs DIR`` writes instead toy runs, stopped halfway and whole, by which a later version can show that it loads and
resumes what this one wrote.
"""

import argparse
import contextlib
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from safetensors.torch import load_file
from scipy.ndimage import gaussian_filter
from skimage import data as skimage_data

import veridical
from toy import TOY, data_for, write_tiles
from veridical.conditions.table import SIZES
from veridical.core.interrupt import Stopped
from veridical.recipes.recipe import Stage
from veridical.recipes.table import RECIPES

FILE = Path(__file__).with_name("recording.json")
STEPS, STOPPED = 6, 3
OLD_RUNS = ("edm", "cgan", "latent_diffusion", "vqvae", "guided", "upsampler", "stylegan", "pix2pix")
# Means and deviations that these move by more than `UNSTEADY` of their size are what training makes of rounding: the gradient
# of a bias in front of a normalisation is nothing else, and Adam makes steps of full length of it.
OTHER_CPUS: tuple[dict[str, str], ...] = (
    {"ATEN_CPU_CAPABILITY": "default"},
    {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"},
)
UNSTEADY = 1e-4


def machine() -> dict[str, str]:
    """What the last bits depend on, beside the code."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8", errors="replace") if info.is_file() else ""
    said = [re.search(rf"^{key}\s*: (.*)$", text, re.MULTILINE) for key in ("model name", "cpu family", "model")]
    packages = ("torch", "numpy", "scipy", "scikit-image", "pillow", "diffusers", "transformers")
    return {
        "machine": platform.machine(),
        "processor": ", ".join(found[1] for found in said if found) or platform.processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        **{name: version(name) for name in packages},
    }


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One thread on the CPU, here and in child processes: sums of several threads round in another order."""
    before = torch.get_num_threads()
    # veridical shares the processors among so many processes; NumPy's BLAS reads its number when it is imported
    alone = {"LOCAL_WORLD_SIZE": str(os.cpu_count()), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with mock.patch.dict(os.environ, alone | {"CUDA_VISIBLE_DEVICES": ""}), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def rounded(value: Any) -> Any:
    """`value` as JSON keeps it, numbers to six digits."""
    if isinstance(value, dict):
        return {str(key): rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def digest(content: Any) -> str:
    """SHA-256 of text, bytes, or of what JSON makes of the rest."""
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else json.dumps(content, sort_keys=True)).encode()
    return hashlib.sha256(content).hexdigest()


# --- recipes --------------------------------------------------------------------------------------------------------


def settings(name: str, data: Path) -> dict[str, Any]:
    """Arguments of `veridical.train` for the toy version of a recipe on `data`, which has labels and masks."""
    row = RECIPES[name]
    given = {"size": 32, "batch": 4, "threads": 1, "device": "cpu", "quiet": True}
    given |= {key: value for key, value in TOY[name].items() if key not in SIZES}  # those of the data
    if "text" in row.needs:
        given["text"] = "auto"
    if "label" in row.needs:
        given["label"] = "kind"
    if "source" in row.needs and not row.own_source:
        given["source"] = str(data)
    return given


class Trained:
    """Data and first stages that recipes share, made in a folder when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[str, ...], Path] = {}

    def data(self, name: str) -> Path:
        """What recipe `name` learns from: pairs, a volume, or images with labels, masks and captions."""
        needs = (*RECIPES[name].needs, *RECIPES[name].learns)
        kind = "block" if "block" in needs else "before" if "before" in needs else "tiles"
        return self._once(("data", kind), lambda place: data_for(needs, place))

    def first(self, name: str) -> dict[str, Any]:
        """The argument that says where the first stages of recipe `name` are; none if it has none."""
        data, places = self.data(name), {}
        for held, stage in RECIPES[name].first.items():
            given = stage.args | settings(stage.recipe, data)

            def train(place: Path, stage: Stage = stage, given: dict[str, Any] = given) -> Path:
                return veridical.train(stage.recipe, data, place, steps=2, **given)

            places[held] = self._once((stage.recipe, str(data), repr(sorted(given.items()))), train)
        return {"first": places} if places else {}

    def _once(self, key: tuple[str, ...], make: Callable[[Path], Path]) -> Path:
        if key not in self._made:
            self._made[key] = make(self._folder / str(len(self._made)))
        return self._made[key]


def images_of(run: Path) -> np.ndarray:
    """Three images, one more than a batch; black pixels of a system that draws none."""
    loaded = veridical.load(run, device="cpu")
    if not RECIPES[loaded.info.recipe].draws:
        return np.zeros((3, 1, 32, 32), np.float32)
    torch.set_num_threads(1)
    return veridical.draw(loaded, 3, batch=2)


def recipe_facts(run: Path, images: np.ndarray) -> dict[str, Any]:
    """Weights and samples of a recipe after `STEPS` steps; `images` are those of `images_of`."""
    tensors = dict(sorted(load_file(run / "model.safetensors").items()))
    content = b"".join(key.encode() + tensor.numpy().tobytes() for key, tensor in tensors.items())
    wide = images.astype(np.float64)
    return rounded({
        "keys": digest("\n".join(tensors)),
        "bytes": sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()),
        "weights_sha256": digest(content),
        "samples_sha256": digest(images.tobytes()),
        "mean": {key: tensor.double().mean().item() for key, tensor in tensors.items()},
        "std": {key: tensor.double().std(unbiased=False).item() for key, tensor in tensors.items()},
        "samples": {
            "mean": wide.mean(), "std": wide.std(),
            "pixels": wide.ravel()[np.linspace(0, wide.size - 1, 8).astype(int)].tolist(),
        },
    })  # fmt: skip


def all_recipe_facts() -> dict[str, dict[str, Any]]:
    found = {}
    with tempfile.TemporaryDirectory() as place, one_thread():
        shared = Trained(Path(place))
        for name in RECIPES:
            data = shared.data(name)
            run = veridical.train(
                name, data, Path(place) / name, steps=STEPS, **settings(name, data), **shared.first(name)
            )
            found[name] = recipe_facts(run, images_of(run))
    return found


def unsteady(facts: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """Tensors whose numbers are rounding, a list a recipe: those that are others with other instructions of the CPU."""
    found: dict[str, set[str]] = {name: set() for name in facts}
    for other in OTHER_CPUS:
        if other["ATEN_CPU_CAPABILITY"].upper() == torch.backends.cpu.get_cpu_capability():
            raise SystemExit("this CPU has no instructions that it could do without: record on one with AVX512")
        for name, theirs in in_child("recipes", other).items():
            mine = facts[name]
            found[name] |= {key for key in mine["mean"] if distance(mine, theirs, key) > UNSTEADY}
    return {name: sorted(keys) for name, keys in found.items() if keys}


def distance(was: dict[str, Any], now: dict[str, Any], key: str) -> float:
    """How far mean and deviation of a tensor are from what they were, over their size."""
    size = float(np.hypot(was["mean"][key], was["std"][key]))
    moved = max(abs(was[kind][key] - now[kind][key]) for kind in ("mean", "std"))
    return moved / size if size else float(moved > 0)


# --- scores and verdicts --------------------------------------------------------------------------------------------


def gravel(size: int = 48) -> np.ndarray:
    """A hundred tiles of a picture that scikit-image ships, (100, 1, size, size) in [0, 1]."""
    image = skimage_data.gravel()[: 10 * size, : 10 * size].astype(np.float32) / 255
    return image.reshape(10, size, 10, size).transpose(0, 2, 1, 3).reshape(100, 1, size, size)


def score_facts() -> dict[str, Any]:
    """Every row that there is for pairs with further real images, of blurred and noisy gravel."""
    tiles, slices = gravel(), [f"slice{k // 5}" for k in range(100)]
    real, more = slice(0, 40), slice(40, 80)
    noise = 0.02 * np.random.default_rng(0).standard_normal(tiles[real].shape)
    synth = np.clip(gaussian_filter(tiles[real], (0, 0, 0.7, 0.7)) + noise, 0, 1).astype(np.float32)
    with one_thread():
        rows = veridical.score(
            tiles[real], synth, real_groups=slices[real], synth_groups=slices[real], floor_real=tiles[more],
            floor_groups=slices[more], paired=True, recipe="blurred", dataset="gravel", seed=3,
        )  # fmt: skip
    return {"sha256": digest(rows), "rows": rounded(rows)}


def texture(n: int, size: int, seed: int) -> np.ndarray:
    """Smooth two-phase structure with noise: no two alike."""
    rng = np.random.default_rng(seed)
    coarse = gaussian_filter(rng.standard_normal((n, size, size)), (0, 2.5, 2.5))
    grey = 0.5 + 0.2 * np.tanh(4 * coarse / coarse.std()) + 0.03 * rng.standard_normal(coarse.shape)
    return np.clip(grey, 0, 1)[:, None].astype(np.float32)


def audit_facts() -> dict[str, Any]:
    """What is found of images some of which are blurred, chequered, copies, a file of the real set, or empty."""
    real, synth = texture(48, 48, seed=0), texture(16, 48, seed=1)
    synth[:4] = gaussian_filter(synth[:4], (0, 0, 1, 1))
    synth[4:8] += 0.04 * (np.indices((48, 48)).sum(0) % 2)
    synth[8:10] = real[:2, :, ::-1]
    synth[10] = real[5]
    synth[11] = 0.5
    with one_thread():
        found = veridical.audit(real, np.clip(synth, 0, 1), power=False)
    return {"sha256": digest(found), "found": rounded(found)}


# --- the report -----------------------------------------------------------------------------------------------------

# What a run costs is never the same twice.
COSTS = ("training min", "s per image", "peak memory", "device", "threads")


class _Text(HTMLParser):
    """What a reader sees of a page, and the descriptions of its pictures, a line each."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.lines += [f"[{value}]" for key, value in attrs if key == "alt" and value]

    def handle_data(self, data: str) -> None:
        words = " ".join(data.split())
        self.lines += [words] if words else []


def normalised(html: str, folder: Path) -> str:
    """A page without dates, versions, paths, costs and the bytes of its pictures."""
    html = re.sub(r"data:image/png;base64,[\w+/=]*", "PICTURE", html)
    html = re.sub(r"\d{4}-\d\d-\d\d([ T][\d:]+)?", "DATE", html)
    html = html.replace(f"veridical {veridical.__version__}", "veridical VERSION")
    for path in (str(folder.resolve()), str(folder)):
        html = html.replace(path, "FOLDER")
    labels = "|".join(COSTS)
    return re.sub(rf'(<td[^>]*data-label="(?:{labels})"[^>]*>).*?(</td>)', r"\1COST\2", html, flags=re.DOTALL)


def report_facts(folder: Path) -> dict[str, Any]:
    """The page of a bench of two systems on one dataset."""
    write_tiles(folder / "tiles", n=80, size=48)  # a quarter more held out, as many as an audit and copies need
    rows = {"random_phase": TOY["random_phase"], "dcgan": TOY["dcgan"] | {"batch": 4}}
    written = (f"{key} = {value}" for key, value in {"size": 32, "steps": STEPS, "samples": 24, "seeds": [0]}.items())
    systems = (f"{name} = {{ {', '.join(f'{k} = {v}' for k, v in row.items())} }}" for name, row in rows.items())
    spec = folder / "bench.toml"
    lines = (*written, "[datasets]", 'blobs = "tiles"', "[recipes]", *systems)
    spec.write_text("\n".join(lines), encoding="utf-8")
    with one_thread():
        page = veridical.bench(spec, folder / "bench", say=lambda line: None)
    html = normalised(page.read_text(encoding="utf-8"), folder)
    text = _Text(re.sub(r"<(style|script)\b.*?</\1>", "", html, flags=re.DOTALL)).lines
    return {"sha256": digest(html), "shape_sha256": digest(NUMBER.sub("#", html)), "text": text}


# A number by itself, with the groups of three and the minus sign of a page.
NUMBER = re.compile(r"(?<![\w.])[-−]?\d+(?:\u202f\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)")


# --- the file -------------------------------------------------------------------------------------------------------


FACTS = {"recipes": all_recipe_facts, "score": score_facts, "audit": audit_facts}


def in_child(name: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """One of `FACTS`, from a process whose BLAS has one thread."""
    with one_thread():
        command, given = [sys.executable, __file__, "--facts", name], os.environ | (environment or {})
        return json.loads(subprocess.run(command, env=given, check=True, stdout=subprocess.PIPE).stdout)


def record() -> dict[str, Any]:
    """All facts."""
    recipes = all_recipe_facts()
    with tempfile.TemporaryDirectory() as place:
        facts = {"score": in_child("score"), "audit": in_child("audit"), "report": report_facts(Path(place))}
    found = unsteady(recipes)
    # names are long, and their digest is there
    short = {name: row | {kind: list(row[kind].values()) for kind in ("mean", "std")} for name, row in recipes.items()}
    return {"machine": machine(), "recipes": short, "unsteady": found, **facts}


def to_text(value: Any, indent: int = 0) -> str:
    """JSON with lists of numbers on one line each."""
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or len(flat) < 100 or set(map(type, value)) <= {int, float}:
        return flat
    start = "\n" + " " * (indent + 1)
    if isinstance(value, dict):
        parts = [f"{json.dumps(key, ensure_ascii=False)}: {to_text(each, indent + 1)}" for key, each in value.items()]
    else:
        parts = [to_text(each, indent + 1) for each in value]
    left, right = "{}" if isinstance(value, dict) else "[]"
    return f"{left}{start}{(',' + start).join(parts)}\n{' ' * indent}{right}"


def old_runs(folder: Path) -> None:
    """Runs NAME, stopped after three steps of six, and NAME-whole, with samples in NAME-whole.npy.

    ``arguments.json`` has those that `veridical.train` was given beside ``steps=6``; paths are from `folder`.
    """
    from test_contract import stopping
    from veridical.training import loop

    written = {}
    with one_thread():
        shared = Trained(folder / "shared")
        for name in OLD_RUNS:
            data = shared.data(name)
            given = settings(name, data) | shared.first(name)
            veridical.train(name, data, folder / f"{name}-whole", steps=STEPS, **given)
            np.save(folder / f"{name}-whole.npy", images_of(folder / f"{name}-whole"))
            with mock.patch.object(loop, "batch_of", stopping(STOPPED)), contextlib.suppress(Stopped):
                veridical.train(name, data, folder / name, steps=STEPS, **given)
            written[name] = relative(given | {"data": data}, folder)
    (folder / "arguments.json").write_text(to_text(written) + "\n", encoding="utf-8")


def relative(given: Any, folder: Path) -> Any:
    """Arguments with paths as they are from `folder`."""
    if isinstance(given, dict):
        return {key: relative(value, folder) for key, value in given.items()}
    inside = isinstance(given, str | Path) and Path(given).is_relative_to(folder)
    return str(Path(given).relative_to(folder)) if inside else given


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--old-runs", type=Path, metavar="DIR", help="write toy runs into this new folder instead")
    parser.add_argument("--facts", choices=FACTS, help="print these instead")
    options = parser.parse_args()
    if options.old_runs:
        old_runs(options.old_runs.resolve())
    elif options.facts:
        print(json.dumps(FACTS[options.facts]()))
    else:
        FILE.write_text(to_text(record()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
