"""The examples of the guides run; their links, commands and names are true."""

import importlib
import pkgutil
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
import typer

from toy import TOY, write_tiles
from veridical.cli import app
from veridical.cli.shell import pairs_of
from veridical.core.errors import InputError
from veridical.pretrained.kinds import ROWS
from veridical.recipes import table
from veridical.recipes.table import RECIPES, build
from veridical.runs.draw import draw
from veridical.runs.run import load
from veridical.scoring.score import score
from veridical.scoring.table import METRICS
from veridical.training.start import train

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(DOCS.rglob("*.md"))
BUILT = {DOCS / "tutorial.md": DOCS / "tutorial.py", DOCS / "contributing.md": ROOT / "CONTRIBUTING.md"}
COMMANDS = typer.main.get_command(app).commands
SAMPLING = {name for row in (*RECIPES.values(), *ROWS.values()) for name in row.sampling}


def example(page: str, name: str) -> dict:
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.search(rf"<!-- tested: {name} -->\n```python\n(.*?)```", text, re.DOTALL)
    names: dict = {}
    exec(compile(found.group(1), f"{page}:{name}", "exec"), names)
    return names


def test_the_example_model_trains_and_samples(tmp_path):
    try:
        example("design.md", "model")
        data = write_tiles(tmp_path / "data")
        train("pixel_gaussian", data, tmp_path / "run", steps=200, size=32, warmup=0, ema=0.9, quiet=True)
        made = draw(load(tmp_path / "run"), 64)
    finally:
        RECIPES.pop("pixel_gaussian", None)
    assert abs(made.mean() - 0.5) < 0.1
    assert 0.1 < made.std() < 0.3


def test_the_example_metric_knows_brightness_and_comes_out_of_score():
    tiles = np.random.default_rng(0).uniform(0, 0.8, (6, 1, 16, 16))
    try:
        distance = example("design.md", "metric")["grey_level_distance"]
        assert distance(tiles, tiles) == 0
        np.testing.assert_allclose(distance(tiles, tiles + 0.1), 0.1)
        rows = {row["metric"]: row["value"] for row in score(tiles[:2], tiles[2:4], floor_real=tiles[4:])}
    finally:
        METRICS.pop("grey", None)
    np.testing.assert_allclose(rows["grey_level_distance"], distance(tiles[:2], tiles[2:4]))


def test_the_example_edit_runs_on_pixels_and_on_latents():
    sdedit = example("design.md", "edit")["sdedit"]
    image = torch.rand(2, 1, 32, 32) * 2 - 1
    for name in ("edm", "latent_diffusion"):
        stages = {held: build(s.recipe, 1, 32, TOY[s.recipe]) for held, s in RECIPES[name].first.items()}
        model = build(name, 1, 32, TOY[name], stages).eval()
        model.prepare(image)
        edited = sdedit(model, image, torch.randn_like(model.encode(image)), sigma=0.1)
        assert edited.shape == image.shape
        assert (edited - model.decode(model.encode(image))).abs().mean() < 0.3


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def headings(page: Path) -> set[str]:
    """Anchors of a page, as its headings are turned into them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}
    return made | ({*COMMANDS} if page.name == "cli.md" else set())


def broken_links(page: Path, text: str) -> list[str]:
    broken = []
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(#[^)]*)?\)", text):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        file = (page.parent / target).resolve() if target else page
        file = BUILT.get(file, file)
        if not file.exists() or (anchor and anchor[1:] not in headings(file)):
            broken.append(target + anchor)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    assert broken_links(page, page.read_text(encoding="utf-8")) == []


def test_a_broken_link_is_found():
    assert broken_links(DOCS / "audit.md", "[a](nowhere.md) [b](gans.md#nothing) [c](gans.md)") == [
        "nowhere.md", "gans.md#nothing"
    ]  # fmt: skip


def commands(text: str) -> list[tuple[str, bool]]:
    """Command lines of `veridical` in a page, and whether they are whole: those of a block of shell are."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").split("\n")]
    whole = [line.removeprefix(".venv/bin/") for line in lines]
    spoken = re.findall(r"`(veridical [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    found = [(line, True) for line in whole] + [(" ".join(line.split()), False) for line in spoken]
    return [(line, is_whole) for line, is_whole in found if re.match(r"veridical [a-z]", line)]


def check_command(line: str, whole: bool) -> None:
    """Raise if a command line has an option, a recipe or a setting that is not there."""
    name, *words = shlex.split(line, comments=True)[1:]
    words = [word for word in words if word != "..."]
    command = COMMANDS[name]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        assert not word.startswith("-") or word in known | {"--help"}, f"{line}: no option {word}"
    if not whole:
        return
    try:
        values = command.make_context(name, words).params
    except Exception as error:
        raise AssertionError(f"{line}: {error}") from error
    settings = pairs_of(values.get("set_") or [])
    if name == "train":
        table.settings(values["recipe"], settings)
    if name == "sample":
        assert set(settings) <= SAMPLING, line
    if name == "phantom":
        phantoms = importlib.import_module("veridical.phantoms")
        if values["kind"] == "spheres":
            phantoms.parse_volume_options(settings)
        else:
            phantoms.parse_options(values["kind"], settings)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_have_the_options_that_they_are_given(page):
    for line, whole in commands(page.read_text(encoding="utf-8")):
        check_command(line, whole)


@pytest.mark.parametrize(
    "line",
    [
        "veridical trane edm DATA --out run",
        "veridical train edm DATA --output run",
        "veridical train edm DATA",
        "veridical train edmm DATA --out run",
        "veridical train edm DATA --out run --set withs=32",
        "veridical sample run --out samples --set steps=4",
    ],
)
def test_a_command_that_is_not_there_is_found(line):
    with pytest.raises((KeyError, AssertionError, InputError)):
        check_command(line, True)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_modules_functions_and_files_that_are_named_exist(page):
    text = page.read_text(encoding="utf-8")
    if page.name != "CHANGELOG.md":
        for name in set(re.findall(r"benchmarks/\w+\.(?:py|toml)", text)):
            assert (ROOT / name).is_file(), name
    for module, names in re.findall(r"^from (veridical[\w.]*) import ([\w, ]+)", text, re.MULTILINE):
        for name in names.split(","):
            pkgutil.resolve_name(f"{module}.{name.strip()}")  # a submodule, too
    for name in set(re.findall(r"(?:`|::: )(veridical(?:\.\w+)+)", text)):
        *path, last = name.split(".")
        module = importlib.import_module(".".join(path)) if importable(path) else None
        assert hasattr(module, last) or importable(name.split(".")), name


def importable(path: list[str]) -> bool:
    try:
        importlib.import_module(".".join(path))
    except ImportError:
        return False
    return True


def test_errors_of_the_troubleshooting_page_are_sentences_of_the_package():
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    sources = re.sub(r'"\s*\n\s*f?"', "", sources)  # strings over several lines
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8").partition("## Samples that look wrong")[0]
    said = re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)
    assert len(said) > 20
    for sentence in said:
        # What a sentence names differs from case to case.
        fragments = re.split(
            r"\.\.\.|'\w+'|\b(?:\w+=)?\d[\w^* ]*\d*|\buint\d+|scan\.h5:/PATH|porosity|\bRGB|\bgrey\b", sentence
        )
        for fragment in (part.strip(" ;,'") for part in fragments):
            assert len(fragment) < 6 or fragment in sources, (sentence, fragment)
