"""The public functions as a user's type checker sees them, which reads ``__init__.pyi`` and what it names."""

import ast
from pathlib import Path

import pytest

import veridical

api = pytest.importorskip("mypy.api")

USE = """
from pathlib import Path

import numpy as np

import veridical as v
from veridical.phantoms import RocksOptions

print(v.__version__)
phantoms = v.generate("rocks", 16, size=64, seed=1, options=RocksOptions(porosity=(0.1, 0.4)))
paths: list[Path] = v.write_phantoms("phantoms", phantoms, bits=8)
data = v.open_dataset("phantoms/images", 32, augment="dihedral", masks=True)
advised: int = v.advise(data).size
tiles: dict[str, np.ndarray] = data.batch(4, step=0, seed=0)
model = v.build("edm", 1, 32, {"widths": (16, 32)})
run: Path = v.train("edm", "phantoms/images", Path("run"), steps=10, size=32, quiet=True)
drawn = v.draw(v.load(run, device="cpu", settings={"sampling_steps": 4}), 8, seed=3)
names = ["a"] * 8
rows = v.score(drawn, drawn.astype(np.float64), real_groups=names, synth_groups=np.arange(8), train=list(drawn), paired=True)
values: list[float | None] = [row["value"] for row in rows]
folder: Path = v.sample("run", 8, "samples", label="0,1")
body: Path = v.volume("run", (64, 64, 128), "volume.tif", settings={"sampling_steps": 4}, periodic=True, seed=1)
said: Path = v.caption("phantoms/images", "captions.jsonl", names={0: "pores", 2: "clay"}, columns=["porosity"], seed=1)
scores: list[float] = [found.score for found in v.find("phantoms/images", "three cracks", "clip", top=4)]
changed: Path = v.edit("run", "phantoms/images", "edited", "sdedit", prompt=["two cracks"], settings={"steps": 9}, seed=1)
between: np.ndarray = v.blend(v.load("unclip"), drawn[0], drawn[1], 4, seed=2)
adapted: Path = v.adapt("run", "phantoms/images", "adapted", how="lora", settings={"rank": 2}, resume=False)
exported: Path = v.export("stable", "pipeline", format="diffusers")
judged: list[float | None] = [row["value"] for row in v.review("reviews/edm", audit="audit.json")]
verdict = v.audit("phantoms/images", folder, source=None, size=32, progress=lambda share, text: print(share, text))
passed: str = verdict["verdict"]
found = v.audit_run("run", folder, pictures="pictures")
html: Path = v.audit_page("audit.html", found, "pictures", real="run", synth="samples")
nearest: list[float | None] = [row["value"] for row in v.score_run(run, folder, size=32)]
page: Path = v.report(v.bench("bench.toml", "out", say=print))
try:
    v.score(Path("real"), "synth", cache=None)
except v.InputError as error:
    print(error)
"""
WRONG = (
    'v.generate("rocks", "16")',
    "v.write_phantoms(phantoms, 'phantoms')",
    'v.open_dataset("data", size="32")',
    'v.advise("data")',
    'v.build("edm", 1)',
    'v.train("edm", "data")',
    "v.draw(run, 8)",
    'v.load("run", settings=["steps"])',
    'v.sample("run", "8", "samples")',
    "v.caption('data', 'out', names=['pores'])",
    "v.find('data', 3, 'clip')",
    "v.blend(run, drawn[0], drawn[1])",
    "v.edit('run', 'images', 'edited')",
    "v.adapt('run', 'images')",
    "v.export('stable')",
    "v.score(3, drawn)",
    "v.score(drawn, drawn, paried=True)",
    "v.audit(drawn, drawn, alpha='small')",
    'v.bench("bench.toml")',
    "v.report(5)",
    "v.measure(drawn)",
    "drawn.tobyte()",
    "rows[0].value",
)
SETTINGS = """
[mypy]
strict = True
ignore_missing_imports = True
mypy_path = {source}
cache_dir = {cache}
[mypy-veridical.*]
follow_imports = silent
"""
# Large, and none of them is in a signature but through torch.nn.Module: without them it takes seconds.
UNREAD = (
    "torch",
    "diffusers",
    "transformers",
    "scipy",
    "skimage",
    "matplotlib",
    "rich",
    "typer",
    "PIL",
    "h5py",
    "zarr",
)


@pytest.mark.long
def test_a_users_code_is_checked_and_each_wrong_call_found(tmp_path: Path) -> None:
    source = Path(veridical.__file__).parents[1]
    settings = SETTINGS.format(source=source, cache=tmp_path / "cache")
    settings += "".join(f"[mypy-{name}.*]\nfollow_imports = skip\n" for name in UNREAD)
    (tmp_path / "mypy.ini").write_text(settings)
    script = tmp_path / "use.py"
    script.write_text(USE + "\n".join(WRONG) + "\n")
    said, trouble, _ = api.run(["--config-file", str(tmp_path / "mypy.ini"), "--no-error-summary", str(script)])
    assert not trouble
    errors = {int(line.split(":")[1]): line for line in said.splitlines() if ": error:" in line}
    first = len(USE.splitlines()) + 1
    assert [line for number, line in errors.items() if number < first] == []
    assert [call for number, call in enumerate(WRONG, first) if number not in errors] == []


def test_the_users_code_calls_every_public_function() -> None:
    used = {
        node.attr
        for node in ast.walk(ast.parse(USE))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "v"
    }
    assert used == set(veridical.__all__)
